"""What Slurm says of now, read once for each cycle: the queue, its priorities, and slurmctld's own health.

Each read is whole or raises. Priorities are asked for only where there are any: under another plugin than
priority/multifactor sprio is an error, and the control law has its own hold for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

from slurm_ai_factory.core.control.controller import Inputs
from slurm_ai_factory.core.live import authority, health
from slurm_ai_factory.core.live.cross_check import InQueue
from slurm_ai_factory.core.live.demand import ALLOCATED, Demand, Standing, demand, job_standing
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.core.records import Hold, PriorityConfig
from slurm_ai_factory.core.rules.classify import Beneficiary, Rules
from slurm_ai_factory.core.tres import Count
from slurm_ai_factory.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What the queue and slurmctld said at one instant."""

    demand: Demand
    authority: float | None  #: None when a side has nothing waiting
    diagnostics: Diagnostics
    listed: InQueue  #: the jobs that squeue listed
    holds: tuple[Hold, ...]
    horizon_seconds: int

    def backlog(self, size: float) -> float:
        """Resource-seconds that waiting regional jobs may be expected to use.

        ``size`` is how much of the resource is up, 0 where that is not known: no backlog is more than all of
        it until the horizon.
        """
        waiting = self.demand.sum(Beneficiary.REGIONAL, Standing.WAITING)
        return min(size * self.horizon_seconds or inf, float(waiting.charge))

    def inputs(self, size: float) -> Inputs:
        """What a decision records of them; in the control resource, and its TRES-seconds for the backlog."""
        waiting = self.demand.sum(Beneficiary.REGIONAL, Standing.WAITING)
        return {
            "authority": self.authority,
            "regional_demand": float(waiting.amount),
            "regional_backlog_charge": self.backlog(size),
            "regional_running_now": float(self.demand.sum(Beneficiary.REGIONAL, Standing.RUNNING).amount),
            "jobs_of_unknown_standing": sum(self.demand.unknown.values()),
        }


def signals_now(
    slurm: Source,
    priority: PriorityConfig,
    rules: Rules,
    weights: Mapping[str, Count],
    horizon_seconds: int,
    usual_seconds: Mapping[str, float],
    diagnose: Callable[[], Diagnostics],
) -> Signals:
    """Ask slurmctld, one thing at a time; now is what its clock says after the queue.

    Raises SlurmError, and what ``diagnose`` raises, which asks for slurmctld's diagnostics.
    """
    queue, diagnostics = slurm.queue(), diagnose()
    found = demand(
        queue,
        lambda one: rules.mostly(one, diagnostics.at).beneficiary,
        weights,
        diagnostics.at,
        horizon_seconds,
        usual_seconds,
    )
    regional = {job: who is Beneficiary.REGIONAL for job, who in found.waiting_jobs.items()}
    terms = slurm.priority_terms() if priority.priority_type == "priority/multifactor" else ()
    return Signals(
        demand=found,
        authority=authority.index(terms, regional),
        diagnostics=diagnostics,
        listed=InQueue(
            {one.job_id for one in queue if job_standing(one, diagnostics.at) in ALLOCATED},
            {one.job_id for one in queue},
        ),
        holds=health.holds(diagnostics, priority, weights, bool(regional)),
        horizon_seconds=horizon_seconds,
    )
