"""What a run of a cluster delivered, from sacct's rows alone: pure, and without anything of the product.

Rule: the promise is judged by time and CPUs that Slurm's accounting tells, not by the ledger that steered.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

STEP = 300
"""Seconds between two windows that are looked at."""


class Run(NamedTuple):
    """One allocation; instants in seconds, end is that of the record or the end of the run."""

    regional: bool
    submit: int
    start: int | None
    end: int
    cpus: int


class Sample(NamedTuple):
    """What sshare said of the region at an instant."""

    at: int
    norm_shares: float
    effectv_usage: float


class LedgerShare(NamedTuple):
    """What ``saf share`` told of the last window, and of which span that was."""

    since: int
    until: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """A cluster's life between two instants."""

    name: str
    began: int
    until: int
    cpus: int
    away: tuple[tuple[int, int], ...]  #: spans in which the others submitted nothing
    runs: tuple[Run, ...]
    samples: tuple[Sample, ...]
    writes: int
    ledger: LedgerShare | None = None


class Verdict(NamedTuple):
    """How the windows of one life came out."""

    windows: tuple[tuple[int, float], ...]  #: (end, share)
    worst: float
    missed: float  #: part of the windows below the floor
    missed_waiting: float  #: part of the windows below it that ended while regional jobs waited
    blocked: int  #: longest time in which no regional job started although one waited, seconds
    blocked_jobs: int  #: most regional jobs that waited in that time
    share: float  #: of everything
    utilisation: float


def charge(runs: Iterable[Run], since: int, until: int) -> int:
    """CPU-seconds in a span.

    >>> charge([Run(True, 0, 10, 30, 2), Run(False, 0, None, 9, 4)], 20, 100)
    20
    """
    return sum(
        run.cpus * max(0, min(run.end, until) - max(run.start, since))
        for run in runs
        if run.start is not None
    )


def share(runs: Iterable[Run], since: int, until: int) -> float | None:
    """Regional part of the CPU-seconds of a span; None where nothing ran.

    >>> share([Run(True, 0, 0, 10, 1), Run(False, 0, 0, 10, 3)], 0, 10)
    0.25
    """
    near = [run for run in runs if run.start is not None and run.start < until and run.end > since]
    everything = charge(near, since, until)
    return charge((run for run in near if run.regional), since, until) / everything if everything else None


def judge(lived: Lived, window: int, floor: float) -> Verdict:
    """Every window of that length, from the first whole one on."""
    windows = tuple(_windows(lived, window))
    missed = [end for end, delivered in windows if delivered < floor]
    since, until = _blocked(lived)
    return Verdict(
        windows=windows,
        worst=min(delivered for _, delivered in windows),
        missed=len(missed) / len(windows),
        missed_waiting=sum(1 for end in missed if waiting(lived, end)) / len(windows),
        blocked=until - since,
        blocked_jobs=max(waiting(lived, at) for at in range(since, until + 1, STEP)),
        share=share(lived.runs, lived.began, lived.until) or 0.0,
        utilisation=charge(lived.runs, lived.began, lived.until) / (lived.cpus * (lived.until - lived.began)),
    )


def _windows(lived: Lived, window: int) -> Iterator[tuple[int, float]]:
    for end in range(lived.began + window, lived.until + 1, STEP):
        delivered = share(lived.runs, end - window, end)
        if delivered is not None:
            yield end, delivered


def waiting(lived: Lived, at: int) -> int:
    """Regional jobs that had been submitted and had not started."""
    return sum(
        1
        for run in lived.runs
        if run.regional and run.submit <= at < (run.end if run.start is None else run.start)
    )


def running(lived: Lived, at: int) -> tuple[int, int]:
    """(regional, other) CPUs in use at an instant."""
    now = [run for run in lived.runs if run.start is not None and run.start <= at < run.end]
    regional = sum(run.cpus for run in now if run.regional)
    return regional, sum(run.cpus for run in now) - regional


def _blocked(lived: Lived) -> tuple[int, int]:
    """The longest span in which no regional job started although one waited, to the step."""
    starts = sorted(run.start for run in lived.runs if run.regional and run.start is not None)
    longest, since = (lived.began, lived.began), lived.began
    for at in range(lived.began, lived.until + 1, STEP):
        last = starts[bisect(starts, at) - 1] if starts and starts[0] <= at else lived.began
        since = max(since, last) if waiting(lived, at) else at + STEP
        longest = max(longest, (since, at), key=lambda span: span[1] - span[0])
    return longest
