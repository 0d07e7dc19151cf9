"""Charge of whole hours, added up while the daemon runs: what the counters of /metrics show. Pure.

The rule: each hour is added once, when it is over, as it is known then. So a tally never falls, whatever
window is measured and whatever is corrected later; docs/decisions/0013 has the reasons.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import fsum
from typing import NamedTuple

from slurm_ai_factory.core.charge import hour_of
from slurm_ai_factory.core.measure.share import hours_since, starved
from slurm_ai_factory.core.records import Hour, Instant, Measurement


class Tallied(NamedTuple):
    """Resource-seconds."""

    regional: float = 0.0
    non_regional: float = 0.0
    unclassified: float = 0.0
    waiting: float = 0.0
    starved: float = 0.0
    capacity: float = 0.0


@dataclass(frozen=True, slots=True)
class Tally:
    """The sums of the hours from the daemon's first cycle up to ``until``, in one resource."""

    resource: str
    until: Instant
    sums: Tallied = field(default_factory=Tallied)

    def plus(self, m: Measurement) -> Tally:
        """With the hours of a measurement that are over and not in the sums yet.

        Another resource starts a new tally: its seconds cannot be added to those of the one before.
        """
        until = hour_of(min(m.as_of, m.window.until))
        if m.resource.name != self.resource:
            return Tally(m.resource.name, until)
        added = (_sums(hour, m.target_share) for hour in hours_since(m, self.until) if hour.at < until)
        sums = Tallied(*map(fsum, zip(self.sums, *added, strict=True)))
        return Tally(self.resource, max(self.until, until), sums)


def _sums(hour: Hour, target_share: float) -> Tallied:
    """One hour; rounding of a sum that is 0 may leave it below that."""
    rest = hour.total - hour.regional - hour.unclassified
    lacked = starved([hour], target_share)
    known = hour.regional, rest, hour.unclassified, hour.regional_waiting, lacked, hour.capacity
    return Tallied(*(max(0.0, charge) for charge in known))
