"""A governance report from the ledger: every figure in it is one that `saf share` gives for the same instant.

The rule: everything is asked as it was known at one instant, so the same instant gives the same report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from hashlib import sha256

from slurm_ai_factory import cycle
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import expertise, share, windows
from slurm_ai_factory.core.classify import Beneficiary, Classification, Rules
from slurm_ai_factory.core.expertise import ExpertiseMeasurement
from slurm_ai_factory.core.reasons import HOLDS
from slurm_ai_factory.core.records import Charge, Instant, Measurement, Subject, Window
from slurm_ai_factory.core.share import Promise
from slurm_ai_factory.core.tres import Count
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Ledger, publishing
from slurm_ai_factory.ledger.publishing import Interval, Published
from slurm_ai_factory.report import Control, Fingerprint, Month, Reached, Report, Restatement, Sender, tables
from slurm_ai_factory.report.tables import Table
from slurm_ai_factory.report.values import Part

TABLES = {"category": True, "hub": False, "sector": True, "municipality": True}
"""The tables, the most important first, and whether each is of the region only."""

RESOURCES = ("gres/gpu", "node", "cpu")
"""Told beside the resource of the promise, where there is any of them."""

PLACES = ("category", "sector", "municipality", "hub")
Sums = Mapping[Beneficiary, Charge]
Key = Callable[[Subject, Classification], str]


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
    regional = {one.organisation for one in found if one.beneficiary is Beneficiary.REGIONAL and one.charge}
    return Report(
        sender=_sender(ask.config),
        known_at=ask.then,
        measurement=trend[-1],
        margin=ask.config.promise.margin,
        resources=tuple(_resources(ask, window)),
        trend=trend,
        tables=tables(found, TABLES, smallest),
        reached=len(regional),
        names=_names(ask, regional) if ask.config.report.name_organisations else None,
        control=_control(ask, window),
        expertise=hours,
        expertise_table=_expertise_table(ask, hours, smallest),
        compared_with=None if last is None else (last.window, last.as_of),
        restatements=tuple(_restatements(ask, last)),
        fingerprint=_fingerprint(ask, trend[0].window, window),
        approved=ask.ledger.proposals.approved(ask.then),
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
    for group in groups_of(ask, window, ask.rules(), ask.then, _told):
        organisation, *places = group.names
        named = dict(zip(PLACES, places, strict=True))
        found.append(Reached(organisation, group.beneficiary, named, group.delivered))
    return found


def _told(subject: Subject, found: Classification) -> str:
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


def _expertise_table(ask: Asked, measured: ExpertiseMeasurement, smallest: int) -> Table:
    """The hours by category, of the region; who an organisation is, is told as of the window's end."""
    registry = ask.ledger.registry.known(ask.then)
    reached = []
    for one in measured.organisations:
        entries = registry.entries_of(one.organisation)
        places = {"category": entries[-1].category if entries else ""}
        reached.append(Reached(one.organisation, one.beneficiary, places, one.delivered))
    (table,) = tables(reached, {"category": True}, smallest)
    return table


def _last(ask: Asked, compared: Instant | None) -> Published | None:
    """The last report that was given out, or what one as of the instant ``compared`` would have said."""
    if compared is None:
        return ask.ledger.publishing.last(ask.then)
    earlier = asked(ask.config, ask.ledger, compared)
    window = earlier.read_up_to(cycle.promised_window(ask.config, compared))
    return Published(window.name, compared, "", figures(_trend(earlier, window)))


def figures(trend: Iterable[Measurement]) -> dict[str, dict[str, str]]:
    """The figures of windows that are over, exact, as they are noted when a report is given out."""
    return {
        one.window.name: {"regional": str(one.regional_charge), "total": str(one.total_charge)}
        for one in trend
        if one.window.until <= one.as_of
    }


def _restatements(ask: Asked, last: Published | None) -> Iterator[Restatement]:
    """Windows whose figures are no longer those of the last report, and what made the difference."""
    for name, before in sorted(last.figures.items()) if last else ():
        window = windows.window(name, ask.then, ask.config.promise.time_zone)
        regional, total = (Decimal(before[key]) for key in ("regional", "total"))
        now = ask.measure(window)
        if last and (regional, total) != (now.regional_charge, now.total_charge):
            between = _sums(ask, window, last.as_of)[Beneficiary.REGIONAL]
            yield Restatement(
                window=name,
                regional_before=regional,
                total_before=total,
                regional_now=now.regional_charge,
                total_now=now.total_charge,
                by_accounting=now.regional_charge - between,
                by_classification=between - regional,
            )


def _sums(ask: Asked, window: Window, then: Instant) -> Sums:
    """What accounting said then, classified as it is now."""
    found: dict[Beneficiary, Charge] = dict.fromkeys(Beneficiary, 0)
    for group in groups_of(ask, window, ask.rules(), then, lambda _, __: ""):
        found[group.beneficiary] += group.delivered
    return found


def fingerprint(ask: Asked, window: Window) -> str:
    """The fingerprint that the report of a window has."""
    window = ask.read_up_to(window)
    return _fingerprint(ask, _trend(ask, window)[0].window, window).digest


def _fingerprint(ask: Asked, first: Window, last: Window) -> Fingerprint:
    """Over all that the report rests on, the earlier windows of the trend included."""
    interval = interval_of(ask, first, last)
    parts = ask.ledger.publishing.fingerprint(interval)
    settings = _settings(ask)
    return Fingerprint(
        publishing.whole(parts, settings), settings, interval.since, interval.until,
        tuple(Part(*one) for one in parts),
    )  # fmt: skip


def interval_of(ask: Asked, first: Window, last: Window) -> Interval:
    """What the fingerprint of a report is over."""
    zone = ask.config.promise.time_zone
    days = windows.days(first, zone)[0], windows.days(last, zone)[1]
    return Interval(first.since, last.until, *days, ask.then)


def _settings(ask: Asked) -> str:
    """The digest of all that is configured and counts: the promise, the rules, what is shown."""
    config = ask.config
    promise = config.promise
    said = (
        config.cluster.name, promise.target_share, promise.margin, config.promise_of().resource,
        promise.time_zone.key, ask.rules().digest, config.report, config.expertise,
    )  # fmt: skip
    return sha256(repr(said).encode()).hexdigest()
