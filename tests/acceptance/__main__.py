"""python -m tests.acceptance: static 25/75 and the daemon in mode enforce, side by side on two real Slurms.

The result and the plot go to docs/evaluation; exit code 1 when the floor was not kept, or when static shares
kept it too, because then nothing was shown. What was seen is kept in DIRECTORY/lived.json.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from slurm_ai_factory import signals
from slurm_ai_factory.ledger import embedded
from tests.acceptance import report
from tests.acceptance.holiday import FLOOR, HOUR, SPEED, WINDOW, Cluster
from tests.acceptance.judge import LedgerShare, Lived, Run, Sample, judge
from tests.cluster.requirements import unavailable
from tests.scratch import scratch_directory

DOCS = Path(__file__).parents[2] / "docs" / "evaluation"
HOURS = 27
C = TypeVar("C", bound=Cluster)
R = TypeVar("R")
TELL = 60.0
"""Real seconds between two lines of progress."""


def main() -> int:
    parser = _parser()
    options = parser.parse_args()
    if options.hours * HOUR < WINDOW:
        parser.error(f"--hours: at least one window of {WINDOW // HOUR} hours, or there is nothing to judge")
    if options.draw:
        lives = _read(options.draw)
    elif reason := unavailable(SPEED):
        sys.exit(f"this needs a real Slurm: {reason}")
    else:
        with scratch_directory() as directory:
            lives = live_both(directory, options.hours, options.seed, Cluster, Cluster.result)
            if options.keep:
                options.keep.write_text(json.dumps([asdict(one) for one in lives]))
    return _tell(lives, options.docs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make accept-slurm")
    parser.add_argument("--hours", type=int, default=HOURS, help="of the clusters' clock; each is a minute")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--docs", type=Path, default=DOCS, help="where the result goes")
    parser.add_argument("--keep", type=Path, help="write what was seen to this file")
    parser.add_argument("--draw", type=Path, help="judge and draw such a file again instead of a run")
    return parser


def live_both(
    directory: Path, hours: int, seed: int, kind: Callable[..., C], result: Callable[[C], R]
) -> list[R]:
    """What came of both clusters, which live at once."""
    stop = threading.Event()
    url = embedded.url(directory / "ledger")
    with ExitStack() as stack:
        stack.enter_context(signals.calling({signal.SIGINT: stop.set, signal.SIGTERM: stop.set}))
        stack.callback(embedded.delete, directory / "ledger")
        clusters: list[C] = []
        for name, ledger in (("static", None), ("enforced", url)):
            place = directory / name
            place.mkdir(mode=0o755)
            clusters.append(one := kind(name, place, seed, ledger))
            stack.enter_context(one)
            say(f"{name}: a real Slurm is up, on a clock {SPEED} times too fast")
        _feed(clusters, hours, stop)
        return [result(cluster) for cluster in clusters]


def _feed(clusters: Sequence[Cluster], hours: int, stop: threading.Event) -> None:
    threads = [threading.Thread(target=one.live, args=(hours, stop, say)) for one in clusters]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for one in clusters:
            say(one.line())
        deadline = time.monotonic() + TELL
        while time.monotonic() < deadline and any(thread.is_alive() for thread in threads):
            time.sleep(0.5)
    for thread in threads:
        thread.join()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _read(file: Path) -> list[Lived]:
    return [
        Lived(
            **one
            | {
                "away": tuple((since, until) for since, until in one["away"]),
                "runs": tuple(Run(*run) for run in one["runs"]),
                "samples": tuple(Sample(*sample) for sample in one["samples"]),
                "ledger": one["ledger"] and LedgerShare(*one["ledger"]),
            }
        )
        for one in json.loads(file.read_text())
    ]


def _tell(lives: Sequence[Lived], docs: Path) -> int:
    """Write the result; 0 when static shares broke the floor and the daemon kept it."""
    if any(one.until < one.began + WINDOW for one in lives):
        say(f"ended before the first whole window of {WINDOW // HOUR} hours: nothing to judge")
        return 1
    docs.mkdir(parents=True, exist_ok=True)
    verdicts = {one.name: judge(one, WINDOW, FLOOR) for one in lives}
    report.write(docs, lives, verdicts)
    for name, verdict in verdicts.items():
        say(f"{name}: worst {WINDOW // HOUR}-hour window {verdict.worst:.3f}, promised {FLOOR}")
    return int(verdicts["static"].worst >= FLOOR or verdicts["enforced"].worst < FLOOR)


if __name__ == "__main__":
    sys.exit(main())
