"""Usage to Measurement: delivered share, capacity share, waiting, starved, required share.

Charges are exact: closed hours come from the ledger as exact sums, open runs are counted up to ``as_of`` by
the same cumulative function that later closes them. The hourly series beside them, which the control law
reads, is in floats, added up by ``fsum``: ``sum`` rounds otherwise from Python 3.12 on.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate, repeat
from math import fsum
from typing import NamedTuple

from slurm_ai_factory.core import charge, tres
from slurm_ai_factory.core.charge import hour_of
from slurm_ai_factory.core.records import (
    DAY,
    HOUR,
    Charge,
    Hour,
    Instant,
    Measurement,
    Run,
    Subject,
    Window,
)
from slurm_ai_factory.core.rules.classify import Beneficiary, Classification, ClassifiedPart

RATE_HORIZON = 7 * 24 * HOUR
"""How far back the expected delivered rate looks."""


class HourUsage(NamedTuple):
    """Charge of ended runs in one hour, for one beneficiary, in resource-seconds."""

    hour: Instant
    beneficiary: Beneficiary
    delivered: Charge
    waiting: Charge


class SubjectUsage(NamedTuple):
    """Charge of ended runs in a window, of one subject and for one beneficiary, in resource-seconds."""

    subject: Subject
    classification: Classification
    delivered: Charge


class SortedRun(NamedTuple):
    """A run, and who it is for at which times."""

    run: Run
    parts: tuple[ClassifiedPart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What was promised: this share of this resource, on this cluster."""

    cluster: str
    target_share: float
    margin: float
    resource: str
    weights: Mapping[str, tres.Count]
    unclassified_limit: float | None = None
    label: str = ""  #: what people call the resource
    ended: bool = False  #: no promise holds; the share is that of the last one


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
        """What of a span of ``count`` lies in the part, in constant time: two ends and a slope."""
        start, end, seconds = span
        if not seconds:
            return
        since, until, fraction, _ = part
        begin = max(start, since if since > self.since else self.since)
        finish = min(end, until if until < self.until else self.until)
        inside = seconds if begin == start < finish == end else self._inside(span, part)
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

    def _inside(self, span: tuple[Instant, Instant, int], part: ClassifiedPart) -> int:
        """Of a span's seconds, those in the part."""
        ends = max(self.since, part.since), min(self.until, part.until)
        before, after = (charge.spread(*span, at) for at in ends)
        return after - before

    def by_hour(self) -> list[float]:
        """Charge by hour, slopes run out: each holds for the whole hours from one to the next."""
        slopes = accumulate(self.slope)
        return [
            float(ended) + own + HOUR * rate
            for ended, own, rate in zip(self.ended, self.hours, slopes, strict=True)
        ]


Counts = Callable[[str], tres.Count]
"""The count of the resource in a text of TRES."""


def counter(weights: Mapping[str, tres.Count]) -> Counts:
    """Counts of one resource; many runs have the same text, which is read once."""
    return cache(lambda text: tres.weigh(tres.parse_tres(text), weights))


@dataclass(slots=True)
class _Side:
    """Everything that adds up for one beneficiary."""

    delivered: _Series
    waiting: _Series
    running: Charge = 0
    pending: Charge = 0

    def add_hour(self, hour: Instant, delivered: Charge, waiting: Charge) -> None:
        """What ended runs used in an hour."""
        at = (hour - self.delivered.first) // HOUR
        self.delivered.total += delivered
        self.delivered.ended[at] += delivered
        self.waiting.total += waiting
        self.waiting.ended[at] += waiting

    def add_run(self, run: Run, part: ClassifiedPart, counts: Counts, as_of: Instant) -> None:
        """A part of an open run: its hours, and its fraction of what is held or wanted now."""
        wanted = counts(charge.wanted_tres(run)) * charge.waiting_tasks(run)
        if run.start_at is not None:
            self.delivered.add_span(counts(run.alloc_tres), charge.delivered(run, as_of), part)
        self.waiting.add_span(wanted, charge.waited(run, as_of), part)
        if run.end_at is None and part.since <= as_of < part.until:
            if run.state == "RUNNING":
                self.running += counts(run.alloc_tres) * part.fraction
            elif _eligible(run, as_of):
                self.pending += wanted * part.fraction


