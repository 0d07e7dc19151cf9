"""Whether the clocks of a cycle agree: this machine's, slurmctld's, and that of the newest read. Pure.

A clock that is ahead charges running jobs for time that has not come; one that is behind hides jobs. So a
cycle takes slurmctld's time as the present, and only while this machine agrees with it.
"""

from __future__ import annotations

from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.core.windows import iso
from slurm_ai_factory.errors import ClockError


def clock_difference(before: Instant, cluster: Instant, after: Instant) -> int:
    """Seconds that this machine is ahead of slurmctld, which answered between ``before`` and ``after``.

    0 where slurmctld's time lies between the two.

    >>> clock_difference(100, 101, 102), clock_difference(100, 90, 102), clock_difference(100, 110, 102)
    (0, 10, -8)
    """
    return max(0, before - cluster) - max(0, cluster - after)


def check_clock(before: Instant, cluster: Instant, after: Instant, *, tolerance: int, longest: int) -> None:
    """Raise ClockError unless this machine's clock agrees with slurmctld's.

    ``longest`` is the most seconds that the question can take: a longer one means that the clock was set.
    """
    if not 0 <= after - before <= longest:
        raise ClockError(
            f"this machine's clock was set from {iso(before)} to {iso(after)} while saf asked slurmctld for "
            "its time; nothing is read until both agree"
        )
    ahead = clock_difference(before, cluster, after)
    if abs(ahead) > tolerance:
        raise ClockError(
            f"this machine's clock is {abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} slurmctld's "
            f"({iso(after)}, slurmctld has {iso(cluster)}); nothing is read until they agree to within "
            f"{tolerance} s: see `chronyc tracking` on both hosts, and slurm.clock_tolerance"
        )


def check_newest_read(newest: Instant | None, now: Instant, *, tolerance: int) -> None:
    """Raise ClockError where the newest read ends after slurmctld's time."""
    if newest is not None and newest - now > tolerance:
        raise ClockError(
            f"the newest read ends at {iso(newest)}, after slurmctld's time {iso(now)}: its clock was wrong; "
            f"withdraw it: saf ledger withdraw --since {iso(now)} --reason 'wrong clock'"
        )
