"""Readings of meters: of the building, of nodes and of GPUs.

A reading is what one meter measured over [since, until), in the unit of the meter. The rule: what a meter did
not measure is a gap and never 0. A blank, a poison value, a counter that went back and an interval without
values give no reading, and each is said with its reason.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeVar

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import FOREVER, Instant


class Kind(StrEnum):
    """What a meter measures."""

    E_DC = "E_DC"  #: energy of the whole data centre
    E_IT = "E_IT"  #: energy of the IT equipment
    P_15MIN = "P_15MIN"  #: mean power of the connection to the grid over a quarter of an hour
    W_IN = "W_IN"  #: all water that came in
    W_POTABLE = "W_POTABLE"  #: drinking water
    W_SURFACE = "W_SURFACE"  #: surface water
    E_REUSE = "E_REUSE"  #: heat that was used elsewhere
    E_RES = "E_RES"  #: energy from renewable sources
    E_NODE = "E_NODE"  #: energy of a node; its meter is named NODE
    E_GPU = "E_GPU"  #: energy of a GPU; its meter is named NODE/INDEX, NODE/UUID or NODE/INDEX/UUID

    @property
    def is_water(self) -> bool:
        """Whether it is a volume; the others are energy or power."""
        return self.startswith("W_")


JOULES = {
    "J": Fraction(1), "mJ": Fraction(1, 1000), "kJ": Fraction(1000), "MJ": Fraction(10**6),
    "GJ": Fraction(10**9), "Wh": Fraction(3600), "kWh": Fraction(3_600_000), "MWh": Fraction(3_600_000_000),
}  # fmt: skip
"""Joules in each unit of energy."""
WATTS = {"mW": Fraction(1, 1000), "W": Fraction(1), "kW": Fraction(1000), "MW": Fraction(10**6)}
"""Watts in each unit of power."""
CUBIC_METRES = {"m3": Fraction(1), "L": Fraction(1, 1000)}
"""Cubic metres in each unit of volume."""

NOT_ENDED: Mapping[str, Instant] = MappingProxyType({})
"""No meter was taken out of use."""

QUARTER = 900
"""Seconds of an interval of the grid (ISP)."""

MOST = Decimal(10**18)
"""More than any reading. DCGM prints 9223372036854775794 and the like for a value that it does not have."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one meter measured over [since, until).

    Energy may be given as the mean power over the interval, and power as the energy of the interval.
    """

    meter: str
    kind: Kind
    since: Instant
    until: Instant
    value: Decimal  #: in ``unit``; not below 0
    unit: str
    source: str  #: where the value comes from: a file, or the query of a Prometheus

    @property
    def sampled(self) -> bool:
        """Whether it is energy known from samples of power, not from a counter."""
        return self.unit in WATTS

    @property
    def amount(self) -> Fraction:
        """Joules, or cubic metres of water, over the interval."""
        if self.unit in WATTS:
            return Fraction(self.value) * WATTS[self.unit] * (self.until - self.since)
        return Fraction(self.value) * (JOULES | CUBIC_METRES)[self.unit]

    @property
    def watts(self) -> Fraction:
        """Mean power over the interval. Of energy and power only."""
        return self.amount / (self.until - self.since)

    def within(self, since: Instant, until: Instant) -> Fraction:
        """The part of ``amount`` in [since, until), as if it was even over the interval.

        >>> half = Reading("hall", Kind.E_IT, 0, 3600, Decimal(2), "kWh", "bms.csv").within(1800, 9000)
        >>> half == 3_600_000
        True
        """
        inside = min(until, self.until) - max(since, self.since)
        return self.amount * max(0, inside) / (self.until - self.since)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterEntry:
    """A reading as the ledger has it, or a correction of one."""

    entry_id: int
    reading: Reading  #: where it is withdrawn, its value means nothing
    withdrawn: bool = False  #: whether this is a correction that takes the reading back
    replaces: int | None = None  #: the entry that this corrects
    reason: str
    recorded_at: Instant
    actor: str


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a job ran over [since, until): a node, and the GPUs that it had there."""

    job_id: int  #: JobIDRaw
    node: str
    gpus: tuple[str, ...]  #: indexes or UUIDs; none where it had none, or where that is not recorded
    since: Instant
    until: Instant


class Skipped(NamedTuple):
    """A value that gives no reading."""

    where: str  #: the line of a file, or the meter and the instant
    reason: str


def units(kind: Kind) -> tuple[str, ...]:
    """The units that a meter of this kind may have."""
    return tuple(CUBIC_METRES) if kind.is_water else (*JOULES, *WATTS)


def value_of(text: str) -> Decimal:
    """A value that was measured, exact. Raises ValueError for a blank, a poison value and a negative one.

    >>> value_of("12.50"), value_of("0")
    (Decimal('12.50'), Decimal('0'))
    >>> value_of("9223372036854775794")
    Traceback (most recent call last):
    ValueError: '9223372036854775794' stands for a value that was not measured
    """
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number" if text.strip() else "there is no value") from None
    if not value.is_finite() or value >= MOST:
        raise ValueError(f"{text!r} stands for a value that was not measured")
    if value < 0:
        raise ValueError(f"{text} is below 0")
    return value


def faults(reading: Reading) -> Iterator[str]:
    """Why a reading cannot be one."""
    if reading.unit not in units(reading.kind):
        known = ", ".join(units(reading.kind))
        yield f"{reading.unit!r} is not a unit of {reading.kind}; there are {known}"
    if reading.until <= reading.since:
        yield "the interval does not end after it begins"
    if not reading.meter:
        yield "the meter has no name"
    if reading.kind is Kind.E_GPU and len(reading.meter.split("/")) not in (2, 3):
        yield f"{reading.meter!r} is not a GPU such as NODE/0, NODE/UUID or NODE/0/UUID"
    if reading.kind is Kind.P_15MIN and reading.until - reading.since != QUARTER:
        yield "the interval is not a quarter of an hour"


