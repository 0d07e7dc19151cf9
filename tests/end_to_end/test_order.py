"""What the whole control rests on: a change of RawShares changes who starts next, on a real Slurm."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.cluster.fixtures import needs_slurm
from tests.cluster.slurm import SlurmCluster, wait_until
from tests.cluster.tree import Tree, plant
from tests.end_to_end.conftest import set_shares

SPEED = 30
LONG = 20 * 3600
MOST, LEAST = 900, 1
"""RawShares that put the region first and last, whatever it used: the others have 75."""
FLIPS = ((MOST, "regional"), (LEAST, "national"), (MOST, "regional"), (LEAST, "national"))
pytestmark = needs_slurm(SPEED)


class Machine:
    """Three CPUs: on two each side has used some, and uses more; for the third both have a job that waits."""

    def __init__(self, cluster: SlurmCluster, tree: Tree) -> None:
        self.cluster = cluster
        account, other = "umcg", "astro"
        self._places = {
            "regional": (tree.regional[account], account),
            "national": (tree.national[other], other),
        }
        self._turn = count()
        for side in self._places:
            cluster.wait_for(self.submit(side), "RUNNING", timeout=180)
        self.running = self.submit("national")
        cluster.wait_for(self.running, "RUNNING", timeout=180)
        wait_until(lambda: min(self._usage()) > 0, "both sides' usage in a pass", 180)
        self.waiting = {side: self.submit(side) for side in self._places}

    def submit(self, side: str) -> int:
        users, account = self._places[side]
        return self.cluster.submit(users[next(self._turn) % 2], account, seconds=LONG)

    def _usage(self) -> list[int]:
        printed = self.cluster.run("sshare", "-n", "-P", "-A", "regional,national", "-o", "RawUsage")
        return [int(line) for line in printed.split()]

    def first(self) -> str:
        """The side whose waiting job has the higher priority."""
        printed = self.cluster.run("squeue", "-h", "-t", "PD", "-o", "%A %Q").splitlines()
        priority = {int(job): int(value) for job, value in (line.split() for line in printed)}
        return max(self.waiting, key=lambda side: priority.get(self.waiting[side], 0))

    def await_first(self, side: str) -> None:
        """Until a pass has put the side first."""
        wait_until(lambda: self.first() == side, f"a pass that puts {side} first", 90)

    def next_start(self) -> str:
        """Make room for one job and tell whose it is that starts; that side gets another that waits."""
        self.cluster.cancel(self.running)
        wait_until(lambda: bool(self._started()), "a job to start", 180, log=self.cluster.main_log)
        (side,) = self._started()
        self.running = self.waiting[side]
        self.waiting[side] = self.submit(side)
        return side

    def _started(self) -> list[str]:
        return [side for side, job in self.waiting.items() if "RUNNING" in self.cluster.live_states(job)]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    directory = tmp_path_factory.mktemp("order") / "cluster"
    with SlurmCluster(directory, nodes=1, cpus_per_node=3, speed=SPEED) as cluster:
        yield Machine(cluster, plant(cluster))


def test_raw_shares_decide_who_starts_next_from_the_next_pass_on(machine: Machine) -> None:
    set_shares(machine.cluster, LEAST)
    machine.await_first("national")
    for raw_shares, side in FLIPS:
        assert machine.first() != side
        set_shares(machine.cluster, raw_shares)
        machine.await_first(side)
        assert machine.next_start() == side
