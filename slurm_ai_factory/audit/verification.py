"""Whether the ledger agrees with itself: what it derived with the facts, and published reports with both.

Everything derived is worked out again from runs, rules and the registry, and compared with what is kept. A
published report is made again from facts alone, and must say what it said.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from slurm_ai_factory import question
from slurm_ai_factory.config import Config, made_with, parse_resource
from slurm_ai_factory.core import canonical, windows
from slurm_ai_factory.core.charge import hour_of
from slurm_ai_factory.core.records import DAY, HOUR, Instant, Interval
from slurm_ai_factory.core.rules.classify import Rules
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.ledger.derived import Comparison, KeptSet
from slurm_ai_factory.ledger.hour_sums import Compared
from slurm_ai_factory.ledger.publishing import Published
from slurm_ai_factory.report import gather

AT_ONCE = 31 * DAY
"""Hours that are compared by one query; what PostgreSQL sorts for them fits its memory or its disk."""

DERIVED = ("TRES sets", "classification", "hourly usage", "hourly sums")
"""Checks of what can be made again."""

Compare = Callable[[Instant, Instant], Compared]
OnCompared = Callable[[Interval], object]


class Verified(NamedTuple):
    """What was looked at: how many, how many of them are not as they must be, and the first of those."""

    check: str
    compared: int
    differing: int
    first: str = ""


def intervals_to_compare(ledger: Ledger) -> list[Interval]:
    """The whole hours that the ledger has anything of, as they are compared at once."""
    since, until = ledger.accounting.span() or (0, 0)
    end = hour_of(until + HOUR - 1)
    return [(first, min(first + AT_ONCE, end)) for first in range(hour_of(since), end, AT_ONCE)]


def verify(
    config: Config, ledger: Ledger, hours: Sequence[Interval], progress: OnCompared, head: str | None = None
) -> Iterator[Verified]:
    """Every check; ``progress`` is told of each interval of usage. Raises LedgerError.

    ``head`` is a copy of a head of the chain, which must still be one of its entries.
    """
    if head:
        yield _head(ledger, head)
    yield Verified("chain", *ledger.chain.walked())
    yield Verified("records", *ledger.chain.records())
    yield Verified("reads", *ledger.chain.reads())
    yield Verified("versions", *ledger.chain.versions())
    sets = rules_of_sets(config, ledger)
    yield Verified("TRES sets", *ledger.derived.tres())
    yield Verified("overrides", *ledger.derived.overrides())
    yield _added("classification", [ledger.derived.answers(one.set_id, rules) for one, rules in sets])
    yield _by_hour(ledger.accounting.usage_compared, hours, progress)
    sums = [_sums(ledger, one, rules, hours) for one, rules in sets]
    yield _added("hourly sums", [found for of_set in sums for found in of_set])
    with ledger.anew() as fresh:
        yield _reports(config, fresh)


def _head(ledger: Ledger, head: str) -> Verified:
    found = ledger.chain.find(head)
    return Verified("head", 1, int(found is None), "" if found else f"no entry of the chain has {head}")


def rules_of_sets(config: Config, ledger: Ledger) -> list[tuple[KeptSet, Rules]]:
    """The sets of rules whose answers are kept, with the rules: those of now, and of instants before.

    Rules that were only tried are left out: no figure is ever asked of them again.
    """
    wanted = {one.digest: one for one in ledger.derived.sets()}
    found = []
    for then in chain([None], ledger.derived.instants()):
        if not wanted:
            break
        rules = question.rules_at(config, ledger, then)
        if rules.digest in wanted:
            found.append((wanted.pop(rules.digest), rules))
    return found


def _sums(ledger: Ledger, kept: KeptSet, rules: Rules, hours: Sequence[Interval]) -> Iterator[Comparison]:
    """Sums by hour that are kept by a set of rules, beside the usage they are of."""
    books = ledger.books(rules)
    for resource in ledger.derived.sums(kept.set_id):
        weights = parse_resource(resource)
        for since, until in hours:
            found = books.sums_compared(since, until, weights)
            first = "" if found.first is None else windows.iso(found.first)
            yield Comparison(found.rows, found.differing, first)


def _added(check: str, found: Iterable[Comparison]) -> Verified:
    every = list(found)
    first = next((one.first for one in every if one.differing), "")
    return Verified(check, sum(one.rows for one in every), sum(one.differing for one in every), first)


def _by_hour(compare: Compare, hours: Sequence[Interval], progress: OnCompared) -> Verified:
    found = []
    for part in hours:
        found.append(compare(*part))
        progress(part)
    first = min((one.first for one in found if one.first is not None), default=None)
    rows, differing = sum(one.rows for one in found), sum(one.differing for one in found)
    return Verified("hourly usage", rows, differing, "" if first is None else windows.iso(first))


def _reports(config: Config, ledger: Ledger) -> Verified:
    given = [one for one in ledger.publishing.all() if one.document]
    found = [(one, changed) for one in given if (changed := _changed(config, ledger, one))]
    first = next((f"{one.window} as of {windows.iso(one.as_of)}: {told}" for one, told in found), "")
    return Verified("reports", len(given), len(found), first)


def _changed(config: Config, ledger: Ledger, given: Published) -> str | None:
    """What of a published report is no longer so, made again with the settings it was made with."""
    settings = json.loads(given.settings)
    ask = question.ask(made_with(config, settings), ledger, then=given.as_of)
    ask = ask.about(windows.window(given.window, given.as_of, ask.config.promise.time_zone))
    made = gather.published(ask, gather.gather_report(ask))
    said = given._replace(settings=settings, document=json.loads(given.document))
    now = made._replace(settings=json.loads(made.settings), document=json.loads(made.document))
    return canonical.first_difference(said._asdict(), now._asdict())
