"""The registry as CSV, a table of organisations or of links. Tested in tests/core/programme/test_sheet.py.

The rule: dates are civil days, and a written table is read back as the same entries.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme import sheet
from slurm_ai_factory.core.programme.sheet import Fault, SheetRow
from slurm_ai_factory.core.records import FOREVER, Instant
from slurm_ai_factory.core.rules.organisations import Link, Organisation, Problem, RegistryEntry

_T = TypeVar("_T")

ORGANISATION = (
    ("organisation", "name", "category", "sector", "since"),
    ("kvk", "municipality", "hub", "size", "stage", "until"),
)
LINK = (("organisation", "account", "since"), ("fraction", "access", "granted", "until"))
"""Required and optional columns."""


class Entries(NamedTuple):
    """The entries of a table, each with its line; none where there are faults."""

    entries: tuple[tuple[int, RegistryEntry], ...]
    faults: tuple[Fault, ...]
    encoding: str


def read_registry_sheet(data: bytes, zone: ZoneInfo) -> Entries:
    """The entries of a table of organisations or of links."""
    header = next((line for line in data.splitlines() if line.strip() and not line.startswith(b"sep=")), b"")
    links = b"account" in re.split(rb"[,;\t\s\"]+", header.lower())
    columns, make = (LINK, _link) if links else (ORGANISATION, _organisation)
    table = sheet.read_sheet(data, *columns)
    entries: list[tuple[int, RegistryEntry]] = []
    faults = list(table.faults)
    for line in table.lines:
        try:
            entries.append((line.number, make(line, zone)))
        except _WrongCellError as wrong:
            faults.append(Fault(line.number, wrong.column, wrong.reason))
    return Entries(() if faults else tuple(entries), tuple(faults), table.encoding)


class _WrongCellError(Exception):
    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column, self.reason = column, reason


def _organisation(line: SheetRow, zone: ZoneInfo) -> Organisation:
    since, until = _dates(line, zone)
    names = ("organisation", "name", "kvk", "category", "sector", "municipality", "hub", "size", "stage")
    return Organisation(**{name: line.cells[name] for name in names}, since=since, until=until)


def _link(line: SheetRow, zone: ZoneInfo) -> Link:
    since, until = _dates(line, zone)
    fraction = _cell(line, "fraction", fraction_of) if line.cells["fraction"] else Decimal(1)
    granted = _cell(line, "granted", granted_hours) if line.cells["granted"] else None
    names = {name: line.cells[name] for name in ("organisation", "account", "access")}
    return Link(**names, fraction=fraction, granted=granted, since=since, until=until)


def _dates(line: SheetRow, zone: ZoneInfo) -> tuple[Instant, Instant]:
    since = _cell(line, "since", lambda text: windows.day(text, zone))
    until = _cell(line, "until", lambda text: windows.day(text, zone) if text else FOREVER)
    return since, until


def _cell(line: SheetRow, column: str, convert: Callable[[str], _T]) -> _T:
    try:
        return convert(line.cells[column])
    except ValueError as error:
        raise _WrongCellError(column, str(error)) from error


def fraction_of(text: str) -> Decimal:
    """A fraction as people type it, with a decimal point or comma. Raises ValueError.

    >>> fraction_of("0.4"), fraction_of("0,25"), fraction_of("1")
    (Decimal('0.4'), Decimal('0.25'), Decimal('1'))
    """
    if not re.fullmatch(r"[0-9]{1,6}(?:[.,][0-9]{1,12})?", text, flags=re.ASCII):
        raise ValueError(f"{text!r} is not a fraction such as 0.4")
    return Decimal(text.replace(",", "."))


def granted_hours(text: str) -> Decimal:
    """Granted resource-hours as people type them. Raises ValueError.

    >>> granted_hours("5000"), granted_hours("12,5")
    (Decimal('5000'), Decimal('12.5'))
    """
    if not re.fullmatch(r"[0-9]{1,12}(?:[.,][0-9]{1,2})?", text, flags=re.ASCII) or not re.search(
        "[1-9]", text
    ):
        raise ValueError(f"{text!r} is not a number of hours such as 5000")
    return Decimal(text.replace(",", "."))


def sheet_rows(entries: Iterable[RegistryEntry], zone: ZoneInfo) -> list[dict[str, str]]:
    """Entries as cells by column, which ``read_registry_sheet`` reads back."""
    return [_row(entry, zone) for entry in entries]


def _row(entry: RegistryEntry, zone: ZoneInfo) -> dict[str, str]:
    required, optional = ORGANISATION if isinstance(entry, Organisation) else LINK
    cells = {name: getattr(entry, name) for name in (*required, *optional)}
    cells["since"] = windows.civil_day(entry.since, zone)
    cells["until"] = "" if entry.until == FOREVER else windows.civil_day(entry.until, zone)
    if isinstance(entry, Link):
        cells["fraction"] = f"{entry.fraction.normalize():f}"
        cells["granted"] = "" if entry.granted is None else f"{entry.granted.normalize():f}"
    return cells


def faults_of(problems: Iterable[Problem], entries: Iterable[tuple[int, RegistryEntry]]) -> list[Fault]:
    """The problems as faults, each with the line of its entry in the table."""
    lines = {id(entry): number for number, entry in entries}
    return sorted(
        Fault(lines.get(id(problem.entry), 0), problem.field, problem.reason) for problem in problems
    )
