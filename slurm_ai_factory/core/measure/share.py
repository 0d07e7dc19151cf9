"""Usage to Measurement: delivered share, capacity share, waiting, starved, required share.

Charges are exact: closed hours come from the ledger as exact sums, open runs are counted up to ``as_of`` by
the same cumulative function that later closes them. The hourly series beside them, which the control law
reads, is in floats, added up by ``fsum``: ``sum`` rounds otherwise from Python 3.12 on.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate, repeat
from math import fsum
from typing import NamedTuple

from slurm_ai_factory.core import charge, tres
from slurm_ai_factory.core.charge import hour_of
from slurm_ai_factory.core.records import (
    DAY,
    FIRST,
    HOUR,
    Bound,
    Charge,
    Hour,
    Instant,
    Measurement,
    Run,
    Subject,
    Window,
)
from slurm_ai_factory.core.rules.classify import Beneficiary, Classification, ClassifiedPart
from slurm_ai_factory.core.tres import Resource

DELIVERED, CAPACITY, OF_PROMISE = "delivered", "capacity", "promise:"
"""What a share can be a part of; the last one with the name of another promise behind it."""

RATE_HORIZON = 7 * 24 * HOUR
"""How far back the expected delivered rate looks."""


class HourUsage(NamedTuple):
    """Charge of ended runs in one hour, for one beneficiary and promises, in resource-seconds."""

    hour: Instant
    beneficiary: Beneficiary
    delivered: Charge
    waiting: Charge
    promises: str = ""  #: as in ``Classification``


class SubjectUsage(NamedTuple):
    """Charge of ended runs in a window, of one subject and for one beneficiary, in resource-seconds."""

    subject: Subject
    classification: Classification
    delivered: Charge


class SortedRun(NamedTuple):
    """A run with its parts: who it is for, and when."""

    run: Run
    parts: tuple[ClassifiedPart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What was promised: this share of this resource, on this cluster."""

    name: str = FIRST
    bound: Bound = Bound.FLOOR
    share_of: str = DELIVERED
    cluster: str
    target_share: float
    margin: float
    resource: Resource
    unclassified_limit: float | None = None
    label: str = ""  #: what people call the resource
    ended: bool = False  #: no promise holds; the share is that of the last one

    @property
    def base(self) -> str:
        """The promise whose charge the share is a part of; empty where it is a part of everyone's."""
        return self.share_of.removeprefix(OF_PROMISE) if self.share_of.startswith(OF_PROMISE) else ""

    def side(self, beneficiary: Beneficiary, promises: str) -> Beneficiary | None:
        """The side of this promise that a classified charge is on; None where the share is no part of it."""
        names = set(promises.split())
        if beneficiary is Beneficiary.REGIONAL:
            names.add(FIRST)
        if self.base and self.base not in names:
            return None
        if beneficiary is Beneficiary.UNCLASSIFIED:
            return beneficiary
        return Beneficiary.REGIONAL if self.name in names else Beneficiary.NON_REGIONAL


@dataclass(slots=True)
class _Series:
    """Exact total and hourly series of one kind of charge inside [since, until)."""

    since: Instant
    until: Instant
    total: Charge = 0
    first: Instant = field(init=False)
    ended: list[Charge] = field(init=False)  #: by hour from the first on, exact: hours come in any order
    hours: list[float] = field(init=False)  #: what open runs have of one hour
    slope: list[float] = field(init=False)  #: what every hour has more than the one before

    def __post_init__(self) -> None:
        self.first = hour_of(self.since)
        size = max(0, self.until - self.first) // HOUR + 1
        self.hours, self.slope = [0.0] * size, [0.0] * size
        self.ended = [0] * size

    def add_span(self, count: tres.Count, span: tuple[Instant, Instant, int], part: ClassifiedPart) -> None:
        """Add what lies in the part of a span with ``count``, in constant time: two ends and a slope."""
        start, end, seconds = span
        if not seconds:
            return
        since, until, fraction, _ = part
        begin = max(start, since if since > self.since else self.since)
        finish = min(end, until if until < self.until else self.until)
        inside = seconds
        if not begin == start < finish == end:
            edges = max(self.since, since), min(self.until, until)
            before, after = (charge.spread(*span, at) for at in edges)
            inside = after - before
        if inside <= 0:
            return
        amount = count * fraction
        self.total += amount * inside
        rate = float(amount) * seconds / max(1, end - start)
        begin, finish = begin - self.first, finish - self.first
        first, last = begin // HOUR, finish // HOUR
        self.slope[first] += rate
        self.slope[last] -= rate
        self.hours[first] -= rate * (begin - first * HOUR)
        self.hours[last] += rate * (finish - last * HOUR)

    def by_hour(self) -> list[float]:
        """Charge by hour, slopes run out: each holds for the whole hours from one to the next."""
        slopes = accumulate(self.slope)
        return [
            max(0.0, float(ended) + own + HOUR * rate)  # slopes round, also below 0
            for ended, own, rate in zip(self.ended, self.hours, slopes, strict=True)
        ]


