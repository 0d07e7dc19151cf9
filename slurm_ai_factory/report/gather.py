"""Gathers a governance report from the ledger; its figures are those of `saf share` for the same instant.

The rule: everything is read as it was known at one instant, so that the same instant gives the same report.
Tested in tests/report/test_report.py.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from functools import cache, partial
from typing import NamedTuple

from slurm_ai_factory import question
from slurm_ai_factory.config import counted, energy_settings
from slurm_ai_factory.core import canonical, windows
from slurm_ai_factory.core.control.reasons import HOLDS
from slurm_ai_factory.core.programme import expertise, tariff
from slurm_ai_factory.core.programme.expertise import ExpertiseEntry, ExpertiseMeasurement, HoursKind
from slurm_ai_factory.core.programme.suppression import TableCell, cells_shown, held_together, telling
from slurm_ai_factory.core.records import Charge, Instant, Measurement, Window
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger.audits import Audit
from slurm_ai_factory.ledger.publishing import FingerprintSpan, Published
from slurm_ai_factory.question import Question, Reached
from slurm_ai_factory.report import Audited, Basis, ControlHistory, Month, Report, Sender, tables, value
from slurm_ai_factory.report.given import (
    Given,
    Known,
    ReadReached,
    Sums,
    known_before,
    sums_of_charge,
    sums_of_hours,
    sums_of_unmet,
)
from slurm_ai_factory.report.programme import programme_figures, reached_in_programme
from slurm_ai_factory.report.promises import (
    ReportedPromise,
    conditions_shown,
    promises_changed,
    promises_in,
    promises_shown,
    with_figures,
)
from slurm_ai_factory.report.restating import earlier_figures, restatements
from slurm_ai_factory.report.surroundings import (
    energy_reached,
    energy_told,
    sums_of_energy,
    surroundings_of,
    whole_energy_reached,
)
from slurm_ai_factory.report.tables import Table, WindowPiece, members, promised_sum, totals, whole_table

TABLES = {
    "category": True, "hub": False, "sector": True, "municipality": True, "size": True, "stage": True,
    "access": True, "grant": True,
}  # fmt: skip
"""The tables, the most important first -> whether the table is of the region only."""

HOURS = {"category": True, "role": True, "hub": False, "sector": True}
"""The tables of the hours of the expertise centre, in the same way."""

RESOURCES = ("gres/gpu", "node", "cpu")
"""Resources shown in addition to that of the promise, where there is charge in them."""

ReadOf = Callable[[Question, Window], Sequence[Reached]]
"""Question, and the window of the report -> who got what in the question's window."""

SumsOf = Callable[[Sequence[WindowPiece], Given], Sums]


def gather_report(ask: Question, compared: Instant | None = None, note: str | None = None) -> Report:
    """The report of a window, compared with the last published reports of the windows of its trend.

    ``compared`` is an instant: the windows are compared with the figures known then instead. ``note`` is the
    facility's response; without it, the one that this report was published with.
    """
    _refuse_expired(ask)
    trend = _trend(ask)
    sender, kept = ask.config.report, ask.ledger.publishing.document(ask.window.name, ask.known_at)
    smallest = sender.min_organisations
    earlier = list(earlier_figures(ask, trend, compared))
    listed = [] if kept and "promises" not in kept else list(promises_in(ask))  # as it was published
    groups, figures, promises = _of_charge(ask, listed)
    regional = {
        group.organisation for group in groups if group.beneficiary is Beneficiary.REGIONAL and group.charge
    }
    history = _control(ask)
    decisions = sum(month.decisions for month in history.months)
    shown = {table.name: {row.name for row in table.rows} for table in figures}
    held = Counter[str]()
    for month in history.months:
        held.update(month.reasons)
    around = surroundings_of(ask, _energy_given(ask), shown) if not kept or "surroundings" in kept else None
    facility, zone = sender.facility or ask.config.cluster.name, ask.config.promise.time_zone.key
    return Report(
        sender=Sender(facility, sender.region, sender.contact, zone, smallest),
        known_at=ask.known_at, measurement=trend[-1], margin=ask.config.promise.margin,
        resources=tuple(_resources(ask)), trend=trend, tables=figures, reached=len(regional),
        names=_names(ask, regional) if sender.name_organisations else None,
        control=history, terms=ask.terms, expertise=_expertise(ask),
        expertise_tables=_expertise_tables(ask, smallest), unmet_shown=_unmet_shown(ask, smallest),
        compared_with=tuple(earlier), restatements=tuple(restatements(ask, trend, earlier)),
        audits=tuple(_audits(ask)),
        programme=programme_figures(ask, trend, groups, figures, decisions, held), surroundings=around,
        promises=promises, promises_changed=() if compared else promises_changed(ask, promises),
        note=note or kept.get("answer", {}).get("note"),
        approved=ask.ledger.proposals.approved(ask.known_at), basis=_basis(ask, trend[0].window),
    )  # fmt: skip


