"""What is brought about on a real Slurm before it is asked, for the recorder and for tests on live clusters.

``queue`` is a live queue with every kind of job that matters, on the machine's own clock; ``day`` is the odd
day of tests/cluster/day.py, sixty times too fast. Both are the same on every version of Slurm.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from slurm_ai_factory.slurm.commands import Commands
from tests.cluster.day import Day, odd_day
from tests.cluster.slurm import SlurmCluster, wait_until
from tests.cluster.tree import Tree, plant

NAMES = ("queue", "day")
SPEED = 60
LATER = "now+1hour"
WEIGHTS = {
    "PriorityWeightAge": "1000",
    "PriorityWeightJobSize": "500",
    "PriorityWeightTRES": "cpu=100,mem=50,gres/gpu=200",
}
"""So that every priority has several terms."""


@dataclass(frozen=True)
class Inside(Commands):
    """Slurm's commands as a program among a cluster's own, on its clock, would run them."""

    env: tuple[tuple[str, str], ...] = ()

    def environment(self) -> dict[str, str]:
        return dict(self.env) | {"TZ": "UTC", "SLURM_TIME_FORMAT": "%s", "SLURM_BITSTR_LEN": "0"}


def inside(cluster: SlurmCluster) -> Inside:
    return Inside(env=tuple(cluster.env.items()), directory=cluster.programs if cluster.version else None)


@dataclass(frozen=True)
class Times:
    """When a scenario happened, in whole hours, and when it was over."""

    since: int
    until: int
    at: int

    def save(self, directory: Path) -> None:
        (directory / "times.json").write_text(json.dumps(asdict(self)) + "\n")

    @classmethod
    def load(cls, directory: Path) -> Times:
        return cls(**json.loads((directory / "times.json").read_text()))


@contextmanager
def queue(
    directory: Path, version: str | None, *, rest: bool = False
) -> Iterator[tuple[SlurmCluster, Times]]:
    """A cluster whose queue is filled, and whose region was given 26 shares."""
    with SlurmCluster(directory, gpus_per_node=2, options=WEIGHTS, version=version, rest=rest) as cluster:
        fill(cluster, plant(cluster))
        at = int(cluster.now())
        yield cluster, Times(at // 3600 * 3600 - 3600, at, at)


@contextmanager
def day(directory: Path, version: str | None, *, rest: bool = False) -> Iterator[tuple[SlurmCluster, Times]]:
    """A cluster after its odd day, when slurmdbd has rolled up its hours."""
    with SlurmCluster(
        directory,
        nodes=6,
        gpus_per_node=2,
        speed=SPEED,
        clock_start="2026-03-28 22:10:00",
        version=version,
        rest=rest,
    ) as cluster:
        lived: Day = odd_day(cluster, plant(cluster))
        wait_until(lambda: rolled_up(cluster) >= lived.until, "the rollup of the day", 240, interval=0.5)
        yield cluster, Times(lived.since, lived.until, int(cluster.now()))


def rolled_up(cluster: SlurmCluster) -> int:
    """Until when slurmdbd has rolled up the hours."""
    return int(cluster.mysql("SELECT hourly_rollup FROM loop_last_ran_table") or 0)


def fill(cluster: SlurmCluster, tree: Tree) -> None:
    """Both sides run and wait; one of each obstacle stands in the queue."""
    one, other = tree.regional["umcg"]
    them, _ = tree.national["astro"]
    cluster.submit(them, "astro", seconds=600, cpus=10)
    running = cluster.submit(one, "umcg", seconds=600, cpus=4)
    stopped = cluster.submit(one, "umcg", seconds=600)
    for job in (running, stopped):
        cluster.wait_for(job, "RUNNING")
    cluster.run("scontrol", "suspend", str(stopped))
    cluster.submit(them, "astro", seconds=600, cpus=6, extra=["--gres=gpu:1", "-N3"])
    cluster.submit(one, "umcg", seconds=600, cpus=4, extra=["-p", "main,debug"])
    cluster.submit(one, "umcg", seconds=600, cpus=2, array="0-9%3")
    cluster.submit(one, "umcg", seconds=600, array="1,3,5-200:3")
    cluster.submit(one, "umcg", seconds=600, extra=["--hold"])
    cluster.submit(one, "umcg", seconds=600, extra=[f"--begin={LATER}"])
    cluster.submit(one, "umcg", seconds=600, extra=["-d", f"afterok:{running}"])
    cluster.submit(one, "umcg", seconds=600, cpus=4, extra=["--gres=gpu:2", "-N1", "-t1-0"])
    het = ["-n2", "-t10", ":", "-n1", "-t5", "-pdebug"]
    for more in ([], ["-d", f"afterok:{running}"]):
        cluster.run("sbatch", "-o/dev/null", "-D/", f"--uid={one}", "-Aumcg", *more, *het,
                    stdin="#!/bin/sh\nexec sleep 600\n")  # fmt: skip
    cluster.run("sacctmgr", "-i", "modify", "user", "where", f"name={other}", "account=umcg", "set",
                "GrpTRES=cpu=1")  # fmt: skip
    limited = cluster.submit(other, "umcg", seconds=600, cpus=2)
    wait_until(lambda: "Assoc" in reason(cluster, limited), "the limit to be told", 180)
    wait_until(lambda: any(map(float, cluster.run("sprio", "-h", "-o", "%F").split())), "priorities", 90)
    cluster.run("sacctmgr", "-i", "modify", "account", "where", "name=regional", "cluster=loop", "set",
                "fairshare=26")  # fmt: skip


def reason(cluster: SlurmCluster, job: int) -> str:
    return cluster.run("squeue", "-h", "-j", str(job), "-o", "%r")
