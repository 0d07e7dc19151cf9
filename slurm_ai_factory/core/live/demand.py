"""Demand from the live queue: what waits and could start, what runs, and what is neither, by beneficiary.

The rule: a job is demand only where Slurm itself says that nothing but its turn or the space for it is
missing. One table says so for every state and reason. A word that the table does not have is counted apart
and told: it is neither demand nor silently nothing. Counts are of one resource, as for charges, so a job
that wants none of it is no demand for it.
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
    """Where a job in the queue stands."""

    WAITING = "waiting"  #: could start if there were room or it came first: this is demand
    RUNNING = "running"  #: has its nodes
    SUSPENDED = "suspended"  #: has its nodes and does not run
    HELD = "held"  #: by its user or an administrator
    DEPENDENT = "dependent"  #: on another job
    LATER = "later"  #: not eligible yet: a begin time, or a requeued job that is being cleaned up
    LIMITED = "limited"  #: by a limit of its association, its QOS or its own array
    BLOCKED = "blocked"  #: cannot start as it was submitted
    RESERVED = "reserved"  #: waits for a reservation
    UNAVAILABLE = "unavailable"  #: waits for nodes or for other things than compute that are not there now
    ELSEWHERE = "elsewhere"  #: is another cluster's
    FAILED = "failed"  #: its last try failed and Slurm has not looked at it since
    UNKNOWN = "unknown"  #: the table does not know Slurm's word for it


ALLOCATED = frozenset({Standing.RUNNING, Standing.SUSPENDED})
"""Of jobs that have nodes."""

BY_REASON = frozenset({"PENDING", "REQUEUED", "EXPEDITING"})
"""States of jobs that are in the queue for nodes: their reason says where they stand."""

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
    "AccountingPolicy": Standing.LIMITED,
    "Assoc*": Standing.LIMITED,
    "QOSNotAllowed": Standing.BLOCKED,
    "QOS*": Standing.LIMITED,
    "Max*": Standing.LIMITED,
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
    "Licenses": Standing.UNAVAILABLE,
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
"""Every reason of Slurm 22.05 to 26.05 (job_state_reason.c) and where such a job stands; * is any ending.

``Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions`` is what squeue
prints instead of Resources where partitions share nodes; with every node up it means no more than that.
"""

_PREFIXES = tuple((word[:-1], standing) for word, standing in OF_REASON.items() if word.endswith("*"))


class Queued(NamedTuple):
    """A row of squeue: a job, or the tasks of an array that wait together."""

    job_id: int
    array_id: int | None  #: of the array it belongs to
    tasks: int  #: waiting tasks in this row; 1 for what is no array
    task_limit: int | None  #: how many tasks of the array may run at once
    het_id: int | None  #: of the heterogeneous job it is a component of
    subject: Subject  #: ``partition`` has commas where the job may start in any of several
    state: str
    reason: str
    priority: int
    eligible_at: Instant | None
    limit_seconds: int | None  #: None where there is no limit, or only its partition's
    tres: str  #: allocated, or wanted while it waits: of one task


class Pool(NamedTuple):
    """What jobs compete for among themselves: waiting for GPUs is no demand for free CPUs."""

    partition: str  #: all the partitions a job may start in, in alphabetical order
    gres: str  #: kinds of GRES, as ``gpu`` or ``gpu:a100``; empty for none


class PoolDemand(NamedTuple):
    """Jobs that stand alike."""

    jobs: int = 0  #: array tasks counted one by one
    amount: tres.Count = 0  #: of the resource
    charge: Charge = 0  #: resource-seconds, for as long as they may be expected to run

    def plus(self, other: PoolDemand) -> PoolDemand:
        return PoolDemand(self.jobs + other.jobs, self.amount + other.amount, self.charge + other.charge)


DemandKey = tuple[Beneficiary, Standing, Pool]
Sides = Callable[[Subject], Beneficiary]


@dataclass(frozen=True, slots=True)
class Demand:
    """The queue at one instant, in one resource."""

    cells: Mapping[DemandKey, PoolDemand] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)  #: words the table lacks, with their jobs
    waiting_jobs: Mapping[int, Beneficiary] = field(default_factory=dict)  #: JobID of each row that is demand
    waiting_accounts: frozenset[str] = frozenset()  #: of those rows

    def sum(self, beneficiary: Beneficiary, *standings: Standing) -> PoolDemand:
        """Over all pools."""
        return _total(
            value for (who, standing, _), value in self.cells.items()
            if who == beneficiary and standing in standings
        )  # fmt: skip

    def pools(self, beneficiary: Beneficiary, standing: Standing) -> dict[Pool, PoolDemand]:
        """By pool."""
        found = {pool: v for (who, s, pool), v in self.cells.items() if who == beneficiary and s == standing}
        return dict(sorted(found.items()))


def _total(sums: Iterable[PoolDemand]) -> PoolDemand:
    found = PoolDemand()
    for one in sums:
        found = found.plus(one)
    return found


def job_standing(one: Queued, now: Instant) -> Standing:
    """Where a row stands at ``now``, by the table and by whether Slurm would look at it at all."""
    if one.state not in BY_REASON:
        return OF_STATE.get(one.state, Standing.UNKNOWN)
    found = _of_reason(one.reason)
    if one.priority == 0 and found in (Standing.WAITING, Standing.UNKNOWN):
        return Standing.HELD
    if found is Standing.WAITING and (one.eligible_at is None or one.eligible_at > now):
        return Standing.LATER
    return found


def _of_reason(text: str) -> Standing:
    word = _word(text)
    if word in OF_REASON and not word.endswith("*"):
        return OF_REASON[word]
    return next((found for prefix, found in _PREFIXES if word.startswith(prefix)), Standing.UNKNOWN)


def _word(text: str) -> str:
    """What a description begins with: Slurm adds the nodes it misses, and writes blanks as underscores.

    >>> _word("ReqNodeNotAvail, UnavailableNodes:n1"), _word("Nodes_required_for_job_are_DOWN,_DRAINED_or")
    ('ReqNodeNotAvail', 'Nodes required for job are DOWN')
    """
    return text.partition(",")[0].partition(":")[0].replace("_", " ").strip()


def demand(
    rows: Sequence[Queued],
    sides: Sides,
    weights: Mapping[str, tres.Count],
    now: Instant,
    horizon_seconds: int,
    usual_seconds: Mapping[str, float],
) -> Demand:
    """Sum a queue; ``usual_seconds`` is how long each user's runs take, where that is known.

    A job that squeue lists once for each of its partitions is counted once. A waiting array stands for the
    tasks its limit lets start beside those that run; of the others it is told that they are limited. All
    components of a heterogeneous job start together or not at all, so they all stand where the first one
    stands that does not wait.
    """
    rows = _once(rows)
    stands = _together(rows, [job_standing(one, now) for one in rows])
    room = _room(rows, stands)
    counts, side = counter(weights), cache(lambda subject: _side(subject, sides))
    cells: dict[DemandKey, PoolDemand] = {}
    unknown: Counter[str] = Counter()
    waiting: dict[int, Beneficiary] = {}
    for one, found in zip(rows, stands, strict=True):
        beneficiary = side(one.subject)
        if found is Standing.UNKNOWN:
            unknown[one.reason if one.state in BY_REASON else one.state] += one.tasks
        for each, tasks in _split(one, found, room):
            if each is Standing.WAITING:
                waiting[one.job_id] = beneficiary
            cell = beneficiary, each, _pool(one.subject.partition, one.tres)
            amount, seconds = tasks * counts(one.tres), _seconds(one, horizon_seconds, usual_seconds)
            cells[cell] = cells.get(cell, PoolDemand()).plus(PoolDemand(tasks, amount, amount * seconds))
    accounts = frozenset(one.subject.account for one in rows if one.job_id in waiting)
    return Demand(cells, unknown, waiting, accounts)


def _once(rows: Sequence[Queued]) -> list[Queued]:
    """Each job where it stands first, and as it is told there."""
    found: dict[int, Queued] = {}
    for one in rows:
        found.setdefault(one.job_id, one)
    return list(found.values())


def _side(subject: Subject, sides: Sides) -> Beneficiary:
    """Who a job is for that may start in any of several partitions: unclassified if that depends on which."""
    each = {sides(subject._replace(partition=one)) for one in subject.partition.split(",")}
    return each.pop() if len(each) == 1 else Beneficiary.UNCLASSIFIED


def _together(rows: Sequence[Queued], stands: Sequence[Standing]) -> list[Standing]:
    """The standings, where the components of a heterogeneous job share one."""
    obstacles: dict[int, Standing] = {}
    for one, found in zip(rows, stands, strict=True):
        if one.het_id is not None and found is not Standing.WAITING:
            obstacles.setdefault(one.het_id, found)
    return [
        obstacles.get(one.het_id, found) if one.het_id is not None and found is Standing.WAITING else found
        for one, found in zip(rows, stands, strict=True)
    ]


def _room(rows: Sequence[Queued], stands: Sequence[Standing]) -> dict[int, int]:
    """How many more tasks each limited array may start."""
    active = Counter(one.array_id for one, found in zip(rows, stands, strict=True) if found in ALLOCATED)
    return {
        one.array_id: max(0, one.task_limit - active[one.array_id])
        for one in rows
        if one.array_id is not None and one.task_limit is not None
    }


def _split(one: Queued, found: Standing, room: dict[int, int]) -> Iterable[tuple[Standing, int]]:
    """The row's tasks by standing; takes what may start from the room of its array."""
    if found is not Standing.WAITING or one.array_id not in room:
        return ((found, one.tasks),)
    starting = min(one.tasks, room[one.array_id])
    room[one.array_id] -= starting
    parts = (Standing.WAITING, starting), (Standing.LIMITED, one.tasks - starting)
    return tuple((each, tasks) for each, tasks in parts if tasks)


def _seconds(one: Queued, horizon_seconds: int, usual_seconds: Mapping[str, float]) -> int:
    """How long it may be expected to run: its limit, its user's usual run, or the horizon if that is less."""
    limit = horizon_seconds if one.limit_seconds is None else one.limit_seconds
    return round(min(limit, usual_seconds.get(one.subject.user, limit), horizon_seconds))


@lru_cache(maxsize=65536)
def _pool(partition: str, wanted: str) -> Pool:
    """Of the kinds ``gpu`` and ``gpu:a100`` only the typed one, which says more of the same thing."""
    kinds = [name.removeprefix("gres/") for name in tres.parse_tres(wanted) if name.startswith("gres/")]
    typed = {kind.partition(":")[0] for kind in kinds if ":" in kind}
    told = [kind for kind in kinds if kind not in typed]
    return Pool(",".join(sorted(partition.split(","))), ",".join(sorted(told)))