def _refuse_expired(ask: Question) -> None:
    """Raise LedgerError where decisions of the window expired: what the control did is not known any more."""
    if at := ask.ledger.expiries.last(ask.window.since, ask.window.until):
        raise LedgerError(
            f"decisions of {ask.window.name} expired at {windows.iso(at)}, so its report cannot be made any "
            "more; `saf share` still has its figures"
        )


def _energy_given(ask: Question) -> list[Given]:
    """The windows of which earlier published reports disclosed the energy."""
    reports = ask.ledger.publishing.before(ask.window.name, ask.known_at)
    given = (window for report in reports for window in _windows_of(ask, report, energy_reached))
    return [window for window in given if energy_told(window.document)]


class OfCharge(NamedTuple):
    """Who got what, and what a report shows of it: the promises first, then the tables beside them."""

    groups: Sequence[Reached]
    tables: tuple[Table, ...]
    promises: tuple[ReportedPromise, ...]


def _of_charge(ask: Question, listed: Sequence[ReportedPromise]) -> OfCharge:
    smallest, read = ask.config.report.min_organisations, _reader_of_charge(ask, listed)
    known = _known_before(ask, read, partial(sums_of_charge, TABLES, smallest))
    shown = promises_shown(listed, known, smallest)
    promises = tuple(with_figures(ask, promise, shown) for promise in listed)
    disclosed = (who for promise in promises if promise.shown for who in promise.sums)
    public = [*known.sums, *(promised_sum(known.pieces, who) for who in disclosed)]
    groups = read(ask, ask.window)
    return OfCharge(groups, tables(groups, TABLES, smallest, known.pieces, public), promises)


def _trend(ask: Question) -> tuple[Measurement, ...]:
    """The window and the completely read windows before it, oldest first."""
    trend = [ask.measure()]
    while len(trend) < ask.config.report.windows and (earlier := ask.before()):
        ask, measured = earlier, earlier.measure()
        if measured.unread_seconds:
            break
        trend.append(measured)
    return tuple(reversed(trend))


def _resources(ask: Question) -> Iterator[Measurement]:
    own = ask.config.promise.resource.name
    for name in RESOURCES:
        if name != own:
            measured = ask.measure(ask.config.promise_of(Resource({name: 1})))
            if measured.total_charge:
                yield measured


def _reader_of_charge(ask: Question, promises: Iterable[ReportedPromise]) -> ReadOf:
    """Reads who got what, split by the promises whose figures this report or an earlier one may show."""
    split = {who for promise in promises for who in promise.sums}
    for report in ask.ledger.publishing.before(ask.window.name, ask.known_at):
        for window in _windows_of(ask, report, reached_in_programme):
            split |= {*window.promised}
    return partial(reached_in_programme, promised=sorted(split))


def _known_before(ask: Question, read: ReadOf, sums: SumsOf) -> Known:
    """The pieces of the window, and the sums that earlier published reports disclosed."""
    reports = ask.ledger.publishing.before(ask.window.name, ask.known_at)
    given = [window for report in reports for window in _windows_of(ask, report, read)]
    return known_before((ask.window.since, ask.window.until), _reader(ask, read), given, sums)


def _windows_of(ask: Question, report: Published, read: ReadOf) -> Iterator[Given]:
    """The windows in a published report: its own, and those of its chart over time."""
    then = question.ask(ask.config, ask.ledger, then=report.as_of)
    for name in sorted({report.window, *report.figures}):
        where = then.about(windows.window(name, report.as_of, then.config.promise.time_zone))
        document = json.loads(report.document or "{}") if name == report.window else None
        promised = conditions_shown(where, document) if document else ()
        yield Given((where.window.since, where.window.until), document, _reader(where, read), promised)


