"""Other parties' figures, computed from the ledger's runs by their rules, and why they differ from ours.

The rule: the other party's amount and the amounts of the causes are computed by themselves from each run;
what the causes do not add up to is unexplained, and has to be 0. Amounts are TRES-seconds.

sreport: as_mysql_rollup.c, as in reconcile.py. APEL: apel/parsers/slurm.py of APEL 2.4: six states, elapsed
time x allocated CPUs, at the end of the job. Waldur's site agent: client.py, get_usage_report: `sacct
--truncate` with ReqTRES x Elapsed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from slurm_ai_factory.audit.reconcile import (
    NO_ACCOUNT,
    NOT_ELIGIBLE,
    SUSPENDED,
    AccountTres,
    Cause,
    ExplainedRow,
)
from slurm_ai_factory.core import charge, tres
from slurm_ai_factory.core.records import Charge, Instant, Run

APEL_STATES = frozenset(("CANCELLED", "COMPLETED", "FAILED", "NODE_FAIL", "PREEMPTED", "TIMEOUT"))
"""The states of jobs that APEL's parser of Slurm counts."""

ENDS_LATER = "runs that end after the interval, which APEL counts where they end"
BEGAN_EARLIER = "time before the interval of runs that end in it, which APEL counts where they end"
OTHER_STATE = "runs in states that APEL does not count"
REQUESTED = "requested instead of allocated TRES"


class OtherBook(StrEnum):
    """Whose figures."""

    SREPORT = "sreport"
    APEL = "apel"
    WALDUR = "waldur"


@dataclass(frozen=True, slots=True)
class RunInInterval:
    """A run and its seconds in [since, until), as known at ``at``."""

    run: Run
    since: Instant
    until: Instant
    at: Instant

    @property
    def seconds(self) -> int:
        """The seconds for which the ledger charges it."""
        return self._within(*charge.delivered(self.run, self.at))

    @property
    def span(self) -> int:
        """The seconds between its start and its end, suspended time included."""
        start, end, seconds = charge.delivered(self.run, self.at)
        return self._within(start, end, end - start) if seconds or self.run.suspended_seconds else 0

    @property
    def ends(self) -> bool:
        """Whether it ended in the interval."""
        return self.run.end_at is not None and self.since <= self.run.end_at < self.until

    def _within(self, start: Instant, end: Instant, seconds: int) -> int:
        """The part in the interval of seconds that are spread evenly from start to end."""
        return charge.spread(start, end, seconds, self.until) - charge.spread(start, end, seconds, self.since)


def compare_with(
    book: OtherBook, runs: Iterable[Run], since: Instant, until: Instant, at: Instant
) -> list[ExplainedRow]:
    """Each account and TRES with the ledger's charge in [since, until), theirs, and what differs.

    APEL has no TRES but cpu. Open runs count up to ``at``, or to ``until`` if that is earlier.
    """
    ours, theirs = defaultdict[AccountTres, Charge](int), defaultdict[AccountTres, Charge](int)
    causes: defaultdict[AccountTres, defaultdict[str, Charge]] = defaultdict(lambda: defaultdict(int))
    for run in runs:
        part = RunInInterval(run, since, until, at)
        for name, amount in _ours(book, part).items():
            ours[run.subject.account, name] += amount
        for name, amount in _theirs(book, part).items():
            theirs[run.subject.account, name] += amount
        for cause, key, amount in _causes_of(book, part):
            causes[key][cause] += amount
    rows = (
        ExplainedRow(
            account=key[0],
            tres=key[1],
            ledger=ours[key],
            theirs=theirs[key],
            causes={cause: amount for cause, amount in causes[key].items() if amount},
        )
        for key in sorted(ours.keys() | theirs.keys() | causes.keys())
    )
    return [row for row in rows if row.ledger or row.theirs or row.causes]


def _times(text: str, seconds: int) -> dict[str, Charge]:
    return {name: held * seconds for name, held in tres.parse_tres(text).items()} if seconds else {}


def _ours(book: OtherBook, part: RunInInterval) -> dict[str, Charge]:
    """The ledger's charge, of the TRES that the other party counts."""
    amounts = _times(part.run.alloc_tres, part.seconds)
    return _cpu(amounts) if book is OtherBook.APEL else amounts


def _cpu(amounts: Mapping[str, Charge]) -> dict[str, Charge]:
    return {name: amount for name, amount in amounts.items() if name == "cpu"}


def _theirs(book: OtherBook, part: RunInInterval) -> dict[str, Charge]:
    """The other party's charge, by its own rules."""
    run = part.run
    if book is OtherBook.APEL:
        counted = part.ends and run.state in APEL_STATES
        return (
            _cpu(_times(run.alloc_tres, run.elapsed_seconds)) if counted and run.start_at is not None else {}
        )
    if book is OtherBook.WALDUR:
        return _times(run.req_tres, part.seconds)
    if not run.subject.account or run.eligible_at is None:
        return {}
    of_cpu, others = _times(run.alloc_tres, part.seconds), _times(run.alloc_tres, part.span)
    return {name: of_cpu.get(name, 0) if name == "cpu" else amount for name, amount in others.items()}


def _causes_of(book: OtherBook, part: RunInInterval) -> Iterator[Cause]:
    """The reasons why both differ on a run, each with its amount."""
    run, ours = part.run, _ours(book, part)
    account = run.subject.account
    if book is OtherBook.WALDUR:
        requested = _times(run.req_tres, part.seconds)
        for name in ours.keys() | requested.keys():
            yield REQUESTED, (account, name), requested.get(name, 0) - ours.get(name, 0)
    elif book is OtherBook.APEL:
        if part.ends and run.state in APEL_STATES:
            before = run.elapsed_seconds - part.seconds
            earlier = _cpu(_times(run.alloc_tres, before))
            yield from ((BEGAN_EARLIER, (account, name), amount) for name, amount in earlier.items())
            return
        cause = OTHER_STATE if part.ends else ENDS_LATER
        yield from ((cause, (account, name), -amount) for name, amount in ours.items())
    elif not account or run.eligible_at is None:
        cause = NO_ACCOUNT if run.eligible_at is not None else NOT_ELIGIBLE
        yield from ((cause, (account, name), -amount) for name, amount in ours.items())
    else:
        suspended = _times(run.alloc_tres, part.span - part.seconds)
        yield from ((SUSPENDED, (account, name), each) for name, each in suspended.items() if name != "cpu")
