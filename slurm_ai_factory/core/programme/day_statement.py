"""The statement that a site makes of one cluster and one day in UTC, and its one spelling as a file.

The rule: a file is either exactly what its content spells, or refused: so no second key, no other spelling of
a number and nothing beside the statement gets in. A statement names accounts and projects, and no persons.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from slurm_ai_factory.core import canonical, charge, tres
from slurm_ai_factory.core.escaped import for_terminal, is_hidden
from slurm_ai_factory.core.records import DAY, HOUR, Charge, Instant, Run

NAME = "day statement"
FORMAT: Literal[1] = 1
MOST_BYTES = 32 * 2**20
MOST_ROWS = 200_000
MOST = 2**53 - 1
"""Every reader of JSON has integers up to this one exactly."""
LATEST = 2**32
LONGEST = 255
"""Characters of an account or a project; a longer name is cut by the site."""
HOURS = DAY // HOUR

KEY = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z"
"""What a site, a cluster and a kind of infrastructure may be called: they become parts of file names."""
AMOUNT = re.compile(r"(0|[1-9]\d{0,29})(\.\d{0,11}[1-9])?", re.ASCII)
"""An exact amount of TRES-seconds."""

_Key = Annotated[str, Meta(pattern=KEY)]
_Text = Annotated[str, Meta(max_length=LONGEST)]
_Tres = Annotated[str, Meta(max_length=4096)]
_Number = Annotated[int, Meta(ge=0, le=MOST)]


class StatedRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, order=True):
    """What one account and project had of one set of TRES in one hour; seconds are of all its runs."""

    hour: Annotated[int, Meta(ge=0, lt=HOURS)]  #: of the day
    account: _Text
    project: _Text  #: the wckey; empty where the site has none
    infrastructure: _Key  #: its kind, as the site calls it
    tres: _Tres
    delivered: _Number
    waiting: _Number
    runs: _Number  #: that ended in the hour

    @property
    def key(self) -> tuple[int, str, str, str, str]:
        """What there is one row of."""
        return self.hour, self.account, self.project, self.infrastructure, self.tres


class SyncLine(Struct, frozen=True, forbid_unknown_fields=True):
    """The totals of a statement, by which a reader sees that it has all of it."""

    runs: _Number
    charge: dict[_Text, str]  #: TRES-seconds delivered, exact, by TRES
    watermark: Annotated[int, Meta(ge=0, lt=LATEST)]  #: up to when the site had read accounting


class DayStatement(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a statement says."""

    format: Literal[1]
    site: _Key
    cluster: _Key
    day: Annotated[int, Meta(ge=0, lt=LATEST, multiple_of=DAY)]  #: its first instant
    revision: Annotated[int, Meta(ge=1, le=100_000)]
    previous: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]  #: digest of the revision before
    capacity: dict[_Text, Annotated[list[str], Meta(min_length=HOURS, max_length=HOURS)]]
    """TRES-seconds that were up in each hour, by TRES; empty where the cluster's size is not known."""
    rows: Annotated[list[StatedRow], Meta(max_length=MOST_ROWS)]  #: in order, no key twice
    sync: SyncLine

    @property
    def digest(self) -> str:
        """SHA-256 of the content, in hex."""
        return canonical.digest(NAME, FORMAT, msgspec.to_builtins(self))

    def same(self, other: DayStatement) -> bool:
        """Whether both say the same of the day, whatever their revision and how far the site had read."""
        totals = [(each.sync.runs, each.sync.charge) for each in (self, other)]
        return self.rows == other.rows and self.capacity == other.capacity and totals[0] == totals[1]


class SignedStatement(Struct, frozen=True, forbid_unknown_fields=True):
    """A statement as it is in a file."""

    statement: DayStatement
    digest: str
    signature: Annotated[str, Meta(max_length=128)]  #: Ed25519, in base64, of ``signed_message``

    def text(self) -> str:
        """The content of the file."""
        return canonical.canonical_text(msgspec.to_builtins(self)) + "\n"


class StatedUsage(NamedTuple):
    """Usage of a day as the ledger has it: hour (an instant), account, project, TRES, seconds, runs."""

    hour: Instant
    account: str
    project: str
    tres: str
    delivered: int = 0
    waiting: int = 0
    runs: int = 0


def signed_message(digest: str) -> str:
    """The text that a site signs.

    >>> signed_message("ab")
    'slurm-ai-factory day statement 1\\nab\\n'
    """
    return f"slurm-ai-factory {NAME} {FORMAT}\n{digest}\n"


