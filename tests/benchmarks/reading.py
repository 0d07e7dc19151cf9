"""`saf backfill` of a long history beside the same questions to sacct alone.

Rule: both are processes of their own, ask slurmdbd for exactly the same intervals with the same command line,
and run in turns; what the backfill made is compared with sums that MariaDB adds up itself.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psycopg

from slurm_ai_factory.core.windows import iso
from slurm_ai_factory.ledger import Store
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.slurm.commands import Commands
from tests.benchmarks import history
from tests.cluster.slurm import SlurmCluster
from tests.saf import Saf
from tests.slurm.record import NOTHING

HOUR = 3600
SAMPLE_SECONDS = 0.05
Say = Callable[[str], object]
Interval = tuple[int, int]

RUNS = "SELECT count(*) FROM runs"
INTERVALS = "SELECT since, until FROM reads ORDER BY read_id"
CPU_OF_RUNS = """
SELECT s.account, sum(r.elapsed_seconds * c.count)
FROM runs r JOIN subjects s USING (subject_id)
JOIN allocation_tres c ON c.allocation_id = r.alloc_id JOIN tres t USING (tres_id)
WHERE t.name = 'cpu' GROUP BY s.account
"""
CPU_OF_HOURS = """
SELECT s.account, sum(u.delivered) FROM tres_usage u JOIN subjects s USING (subject_id)
WHERE u.tres = 'cpu' GROUP BY s.account
"""


class Result(NamedTuple):
    """Seconds of each backfill and of each pass of sacct, and the most memory that a backfill had."""

    saf: list[float]
    sacct: list[float]
    peak_rss_mb: float

    @property
    def ratio(self) -> float:
        """The mean backfill, in passes of sacct."""
        return sum(self.saf) / len(self.saf) / (sum(self.sacct) / len(self.sacct))


@dataclass(frozen=True, slots=True)
class Recorder(Commands):
    """Notes the command lines that it is asked to run."""

    asked: list[list[str]] = field(default_factory=list)

    def pieces(self, name: str, *arguments: str, env: Mapping[str, str] = NOTHING) -> Iterator[str]:  # noqa: ARG002
        self.asked.append([name, *arguments])
        return iter(())


def measure(directory: Path, server: str, runs: int, rounds: int, say: Say) -> Result:
    """Make the history, then backfill and sacct in turns: saf sacct sacct saf ..."""
    until = int(time.time()) // HOUR * HOUR - HOUR
    since = until - history.length(runs) // HOUR * HOUR - HOUR
    with SlurmCluster(directory / "slurm", gpus_per_node=4) as cluster:
        history.plant(cluster)
        began = time.monotonic()
        history.insert(cluster, runs, since, until, lambda done: say(f"{done:,} jobs in slurmdbd"))
        say(f"history of {runs:,} jobs made in {time.monotonic() - began:.0f} s")
        expected = history.cpu_seconds(cluster)
        interval = since, since + 6 * HOUR
        with ledger(server, "warm") as url:
            saf_seconds(Saf(directory, cluster.env, url), interval)
        sacct_seconds(cluster, [interval])
        return _in_turns(cluster, directory, server, (since, until), runs, expected, rounds, say)


def _in_turns(
    cluster: SlurmCluster, directory: Path, server: str, interval: Interval, runs: int,
    expected: dict[str, int], rounds: int, say: Say,
) -> Result:  # fmt: skip
    result = Result([], [], 0.0)
    intervals: list[Interval] = []
    for number in range(rounds):
        for who in ("saf", "sacct") if number % 2 == 0 else ("sacct", "saf"):
            if who == "sacct":
                result.sacct.append(sacct_seconds(cluster, intervals))
                say(f"sacct: {result.sacct[-1]:.2f} s for {len(intervals)} intervals")
                continue
            with ledger(server, "backfilled") as url:
                seconds, peak = saf_seconds(Saf(directory, cluster.env, url), interval)
                result.saf.append(seconds)
                result = result._replace(peak_rss_mb=max(peak, result.peak_rss_mb))
                say(f"saf backfill: {seconds:.2f} s, {runs / seconds:,.0f} runs/s, {peak:.0f} MiB")
                intervals = check(url, runs, expected)
    return result


def check(url: str, runs: int, expected: dict[str, int]) -> list[Interval]:
    """The intervals that were read; raises unless the ledger has every run and the sums are MariaDB's."""
    with psycopg.connect(url) as connection:
        counted = connection.execute(RUNS).fetchone()
        if counted != (runs,):
            raise SystemExit(f"the ledger has {counted} runs instead of {runs}")
        for query in (CPU_OF_RUNS, CPU_OF_HOURS):
            totals = {account: int(total) for account, total in connection.execute(query).fetchall()}
            if totals != expected:
                wrong = [name for name in expected if totals.get(name) != expected[name]]
                raise SystemExit(f"CPU-seconds differ from slurmdbd's for {', '.join(wrong[:5])}")
        return [(since, until) for since, until in connection.execute(INTERVALS).fetchall()]


def saf_seconds(saf: Saf, interval: Interval) -> tuple[float, float]:
    """Wall time of a backfill and the most memory the process itself had, in MiB."""
    since, until = (iso(at) for at in interval)
    began, peak = time.monotonic(), 0.0
    process = subprocess.Popen(
        saf.argv("backfill", "-S", since, "-E", until), env=saf.env, cwd=saf.directory, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    while process.poll() is None:
        peak = max(peak, peak_mb(process.pid))
        time.sleep(SAMPLE_SECONDS)
    seconds = time.monotonic() - began
    if process.returncode != 0:
        raise SystemExit(f"saf backfill failed: {process.communicate()[1]}")
    if process.stderr:
        process.stderr.close()
    return seconds, peak


def peak_mb(pid: int) -> float:
    """The most memory a process had so far; its children, which are Slurm's commands, do not count."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0


def sacct_seconds(cluster: SlurmCluster, intervals: Sequence[Interval]) -> float:
    """Wall time of the questions that a backfill asks, their answers thrown away."""
    recorder = Recorder()
    for interval in intervals:
        list(Slurm(cluster.name, recorder).runs(*interval))
    env = {**cluster.env, "TZ": "UTC", "SLURM_TIME_FORMAT": "%s", "LC_ALL": "C.UTF-8"}
    began = time.monotonic()
    for argv in recorder.asked:
        subprocess.run(argv, env=env, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


@contextmanager
def ledger(server: str, name: str) -> Iterator[str]:
    """An empty, migrated ledger, dropped afterwards."""
    url = psycopg.conninfo.make_conninfo(server, dbname=name)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    try:
        with Store(url) as store:
            store.migrate()
        yield url
    finally:
        if "KEEP" not in os.environ:
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
