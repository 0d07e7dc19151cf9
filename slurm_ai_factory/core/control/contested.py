"""Which part of decayed usage the region got beyond the goal while the others waited. Pure.

Usage that the region gathered on idle nodes must not be held against it, so the set-point follows it up. What
it got beyond the goal while others waited for it was not idle, and is not followed. Where that is not known,
it counts as gathered on idle nodes: a doubt never makes the region wait.
"""

from __future__ import annotations

from math import log

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
    idle = max(0.0, hour.capacity - hour.total)
    return min(max(0.0, hour.regional - goal * hour.total), max(0.0, hour.others_waiting - idle))


def contested_share(observed: Observed, goal: float, half_life_seconds: int) -> float:
    """The part of decayed usage that was contested, from 0 to 1; 0 where a part of the window was not read.

    The hours decay as usage does. What came before them is taken as used at the expected rate, uncontested.
    """
    measurement = observed.measurement
    if measurement.unread_seconds:
        return 0.0
    kept, got, used = 2.0 ** (-HOUR / half_life_seconds), 0.0, 0.0
    for hour in (*observed.earlier, *measurement.hours):
        got = got * kept + contested(hour, goal)
        used = used * kept + hour.total
    since = observed.earlier[0].at if observed.earlier else measurement.window.since
    age = max(0, measurement.as_of - since)
    before = 2.0 ** (-age / half_life_seconds) * half_life_seconds / log(2)
    used += expected_rate(measurement) * before
    return got / used if used > 0 else 0.0