def _refuse_telling(ask: Question, report: Report) -> None:
    """Raise LedgerError where the totals of a report disclose too much together with earlier reports."""
    smallest = ask.config.report.min_organisations
    energy = report.surroundings and report.surroundings.energy
    checked: list[tuple[str, ReadOf, SumsOf]] = [
        ("charge", _reader_of_charge(ask, ()), partial(sums_of_charge, TABLES, smallest)),
        ("expertise hours", _helped, partial(sums_of_hours, HOURS)),
    ]
    if energy and energy.beneficiaries:
        checked.append(("energy", whole_energy_reached, sums_of_energy))
    for what, read, sums in checked:
        known = _known_before(ask, read, sums)
        sides = dict(zip(totals(known.pieces), Beneficiary, strict=True))
        if disclosing := telling(totals(known.pieces), smallest, known.totals, known.sums):
            named = ", ".join(str(sides[total]) for total in disclosing)
            raise LedgerError(
                f"the report of {ask.window.name} cannot be published: together with earlier reports, its "
                f"{named} total of {what} discloses what fewer than {smallest} organisations got; publish "
                "another window"
            )


def _reader(ask: Question, read: ReadOf) -> ReadReached:
    return cache(lambda interval: read(ask.over(interval), ask.window))


def _names(ask: Question, organisations: Iterable[str]) -> tuple[str, ...]:
    registry = ask.ledger.registry.known(ask.known_at)
    entries = (registry.entries_of(organisation) for organisation in organisations)
    return tuple(sorted((versions[-1].name for versions in entries if versions), key=str.casefold))


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
    section = ask.config.expertise
    return expertise.measure_hours(
        _hours_entered(ask), ask.window, ask.known_at, target_share=section.target_share,
        beneficiary=partial(_beneficiary, ask), unmet_recorded=section.unmet_recorded,
    )  # fmt: skip


def _beneficiary(ask: Question, organisation: str, day: date) -> Beneficiary:
    """The beneficiary of an organisation on a day, by the registry."""
    at = windows.day(day.isoformat(), ask.config.promise.time_zone)
    entry = ask.rules.registry.organisation(organisation, at)
    if entry is None:
        return Beneficiary.UNCLASSIFIED
    regional = ask.rules.is_regional(entry.municipality, at)
    return Beneficiary.REGIONAL if regional else Beneficiary.NON_REGIONAL


def _expertise_tables(ask: Question, smallest: int) -> tuple[Table, ...]:
    """The hours by category, role, hub and sector.

    Where roles overlap in enough organisations, rows by role disclose nothing more, which is quick to check.
    """
    known, helped = _known_before(ask, _helped, partial(sums_of_hours, HOURS)), _helped(ask)
    roles: dict[str, set[str]] = {}
    sums: dict[tuple[str, Beneficiary, tuple[tuple[str, str], ...]], Charge] = {}
    for each in helped:
        if each.beneficiary is Beneficiary.REGIONAL and each.charge:
            roles.setdefault(each.organisation, set()).add(each.places["role"])
        places = tuple((name, place) for name, place in each.places.items() if name != "role")
        key = each.organisation, each.beneficiary, places
        sums[key] = sums.get(key, 0) + each.charge
    if known.sums or not held_together(roles.values(), smallest):
        return tables(helped, HOURS, smallest, known.pieces, known.sums)
    whole = [Reached(key[0], key[1], dict(key[2]), hours) for key, hours in sums.items()]
    others = tables(whole, {name: only for name, only in HOURS.items() if name != "role"}, smallest)
    by_name = {table.name: table for table in (*others, whole_table(helped, "role"))}
    return tuple(by_name[name] for name in HOURS)


def _helped(ask: Question, _whole: Window | None = None) -> list[Reached]:
    """Who got hours of which role, with the category, hub and sector of each organisation's latest entry."""
    registry = ask.ledger.registry.known(ask.known_at)
    sums: dict[tuple[str, Beneficiary, str], Decimal] = {}
    for entry in _hours_entered(ask):
        if entry.kind is HoursKind.DELIVERED:
            key = entry.organisation, _beneficiary(ask, entry.organisation, entry.day), entry.role
            sums[key] = sums.get(key, Decimal(0)) + entry.hours
    helped = []
    for (organisation, side, role), hours in sorted(sums.items()):
        entries = registry.entries_of(organisation)
        places = {
            name: getattr(entries[-1], name) if entries else "" for name in ("category", "hub", "sector")
        }
        helped.append(Reached(organisation, side, {**places, "role": role}, hours))
    return helped


