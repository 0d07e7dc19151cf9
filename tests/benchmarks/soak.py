"""python -m tests.benchmarks.soak: what grows while the daemon runs on the model cluster of `saf demo`.

HOURS, from the environment, is how many hours of the model it runs, by default 72; a cycle is due in each.
Each sample is taken after the garbage collector ran. Exit code 1 when something grows faster than its bound.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import psycopg

from slurm_ai_factory import config as configuration
from slurm_ai_factory.cli import demo
from slurm_ai_factory.config import Config
from slurm_ai_factory.core.records import DAY, HOUR, Instant
from slurm_ai_factory.daemon import Daemon
from slurm_ai_factory.ledger import Store, open_ledger
from slurm_ai_factory.simulation.cluster import ModelCluster
from slurm_ai_factory.simulation.facility import SIZE, facility
from slurm_ai_factory.simulation.slurm import ModelSlurm
from slurm_ai_factory.steps.site import Site
from tests.cluster.processes import free_ports
from tests.docs.markdown import ROOT
from tests.scratch import scratch_server

PAGE = ROOT / "docs" / "evaluation" / "soak.md"
SPEED = 2 * HOUR
"""Seconds of the model in one second: two cycles."""

SAMPLES = 120
SPARE_HOURS = 24
SHOWN_TABLES = 8
BOUNDS = {"memory": 0.2, "descriptors": 0.1, "threads": 0.1, "model": 0.01}
"""By how much each may grow in a day of the model: a fraction, as one sample may see a request under way."""

UNITS = {"memory": "RSS, MB", "descriptors": "open files", "threads": "of Python", "model": "arrays, MB"}

TABLES = """
SELECT relname, pg_total_relation_size(c.oid) / 1e6
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND nspname = 'public'
"""
TEXT = """\
# Soak

`make soak HOURS={hours}` writes this page. It runs the daemon on the model cluster of `saf demo`, with an
embedded PostgreSQL: {days:,.0f} days of the model with {cycles:,} cycles, in {minutes:.0f} minutes. A cycle
is due every hour of the model, two each second; on a busy machine some are left out. `/metrics` and the
status page are read at each of {samples} samples. The model is in the process of the daemon, and most of the
memory is its compiler's.

The rate is the slope of a line through the second half of the samples. The memory of runs already read grows
up to a bound of 65,536 runs, about 7 MB, which is why its rate is above 0 at first. All work of the model is
made before the daemon begins; what the model adds is one number for each hour and kind of usage.

| what | at the beginning | in the middle | at the end | in a day | bound | holds |
|---|---|---|---|---|---|---|
{rows}

The ledger grows with what is recorded, so a table grows with the runs, the hours and the cycles. The
largest tables, in MB, without what they had at the first sample:

| table | at the end | in a day |
|---|---|---|
{tables}
"""


class Sample(NamedTuple):
    """What the process had after so many days."""

    days: float  #: of the model, since the daemon began
    cycles: int
    memory: float  #: RSS, MB
    descriptors: int
    threads: int
    model: float  #: the arrays of the model cluster, MB
    tables: dict[str, float]  #: MB


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the line with the least squares.

    >>> slope([(0, 1), (1, 3), (2, 5)])
    2.0
    """
    x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
    rise: float = sum((at - x) * (value - y) for at, value in points)
    run: float = sum((at - x) ** 2 for at, _ in points)
    return rise / run


def main() -> int:
    hours = int(os.environ.get("HOURS", "72"))
    began = time.monotonic()
    samples = soaked(hours)
    text, held = page(samples, hours, time.monotonic() - began)
    PAGE.write_text(text)
    print(text)
    return int(not held)


