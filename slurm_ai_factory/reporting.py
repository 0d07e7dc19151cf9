"""A governance report from the ledger: every figure in it is one that `saf share` gives for the same instant.

The rule: everything is asked as it was known at one instant, so the same instant gives the same report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cache, partial
from typing import Any

from slurm_ai_factory import cycle
from slurm_ai_factory.config import Config, counted, under
from slurm_ai_factory.core import canonical, expertise, share, windows
from slurm_ai_factory.core.classify import Beneficiary, Classification, Rules
from slurm_ai_factory.core.expertise import ExpertiseMeasurement
from slurm_ai_factory.core.reasons import HOLDS
from slurm_ai_factory.core.records import Charge, Instant, Measurement, Subject, Window
from slurm_ai_factory.core.share import Promise
from slurm_ai_factory.core.suppression import Cell, Sum, shown
from slurm_ai_factory.core.tres import Count
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.ledger.publishing import Interval, Published
from slurm_ai_factory.report import Basis, Control, Month, Reached, Report, Restatement, Sender, tables, value
from slurm_ai_factory.report.given import Earlier, Read, Told, told_before
from slurm_ai_factory.report.tables import Piece, Table, members, told

TABLES = {"category": True, "hub": False, "sector": True, "municipality": True}
"""The tables, the most important first, and whether each is of the region only."""

HOURS = {"category": True}
"""The table of the hours of the expertise centre."""

RESOURCES = ("gres/gpu", "node", "cpu")
"""Told beside the resource of the promise, where there is any of them."""

PLACES = ("category", "sector", "municipality", "hub")
Key = Callable[[Subject, Classification], str]
SumsOf = Callable[[Sequence[Piece], Mapping[str, Any] | None], Iterable[Sum]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked of: the books, and the instant as of which they are looked at."""

    config: Config
    ledger: Ledger
    then: Instant
    read_until: Instant  #: how far accounting had been read by then

    def measure(self, window: Window, promise: Promise | None = None) -> Measurement:
        """The measurement of a window."""
        return cycle.measure(
            self.config, self.ledger, self.read_until, window, promise, self.then, moment=self.then
        )

    def read_up_to(self, window: Window) -> Window:
        """The window; a rolling one ends where reading had by then."""
        return windows.read_up_to(window, self.read_until, self.config.promise.time_zone)

    def rules(self) -> Rules:
        """The rules that are worked by."""
        return cycle.rules_of(self.config, self.ledger, self.then)


ReadOf = Callable[[Asked, Window], Sequence[Reached]]
"""Who got what in a window, as it is asked for."""


def asked(config: Config, ledger: Ledger, then: Instant) -> Asked:
    """Ask as of an instant. Raises LedgerError where nothing had been read yet."""
    mark = ledger.accounting.watermark(then)
    if mark is None:
        raise LedgerError(
            f"nothing had been read yet at {windows.iso(then)}; run `saf cycle` or `saf backfill`"
        )
    return Asked(config, ledger, then, mark)


def gather(ask: Asked, window: Window, compared: Instant | None = None) -> Report:
    """The report of a window; restatements are told since the last one, or since the instant ``compared``."""
    window = ask.read_up_to(window)
    trend = _trend(ask, window)
    found, hours = reached(ask, window), _expertise(ask, window)
    smallest = ask.config.report.min_organisations
    last = _last(ask, compared)
    before = _told_before(ask, window, reached, partial(_sums_of_charge, smallest))
    regional = {one.organisation for one in found if one.beneficiary is Beneficiary.REGIONAL and one.charge}
    return Report(
        sender=_sender(ask.config),
        known_at=ask.then,
        measurement=trend[-1],
        margin=ask.config.promise.margin,
        resources=tuple(_resources(ask, window)),
        trend=trend,
        tables=tables(found, TABLES, smallest, *before),
        reached=len(regional),
        names=_names(ask, regional) if ask.config.report.name_organisations else None,
        control=_control(ask, window),
        expertise=hours,
        expertise_table=_expertise_table(ask, window, smallest),
        unmet_shown=_unmet_shown(ask, window, smallest),
        compared_with=None if last is None else (last.window, last.as_of),
        restatements=tuple(_restatements(ask, last)),
        basis=_basis(ask, trend[0].window, window),
    )