def open_usage(runs: Iterable[Run], day: Instant, as_of: Instant) -> Iterable[StatedUsage]:
    """What runs that have not ended had in the hours of a day, cut as it will be once they end."""
    for run in runs:
        ran, queued = charge.delivered(run, as_of), charge.waited(run, as_of)
        tasks = charge.waiting_tasks(run)
        for hour in range(day, day + DAY, HOUR):
            delivered, waited = (
                charge.spread(*span, hour + HOUR) - charge.spread(*span, hour) for span in (ran, queued)
            )
            whose = hour, run.subject.account, run.subject.wckey
            if delivered:
                yield StatedUsage(*whose, run.alloc_tres, delivered=delivered)
            if waited:
                yield StatedUsage(*whose, charge.wanted_tres(run), waiting=waited * tasks)


def stated_rows(usage: Iterable[StatedUsage], day: Instant, infrastructure: str) -> list[StatedRow]:
    """The rows of a statement: usage added up by what there is one row of, without empty ones."""
    sums: defaultdict[tuple[int, str, str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in usage:
        account, project = (for_terminal(name)[:LONGEST] for name in (row.account, row.project))
        total = sums[(row.hour - day) // HOUR, account, project, infrastructure, row.tres]
        for place, amount in enumerate(row[4:]):
            total[place] += amount
    return [StatedRow(*key, *amounts) for key, amounts in sorted(sums.items()) if any(amounts)]


def amount_text(amount: Charge) -> str:
    """An exact amount as a statement spells it.

    >>> from decimal import Decimal
    >>> amount_text(1200), amount_text(Decimal("2.50")), amount_text(Decimal("1E+3"))
    ('1200', '2.5', '1000')
    """
    return str(amount) if isinstance(amount, int) else f"{amount.normalize():f}"


def sync_of(rows: Iterable[StatedRow], watermark: Instant) -> SyncLine:
    runs, charges = 0, dict[str, Charge]()
    for row in rows:
        runs += row.runs
        for name, held in tres.parse_tres(row.tres).items() if row.delivered else ():
            charges[name] = charges.get(name, 0) + held * row.delivered
    return SyncLine(runs, {name: amount_text(amount) for name, amount in charges.items()}, watermark)


def capacity_stated(by_tres: Mapping[str, Mapping[Instant, Charge]], day: Instant) -> dict[str, list[str]]:
    """Capacity by TRES and hour as a statement has it."""
    return {
        name: [amount_text(up.get(hour, 0)) for hour in range(day, day + DAY, HOUR)]
        for name, up in sorted(by_tres.items())
    }


def sync_fault(statement: DayStatement) -> str:
    """Why the sync line of a statement disagrees with it; empty where it agrees."""
    made, given = sync_of(statement.rows, statement.sync.watermark), statement.sync
    if made.runs != given.runs:
        return f"its sync line has {given.runs} runs, its rows have {made.runs}"
    for name in sorted(made.charge.keys() | given.charge.keys()):
        stated, added = given.charge.get(name, "0"), made.charge.get(name, "0")
        if stated != added:
            return f"its sync line has {stated} {name}-seconds, its rows have {added}"
    if given.watermark < statement.day + DAY:
        return "the site had not read the whole day"
    return ""


def parsed_statement(data: bytes) -> SignedStatement:
    """The statement that a file has. Raises ValueError with why it is refused, in one sentence's part."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"is longer than {MOST_BYTES // 2**20} MiB")
    try:
        signed = msgspec.json.decode(data, type=SignedStatement)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"is not a day statement: {for_terminal(str(error))}") from error
    if signed.text().encode() != data:
        raise ValueError("is not spelled as `saf hub state` spells it; fetch the file again")
    statement = signed.statement
    _check_content(statement)
    if signed.digest != statement.digest:
        raise ValueError(
            "was changed: its digest is not that of its content; fetch the file again from its site"
        )
    return signed


def _check_content(statement: DayStatement) -> None:
    """Raise ValueError for content that no site states."""
    if (statement.revision == 1) != (statement.previous == ""):
        raise ValueError(f"has revision {statement.revision} and the digest {statement.previous!r} before it")
    for before, row in pairwise(statement.rows):
        if not before.key < row.key:
            raise ValueError(f"has rows out of order or twice: {for_terminal(repr(row.key))}")
    for text in {row.tres for row in statement.rows}:
        if tres.canonical(text) != text:
            raise ValueError(f"has a set of TRES that is not in its usual spelling: {for_terminal(text)}")
    names = {name for row in statement.rows for name in (row.account, row.project)}
    names |= statement.sync.charge.keys() | statement.capacity.keys()
    if hidden := next((name for name in names if any(map(is_hidden, name))), None):
        raise ValueError(f"has a name with a character that cannot be printed: {for_terminal(hidden)}")
    amounts = [*statement.sync.charge.values(), *(hour for up in statement.capacity.values() for hour in up)]
    if wrong := next((amount for amount in amounts if not AMOUNT.fullmatch(amount)), None):
        raise ValueError(f"has {for_terminal(wrong[:LONGEST])!r}, which is not an amount")