Counts = Callable[[str], tres.Count]
"""The count of the resource in a text of TRES."""


def counter(weights: Mapping[str, tres.Count]) -> Counts:
    """The function that counts one resource in a text of TRES; each text is parsed once."""
    return cache(lambda text: tres.weigh(tres.parse_tres(text), weights))


@dataclass(slots=True)
class _Side:
    """The sums for one beneficiary."""

    delivered: _Series
    waiting: _Series
    running: Charge = 0
    pending: Charge = 0

    def add_hour(self, hour: Instant, delivered: Charge, waiting: Charge) -> None:
        """Add what ended runs used in an hour."""
        at = (hour - self.delivered.first) // HOUR
        self.delivered.total += delivered
        self.delivered.ended[at] += delivered
        self.waiting.total += waiting
        self.waiting.ended[at] += waiting

    def add_run(self, run: Run, part: ClassifiedPart, counts: Counts, as_of: Instant) -> None:
        """Add a part of an open run: its hours, and its fraction of what the run holds or wants now."""
        wanted = counts(charge.wanted_tres(run)) * charge.waiting_tasks(run)
        if run.start_at is not None:
            self.delivered.add_span(counts(run.alloc_tres), charge.delivered(run, as_of), part)
        self.waiting.add_span(wanted, charge.waited(run, as_of), part)
        if run.end_at is None and part.since <= as_of < part.until:
            if run.state == "RUNNING":
                self.running += counts(run.alloc_tres) * part.fraction
            # It can start now: held runs have no eligible time, --begin puts it in the future.
            elif run.start_at is None and run.eligible_at is not None and run.eligible_at <= as_of:
                self.pending += wanted * part.fraction


def measure_window(
    promise: Promise,
    window: Window,
    as_of: Instant,
    *,
    closed: Iterable[HourUsage],
    open_runs: Iterable[SortedRun],
    capacity: Mapping[Instant, Charge] | None,
    newest_record_at: Instant | None,
    unread_seconds: int = 0,
) -> Measurement:
    """The measurement of a window as known at ``as_of``, the instant of the last complete read."""
    interval = window.since, min(window.until, as_of)
    sides = _sides(promise, interval, as_of, closed, open_runs)
    regional = sides[Beneficiary.REGIONAL]
    hours = _hours(interval, sides, capacity)
    if promise.share_of == CAPACITY and any(hour.total and not hour.capacity for hour in hours):
        capacity = None
    total = sum(side.delivered.total for side in sides.values())
    size = None if capacity is None else sum(capacity.values(), start=0)
    if promise.share_of == CAPACITY:
        total, hours = size or 0, tuple(hour._replace(total=hour.capacity) for hour in hours)
    # What the region could have had of another promise's charge is a part of that charge.
    could = tuple(hour._replace(capacity=hour.total) for hour in hours) if promise.base else hours
    return Measurement(
        promise=promise.name, bound=promise.bound, share_of=promise.share_of, cluster=promise.cluster,
        window=window, as_of=as_of, resource=promise.resource, resource_label=promise.label,
        target_share=promise.target_share, unclassified_limit=promise.unclassified_limit, ended=promise.ended,
        regional_charge=regional.delivered.total, total_charge=total,
        unclassified_charge=sides[Beneficiary.UNCLASSIFIED].delivered.total, capacity=size,
        waiting_charge=regional.waiting.total,
        starved_charge=None if capacity is None else starved(could, promise.target_share),
        regional_running=regional.running, regional_pending=regional.pending,
        newest_record_at=newest_record_at, unread_seconds=unread_seconds, hours=hours,
    )  # fmt: skip


