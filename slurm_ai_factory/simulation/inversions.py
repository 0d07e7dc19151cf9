"""Inversions: charge that started for others while the region was behind and waited with a job that fits.

An other's job that starts is one when, at that instant, the region's window so far is below its floor, and a
regional job waits in the same partition that needs no more of anything and asks for no longer a time limit.
That job would have started in its place, whatever else was running or reserved. A regional job that is larger
or longer might have started too, so the figure is a lower bound.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.simulation.arrays import Floats, Ints, Jobs
from slurm_ai_factory.simulation.replay import Replayed, Trial


def inverted_charge(trial: Trial, replayed: Replayed) -> float:
    """Resource-seconds of all inversions, each job with the whole of its run."""
    jobs, start, _ = replayed.cluster.jobs
    others = np.flatnonzero((jobs.side == 0) & (start >= 0))
    others = others[np.argsort(start[others], kind="stable")]
    others = others[_below(trial, replayed, start[others])]
    inverted = _inverted(jobs, trial.workload.partition, start, others)
    return float((jobs.weight * jobs.runtime)[others[inverted]].sum())


def _below(trial: Trial, replayed: Replayed, at: Ints) -> NDArray[np.bool_]:
    """Whether the region's window so far is below the floor at each of these instants, in order."""
    since = _begins(trial, replayed.cluster.began, at)
    regional, everything = (
        _charge_until(replayed, at, side) - _charge_until(replayed, since, side) for side in ((1,), (0, 1))
    )
    below: NDArray[np.bool_] = regional < trial.promise.target_share * everything
    return below


def _begins(trial: Trial, began: int, at: Ints) -> Ints:
    """When the window so far begins at each instant; all in seconds since ``began``, a whole hour."""
    hours, places = np.unique(at // HOUR, return_inverse=True)
    begins = [windows.window(trial.window, began + hour * HOUR, trial.zone).since for hour in hours.tolist()]
    return np.maximum(0, np.array(begins, np.int64) - began)[places]


def _charge_until(replayed: Replayed, at: Ints, sides: tuple[int, ...]) -> Floats:
    """The charge of these sides up to each instant, from the starts and ends of their jobs."""
    jobs, start, end = replayed.cluster.jobs
    ran = (start >= 0) & np.isin(jobs.side, sides)
    instants = np.concatenate([start[ran], end[ran]])
    changes = np.concatenate([jobs.weight[ran], -jobs.weight[ran]])
    order = np.argsort(instants, kind="stable")
    instants, rates = instants[order], np.cumsum(changes[order])
    charges = np.concatenate([[0.0], np.cumsum(rates[:-1] * np.diff(instants))])[: len(instants)]
    return np.interp(at, instants, charges) if len(instants) else np.zeros(len(at))


@njit(cache=True)
def _inverted(jobs: Jobs, partition: Ints, start: Ints, others: Ints) -> NDArray[np.bool_]:
    """Whether each of these jobs, in order of their starts, took the place of a regional job that waited."""
    inverted = np.zeros(len(others), np.bool_)
    waiting = np.zeros(len(start), np.int64)
    count = coming = 0
    for place in range(len(others)):
        job = others[place]
        while coming < len(start) and jobs.submit[coming] <= start[job]:
            if jobs.side[coming] == 1 and start[coming] != -2:
                waiting[count] = coming
                count += 1
            coming += 1
        kept = 0
        for regional in waiting[:count]:
            if start[regional] == -1 or start[regional] > start[job]:
                waiting[kept] = regional
                kept += 1
                inverted[place] |= _fits_in_place(jobs, partition, regional, job)
        count = kept
    return inverted


@njit(cache=True)
def _fits_in_place(jobs: Jobs, partition: Ints, regional: int, job: int) -> bool:
    """Whether a regional job would have started in place of the other's job, whatever was reserved."""
    if partition[regional] != partition[job] or jobs.pool[regional] != jobs.pool[job]:
        return False
    if jobs.limit[regional] > jobs.limit[job]:
        return False
    for component in range(jobs.need.shape[1]):
        if jobs.need[regional, component] > jobs.need[job, component]:
            return False
    return True