def _hours_entered(ask: Question) -> Sequence[ExpertiseEntry]:
    days = windows.days(ask.window, ask.config.promise.time_zone)
    return ask.ledger.expertise.entries(*days, ask.known_at)


def _unmet_shown(ask: Question, smallest: int) -> bool:
    """Whether the unmet hours of the region can be shown together with those of earlier reports."""
    known = _known_before(ask, _not_helped, sums_of_unmet)
    cell = TableCell("unmet", "", members(known.pieces, Beneficiary.REGIONAL))
    return bool(cells_shown([cell], [], smallest, known.sums))


def _not_helped(ask: Question, _whole: Window) -> list[Reached]:
    """Who requested hours and did not get them."""
    return [
        Reached(hours.organisation, hours.beneficiary, {}, hours.unmet)
        for hours in _expertise(ask).organisations
    ]


def _audits(ask: Question) -> Iterator[Audited]:
    """The checks of the ledger since the start of the window, by command."""
    by_command: dict[str, list[Audit]] = {}
    for audit in ask.ledger.audits.made(ask.window.since, ask.known_at):
        by_command.setdefault(audit.command, []).append(audit)
    for command, audits in sorted(by_command.items()):
        yield Audited(command, len(audits), audits[-1].at, sum(audit.findings for audit in audits))


def ended_figures(trend: Iterable[Measurement]) -> dict[str, dict[str, str]]:
    """The exact figures of the windows that are over, as the ledger keeps them with a published report."""
    return {
        m.window.name: {"regional": str(m.regional_charge), "total": str(m.total_charge)}
        for m in trend
        if m.window.until <= m.as_of
    }


def published(ask: Question, report: Report) -> Published:
    """A published report as the ledger keeps it, with its whole content."""
    values = value(report)
    return Published(
        report.measurement.window.name, report.known_at, values["fingerprint"]["sha256"],
        ended_figures(report.trend), canonical.canonical_text(settings_of(ask)),
        canonical.canonical_text(values),
    )  # fmt: skip


def published_anew(ask: Question, note: str | None = None) -> Published:
    """A report computed from facts alone. Raises LedgerError if the derived tables give another report."""
    report = gather_report(ask, note=note)
    _refuse_telling(ask, report)
    kept = published(ask, report)
    with ask.ledger.anew() as ledger:
        rules = question.rules_at(ask.config, ledger, ask.then)
        fresh = replace(ask, ledger=ledger, rules=rules)
        anew = published(fresh, gather_report(fresh, note=note))
    if changed := canonical.first_difference(json.loads(kept.document), json.loads(anew.document)):
        raise LedgerError(
            f"the report of {kept.window} cannot be published: computed from the runs alone it differs "
            f"({changed}); run: saf ledger verify --repair"
        )
    return anew


def _basis(ask: Question, first: Window) -> Basis:
    """The evidence under the report, including the earlier windows of the trend."""
    interval = interval_of(ask, first)
    rows = ask.ledger.publishing.fingerprint(interval)
    settings = canonical.digest("settings", 1, settings_of(ask))
    return Basis(settings, interval.since, interval.until, tuple(rows))


def interval_of(ask: Question, first: Window) -> FingerprintSpan:
    """The span of the fingerprint of a report."""
    zone = ask.config.promise.time_zone
    days = windows.days(first, zone)[0], windows.days(ask.window, zone)[1]
    return FingerprintSpan(first.since, ask.window.until, *days, ask.known_at)


def settings_of(ask: Question) -> dict[str, canonical.Plain]:
    """What the content depends on besides the rows: terms of the promise, rules and settings."""
    return {
        **counted(ask.config),
        "cluster": ask.config.cluster.name,
        "terms": [term.plain() for term in ask.terms.terms],
        "energy": energy_settings(ask.config.energy),
        "tariffs": [tariff.tariff_value(each) for each in ask.config.tariffs],
        "rules": ask.rules.digest,
    }
