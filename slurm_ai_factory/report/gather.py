"""A governance report from the ledger: every figure in it is one that `saf share` gives for the same instant.

The rule: everything is asked as it was known at one instant, so the same instant gives the same report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import cache, partial

from slurm_ai_factory import question
from slurm_ai_factory.config import Config, counted
from slurm_ai_factory.core import canonical, windows
from slurm_ai_factory.core.control.reasons import HOLDS
from slurm_ai_factory.core.programme import expertise
from slurm_ai_factory.core.programme.expertise import ExpertiseMeasurement
from slurm_ai_factory.core.programme.suppression import TableCell, cells_shown, telling
from slurm_ai_factory.core.records import Instant, Measurement, Window
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger.audits import Audit
from slurm_ai_factory.ledger.publishing import FingerprintSpan, Published
from slurm_ai_factory.question import Question, Reached, reached
from slurm_ai_factory.report import (
    Audited,
    Basis,
    ControlHistory,
    Month,
    Report,
    Sender,
    tables,
    value,
)
from slurm_ai_factory.report.given import (
    Document,
    Given,
    Known,
    ReadReached,
    Sums,
    known_before,
    sums_of_charge,
    sums_of_hours,
    sums_of_unmet,
)
from slurm_ai_factory.report.restating import earlier_figures, restatements
from slurm_ai_factory.report.tables import Table, WindowPiece, members, totals

TABLES = {"category": True, "hub": False, "sector": True, "municipality": True}
"""The tables, the most important first, and whether each is of the region only."""

HOURS = {"category": True}
"""The table of the hours of the expertise centre."""

RESOURCES = ("gres/gpu", "node", "cpu")
"""Told beside the resource of the promise, where there is any of them."""

ReadOf = Callable[[Question], Sequence[Reached]]
"""Who got what in a window."""

SumsOf = Callable[[Sequence[WindowPiece], Document | None], Sums]


def gather_report(ask: Question, compared: Instant | None = None) -> Report:
    """The report of a window, compared with the last one published of it and of each window of its trend.

    With ``compared``, with what was known at that instant instead.
    """
    trend = _trend(ask)
    found, hours = reached(ask), _expertise(ask)
    smallest = ask.config.report.min_organisations
    earlier = list(earlier_figures(ask, trend, compared))
    known = _known_before(ask, reached, partial(sums_of_charge, TABLES, smallest))
    regional = {one.organisation for one in found if one.beneficiary is Beneficiary.REGIONAL and one.charge}
    return Report(
        sender=_sender(ask.config),
        known_at=ask.known_at,
        measurement=trend[-1],
        margin=ask.config.promise.margin,
        resources=tuple(_resources(ask)),
        trend=trend,
        tables=tables(found, TABLES, smallest, known.pieces, known.sums),
        reached=len(regional),
        names=_names(ask, regional) if ask.config.report.name_organisations else None,
        control=_control(ask),
        expertise=hours,
        expertise_table=_expertise_table(ask, smallest),
        unmet_shown=_unmet_shown(ask, smallest),
        terms=ask.terms,
        compared_with=tuple(earlier),
        restatements=tuple(restatements(ask, trend, earlier)),
        audits=tuple(_audits(ask)),
        approved=ask.ledger.proposals.approved(ask.known_at),
        basis=_basis(ask, trend[0].window),
    )


def _sender(config: Config) -> Sender:
    said = config.report
    zone, facility = config.promise.time_zone.key, said.facility or config.cluster.name
    return Sender(facility, said.region, said.contact, zone, said.min_organisations)


def _trend(ask: Question) -> tuple[Measurement, ...]:
    """The window and those before it that were read from their beginning on, oldest first."""
    trend = [ask.measure()]
    while len(trend) < ask.config.report.windows and (earlier := ask.before()):
        ask, measured = earlier, earlier.measure()
        if measured.unread_seconds:
            break
        trend.append(measured)
    return tuple(reversed(trend))


def _resources(ask: Question) -> Iterator[Measurement]:
    own = ask.config.promise_of().resource
    for name in RESOURCES:
        if name != own:
            measured = ask.measure(ask.config.promise_of({name: 1}))
            if measured.total_charge:
                yield measured


def _known_before(ask: Question, read: ReadOf, sums: SumsOf) -> Known:
    """What the window is made of, and what reports published before told of who got it."""
    reports = ask.ledger.publishing.before(ask.window.name, ask.known_at)
    given = [told for one in reports for told in _windows_of(ask, one, read)]
    return known_before((ask.window.since, ask.window.until), _reader(ask, read), given, sums)


def _windows_of(ask: Question, one: Published, read: ReadOf) -> Iterator[Given]:
    """The windows that a published report told of: its own, and those of its chart over time."""
    then = question.ask(ask.config, ask.ledger, then=one.as_of)
    for name in sorted({one.window, *one.figures}):
        where = then.about(windows.window(name, one.as_of, then.config.promise.time_zone))
        document = json.loads(one.document or "{}") if name == one.window else None
        yield Given((where.window.since, where.window.until), document, _reader(where, read))


def _refuse_telling(ask: Question) -> None:
    """Raises LedgerError where totals of a report, which cannot be hidden, tell too much beside others."""
    smallest = ask.config.report.min_organisations
    for what, read, sums in (
        ("charge", reached, partial(sums_of_charge, TABLES, smallest)),
        ("expertise hours", _helped, partial(sums_of_hours, HOURS)),
    ):
        known = _known_before(ask, read, sums)
        sides = dict(zip(totals(known.pieces), Beneficiary, strict=True))
        if found := telling(totals(known.pieces), smallest, known.totals, known.sums):
            named = ", ".join(str(sides[one]) for one in found)
            raise LedgerError(
                f"the report of {ask.window.name} cannot be published: beside earlier reports its {named} "
                f"total of {what} tells what fewer than {smallest} organisations got; publish another window"
            )


def _reader(ask: Question, read: ReadOf) -> ReadReached:
    return cache(lambda interval: read(ask.over(interval)))


def _names(ask: Question, organisations: Iterable[str]) -> tuple[str, ...]:
    registry = ask.ledger.registry.known(ask.known_at)
    entries = (registry.entries_of(one) for one in organisations)
    return tuple(sorted((ones[-1].name for ones in entries if ones), key=str.casefold))


def _control(ask: Question) -> ControlHistory:
    zone = ask.config.promise.time_zone
    scope = ask.window.since, ask.window.until, ask.known_at
    decided = ask.ledger.publishing.decisions_by_month(*scope, zone.key)
    changes = ask.ledger.publishing.changes(*scope)
    months: dict[str, list[tuple[int, int]]] = {month: [] for month, *_ in decided}
    for at, *_, before, after in changes:
        months.setdefault(f"{datetime.fromtimestamp(at, zone):%Y-%m}", []).append((before, after))
    return ControlHistory(
        modes=tuple(sorted({mode for _, mode, _, _ in decided})),
        months=tuple(_month(name, decided, months[name]) for name in sorted(months)),
    )


def _month(name: str, decided: list[tuple[str, str, str, int]], changes: list[tuple[int, int]]) -> Month:
    own = [(reason, count) for month, _, reason, count in decided if month == name]
    held: dict[str, int] = {}
    for reason, count in own:
        if reason in HOLDS:
            held[reason] = held.get(reason, 0) + count
    return Month(
        month=name,
        decisions=sum(count for _, count in own),
        held=sum(held.values()),
        reasons=held,
        changes=len(changes),
        raw_shares_first=changes[0][0] if changes else None,
        raw_shares_last=changes[-1][1] if changes else None,
    )


def _expertise(ask: Question) -> ExpertiseMeasurement:
    said = ask.config.expertise
    return expertise.measure_hours(
        ask.ledger.expertise.entries(*windows.days(ask.window, ask.config.promise.time_zone), ask.known_at),
        ask.window,
        ask.known_at,
        target_share=said.target_share,
        beneficiary=partial(_beneficiary, ask),
        unmet_recorded=said.unmet_recorded,
    )


def _beneficiary(ask: Question, organisation: str, day: date) -> Beneficiary:
    """Who an organisation was on a day, by the registry."""
    at = windows.day(day.isoformat(), ask.config.promise.time_zone)
    found = ask.rules.registry.organisation(organisation, at)
    if found is None:
        return Beneficiary.UNCLASSIFIED
    regional = ask.rules.is_regional(found.municipality, at)
    return Beneficiary.REGIONAL if regional else Beneficiary.NON_REGIONAL


def _expertise_table(ask: Question, smallest: int) -> Table:
    """The hours by category, of the region."""
    known = _known_before(ask, _helped, partial(sums_of_hours, HOURS))
    (table,) = tables(_helped(ask), HOURS, smallest, known.pieces, known.sums)
    return table


def _helped(ask: Question) -> list[Reached]:
    """Who got hours; what an organisation is, is told as it is known last."""
    registry = ask.ledger.registry.known(ask.known_at)
    found = []
    for one in _expertise(ask).organisations:
        entries = registry.entries_of(one.organisation)
        places = {"category": entries[-1].category if entries else ""}
        found.append(Reached(one.organisation, one.beneficiary, places, one.delivered))
    return found


def _unmet_shown(ask: Question, smallest: int) -> bool:
    """Whether the hours that the region did not get may be told beside those of earlier reports."""
    known = _known_before(ask, _not_helped, sums_of_unmet)
    cell = TableCell("unmet", "", members(known.pieces, Beneficiary.REGIONAL))
    return bool(cells_shown([cell], [], smallest, known.sums))


def _not_helped(ask: Question) -> list[Reached]:
    """Who asked for hours and did not get them."""
    found = _expertise(ask).organisations
    return [Reached(one.organisation, one.beneficiary, {}, one.unmet) for one in found]


def _audits(ask: Question) -> Iterator[Audited]:
    """The checks of the books that were made since the window began, by command."""
    made: dict[str, list[Audit]] = {}
    for one in ask.ledger.audits.made(ask.window.since, ask.known_at):
        made.setdefault(one.command, []).append(one)
    for command, found in sorted(made.items()):
        yield Audited(command, len(found), found[-1].at, sum(one.findings for one in found))


def ended_figures(trend: Iterable[Measurement]) -> dict[str, dict[str, str]]:
    """The figures of windows that are over, exact, as they are noted when a report is given out."""
    return {
        one.window.name: {"regional": str(one.regional_charge), "total": str(one.total_charge)}
        for one in trend
        if one.window.until <= one.as_of
    }


def published(ask: Question, report: Report) -> Published:
    """A report as the ledger keeps it when it is given out: with all that it says."""
    said = value(report)
    return Published(
        report.measurement.window.name,
        report.known_at,
        said["fingerprint"]["sha256"],
        ended_figures(report.trend),
        canonical.canonical_text(settings_of(ask)),
        canonical.canonical_text(said),
    )


def published_anew(ask: Question) -> Published:
    """A report worked out from facts alone. Raises LedgerError where what is derived says otherwise."""
    _refuse_telling(ask)
    kept = published(ask, gather_report(ask))
    with ask.ledger.anew() as ledger:
        rules = question.rules_at(ask.config, ledger, ask.then)
        fresh = replace(ask, ledger=ledger, rules=rules)
        made = published(fresh, gather_report(fresh))
    if changed := canonical.first_difference(json.loads(kept.document), json.loads(made.document)):
        raise LedgerError(
            f"the report of {kept.window} cannot be published: worked out from the runs alone it says "
            f"something else ({changed}); run: saf ledger verify --repair"
        )
    return made


def _basis(ask: Question, first: Window) -> Basis:
    """All that the report rests on, the earlier windows of the trend included."""
    interval = interval_of(ask, first)
    rows = ask.ledger.publishing.fingerprint(interval)
    settings = canonical.digest("settings", 1, settings_of(ask))
    return Basis(settings, interval.since, interval.until, tuple(rows))


def interval_of(ask: Question, first: Window) -> FingerprintSpan:
    """What the fingerprint of a report is over."""
    zone = ask.config.promise.time_zone
    days = windows.days(first, zone)[0], windows.days(ask.window, zone)[1]
    return FingerprintSpan(first.since, ask.window.until, *days, ask.known_at)


def settings_of(ask: Question) -> dict[str, canonical.Plain]:
    """All that counts beside the rows: the promise's terms, the rules, what is shown."""
    terms = [one.plain() for one in ask.terms.terms]
    rules = ask.rules.digest
    return {**counted(ask.config), "cluster": ask.config.cluster.name, "terms": terms, "rules": rules}
