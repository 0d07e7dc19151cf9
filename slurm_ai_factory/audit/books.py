"""Gathers the ledger's and Slurm's books of the same hours, for reconcile.py. Writes nothing.

Tested in tests/slurm/test_contract.py and tests/end_to_end/test_reconcile.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from slurm_ai_factory.audit.reconcile import ComparedBooks
from slurm_ai_factory.core.charge import chargeable
from slurm_ai_factory.core.records import HOUR, Instant, Rejected, Run
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.source import Source


class RollupSpan(NamedTuple):
    """Whole hours, all of them rolled up by slurmdbd or none."""

    since: Instant
    until: Instant
    rolled_up: bool


def books_between(
    slurm: Source, ledger: Ledger, since: Instant, until: Instant, *, at: Instant, usual: int
) -> Iterator[ComparedBooks]:
    """All books of [since, until), in intervals of about ``usual`` seconds. Raises SlurmError, LedgerError.

    Both ends are whole hours and not after ``at``.
    """
    step = max(HOUR, usual // HOUR * HOUR)
    open_runs = ledger.accounting.open_runs()
    for first in range(since, until, step):
        for span in _spans(slurm, first, min(until, first + step)):
            yield _books(slurm, ledger, span, open_runs, at)


def _spans(slurm: Source, since: Instant, until: Instant) -> Iterator[RollupSpan]:
    """The interval, cut where the rollup begins or ends; slurmdbd rolls hours up in order."""
    if slurm.rolled_up(since, since + HOUR) and slurm.rolled_up(until - HOUR, until):
        yield RollupSpan(since, until, True)
        return
    hours = range(since, until, HOUR)
    for rolled_up, group in groupby(hours, lambda hour: slurm.rolled_up(hour, hour + HOUR)):
        span = list(group)
        yield RollupSpan(span[0], span[-1] + HOUR, rolled_up)


def _books(
    slurm: Source, ledger: Ledger, span: RollupSpan, open_runs: list[Run], at: Instant
) -> ComparedBooks:
    since, until, rolled_up = span
    answer = [chargeable(run, at) for run in slurm.runs(since, until)]
    return ComparedBooks(
        since=since,
        until=until,
        at=at,
        closed=ledger.accounting.usage_by_account(since, until),
        open_runs=open_runs,
        kept=ledger.accounting.runs_between(since, until),
        sacct=[run for run in answer if isinstance(run, Run)],
        sreport=slurm.utilization(since, until) if rolled_up else None,
        reservations=slurm.reservations(since, until) if rolled_up else (),
        rejected=sum(isinstance(run, Rejected) for run in answer),
    )
