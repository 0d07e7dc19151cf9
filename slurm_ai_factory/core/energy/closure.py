"""Whether the energy of runs adds up to the meter of the building, and what follows from it.

kappa = (sum of E_run + E_idle) / E_IT, over the time in which every meter of E_IT has readings. The rule:
kappa is always shown; figures by beneficiary are given only where it lies within its bounds over nearly all
of the window. An indicator is a row of a list, with its unit, formula and edition: no constant of this code.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from slurm_ai_factory.core.energy.meters import JOULES, NOT_ENDED, Kind, Reading
from slurm_ai_factory.core.energy.runs import EnergyPart, Fill, Quality, energy_of_run
from slurm_ai_factory.core.measure.share import SortedRun
from slurm_ai_factory.core.records import Instant, Interval, Run, Subject
from slurm_ai_factory.core.rules.classify import Beneficiary, Classification

LEAST_COVERED = 0.9
"""The part of the window, and of the time of runs, that has to be known for figures by beneficiary."""

MEGAWATT_HOUR = JOULES["MWh"]

CLOSURE_GROUNDS = {
    "within": "closure {closure:.3f} is within {bounds}",
    "outside": "closure {closure:.3f} is outside {bounds}",
    "unmetered": "E_IT is not recorded in this window",
    "runs_unmetered": "the energy of runs and nodes is not recorded",
    "partly_metered": "E_IT is recorded for only {covered:.0%} of the window so far",
    "runs_unknown": "energy is known for only {known:.0%} of the time of runs",
}
"""Why figures by beneficiary are given or not."""


class Indicator(NamedTuple):
    """A row of the list of indicators: numerator / denominator, per MWh where it is of water."""

    name: str
    numerator: Kind
    denominator: Kind
    unit: str
    edition: str  #: of the standard or law that defines it


class EmissionFactor(NamedTuple):
    """Grams of CO2 for one kWh from ``since`` on, and who says so."""

    basis: str  #: location or market
    grams_per_kwh: Decimal
    since: Instant
    source: str

    def __str__(self) -> str:
        return f"{self.basis} {self.grams_per_kwh} g/kWh ({self.source})"


class Ratio(NamedTuple):
    """The value of an indicator over the time in which both of its kinds have readings."""

    value: float | None
    covered_seconds: int


class GroupKeyed(NamedTuple):
    """Whom energy was for: the names of a group and its side."""

    names: tuple[str, ...]
    beneficiary: Beneficiary


@dataclass(slots=True)
class EnergySums:
    """The energy of runs over a window, while it is added up; joules."""

    groups: dict[GroupKeyed, dict[Quality, Fraction]] = field(default_factory=dict)
    closing: Fraction | int = 0  #: of all runs, in the time that closure covers
    node_seconds: Fraction | int = 0  #: the time of runs on all of their nodes
    unknown_seconds: Fraction | int = 0  #: of these, the node-seconds of which nothing is known
    coarse_runs: int = 0

    @property
    def qualities(self) -> dict[Quality, Fraction]:
        """The energy of all runs by what it rests on, best first."""
        sums = dict.fromkeys(Quality, Fraction(0))
        for of in self.groups.values():
            for quality, joules in of.items():
                sums[quality] += joules
        return {quality: joules for quality, joules in sums.items() if joules}

    @property
    def total(self) -> Fraction:
        """The energy of all runs."""
        return sum(self.qualities.values(), start=Fraction(0))


class Cells(NamedTuple):
    """The intervals that a window is cut into, and whether closure covers each."""

    edges: Sequence[Instant]
    covered: Sequence[Interval]

    def of(self, since: Instant, until: Instant) -> list[tuple[Instant, Instant, bool]]:
        """(since, until, covered) of the intervals that make up the part of [since, until) in the window."""
        begin, end = max(since, self.edges[0]), min(until, self.edges[-1])
        inside = self.edges[bisect_right(self.edges, begin) : bisect_left(self.edges, end)]
        cut = [begin, *inside, end] if begin < end else []
        return [(first, last, self._is_covered(first)) for first, last in pairwise(cut)]

    def _is_covered(self, at: Instant) -> bool:
        place = bisect_right(self.covered, at, key=lambda interval: interval[0])
        return place > 0 and at < self.covered[place - 1][1]


def cells(since: Instant, until: Instant, covered: Sequence[Interval], dates: Iterable[Instant]) -> Cells:
    """The window cut where closure begins or ends to cover it, and at other dates.

    >>> cells(0, 10, [(2, 12)], [5, 50]).of(1, 6)
    [(1, 2, False), (2, 5, True), (5, 6, True)]
    """
    edges = {since, until, *dates, *(edge for interval in covered for edge in interval)}
    return Cells(sorted(edge for edge in edges if since <= edge <= until), covered)


def add_up(
    runs: Iterable[SortedRun],
    parts: Mapping[int, Sequence[EnergyPart]],
    fill: Callable[[Run, Instant], Fill | None],
    cut: Cells,
    key: Callable[[Subject, Classification], tuple[str, ...]],
    as_of: Instant,
) -> EnergySums:
    """The energy of runs by group; ``fill`` gives a run's power where it has no meter, from an instant on."""
    sums = EnergySums()
    for run, classified in runs:
        of, coarse = parts.get(run.db_index, ()), False
        for part in classified:
            group = GroupKeyed(key(run.subject, part.classification), part.classification.beneficiary)
            into = sums.groups.setdefault(group, {})
            share = 1 if part.fraction == 1 else Fraction(part.fraction)  # most are 1, which costs nothing
            for since, until, covered in cut.of(part.since, part.until):
                energy = energy_of_run(run, of, fill(run, since), since, until, as_of)
                for quality, joules in energy.joules.items():
                    own = joules if share == 1 else joules * share
                    into[quality] = into[quality] + own if quality in into else own
                    sums.closing += own if covered else 0
                sums.node_seconds += energy.node_seconds * share
                sums.unknown_seconds += energy.unknown_seconds * share
                coarse = coarse or energy.coarse
        sums.coarse_runs += coarse
    return sums