def _sender(config: Config) -> Sender:
    said = config.report
    zone, facility = config.promise.time_zone.key, said.facility or config.cluster.name
    return Sender(facility, said.region, said.contact, zone, said.min_organisations)


def _trend(ask: Asked, window: Window) -> tuple[Measurement, ...]:
    """The window and those before it that were read from their beginning on, oldest first."""
    found, zone = [ask.measure(window)], ask.config.promise.time_zone
    while len(found) < ask.config.report.windows and (one := windows.before(found[-1].window, zone)):
        earlier = ask.measure(one)
        if earlier.unread_seconds:
            break
        found.append(earlier)
    return tuple(reversed(found))


def _resources(ask: Asked, window: Window) -> Iterator[Measurement]:
    own = ask.config.promise_of().resource
    for name in RESOURCES:
        if name != own:
            measured = ask.measure(window, ask.config.promise_of({name: 1}))
            if measured.total_charge:
                yield measured


def reached(ask: Asked, window: Window) -> list[Reached]:
    """Who got what: each organisation, and each account that belongs to none."""
    found = []
    for group in groups_of(ask, window, ask.rules(), ask.then, _whom):
        organisation, *places = group.names
        named = dict(zip(PLACES, places, strict=True))
        found.append(Reached(organisation, group.beneficiary, named, group.delivered))
    return found


def _told_before(ask: Asked, window: Window, read: ReadOf, sums: SumsOf) -> Told:
    """What the window is made of, and what reports published before told of who got it."""
    reports = ask.ledger.publishing.before(window.name, ask.then)
    earlier = [told for one in reports for told in _windows_of(ask, one, read)]
    return told_before((window.since, window.until), _reader(ask, read), earlier, sums)


def _windows_of(ask: Asked, one: Published, read: ReadOf) -> Iterator[Earlier]:
    """The windows that a published report told of: its own, and those of its chart over time."""
    config = under(ask.config, json.loads(one.settings)) if one.settings else ask.config
    then = asked(config, ask.ledger, one.as_of)
    reader = _reader(then, read)
    for name in sorted({one.window, *one.figures}):
        where = then.read_up_to(windows.window(name, one.as_of, config.promise.time_zone))
        document = json.loads(one.document or "{}") if name == one.window else None
        yield Earlier((where.since, where.until), document, reader)


def _reader(ask: Asked, read: ReadOf) -> Read:
    return cache(lambda interval: read(ask, Window("", *interval)))


def _sums_of_charge(smallest: int, pieces: Sequence[Piece], document: Mapping[str, Any] | None) -> list[Sum]:
    """What a report told of the charge of a window; of one without a document, as it was hidden then."""
    if document is None:
        return [members(pieces, Beneficiary.REGIONAL), members(pieces, None)]
    said = document.get("tables")
    if said:
        rows = {name: [row["name"] for row in said[name]["rows"]] for name in TABLES}
    else:
        whole = [one for piece in pieces for one in piece.reached]
        rows = {one.name: [row.name for row in one.rows] for one in tables(whole, TABLES, smallest)}
    return told(pieces, TABLES, rows)


def _whom(subject: Subject, found: Classification) -> str:
    """Everything that the tables ask of a subject, as one name."""
    whom = found.organisation or f"account {subject.account}"
    return share.together([whom, *(str(getattr(found, place)) for place in PLACES)])


def groups_of(
    ask: Asked,
    window: Window,
    rules: Rules,
    then: Instant,
    key: Key,
    weights: Mapping[str, Count] | None = None,
) -> list[share.Group]:
    """The charge of a window by name and beneficiary: accounting as known ``then``, by these rules."""
    weights = weights or ask.config.promise_of().weights
    at = ask.ledger.accounting.watermark(then) or then
    return cycle.groups(ask.ledger, rules, key, weights, window, at, then)


