"""python -m tests.benchmarks.scale_page IN: docs/evaluation/scale.md and its picture."""

from __future__ import annotations

import json
import sys
from math import log10
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure

from tests.benchmarks.times import percentile

FOLDER = Path(__file__).parents[2] / "docs" / "evaluation"
GOAL = 1_000_000_000
Size = dict[str, Any]
TEXT = """\
# Scale

`make bench-scale` writes this page. It makes runs in PostgreSQL by number, {per_hour} an hour, with the
tables, indexes and sums that the product would have, and makes the ledger larger by an earlier past. Slurm
is a stand-in that answers from memory; the cycle, the question and the archive are the product's own. A
page is 8 kB of PostgreSQL: how many a cycle looks at does not depend on what else the machine does, unlike
its time.

![What a run costs as the ledger grows](scale.svg)

| runs, millions | all tables, GB | bytes a run | pages a cycle | of them an hour | cycle p50, p99, ms \
| `saf share`, ms | its CPU, ms | after new rules, s \
| a month as Parquet: runs a second | runs a CPU second | VACUUM of a million runs, s |
|---|---|---|---|---|---|---|---|---|---|---|---|
{rows}

*An hour* is one without saved sums: from one to two days, by the hour of the day. A cycle adds these up
itself, so its cost follows them. `saf share` is of a quarter with saved sums, each time on a connection of
its own. *After new rules* is the first question about a quarter by rules that were never asked before: it
classifies everything and sums the quarter. An archived month is all four files, usage included, and the
check of their sums. VACUUM is of `runs` and `hourly_usage`, with every page visited. These runs have no
earlier versions; a real ledger has about two of each ([how much it
grows](../howto/postgresql.md#how-much-it-grows)).

Bytes a run, by table, at the largest size (indexes included):

| table | rows | bytes a run | of them indexes |
|---|---|---|---|
{tables}

## What 1,000 million runs would take

Computed from the sizes above, not measured: bytes and VACUUM by the rate of the largest size, pages by
their slope over the logarithm of the runs.

| what | 1,000 million runs |
|---|---|
| disk | {disk:.0f} GB |
| pages a cycle, at noon | {pages:,.0f} |
| VACUUM of all pages of both tables, one process | {vacuum:.1f} h |
| the whole ledger as Parquet, one process | {parquet:.0f} GB, {archive:.1f} h of CPU |
"""


def all_bytes(size: Size) -> int:
    """Bytes of all tables with their indexes."""
    return sum(table["bytes"] for table in size["tables"].values())


def row(size: Size) -> str:
    """The line of one size."""
    archive, took = size["archive"], size["cycles_ms"]
    cells = (
        f"{size['runs'] / 1e6:.4g}", f"{all_bytes(size) / 1e9:.2f}", f"{all_bytes(size) / size['runs']:.0f}",
        f"{size['cycle_pages']:,}", f"{hourly_pages(size):,.0f}",
        f"{median(took):.0f}, {percentile(took):.0f}", f"{median(size['share_ms']):.0f}",
        f"{size['share_cpu_ms']:.0f}", f"{size['first_share_ms'] / 1000:.1f}",
        *(f"{archive['runs'] / archive[spent]:,.0f}" for spent in ("seconds", "cpu_seconds")),
        f"{vacuum_seconds(size) * 1e6:.2f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def hourly_pages(size: Size) -> float:
    """Pages that a cycle looks at for each hour that it adds up."""
    return float(size["cycle_pages"] / size["unsummed_hours"])


def vacuum_seconds(size: Size) -> float:
    """Seconds of a VACUUM for each run."""
    return float(sum(size["vacuum_seconds"].values()) / size["runs"])


def page(figures: dict[str, Any]) -> str:
    sizes = figures["sizes"]
    first, last = sizes[0], sizes[-1]
    slope = (hourly_pages(last) - hourly_pages(first)) / max(log10(last["runs"] / first["runs"]), 1e-9)
    archive = last["archive"]
    return TEXT.format(
        per_hour=figures["per_hour"], rows="\n".join(map(row, sizes)),
        tables="\n".join(
            f"| `{name}` | {table['rows']:,} | {table['bytes'] / last['runs']:.1f} | "
            f"{table['indexes'] / last['runs']:.1f} |"
            for name, table in last["tables"].items()
        ),
        disk=all_bytes(last) / last["runs"] * GOAL / 1e9,
        pages=36 * (hourly_pages(last) + max(slope, 0) * log10(GOAL / last["runs"])),
        vacuum=vacuum_seconds(last) * GOAL / 3600,
        parquet=archive["bytes"] / archive["runs"] * GOAL / 1e9,
        archive=archive["cpu_seconds"] / archive["runs"] * GOAL / 3600,
    )  # fmt: skip


def plot(sizes: list[Size]) -> Figure:
    """Disk, the pages of a cycle and its time, over the number of runs."""
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    runs = [size["runs"] / 1e6 for size in sizes]
    curves = (
        ("bytes a run", [all_bytes(size) / size["runs"] for size in sizes]),
        ("pages of a cycle, an hour", [hourly_pages(size) for size in sizes]),
        ("a cycle, p99, ms", [percentile(size["cycles_ms"]) for size in sizes]),
    )
    for place, (name, values) in enumerate(curves, 1):
        axes = figure.add_subplot(1, len(curves), place)
        axes.plot(runs, values, marker="o")
        axes.set(xscale="log", xlabel="millions of runs", title=name, ylim=(0, 1.2 * max(values)))
    return figure


def main() -> int:
    figures = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    (FOLDER / "scale.md").write_text(page(figures), encoding="utf-8")
    plot(figures["sizes"]).savefig(FOLDER / "scale.svg", metadata={"Date": None})
    return 0


if __name__ == "__main__":
    sys.exit(main())
