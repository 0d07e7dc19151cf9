"""Which part of decayed usage the region got beyond the goal while the others waited. Pure.

Usage that the region gathered on idle nodes must not be held against it, so the set-point follows it up. What
it got beyond the goal while others waited for it was not idle, and is not followed. Where that is not known,
it counts as gathered on idle nodes: a doubt never makes the region wait.
"""

from __future__ import annotations

from math import log
from typing import NamedTuple

from slurm_ai_factory.core.charge import hour_of
from slurm_ai_factory.core.measure.share import expected_rate
from slurm_ai_factory.core.records import HOUR, Hour, Instant, Interval, Observed, Window

HALF_LIVES = 4
"""How far back usage is looked at: older usage is at most a sixteenth of what it was."""


def remembered(window: Window, now: Instant, half_life_seconds: int) -> Interval:
    """The time before a window that usage still holds; empty before a window that is long enough.

    >>> remembered(Window("2027Q1", 720000, 8000000), 900000, 90000)
    (540000, 720000)
    """
    return min(window.since, hour_of(now - HALF_LIVES * half_life_seconds)), window.since


def contested(hour: Hour, goal: float) -> float:
    """What the region got beyond the goal in an hour, as far as more waited than would have fitted, in
    resource-seconds.

    Others for whom as much was idle as they waited for were not kept waiting by the region.

    >>> [contested(Hour(0, 60.0, 100.0, 0.0, 110.0, 0.0, waiting), 0.25) for waiting in (0.0, 30.0, 90.0)]
    [0.0, 20.0, 35.0]
    """
    beyond = hour.regional - goal * hour.total
    if beyond <= 0 or hour.others_waiting <= 0:
        return 0.0
    idle = max(0.0, hour.capacity - hour.total)
    return min(beyond, max(0.0, hour.others_waiting - idle))


class DecayedUsage(NamedTuple):
    """The charge of the past, decayed as Slurm decays usage, in resource-seconds."""

    used: float
    contested: float
    usual: float  #: what it would hold after a long time at the expected rate: rate x half-life / ln 2

    @property
    def contested_share(self) -> float:
        """The part of usage that was contested, from 0 to 1."""
        return self.contested / self.used if self.used > 0 else 0.0

    @property
    def turnover(self) -> float:
        """How many times as fast as usual the region's part of usage moves; at least 1.

        The less a cluster has used, the more each hour counts in it.

        >>> [DecayedUsage(used, 0.0, 200.0).turnover for used in (50.0, 300.0, 0.0)]
        [4.0, 1.0, 1.0]
        """
        return max(1.0, self.usual / self.used) if self.used > 0 else 1.0


def decayed_usage(observed: Observed, goal: float, half_life_seconds: int) -> DecayedUsage:
    """The sums of the hours known, and of what came before: used at the expected rate, and uncontested.

    Nothing is contested where a part of the window was not read.
    """
    measurement, used, got = observed.measurement, 0.0, 0.0
    middle = measurement.as_of - HOUR / 2
    for hour in (*observed.earlier, *measurement.hours):
        kept = 2.0 ** (min(0.0, hour.at - middle) / half_life_seconds)
        used += kept * hour.total
        got += kept * contested(hour, goal)
    usual = expected_rate(measurement) * half_life_seconds / log(2)
    since = observed.earlier[0].at if observed.earlier else measurement.window.since
    used += usual * 2.0 ** (min(0, since - measurement.as_of) / half_life_seconds)
    return DecayedUsage(used, 0.0 if measurement.unread_seconds else got, usual)
