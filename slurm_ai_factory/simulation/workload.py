"""The work a simulation gives to the model cluster, whatever it was read from: one row a job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from slurm_ai_factory.simulation.arrays import Ints

COMPONENTS = ("cpu", "gpu", "node")


User: TypeAlias = tuple[str, str]
"""(account, user)"""


class Job(NamedTuple):
    """One job that ran, as a log tells it; instants and spans in whole seconds."""

    account: str
    user: str
    submit: int
    runtime: int
    limit: int  #: 0 where the log has none
    cpus: int
    gpus: int = 0
    nodes: int = 0
    partition: str = ""


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

    def __len__(self) -> int:
        return len(self.submit)

    def users_of(self, accounts: frozenset[str]) -> frozenset[User]:
        """The users in these accounts."""
        return frozenset(user for user in self.users if user[0] in accounts)

    def amount(self, resource: str) -> Ints:
        """How much of a resource each job needs. Raises KeyError for a resource no log has."""
        if resource not in COMPONENTS:
            raise KeyError(resource)
        return self.counts[:, COMPONENTS.index(resource)]

    def only(self, chosen: NDArray[np.bool_] | Ints) -> Workload:
        """The chosen jobs."""
        columns = ("user", "partition", "submit", "runtime", "limit", "counts")
        return replace(self, **{column: getattr(self, column)[chosen] for column in columns})

    def shifted(self, seed: int, seconds: int) -> Workload:
        """The same jobs, each submitted up to ``seconds`` earlier or later: another draw of the same log."""
        moved = self.submit + np.random.default_rng(seed).integers(-seconds, seconds + 1, len(self))
        first = replace(self, submit=np.maximum(moved, self.submit[0]))
        return first.only(np.argsort(first.submit, kind="stable").astype(np.int64))


def gathered(name: str, jobs: Iterable[Job]) -> Workload:
    """A workload of single jobs, in any order. Jobs that never ran or needed nothing are left out."""
    users: dict[User, int] = {}
    partitions: dict[str, int] = {}
    rows = np.array(list(_rows(jobs, users, partitions)), np.int64).reshape(-1, 8)
    rows = rows[np.argsort(rows[:, 2], kind="stable")]
    return Workload(
        name=name, users=tuple(users), partitions=tuple(partitions), user=rows[:, 0].copy(),
        partition=rows[:, 1].copy(), submit=rows[:, 2].copy(), runtime=rows[:, 3].copy(),
        limit=rows[:, 4].copy(), counts=rows[:, 5:].copy(),
    )  # fmt: skip


def _rows(
    jobs: Iterable[Job], users: dict[User, int], partitions: dict[str, int]
) -> Iterator[tuple[int, ...]]:
    for job in jobs:
        if job.runtime <= 0 or not (job.cpus > 0 or job.gpus > 0 or job.nodes > 0):
            continue
        user = users.setdefault((job.account, job.user), len(users))
        partition = partitions.setdefault(job.partition, len(partitions))
        limit = max(job.limit, job.runtime)
        yield user, partition, job.submit, job.runtime, limit, job.cpus, job.gpus, job.nodes
