"""Health gates: what must be true of Slurm before anything is steered on its answers.

The rule: a hold is for what would make a write useless or based on broken numbers. ``saf doctor`` reports
what only makes the control slower or blunter, and holds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from slurm_ai_factory.core.records import HOUR, Hold, Instant, LeverKind, PriorityConfig

AGENT_QUEUE_MOST = 100
"""More undelivered messages to slurmdbd than this mean that accounting lags; a healthy slurmctld has 0."""

BACKFILL_SILENCE = HOUR
"""While jobs wait, every PriorityCalcPeriod gives backfill a reason to run: so long without it is a fault."""


class Diagnostics(NamedTuple):
    """The state of slurmctld (sdiag)."""

    at: Instant  #: slurmctld's clock
    agent_queue: int  #: undelivered messages to slurmdbd
    backfill_last_at: Instant | None  #: None where it never ran, or is not in use
    backfill_depth: int | None  #: jobs that it tried in its last cycle, limited ones included
    backfill_queue: int | None  #: jobs that it could have tried


ALWAYS_TRACKED = frozenset({"cpu", "mem", "energy", "node", "billing"})


OF_FAIRSHARE = frozenset({"limits_not_enforced", "no_fair_tree", "no_fairshare_weight"})
"""What is a fault only where Slurm's own usage and shares order the jobs."""


def holds(
    diagnostics: Diagnostics,
    priority: PriorityConfig,
    resource: Iterable[str],
    waiting: bool,
    lever: LeverKind = LeverKind.ACCOUNT,
) -> tuple[Hold, ...]:
    """Every reason not to steer by this lever now.

    ``resource`` has the TRES of the promise; ``waiting`` says whether any job waits that could start.
    """
    every = (*_of_configuration(priority, resource), *_of_scheduler(diagnostics, waiting))
    return tuple(hold for hold in every if lever is LeverKind.ACCOUNT or hold.reason not in OF_FAIRSHARE)


def _of_configuration(priority: PriorityConfig, resource: Iterable[str]) -> Iterator[Hold]:
    if missing := untracked(priority, resource):
        yield Hold(
            "resource_untracked",
            f"AccountingStorageTRES lacks {', '.join(missing)}, so no such charge is recorded and nothing "
            "can be steered on it; correct the resource with `saf promise set`",
        )
    if not limits_enforced(priority):
        yield Hold(
            "limits_not_enforced",
            f"AccountingStorageEnforce is {','.join(priority.enforce) or 'none'}, without limits: jobs that "
            "start and end between two priority calculations are never charged, so Slurm's usage is wrong",
        )
    if "INCR_ONLY" in priority.flags:
        yield Hold("incr_only", "PriorityFlags has INCR_ONLY: no waiting job's priority can go down")
    if "NO_FAIR_TREE" in priority.flags:
        yield Hold(
            "no_fair_tree",
            "PriorityFlags has NO_FAIR_TREE: the classic algorithm is graded where the law expects an order",
        )
    if not priority.weight_fairshare:
        yield Hold("no_fairshare_weight", "PriorityWeightFairshare is 0: RawShares do not order the queue")


def _of_scheduler(diagnostics: Diagnostics, waiting: bool) -> Iterator[Hold]:
    if diagnostics.agent_queue > AGENT_QUEUE_MOST:
        yield Hold(
            "agent_queue",
            f"slurmctld has {diagnostics.agent_queue} messages that it could not deliver to slurmdbd, so "
            "accounting lags; see whether slurmdbd runs",
        )
    if waiting and (silence := backfill_silence(diagnostics)) > BACKFILL_SILENCE:
        yield Hold("scheduler_stalled", f"jobs wait, and backfill last ran {silence} s ago; see sdiag")


def untracked(priority: PriorityConfig, resource: Iterable[str]) -> list[str]:
    """The TRES of a resource that Slurm does not track."""
    return sorted(set(resource) - ALWAYS_TRACKED - set(priority.tres))


def limits_enforced(priority: PriorityConfig) -> bool:
    """Whether slurmctld charges the end of jobs; ``safe`` includes ``limits`` (_adjust_limit_usage)."""
    return not {"limits", "safe", "all"}.isdisjoint(priority.enforce)


def backfill_silence(diagnostics: Diagnostics) -> int:
    """Seconds since backfill last ran; 0 where it is not known to be in use."""
    last = diagnostics.backfill_last_at
    return 0 if last is None else max(0, diagnostics.at - last)
