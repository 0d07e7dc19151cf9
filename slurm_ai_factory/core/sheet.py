"""Tables as people send them: CSV of a spreadsheet, in UTF-8 or Windows-1252, with , or ; or tabs.

A table is read whole or not at all: every problem is told with its line, column and reason, all of them at
once.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple, TypeVar

_Value = TypeVar("_Value")
SHOWN = 20
"""More problems than this are counted and not listed."""


class Problem(NamedTuple):
    """What is wrong, and where; lines are counted from 1, the header's."""

    line: int
    column: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}, {f'column {self.column}: ' if self.column else ''}{self.reason}"


class SheetError(ValueError):
    """A table that cannot be taken in, with all that is wrong with it."""

    def __init__(self, problems: Collection[Problem]) -> None:
        self.problems = list(problems)
        more = len(self.problems) - SHOWN
        listed = [str(one) for one in self.problems[:SHOWN]] + ([f"and {more} more"] if more > 0 else [])
        super().__init__("\n".join(listed))


class Line(NamedTuple):
    """A line of a table: where it is, and its texts by column."""

    number: int
    fields: dict[str, str]


def text(data: bytes) -> str:
    """The text of a file: UTF-8, else Windows-1252, which is what spreadsheets write.

    >>> text("Coöperatie".encode("cp1252")), text("Coöperatie".encode("utf-8-sig"))
    ('Coöperatie', 'Coöperatie')
    """
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise SheetError([Problem(1, "", "the file is neither UTF-8 nor Windows-1252 text")])


def lines(data: bytes, required: Collection[str], optional: Collection[str] = ()) -> list[Line]:
    """The lines of a table with these columns, in any order. Raises SheetError.

    >>> lines(b"a;b\\n1;x\\n\\n2;y\\n", ["a", "b"])
    [Line(number=2, fields={'a': '1', 'b': 'x'}), Line(number=4, fields={'a': '2', 'b': 'y'})]
    """
    whole = text(data)
    if "\0" in whole:
        raise SheetError([Problem(1, "", "the file is not text; save it as CSV")])
    header = whole.partition("\n")[0]
    reader = csv.reader(io.StringIO(whole), delimiter=max(",;\t", key=header.count), strict=True)
    rows = list(_numbered(reader))
    columns = [name.strip().lower() for name in rows[0][1]] if rows else []
    _check_columns(columns, required, optional)
    _check_lengths(rows, len(columns))
    return [
        Line(number, {name: cell.strip() for name, cell in zip(columns, row, strict=True)})
        for number, row in rows[1:]
    ]


def _numbered(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Lines that are not empty, with the number each begins at."""
    begins = 1
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise SheetError([Problem(begins, "", f"not CSV: {error}")]) from error
        if any(cell.strip() for cell in row):
            yield begins, row
        begins = reader.line_num + 1  # type: ignore[attr-defined]


def _check_columns(columns: list[str], required: Collection[str], optional: Collection[str]) -> None:
    known = [*required, *optional]
    problems = [Problem(1, name, "is missing") for name in required if name not in columns]
    problems += [
        Problem(1, name, f"is not known; known: {', '.join(known)}") for name in columns if name not in known
    ]
    problems += [Problem(1, name, "is there twice") for name in {c for c in columns if columns.count(c) > 1}]
    if problems:
        raise SheetError(problems)


def _check_lengths(rows: list[tuple[int, list[str]]], width: int) -> None:
    problems = [
        Problem(number, "", f"has {len(row)} cells, the header {width}")
        for number, row in rows
        if len(row) != width
    ]
    if problems or len(rows) < 2:
        raise SheetError(problems or [Problem(1, "", "there is nothing below the header")])


def read(table: list[Line], convert: Callable[[dict[str, str]], _Value]) -> list[_Value]:
    """Every line converted; a ValueError of ``convert`` begins with its column. Raises SheetError."""
    found, problems = [], []
    for line in table:
        try:
            found.append(convert(line.fields))
        except ValueError as error:
            column, _, reason = str(error).partition(": ")
            problems.append(Problem(line.number, column, reason))
    if problems:
        raise SheetError(problems)
    return found
