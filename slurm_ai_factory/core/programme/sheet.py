"""A table as people send it, from bytes to rows: CSV in UTF-8 or Windows-1252; comma, semicolon or tab.

The rule: a table that cannot be read for certain is refused with line, column and reason; no wrong character
gets through. All rows are read, so that every fault is reported at once.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from slurm_ai_factory.core.escaped import from_csv, is_hidden, too_long

DELIMITERS = (",", ";", "\t")
_SIGNS = frozenset(
    bytes.fromhex("80 82 84 85 91 92 93 94 95 96 97 b0 b7 ab bb a7 a9 ae b2 b3").decode("cp1252")
)
"""Signs that a Western European text has beside letters: quotation marks, dashes, the euro sign and so on."""


LISTS = ("gpus",)
"""Columns whose cells are lists, of any length."""


class Fault(NamedTuple):
    """Why a table is refused, and where."""

    line: int  #: as editors count them, from 1; 0 is the file as a whole
    column: str
    reason: str


class SheetRow(NamedTuple):
    """A row by column; a column that the table does not have is empty."""

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A table; nothing of it may be used where it has faults."""

    lines: tuple[SheetRow, ...] = ()
    faults: tuple[Fault, ...] = ()
    encoding: str = "UTF-8"


def read_sheet(data: bytes, required: Collection[str], optional: Collection[str] = ()) -> Sheet:
    """The rows of a table whose first line names these columns, in any order.

    >>> read_sheet("name;kvk\\nCafé;01234567\\n".encode("cp1252"), ["name", "kvk"]).lines
    (SheetRow(number=2, cells={'name': 'Café', 'kvk': '01234567'}),)
    >>> read_sheet(b"name,kvk\\nA,1,2\\n", ["name", "kvk"]).faults
    (Fault(line=2, column='', reason='has 3 cells, the first line has 2'),)
    """
    text, encoding, refused = _text(data)
    if refused:
        return Sheet(faults=(Fault(0, "", refused),))
    rows, broken = _rows(text)
    if broken or not rows:
        return Sheet(faults=(broken or Fault(0, "", "is empty"),), encoding=encoding)
    (first, header), *rest = rows
    columns = [name.strip().lower() for name in header]
    faults = list(_of_header(first, columns, required, optional))
    if not faults:
        faults = [fault for number, row in rest for fault in _of_row(number, row, columns, encoding)]
    names = (*required, *optional)
    dicts = (dict(zip(columns, map(str.strip, row), strict=False)) for _, row in rest)
    lines = [
        SheetRow(n, {name: from_csv(cells.get(name, "")) for name in names})
        for (n, _), cells in zip(rest, dicts, strict=True)
    ]
    return Sheet(lines=() if faults else tuple(lines), faults=tuple(faults), encoding=encoding)


def _text(data: bytes) -> tuple[str, str, str]:
    """(text, encoding, why it is refused). Bytes that are not UTF-8 are read as Windows-1252."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
        return "", "", "is UTF-16 or not text; save it as CSV UTF-8"
    try:
        return data.decode("utf-8-sig"), "UTF-8", ""
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace"), "Windows-1252", ""


def _rows(text: str) -> tuple[list[tuple[int, list[str]]], Fault | None]:
    """Rows that are not empty, with the line they begin on; or the place where the table is broken."""
    first = text.lstrip("\r\n").partition("\n")[0]
    chosen = first.strip().removeprefix("sep=") if first.startswith("sep=") else ""
    delimiter = chosen or max(DELIMITERS, key=first.count)
    if len(delimiter) != 1:
        return [], Fault(1, "", f"{chosen!r} is not a separator")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row) and not (chosen and line == 1):
                rows.append((line, row))
            line = reader.line_num + 1
    except csv.Error as error:
        return [], Fault(line, "", f"is not CSV: {error}")
    return rows, None


def _of_header(
    line: int, columns: Sequence[str], required: Collection[str], optional: Collection[str]
) -> Iterator[Fault]:
    known = (*required, *optional)
    if missing := [name for name in required if name not in columns]:
        yield Fault(line, missing[0], f"lacks the column {', '.join(missing)}; it has {', '.join(columns)}")
    for name in columns:
        if name not in known:
            yield Fault(line, name, f"is not a column here; there are {', '.join(known)}")
        elif columns.count(name) > 1:
            yield Fault(line, name, "is there twice")


def _of_row(line: int, row: Sequence[str], columns: Sequence[str], encoding: str) -> Iterator[Fault]:
    if len(row) != len(columns):
        yield Fault(line, "", f"has {len(row)} cells, the first line has {len(columns)}")
        return
    for name, cell in zip(columns, row, strict=True):
        if reason := ("" if name in LISTS else too_long(cell)) or _wrong_characters(cell, encoding):
            yield Fault(line, name, reason)


def _wrong_characters(cell: str, encoding: str) -> str:
    """What is wrong with a cell's characters; empty where nothing is.

    >>> _wrong_characters("Súdwest-Fryslân", "UTF-8"), _wrong_characters("5 °", "Windows-1252")
    ('', '')
    >>> _wrong_characters("SÃºdwest", "UTF-8")
    "'SÃºdwest' was read in a wrong encoding before it was saved; it may be 'Súdwest'"
    """
    if wrong := next(filter(is_hidden, cell), ""):
        return f"holds the character {ord(wrong):#06x}, which cannot be seen"
    if cell.isascii():
        return ""
    try:
        meant = cell.encode("cp1252").decode("utf-8")
    except UnicodeError:
        pass
    else:
        return f"{cell!r} was read in a wrong encoding before it was saved; it may be {meant!r}"
    for sign in cell:
        western = sign.isascii() or sign.isalpha() or sign in _SIGNS
        if sign == "\ufffd" or (encoding != "UTF-8" and not western):
            return f"{cell!r} is neither UTF-8 nor plainly Windows-1252; save the table as CSV UTF-8"
    return ""
