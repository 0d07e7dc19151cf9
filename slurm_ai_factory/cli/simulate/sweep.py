"""Tasks on many processes by Dask: on this machine, on an existing cluster of Dask, or in jobs of Slurm.

A scheduler of Dask runs what it is sent, so those that are started here take TLS only, with keys that are
made for the sweep. Nothing here imports numba: a worker must know where it keeps compiled code before that.

Tested in tests/cli/test_sweep.py.
"""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import dask
from dask_jobqueue import SLURMCluster
from distributed import Client, KilledWorker, LocalCluster, Security, WorkerPlugin, as_completed

from slurm_ai_factory.cli.simulate.compiled import keep_compiled
from slurm_ai_factory.errors import SafError

ANSWER = 30
"""Seconds in which a scheduler of Dask must answer."""
START = 3600
"""Seconds in which the first worker must have started; jobs of Slurm wait in its queue."""
MEMORY = "2GiB"
"""Of a worker in a job of Slurm, for a log of a million jobs."""

Result = TypeVar("Result")


class KeepCompiled(WorkerPlugin):  # type: ignore[misc] # Dask is partly typed
    """Lets each worker, now or later, keep compiled code where commands do."""

    def setup(self, worker: object) -> None:  # noqa: ARG002 - Dask's signature
        """Called on the worker, before its first task."""
        keep_compiled()


@contextmanager
def workforce(
    workers: int | None = None,
    scheduler: str | None = None,
    slurm: int | None = None,
    slurm_options: str = "",
) -> Iterator[Client]:
    """Workers for a sweep: ``workers`` processes (one per core), those of a scheduler, or jobs of Slurm.

    Raises SafError if none answers.
    """
    with ExitStack() as stack:
        try:
            if scheduler is None:
                cluster = _jobs(slurm, slurm_options) if slurm else _processes(workers)
                stack.enter_context(cluster)
            client = stack.enter_context(Client(scheduler or cluster, timeout=ANSWER))
            client.register_plugin(KeepCompiled())
            client.wait_for_workers(1, timeout=ANSWER if scheduler else START)
        except (OSError, RuntimeError, ValueError) as error:
            where = scheduler or ("Slurm" if slurm else "this machine")
            raise SafError(f"no Dask worker has started: {where}: {error}; repeat when one can") from error
        yield client


def _processes(number: int | None) -> LocalCluster:
    """Processes of this machine, which no other may reach."""
    return LocalCluster(
        n_workers=number or os.cpu_count(), threads_per_worker=1, host="127.0.0.1", protocol="tls://",
        security=Security.temporary(), worker_dashboard_address=None,
        scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
        silence_logs=logging.ERROR,
    )  # fmt: skip


def _jobs(number: int, options: str) -> SLURMCluster:
    """Jobs of Slurm with a worker each; Dask's own configuration (jobqueue.slurm) is kept."""
    keys = dask.config.get("jobqueue.slurm.shared-temp-directory") or str(Path.home())
    cluster = SLURMCluster(
        cores=1, processes=1, memory=MEMORY, security=Security.temporary(), shared_temp_directory=keys,
        protocol="tls://", job_extra_directives=shlex.split(options),
        scheduler_options={"dashboard": False, "dashboard_address": ":0"},
    )  # fmt: skip
    cluster.scale(jobs=number)
    return cluster


def swept(
    client: Client, work: Callable[..., Result], tasks: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[int, Result]]:
    """(place of the task, what ``work`` makes of it) as each is done.

    Raises what ``work`` raises, and SafError if workers die.
    """
    futures = {client.submit(work, *task, pure=False): place for place, task in enumerate(tasks)}
    try:
        for future, result in as_completed(futures, with_results=True):
            yield futures.pop(future), result
    except KilledWorker as error:
        raise SafError(f"workers died one after the other ({error}); give them more memory") from error
