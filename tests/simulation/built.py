"""Small model clusters and workloads, written out or generated. Accounts called r... are the region's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from hypothesis import strategies as st

from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.simulation import policies
from slurm_ai_factory.simulation.cluster import ModelCluster
from slurm_ai_factory.simulation.layout import ModelOutage, ModelSettings, one_pool
from slurm_ai_factory.simulation.workload import Job, User, Workload, gathered

CORES = 4
SHARES = policies.raw_shares(0.25)
FIFO: dict[str, Any] = {"weight_fairshare": 0, "weight_age": 0, "interval": 1}
"""What is submitted first is first in the queue, and the queue is looked at in the second it changes."""


class Ran(NamedTuple):
    """A job of the model, and what became of it; instants in seconds since the beginning."""

    regional: bool
    submit: int
    start: int
    end: int
    cpus: int
    runtime: int
    limit: int


def job(account: str, submit: int, runtime: int, cpus: int = 1, limit: int = 0, user: str = "a") -> Job:
    """A job of the usual user."""
    return Job(account, user, submit, runtime, limit, cpus)


def workload(jobs: Iterable[Job], backlog: int = 0) -> Workload:
    return replace(gathered("built", jobs), backlog=backlog)


def regional(work: Workload) -> frozenset[User]:
    return frozenset(user for user in work.users if user[0].startswith("r"))


def cluster(
    work: Workload,
    *,
    cores: int = CORES,
    share: float = 0.25,
    outages: tuple[ModelOutage, ...] = (),
    stops: Sequence[tuple[int, int]] = (),
    favour: float = 0.0,
    **settings: Any,
) -> ModelCluster:
    layout = replace(one_pool(work, "cpu", cores), outages=outages)
    shares = policies.raw_shares(share)
    return ModelCluster(work, regional(work), layout, ModelSettings(**settings), shares, favour, stops)


def lived(model: ModelCluster, until: int | None = None) -> list[Ran]:
    """Let it live, until everything is over unless it is said, and tell of each job, in order."""
    work = model.jobs[0]
    rest = int(work.runtime.sum()) + len(work.submit) * 2 * model.settings.interval + 2 * HOUR
    model.advance(until if until is not None else model.until + rest)
    return ran(model)


def ran(model: ModelCluster) -> list[Ran]:
    jobs, start, end = model.jobs
    columns = (jobs.side == 1, jobs.submit, start, end, jobs.need[:, 0], jobs.runtime, jobs.limit)
    return [Ran(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def running(jobs: Iterable[Ran], at: int) -> int:
    """CPUs in use at an instant."""
    return sum(one.cpus for one in jobs if 0 <= one.start <= at < one.end)


@st.composite
def job_lists(draw: st.DrawFn, exact: bool = False, most: int = 30) -> list[Job]:
    """Jobs of both sides within some hours; ``exact`` ones run as long as their time limit."""
    found = []
    for _ in range(draw(st.integers(1, most))):
        runtime = draw(st.integers(1, 2 * HOUR))
        found.append(
            Job(
                account=draw(st.sampled_from(("n0", "n1", "r0", "r1"))), user=draw(st.sampled_from("ab")),
                submit=draw(st.integers(0, 4 * HOUR)), runtime=runtime,
                limit=runtime if exact else draw(st.integers(runtime, 4 * HOUR)),
                cpus=draw(st.integers(1, CORES)),
            )
        )  # fmt: skip
    return found
