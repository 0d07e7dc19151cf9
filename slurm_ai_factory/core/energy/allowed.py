"""Allowed power: how much the connection to the grid may draw, when, by which agreement.

Contracts and limits of the grid operator are rows that hold for [since, until), both on a quarter of an hour.
The least of the current ones is what is allowed. The rule: rows are added and never changed; a correction is
a row that names the entry it replaces. Where no row applies, it is not known what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.energy.meters import QUARTER, to_correct
from slurm_ai_factory.core.programme import sheet
from slurm_ai_factory.core.programme.sheet import Fault
from slurm_ai_factory.core.records import Instant

COLUMNS = ("since", "until", "max_kw", "kind", "reference", "told_at")
"""Of a table of allowed power."""

MOST_KW = Decimal(10**7)
"""More than any connection, 10 GW: a larger number is in another unit."""

TDTR_HOURS = 1314
"""Hours of a year in which a grid operator may limit a time-duration right: 15 % of 8,760."""


TOLD_BEFORE = time(8, 30)
"""Civil time of the day before, by which a limit of a time-duration right is announced."""


class PowerKind(StrEnum):
    """Why no more is allowed."""

    CONTRACT = "contract"  #: contracted transport power
    TDTR = "tdtr"  #: a limit under a time-duration transport right
    TBTR = "tbtr"  #: outside the blocks of a time-block transport right
    REDISPATCH = "redispatch"  #: an order of the grid operator to draw less
    OWN = "own"  #: set by the facility itself


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedPower:
    """What may be drawn at most in [since, until)."""

    since: Instant
    until: Instant
    max_kw: Decimal  #: mean over each quarter of an hour
    kind: PowerKind
    reference: str  #: of the contract, the announcement or the order
    told_at: Instant  #: when the facility was notified


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedEntry:
    """A row as the ledger has it, or a correction of one."""

    entry_id: int
    allowed: AllowedPower
    withdrawn: bool = False  #: whether this is a correction that takes the row back
    replaces: int | None = None  #: the entry that this corrects
    reason: str
    recorded_at: Instant
    actor: str


def standing(entries: Iterable[AllowedEntry], as_of: Instant) -> list[AllowedEntry]:
    """The entries that counted at an instant: of each row its last correction, unless that withdraws it."""
    newest: dict[int, AllowedEntry] = {}
    for entry in sorted(entries, key=lambda entry: entry.entry_id):
        if entry.recorded_at <= as_of:
            newest[entry.replaces or entry.entry_id] = entry
    return [entry for entry in newest.values() if not entry.withdrawn]


def least(entries: Iterable[AllowedEntry], since: Instant, until: Instant) -> dict[Instant, AllowedEntry]:
    """The entry that allows least, by the beginning of each quarter in [since, until) that has one."""
    strictest: dict[Instant, AllowedEntry] = {}
    for entry in sorted(entries, key=lambda entry: (entry.allowed.max_kw, entry.entry_id)):
        for at in quarters(max(since, entry.allowed.since), min(until, entry.allowed.until)):
            strictest.setdefault(at, entry)
    return strictest


def quarters(since: Instant, until: Instant) -> range:
    """The beginnings of the quarters of an hour that lie in [since, until) whole.

    >>> list(quarters(1, 3600)), list(quarters(0, 899))
    ([900, 1800, 2700], [])
    """
    return range(-(-since // QUARTER) * QUARTER, until - until % QUARTER, QUARTER)


def told_late(entry: AllowedEntry, zone: ZoneInfo) -> str:
    """Why a limit could not be acted on in time; empty where it could.

    A limit under a time-duration right is announced before TOLD_BEFORE of the civil day before, so that
    jobs that would run into it do not start. Contracts are no limits.
    """
    row = entry.allowed
    if row.kind is PowerKind.CONTRACT:
        return ""
    if entry.recorded_at > row.since:
        return f"was entered at {windows.iso(entry.recorded_at)}, after it began"
    day_before = datetime.fromtimestamp(row.since, zone).date() - timedelta(days=1)
    due = datetime.combine(day_before, TOLD_BEFORE, zone).timestamp()
    if row.kind is PowerKind.TDTR and row.told_at > due:
        return f"was announced at {windows.iso(row.told_at)}, after {TOLD_BEFORE:%H:%M} of the day before"
    if row.kind is PowerKind.TDTR and entry.recorded_at > due:
        return f"was entered at {windows.iso(entry.recorded_at)}, after {TOLD_BEFORE:%H:%M} of the day before"
    return ""


def limited_seconds(entries: Iterable[AllowedEntry], since: Instant, until: Instant) -> int:
    """For how long in [since, until) a time-duration right was or will be limited."""
    limited = {
        at
        for entry in entries
        if entry.allowed.kind is PowerKind.TDTR
        for at in quarters(max(since, entry.allowed.since), min(until, entry.allowed.until))
    }
    return QUARTER * len(limited)


def civil_instant(text: str, zone: ZoneInfo) -> Instant:
    """An instant in ISO 8601, civil where it has no offset. Raises ValueError.

    A civil time that a change of the clock leaves out, or has twice, is refused: it needs an offset.

    >>> amsterdam = ZoneInfo("Europe/Amsterdam")
    >>> civil_instant("2027-10-31T02:30+01:00", amsterdam) - civil_instant("2027-10-31T00:00", amsterdam)
    12600
    >>> civil_instant("2027-10-31T02:30", amsterdam)
    Traceback (most recent call last):
    ValueError: 2027-10-31T02:30 is not one instant in Europe/Amsterdam; add its offset, such as +01:00
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an instant such as 2027-01-31T12:15+01:00") from None
    at = windows.instant(text, 0, zone)
    if moment.tzinfo is None and at != int(moment.replace(tzinfo=zone, fold=1).timestamp()):
        raise ValueError(f"{text} is not one instant in {zone.key}; add its offset, such as +01:00")
    return at


