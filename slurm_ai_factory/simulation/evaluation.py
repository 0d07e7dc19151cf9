"""What a policy did to both sides: the columns of ``saf simulate``, and each window's share for the plot.

A window's shortfall is what the region got too little of, target x all charge - regional charge. The part of
it that the policy answers for is bounded by the starved charge: regional demand that waited while the region
ran below the floor. Windows that roll are looked at at every hour for the worst one and for how often the
floor was missed, and laid end to end for sums. A calendar window of which the workload has a part is not
judged: in a quarter's last month the promise may have been kept or broken by the two before.

Tested in tests/simulation/test_evaluation.py and tests/simulation/test_inversions.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.measure.share import starved
from slurm_ai_factory.core.records import HOUR, Window
from slurm_ai_factory.simulation.arrays import ALL, REGIONAL, UP, WAITING, Floats, Ints
from slurm_ai_factory.simulation.bookkeeping import hours_of, windows_of
from slurm_ai_factory.simulation.inversions import inverted_charge
from slurm_ai_factory.simulation.replay import Replayed, Trial

BOUND = 10
"""Seconds: shorter runs are taken as that long in the slowdown (Feitelson's bounded slowdown)."""

WAITS = 0.01
"""The region waits when at least this part of the machine is wanted by jobs that wait."""

TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Of the jobs of one side that were submitted; a job that never started waited until the end."""

    mean_seconds: float
    p95_seconds: float
    bounded_slowdown: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyResult:
    """A policy's row."""

    policy: str
    delivered_share: float
    min_window_share: float | None  #: this and the next four: None where no window is judged
    violation_ratio: float | None  #: of the windows, those below the target
    starved_ratio: float | None  #: of the windows, those below it while regional jobs waited
    shortfall_charge: float | None
    attributable_shortfall_charge: float | None
    inversion_charge: float  #: see inversions
    utilisation: float
    regional: Waits
    non_regional: Waits
    writes_per_day: float
    windows: tuple[tuple[int, float], ...]  #: (end of the window, share), for the plot


class OwnMachine(NamedTuple):
    """What a side has as a part of what it would have on a machine of its own: the sharing incentive.

    Below 1 the side gains by sharing.
    """

    wait: float | None  #: of mean waits; None where the side waits for nothing on a machine of its own
    slowdown: float  #: of mean bounded slowdowns


def of_own_machine(shared: Waits, alone: Waits) -> OwnMachine:
    """A side on the shared machine beside the same side alone on one of its size (``partition``)."""
    return OwnMachine(
        wait=shared.mean_seconds / alone.mean_seconds if alone.mean_seconds else None,
        slowdown=shared.bounded_slowdown / alone.bounded_slowdown,
    )


def evaluate(trial: Trial, replayed: Replayed) -> PolicyResult:
    """The row of a policy."""
    cluster = replayed.cluster
    hours = cluster.hours
    days = (cluster.until - cluster.began) / (24 * HOUR)
    ends, shares = _shares(trial, cluster.began, hours)
    missed = shares < trial.promise.target_share - TOLERANCE
    starved_then = missed & _waits(trial, hours, (ends - cluster.began) // HOUR - 1)
    shortfall, attributable = _shortfalls(trial, cluster.began, hours) if len(ends) else (None, None)
    total = hours.sum(axis=0)
    return PolicyResult(
        policy=replayed.policy,
        delivered_share=float(total[REGIONAL] / total[ALL]),
        min_window_share=float(shares.min()) if len(ends) else None,
        violation_ratio=float(missed.mean()) if len(ends) else None,
        starved_ratio=float(starved_then.mean()) if len(ends) else None,
        shortfall_charge=shortfall,
        attributable_shortfall_charge=attributable,
        inversion_charge=inverted_charge(trial, replayed),
        utilisation=float(total[ALL] / total[UP]),
        regional=_waited(replayed, 1),
        non_regional=_waited(replayed, 0),
        writes_per_day=sum(len(decision.changes) for decision in replayed.writes) / days,
        windows=tuple(zip(ends.tolist(), shares.tolist(), strict=True)),
    )


def partial_windows(trial: Trial) -> int:
    """How many windows at the beginning and the end of the workload are not whole, and not judged."""
    began, last = int(trial.workload.submit[0]) // HOUR * HOUR, int(trial.workload.submit[-1])
    span = (began, began - (began - last) // HOUR * HOUR)
    return sum(not _is_whole(window, *span) for window in windows_of(trial.window, *span, trial.zone))


def _is_whole(window: Window, since: int, until: int) -> bool:
    return since <= window.since and window.until <= until


def _shares(trial: Trial, began: int, hours: Floats) -> tuple[Ints, Floats]:
    """(end, share) of each window: of a rolling one at every hour from the first whole one on."""
    span = (began, began + len(hours) * HOUR)
    sums = np.concatenate([np.zeros((1, hours.shape[1])), np.cumsum(hours, axis=0)])
    if trial.window.startswith("rolling:"):
        length = min(len(hours), windows.duration(trial.window.removeprefix("rolling:")) // HOUR)
        spans = sums[length:] - sums[:-length]
        ends = began + HOUR * np.arange(length, len(sums))
    else:
        whole = [window for window in windows_of(trial.window, *span, trial.zone) if _is_whole(window, *span)]
        first, last = (
            (np.array(instants, np.int64) - began) // HOUR
            for instants in ([window.since for window in whole], [window.until for window in whole])
        )
        spans, ends = sums[last] - sums[first], began + HOUR * last
    used = spans[:, ALL] > 0
    return ends[used].astype(np.int64), spans[used, REGIONAL] / spans[used, ALL]


def _waits(trial: Trial, hours: Floats, at: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether, in each of these hours, regional jobs waited while the region ran below the floor."""
    row = hours[at]
    waits = row[:, WAITING] >= WAITS * row[:, UP]
    starved_hours: np.ndarray[tuple[int], np.dtype[np.bool_]] = waits & (
        row[:, REGIONAL] < trial.promise.target_share * row[:, ALL]
    )
    return starved_hours


def _shortfalls(trial: Trial, began: int, hours: Floats) -> tuple[float, float]:
    """Sums over windows laid end to end: (shortfall, the part that starvation accounts for)."""
    target, shortfall, attributable = trial.promise.target_share, 0.0, 0.0
    span = (began, began + len(hours) * HOUR)
    for window in windows_of(trial.window, *span, trial.zone):
        if not _is_whole(window, *span):
            continue
        rows = hours[(window.since - began) // HOUR : (window.until - began) // HOUR]
        short = max(0.0, float(target * rows[:, ALL].sum() - rows[:, REGIONAL].sum()))
        shortfall += short
        attributable += min(short, starved(hours_of(window.since, rows), target))
    return shortfall, attributable


def _waited(replayed: Replayed, side: int) -> Waits:
    jobs, start, _ = replayed.cluster.jobs
    now = replayed.cluster.now - replayed.cluster.began
    chosen = (jobs.side == side) & (start != -2) & (jobs.submit < now)
    submit, runtime = jobs.submit[chosen], jobs.runtime[chosen]
    begun = np.where(start[chosen] < 0, now, start[chosen])
    waits = begun - submit
    if not len(waits):
        return Waits(mean_seconds=0.0, p95_seconds=0.0, bounded_slowdown=1.0)
    slowdown = np.maximum(1.0, (waits + runtime) / np.maximum(runtime, BOUND))
    return Waits(
        mean_seconds=float(waits.mean()),
        p95_seconds=float(np.percentile(waits, 95)),
        bounded_slowdown=float(slowdown.mean()),
    )
