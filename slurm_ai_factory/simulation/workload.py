"""The jobs that a simulation gives to the model cluster. Tested in tests/simulation/test_formats.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from operator import add, mul
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from slurm_ai_factory.core import tres
from slurm_ai_factory.simulation.arrays import Floats, Ints

COMPONENTS = ("cpu", "gres/gpu", "node")
"""TRES of which the logs have counts."""

FINEST = 1_000_000
"""A weight of a resource is a multiple of this part of one."""

User: TypeAlias = tuple[str, str]
"""(account, user)"""


class Job(NamedTuple):
    """One job that ran, as a log has it; instants and spans in whole seconds."""

    account: str
    user: str
    submit: int
    runtime: int
    limit: int  #: 0 where the log has none
    cpus: int
    gpus: int = 0
    nodes: int = 0
    partition: str = ""

    def left_out(self, cause: str) -> LeftOut:
        """The job as one that is not replayed."""
        return LeftOut(
            cause, 1, (self.cpus * self.runtime, self.gpus * self.runtime, self.nodes * self.runtime)
        )


class LeftOut(NamedTuple):
    """Records of a log that are not replayed."""

    cause: str
    records: int = 1
    charge: tuple[float, ...] | None = (0, 0, 0)  #: by COMPONENTS, in seconds; None where the log has none

    def of(self, resource: str) -> float | None:
        """The charge of a resource, in seconds. Raises ValueError for a resource that no log has."""
        weights = component_weights(resource)
        return None if self.charge is None else sum(map(mul, map(float, weights), self.charge))


NEVER_RAN = LeftOut("ran for 0 seconds")
NO_COUNTS = LeftOut("ran, but has no count of cpus, gpus or nodes (in sacct: AllocTRES)", charge=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Jobs in order of submission, as columns."""

    name: str
    users: tuple[User, ...]
    partitions: tuple[str, ...]
    user: Ints  #: of each job: index into ``users``
    partition: Ints
    submit: Ints
    runtime: Ints
    limit: Ints
    counts: Ints  #: [job, component], see COMPONENTS
    backlog: int = 0  #: jobs of a side that may wait before its users stop submitting; 0: as the log has it
    left_out: tuple[LeftOut, ...] = ()  #: what the log has beside these jobs, one for each cause

    def __len__(self) -> int:
        return len(self.submit)

    def users_of(self, accounts: frozenset[str]) -> frozenset[User]:
        """The users in these accounts."""
        return frozenset(user for user in self.users if user[0] in accounts)

    def amount(self, resource: str) -> Floats:
        """How much of a resource each job needs. Raises ValueError for a resource that no log has."""
        return self.counts.astype(np.float64) @ np.array(component_weights(resource), np.float64)

    def only(self, chosen: NDArray[np.bool_] | Ints) -> Workload:
        """The chosen jobs."""
        columns = ("user", "partition", "submit", "runtime", "limit", "counts")
        return replace(self, **{column: getattr(self, column)[chosen] for column in columns})

    def without(self, gone: NDArray[np.bool_], cause: str) -> Workload:
        """The workload without these jobs, which it counts as left out."""
        if not gone.any():
            return self
        charge = self.runtime[gone].astype(np.float64) @ self.counts[gone]
        left = LeftOut(cause, int(gone.sum()), tuple(charge.tolist()))
        return replace(self.only(~gone), left_out=(*self.left_out, left))

    def shifted(self, seed: int, seconds: int) -> Workload:
        """The same jobs, each submitted up to ``seconds`` earlier or later: another draw of the same log."""
        moved = self.submit + np.random.default_rng(seed).integers(-seconds, seconds + 1, len(self))
        first = replace(self, submit=np.maximum(moved, self.submit[0]))
        return first.only(np.argsort(first.submit, kind="stable").astype(np.int64))


def component_weights(resource: str) -> tuple[tres.Count, ...]:
    """The weight of each of COMPONENTS in a resource. Raises ValueError for a resource that no log has.

    >>> component_weights("0.25*cpu+16*gres/gpu")
    (Decimal('0.25'), Decimal('16'), 0)
    >>> component_weights("gpu")
    Traceback (most recent call last):
    ValueError: no log has 'gpu': use cpu, gres/gpu, node, or a sum such as 0.25*cpu+16*gres/gpu
    """
    weights = tres.Resource.parse(resource).weights
    if unknown := next((name for name in weights if name not in COMPONENTS), None):
        known = ", ".join(COMPONENTS)
        raise ValueError(f"no log has {unknown!r}: use {known}, or a sum such as 0.25*cpu+16*gres/gpu")
    if wrong := next(
        (name for name in weights if weights[name] * FINEST % 1 or weights[name] > FINEST), None
    ):
        raise ValueError(
            f"the weight of {wrong} in {resource!r} has more than 6 digits before or after its point"
        )
    return tuple(weights.get(name, 0) for name in COMPONENTS)


def gathered(name: str, records: Iterable[Job | LeftOut]) -> Workload:
    """A workload of single jobs, in any order. Jobs that never ran or needed nothing are left out."""
    users: dict[User, int] = {}
    partitions: dict[str, int] = {}
    left: list[LeftOut] = []
    rows = np.array(list(_rows(records, users, partitions, left)), np.int64).reshape(-1, 8)
    rows = rows[np.argsort(rows[:, 2], kind="stable")]
    return Workload(
        name=name, users=tuple(users), partitions=tuple(partitions), user=rows[:, 0].copy(),
        partition=rows[:, 1].copy(), submit=rows[:, 2].copy(), runtime=rows[:, 3].copy(),
        limit=rows[:, 4].copy(), counts=rows[:, 5:].copy(), left_out=_by_cause(left),
    )  # fmt: skip


def _rows(
    records: Iterable[Job | LeftOut], users: dict[User, int], partitions: dict[str, int], left: list[LeftOut]
) -> Iterator[tuple[int, ...]]:
    for job in records:
        if isinstance(job, LeftOut):
            left.append(job)
            continue
        if job.runtime <= 0:
            left.append(NEVER_RAN)
            continue
        if not any(count > 0 for count in (job.cpus, job.gpus, job.nodes)):
            left.append(NO_COUNTS)
            continue
        user = users.setdefault((job.account, job.user), len(users))
        partition = partitions.setdefault(job.partition, len(partitions))
        limit = max(job.limit, job.runtime)
        yield user, partition, job.submit, job.runtime, limit, job.cpus, job.gpus, job.nodes


def _by_cause(left: Iterable[LeftOut]) -> tuple[LeftOut, ...]:
    """One record for each cause; its charge is known where that of all its records is."""
    sums: dict[str, LeftOut] = {}
    for record in left:
        before = sums.get(record.cause, LeftOut(record.cause, 0))
        known = before.charge is not None and record.charge is not None
        charge = tuple(map(add, before.charge or (), record.charge or ())) if known else None
        sums[record.cause] = LeftOut(record.cause, before.records + record.records, charge)
    return tuple(sums.values())
