"""What became of each of several promises under a policy: shares, verdicts of windows, writes.

The verdicts are the product's own (``core.measure.judgement``). Rolling windows are judged once a day from
the first whole one on, calendar windows where the workload has all of one.

Tested in tests/simulation/test_commitments.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.measure.judgement import verdict
from slurm_ai_factory.core.measure.share import Promise, starved
from slurm_ai_factory.core.records import DAY, HOUR, Bound, Measurement, Verdict, Window
from slurm_ai_factory.simulation.arrays import ALL, UP
from slurm_ai_factory.simulation.bookkeeping import Books, windows_of
from slurm_ai_factory.simulation.replay import Replayed, Trial

BROKEN = (Verdict.MISSED_STARVED, Verdict.EXCEEDED)
"""The verdicts that may be the policy's fault."""


class BrokenWindow(NamedTuple):
    """A window in which a floor was missed while its demand waited, or a cap exceeded while others did."""

    window: Window
    share: float
    asked: float
    """The part of its hours in which a floor's demand, running and waiting, was at least the floor, or that
    of the others at least what a cap leaves them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseOutcome:
    """A promise under a policy."""

    promise: Promise
    delivered_share: float | None  #: of all its charge; None where there was none
    worst_window_share: float | None  #: the least of a floor, the most of a cap; None: no window was judged
    windows: int  #: how many were judged
    verdicts: dict[Verdict, int]  #: of those
    broken: tuple[BrokenWindow, ...]
    writes_per_day: float | None  #: of its row; None where it has none


def outcomes(trial: Trial, replayed: Replayed) -> list[PromiseOutcome]:
    """What became of each promise, in their order; none where there is one only."""
    promises = trial.commitments.promises if trial.commitments else ()
    return [_outcome(trial, replayed, promise) for promise in promises]


def utilisation(replayed: Replayed) -> float:
    """What was delivered, as a part of what was up."""
    total = replayed.cluster.hours.sum(axis=0)
    return float(total[ALL] / total[UP])


def _outcome(trial: Trial, replayed: Replayed, promise: Promise) -> PromiseOutcome:
    cluster = replayed.cluster
    books = Books(cluster, promise, trial.window, trial.zone, 0, trial.sight(promise))
    judged = [_judged(books, window) for window in whole_windows(trial, cluster.began, cluster.now)]
    verdicts = [verdict(measured) for measured in judged]
    shares = [m.delivered_share for m in judged if m.delivered_share is not None]
    worst = max if promise.bound is Bound.CAP else min
    days = (cluster.until - cluster.began) / DAY
    writes = sum(len(decision.changes) for decision in replayed.writes if decision.promise == promise.name)
    return PromiseOutcome(
        promise=promise,
        delivered_share=books.over(Window("all", cluster.began, cluster.now)).delivered_share,
        worst_window_share=worst(shares, default=None),
        windows=len(judged),
        verdicts=dict(Counter(verdicts)),
        broken=tuple(
            BrokenWindow(m.window, m.delivered_share or 0.0, _asked(m))
            for m, judgement in zip(judged, verdicts, strict=True)
            if judgement in BROKEN
        ),
        writes_per_day=writes / days if promise.name in cluster.accounts else None,
    )


def whole_windows(trial: Trial, since: int, until: int) -> Iterator[Window]:
    """The windows to judge: of a rolling kind the whole ones that end a day apart."""
    until -= until % HOUR
    if trial.window.startswith("rolling:"):
        length = windows.duration(trial.window.removeprefix("rolling:"))
        ends = range(since + length, until + 1, DAY)
        yield from (windows.window(trial.window, end, trial.zone) for end in ends)
        return
    for window in windows_of(trial.window, since, until, trial.zone):
        if since <= window.since and window.until <= until:
            yield window


def _judged(books: Books, window: Window) -> Measurement:
    """A window with what ``measure_window`` has beside the sums: what was starved."""
    measured = books.over(window)
    return replace(measured, starved_charge=starved(measured.hours, measured.target_share))


def _asked(measured: Measurement) -> float:
    """As in ``BrokenWindow``."""
    least, cap = measured.target_share, measured.bound is Bound.CAP
    asked = [
        hour.total - hour.regional + hour.others_waiting >= (1 - least) * hour.total
        if cap
        else hour.regional + hour.regional_waiting >= least * hour.total
        for hour in measured.hours
    ]
    return sum(asked) / len(asked)
