"""Demand from the live queue: what waits and could start, what runs, and what is neither, by beneficiary.

The rule: a job is demand only where Slurm itself says that it lacks nothing but its turn or free nodes. One
table decides that for every state and reason. A word that the table lacks is counted apart and reported: it
is neither demand nor silently nothing. Counts are of one resource, as for charges, so a job that wants none
of it is not demand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, lru_cache
from typing import NamedTuple

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.measure.share import counter
from slurm_ai_factory.core.records import Charge, Instant, Subject
from slurm_ai_factory.core.rules.classify import Beneficiary


class Standing(StrEnum):
    """The position of a job in the queue."""

    WAITING = "waiting"  #: would start if nodes were free or if it came first: this is demand
    RUNNING = "running"  #: has its nodes
    SUSPENDED = "suspended"  #: has its nodes and does not run
    HELD = "held"  #: by its user or an administrator
    DEPENDENT = "dependent"  #: on another job
    LATER = "later"  #: not eligible yet: a begin time, or a requeued job that is being cleaned up
    LIMITED = "limited"  #: by the limit of its own array
    BLOCKED = "blocked"  #: cannot start as it was submitted
    RESERVED = "reserved"  #: waits for a reservation
    UNAVAILABLE = "unavailable"  #: waits for nodes or other things that are not available now
    HELD_BY_LIMIT = "held_by_limit"  #: by a bound that Slurm enforces, whatever the job's priority
    HELD_BY_GRID = "held_by_grid"  #: waits for nodes that saf keeps free while less power is allowed
    ELSEWHERE = "elsewhere"  #: belongs to another cluster
    FAILED = "failed"  #: its last try failed and Slurm has not tried it since
    UNKNOWN = "unknown"  #: Slurm's word for it is not in the table


ALLOCATED = frozenset({Standing.RUNNING, Standing.SUSPENDED})
"""The standings of jobs that have nodes."""

BY_REASON = frozenset({"PENDING", "REQUEUED", "EXPEDITING"})
"""States of jobs that queue for nodes: their reason gives their standing."""

OF_STATE: Mapping[str, Standing] = {
    "RUNNING": Standing.RUNNING,
    "COMPLETING": Standing.RUNNING,
    "CONFIGURING": Standing.RUNNING,
    "POWER_UP_NODE": Standing.RUNNING,
    "RESIZING": Standing.RUNNING,
    "SIGNALING": Standing.RUNNING,
    "STAGE_OUT": Standing.RUNNING,
    "STOPPED": Standing.RUNNING,
    "SUSPENDED": Standing.SUSPENDED,
    "REQUEUE_HOLD": Standing.HELD,
    "SPECIAL_EXIT": Standing.HELD,
    "RESV_DEL_HOLD": Standing.HELD,
    "REQUEUE_FED": Standing.ELSEWHERE,
    "REVOKED": Standing.ELSEWHERE,
}
"""The other states, and the flags that squeue prints in their place (Slurm 22.05 to 26.05)."""

OF_REASON: Mapping[str, Standing] = {
    "None": Standing.WAITING,
    "Priority": Standing.WAITING,
    "Resources": Standing.WAITING,
    "SchedDefer": Standing.WAITING,
    "Nodes required for job are DOWN": Standing.WAITING,
    "JobHeld*": Standing.HELD,
    "JobHoldMaxRequeue": Standing.HELD,
    "Dependency*": Standing.DEPENDENT,
    "BeginTime": Standing.LATER,
    "Cleaning": Standing.LATER,
    "Prolog": Standing.LATER,
    "JobArrayTaskLimit": Standing.LIMITED,
    "AccountingPolicy": Standing.HELD_BY_LIMIT,
    "Assoc*": Standing.HELD_BY_LIMIT,
    "QOSNotAllowed": Standing.BLOCKED,
    "QOS*": Standing.HELD_BY_LIMIT,
    "MaxMemPerLimit": Standing.BLOCKED,
    "Max*": Standing.HELD_BY_LIMIT,
    "Licenses": Standing.HELD_BY_LIMIT,
    "PartitionDown": Standing.BLOCKED,
    "PartitionInactive": Standing.BLOCKED,
    "PartitionNodeLimit": Standing.BLOCKED,
    "PartitionTimeLimit": Standing.BLOCKED,
    "PartitionConfig": Standing.BLOCKED,
    "BadConstraints": Standing.BLOCKED,
    "Constraints": Standing.BLOCKED,
    "DeadLine": Standing.BLOCKED,
    "InvalidAccount": Standing.BLOCKED,
    "InvalidQOS": Standing.BLOCKED,
    "AccountNotAllowed": Standing.BLOCKED,
    "Reservation*": Standing.RESERVED,
    "ReqNodeNotAvail": Standing.UNAVAILABLE,
    "NodeDown": Standing.UNAVAILABLE,
    "FrontEndDown": Standing.UNAVAILABLE,
    "PowerNotAvail": Standing.UNAVAILABLE,
    "PowerReserved": Standing.UNAVAILABLE,
    "MpiPortsBusy": Standing.UNAVAILABLE,
    "NvidiaImexChannels": Standing.UNAVAILABLE,
    "Block*": Standing.UNAVAILABLE,
    "BurstBuffer*": Standing.UNAVAILABLE,
    "FedJobLock": Standing.ELSEWHERE,
    "SystemFailure": Standing.FAILED,
    "JobLaunchFailure": Standing.FAILED,
    "NonZeroExitCode": Standing.FAILED,
    "RaisedSignal": Standing.FAILED,
    "TimeLimit": Standing.FAILED,
    "InactiveLimit": Standing.FAILED,
    "OutOfMemory": Standing.FAILED,
}
"""The standing for every reason of Slurm 22.05 to 26.05 (job_state_reason.c); * is any ending.

