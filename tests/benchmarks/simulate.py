"""python -m tests.benchmarks.simulate: jobs a second of the model cluster, alone and with the controller.

LOG, REGIONAL, COLUMN, CAPACITY and RESOURCE, from the environment, name a log; else a scenario is replayed.
Rule: progress goes to stderr; the last line on stdout is one JSON object.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from typing import Any

SCENARIO = ["--workload", "scenario:tiny"]
POLICIES = ("static:0.25", "floor", "oracle")


def main() -> int:
    """Each policy in a process of its own, after one that has compiled everything."""
    run([*SCENARIO, "--policy", "oracle"])
    figures: dict[str, object] = {}
    for policy in POLICIES:
        found = run([*workload(), "--policy", policy])
        jobs, seconds = found["workload"]["jobs"], found["replay_seconds"][policy]
        figures[policy] = {
            "jobs": jobs,
            "seconds": round(seconds, 1),
            "jobs_per_second": round(jobs / seconds),
        }
        print(policy, figures[policy], file=sys.stderr, flush=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps({"policies": figures, "peak_rss_mb": round(peak)}))
    return 0


def workload() -> list[str]:
    if "LOG" not in os.environ:
        return SCENARIO
    return [
        "--workload", os.environ["LOG"], "--regional", os.environ["REGIONAL"],
        "--regional-column", os.environ.get("COLUMN", "regional"), "--capacity", os.environ["CAPACITY"],
        "--resource", os.environ.get("RESOURCE", "cpu"),
    ]  # fmt: skip


def run(arguments: list[str]) -> dict[str, Any]:
    """What saf simulate says as JSON."""
    argv = [sys.executable, "-m", "slurm_ai_factory", "simulate", "--json", *arguments]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    sys.exit(main())
