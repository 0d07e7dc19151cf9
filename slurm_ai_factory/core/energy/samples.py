"""Readings from the samples of a counter or of a power meter, as a Prometheus keeps them, and from tables.

The rule: a counter's difference is right whatever lies between two of its values, as long as it did not go
back; power is known only where there is a sample at either end of a step. Everything else is a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.energy.meters import WATTS, Kind, Placement, Reading, Skipped, faults, value_of
from slurm_ai_factory.core.programme import sheet
from slurm_ai_factory.core.programme.sheet import Fault
from slurm_ai_factory.core.records import Instant

READING_COLUMNS = ("meter", "kind", "since", "until", "value", "unit")
PLACEMENT_COLUMNS = ("job", "node", "since", "until")

COUNTER_STEPS = 4
"""Steps without a value after which a counter may have been reset unseen."""

Sample = tuple[Instant, str]
"""When, and the value of a meter then, as text."""


class Series(NamedTuple):
    """The samples of one meter, in the order of time."""

    meter: str
    samples: Sequence[Sample]


def from_series(
    series: Series, kind: Kind, unit: str, step: int, source: str
) -> tuple[list[Reading], list[Skipped]]:
    """The readings between samples that are ``step`` seconds apart, and what gives none.

    Of a counter each reading is the difference; of power it is the mean of its two ends (the trapezoidal
    rule). Samples of P_15MIN in a unit of power are means already, each of the quarter that ends there.

    >>> counter = Series("n1/0", [(0, "10"), (60, "70"), (120, "5"), (180, "65")])
    >>> readings, skipped = from_series(counter, Kind.E_GPU, "J", 60, "dcgm")
    >>> [(reading.since, reading.value) for reading in readings]
    [(0, Decimal('60')), (120, Decimal('60'))]
    >>> skipped[0].reason
    'the counter went back from 70 to 5: it was reset or wrapped'
    """
    readings, skipped, values = [], list[Skipped](), list[tuple[Instant, Decimal]]()
    for at, text in series.samples:
        try:
            values.append((at, value_of(text)))
        except ValueError as error:
            skipped.append(Skipped(_place(series.meter, at), str(error)))
    power = unit in WATTS
    if power and kind is Kind.P_15MIN:
        means = [Reading(series.meter, kind, at - step, at, mean, unit, source) for at, mean in values]
        return means, skipped
    for (since, before), (until, after) in pairwise(values):
        if why := _gap(until - since, step, before, after, power=power):
            skipped.append(Skipped(_place(series.meter, since), why))
            continue
        value = (before + after) / 2 if power else after - before
        readings.append(Reading(series.meter, kind, since, until, value, unit, source))
    return readings, skipped


def _place(meter: str, at: Instant) -> str:
    return f"{meter} at {windows.iso(at)}"


def _gap(seconds: int, step: int, before: Decimal, after: Decimal, *, power: bool) -> str:
    """Why nothing is known between two values; empty where it is."""
    if seconds > step * (1 if power else COUNTER_STEPS):
        return f"no value for {seconds} s"
    if not power and after < before:
        return f"the counter went back from {before} to {after}: it was reset or wrapped"
    return ""


def readings_sheet(
    data: bytes, source: str, instant: Callable[[str], Instant]
) -> tuple[list[tuple[str, Reading]], list[Skipped], list[Fault]]:
    """(readings with their lines, lines without a value, faults of the table) of a CSV file.

    >>> table = b"meter,kind,since,until,value,unit\\nhall,E_IT,0,900,,kWh\\nhall,E_IT,900,1800,N/A,kWh\\n"
    >>> [(skipped.where, skipped.reason) for skipped in readings_sheet(table, "bms.csv", int)[1]]
    [('line 2', 'there is no value'), ('line 3', "'N/A' is not a number")]
    """
    table = sheet.read_sheet(data, READING_COLUMNS)
    readings, skipped, wrong = [], list[Skipped](), list(table.faults)
    for number, cells in table.lines:
        try:
            value = value_of(cells["value"])
        except ValueError as error:
            skipped.append(Skipped(f"line {number}", str(error)))
            value = None
        try:
            reading = _reading(cells, value or Decimal(0), source, instant)
        except ValueError as error:
            wrong.append(Fault(number, "", str(error)))
            continue
        if value is not None:
            readings.append((f"line {number}", reading))
    return readings, skipped, _or_empty(table.lines, wrong)


def _reading(
    cells: Mapping[str, str], value: Decimal, source: str, instant: Callable[[str], Instant]
) -> Reading:
    if cells["kind"] not in list(Kind):
        raise ValueError(f"{cells['kind']!r} is not a kind of meter; there are {', '.join(Kind)}")
    since, until = instant(cells["since"]), instant(cells["until"])
    reading = Reading(cells["meter"], Kind(cells["kind"]), since, until, value, cells["unit"], source)
    for fault in faults(reading):
        raise ValueError(fault)
    return reading


def placements_sheet(data: bytes, instant: Callable[[str], Instant]) -> tuple[list[Placement], list[Fault]]:
    """The placements of a CSV file and its faults. GPUs have blanks or plus signs between them.

    >>> placements_sheet(b"job,node,gpus,since,until\\n7,n1,0+1,0,60\\n", int)[0]
    [Placement(job_id=7, node='n1', gpus=('0', '1'), since=0, until=60)]
    """
    table = sheet.read_sheet(data, PLACEMENT_COLUMNS, ("gpus",))
    placements, wrong = [], list(table.faults)
    for number, cells in table.lines:
        try:
            placements.append(_placement(cells, instant))
        except ValueError as error:
            wrong.append(Fault(number, "", str(error)))
    return placements, _or_empty(table.lines, wrong)


def _placement(cells: Mapping[str, str], instant: Callable[[str], Instant]) -> Placement:
    job, node = cells["job"], cells["node"]
    if not (job.isascii() and job.isdigit() and 0 < int(job[:20]) < 2**63):
        raise ValueError(f"{job!r} is not a job number (JobIDRaw)")
    since, until = instant(cells["since"]), instant(cells["until"])
    if until <= since or not node:
        raise ValueError("the interval does not end after it begins" if node else "there is no node")
    return Placement(int(job), node, tuple(cells["gpus"].replace("+", " ").split()), since, until)


def _or_empty(lines: Iterable[object], faults: list[Fault]) -> list[Fault]:
    return faults if faults or any(True for _ in lines) else [Fault(0, "", "has no line below the first")]
