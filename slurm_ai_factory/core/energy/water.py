"""Whether the process used no drinking water and no surface water. Pure.

The condition is absolute: the meters of W_POTABLE and of W_SURFACE measure 0. The rule: meters of other use
(sanitary, fire) do not count and are named; a meter without a reading of all the time leaves the window open,
unless another one has measured water already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from slurm_ai_factory.core import canonical
from slurm_ai_factory.core.energy.meters import Kind, Reading, expected_until
from slurm_ai_factory.core.measure.judgement import Judgement
from slurm_ai_factory.core.records import Instant, Verdict, Window

WATERS = (Kind.W_POTABLE, Kind.W_SURFACE)
"""The kinds of water that the process may not use."""

WATER_GROUNDS = {
    "none": "no meter of the process measured drinking water or surface water",
    "used": "a meter of the process measured drinking water or surface water",
    "no_meter": "there is no meter of drinking water or none of surface water; run saf meter import",
    "unread": "a meter has no reading of all the time; run saf meter import",
    "not_over": "the window is not over",
}
"""Why a verdict on water is what it is."""


class WaterUse(NamedTuple):
    """What one meter measured in a window."""

    meter: str
    kind: Kind
    cubic_metres: Fraction | None  #: None where no reading is of the window
    unread_seconds: int  #: of the window so far, without a reading
    use: str  #: why it does not count; empty for a meter of the process


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterMeasurement:
    """The meters of a window; made by ``measure_water``. Volumes and seconds add up over parts of it."""

    window: Window
    as_of: Instant
    meters: tuple[WaterUse, ...]
    evidence: Mapping[str, object]  #: what the figures rest on

    @property
    def of_process(self) -> list[WaterUse]:
        """The meters that count."""
        return [use for use in self.meters if not use.use]

    def used(self, kind: Kind) -> Fraction | None:
        """Cubic metres of a kind that the process used; None where no meter has a reading."""
        of = [use.cubic_metres for use in self.of_process if use.kind is kind]
        volumes = [volume for volume in of if volume is not None]
        return sum(volumes, Fraction(0)) if volumes else None


def measure_water(
    window: Window,
    as_of: Instant,
    readings: Mapping[Kind, Sequence[Reading]],
    meters: Mapping[Kind, Mapping[str, Instant]],
    exempt: Mapping[str, str],
    ends: Mapping[Kind, Mapping[str, Instant]] | None = None,
) -> WaterMeasurement:
    """The figures of a window, from what was known ``as_of``.

    ``meters`` are those of each kind with their first reading: the first of a kind counts from the beginning
    of the window, a later one from its first reading. ``ends``: from when on meters are out of use.
    """
    until, uses = min(window.until, as_of), []
    for kind in WATERS:
        counting = {meter: first for meter, first in meters[kind].items() if meter not in exempt}
        for meter, first in sorted(meters[kind].items()):
            oldest = meter in exempt or first == min(counting.values())
            begin = window.since if oldest else min(max(window.since, first), until)
            last = expected_until(meter, counting, (ends or {}).get(kind, {}), until)
            of = [reading for reading in readings[kind] if reading.meter == meter]
            uses.append(
                WaterUse(
                    meter,
                    kind,
                    _volume(of, window.since, until),
                    max(0, last - begin) - _covered(of, begin, last),
                    exempt.get(meter, ""),
                )
            )
    rows: list[canonical.Plain] = [
        [kind.value, reading.meter, reading.since, reading.until, str(reading.amount)]
        for kind in WATERS
        for reading in sorted(readings[kind], key=lambda reading: (reading.meter, reading.since))
    ]
    evidence = {"readings": len(rows), "digest": canonical.digest("water", 1, rows)}
    return WaterMeasurement(window=window, as_of=as_of, meters=tuple(uses), evidence=evidence)


def _volume(readings: Sequence[Reading], since: Instant, until: Instant) -> Fraction | None:
    """Cubic metres in [since, until); None where no reading is of it."""
    if not _covered(readings, since, until):
        return None
    return sum((reading.within(since, until) for reading in readings), Fraction(0))


def _covered(readings: Sequence[Reading], since: Instant, until: Instant) -> int:
    """Seconds of [since, until) with a reading; no two of a meter overlap."""
    return sum(max(0, min(until, each.until) - max(since, each.since)) for each in readings)


def judge_water(m: WaterMeasurement) -> Judgement:
    """The verdict on water, with its reason, a key of WATER_GROUNDS."""
    if any(use.cubic_metres for use in m.of_process):
        return Judgement(Verdict.EXCEEDED, "used")
    if {use.kind for use in m.of_process} != set(WATERS):
        return Judgement(Verdict.OPEN, "no_meter")
    if any(use.unread_seconds for use in m.of_process):
        return Judgement(Verdict.OPEN, "unread")
    if m.window.until > m.as_of:
        return Judgement(Verdict.OPEN, "not_over")
    return Judgement(Verdict.KEPT, "none")
