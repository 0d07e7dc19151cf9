"""The live queue, its priorities and slurmctld's own health, read once a cycle.

Each read is whole or raises. Priorities are asked for only where there are any: under another plugin than
priority/multifactor sprio is an error, and the control law has its own hold for that.

Tested in tests/end_to_end/test_signals.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from slurm_ai_factory.config import Config
from slurm_ai_factory.core.live import authority, health
from slurm_ai_factory.core.live.cross_check import InQueue
from slurm_ai_factory.core.live.demand import ALLOCATED, Demand, Queued, Standing, demand, job_standing
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.records import Hold, Inputs, Instant, PriorityConfig, Subject
from slurm_ai_factory.core.rules.classify import Beneficiary, Rules
from slurm_ai_factory.ledger import Ledger, Usual
from slurm_ai_factory.source import Source

NOTHING_ENDED = Usual({}, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """The answers of squeue, sprio and sdiag at one instant."""

    demand: Demand
    authority: float | None  #: None when a side has nothing waiting
    diagnostics: Diagnostics
    queue: Sequence[Queued]
    listed: InQueue  #: the jobs that squeue listed
    holds: tuple[Hold, ...]
    horizon_seconds: int
    limited: bool  #: whether our reservation keeps nodes free, and no other one is there

    def backlog(self, size: float) -> float:
        """Resource-seconds that waiting regional jobs may be expected to use.

        ``size`` is how much of the resource is up, 0 where that is not known: no backlog is more than all of
        it until the horizon.
        """
        waiting = self.demand.sum(Beneficiary.REGIONAL, Standing.WAITING)
        return min(size * self.horizon_seconds or inf, float(waiting.charge))

    def _regional(self, standing: Standing) -> float:
        """How much of the resource regional jobs of a standing request or hold."""
        return float(self.demand.sum(Beneficiary.REGIONAL, standing).amount)

    def inputs(self, size: float) -> Inputs:
        """What a decision records: amounts of the promise's resource; TRES-seconds for the backlog."""
        return {
            "authority": self.authority,
            "regional_demand": self._regional(Standing.WAITING),
            "regional_backlog_charge": self.backlog(size),
            "regional_held_by_grid": self._regional(Standing.HELD_BY_GRID),
            "regional_held_by_limit": self._regional(Standing.HELD_BY_LIMIT),
            "regional_running_now": self._regional(Standing.RUNNING),
            "jobs_of_unknown_standing": sum(self.demand.unknown.values()),
        }


def signals_now(
    slurm: Source,
    config: Config,
    priority: PriorityConfig,
    rules: Rules,
    usual_seconds: Mapping[str, float],
    diagnose: Callable[[], Diagnostics],
    *,
    limited: bool = False,
) -> Signals:
    """Ask slurmctld, one thing at a time; now is what its clock says after the queue.

    ``limited`` says whether our reservation keeps nodes free, and no other one is there.

    ``usual_seconds`` is how long each user's runs take, where that is known. Raises SlurmError, and what
    ``diagnose`` raises, which asks for slurmctld's diagnostics.
    """
    queue, diagnostics = slurm.queue(), diagnose()
    now = diagnostics.at
    wanted = demand_of(config, queue, rules, now, usual_seconds, limited)
    regional = {job: who is Beneficiary.REGIONAL for job, who in wanted.waiting_jobs.items()}
    terms = slurm.priority_terms() if priority.priority_type == "priority/multifactor" else ()
    return Signals(
        demand=wanted,
        authority=authority.index(terms, regional),
        diagnostics=diagnostics,
        queue=queue,
        listed=InQueue(
            {row.job_id for row in queue if job_standing(row, now) in ALLOCATED},
            {row.job_id for row in queue},
        ),
        holds=health.holds(
            diagnostics, priority, config.promise.resource.weights, bool(regional), config.control.lever
        ),
        horizon_seconds=config.control.horizon,
        limited=limited,
    )


def demand_of(
    config: Config,
    queue: Sequence[Queued],
    rules: Rules,
    now: Instant,
    usual_seconds: Mapping[str, float],
    limited: bool,
) -> Demand:
    """The queue's demand in the resource of the promise and by its sides."""
    promise = config.promise_of()

    def side(subject: Subject) -> Beneficiary:
        classification = rules.mostly(subject, now)
        # Of a share that it is no part of, a job is on nobody's side, but it waits like the others.
        return promise.side(classification.beneficiary, classification.promises) or Beneficiary.NON_REGIONAL

    weights, horizon = promise.resource.weights, config.control.horizon
    return demand(queue, side, weights, now, horizon, usual_seconds, limited=limited)


def signals_beside(
    signals: Signals, config: Config, priority: PriorityConfig, rules: Rules, usual: Usual
) -> Signals:
    """The same answers of Slurm, as they concern a further promise; ``config`` is under its term."""
    at = signals.diagnostics.at
    wanted = demand_of(config, signals.queue, rules, at, usual.seconds, signals.limited)
    weights = config.promise.resource.weights
    waiting = Beneficiary.REGIONAL in wanted.waiting_jobs.values()
    return replace(
        signals, demand=wanted, holds=health.holds(signals.diagnostics, priority, weights, waiting)
    )


def usual_runs(ledger: Ledger, config: Config, now: Instant) -> Usual:
    """How long the runs took that ended lately, and what they were charged in the promise's resource."""
    weights = config.promise.resource.weights
    lately = (ledger.accounting.usual(*interval, weights) for interval in share.lately(now))
    return next((usual for usual in lately if usual.seconds), NOTHING_ENDED)
