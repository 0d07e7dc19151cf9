"""Whether a window kept the promise, and the reason for that verdict."""

from __future__ import annotations

from typing import NamedTuple

from slurm_ai_factory.core.measure.share import CAPACITY, size_now, taken
from slurm_ai_factory.core.records import Bound, Measurement, Verdict

STARVED_TOLERANCE = 0.01
"""A miss is blamed on starvation when more than this part of the promised charge was starved; an excess over
a cap is likewise blamed on taking from others."""


class Judgement(NamedTuple):
    """A verdict with its reason, a key of GROUNDS."""

    verdict: Verdict
    reason: str


GROUNDS = {
    "met": "at least the promised share was delivered",
    "nothing": "nothing was delivered, so nothing was owed",
    "met_early": "even if nothing more is delivered to them, the floor is met",
    "ended": "no promise held in the window",
    "unread": "part of the window was never read from Slurm; run saf backfill",
    "unclassified": "the floor is met, but more is unclassified than unclassified_limit allows",
    "not_over": "the window is not over",
    "demand": "too little was asked for: what waited while the share ran short explains too little",
    "starved": "jobs of the promise waited while it ran below the floor",
    "capacity_unknown": "less than the promised share was delivered, and the cluster's size is not known",
    "no_capacity": "the share is one of the capacity, and the cluster's size was not known all the time",
    "within": "no more than the cap was delivered",
    "within_early": "even if all of the rest is delivered to them, the cap is kept",
    "cap_unclassified": "the cap is kept, but more is unclassified than unclassified_limit allows",
    "idle": "more than the cap was delivered, next to none of it while others waited for it",
    "taken": "more than the cap was delivered while others waited for it",
}
"""Why a verdict is what it is."""


def judge(measurement: Measurement) -> Judgement:
    """The verdict of the window so far, with its reason."""
    if measurement.ended:
        return Judgement(Verdict.OPEN, "ended")
    if measurement.unread_seconds:
        return Judgement(Verdict.OPEN, "unread")
    if measurement.share_of == CAPACITY and measurement.capacity is None:
        return Judgement(Verdict.OPEN, "no_capacity")
    cap = measurement.bound is Bound.CAP
    judged = _by_cap(measurement) if cap else _by_charge(measurement)
    limit, unclassified = measurement.unclassified_limit, measurement.unclassified_share
    too_much = limit is not None and unclassified is not None and unclassified > limit
    if too_much and judged.verdict in (Verdict.MET, Verdict.KEPT):
        return Judgement(Verdict.OPEN, "cap_unclassified" if cap else "unclassified")
    return judged


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


def _by_cap(measurement: Measurement) -> Judgement:
    """The judgement of a cap, of a window that was read and whose charge is classified."""
    m = measurement
    left = 0 if m.window.rolling else max(0, m.window.until - m.as_of)
    allowed, charge, rest = m.target_share, float(m.regional_charge), size_now(m.hours) * left
    if left and rest and charge + rest <= allowed * (float(m.total_charge) + rest):
        return Judgement(Verdict.KEPT, "within_early")
    if left and not (rest and charge > allowed * (float(m.total_charge) + rest)):
        return Judgement(Verdict.OPEN, "not_over")
    if not m.excess_charge:
        return Judgement(Verdict.KEPT, "within")
    return Judgement(*((Verdict.EXCEEDED, "taken") if took(m) else (Verdict.EXCEEDED_IDLE, "idle")))


def took(measurement: Measurement) -> bool:
    """Whether more than a tolerable part of an excess over a cap was taken while others waited for it."""
    m = measurement
    tolerated = STARVED_TOLERANCE * m.target_share * float(m.total_charge)
    return min(taken(m.hours, m.target_share), m.excess_charge) > tolerated
