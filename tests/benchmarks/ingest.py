"""python -m tests.benchmarks.ingest: reading beside sacct, and cycles on ledgers of growing size.

Rule: progress goes to stderr; the last line on stdout is one JSON object. RUNS, from the environment, is the
size of the history that is read and of the smallest ledger; the others are five and ten times as large.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.benchmarks import cycles, reading
from tests.benchmarks.times import say
from tests.cluster.requirements import unavailable
from tests.scratch import scratch_server

SIZES = (1, 5, 10)
FULL = 1_000_000


def main() -> int:
    runs = int(os.environ.get("RUNS", FULL))
    parts = os.environ.get("PARTS", "reading,cycles").split(",")
    reason = unavailable()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 1
    with scratch_server() as (directory, server):
        print(json.dumps(_figures(directory, server, runs, parts)))
    return 0


def _figures(directory: Path, server: str, runs: int, parts: list[str]) -> dict[str, object]:
    figures: dict[str, object] = {"ratio_to_sacct": None, "runs": runs, "peak_rss_mb": None}
    if "reading" in parts:
        rounds = 2 if runs < FULL else int(os.environ.get("ROUNDS", "2"))
        result = reading.measure(directory, server, runs, rounds, say)
        figures |= {"ratio_to_sacct": round(result.ratio, 2), "peak_rss_mb": round(result.peak_rss_mb, 1)}
    if "cycles" in parts:
        beats = 300 if runs >= FULL else 100
        figures |= cycles.measure(server, [runs * size for size in SIZES], beats, say)
    return figures


if __name__ == "__main__":
    sys.exit(main())
