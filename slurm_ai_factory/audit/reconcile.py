"""Compares the ledger with sacct and sreport: each difference is an amount with a cause, or unexplained.

The amount of a cause is computed from Slurm's answers, never from the difference that it explains; the rest
is unexplained. Amounts are TRES-seconds and add up to sreport's charge less the ledger's. sreport shows what
slurmdbd's hourly rollup made of the same runs (as_mysql_rollup.c: as_mysql_hourly_rollup), by rules of its
own, which the causes below describe.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from slurm_ai_factory.core import charge, tres
from slurm_ai_factory.core.records import HOUR, Charge, Instant, Reservation, Run

AccountTres = tuple[str, str]
"""(account, TRES): the account's own runs, without those of accounts below it."""

Amounts = Mapping[AccountTres, Charge]
ChargeByKey = dict[AccountTres, Charge]
Range = tuple[Charge, Charge]
Name = TypeVar("Name")

NOT_READ = "not read yet"
CHANGED = "changed since it was read"
GONE = "no longer listed by sacct"
NOT_ROLLED_UP = "not rolled up by slurmdbd"
SUSPENDED = "suspended time, which sreport takes off cpu only"
SUSPENDED_WHEN = "suspended on both sides of the interval's edge"
IDLE = "idle reservation time"
RESIZED = "resized jobs, of which sreport and sacct count the time of earlier sizes again"
NO_ACCOUNT = "runs without an account"
NOT_ELIGIBLE = "runs without an eligible time"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedBooks:
    """The books of an interval of whole hours."""

    since: Instant
    until: Instant
    at: Instant  #: open runs count up to here, or to ``until`` if that is earlier
    closed: Amounts  #: the ledger's hourly usage of ended runs
    open_runs: Sequence[Run]  #: the ledger's runs that are not in its hourly usage
    kept: Sequence[Run]  #: the ledger's runs of the interval, ended or open
    sacct: Sequence[Run]  #: the runs that sacct lists now
    sreport: Amounts | None  #: None where slurmdbd has not rolled the interval up
    reservations: Sequence[Reservation] = ()
    rejected: int = 0  #: lines of sacct that cannot be parsed; only sreport counts them


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedRow:
    """One account and TRES, in TRES-seconds, beside what another party counts."""

    account: str
    tres: str
    ledger: Charge
    theirs: Charge
    causes: Mapping[str, Charge]  #: parts of ``difference``, by cause

    @property
    def difference(self) -> Charge:
        """Their charge less the ledger's."""
        return self.theirs - self.ledger

    @property
    def unexplained(self) -> Charge:
        """The part of the difference without a cause."""
        return self.difference - sum(self.causes.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciledRow(ExplainedRow):
    """The same with sacct's charge; ``theirs`` is sreport's."""

    sacct: Charge

    @property
    def sreport(self) -> Charge:
        """sreport's charge."""
        return self.theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """Every account and TRES in any of the books, by name."""

    rows: Sequence[ReconciledRow]
    rejected: int

    @property
    def unexplained(self) -> Charge:
        """The unexplained amounts of all rows, without their signs; 0 when the books agree."""
        return sum(max(row.unexplained, -row.unexplained) for row in self.rows)

    @property
    def findings(self) -> int:
        """The number of rows with an unexplained amount."""
        return sum(row.unexplained != 0 for row in self.rows)


def reconcile(books: Iterable[ComparedBooks]) -> Reconciliation:
    """Compare the books of successive intervals."""
    sums: dict[str, ChargeByKey] = {"ledger": {}, "sacct": {}, "sreport": {}}
    causes: defaultdict[AccountTres, dict[str, Charge]] = defaultdict(dict)
    cut: dict[int, Run] = {}
    span: list[Instant] = []
    rejected = 0
    for book in books:
        rejected += book.rejected
        _add(sums["ledger"], _amounts(book.open_runs, book))
        _add(sums["ledger"], book.closed)
        _add(sums["sacct"], _amounts(book.sacct, book))
        _add(sums["sreport"], book.sreport or {})
        for cause, key, amount in _causes(book):
            _add(causes[key], {cause: amount})
        if book.sreport is not None:
            span += book.since, book.until
            cut |= {run.db_index: run for run in book.sacct if _straddles(run, book)}
    slack = _slack(cut.values(), min(span, default=0), max(span, default=0))
    keys = sorted({key for amounts in sums.values() for key in amounts} | causes.keys())
    rows = (_row(key, sums, causes[key], slack.get(key, (0, 0))) for key in keys)
    used = tuple(row for row in rows if row.ledger or row.sacct or row.sreport or row.causes)
    return Reconciliation(rows=used, rejected=rejected)


def _row(
    key: AccountTres, sums: Mapping[str, ChargeByKey], causes: Mapping[str, Charge], slack: Range
) -> ReconciledRow:
    ledger, sacct, sreport = (sums[name].get(key, 0) for name in ("ledger", "sacct", "sreport"))
    rest = sreport - ledger - sum(causes.values())
    explained = rest if slack[0] <= rest <= slack[1] else 0
    known = {cause: amount for cause, amount in {**causes, SUSPENDED_WHEN: explained}.items() if amount}
    return ReconciledRow(
        account=key[0], tres=key[1], ledger=ledger, sacct=sacct, theirs=sreport, causes=known
    )


def _add(total: dict[Name, Charge], amounts: Mapping[Name, Charge], sign: int = 1) -> None:
    for name, amount in amounts.items():
        total[name] = total.get(name, 0) + sign * amount


def _amounts(runs: Iterable[Run], books: ComparedBooks) -> ChargeByKey:
    """The charge of runs in the interval."""
    total: ChargeByKey = {}
    for run in runs:
        _add(total, _charge(run, _seconds(run, books)))
    return total


def _charge(run: Run, seconds: int) -> dict[AccountTres, Charge]:
    counts = tres.parse_tres(run.alloc_tres) if seconds else {}
    return {(run.subject.account, name): count * seconds for name, count in counts.items()}


def _seconds(run: Run, books: ComparedBooks) -> int:
    """The seconds in the interval for which the run is charged."""
    return _within(*charge.delivered(run, books.at), books)


def _within(start: Instant, end: Instant, seconds: int, books: ComparedBooks) -> int:
    """The part in the interval of seconds that are spread evenly from start to end."""
    before, after = (charge.spread(start, end, seconds, at) for at in (books.since, books.until))
    return after - before


Cause = tuple[str, AccountTres, Charge]
"""What differs, of which account and TRES, by how much."""


def _causes(books: ComparedBooks) -> Iterator[Cause]:
    """Every known difference between the ledger and sacct, and between sacct and sreport."""
    yield from _unread(books)
    if books.sreport is None:
        unrolled = _amounts(books.sacct, books)
        yield from ((NOT_ROLLED_UP, key, -amount) for key, amount in unrolled.items())
        return
    for run in books.sacct:
        yield from _rollup(run, books)
    for run in books.sacct:  # slurmdbd counts the time before a resized job's later run in it once more
        if run.told_start_at is not None and run.start_at is not None:
            again = _within(run.told_start_at, run.start_at, run.start_at - run.told_start_at, books)
            yield from ((RESIZED, key, amount) for key, amount in _charge(run, again).items())
    yield from ((IDLE, key, amount) for key, amount in idle(books).items())


def _unread(books: ComparedBooks) -> Iterator[Cause]:
    """The differences between sacct's runs now and the ledger's, run by run."""
    kept, listed = ({run.db_index: run for run in runs} for runs in (books.kept, books.sacct))
    for db_index in kept.keys() | listed.keys():
        ours, theirs = kept.get(db_index), listed.get(db_index)
        cause = NOT_READ if ours is None else GONE if theirs is None else CHANGED
        moved: ChargeByKey = {}
        _add(moved, _charge(theirs, _seconds(theirs, books)) if theirs else {})
        _add(moved, _charge(ours, _seconds(ours, books)) if ours else {}, -1)
        yield from ((cause, key, amount) for key, amount in moved.items() if amount)


def _rollup(run: Run, books: ComparedBooks) -> Iterator[Cause]:
    """Where the rollup's charge of a run is not TRES x ElapsedRaw.

    It subtracts suspended time from cpu alone (_add_tres_time_2_list), leaves out runs that were never
    eligible (the job query), and has no row for runs without an association.
    """
    start, end, _ = charge.delivered(run, books.at)
    seconds = _seconds(run, books)
    if not run.subject.account or run.eligible_at is None:
        cause = NO_ACCOUNT if run.eligible_at is not None else NOT_ELIGIBLE
        yield from ((cause, key, -amount) for key, amount in _charge(run, seconds).items())
    elif run.suspended_seconds:
        suspended = _charge(run, _within(start, end, end - start, books) - seconds)
        yield from ((SUSPENDED, key, amount) for key, amount in suspended.items() if key[1] != "cpu")


def _straddles(run: Run, books: ComparedBooks) -> bool:
    """Whether a run was suspended, and extends beyond the interval."""
    start, end, _ = charge.delivered(run, books.at)
    return bool(run.suspended_seconds and (start < books.since or end > books.until))


def _slack(runs: Iterable[Run], since: Instant, until: Instant) -> dict[AccountTres, Range]:
    """The least and the most by which sreport's cpu may exceed the ledger's because of suspended runs.

    Only slurmdbd knows when runs were suspended. A run with a span of W seconds, w of them in the interval,
    has between S - (W - w) and S of its S suspended seconds in the interval; the ledger spreads them evenly.
    """
    bounds: dict[AccountTres, Range] = {}
    for run in runs:
        start, end, seconds = charge.delivered(run, until)
        inside = max(0, min(end, until) - max(start, since))
        suspended = end - start - seconds
        ours = inside - (
            charge.spread(start, end, seconds, until) - charge.spread(start, end, seconds, since)
        )
        least, most = max(0, suspended - (end - start - inside)), min(suspended, inside)
        cpus = tres.parse_tres(run.alloc_tres).get("cpu", 0)
        key = (run.subject.account, "cpu")
        low, high = bounds.get(key, (0, 0))
        bounds[key] = (low + (ours - most) * cpus, high + (ours - least) * cpus)
    return bounds


def idle(books: ComparedBooks) -> ChargeByKey:
    """The idle time of reservations, which the rollup charges to their associations.

    Each hour by itself: the reservation's TRES-seconds, less the seconds of every run in it times the TRES of
    the *reservation* (_add_time_tres_list with times_count), in equal whole parts for each association. A
    TRES without idle time ends the list; amounts overflow as a C int does.
    """
    total: ChargeByKey = {}
    for hour in range(books.since, books.until, HOUR):
        for reservation in books.reservations:
            for key, amount in _idle_hour(reservation, hour, books):
                _add(total, {key: amount})
    return total


def _idle_hour(
    reservation: Reservation, hour: Instant, books: ComparedBooks
) -> Iterator[tuple[AccountTres, int]]:
    since, until = max(reservation.since, hour), min(reservation.until or hour + HOUR, hour + HOUR)
    for name, count in reservation.tres if until > since else ():
        unused = count * (until - since - _used(reservation, name, since, until, books))
        if unused <= 0:
            return
        parts = max(1, len(reservation.accounts))
        # As C computes the quotient, with the value in an int of 32 bits.
        wrapped = (unused + 2**31) % 2**32 - 2**31
        part = wrapped // parts if wrapped >= 0 else -(-wrapped // parts)
        yield from (((account, name), part) for account in reservation.accounts if account)


def _used(reservation: Reservation, name: str, since: Instant, until: Instant, books: ComparedBooks) -> int:
    """Seconds of all runs in the reservation that have some of a TRES."""
    spans = (
        charge.delivered(run, books.at)[:2]
        for run in books.sacct
        if run.subject.reservation in (reservation.name, f"#{reservation.number}")
        and name in tres.parse_tres(run.alloc_tres)
    )
    return sum(max(0, min(end, until) - max(start, since)) for start, end in spans)