def _eligible(run: Run, as_of: Instant) -> bool:
    """Whether the run could start now: held runs have no eligible time, --begin puts it in the future."""
    return run.start_at is None and run.eligible_at is not None and run.eligible_at <= as_of


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
    sides = {one: _Side(_Series(*interval), _Series(*interval)) for one in Beneficiary}
    for hour, beneficiary, delivered, waiting in closed:
        sides[beneficiary].add_hour(hour, delivered, waiting)
    counts = counter(promise.weights)
    for run, parts in open_runs:
        for part in parts:
            sides[part.classification.beneficiary].add_run(run, part, counts, as_of)
    regional = sides[Beneficiary.REGIONAL]
    hours = _hours(interval, sides, capacity)
    return Measurement(
        cluster=promise.cluster,
        window=window,
        as_of=as_of,
        resource=promise.resource,
        resource_label=promise.label,
        target_share=promise.target_share,
        unclassified_limit=promise.unclassified_limit,
        ended=promise.ended,
        regional_charge=regional.delivered.total,
        total_charge=sum(side.delivered.total for side in sides.values()),
        unclassified_charge=sides[Beneficiary.UNCLASSIFIED].delivered.total,
        capacity=None if capacity is None else sum(capacity.values(), start=0),
        waiting_charge=regional.waiting.total,
        starved_charge=None if capacity is None else starved(hours, promise.target_share),
        regional_running=regional.running,
        regional_pending=regional.pending,
        newest_record_at=newest_record_at,
        unread_seconds=unread_seconds,
        hours=hours,
    )


def _hours(
    interval: tuple[Instant, Instant],
    sides: Mapping[Beneficiary, _Side],
    capacity: Mapping[Instant, Charge] | None,
) -> tuple[Hour, ...]:
    hours = range(hour_of(interval[0]), interval[1], HOUR)
    delivered = {one: side.delivered.by_hour() for one, side in sides.items() if side.delivered.total}
    nothing = [0.0] * len(hours)
    regional = delivered.get(Beneficiary.REGIONAL, nothing)
    everyone = map(fsum, zip(nothing, *delivered.values(), strict=False))
    waiting = sides[Beneficiary.REGIONAL].waiting.by_hour()
    up = map(float, map((capacity or {}).get, hours, repeat(0)))
    return tuple(map(Hour, hours, regional, everyone, waiting, up))


class Group(NamedTuple):
    """What one group of subjects got in a window."""

    name: str
    beneficiary: Beneficiary
    delivered: Charge

    @property
    def names(self) -> list[str]:
        """The names that ``together`` made the name of."""
        return [str(name) for name in json.loads(self.name)]


def together(names: Iterable[str]) -> str:
    r"""Several names as one, whatever is in them.

    >>> Group(together(["a\tb", "c"]), Beneficiary.REGIONAL, 1).names
    ['a\tb', 'c']
    """
    return json.dumps(list(names), ensure_ascii=False)


def by_group(
    key: Callable[[Subject, Classification], str],
    weights: Mapping[str, tres.Count],
    window: Window,
    as_of: Instant,
    *,
    closed: Iterable[SubjectUsage],
    open_runs: Iterable[SortedRun],
) -> list[Group]:
    """The window's charge by the name ``key`` gives a subject, largest first."""
    groups: dict[tuple[str, Beneficiary], Charge] = {}
    for subject, classification, delivered in closed:
        name = key(subject, classification), classification.beneficiary
        groups[name] = groups.get(name, 0) + delivered
    for run, parts in open_runs:
        for part in parts:
            name = key(run.subject, part.classification), part.classification.beneficiary
            groups[name] = groups.get(name, 0) + charge_of_part(run, part, weights, window, as_of)
    found = [Group(*name, delivered) for name, delivered in groups.items() if delivered]
    return sorted(found, key=lambda group: (-group.delivered, group.name))


