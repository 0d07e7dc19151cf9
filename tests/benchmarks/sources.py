"""python -m tests.benchmarks.sources [VERSION ...]: what each source costs: finished runs, and now.

Rule: all ask the same slurmdbd; each is read by a process of its own, and the operating system says how much
memory it and the command below it had at most. Progress goes to stderr; stdout has one JSON object a line.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from slurm_ai_factory.core.records import Run
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.slurm.answers import API, RUNS
from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.slurm.rest import RestSlurm, Slurmrestd
from tests.benchmarks import history
from tests.cluster import versions
from tests.cluster.requirements import unavailable, without_rest
from tests.cluster.slurm import SlurmCluster
from tests.cluster.versions import BUILT, OWN, VERSIONS
from tests.scratch import scratch_directory
from tests.slurm.record import library
from tests.slurm.scenarios import inside

HOUR = 3600
CYCLES = 5
ROOT = Path(__file__).parents[2]


def text(since: int, until: int) -> int:
    """As the product reads: sacct's text to Run, kept."""
    found = list(Slurm("loop", Commands()).runs(since, until))
    return sum(isinstance(one, Run) for one in found)


def in_json(since: int, until: int) -> int:
    """sacct's JSON, parsed and kept as it comes."""
    argv = ["sacct", "-M", "loop", "-a", "-D", "-X", "--json", "-S", f"uts{since}", "-E", f"uts{until}"]
    return len(json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)["jobs"])


PYSLURM = """
import os, sys
os.environ["PYSLURM_DISABLE_AUTO_INIT"] = "1"
import pyslurm
pyslurm.slurm_init()
since, until = map(int, sys.argv[1:])
print(len(pyslurm.db.Jobs.load(pyslurm.db.JobFilter(start_time=since, end_time=until))))
"""


def in_pyslurm(since: int, until: int) -> int:
    """pyslurm's objects, with the steps that it cannot leave out; right only where no job ran twice."""
    argv = [versions.pyslurm() or "python", "-I", "-c", PYSLURM, str(since), str(until)]
    return int(subprocess.run(argv, capture_output=True, check=True).stdout)


def by_slurmrestd(since: int, until: int) -> int:
    """As the product reads through slurmrestd; where it does not, the answer as it comes."""
    rest = Slurmrestd(os.environ["SAF_REST_URL"], "loop", Commands(timeout_seconds=600))
    if rest.version() == API[-1].version:
        runs = list(RestSlurm("loop", Commands(), rest).runs(since, until))
        return sum(isinstance(one, Run) for one in runs)
    read = RUNS._replace(since=rest.version())
    flags = {"skip_steps": "true", "show_duplicates": "true", "disable_truncate_usage_time": "true"}
    return len(json.loads(rest.ask(read, start_time=f"uts{since}", end_time=f"uts{until}", **flags))["jobs"])


SOURCES: Mapping[str, Callable[[int, int], int]] = {
    "text": text, "json": in_json, "pyslurm": in_pyslurm, "slurmrestd": by_slurmrestd,
}  # fmt: skip


def read(source: str, since: str, until: str) -> None:
    """In a process of its own: read, and say what it took."""
    began = time.monotonic()
    runs = SOURCES[source](int(since), int(until))
    seconds = time.monotonic() - began
    ours, theirs = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(json.dumps({"runs": runs, "seconds": seconds, "own_mib": ours, "command_mib": theirs}))


def measure(version: str, runs: int, directory: Path) -> None:
    until = int(time.time()) // HOUR * HOUR - HOUR
    since = until - history.length(runs) // HOUR * HOUR - HOUR
    with_rest = without_rest(version) is None
    with SlurmCluster(
        directory / "slurm", nodes=1, gpus_per_node=4, version=version, rest=with_rest
    ) as cluster:
        history.plant(cluster)
        history.insert(cluster, runs, since, until)
        history.insert_steps(cluster)
        now(cluster, version)
        with_pyslurm = version == BUILT and versions.pyslurm()
        for source in SOURCES:
            if source == "pyslurm" and not with_pyslurm:
                continue
            if source == "slurmrestd" and (version == OWN or not with_rest):
                continue  # v0.0.38 does not take these conditions
            found = _read(cluster, source, since, until)
            if found["runs"] != runs:
                raise SystemExit(f"{source} on Slurm {version} told {found['runs']} runs instead of {runs}")
            if source == "slurmrestd":
                found["command_mib"] = cluster.peak_mib("slurmrestd")
            print(json.dumps({"version": version, "source": source} | _per_10000(found)), flush=True)


def now(cluster: SlurmCluster, version: str) -> None:
    """What one cycle asks about now, by the commands and with pyslurm where there is one."""
    python = versions.pyslurm() if cluster.version == BUILT else None
    clients = {"commands": Slurm(cluster.name, inside(cluster))}
    if cluster.rest:
        rest = Slurmrestd(cluster.rest_urls[0], cluster.name, inside(cluster))
        clients["slurmrestd"] = RestSlurm(cluster.name, inside(cluster), rest)
    if python:
        clients["pyslurm"] = library(inside(cluster), python)
    for name, client in clients.items():
        seconds = min(_cycle(client) for _ in range(CYCLES))
        if client.refused() and name == "pyslurm":
            raise SystemExit(f"pyslurm has no answer: {client.refused()}")
        found = {"version": version, "source": f"now, {name}", "seconds_per_cycle": round(seconds, 3)}
        print(json.dumps(found), flush=True)


def _cycle(client: Slurm) -> float:
    began = time.monotonic()
    client.priority_config()
    client.associations()
    client.queue()
    client.diagnostics()
    return time.monotonic() - began


def _read(cluster: SlurmCluster, source: str, since: int, until: int) -> dict[str, float]:
    argv = [sys.executable, "-m", __spec__.name, "read", source, str(since), str(until)]
    env = cluster.env | {"SAF_REST_URL": cluster.rest_urls[0]}
    done = subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _per_10000(found: Mapping[str, float]) -> dict[str, float]:
    """Seconds for 10,000 runs, and the most MiB at this number of runs."""
    return {
        "runs": found["runs"],
        "seconds_per_10000": round(found["seconds"] / found["runs"] * 10_000, 2),
        "own_mib": round(found["own_mib"]),
        "command_mib": round(found["command_mib"]),
    }


def main() -> int:
    if sys.argv[1:2] == ["read"]:
        read(*sys.argv[2:])
        return 0
    for version in sys.argv[1:] or (*VERSIONS, BUILT):
        reason = unavailable(version=version)
        if reason:
            print(reason, file=sys.stderr)
            continue
        with scratch_directory() as directory:
            measure(version, int(os.environ.get("RUNS", "10000")), directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
