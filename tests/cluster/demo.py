"""python -m tests.cluster.demo: the daemon in mode enforce, steering a real Slurm on loopback.

The cluster's clock runs 60 times too fast, so that a decay pass of Slurm takes a second and a minute shows an
hour. For the first part only the national side works; then the region comes, is owed what it missed, and the
daemon raises its shares until it has been repaid. Rule: everything printed is what the real programs say.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slurm_ai_factory import signals
from slurm_ai_factory.core.windows import duration
from slurm_ai_factory.ledger import Store, embedded
from tests.cluster.requirements import unavailable
from tests.cluster.slurm import SlurmCluster
from tests.cluster.tree import plant
from tests.cluster.workload import Workload
from tests.saf import Saf
from tests.scratch import scratch_directory

SPEED = 60
ALONE = 0.35
"""The part of the demo in which the region has nothing to run."""
JOB_SECONDS = (120, 600)
SSHARE = (
    "sshare",
    "-A",
    "regional,national",
    "-o",
    "Account,RawShares,NormShares,RawUsage,EffectvUsage,LevelFS",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.demo")
    parser.add_argument("--for", dest="length", default="2m", help="real time: 90s, 10m")
    options = parser.parse_args()
    reason = unavailable(SPEED)
    if reason is not None:
        print(f"the demo cannot run here: {reason}", file=sys.stderr)
        return 1
    with scratch_directory() as directory:
        return _demo(directory, duration(options.length))


def _demo(directory: Path, seconds: int) -> int:
    print("starting a real Slurm on loopback, on a clock that runs 60 times too fast ...", flush=True)
    stop = threading.Event()
    url = embedded.url(directory / "ledger")
    with signals.calling({signal.SIGINT: stop.set, signal.SIGTERM: stop.set}):
        try:
            with Store(url) as store:
                store.migrate()
            return _shown(directory, url, seconds, stop)
        finally:
            embedded.delete(directory / "ledger")


def _shown(directory: Path, url: str, seconds: int, stop: threading.Event) -> int:
    with SlurmCluster(directory / "slurm", speed=SPEED, half_life="00:30:00") as cluster:
        workload = Workload(
            cluster, plant(cluster), depths={"national": 3.0, "regional": 0.0}, seconds=JOB_SECONDS
        )
        saf = _configured(directory, cluster, url)
        _show(cluster, "before")
        code = _watch(saf, workload, seconds, stop)
        _show(cluster, "after")
        print("\n$ saf share --by account\n" + saf.run("share", "--by", "account").stdout)
        print("$ saf history\n" + saf.run("history").stdout)
    return code


def _configured(directory: Path, cluster: SlurmCluster, url: str) -> Saf:
    saf = Saf(directory, cluster.env, url)
    saf.configure("promise", window="rolling:6h")
    saf.configure("slurm", timeout="20m", overlap_daily="6h")
    saf.configure("control", mode="enforce", recovery="30m", writes_per_day=1000)
    saf.configure("daemon", period="5m")
    return saf


def _show(cluster: SlurmCluster, when: str) -> None:
    print(f"\n$ sshare   # {when}\n{cluster.run(*SSHARE)}", flush=True)


def _watch(saf: Saf, workload: Workload, seconds: int, stop: threading.Event) -> int:
    """Run the daemon for so long and print its line for each cycle; 0 when it ended well."""
    log = saf.directory / "saf.log"
    print(f"$ saf run   # {seconds} s; the region's jobs come after {ALONE * seconds:.0f} s", flush=True)
    with _working(workload, seconds * ALONE), log.open("wb+") as _:
        daemon = saf.start(log)
        printer = threading.Thread(target=_follow, args=(log, daemon))
        printer.start()
        stop.wait(seconds)
        daemon.terminate()
        try:
            return daemon.wait(timeout=120)
        finally:
            daemon.kill()
            printer.join()


@contextmanager
def _working(workload: Workload, alone: float) -> Iterator[None]:
    """The national side at work from now on, the region from ``alone`` seconds on."""
    stop = threading.Event()

    def come() -> None:
        if not stop.wait(alone):
            workload.depths["regional"] = 2.0

    threads = [threading.Thread(target=come), threading.Thread(target=workload.run, args=(stop,))]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _follow(log: Path, daemon: subprocess.Popen[bytes]) -> None:
    """Print what the daemon logs, until it has ended."""
    with log.open(errors="replace") as lines:
        while daemon.poll() is None or lines.tell() < log.stat().st_size:
            line = lines.readline()
            if line:
                print(line, end="", flush=True)
            else:
                threading.Event().wait(0.1)


if __name__ == "__main__":
    sys.exit(main())
