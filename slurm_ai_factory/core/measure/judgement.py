"""Whether a window kept the promise, and why that is said of it."""

from __future__ import annotations

from typing import NamedTuple

from slurm_ai_factory.core.measure.share import size_now
from slurm_ai_factory.core.records import Measurement, Verdict

STARVED_TOLERANCE = 0.01
"""A miss is blamed on starvation when more than this part of the promised charge was starved."""


class Judgement(NamedTuple):
    """A verdict with its reason, one of GROUNDS, and what it rests on, in resource-seconds."""

    verdict: Verdict
    reason: str
    promised_charge: float  #: target x total
    unclassified_held_back: bool  #: it would be met, were not more unclassified than the limit


GROUNDS = {
    "met": "the region got at least its share",
    "nothing": "nothing was delivered, so nothing was owed",
    "met_early": "even if the region got nothing more, it would get its share",
    "ended": "no promise held in the window",
    "unread": "part of the window was never read from Slurm; run saf backfill",
    "unclassified": "the region got its share, but too much is unclassified: promise.unclassified_limit",
    "not_over": "the window is not over",
    "demand": "the region asked for less than its share: what waited while it ran short explains too little",
    "starved": "regional jobs waited while the region ran below the floor",
    "capacity_unknown": "the region got less than its share, and Slurm did not tell the cluster's size",
}
"""Why a verdict is what it is."""


def judge(measurement: Measurement) -> Judgement:
    """The verdict of the window as of now, with its reason."""
    found, reason = _judged(measurement)
    promised = measurement.target_share * float(measurement.total_charge)
    held = found is Verdict.MET and _too_much_unclassified(measurement)
    if measurement.ended:
        found, reason, held = Verdict.OPEN, "ended", False
    elif measurement.unread_seconds:
        found, reason = Verdict.OPEN, "unread"
    elif held:
        found, reason = Verdict.OPEN, "unclassified"
    return Judgement(found, reason, promised, held)


def verdict(measurement: Measurement) -> Verdict:
    """The verdict of the window as of now; ``open`` while it can still go either way."""
    return judge(measurement).verdict


def _too_much_unclassified(measurement: Measurement) -> bool:
    limit, found = measurement.unclassified_limit, measurement.unclassified_share
    return limit is not None and found is not None and found > limit


def _judged(measurement: Measurement) -> tuple[Verdict, str]:
    left = max(0, measurement.window.until - measurement.as_of)
    if left and not measurement.window.rolling:
        return _judged_early(measurement, left)
    if not measurement.total_charge:
        return Verdict.MET, "nothing"
    if not measurement.shortfall_charge:
        return Verdict.MET, "met"
    if measurement.starved_charge is None:
        return Verdict.MISSED_STARVED, "capacity_unknown"
    tolerated = STARVED_TOLERANCE * measurement.target_share * float(measurement.total_charge)
    if min(measurement.starved_charge, measurement.shortfall_charge) <= tolerated:
        return Verdict.MISSED_DEMAND, "demand"
    return Verdict.MISSED_STARVED, "starved"


def _judged_early(measurement: Measurement, left: int) -> tuple[Verdict, str]:
    """Met already when even a rest wholly of others cannot undo it."""
    size = size_now(measurement.hours)
    rest = size * left
    sure = measurement.target_share * (float(measurement.total_charge) + rest)
    met = size and float(measurement.regional_charge) >= sure
    return (Verdict.MET, "met_early") if met else (Verdict.OPEN, "not_over")
