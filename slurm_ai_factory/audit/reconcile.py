"""The ledger against sacct and sreport: every difference is an amount with a cause, or unexplained.

A cause is computed from what Slurm tells, never taken from the difference it is to explain; what is left over
is unexplained. Amounts are TRES-seconds and add up to what sreport has more than the ledger. sreport is what
slurmdbd's hourly rollup made of the same runs (as_mysql_rollup.c: as_mysql_hourly_rollup), with rules of its
own, which are told at the causes below.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from slurm_ai_factory.core import charge, tres
from slurm_ai_factory.core.records import HOUR, Charge, Instant, Reservation, Run

AccountTres = tuple[str, str]
"""(account, TRES): the account's own runs, without those of the accounts below it."""

Amounts = Mapping[AccountTres, Charge]
ChargeByKey = dict[AccountTres, Charge]
Range = tuple[Charge, Charge]
Name = TypeVar("Name")

NOT_READ = "not read yet"
CHANGED = "changed since it was read"
GONE = "no longer told by sacct"
NOT_ROLLED_UP = "not rolled up by slurmdbd"
SUSPENDED = "suspended time, which sreport takes off cpu only"
SUSPENDED_WHEN = "suspended on both sides of the interval's edge"
IDLE = "idle reservation time"
RESIZED = "resized jobs, of which sreport and sacct count the time of earlier sizes again"
NO_ACCOUNT = "runs without an account"
NOT_ELIGIBLE = "runs without an eligible time"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedBooks:
    """What each book says of an interval of whole hours."""

    since: Instant
    until: Instant
    at: Instant  #: open runs are counted up to here, and no further than ``until``
    closed: Amounts  #: the ledger: the hourly usage of ended runs
    open_runs: Sequence[Run]  #: the ledger: runs that are not in its hourly usage
    kept: Sequence[Run]  #: the ledger: every run of the interval, ended or open
    told: Sequence[Run]  #: sacct, now
    sreport: Amounts | None  #: None where slurmdbd has not rolled the interval up
    reservations: Sequence[Reservation] = ()
    rejected: int = 0  #: lines of sacct that cannot be read, and are therefore in no book but sreport


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciledRow:
    """One account and TRES, in TRES-seconds."""

    account: str
    tres: str
    ledger: Charge
    sacct: Charge
    sreport: Charge
    causes: Mapping[str, Charge]  #: what sreport has more than the ledger, by cause

    @property
    def difference(self) -> Charge:
        """What sreport has more than the ledger."""
        return self.sreport - self.ledger

    @property
    def unexplained(self) -> Charge:
        """What no cause accounts for."""
        return self.difference - sum(self.causes.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """Every account and TRES in any of the books, by name."""

    rows: Sequence[ReconciledRow]
    rejected: int

    @property
    def unexplained(self) -> Charge:
        """What no cause accounts for, whichever book has it; 0 when the books agree."""
        return sum(max(row.unexplained, -row.unexplained) for row in self.rows)

    @property
    def findings(self) -> int:
        """In how many accounts and TRES something is unexplained."""
        return sum(row.unexplained != 0 for row in self.rows)


def reconcile(books: Iterable[ComparedBooks]) -> Reconciliation:
    """Compare the books of intervals that follow one another."""
    sums: dict[str, ChargeByKey] = {"ledger": {}, "sacct": {}, "sreport": {}}
    causes: defaultdict[AccountTres, dict[str, Charge]] = defaultdict(dict)
    cut: dict[int, Run] = {}
    span: list[Instant] = []
    rejected = 0
    for one in books:
        rejected += one.rejected
        for name, amounts in (("ledger", _ledger(one)), ("sacct", _sacct(one)), ("sreport", one.sreport)):
            _add(sums[name], amounts or {})
        for cause, key, amount in _causes(one):
            _add(causes[key], {cause: amount})
        if one.sreport is not None:
            span += one.since, one.until
            cut |= {run.db_index: run for run in one.told if _straddles(run, one)}
    slack = _slack(cut.values(), min(span, default=0), max(span, default=0))
    found = (_row(key, sums, causes[key], slack.get(key, (0, 0))) for key in _keys(sums, causes))
    used = tuple(row for row in found if row.ledger or row.sacct or row.sreport or row.causes)
    return Reconciliation(rows=used, rejected=rejected)


def _keys(sums: Mapping[str, ChargeByKey], causes: Mapping[AccountTres, object]) -> list[AccountTres]:
    return sorted({key for amounts in sums.values() for key in amounts} | causes.keys())


def _row(
    key: AccountTres, sums: Mapping[str, ChargeByKey], causes: Mapping[str, Charge], slack: Range
) -> ReconciledRow:
    ledger, sacct, sreport = (sums[name].get(key, 0) for name in ("ledger", "sacct", "sreport"))
    rest = sreport - ledger - sum(causes.values())
    explained = rest if slack[0] <= rest <= slack[1] else 0
    known = {cause: amount for cause, amount in {**causes, SUSPENDED_WHEN: explained}.items() if amount}
    return ReconciledRow(
        account=key[0], tres=key[1], ledger=ledger, sacct=sacct, sreport=sreport, causes=known
    )


def _add(total: dict[Name, Charge], amounts: Mapping[Name, Charge], sign: int = 1) -> None:
    for name, amount in amounts.items():
        total[name] = total.get(name, 0) + sign * amount


def _ledger(books: ComparedBooks) -> ChargeByKey:
    """The hourly usage of ended runs, and the open runs."""
    total = _amounts(books.open_runs, books)
    _add(total, books.closed)
    return total


def _sacct(books: ComparedBooks) -> ChargeByKey:
    return _amounts(books.told, books)


def _amounts(runs: Iterable[Run], books: ComparedBooks) -> ChargeByKey:
    total: ChargeByKey = {}
    for run in runs:
        _add(total, _charge(run, _seconds(run, books)))
    return total


def _charge(run: Run, seconds: int) -> dict[AccountTres, Charge]:
    counts = tres.parse_tres(run.alloc_tres) if seconds else {}
    return {(run.subject.account, name): count * seconds for name, count in counts.items()}


def _seconds(run: Run, books: ComparedBooks) -> int:
    """Of the seconds the run is charged, those in the interval."""
    return _within(*charge.delivered(run, books.at), books)


def _wall(run: Run, books: ComparedBooks) -> int:
    """Of the run's span, suspended or not, the seconds in the interval."""
    start, end, _ = charge.delivered(run, books.at)
    return _within(start, end, end - start, books)


def _within(start: Instant, end: Instant, seconds: int, books: ComparedBooks) -> int:
    before, after = (charge.spread(start, end, seconds, at) for at in (books.since, books.until))
    return after - before


Cause = tuple[str, AccountTres, Charge]


def _causes(books: ComparedBooks) -> Iterator[Cause]:
    """Every known difference: between the ledger and sacct, and between sacct and sreport."""
    yield from _unread(books)
    if books.sreport is None:
        yield from ((NOT_ROLLED_UP, key, -amount) for key, amount in _sacct(books).items())
        return
    for run in books.told:
        yield from _rollup(run, books)
    yield from _resizes(books)
    yield from ((IDLE, key, amount) for key, amount in idle(books).items())


def _unread(books: ComparedBooks) -> Iterator[Cause]:
    """What sacct tells now and the ledger does not have, run by run."""
    kept, told = ({run.db_index: run for run in runs} for runs in (books.kept, books.told))
    for db_index in kept.keys() | told.keys():
        ours, theirs = kept.get(db_index), told.get(db_index)
        cause = NOT_READ if ours is None else GONE if theirs is None else CHANGED
        moved: ChargeByKey = {}
        _add(moved, _charge(theirs, _seconds(theirs, books)) if theirs else {})
        _add(moved, _charge(ours, _seconds(ours, books)) if ours else {}, -1)
        yield from ((cause, key, amount) for key, amount in moved.items() if amount)


def _rollup(run: Run, books: ComparedBooks) -> Iterator[Cause]:
    """What the rollup makes of a run other than TRES x ElapsedRaw.

    It takes suspended time off cpu and off no other TRES (_add_tres_time_2_list), leaves out runs that were
    never eligible (the job query), and has no row for runs without an association.
    """
    seconds = _seconds(run, books)
    if not run.subject.account or run.eligible_at is None:
        cause = NO_ACCOUNT if run.eligible_at is not None else NOT_ELIGIBLE
        yield from ((cause, key, -amount) for key, amount in _charge(run, seconds).items())
    elif run.suspended_seconds:
        suspended = _charge(run, _wall(run, books) - seconds)
        yield from ((SUSPENDED, key, amount) for key, amount in suspended.items() if key[1] != "cpu")


def _resizes(books: ComparedBooks) -> Iterator[Cause]:
    """The time before its own start that a resized job's later run has in slurmdbd, where it has any."""
    for run in books.told:
        if run.told_start_at is not None and run.start_at is not None:
            again = _within(run.told_start_at, run.start_at, run.start_at - run.told_start_at, books)
            yield from ((RESIZED, key, amount) for key, amount in _charge(run, again).items())


def _straddles(run: Run, books: ComparedBooks) -> bool:
    """Whether a run that was suspended lies on both sides of an edge of these books."""
    start, end, _ = charge.delivered(run, books.at)
    outside = start < books.since or end > books.until
    return bool(run.suspended_seconds and outside and books.sreport is not None)


def _slack(runs: Iterable[Run], since: Instant, until: Instant) -> dict[AccountTres, Range]:
    """The most and least that sreport's cpu may have more, where only sreport knows when runs were suspended.

    Of S suspended seconds of a run with a span of W seconds, w of them in the interval, between S - (W - w)
    and S lie in it; the ledger takes them evenly.
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
    """What the rollup adds to the associations of reservations for time in which nobody used them.

    Each hour on its own: the reservation's TRES-seconds, less the seconds of every run in it times what the
    *reservation* holds (_add_time_tres_list with times_count), in whole shares for each association. A TRES
    that was used up ends the list; the rest has a C int's range.
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
        part = _c_quotient(unused, max(1, len(reservation.accounts)))
        yield from (((account, name), part) for account in reservation.accounts if account)


def _used(reservation: Reservation, name: str, since: Instant, until: Instant, books: ComparedBooks) -> int:
    """Seconds of all runs in the reservation that hold some of a TRES."""
    spans = (
        charge.delivered(run, books.at)[:2]
        for run in books.told
        if run.subject.reservation in (reservation.name, f"#{reservation.number}")
        and name in tres.parse_tres(run.alloc_tres)
    )
    return sum(max(0, min(end, until) - max(start, since)) for start, end in spans)


def _c_quotient(value: int, parts: int) -> int:
    """As C divides a value that it keeps in an int of 32 bits."""
    wrapped = (value + 2**31) % 2**32 - 2**31
    return wrapped // parts if wrapped >= 0 else -(-wrapped // parts)