def kilowatts(text: str) -> Decimal:
    """A number of kilowatts, 1200, 1.5 or 1,5. Raises ValueError, also where a mark may divide thousands.

    >>> kilowatts("1,5"), kilowatts("0.125")
    (Decimal('1.5'), Decimal('0.125'))
    >>> kilowatts("1.000")
    Traceback (most recent call last):
    ValueError: '1.000' may mean 1000 or 1: write 1000, or 1.0000
    """
    text = text.strip()
    if re.fullmatch(r"[1-9]\d{0,2}([.,]\d{3})+", text):
        whole = re.sub("[.,]", "", text)
        exact = text.replace(",", ".")
        less = "" if exact.count(".") > 1 else f" or {float(exact):g}"
        raise ValueError(f"{text!r} may mean {whole}{less}: write {whole}{f', or {exact}0' if less else ''}")
    try:
        value = Decimal(text.replace(",", "."))
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number of kilowatts such as 1200") from None
    if not value.is_finite() or not 0 <= value <= MOST_KW:
        raise ValueError(f"{text!r} is not between 0 and {MOST_KW} kW")
    return value


def from_sheet_of_power(data: bytes, zone: ZoneInfo, now: Instant) -> tuple[list[AllowedPower], list[Fault]]:
    """The rows of a table and its faults; instants are civil where they have no offset.

    >>> text = b"since,until,max_kw,kind,reference,told_at\\n2027-01-01,2028-01-01,900,contract,C,2026-12-01"
    >>> rows, _ = from_sheet_of_power(text, ZoneInfo("Europe/Amsterdam"), 2**40)
    >>> rows[0].max_kw, rows[0].kind.value
    (Decimal('900'), 'contract')
    """
    table = sheet.read_sheet(data, COLUMNS)
    rows, wrong = [], list(table.faults)
    for line in table.lines:
        try:
            row = _row(line.cells, zone)
        except ValueError as error:
            column, _, reason = str(error).partition(": ")
            wrong.append(Fault(line.number, column, reason))
            continue
        wrong += [Fault(line.number, column, reason) for column, reason in problems(row, now).items()]
        rows.append(row)
    if not rows and not wrong:
        wrong.append(Fault(0, "", "has no line below the first"))
    return rows, wrong


def _row(cells: Mapping[str, str], zone: ZoneInfo) -> AllowedPower:
    """A row from texts by column. Raises ValueError that begins with the column."""
    values: dict[str, Instant | Decimal | PowerKind] = {}
    for name in ("since", "until", "max_kw", "kind", "told_at"):
        text = cells[name].strip()
        try:
            if name == "max_kw":
                values[name] = kilowatts(text)
            elif name == "kind":
                if text not in list(PowerKind):
                    raise ValueError(f"{text!r} is not one of {', '.join(PowerKind)}")
                values[name] = PowerKind(text)
            else:
                values[name] = civil_instant(text, zone)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return AllowedPower(**values, reference=cells["reference"].strip())  # type: ignore[arg-type]


def problems(row: AllowedPower, now: Instant) -> dict[str, str]:
    """What is wrong with a row, by column."""
    wrong = {
        name: f"{windows.iso(at)} is not on a quarter of an hour"
        for name, at in (("since", row.since), ("until", row.until))
        if at % QUARTER
    }
    if row.until <= row.since:
        wrong["until"] = "is not after since"
    if not row.reference:
        wrong["reference"] = "is empty; name the contract, the announcement or the order"
    if row.told_at > now:
        wrong["told_at"] = f"{windows.iso(row.told_at)} is in the future"
    return wrong


class SortedRows(NamedTuple):
    """What becomes of rows that are to be added."""

    new: tuple[AllowedPower, ...]
    known: int  #: how many the ledger has already; one that was corrected stays corrected


def sort_rows(entries: Iterable[AllowedEntry], given: Iterable[AllowedPower]) -> SortedRows:
    """Which rows to add to the ledger's entries."""
    before = {entry.allowed for entry in entries if entry.replaces is None}
    rows = list(dict.fromkeys(given))
    new = tuple(row for row in rows if row not in before)
    return SortedRows(new, len(rows) - len(new))


def corrected(
    entries: Iterable[AllowedEntry], entry_id: int, max_kw: Decimal | None, reason: str
) -> AllowedPower:
    """The row of a correction; arguments and errors as in ``to_correct``."""
    _, before = to_correct(entries, entry_id, lambda row: row.allowed.max_kw, max_kw, reason, "saf grid list")
    return replace(before.allowed, max_kw=before.allowed.max_kw if max_kw is None else max_kw)