def covered_intervals(
    readings: Iterable[Reading], since: Instant, until: Instant, ends: Mapping[str, Instant] = NOT_ENDED
) -> list[Interval]:
    """The parts of [since, until) in which every meter has a reading; joined where they touch.

    One that was taken out of use (``ends``) needs none any more, as long as another one has.

    >>> spans = [("a", 0, 9), ("b", 4, 20)]
    >>> readings = [Reading(meter, Kind.E_IT, *span, Decimal(1), "J", "") for meter, *span in spans]
    >>> covered_intervals(readings, 0, 30), covered_intervals([], 0, 30)
    ([(4, 9)], [])
    """
    steps: dict[Instant, int] = {}
    meters = set()
    for reading in readings:
        meters.add(reading.meter)
        begin, end = max(since, reading.since), min(until, reading.until)
        if begin < end:
            steps[begin], steps[end] = steps.get(begin, 0) + 1, steps.get(end, 0) - 1
    stops = Counter(max(since, ends[meter]) for meter in meters if meter in ends)
    edges = {*steps, *(at for at in stops if at < until)}
    intervals, running, stopped = list[Interval](), 0, 0
    for begin, end in pairwise(sorted(edges)):
        running, stopped = running + steps.get(begin, 0), stopped + stops[begin]
        if running + stopped == len(meters):  # after the end of the last one there is no edge
            joined = intervals.pop()[0] if intervals and intervals[-1][1] == begin else begin
            intervals.append((joined, end))
    return intervals


def amount_within(readings: Iterable[Reading | EnergyPart], intervals: Sequence[Interval]) -> Fraction:
    """Joules or cubic metres within intervals, which are in order and do not overlap."""
    total = Fraction(0)
    for reading in readings:
        first = bisect_right(intervals, reading.since, key=lambda interval: interval[1])
        for begin, end in intervals[first:]:
            if begin >= reading.until:
                break
            total += reading.within(begin, end)
    return total


