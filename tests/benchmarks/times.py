"""Measured times in words and as a figure, all in ms; and the progress of a measurement."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection
from statistics import median, quantiles


def percentile(took: Collection[float]) -> float:
    """The 99th, interpolated between the two nearest; of one time, that one."""
    if len(took) == 1:
        return next(iter(took))
    return quantiles(took, n=100, method="inclusive")[98]


def described(took: Collection[float]) -> str:
    return f"p50 {median(took):.2f}, p99 {percentile(took):.2f}, max {max(took):.2f} ms"


def say(text: str) -> None:
    """Progress, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
