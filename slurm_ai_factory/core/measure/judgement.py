"""Whether a window kept the promise, and the reason for that verdict."""

from __future__ import annotations

from typing import NamedTuple

from slurm_ai_factory.core.measure.share import size_now
from slurm_ai_factory.core.records import Measurement, Verdict

STARVED_TOLERANCE = 0.01
"""A miss is blamed on starvation when more than this part of the promised charge was starved."""


class Judgement(NamedTuple):
    """A verdict with its reason, a key of GROUNDS."""

    verdict: Verdict
    reason: str


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
    "capacity_unknown": "the region got less than its share, and the cluster's size is not known",
}
"""Why a verdict is what it is."""


def judge(measurement: Measurement) -> Judgement:
    """The verdict of the window so far, with its reason."""
    if measurement.ended:
        return Judgement(Verdict.OPEN, "ended")
    if measurement.unread_seconds:
        return Judgement(Verdict.OPEN, "unread")
    judged = _by_charge(measurement)
    limit, unclassified = measurement.unclassified_limit, measurement.unclassified_share
    too_much = limit is not None and unclassified is not None and unclassified > limit
    return Judgement(Verdict.OPEN, "unclassified") if judged.verdict is Verdict.MET and too_much else judged


def verdict(measurement: Measurement) -> Verdict:
    """The verdict of the window so far; ``open`` while it can still go either way."""
    return judge(measurement).verdict


def _by_charge(measurement: Measurement) -> Judgement:
    """The judgement of a window that was read and whose charge is classified."""
    left = max(0, measurement.window.until - measurement.as_of)
    if left and not measurement.window.rolling:
        # Met already when even a rest wholly of others cannot undo it.
        size = size_now(measurement.hours)
        sure = measurement.target_share * (float(measurement.total_charge) + size * left)
        met = size and float(measurement.regional_charge) >= sure
        return Judgement(Verdict.MET, "met_early") if met else Judgement(Verdict.OPEN, "not_over")
    if not measurement.total_charge:
        return Judgement(Verdict.MET, "nothing")
    if not measurement.shortfall_charge:
        return Judgement(Verdict.MET, "met")
    if measurement.starved_charge is None:
        return Judgement(Verdict.MISSED_STARVED, "capacity_unknown")
    tolerated = STARVED_TOLERANCE * measurement.target_share * float(measurement.total_charge)
    if min(measurement.starved_charge, measurement.shortfall_charge) <= tolerated:
        return Judgement(Verdict.MISSED_DEMAND, "demand")
    return Judgement(Verdict.MISSED_STARVED, "starved")
