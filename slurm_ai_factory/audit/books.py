"""What the ledger and Slurm say of the same hours, gathered for core/reconcile.py. Nothing is written."""

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
    """Whole hours that slurmdbd has rolled up, or has not."""

    since: Instant
    until: Instant
    rolled_up: bool


def books_between(
    slurm: Source, ledger: Ledger, since: Instant, until: Instant, *, at: Instant, usual: int
) -> Iterator[ComparedBooks]:
    """All books of [since, until), in intervals of about ``usual`` seconds. Raises SlurmError, LedgerError.

    Both ends are on a whole hour and not after ``at``.
    """
    step = max(HOUR, usual // HOUR * HOUR)
    open_runs = ledger.accounting.open_runs()
    for first in range(since, until, step):
        for piece in _pieces(slurm, first, min(until, first + step)):
            yield _books(slurm, ledger, piece, open_runs, at)


def _pieces(slurm: Source, since: Instant, until: Instant) -> Iterator[RollupSpan]:
    """The interval, cut where the rollup begins or ends; slurmdbd rolls hours up in their order."""
    if slurm.rolled_up(since, since + HOUR) and slurm.rolled_up(until - HOUR, until):
        yield RollupSpan(since, until, True)
        return
    hours = range(since, until, HOUR)
    for done, group in groupby(hours, lambda hour: slurm.rolled_up(hour, hour + HOUR)):
        piece = list(group)
        yield RollupSpan(piece[0], piece[-1] + HOUR, done)


def _books(
    slurm: Source, ledger: Ledger, piece: RollupSpan, open_runs: list[Run], at: Instant
) -> ComparedBooks:
    since, until, rolled_up = piece
    answer = [chargeable(one, at) for one in slurm.runs(since, until)]
    return ComparedBooks(
        since=since,
        until=until,
        at=at,
        closed=ledger.accounting.usage_by_account(since, until),
        open_runs=open_runs,
        kept=ledger.accounting.runs_between(since, until),
        told=[one for one in answer if isinstance(one, Run)],
        sreport=slurm.utilization(since, until) if rolled_up else None,
        reservations=slurm.reservations(since, until) if rolled_up else (),
        rejected=sum(isinstance(one, Rejected) for one in answer),
    )
