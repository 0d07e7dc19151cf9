"""A live, mixed workload: both sides of the tree always have more waiting than the machine can run.

Rule: all choices come from one seeded generator, and no more is submitted than the depths and limits given.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from typing import NamedTuple

from tests.cluster.commands import Commands
from tests.cluster.processes import ClusterError
from tests.cluster.tree import Accounts, Tree

DEPTHS = {"national": 3.0, "regional": 1.5}
SIZES = {1: 8, 2: 6, 3: 2, 4: 4, 8: 1}
SECONDS = (120, 1200)
ARRAYS = 0.08
LONGEST_ARRAY = 4
PER_STEP = 25


class Drawn(NamedTuple):
    """A job that is to be submitted, or an array of so many tasks."""

    user: str
    account: str
    seconds: int
    cpus: int
    tasks: int


class Workload:
    """Tops up the queue of each side; depths are waiting CPUs in units of the machine and may be changed."""

    def __init__(
        self,
        cluster: Commands,
        tree: Tree,
        *,
        seed: int = 1,
        depths: Mapping[str, float] = DEPTHS,
        seconds: tuple[int, int] = SECONDS,
        sizes: Mapping[int, int] = SIZES,
        arrays: float = ARRAYS,
        max_jobs: int | None = None,
    ) -> None:
        """``sizes``: CPUs of a job to how often; ``arrays``: the part of the jobs that are arrays."""
        self.depths = dict(depths)
        self.submitted = 0
        self.failures: list[str] = []
        self._cluster = cluster
        self._sides: dict[str, Accounts] = {
            "national": tree.national,
            "regional": tree.regional,
            "visitors": tree.visitors,
        }
        self._random = random.Random(seed)
        self._seconds = seconds
        self._sizes = dict(sizes)
        self._arrays = arrays
        self._left = max_jobs
        self._next: dict[str, Drawn] = {}
        self._machine = 0

    def accounts(self, side: str) -> Accounts:
        """The accounts of a side, with their users."""
        return self._sides[side]

    def step(self) -> int:
        """Submit what is missing on each side; returns how many jobs that took, arrays counted once."""
        waiting = self.waiting()
        before = self.submitted
        for side, depth in self.depths.items():
            self._top_up(side, int(depth * self._cpus()) - waiting[side], before + PER_STEP)
        return self.submitted - before

    def run(self, stop: threading.Event, interval: float = 1.0) -> None:
        """Step until told to stop; a step that fails because a daemon is down is noted, and tried again."""
        while not stop.is_set():
            try:
                self.step()
            except ClusterError as error:
                self.failures.append(str(error))
            stop.wait(interval)

    def waiting(self) -> dict[str, int]:
        """CPUs that pending jobs of each side ask for."""
        sides = {account: side for side, accounts in self._sides.items() for account in accounts}
        cpus = dict.fromkeys(self._sides, 0)
        for line in self._cluster.run("squeue", "-h", "-r", "-t", "PD", "-o", "%C %a").splitlines():
            count, account = line.split()
            if account in sides:
                cpus[sides[account]] += int(count)
        return cpus

    def _cpus(self) -> int:
        """CPUs of the machine: sinfo prints allocated/idle/other/total."""
        if not self._machine:
            self._machine = int(self._cluster.run("sinfo", "-h", "-p", "main", "-o", "%C").split("/")[3])
        return self._machine

    def _top_up(self, side: str, missing: int, limit: int) -> None:
        while missing > 0 and self.submitted < limit and self._left != 0:
            missing -= self._submit(side)
            self.submitted += 1
            self._left = None if self._left is None else self._left - 1

    def _submit(self, side: str) -> int:
        """The side's next job or array; returns the CPUs it asks for. What fails is tried again next time."""
        if side not in self._next:
            self._next[side] = self._draw(side)
        job = self._next[side]
        array = f"1-{job.tasks}" if job.tasks > 1 else None
        self._cluster.submit(job.user, job.account, seconds=job.seconds, cpus=job.cpus, array=array)
        del self._next[side]
        return job.cpus * job.tasks

    def _draw(self, side: str) -> Drawn:
        """A job or array of a random user of the side."""
        draw = self._random
        account, users = draw.choice(sorted(self._sides[side].items()))
        cpus = min(self._cpus(), draw.choices(list(self._sizes), list(self._sizes.values()))[0])
        tasks = draw.randint(2, LONGEST_ARRAY) if draw.random() < self._arrays else 1
        seconds = draw.randint(*self._seconds)
        return Drawn(draw.choice(users), account, seconds, cpus, tasks)