def seconds_of(intervals: Iterable[Interval]) -> int:
    """The length of intervals that do not overlap."""
    return sum(end - begin for begin, end in intervals)


def both(some: Sequence[Interval], others: Sequence[Interval]) -> list[Interval]:
    """Where both lists of intervals lie.

    >>> both([(0, 5), (7, 9)], [(3, 8)])
    [(3, 5), (7, 8)]
    """
    shared, place = list[Interval](), 0
    for begin, end in some:
        while place < len(others) and others[place][1] <= begin:
            place += 1
        for first, last in others[place:]:
            if first >= end:
                break
            shared.append((max(begin, first), min(end, last)))
    return shared


def indicator_value(
    row: Indicator,
    readings: Mapping[Kind, Sequence[Reading]],
    since: Instant,
    until: Instant,
    ends: Mapping[Kind, Mapping[str, Instant]],
) -> Ratio:
    """An indicator over the time in which both of its kinds have readings."""
    kinds = row.numerator, row.denominator
    above, below = (readings.get(kind, ()) for kind in kinds)
    covered = (
        covered_intervals(readings.get(kind, ()), since, until, ends.get(kind, NOT_ENDED)) for kind in kinds
    )
    inside = both(*covered)
    base = amount_within(below, inside)
    scale = MEGAWATT_HOUR if row.numerator.is_water else 1
    value = float(amount_within(above, inside) / base * scale) if base else None
    return Ratio(value, seconds_of(inside))


def emitted(
    readings: Sequence[Reading],
    factors: Iterable[EmissionFactor],
    basis: str,
    since: Instant,
    until: Instant,
    ends: Mapping[str, Instant] = NOT_ENDED,
) -> tuple[float | None, list[EmissionFactor]]:
    """(kilograms of CO2 of E_DC on a basis, the factors used).

    None unless readings and factors cover the whole interval.
    """
    dated = sorted((row for row in factors if row.basis == basis), key=lambda row: row.since)
    used, grams = list[EmissionFactor](), Fraction(0)
    for row, following in zip(dated, [*(later.since for later in dated[1:]), until], strict=False):
        begin, end = max(since, row.since), min(until, following)
        if begin < end:
            used.append(row)
            kilowatt_hours = amount_within(readings, [(begin, end)]) / JOULES["kWh"]
            grams += kilowatt_hours * Fraction(row.grams_per_kwh)
    whole = covered_intervals(readings, since, until, ends) == [(since, until)]
    known = whole and dated and dated[0].since <= since
    return float(grams / 1000) if known else None, used


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """How far the energy of runs and idle nodes adds up to E_IT; the bounds are kept with it."""

    kappa: float | None  #: None where E_IT has no readings, or nothing is known of runs and idle nodes
    covered_seconds: int  #: of the window, in which every meter of E_IT has readings
    elapsed_seconds: int  #: of the window so far
    known_ratio: float  #: the part of the node-seconds of runs of which the energy is known
    least: float
    most: float

    @property
    def holds(self) -> bool:
        """Whether figures by beneficiary may be given."""
        return self.reason == "within"

    @property
    def reason(self) -> str:
        """Why figures by beneficiary are given or not, a key of CLOSURE_GROUNDS."""
        if not self.covered_seconds:
            return "unmetered"
        if self.kappa is None:
            return "runs_unmetered"
        if self.covered_seconds < LEAST_COVERED * self.elapsed_seconds:
            return "partly_metered"
        if self.known_ratio < LEAST_COVERED:
            return "runs_unknown"
        return "within" if self.least <= self.kappa <= self.most else "outside"

    @property
    def sentence(self) -> str:
        """The reason in words."""
        words = CLOSURE_GROUNDS[self.reason].format(
            covered=self.covered_seconds / max(1, self.elapsed_seconds),
            known=self.known_ratio,
            closure=self.kappa or 0,
            bounds=f"{self.least:g} to {self.most:g}",
        )
        return words if self.holds else f"no figures by beneficiary: {words}"
