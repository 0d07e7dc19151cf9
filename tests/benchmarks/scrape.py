"""python -m tests.benchmarks.scrape: what a scrape costs while a backfill runs, and how many series it has.

Rule: the daemon is the product's own process on a model cluster, with cycles far more often than a real one;
each scrape is a new connection from outside, with gzip, as Prometheus asks for it. A backfill works on the
same machine and PostgreSQL meanwhile. Progress goes to stderr; the last line on stdout is one JSON object.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import cast

from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.ledger import open_ledger
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.steps import reading
from tests.benchmarks import reading as backfill
from tests.benchmarks.times import described, percentile, say
from tests.docs.markdown import ROOT
from tests.monitor.model import CLUSTER, START, Model
from tests.scratch import scratch_server

SECONDS = 25
EVERY = 0.05
PERIOD = "10s"
WARM_UP = 10


def main() -> int:
    seconds = float(os.environ.get("SECONDS", SECONDS))
    with scratch_server() as (directory, server):
        print(json.dumps(measured(server, directory, seconds)))
    return 0


def measured(server: str, directory: Path, seconds: float) -> dict[str, object]:
    """The figures of all parts."""
    with backfill.ledger(server, "daemon") as url, daemon(url, directory / "log") as port:
        with backfill.ledger(server, "other") as other, filling(other) as runs:
            busy, nothing = scrapes(port, seconds)
        say(f"while a backfill took in {runs[0]:,} runs: {len(busy)} scrapes, {described(busy)}")
        say(f"/healthz, which shows nothing, in between: {len(nothing)} scrapes, {described(nothing)}")
        series, size = scraped(port)
        say(f"{series} series, {size / 1000:.0f} kB")
    return {
        "scrape_p99_ms": round(percentile(busy), 2),
        "scrape_p50_ms": round(median(busy), 2),
        "healthz_p99_ms": round(percentile(nothing), 2),
        "series": series,
        "scrapes": len(busy),
        "runs_read_meanwhile": runs[0],
    }


@contextmanager
def daemon(url: str, log: Path) -> Iterator[int]:
    """The daemon on the model cluster, with its first cycles behind it; yields the port."""
    with log.open("wb") as stderr:
        argv = [sys.executable, "-m", "tests.monitor.daemon", url, PERIOD]
        process = subprocess.Popen(argv, stderr=stderr, cwd=ROOT)
    try:
        while "promised 25%" not in log.read_text():
            if process.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.1)
        found = re.search(r"listening on port (\d+)", log.read_text())
        yield int(found[1]) if found else 0
    finally:
        process.terminate()
        process.wait(timeout=60)


@contextmanager
def filling(url: str) -> Iterator[list[int]]:
    """A backfill of the model's weeks, again and again, until this ends; how many runs it has read."""
    model, runs, stop = Model(), [0], Event()
    model.advance(14 * 24 * HOUR)
    history = list(model.runs(START, model.now))

    def fill() -> None:
        with open_ledger(url, CLUSTER) as ledger:
            for number in range(10_000):
                if stop.is_set():
                    return
                shifted = [run._replace(db_index=run.db_index + number * 10**6) for run in history]
                model.ended, model.running, model.waiting = shifted, [], {}
                slurm, span = cast("Slurm", model), (START, model.now - 1)
                runs[0] += reading.read_intervals(slurm, ledger, [span], at=model.now, usual=24 * HOUR).runs

    thread = Thread(target=fill)
    thread.start()
    try:
        yield runs
    finally:
        stop.set()
        thread.join()


def scrapes(port: int, seconds: float) -> tuple[list[float], list[float]]:
    """The ms of scrapes at a steady beat, and of as many answers that show nothing, for comparison."""
    for _ in range(WARM_UP):
        scrape(port, "/metrics")
    took: dict[str, list[float]] = {"/metrics": [], "/healthz": []}
    due = time.perf_counter()
    end = due + seconds
    while due < end:
        for path, found in took.items():
            found.append(1000 * scrape(port, path))
        due = max(due + EVERY, time.perf_counter())
        time.sleep(max(0.0, due - time.perf_counter()))
    return took["/metrics"], took["/healthz"]


def scrape(port: int, path: str) -> float:
    """Seconds of one scrape on a new connection."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
    connection.getresponse().read()
    connection.close()
    return time.perf_counter() - began


def scraped(port: int) -> tuple[int, int]:
    """(series, bytes) of the daemon's metrics; histograms count each bucket, as Prometheus does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return sum(not line.startswith("#") for line in text.splitlines()), len(text)


if __name__ == "__main__":
    sys.exit(main())
