"""Slurm's accounting into the ledger: what to read, in which pieces, and what is left when it breaks off.

The rule: an interval is read whole and checked before anything of it is kept, and kept in one transaction
with the watermark; whatever happens in between, the next read begins where the last whole one ended. Slurm is
asked one thing at a time. While the ledger takes one interval in, the next is being read.

Tested in tests/end_to_end/test_backfill.py and tests/slurm/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import NamedTuple

from slurm_ai_factory.core.charge import chargeable
from slurm_ai_factory.core.federation import counted_here, needs_own_number
from slurm_ai_factory.core.live.cross_check import Unlisted
from slurm_ai_factory.core.pace import Pace
from slurm_ai_factory.core.records import STATES, Instant, Interval, Rejected, Run
from slurm_ai_factory.errors import SlurmTooMuchError
from slurm_ai_factory.ledger import Ledger, ReadResult
from slurm_ai_factory.question import promised_window
from slurm_ai_factory.source import Source
from slurm_ai_factory.steps.site import Site

GROWTH = 32
"""Where there are few runs, one query may ask for so many times the usual interval."""

TRIES = 3
"""How often an interval is halved before Slurm is taken to be down rather than asked too much."""


@cache
def _ledger_thread(cluster: str) -> ThreadPoolExecutor:
    """The one thread of a cluster's reads, which no other cluster waits for.

    There is one for good: Python may wait for ever for one that dies of a lack of memory as it starts.
    """
    return ThreadPoolExecutor(1, f"ledger of {cluster}")


OnRead = Callable[[Interval, "Read"], object]


class Read(NamedTuple):
    """The result of all reads together."""

    runs: int = 0
    changed: int = 0
    rejected: tuple[Rejected, ...] = ()
    unknown_states: tuple[str, ...] = ()  #: states that no known Slurm has; their runs count like any other
    new_rejected: tuple[Rejected, ...] = ()  #: of the rejected, those that no read had before
    unlisted: Unlisted = Unlisted()  #: ended runs that an earlier read listed

    def plus(self, result: ReadResult) -> Read:
        """With one more interval."""
        return Read(
            self.runs + result.runs,
            self.changed + result.new + result.changed,
            self.rejected + result.rejected,
            tuple(sorted({*self.unknown_states, *result.states} - STATES)),
            self.new_rejected + result.new_rejected,
            self.unlisted.plus(result.unlisted),
        )


def read_intervals(
    slurm: Source,
    ledger: Ledger,
    intervals: Iterable[Interval],
    *,
    at: Instant,
    usual: int,
    progress: OnRead | None = None,
) -> Read:
    """Read the intervals into the ledger, one after the other, as of the instant ``at``.

    Intervals of ``usual`` seconds are asked for, more or less as Slurm can keep up. Raises SlurmError or
    LedgerError; every interval that was reported to ``progress`` is kept.
    """
    so_far = Read()
    pace = Pace(usual, GROWTH * usual)
    kept: Future[ReadResult] | None = None
    done: Interval = (at, at)
    try:
        for interval, answer in _answers(slurm, intervals, pace):
            own = slurm.federation_id() if needs_own_number(answer) else 0
            runs = [chargeable(counted_here(run, own), at) for run in answer]
            if kept:
                so_far = _add(so_far, kept.result(), done, progress)
            kept = _ledger_thread(slurm.cluster).submit(ledger.intake.record, runs, *interval, at=at)
            done = interval
        return _add(so_far, kept.result(), done, progress) if kept else so_far
    finally:
        wait([kept] if kept else [])  # nobody else may use the ledger before


def read_accounting(site: Site, now: Instant) -> Read:
    """Read everything since the watermark, each interval kept whole or not at all."""
    since = start_of_read(site, now)
    read = read_intervals(
        site.slurm, site.ledger, [(since, now)], at=now, usual=site.config.slurm.read_window
    )
    site.ledger.intake.record_events(*site.slurm.events(since, now), now)
    return read


def start_of_read(site: Site, now: Instant) -> Instant:
    """The watermark less the overlap for late records; at first the configured start, or the window's."""
    mark = site.ledger.accounting.watermark()
    if mark is None:
        return site.config.first_instant() or promised_window(site.config, now).since
    return site.config.overlap().since(min(mark, now), now)


def _add(so_far: Read, result: ReadResult, done: Interval, progress: OnRead | None) -> Read:
    so_far = so_far.plus(result)
    if progress:
        progress(done, so_far)
    return so_far


def _answers(
    slurm: Source, intervals: Iterable[Interval], pace: Pace
) -> Iterator[tuple[Interval, list[Run | Rejected]]]:
    """Each piece of the intervals with Slurm's whole answer; pieces follow the pace Slurm can keep."""
    for since, until in intervals:
        while since < until:
            end, runs, pace = _ask(slurm, since, until, pace)
            yield (since, end), runs
            since = end


def _ask(
    slurm: Source, since: Instant, until: Instant, pace: Pace
) -> tuple[Instant, list[Run | Rejected], Pace]:
    """The first piece of an interval: where it ends, its runs, and the pace from here on."""
    for _ in range(TRIES):
        end = min(until, since + pace.seconds)
        try:
            runs = list(slurm.runs(since, end))
        except SlurmTooMuchError:
            slower = pace.slower()
            if slower is None:
                raise
            pace = slower
            continue
        return end, runs, pace.after(len(runs))
    end = min(until, since + pace.seconds)
    return end, list(slurm.runs(since, end)), pace
