"""A chart of each policy's share by window, against the floor. Tested in tests/cli/test_simulate.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from slurm_ai_factory.simulation.evaluation import PolicyResult

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette: safe for colour-blind readers, also in print."""

FEW = 40
"""Up to so many windows, each one has a marker."""


def plot_windows(target_share: float, window: str, results: list[PolicyResult], file: Path) -> None:
    """Write the chart in the format of the file's suffix. Raises ValueError for an unknown format."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, result in enumerate(results):
        at = np.array([end for end, _ in result.windows], "datetime64[s]")
        shares = [share for _, share in result.windows]
        marker = "o" if len(at) <= FEW else ""
        axes.plot(
            at, shares, label=result.policy, color=COLOURS[number % len(COLOURS)], marker=marker, lw=1.5
        )
    axes.axhline(target_share, color="black", lw=1, ls="--", label=f"promised {target_share:.0%}")
    axes.set_ylabel(f"share of the region in {window}")
    axes.set_xlabel("end of the window")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, ncols=3, loc="upper left", bbox_to_anchor=(0, 1.12))
    figure.savefig(file, dpi=120)
