"""python -m tests.benchmarks.evaluation_page IN: docs/evaluation, and the README's part of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tests.benchmarks import funder

Row = dict[str, Any]
ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "evaluation"
NOTE = "<!-- Made by `make evaluate`; do not edit. -->"
TARGET = 0.25
COLOURS = {"floor": "#0072b2", "static:0.25": "#d55e00", "oracle": "#009e73", "partition:0.25": "#cc79a7"}
PLOTS = (("scenario", "holiday", ""), ("scenario", "burst", ""), ("scenario", "early", ""),
         ("log", "curie_2012", "regional_bursty"), ("log", "philly_2017", "regional_broad"))  # fmt: skip
KINDS = {
    "log": "Real logs",
    "large": "Large jobs",
    "scenario": "Scenarios",
    "ablation": "Parts of the law left out",
    "fault": "Faults",
    "half-life": "Half-life of usage",
}
HEAD = (
    "| policy | share | worst window | windows missed | of them starved | short | to blame | inversions "
    "| used | mean wait, h | others' | of its own machine | others' | slowdown | others' | writes/day |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def page(rows: Sequence[Row]) -> str:
    parts = [NOTE, "", "# Tables of the evaluation", "", EXPLANATION]
    for kind, title in KINDS.items():
        mine = [row for row in rows if row["kind"] == kind]
        if mine:
            parts += ["", f"## {title}"]
            parts += [text for case in _cases(mine) for text in _table(case)]
    return "\n".join(parts) + "\n"


EXPLANATION = """Means over draws, with the standard deviation of the share. *Short* is target x all charge -
regional charge, summed over windows laid end to end, in days of the whole machine; *to blame* is the part of
it that regional jobs waited for while the region ran below the floor. *Inversions* are charge that started
for others while the window was below the floor and a regional job waited that fits in the same place. *Of its
own machine*: the mean wait as a part of what the side waits alone on a machine of its size. *Slowdown* is the
mean bounded slowdown (10 s). [What this says](index.md)."""


def _cases(rows: Iterable[Row]) -> Iterator[list[Row]]:
    key: Callable[[Row], tuple[str, str, str]] = lambda row: (row["case"], row["label"], row["window"])  # noqa: E731
    for _, group in groupby(sorted(rows, key=key), key):
        yield list(group)


def _table(case: list[Row]) -> list[str]:
    first = case[0]
    seeds = len({row["seed"] for row in case})
    name = " ".join(filter(None, (first["case"], first["label"])))
    order = list(dict.fromkeys(row["policy"] for row in sorted(case, key=lambda row: row["seed"])))
    order.sort(key=lambda policy: not policy.startswith("floor"))
    by_policy = [[row for row in case if row["policy"] == policy] for policy in order]
    alone = {row["seed"]: row for row in case if row["policy"] == "partition:0.25"}
    lines = [_line(rows, alone) for rows in by_policy]
    return ["", f"**{name}**, {first['window']}, {seeds} draws", "", HEAD, *lines]


def _line(rows: list[Row], alone: dict[int, Row]) -> str:
    def average(name: str, *inner: str) -> float:
        return mean(_get(row, name, *inner) for row in rows)

    def of_own(side: str) -> str:
        waits = [(_get(row, side, "mean_seconds"), alone.get(row["seed"])) for row in rows]
        parts = [
            wait / _get(own, side, "mean_seconds") for wait, own in waits if own and own[side]["mean_seconds"]
        ]
        return f"{mean(parts):.2f}" if len(parts) == len(rows) else ""

    spread = stdev(row["delivered_share"] for row in rows) if len(rows) > 1 else 0.0
    cells = [
        rows[0]["policy"], f"{average('delivered_share'):.3f} ± {spread:.3f}",
        f"{average('min_window_share'):.3f}", f"{100 * average('violation_ratio'):.1f} %",
        f"{100 * average('starved_ratio'):.1f} %", f"{average('shortfall_charge'):.2f}",
        f"{average('attributable_shortfall_charge'):.2f}", f"{average('inversion_charge'):.2f}",
        f"{100 * average('utilisation'):.1f} %",
        f"{average('regional', 'mean_seconds') / 3600:.1f}",
        f"{average('non_regional', 'mean_seconds') / 3600:.1f}", of_own("regional"), of_own("non_regional"),
        f"{average('regional', 'bounded_slowdown'):.1f}",
        f"{average('non_regional', 'bounded_slowdown'):.1f}", f"{average('writes_per_day'):.2f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _get(row: Row, *names: str) -> float:
    value: Any = row
    for name in names:
        value = value[name]
    return float(value)


def draw(rows: Sequence[Row], kind: str, case: str, label: str, file: Path) -> None:
    """The share of each window in the first draw, under some policies."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots()
    chosen = [r for r in rows if (r["kind"], r["case"], r["label"], r["seed"]) == (kind, case, label, 0)]
    window = min(row["window"] for row in chosen if kind == "scenario" or row["window"] != "quarter")
    for row in chosen:
        if row["window"] == window and row["policy"] in COLOURS:
            began = row["windows"][0][0]
            days = [(end - began) / 86400 for end, _ in row["windows"]]
            shares = [share for _, share in row["windows"]]
            marker = "o" if len(days) < 10 else ""
            axes.plot(days, shares, label=row["policy"], color=COLOURS[row["policy"]], marker=marker, lw=1.4)
    axes.axhline(TARGET, color="black", lw=1, ls="--", label="promised")
    axes.set(xlabel="days since the end of the first window", ylabel=f"share in {window}", ylim=(0, None))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, ncols=5, loc="lower left", bbox_to_anchor=(0, 1.0))
    figure.savefig(file, metadata={"Date": None})


def main() -> int:
    """Write the pages and the plots; print what was required."""
    rows: list[Row] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "tables.md").write_text(page(rows), encoding="utf-8")
    made = funder.blocks(rows)
    for file in (FOLDER / "index.md", ROOT / "README.md"):
        file.write_text(funder.filled(file.read_text(encoding="utf-8"), made), encoding="utf-8")
    for kind, case, label in PLOTS:
        if any((row["kind"], row["case"], row["label"]) == (kind, case, label) for row in rows):
            draw(rows, kind, case, label, FOLDER / f"{case}.svg")
    print(made["required"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
