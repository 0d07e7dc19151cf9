"""python -m tests.benchmarks.scale FILE: what a ledger costs as it grows: on disk, a cycle and a question.

Rule: a ledger is made larger by an earlier past of the same density, so that all sizes are alike in what
happened lately. MILLIONS, from the environment, are the sizes in millions of runs. FREE is the number of GB
that stay free on the disk: a size that would need more is left out. The figures go into FILE.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from statistics import mean
from typing import Any

import psycopg

from slurm_ai_factory import question
from slurm_ai_factory.audit import archiving
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.charge import day_of
from slurm_ai_factory.core.records import DAY, HOUR
from slurm_ai_factory.ledger.hour_sums import UNSETTLED
from tests.benchmarks import books, cycles, history, reading
from tests.benchmarks.times import say
from tests.scratch import scratch_server

MILLION = 1_000_000
BEATS = int(os.environ.get("BEATS", DAY // books.BEAT - cycles.WARM_UP))
"""A day of cycles: how many hours have no saved sums yet depends on the hour of the day."""
MONTH = "2027-02"
TABLES = """
SELECT relname, reltuples::bigint, pg_relation_size(oid), pg_indexes_size(oid) FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND pg_total_relation_size(oid) > 1e6
ORDER BY pg_total_relation_size(oid) DESC
"""


def main() -> int:
    millions = [float(size) for size in os.environ.get("MILLIONS", "1,10").split(",")]
    free = float(os.environ.get("FREE", "15")) * 1e9
    file = Path(sys.argv[1])
    with scratch_server() as (directory, server), reading.ledger(server, "books") as url:
        books.begin(url)
        known, now, sizes = 0, books.NOW, list[dict[str, Any]]()
        for runs in (int(size * MILLION) for size in millions):
            if sizes and (short := _short(directory, sizes[-1], runs, free)):
                say(f"{runs:,} runs left out: {short}")
                break
            measured, now = _measured(directory, url, known, runs, now)
            sizes.append(measured)
            known = runs
            file.write_text(json.dumps({"per_hour": history.RUNS_PER_HOUR, "sizes": sizes}, indent=1) + "\n")
    return 0


def _short(directory: Path, last: dict[str, Any], runs: int, free: float) -> str:
    """Why the disk is too small for so many runs; empty where it is not."""
    needed = sum(table["bytes"] for table in last["tables"].values()) / last["runs"] * (runs - last["runs"])
    left = shutil.disk_usage(directory).free - needed
    return "" if left > free else f"they would leave {left / 1e9:.0f} GB of the disk free"


def _measured(directory: Path, url: str, known: int, runs: int, now: int) -> tuple[dict[str, Any], int]:
    """The figures of one size, and the instant of its last cycle."""
    began = time.monotonic()
    books.extend(url, known, runs, lambda done: say(f"{done:,} runs") if done % MILLION == 0 else None)
    made = time.monotonic() - began
    say(f"{runs:,} runs, {runs - known:,} of them made in {made:.0f} s")
    vacuumed, tables = _vacuumed(url), _tables(url)
    _sum_up(url)
    archive = _archived(url, directory)
    now, took, pages = cycles.beats_of(url, now, BEATS, say)
    cycles.shares(url, now, say)  # saves the sums of the newest days
    before = _cpu_seconds(directory)
    shares = cycles.shares(url, now, say)
    figures = {
        "runs": runs, "made_per_second": round((runs - known) / made), "vacuum_seconds": vacuumed,
        "tables": tables, "archive": archive, "cycles_ms": [round(ms, 2) for ms in took.values()],
        "cycle_pages": round(pages), "unsummed_hours": round(mean(map(_unsummed_hours, took)), 1),
        "share_ms": [round(ms, 1) for ms in shares],
        "share_cpu_ms": round(1000 * (_cpu_seconds(directory) - before) / len(shares) / cycles.REPEATS, 1),
        "first_share_ms": round(1000 * cycles.reclassify(url, now, say), 1),
    }  # fmt: skip
    return figures, now


def _unsummed_hours(at: int) -> float:
    """The hours up to a cycle of which no sums are saved: what it adds up itself."""
    return (at - day_of(at - UNSETTLED)) / HOUR


def _sum_up(url: str) -> None:
    """Save the sums of the whole past, as a daemon has done between its cycles."""
    with cycles.opened(url) as (ledger, store):
        before, sums = -1, 0
        while before < sums:
            question.sum_up(cycles.configuration(), ledger)
            (row,) = store.connection.execute("SELECT count(*) FROM daily_sums").fetchall()
            before, sums = sums, row[0]


def _archived(url: str, directory: Path) -> dict[str, float]:
    """A month as Parquet: its versions of runs, bytes, seconds of the clock and of CPU."""
    month = windows.window(MONTH, 0, cycles.configuration().promise.time_zone)
    with cycles.opened(url) as (ledger, _):
        began, before = time.monotonic(), _cpu_seconds(directory)
        made = archiving.archive_month(
            cycles.configuration(), ledger, month, directory / "archive", at=books.NOW, actor="benchmark"
        )
        seconds, cpu = time.monotonic() - began, _cpu_seconds(directory) - before
    shutil.rmtree(directory / "archive")
    say(f"{made.runs:,} runs archived in {seconds:.2f} s, {cpu:.2f} s of CPU, {made.bytes / 1e6:.1f} MB")
    return {
        "runs": made.runs,
        "bytes": made.bytes,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
    }


def _cpu_seconds(directory: Path) -> float:
    """CPU of this process and of every process of the server so far, without other work on the machine."""
    (noted,) = directory.rglob("postmaster.pid")
    postmaster = noted.read_text().split()[0]
    ticks = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # a process that has ended is in its parent's sum
            number, _, rest = file.read_text().partition(" ")
            fields = rest.rpartition(") ")[2].split()
            if postmaster in (number, fields[1]):
                ticks += sum(map(int, fields[11:15] if number == postmaster else fields[11:13]))
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _vacuumed(url: str) -> dict[str, float]:
    """Seconds of a VACUUM of each of the two large tables, in which nothing is dead."""
    seconds = {}
    with psycopg.connect(url, autocommit=True) as connection:
        for table in ("runs", "hourly_usage"):
            began = time.monotonic()
            connection.execute(f"VACUUM (DISABLE_PAGE_SKIPPING, ANALYZE) {table}".encode())
            seconds[table] = round(time.monotonic() - began, 2)
    return seconds


def _tables(url: str) -> dict[str, dict[str, int]]:
    with psycopg.connect(url) as connection:
        return {
            name: {"rows": rows, "bytes": heap + indexes, "indexes": indexes}
            for name, rows, heap, indexes in connection.execute(TABLES).fetchall()
        }


if __name__ == "__main__":
    sys.exit(main())
