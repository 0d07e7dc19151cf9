"""python -m tests.benchmarks.associations: a cycle and `saf doctor` on a large association tree.

Rule: the tree is a real slurmdbd's and slurmctld's; a process counts its own CPU apart from its commands'.
ASSOCIATIONS and VERSION, from the environment, are the size of the tree and the release of Slurm. The last
line on stdout is one JSON object.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from slurm_ai_factory import cycle
from slurm_ai_factory.__main__ import main as saf
from slurm_ai_factory.cli.wiring import opened_site
from slurm_ai_factory.config.load import load_file
from tests.cluster.requirements import unavailable
from tests.cluster.slurm import SlurmCluster
from tests.saf import Saf
from tests.scratch import scratch_server

ACCOUNTS = 400
CYCLES = 5
ROOT = Path(__file__).parents[2]


def grow(cluster: SlurmCluster, size: int) -> None:
    """Two top-level accounts, ACCOUNTS below them, and users until there are ``size`` associations."""
    lines = [f"Cluster - '{cluster.name}'", "Parent - 'root'"]
    lines += ["Account - 'regional':Fairshare=25", "Account - 'national':Fairshare=75"]
    for first, parent in enumerate(("regional", "national")):
        names = range(first, ACCOUNTS, 2)
        lines += [f"Parent - '{parent}'", *(f"Account - 'project{name}'" for name in names)]
    for name in range(ACCOUNTS):
        users = range(name, size - ACCOUNTS - 4, ACCOUNTS)
        lines += [f"Parent - 'project{name}'", *(f"User - 'user{user}'" for user in users)]
    cluster.run("sacctmgr", "-i", "load", "file=/dev/stdin", stdin="\n".join(lines) + "\n", timeout=1800)


def own_seconds(work: Callable[[], object]) -> dict[str, float]:
    """What the work takes: this process's CPU, its commands' CPU, and the time that passes."""
    whose = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    before, began = [resource.getrusage(who) for who in whose], time.monotonic()
    work()
    took = time.monotonic() - began
    own, commands = (
        now.ru_utime + now.ru_stime - then.ru_utime - then.ru_stime
        for now, then in zip(map(resource.getrusage, whose), before, strict=True)
    )
    return {"own_cpu": own, "commands_cpu": commands, "elapsed": took}


def doctor() -> None:
    """`saf doctor`, whose findings do not matter here."""
    sys.argv[1:] = ["-q", "doctor"]
    try:
        saf()
    except SystemExit as end:
        if end.code not in (0, 5):
            raise


def inside() -> None:
    """In a process of its own: the medians of some cycles after the first, and of doctor."""
    with opened_site(load_file(Path(os.environ["SAF_CONFIG"]))) as site:
        rounds = [own_seconds(lambda: cycle.run(site, time.monotonic)) for _ in range(CYCLES + 1)][1:]
    keys = rounds[0]
    beat = {key: round(statistics.median(took[key] for took in rounds), 2) for key in keys}
    checked = {key: round(value, 2) for key, value in own_seconds(doctor).items()}
    print(json.dumps({"cycle": beat, "doctor": checked}))


def main() -> int:
    if sys.argv[1:] == ["inside"]:
        inside()
        return 0
    size, version = int(os.environ.get("ASSOCIATIONS", "20000")), os.environ.get("VERSION", "22.05")
    if reason := unavailable(version=version):
        print(reason, file=sys.stderr)
        return 1
    with (
        scratch_server() as (directory, server),
        SlurmCluster(directory / "slurm", nodes=1, version=version) as cluster,
    ):
        grow(cluster, size)
        asked = Saf(directory, cluster.env, server)
        asked.configure("slurm", timeout="120s")
        asked.run("ledger", "migrate")
        argv = [sys.executable, "-m", __spec__.name, "inside"]
        done = subprocess.run(argv, env=asked.env, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps({"associations": size, "version": version} | figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