def soaked(hours: int) -> list[Sample]:
    """The daemon for so many hours of the model, and the samples."""
    plant = facility((hours + SPARE_HOURS) * HOUR)
    with scratch_server() as (directory, url):
        made = configuration.parse_config(demo.CONFIG.format(directory=directory), "the demo's saf.toml")
        config = replace(made, daemon=replace(made.daemon, listen=f"127.0.0.1:{free_ports(1)[0]}"))
        with Store(url) as store:
            store.migrate()
        began, started = plant.model.now, time.monotonic()

        def clock() -> Instant:
            return began + int(SPEED * (time.monotonic() - started))

        slurm = ModelSlurm(plant.model, plant.workload, plant.layout, SIZE, clock)

        @contextmanager
        def opened(config: Config) -> Iterator[Site]:
            with open_ledger(url, config.cluster.name, admit=slurm.priority_config) as ledger:
                yield Site(config, slurm, ledger, clock, lambda _: None, "soak")

        daemon = Daemon(lambda: {config.cluster.name: config}, opened, clock, time.monotonic, speed=SPEED)
        watcher = Watcher(
            daemon, config.daemon.listen, url, plant.model, began, hours * HOUR / SPEED / SAMPLES
        )
        thread = Thread(target=watcher.run)
        thread.start()
        daemon.run()
        thread.join(timeout=60)
    return watcher.samples


@dataclass
class Watcher:
    """Looks at the process from beside the daemon."""

    daemon: Daemon
    listen: str
    url: str
    model: ModelCluster
    began: Instant
    pause: float  #: seconds between two samples
    samples: list[Sample] = field(default_factory=list)
    ended: Event = field(default_factory=Event)

    def run(self) -> None:
        """Take all samples, then end the daemon."""
        try:
            with psycopg.connect(self.url, autocommit=True) as connection:
                for _ in range(SAMPLES):
                    self.ended.wait(self.pause)
                    self.samples.append(self.sample(connection))
        finally:
            self.daemon.end()

    def sample(self, connection: psycopg.Connection) -> Sample:
        """One sample; the pages of the daemon are read first."""
        for path in ("", "metrics"):
            with urllib.request.urlopen(f"http://{self.listen}/{path}", timeout=30) as answer:
                answer.read()
        gc.collect()
        status = Path("/proc/self/status").read_text().splitlines()
        (memory,) = (int(line.split()[1]) / 1000 for line in status if line.startswith("VmRSS"))
        (cycles,) = connection.execute("SELECT count(*) FROM decisions").fetchone() or (0,)
        arrays = [*self.model._state, *self.model._jobs, *self.model._tree]
        return Sample(
            (self.model.now - self.began) / DAY, cycles, memory,
            len(list(Path("/proc/self/fd").iterdir())), threading.active_count(),
            sum(getattr(array, "nbytes", 0) for array in arrays) / 1e6,
            {name: float(size) for name, size in connection.execute(TABLES).fetchall()},
        )  # fmt: skip


def page(samples: Sequence[Sample], hours: int, seconds: float) -> tuple[str, bool]:
    """The page of the documentation, and whether everything is within its bound."""
    rates = {name: rate(samples, attrgetter(name)) for name in BOUNDS}
    holds = {name: rates[name] <= bound for name, bound in BOUNDS.items()}
    rows = [
        f"| {name} ({UNITS[name]}) | {began:.1f} | {half:.1f} | {end:.1f} | {rates[name]:+.2f} | "
        f"{BOUNDS[name]} | {'yes' if holds[name] else 'no'} |"
        for name in BOUNDS
        for began, half, end in [[getattr(samples[at], name) for at in (0, len(samples) // 2, -1)]]
    ]
    last = samples[-1]
    grown = {name: size - samples[0].tables.get(name, 0) for name, size in last.tables.items()}
    tables = [
        f"| `{name}` | {grown[name]:.2f} | {rate(samples, partial(of_table, name)):+.2f} |"
        for name in sorted(grown, key=lambda name: -grown[name])[:SHOWN_TABLES]
    ]
    text = TEXT.format(
        hours=hours, cycles=last.cycles, days=last.days, minutes=seconds / 60, samples=len(samples),
        rows="\n".join(rows), tables="\n".join(tables),
    )  # fmt: skip
    return text, all(holds.values())


def of_table(name: str, one: Sample) -> float:
    """The MB of a table; one that was not there yet had none."""
    return one.tables.get(name, 0.0)


def rate(samples: Sequence[Sample], value: Callable[[Sample], float]) -> float:
    """By how much it grows in a day, in the second half."""
    return slope([(one.days, value(one)) for one in samples[len(samples) // 2 :]])


if __name__ == "__main__":
    sys.exit(main())