def _sides(
    promise: Promise,
    interval: tuple[Instant, Instant],
    as_of: Instant,
    closed: Iterable[HourUsage],
    open_runs: Iterable[SortedRun],
) -> dict[Beneficiary, _Side]:
    """The sums for each beneficiary: ended runs by the hour, open ones with what they hold and want."""
    sides = {who: _Side(_Series(*interval), _Series(*interval)) for who in Beneficiary}
    for hour, beneficiary, delivered, waiting, promises in closed:
        if side := promise.side(beneficiary, promises):
            sides[side].add_hour(hour, delivered, waiting)
    counts = counter(promise.resource.weights)
    for run, parts in open_runs:
        for part in parts:
            if side := promise.side(part.classification.beneficiary, part.classification.promises):
                sides[side].add_run(run, part, counts, as_of)
    return sides


def _hours(
    interval: tuple[Instant, Instant],
    sides: Mapping[Beneficiary, _Side],
    capacity: Mapping[Instant, Charge] | None,
) -> tuple[Hour, ...]:
    hours = range(hour_of(interval[0]), interval[1], HOUR)
    delivered = {who: side.delivered.by_hour() for who, side in sides.items() if side.delivered.total}
    nothing = [0.0] * len(hours)
    regional, unclassified = (
        delivered.get(who, nothing) for who in (Beneficiary.REGIONAL, Beneficiary.UNCLASSIFIED)
    )
    everyone = map(fsum, zip(nothing, *delivered.values(), strict=False))
    queued = {who: side.waiting.by_hour() for who, side in sides.items() if side.waiting.total}
    waiting = queued.pop(Beneficiary.REGIONAL, nothing)
    others_waiting = map(fsum, zip(nothing, *queued.values(), strict=False))
    up = map(float, map((capacity or {}).get, hours, repeat(0)))
    return tuple(map(Hour, hours, regional, everyone, waiting, up, unclassified, others_waiting))


class Group(NamedTuple):
    """The charge of one group of subjects in a window, in resource-seconds."""

    names: tuple[str, ...]
    beneficiary: Beneficiary
    delivered: Charge

    @property
    def name(self) -> str:
        """The first name, which most groups have alone."""
        return self.names[0]


def by_group(
    key: Callable[[Subject, Classification], tuple[str, ...]],
    weights: Mapping[str, tres.Count],
    window: Window,
    as_of: Instant,
    *,
    closed: Iterable[SubjectUsage],
    open_runs: Iterable[SortedRun],
) -> list[Group]:
    """The window's charge by the names ``key`` gives a subject, largest first."""
    groups: dict[tuple[tuple[str, ...], Beneficiary], Charge] = {}
    for subject, classification, delivered in closed:
        name = key(subject, classification), classification.beneficiary
        groups[name] = groups.get(name, 0) + delivered
    for run, parts in open_runs:
        for part in parts:
            name = key(run.subject, part.classification), part.classification.beneficiary
            groups[name] = groups.get(name, 0) + charge_of_part(run, part, weights, window, as_of)
    charged = [Group(*name, delivered) for name, delivered in groups.items() if delivered]
    return sorted(charged, key=lambda group: (-group.delivered, group.names))


def charge_of_part(
    run: Run, part: ClassifiedPart, weights: Mapping[str, tres.Count], window: Window, as_of: Instant
) -> Charge:
    """The charge of a part of a run inside a window, as known at ``as_of``."""
    since, until = max(window.since, part.since), min(window.until, part.until)
    if until <= since:
        return 0
    return charge_in(run, weights, window._replace(since=since, until=until), as_of) * part.fraction


def charge_in(run: Run, weights: Mapping[str, tres.Count], window: Window, as_of: Instant) -> Charge:
    """The charge of a run inside a window, as known at ``as_of``."""
    span = charge.delivered(run, as_of)
    seconds = charge.spread(*span, min(window.until, as_of)) - charge.spread(*span, window.since)
    return tres.weigh(tres.parse_tres(run.alloc_tres), weights) * max(0, seconds)


class Rest(NamedTuple):
    """What ended runs have in the rest of an hour, of one subject and for one beneficiary."""

    subject: Subject
    classification: Classification
    delivered: Charge
    waiting: Charge


