"""python -m tests.benchmarks.energy: time and memory of one answer about energy, as a daemon asks once a day.

Rule: the ledger is that of tests/benchmarks/books.py, the runs are modelled, and the meter of the IT
equipment reads every quarter of an hour. The last line on stdout is one JSON object, for RUNS runs (default
1000000).
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from decimal import Decimal

from slurm_ai_factory import question
from slurm_ai_factory.config import Config, parse_config
from slurm_ai_factory.core.energy.meters import Kind, Reading
from slurm_ai_factory.core.records import Window
from slurm_ai_factory.ledger import Ledger, open_ledger
from slurm_ai_factory.report.energy import energy_of
from tests.benchmarks import books, history, reading
from tests.scratch import scratch_server

CONFIG = """
cluster.name = "loop"
promise.resource = "gres/gpu"
[[rule]]
name = "region"
beneficiary = "regional"
account_subtree = "regional"
[[rule]]
name = "rest"
beneficiary = "non_regional"
account_subtree = "root"
[[energy.watts]]
tres = "gres/gpu"
watts = 550
since = 2020-01-01
source = "data sheet"
"""
QUARTER = 900


def span(runs: int) -> Window:
    """The time of all runs."""
    return Window("", (books.NOW - runs * 3600 // history.RUNS_PER_HOUR) // QUARTER * QUARTER, books.NOW)


def meter(ledger: Ledger, window: Window) -> None:
    """A reading of E_IT for every quarter of an hour."""
    quarters = range(window.since, window.until, QUARTER)
    rows = [Reading("it", Kind.E_IT, at, at + QUARTER, Decimal(100), "kWh", "bms.csv") for at in quarters]
    ledger.meters.append([("", row) for row in rows], at=books.NOW, actor="bench")


def measure(config: Config, ledger: Ledger, window: Window) -> dict[str, object]:
    """The figures of one answer; memory is what the process needed at most above what it had."""
    asked = question.ask(config, ledger, window)
    with asked.books():
        pass  # every account is classified before, as in a daemon that runs
    before, began, used = peak_mb(), time.monotonic(), time.process_time()
    answer = energy_of(asked, question.by_place)
    return {
        "seconds": round(time.monotonic() - began, 1),
        "own_cpu_seconds": round(time.process_time() - used, 1),
        "peak_mb_more": round(peak_mb() - before, 1),
        "kwh": round(float(answer.sums.total) / 3.6e6),
    }


def peak_mb() -> float:
    """The most memory that this process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    runs = int(os.environ.get("RUNS", "1000000"))
    with scratch_server() as (_, server), reading.ledger(server, "energy") as url:
        books.begin(url)
        books.extend(url, 0, runs, lambda high: print(f"{high} runs", file=sys.stderr, flush=True))
        with open_ledger(url, books.CLUSTER) as ledger:
            window = span(runs)
            meter(ledger, window)
            figures = measure(parse_config(CONFIG, "benchmark"), ledger, window)
        print(json.dumps({"runs": runs} | figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