def _names(ask: Asked, organisations: Iterable[str]) -> tuple[str, ...]:
    registry = ask.ledger.registry.known(ask.then)
    entries = (registry.entries_of(one) for one in organisations)
    return tuple(sorted((ones[-1].name for ones in entries if ones), key=str.casefold))


def _control(ask: Asked, window: Window) -> Control:
    zone = ask.config.promise.time_zone
    scope = window.since, window.until, ask.then
    decided = ask.ledger.publishing.decisions_by_month(*scope, zone.key)
    changes = ask.ledger.publishing.changes(*scope)
    months: dict[str, list[tuple[int, int]]] = {month: [] for month, *_ in decided}
    for at, *_, before, after in changes:
        months.setdefault(f"{datetime.fromtimestamp(at, zone):%Y-%m}", []).append((before, after))
    return Control(
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


def _expertise(ask: Asked, window: Window) -> ExpertiseMeasurement:
    said = ask.config.expertise
    return expertise.measure(
        ask.ledger.expertise.entries(*windows.days(window, ask.config.promise.time_zone), ask.then),
        window,
        ask.then,
        target_share=said.target_share,
        beneficiary=partial(_beneficiary, ask, ask.rules()),
        unmet_recorded=said.unmet_recorded,
    )


def _beneficiary(ask: Asked, rules: Rules, organisation: str, day: date) -> Beneficiary:
    """Who an organisation was on a day, by the registry."""
    at = windows.day(day.isoformat(), ask.config.promise.time_zone)
    found = rules.registry.organisation(organisation, at)
    if found is None:
        return Beneficiary.UNCLASSIFIED
    return Beneficiary.REGIONAL if found.municipality in rules.region else Beneficiary.NON_REGIONAL


def _expertise_table(ask: Asked, window: Window, smallest: int) -> Table:
    """The hours by category, of the region."""
    before = _told_before(ask, window, _helped, _sums_of_hours)
    (table,) = tables(_helped(ask, window), HOURS, smallest, *before)
    return table


def _helped(ask: Asked, window: Window) -> list[Reached]:
    """Who got hours; what an organisation is, is told as of the window's end."""
    registry = ask.ledger.registry.known(ask.then)
    found = []
    for one in _expertise(ask, window).organisations:
        entries = registry.entries_of(one.organisation)
        places = {"category": entries[-1].category if entries else ""}
        found.append(Reached(one.organisation, one.beneficiary, places, one.delivered))
    return found


def _sums_of_hours(pieces: Sequence[Piece], document: Mapping[str, Any] | None) -> list[Sum]:
    """What a report told of the hours of its window; nothing of those of its chart."""
    if document is None:
        return []
    rows = document["expertise"]["category"]["rows"] if document else []
    return told(pieces, HOURS, {"category": [row["name"] for row in rows]})


def _unmet_shown(ask: Asked, window: Window, smallest: int) -> bool:
    """Whether the hours that the region did not get can be told beside those of earlier reports."""
    pieces, given = _told_before(ask, window, _not_helped, _sums_of_unmet)
    cell = Cell("unmet", "", members(pieces, Beneficiary.REGIONAL))
    return bool(shown([cell], [], smallest, given))


def _not_helped(ask: Asked, window: Window) -> list[Reached]:
    found = _expertise(ask, window).organisations
    return [Reached(one.organisation, one.beneficiary, {}, one.unmet) for one in found]


def _sums_of_unmet(pieces: Sequence[Piece], document: Mapping[str, Any] | None) -> list[Sum]:
    hidden = document is None or (document and document["expertise"]["unmet_hours"] is None)
    return [] if hidden else [members(pieces, Beneficiary.REGIONAL)]


def _last(ask: Asked, compared: Instant | None) -> Published | None:
    """The last report that was given out, or what one as of the instant ``compared`` would have said."""
    if compared is None:
        return ask.ledger.publishing.last(ask.then)
    earlier = asked(ask.config, ask.ledger, compared)
    window = earlier.read_up_to(cycle.promised_window(ask.config, compared))
    return Published(window.name, compared, "", figures(_trend(earlier, window)), "", "")


def figures(trend: Iterable[Measurement]) -> dict[str, dict[str, str]]:
    """The figures of windows that are over, exact, as they are noted when a report is given out."""
    return {
        one.window.name: {"regional": str(one.regional_charge), "total": str(one.total_charge)}
        for one in trend
        if one.window.until <= one.as_of
    }


def published(ask: Asked, report: Report) -> Published:
    """A report as the ledger keeps it when it is given out: with all that it says."""
    said = value(report)
    return Published(
        report.measurement.window.name,
        report.known_at,
        said["fingerprint"]["sha256"],
        figures(report.trend),
        canonical.text(settings_of(ask)),
        canonical.text(said),
    )


def published_anew(ask: Asked, window: Window) -> Published:
    """A report worked out from facts alone. Raises LedgerError where what is derived says otherwise."""
    kept = published(ask, gather(ask, window))
    with ask.ledger.anew() as ledger:
        fresh = replace(ask, ledger=ledger)
        made = published(fresh, gather(fresh, window))
    if changed := canonical.difference(json.loads(kept.document), json.loads(made.document)):
        raise LedgerError(
            f"the report of {kept.window} cannot be published: worked out from the runs alone it says "
            f"something else ({changed}); run: saf ledger verify --repair"
        )
    return made


def _restatements(ask: Asked, last: Published | None) -> Iterator[Restatement]:
    """Windows whose figures are no longer those of the last report, and what made the difference."""
    for name, before in sorted(last.figures.items()) if last else ():
        window = windows.window(name, ask.then, ask.config.promise.time_zone)
        regional, total = (Decimal(before[key]) for key in ("regional", "total"))
        now = ask.measure(window)
        if last and (regional, total) != (now.regional_charge, now.total_charge):
            between, told_apart = _causes(ask, window, last)
            yield Restatement(
                window=name,
                regional_before=regional,
                total_before=total,
                regional_now=now.regional_charge,
                total_now=now.total_charge,
                by_accounting=now.regional_charge - between if told_apart else None,
                by_classification=between - regional if told_apart else None,
            )


def _causes(ask: Asked, window: Window, last: Published) -> tuple[Charge, bool]:
    """What accounting said then, classified as it is now; and whether each cause rests on enough."""
    rules_then = asked(ask.config, ask.ledger, last.as_of).rules()
    now = _regional(ask, window, ask.rules(), ask.then)
    between = _regional(ask, window, ask.rules(), last.as_of)
    before = _regional(ask, window, rules_then, last.as_of)
    least = ask.config.report.min_organisations
    told_apart = all(
        not 0 < sum(one.get(key) != other.get(key) for key in one.keys() | other.keys()) < least
        for one, other in ((now, between), (between, before))
    )
    return sum(between.values(), start=0), told_apart


def _regional(ask: Asked, window: Window, rules: Rules, then: Instant) -> dict[str, Charge]:
    """What each organisation of the region got, as accounting was known then, by these rules."""
    groups = groups_of(ask, window, rules, then, _whom)
    found: dict[str, Charge] = {}
    for group in groups:
        if group.beneficiary is Beneficiary.REGIONAL and group.delivered:
            found[group.names[0]] = found.get(group.names[0], 0) + group.delivered
    return found


def _basis(ask: Asked, first: Window, last: Window) -> Basis:
    """All that the report rests on, the earlier windows of the trend included."""
    interval = interval_of(ask, first, last)
    rows = ask.ledger.publishing.fingerprint(interval)
    settings = canonical.digest("settings", 1, settings_of(ask))
    return Basis(settings, interval.since, interval.until, tuple(rows))


def interval_of(ask: Asked, first: Window, last: Window) -> Interval:
    """What the fingerprint of a report is over."""
    zone = ask.config.promise.time_zone
    days = windows.days(first, zone)[0], windows.days(last, zone)[1]
    return Interval(first.since, last.until, *days, ask.then)


def settings_of(ask: Asked) -> dict[str, canonical.Plain]:
    """All that is configured and counts: the promise, the rules, what is shown."""
    return {**counted(ask.config), "cluster": ask.config.cluster.name, "rules": ask.rules().digest}
