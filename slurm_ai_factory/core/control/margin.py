"""Whether a promise's margin absorbs the size of single runs: ``steered_margin``. Pure.

A run is charged as a whole, so the share of a window ripples by the part of the window that a run is. Usage
overshoots by RIPPLE runs, and a margin below those lets a window end on the wrong side of its promise.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from slurm_ai_factory.core.control.controller import RIPPLE
from slurm_ai_factory.core.measure.share import Promise, expected_rate
from slurm_ai_factory.core.records import Bound, Measurement


class SteeredMargin(NamedTuple):
    """The margin of a steered promise, beside the ripple of its window; all shares are from 0 to 1."""

    promise: str
    margin: float
    room: float  #: the margin must be below this
    window_seconds: int  #: of a whole window
    ripple: float | None  #: 0 where no run was charged lately; None where that is not known

    @property
    def short(self) -> bool:
        """Whether the margin is below the ripple, both as they are shown: in tenths of a percent.

        >>> [SteeredMargin("region", 0.01, 0.65, 0, ripple).short for ripple in (None, 0.0, 0.0104, 0.0106)]
        [False, False, False, True]
        """
        return self.ripple is not None and round(self.ripple, 3) > round(self.margin, 3)

    @property
    def advised(self) -> float | None:
        """The least whole percentage that absorbs the ripple; None where the promise leaves no room for it.

        >>> [SteeredMargin("region", 0.01, 0.65, 0, ripple).advised for ripple in (0.0211, 0.07, 0.66)]
        [0.03, 0.07, None]
        """
        least = ceil(round(100 * (self.ripple or 0.0), 1)) / 100
        return least if least < self.room else None


def ripple_of_runs(run_charge: float, rate: float, window_seconds: int) -> float:
    """The part of a window's charge that RIPPLE runs are: RIPPLE x charge of one / (rate x length).

    ``run_charge`` is in resource-seconds, ``rate`` what is delivered per second. 0 where nothing is.

    >>> f"{ripple_of_runs(64 * 2 * 86400, 1000, 30 * 86400):.4f}", ripple_of_runs(3600, 0, 86400)
    ('0.0085', 0.0)
    """
    whole = rate * window_seconds
    return RIPPLE * run_charge / whole if whole > 0 else 0.0


def steered_margin(
    promise: Promise, lately: Measurement, run_charge: float, window_seconds: int, share_max: float
) -> SteeredMargin:
    """The margin of a promise and its ripple, by a measurement of the last days and their usual run.

    A floor and its margin stay below ``share_max``. A cap is more than its margin, and less than 1 with it.
    """
    share = promise.target_share
    room = share_max - share if promise.bound is Bound.FLOOR else min(share, 1 - share)
    ripple = ripple_of_runs(run_charge, expected_rate(lately), window_seconds)
    known = None if lately.unread_seconds else ripple
    return SteeredMargin(promise.name, promise.margin, room, window_seconds, known)