A job that waits for a hierarchical resource may have the reason Resources (mode 3, on 26.05.5). Where
partitions share nodes, squeue prints ``Nodes required for job are DOWN, DRAINED or reserved for jobs in
higher priority partitions`` instead of Resources; with every node up it means no more than that.
"""

BY_RESERVATION = (
    "ReqNodeNotAvail, May be reserved for other job",
    "ReqNodeNotAvail, Reserved for maintenance",
)
"""Reasons of jobs that wait for reserved nodes; held by the grid where the only reservation is ours, else by
the bound that another reservation is."""

_PREFIXES = tuple((word[:-1], standing) for word, standing in OF_REASON.items() if word.endswith("*"))


class Queued(NamedTuple):
    """A row of squeue: a job, or the tasks of an array that wait together."""

    job_id: int
    array_id: int | None  #: of the array it belongs to
    tasks: int  #: waiting tasks in this row; 1 for a single job
    task_limit: int | None  #: how many tasks of the array may run at once
    het_id: int | None  #: of the heterogeneous job it is a component of
    subject: Subject  #: ``partition`` has commas where the job may start in any of several
    state: str
    reason: str
    priority: int
    eligible_at: Instant | None
    limit_seconds: int | None  #: None where there is no limit, or only its partition's
    tres: str  #: of one task: allocated, or wanted while it waits


class Pool(NamedTuple):
    """What jobs compete for: a job that waits for GPUs is not demand for free CPUs."""

    partition: str  #: all the partitions a job may start in, in alphabetical order
    gres: str  #: kinds of GRES, as ``gpu`` or ``gpu:a100``; empty for none


class PoolDemand(NamedTuple):
    """The sums of jobs with the same standing."""

    jobs: int = 0  #: array tasks counted one by one
    amount: tres.Count = 0  #: of the resource
    charge: Charge = 0  #: resource-seconds, for as long as they are expected to run

    def plus(self, other: PoolDemand) -> PoolDemand:
        """Both together."""
        return PoolDemand(self.jobs + other.jobs, self.amount + other.amount, self.charge + other.charge)


DemandKey = tuple[Beneficiary, Standing, Pool]
Sides = Callable[[Subject], Beneficiary]


@dataclass(frozen=True, slots=True)
class Demand:
    """The queue at one instant, in one resource."""

    cells: Mapping[DemandKey, PoolDemand] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)  #: words the table lacks, with their jobs
    waiting_jobs: Mapping[int, Beneficiary] = field(default_factory=dict)  #: JobID of each row that is demand
    waiting_users: frozenset[tuple[str, str]] = frozenset()  #: account and user of those rows

    def sum(self, beneficiary: Beneficiary, *standings: Standing) -> PoolDemand:
        """The sum over all pools."""
        total = PoolDemand()
        for (who, standing, _), cell in self.cells.items():
            if who == beneficiary and standing in standings:
                total = total.plus(cell)
        return total

    def pools(self, beneficiary: Beneficiary, standing: Standing) -> dict[Pool, PoolDemand]:
        """The demand of each pool, in order of the pools."""
        wanted = beneficiary, standing
        return dict(sorted((pool, cell) for (*key, pool), cell in self.cells.items() if tuple(key) == wanted))


def job_standing(job: Queued, now: Instant, *, limited: bool = False) -> Standing:
    """The standing of a row at ``now``: by the table, unless priority or eligible time keep Slurm from it.

    ``limited`` as in ``demand``.
    """
    if job.state not in BY_REASON:
        return OF_STATE.get(job.state, Standing.UNKNOWN)
    if job.reason.replace("_", " ").startswith(BY_RESERVATION) and job.priority:
        return Standing.HELD_BY_GRID if limited else Standing.HELD_BY_LIMIT
    standing = reason_standing(job.reason)
    if job.priority == 0 and standing in (Standing.WAITING, Standing.UNKNOWN):
        return Standing.HELD
    if standing is Standing.WAITING and (job.eligible_at is None or job.eligible_at > now):
        return Standing.LATER
    return standing


def reason_standing(text: str) -> Standing:
    """The standing for a reason. Slurm adds the nodes it lacks, and writes blanks as underscores.

    >>> reason_standing("ReqNodeNotAvail, UnavailableNodes:n1")
    <Standing.UNAVAILABLE: 'unavailable'>
    >>> reason_standing("Nodes_required_for_job_are_DOWN,_DRAINED_or")
    <Standing.WAITING: 'waiting'>
    """
    word = text.partition(",")[0].partition(":")[0].replace("_", " ").strip()
    if word in OF_REASON and not word.endswith("*"):
        return OF_REASON[word]
    return next((standing for prefix, standing in _PREFIXES if word.startswith(prefix)), Standing.UNKNOWN)


def demand(
    rows: Sequence[Queued],
    sides: Sides,
    weights: Mapping[str, tres.Count],
    now: Instant,
    horizon_seconds: int,
    usual_seconds: Mapping[str, float],
    *,
    limited: bool = False,
) -> Demand:
    """Sum a queue; ``usual_seconds`` is how long each user's runs take, where that is known.

    ``limited`` says whether the only reservation is the one by which saf keeps nodes free: jobs that wait for
    reserved nodes are then held by the grid.

    A job that squeue lists once for each of its partitions is counted once, by its first row. Of a waiting
    array, the tasks that its limit lets start beside the running ones wait, and the others are limited. All
    components of a heterogeneous job start together or not at all, so they all have the standing of the first
    one that does not wait.
    """
    first: dict[int, Queued] = {}
    for job in rows:
        first.setdefault(job.job_id, job)
    rows = list(first.values())
    standings = _together(rows, [job_standing(job, now, limited=limited) for job in rows])
    room = _room(rows, standings)
    counts, side = counter(weights), cache(lambda subject: _side(subject, sides))
    cells: dict[DemandKey, PoolDemand] = {}
    unknown: Counter[str] = Counter()
    waiting: dict[int, Beneficiary] = {}
    for job, standing in zip(rows, standings, strict=True):
        beneficiary = side(job.subject)
        if standing is Standing.UNKNOWN:
            unknown[job.reason if job.state in BY_REASON else job.state] += job.tasks
        for each, tasks in _split(job, standing, room):
            if each is Standing.WAITING:
                waiting[job.job_id] = beneficiary
            key = beneficiary, each, _pool(job.subject.partition, job.tres)
            amount, seconds = tasks * counts(job.tres), _seconds(job, horizon_seconds, usual_seconds)
            cells[key] = cells.get(key, PoolDemand()).plus(PoolDemand(tasks, amount, amount * seconds))
    users = frozenset((job.subject.account, job.subject.user) for job in rows if job.job_id in waiting)
    return Demand(cells, unknown, waiting, users)


def _side(subject: Subject, sides: Sides) -> Beneficiary:
    """Who a job in one or several partitions is for: unclassified if that depends on where it will start."""
    each = {sides(subject._replace(partition=name)) for name in subject.partition.split(",")}
    return each.pop() if len(each) == 1 else Beneficiary.UNCLASSIFIED


def _together(rows: Sequence[Queued], standings: Sequence[Standing]) -> list[Standing]:
    """The standings, with one for all components of a heterogeneous job."""
    obstacles: dict[int | None, Standing] = {}
    for job, standing in zip(rows, standings, strict=True):
        if job.het_id is not None and standing is not Standing.WAITING:
            obstacles.setdefault(job.het_id, standing)
    return [
        obstacles.get(job.het_id, standing) if standing is Standing.WAITING else standing
        for job, standing in zip(rows, standings, strict=True)
    ]


def _room(rows: Sequence[Queued], standings: Sequence[Standing]) -> dict[int, int]:
    """How many more tasks each limited array may start."""
    pairs = zip(rows, standings, strict=True)
    active = Counter(job.array_id for job, standing in pairs if standing in ALLOCATED)
    return {
        job.array_id: max(0, job.task_limit - active[job.array_id])
        for job in rows
        if job.array_id is not None and job.task_limit is not None
    }


def _split(job: Queued, standing: Standing, room: dict[int, int]) -> Iterable[tuple[Standing, int]]:
    """The row's tasks by standing; takes those that may start from the room of its array."""
    if standing is not Standing.WAITING or job.array_id not in room:
        return ((standing, job.tasks),)
    starting = min(job.tasks, room[job.array_id])
    room[job.array_id] -= starting
    parts = (Standing.WAITING, starting), (Standing.LIMITED, job.tasks - starting)
    return tuple((each, tasks) for each, tasks in parts if tasks)


def _seconds(job: Queued, horizon_seconds: int, usual_seconds: Mapping[str, float]) -> int:
    """How long a job is expected to run: the least of its limit, its user's usual run and the horizon."""
    limit = horizon_seconds if job.limit_seconds is None else job.limit_seconds
    return round(min(limit, usual_seconds.get(job.subject.user, limit), horizon_seconds))


@lru_cache(maxsize=65536)
def _pool(partition: str, wanted: str) -> Pool:
    """The pool of a job. Of the kinds ``gpu`` and ``gpu:a100`` it has only the typed one."""
    kinds = [name.removeprefix("gres/") for name in tres.parse_tres(wanted) if name.startswith("gres/")]
    typed = {kind.partition(":")[0] for kind in kinds if ":" in kind}
    exact = sorted(kind for kind in kinds if kind not in typed)
    return Pool(",".join(sorted(partition.split(","))), ",".join(exact))
