"""python -m tests.cluster up: a planted cluster with a live workload, until it is interrupted.

Rule: it says how other programs can use the cluster, and leaves nothing running behind.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import tempfile
import threading
from pathlib import Path

from slurm_ai_factory import signals
from tests.cluster.requirements import unavailable
from tests.cluster.slurm import SlurmCluster
from tests.cluster.tree import plant
from tests.cluster.versions import BUILT, VERSIONS
from tests.cluster.workload import Workload


def main() -> int:
    options = _parser().parse_args()
    reason = unavailable(options.speed, options.version)
    if reason is not None:
        print(reason, file=sys.stderr)
        return 1
    if options.dir is not None:
        _up(options.dir, options)
        return 0
    with tempfile.TemporaryDirectory(prefix="slurm-demo-") as scratch:
        _up(Path(scratch) / "cluster", options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description="A real Slurm on loopback.")
    up = parser.add_subparsers(required=True).add_parser("up", help="start a cluster with a live workload")
    up.add_argument("--dir", type=Path, help="where to keep it; its logs stay there (default: a scratch one)")
    up.add_argument("--speed", type=int, default=1, help="how much faster than real its clock runs")
    up.add_argument("--start", help='first date on its clock, like "2026-01-01 00:00:00" (default: now)')
    up.add_argument("--version", choices=(*VERSIONS, BUILT), help="another Slurm than this machine's own")
    up.add_argument("--nodes", type=int, default=4)
    up.add_argument("--gpus", type=int, default=0, help="invented GPUs per node")
    up.add_argument("--half-life", default="00:10:00")
    up.add_argument("--visitors", action="store_true", help="add an account that belongs to neither side")
    up.add_argument("--idle", action="store_true", help="without workload")
    return parser


def _up(directory: Path, options: argparse.Namespace) -> None:
    stop = threading.Event()
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with (
        signals.calling(dict.fromkeys(ending, stop.set)),
        SlurmCluster(
            directory,
            nodes=options.nodes,
            gpus_per_node=options.gpus,
            speed=options.speed,
            clock_start=options.start,
            half_life=options.half_life,
            version=options.version,
        ) as cluster,
    ):
        tree = plant(cluster, visitors=options.visitors)
        print(usage(cluster), flush=True)
        if options.idle:
            stop.wait()
        else:
            Workload(cluster, tree).run(stop)


def usage(cluster: SlurmCluster) -> str:
    """What to type in a shell so that its commands, and its clock, are the cluster's."""
    changed = {key: value for key, value in cluster.env.items() if os.environ.get(key) != value}
    exports = [f"export {key}={shlex.quote(value)}" for key, value in sorted(changed.items())]
    script = cluster.directory / "env.sh"
    script.write_text("\n".join(exports) + "\n")
    ready = f"Slurm is up in {cluster.directory}; Ctrl-C ends it. To use it, in another shell:"
    return "\n".join([ready, "", f"  . {script}", "", "which is:", "", *exports])


if __name__ == "__main__":
    sys.exit(main())