def charge_of_part(
    run: Run, part: ClassifiedPart, weights: Mapping[str, tres.Count], window: Window, as_of: Instant
) -> Charge:
    """What of a run's charge inside a window is a part's."""
    since, until = max(window.since, part.since), min(window.until, part.until)
    if until <= since:
        return 0
    return charge_in(run, weights, window._replace(since=since, until=until), as_of) * part.fraction


def charge_in(run: Run, weights: Mapping[str, tres.Count], window: Window, as_of: Instant) -> Charge:
    """The charge of a run inside a window, as known at ``as_of``."""
    span = charge.delivered(run, as_of)
    seconds = charge.spread(*span, min(window.until, as_of)) - charge.spread(*span, window.since)
    return tres.weigh(tres.parse_tres(run.alloc_tres), weights) * max(0, seconds)


def starved(hours: Iterable[Hour], target_share: float) -> float:
    """What waiting regional demand could have received while the region ran below the floor.

    >>> starved([Hour(0, 10.0, 100.0, 50.0, 100.0), Hour(3600, 30.0, 100.0, 50.0, 100.0)], 0.25)
    15.0
    """
    return fsum(
        min(hour.regional_waiting, max(0.0, target_share * hour.capacity - hour.regional)) for hour in hours
    )


def hours_since(measurement: Measurement, since: Instant) -> tuple[Hour, ...]:
    """The window's hours that begin at an instant or later; they are in order."""
    return measurement.hours[bisect_left(measurement.hours, since, key=lambda hour: hour.at) :]


def expected_rate(measurement: Measurement) -> float:
    """Resource delivered per second, all sides: the mean of the last seven days of the window with usage."""
    recent = [
        h for h in hours_since(measurement, measurement.as_of - RATE_HORIZON) if h.at < measurement.as_of
    ]
    first = next((h.at for h in recent if h.total > 0), None)
    if first is None:
        return 0.0
    return fsum(h.total for h in recent if h.at >= first) / max(1, measurement.as_of - first)


def lately(now: Instant) -> tuple[tuple[Instant, Instant], ...]:
    """What tells how runs usually are: the seven days before today or, where none ended, up to this hour.

    >>> lately(8 * DAY + 5000)
    ((86400, 691200), (90000, 694800))
    """
    return tuple((until - RATE_HORIZON, until) for until in (now - now % DAY, hour_of(now)))


def required_share(measurement: Measurement, margin: float) -> float | None:
    """The share the region must get in what is left of a calendar window to end at target + margin.

    At the expected delivered rate; below 0 is told as 0 and above 1 as it is, for it says how far out of
    reach the promise is. None when the window is over, rolls on, or nothing was delivered yet.
    """
    left = measurement.window.until - measurement.as_of
    rest = expected_rate(measurement) * left
    if measurement.window.rolling or left <= 0 or rest <= 0:
        return None
    wanted = (measurement.target_share + margin) * (float(measurement.total_charge) + rest)
    return max(0.0, (wanted - float(measurement.regional_charge)) / rest)


def attainable(measurement: Measurement, margin: float) -> bool | None:
    """Whether the required share is reachable with the regional demand seen now; None when it is not known.

    Demand is what regional runs hold plus what eligible ones wait for, against the expected delivered rate.
    """
    required = required_share(measurement, margin)
    if required is None:
        return None
    demand = float(measurement.regional_running + measurement.regional_pending)
    return required <= min(1.0, demand / expected_rate(measurement))


def size_now(hours: Sequence[Hour]) -> float:
    """Resource per second that was up in the last whole hour known."""
    return hours[-2].capacity / HOUR if len(hours) > 1 else 0.0