class SortedReadings(NamedTuple):
    """What becomes of readings that are to be added."""

    new: tuple[Reading, ...]
    known: int  #: how many the ledger has already
    skipped: tuple[Skipped, ...]


def expected_until(
    meter: str, firsts: Mapping[str, Instant], ends: Mapping[str, Instant], until: Instant
) -> Instant:
    """Up to when a meter is expected to read: one that was taken out of use, until another one is in use.

    ``firsts`` has the first reading of each meter of its kind.

    >>> firsts, ends = {"old": 0, "new": 20}, {"old": 10}
    >>> expected_until("old", firsts, ends, 30), expected_until("new", firsts, ends, 30)
    (20, 30)
    """
    end = ends.get(meter, until)
    others = [(first, ends.get(other, FOREVER)) for other, first in firsts.items() if other != meter]
    if end >= until or any(first <= end < last for first, last in others):
        return min(end, until)
    return min((first for first, _ in others if end < first < until), default=until)


def sort_readings(
    entries: Iterable[MeterEntry],
    given: Iterable[tuple[str, Reading]],
    ends: Mapping[Kind, Mapping[str, Instant]],
) -> SortedReadings:
    """Which of ``given`` to add to the ledger's entries; each comes with the place where it was read.

    A meter measures an instant once: a reading that overlaps another one of its meter is skipped, unless it
    is the same once more. One that was corrected stays corrected. So is a reading after the end of its meter.
    """
    taken: dict[tuple[Kind, str], list[tuple[Instant, Reading, str]]] = {}
    for entry in sorted(entries, key=lambda entry: entry.reading.since):
        if entry.replaces is None:
            of = taken.setdefault((entry.reading.kind, entry.reading.meter), [])
            of.append((entry.reading.since, entry.reading, f"entry {entry.entry_id}"))
    new, known, skipped = [], 0, []
    for where, reading in given:
        if reading.until > (end := ends.get(reading.kind, {}).get(reading.meter, FOREVER)):
            why = f"{reading.meter} is out of use since {windows.iso(end)}; see `saf meter retired`"
            skipped.append(Skipped(where, why))
            continue
        of = taken.setdefault((reading.kind, reading.meter), [])
        at = bisect_left(of, reading.since, key=lambda entry: entry[0])
        near = of[max(0, at - 1) : at + 1]
        overlapping = (e for e in near if e[1].since < reading.until and reading.since < e[1].until)
        clash = next(overlapping, None)
        if clash is None:
            of.insert(at, (reading.since, reading, where))
            new.append(reading)
        elif _same(clash[1], reading):
            known += 1
        else:
            skipped.append(Skipped(where, _contradiction(clash[1], clash[2], reading)))
    return SortedReadings(tuple(new), known, tuple(skipped))


def _same(before: Reading, reading: Reading) -> bool:
    spans = (before.since, before.until), (reading.since, reading.until)
    return spans[0] == spans[1] and before.amount == reading.amount


def _contradiction(before: Reading, where: str, reading: Reading) -> str:
    if (before.since, before.until) != (reading.since, reading.until):
        span = f"{windows.iso(before.since)}..{windows.iso(before.until)}"
        return f"overlaps {where}, which meter {before.meter} has for {span}"
    values = f"is {reading.value} {reading.unit}, but {where} is {before.value} {before.unit}"
    return f"{values}; if the new value is right, run `saf meter correct`"


class Correctable(Protocol):
    """A row of the ledger, or a correction of one."""

    @property
    def entry_id(self) -> int: ...
    @property
    def replaces(self) -> int | None: ...
    @property
    def withdrawn(self) -> bool: ...


_Row = TypeVar("_Row", bound=Correctable)


def to_correct(
    entries: Iterable[_Row],
    entry_id: int,
    value_of_row: Callable[[_Row], Decimal],
    value: Decimal | None,
    reason: str,
    listed_by: str,
) -> tuple[_Row, _Row]:
    """(the entry, its last correction or itself), checked; a value of None withdraws. Raises ValueError.

    ``entries`` are the entry and all its corrections; ``listed_by`` is the command that lists them.
    """
    of = sorted(entries, key=lambda entry: entry.entry_id)
    if not of or of[0].entry_id != entry_id:
        raise ValueError(f"there is no entry {entry_id}; see `{listed_by}`")
    if of[0].replaces is not None:
        raise ValueError(f"entry {entry_id} is itself a correction; correct entry {of[0].replaces}")
    if not reason.strip():
        raise ValueError("a correction needs a reason")
    if (None if of[-1].withdrawn else value_of_row(of[-1])) == value:
        already = "is withdrawn already" if of[-1].withdrawn else "has this value already"
        raise ValueError(f"entry {entry_id} {already}; nothing was changed")
    return of[0], of[-1]


def correction_of(
    entries: Iterable[MeterEntry], entry_id: int, value: Decimal | None, reason: str
) -> tuple[Reading, bool]:
    """(the reading, whether it is withdrawn) of a correction; arguments and errors as in ``to_correct``."""
    entry, _ = to_correct(entries, entry_id, lambda row: row.reading.value, value, reason, "saf meter list")
    first = entry.reading
    return replace(first, value=first.value if value is None else value), value is None
