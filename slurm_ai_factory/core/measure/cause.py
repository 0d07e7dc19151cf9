"""Why a window stayed below its floor, and how its two shortfalls fit together. Pure.

Rule: only what was recorded is a cause, and one cause is given: the first in ``cause_of`` that explains it.
Tested in tests/core/measure/test_cause.py and, a second time, in tests/second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum
from typing import NamedTuple

from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.measure.judgement import judge
from slurm_ai_factory.core.records import Instant, Measurement, Mode, Verdict

MOST = 0.5
"""A cause explains a miss if at least this part of the starved charge, or of the decisions, is due to it."""


class ModeSpan(NamedTuple):
    """A time in which all decisions were of one mode, up to the next decision of another."""

    mode: str
    since: Instant
    until: Instant


class MissCause(NamedTuple):
    """Why the share stayed below the floor."""

    name: str  #: demand, slight, size_unknown, limited, control_off, held or waited
    since: Instant | None = None  #: of a time in which the control changed nothing
    until: Instant | None = None
    reason: str = ""  #: the most frequent reason of holds
    starved_charge: float | None = None  #: that this explains, in resource-seconds


class ShortfallBridge(NamedTuple):
    """starved + unasked - ahead - idle = shortfall, all in resource-seconds.

    For each hour, the region's part of the capacity less what it got is starved as far as regional runs
    waited, and unasked beyond that; where the region got more than its part, it was ahead.
    """

    starved: float
    unasked: float
    ahead: float
    idle: float  #: the region's part of the capacity that nobody used
    shortfall: float


def cause_of(
    measured: Measurement, modes: Sequence[ModeSpan], decisions: int, held: Mapping[str, int], limited: int
) -> MissCause | None:
    """The cause of a missed floor; None where it was not missed.

    ``held``: reason of holds -> how often; ``limited``: how many decisions saw regional jobs that a limit of
    Slurm held, and none that could start.
    """
    verdict, ground = judge(measured)
    if verdict is Verdict.MISSED_DEMAND:
        starved, shortfall = measured.starved_charge or 0.0, measured.shortfall_charge
        return MissCause(
            "demand" if starved < shortfall else "slight", starved_charge=min(starved, shortfall)
        )
    if verdict is not Verdict.MISSED_STARVED:
        return None
    if ground == "capacity_unknown":
        return MissCause("size_unknown")
    whole = measured.starved_charge or 0.0
    if decisions and limited >= MOST * decisions:
        return MissCause("limited", starved_charge=whole)
    off = []
    for other in (span for span in modes if span.mode != Mode.ENFORCE):
        hours = [hour for hour in measured.hours if other.since <= hour.at < other.until]
        off.append((share.starved(hours, measured.target_share), other))
    most, span = max(off, default=(0.0, None))
    if span and fsum(charge for charge, _ in off) >= MOST * whole:
        return MissCause("control_off", span.since, span.until, starved_charge=most)
    if decisions and sum(held.values()) >= MOST * decisions:
        return MissCause("held", reason=max(sorted(held), key=lambda name: held[name]), starved_charge=whole)
    return MissCause("waited", starved_charge=whole)


def shortfall_bridge(measured: Measurement) -> ShortfallBridge | None:
    """How shortfall and starved charge fit together; None without a shortfall or without known capacity."""
    if measured.starved_charge is None or measured.capacity is None or not measured.shortfall_charge:
        return None
    target, hours = measured.target_share, measured.hours
    gap = fsum(max(0.0, target * hour.capacity - hour.regional) for hour in hours)
    return ShortfallBridge(
        starved=measured.starved_charge,
        unasked=gap - measured.starved_charge,
        ahead=fsum(max(0.0, hour.regional - target * hour.capacity) for hour in hours),
        idle=target * float(measured.capacity - measured.total_charge),
        shortfall=measured.shortfall_charge,
    )
