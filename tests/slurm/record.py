"""Records what a real Slurm answers to the reads of the live queue and of the preflight.

    python -m tests.slurm.record

starts a Slurm of its own, puts every kind of job that matters into its queue, and writes each answer to
recorded/VERSION. Rule: the reads are those of the product's own client, so that what is recorded is what it
asks for.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.slurm.commands import Commands
from tests.cluster.slurm import SlurmCluster, wait_until
from tests.cluster.tree import Tree, plant

RECORDED = Path(__file__).parent / "recorded"
LATER = "now+1hour"
WEIGHTS = {
    "PriorityWeightAge": "1000",
    "PriorityWeightJobSize": "500",
    "PriorityWeightTRES": "cpu=100,mem=50,gres/gpu=200",
}
"""So that every priority has several terms."""


class Tape(Commands):
    """Commands whose answers are kept, each in a file named after what was asked."""

    kept: dict[str, str] = {}  # noqa: RUF012

    def lines(self, name: str, *arguments: str) -> Iterator[str]:
        words = [one for one in arguments if one.isalpha() and one not in ("where", "withcoord")]
        answer = list(super().lines(name, *arguments))
        self.kept["_".join([name, *words])] = "".join(answer)
        yield from answer


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
    wait_until(lambda: "Assoc" in reason(cluster, limited), "the limit to be told", 60)
    wait_until(lambda: any(map(float, cluster.run("sprio", "-h", "-o", "%F").split())), "priorities", 90)
    cluster.run("sacctmgr", "-i", "modify", "account", "where", "name=regional", "cluster=loop", "set",
                "fairshare=26")  # fmt: skip


def reason(cluster: SlurmCluster, job: int) -> str:
    return cluster.run("squeue", "-h", "-j", str(job), "-o", "%r")


def record(cluster: SlurmCluster) -> None:
    commands = Tape(conf=cluster.slurm_conf)
    slurm = Slurm(cluster.name, commands)
    version = slurm.priority_config().version
    for read in (slurm.queue, slurm.priority_terms, slurm.diagnostics, slurm.partitions, slurm.usage_factors,
                 slurm.coordinators, slurm.slurmdbd):  # fmt: skip
        read()
    slurm.admin_level("root")
    slurm.share_changes("regional", 0)
    directory = RECORDED / version
    directory.mkdir(parents=True, exist_ok=True)
    for name, answer in commands.kept.items():
        (directory / f"{name}.txt").write_text(answer.replace(str(cluster.directory), "/cluster"))


def main() -> int:
    with (
        tempfile.TemporaryDirectory(prefix="saf-record-") as scratch,
        SlurmCluster(Path(scratch) / "cluster", gpus_per_node=2, options=WEIGHTS) as cluster,
    ):
        Path(scratch).chmod(0o755)
        fill(cluster, plant(cluster))
        record(cluster)
    return 0


if __name__ == "__main__":
    sys.exit(main())
