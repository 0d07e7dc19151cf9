"""Verifies the ledger: its chain, everything derived from its facts, and its published reports.

Derived rows are computed again from runs, rules and the registry, and compared with the stored ones. A
published report is recomputed from the facts alone, and must come out the same. Tested in
tests/cli/ledger/test_verify.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from slurm_ai_factory import question
from slurm_ai_factory.config import Config, made_with
from slurm_ai_factory.core import canonical, windows
from slurm_ai_factory.core.charge import day_of
from slurm_ai_factory.core.records import DAY, Instant, Interval
from slurm_ai_factory.core.rules.classify import Rules
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.ledger.derived import Comparison, KeptSet
from slurm_ai_factory.ledger.hour_sums import Compared
from slurm_ai_factory.ledger.publishing import Published
from slurm_ai_factory.report import gather

AT_ONCE = 31 * DAY
"""Seconds that one query compares, so that PostgreSQL can sort them in memory or on its disk."""

DERIVED = ("TRES sets", "classification", "hourly usage", "sums of usage")
"""Checks of rows that --repair can make again."""

Compare = Callable[[Instant, Instant], Compared]
OnCompared = Callable[[Interval], object]


class Verified(NamedTuple):
    """A check's result: rows compared, rows that differ, and the first of those."""

    check: str
    compared: int
    differing: int
    first: str = ""


def intervals_to_compare(ledger: Ledger) -> list[Interval]:
    """The ledger's whole days, in intervals that are compared at once."""
    since, until = ledger.accounting.span() or (0, 0)
    end = day_of(until + DAY - 1)
    return [(first, min(first + AT_ONCE, end)) for first in range(day_of(since), end, AT_ONCE)]


def verify(
    config: Config, ledger: Ledger, hours: Sequence[Interval], progress: OnCompared, head: str | None = None
) -> Iterator[Verified]:
    """The results of all checks; ``progress`` gets each interval of usage. Raises LedgerError.

    ``head`` is a copy of a head of the chain, which must still be one of its entries.
    """
    if head:
        first = "" if ledger.chain.find(head) else f"no entry of the chain has {head}"
        yield Verified("head", 1, int(bool(first)), first)
    yield Verified("chain", *ledger.chain.walked())
    yield Verified("records", *ledger.chain.records())
    yield Verified("reads", *ledger.chain.reads())
    yield Verified("versions", *ledger.chain.versions())
    yield Verified("expiries", *ledger.expiries.compared())
    sets = rules_of_sets(config, ledger)
    yield Verified("day statements", *ledger.hubs.compared())
    yield Verified("TRES sets", *ledger.derived.tres())
    yield Verified("overrides", *ledger.derived.overrides())
    answers = [ledger.derived.answers(kept.set_id, rules) for kept, rules in sets]
    yield _added("classification", answers)
    yield _by_hour(ledger.accounting.usage_compared, hours, progress)
    sums = (_sums(ledger, kept, rules, hours) for kept, rules in sets)
    yield _added("sums of usage", chain.from_iterable(sums))
    with ledger.anew() as fresh:
        yield _reports(config, fresh)


def rules_of_sets(config: Config, ledger: Ledger) -> list[tuple[KeptSet, Rules]]:
    """The sets of rules whose answers are stored, with their rules, current and past.

    Leaves out rules that were only tried: no later figure uses them.
    """
    wanted = {kept.digest: kept for kept in ledger.derived.sets()}
    sets = []
    for then in chain([None], ledger.derived.instants()):
        if not wanted:
            break
        rules = question.rules_at(config, ledger, then)
        if rules.digest in wanted:
            sets.append((wanted.pop(rules.digest), rules))
    return sets


def _sums(ledger: Ledger, kept: KeptSet, rules: Rules, hours: Sequence[Interval]) -> Iterator[Comparison]:
    """Compares a set of rules' stored sums with the usage that they add up."""
    books = ledger.books(rules)
    for resource in ledger.derived.sums(kept.set_id):
        weights = Resource.parse(resource).weights
        for since, until in hours:
            for compared in books.sums_compared(since, until, weights):
                first = "" if compared.first is None else windows.iso(compared.first)
                yield Comparison(compared.rows, compared.differing, first)


def _added(check: str, comparisons: Iterable[Comparison]) -> Verified:
    """The comparisons of a check as one result."""
    every = list(comparisons)
    rows = sum(comparison.rows for comparison in every)
    differing = sum(comparison.differing for comparison in every)
    first = next((comparison.first for comparison in every if comparison.differing), "")
    return Verified(check, rows, differing, first)


def _by_hour(compare: Compare, hours: Sequence[Interval], progress: OnCompared) -> Verified:
    comparisons = []
    for interval in hours:
        comparisons.append(compare(*interval))
        progress(interval)
    first = min((compared.first for compared in comparisons if compared.first is not None), default=None)
    rows = sum(compared.rows for compared in comparisons)
    differing = sum(compared.differing for compared in comparisons)
    return Verified("hourly usage", rows, differing, "" if first is None else windows.iso(first))


def _reports(config: Config, ledger: Ledger) -> Verified:
    """Makes every published report again; reports without a document cannot be compared."""
    reports = [report for report in ledger.publishing.all() if report.document]
    changes = [
        f"{report.window} as of {windows.iso(report.as_of)}: {difference}"
        for report in reports
        if (difference := _difference(config, ledger, report))
    ]
    return Verified("reports", len(reports), len(changes), changes[0] if changes else "")


def _difference(config: Config, ledger: Ledger, report: Published) -> str | None:
    """The first difference between a published report and its recomputation with the same settings.

    A report of an earlier version has fewer figures: these are compared, and not its fingerprint.
    """
    settings = json.loads(report.settings)
    ask = question.ask(made_with(config, settings), ledger, then=report.as_of)
    ask = ask.about(windows.window(report.window, report.as_of, ask.config.promise.time_zone))
    made = gather.published(ask, gather.gather_report(ask))
    before, now = (
        {**each._asdict(), "settings": json.loads(each.settings), "document": json.loads(each.document)}
        for each in (report, made)
    )
    known = canonical.within(before, now)
    if known != now:
        for values in (before, known):
            values["fingerprint"] = values["document"]["fingerprint"] = ""
    return canonical.first_difference(before, known)