def rest_of_hour(
    runs: Iterable[SortedRun], weights: Mapping[str, tres.Count], since: Instant, until: Instant
) -> Iterator[Rest]:
    """What ended runs have in [since, until), the rest of an hour.

    Usage is kept by whole hours. A read that stops in the middle of one may list runs that ended later.
    """
    counts = counter(weights)
    for run, parts in runs:
        spans = charge.delivered(run, until), charge.waited(run, until)
        ran, queued = (charge.spread(*span, until) - charge.spread(*span, since) for span in spans)
        delivered = counts(run.alloc_tres) * ran
        waiting = counts(charge.wanted_tres(run)) * charge.waiting_tasks(run) * queued
        for part in parts:
            if part.since <= since < part.until and (delivered or waiting):
                amounts = delivered * part.fraction, waiting * part.fraction
                yield Rest(run.subject, part.classification, *amounts)


def starved(hours: Iterable[Hour], target_share: float) -> float:
    """What waiting regional demand could have received while the region ran below the floor.

    >>> starved([Hour(0, 10.0, 100.0, 50.0, 100.0), Hour(3600, 30.0, 100.0, 50.0, 100.0)], 0.25)
    15.0
    """
    return fsum(
        min(hour.regional_waiting, max(0.0, target_share * hour.capacity - hour.regional)) for hour in hours
    )


def taken(hours: Iterable[Hour], target_share: float) -> float:
    """What was delivered above a cap, hour by hour, while others waited for it.

    >>> taken([Hour(0, 30.0, 100.0, 0.0, 100.0, 0.0, 5.0), Hour(3600, 30.0, 100.0, 0.0, 100.0)], 0.2)
    5.0
    """
    return fsum(
        min(hour.others_waiting, max(0.0, hour.regional - target_share * hour.total)) for hour in hours
    )


def hours_since(measurement: Measurement, since: Instant) -> tuple[Hour, ...]:
    """The window's hours that begin at an instant or later; they are in order."""
    return measurement.hours[bisect_left(measurement.hours, since, key=lambda hour: hour.at) :]


def usage_lately(measurement: Measurement) -> tuple[Hour, ...]:
    """The hours of the last seven days of the window, from the first one with usage on."""
    recent = hours_since(measurement, measurement.as_of - RATE_HORIZON)
    first = next((n for n, hour in enumerate(recent) if hour.total > 0), len(recent))
    return tuple(hour for hour in recent[first:] if hour.at < measurement.as_of)


def expected_rate(measurement: Measurement) -> float:
    """Resource delivered per second, all sides: the mean of the last seven days of the window with usage."""
    recent = usage_lately(measurement)
    if not recent:
        return 0.0
    return fsum(hour.total for hour in recent) / max(1, measurement.as_of - recent[0].at)


def decayed_share(measurement: Measurement, half_life_seconds: int) -> float | None:
    """The region's part of the window's charge, each hour decayed with this half-life as Slurm decays usage.

    None while nothing was delivered, or without a half-life.
    """
    if not half_life_seconds:
        return None
    weights = [2.0 ** ((hour.at - measurement.as_of) / half_life_seconds) for hour in measurement.hours]
    regional, total = (
        (
            fsum(weight * amount for weight, amount in zip(weights, amounts, strict=True))
            for amounts in zip(*((hour.regional, hour.total) for hour in measurement.hours), strict=True)
        )
        if weights
        else (0.0, 0.0)
    )
    return regional / total if total else None


def expected_demand(measurement: Measurement) -> float | None:
    """Resource per second that regional runs held or waited for: the mean of the same hours.

    None where that is not known: the window has not run for seven days, or a part of it was never read. A
    quiet night must not speak for a quarter.
    """
    recent, ran = usage_lately(measurement), measurement.as_of - measurement.window.since
    if not recent or measurement.unread_seconds or ran < RATE_HORIZON:
        return None
    demand = fsum(amount for hour in recent for amount in (hour.regional, hour.regional_waiting))
    return demand / max(1, measurement.as_of - recent[0].at)


def recent_share(measurement: Measurement) -> float | None:
    """The share of the last seven days of the window; None when nothing was delivered in them."""
    recent = usage_lately(measurement)
    total = fsum(hour.total for hour in recent)
    return fsum(hour.regional for hour in recent) / total if total > 0 else None


def lately(now: Instant) -> tuple[tuple[Instant, Instant], ...]:
    """The intervals that show how runs usually are: seven days up to today, or else up to this hour.

    >>> lately(8 * DAY + 5000)
    ((86400, 691200), (90000, 694800))
    """
    return tuple((until - RATE_HORIZON, until) for until in (now - now % DAY, hour_of(now)))


def size_now(hours: Sequence[Hour]) -> float:
    """Resource per second that was up in the last whole hour known."""
    return hours[-2].capacity / HOUR if len(hours) > 1 else 0.0
