"""Parses what all of Slurm's commands print: numbers, instants, times, lists, tables, records. Pure.

Text from Slurm is hostile: a name may contain any character, line breaks and separators included, and Slurm
prints it unchanged. Rule: a row has numbers first and at most one name, which is last; or it is a record with
a separator that no user can know. A row that is neither becomes a Rejected; the other rows count. Tested in
tests/slurm/test_parse.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TypeVar

from slurm_ai_factory.core.records import FOREVER, Instant, Rejected
from slurm_ai_factory.errors import GarbledError

UNSET = frozenset({
    "", "Unknown", "None", "0", "4294967294", "4294967295", "18446744073709551614", "18446744073709551615",
})  # fmt: skip
"""Spellings of no time, among them NO_VAL and INFINITE in 32 and 64 bits (slurm.h)."""
_FIRST, _LAST = 631152000, 4294967294
"""1990 to 2106, where NO_VAL is: no cluster's clock is outside of it."""

SHOWN_MOST = 2000
RECORD_MOST = 2**20
"""Characters of a record; the longest texts that slurmdbd keeps have 65,535 bytes."""

_Row = TypeVar("_Row")
_Read = TypeVar("_Read")


def slurm_instant(text: str) -> Instant | None:
    """Epoch seconds; None where Slurm has no time. Raises ValueError."""
    if text in UNSET:
        return None
    value = natural("instant", text)
    if not _FIRST <= value < _LAST:
        raise ValueError(f"instant {text} is not between the years 1990 and 2106")
    return value


def natural(what: str, text: str, most: int = FOREVER) -> int:
    """A number in plain digits, up to ``most``. Raises ValueError, which names the field ``what``."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{what} {text!r} is not a natural number")
    value = int(text) if len(text) <= 20 else most + 1
    if value > most:
        raise ValueError(f"{what} is out of range: {text}")
    return value


def printable(text: str, most: int = SHOWN_MOST) -> str:
    """A text that is safe to print: invisible characters escaped, cut after ``most`` characters.

    >>> printable("caf\u00e9 one\\ntwo"), printable("abcdef", 4)
    ('caf\u00e9 one\\\\ntwo', 'abcd')
    """
    visible = (char if char.isprintable() else ascii(char)[1:-1] for char in text[:most])
    return "".join(visible)[:most]


def rejected(line: str, why: object) -> Rejected:
    """A row that cannot be read, in printable form; equal for equal rows."""
    return Rejected(printable(line), printable(str(why), 500))


def each(read: Callable[[_Row], _Read], rows: Iterable[_Row | Rejected]) -> Iterator[_Read | Rejected]:
    """Each row as ``read`` gives it; a Rejected for a row on which it raises ValueError or KeyError."""
    for row in rows:
        if isinstance(row, Rejected):
            yield row
            continue
        try:
            yield read(row)
        except (KeyError, ValueError) as error:
            yield rejected(_line(row), error)


def _line(row: object) -> str:
    """A row as the line it was parsed from."""
    if isinstance(row, str):
        return row.rstrip("\n")
    return "|".join(row.values() if isinstance(row, Mapping) else map(str, row))  # type: ignore[call-overload]


def records(pieces: Iterable[str], separator: str, fields: int) -> Iterator[list[str] | Rejected]:
    """The records of an answer in which a record's first and last field are the same number.

    Separators alone divide the fields, so texts may contain any line break; a record ends with the line of
    its last separator. Raises GarbledError where the number of separators is wrong, or the answer ends within
    a record.
    """
    part = _FieldGroup(separator, fields)
    for piece in pieces:
        values = [] if part.size else piece.split(separator)
        if len(values) == fields and piece[-1] == "\n" and values[0] == values[-1].strip():
            values[-1] = values[0]
            yield values
            continue
        part.add(piece)
        if part.ended:
            yield from part.read()
            part = _FieldGroup(separator, fields)
    if part.size:
        raise GarbledError


class _FieldGroup:
    """A record of which only the beginning was read; keeps no more text than a record may have."""

    def __init__(self, separator: str, fields: int) -> None:
        self.separator, self.fields = separator, fields
        self.size = self.seen = 0
        self.kept: list[str] = []
        self.cut = ""  #: the end of the last piece, where a separator may have begun
        self.ended = False

    def add(self, piece: str) -> None:
        """Add a line, or a piece of one."""
        joined = self.cut + piece
        self.seen += joined.count(self.separator)
        self.cut = joined[1 - len(self.separator) :]
        self.size += len(piece)
        if self.size <= RECORD_MOST:
            self.kept.append(piece)
        self.ended = self.seen >= self.fields - 1 and piece.endswith("\n")

    def read(self) -> Iterator[list[str] | Rejected]:
        """The record, after a Rejected for other lines printed before it. Raises GarbledError."""
        values = "".join(self.kept).split(self.separator)
        if self.seen != self.fields - 1:
            raise GarbledError
        if self.size > RECORD_MOST:
            yield rejected("|".join(values), f"longer than {RECORD_MOST} characters")
            return
        before, _, first = values[0].rpartition("\n")
        values[0], values[-1] = first, values[-1].strip()
        if first != values[-1]:
            raise GarbledError
        if before:
            yield rejected(before, "no record")
        yield values


@lru_cache(maxsize=4096)
def clock_seconds(text: str) -> int:
    """Seconds in [D-]HH:MM:SS, the format of sacct's Suspended and of scontrol's times.

    >>> clock_seconds("1-02:03:04"), clock_seconds("00:05:00"), clock_seconds("02:03"), clock_seconds("")
    (93784, 300, 123, 0)
    """
    if not text:
        return 0
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)(?:\.\d+)?", text)
    if not match:
        raise ValueError(f"{text!r} is not a time such as 1-02:03:04")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def barred_rows(fields: tuple[str, ...], lines: Iterable[str]) -> Iterator[dict[str, str] | Rejected]:
    """The rows that a command printed with ``-P``; the last field may contain bars."""
    for line in lines:
        values = line.rstrip("\n").split("|", len(fields) - 1)
        if len(values) == len(fields):
            yield dict(zip(fields, values, strict=True))
        else:
            yield rejected(line.rstrip("\n"), f"{len(values)} fields instead of {len(fields)}")


def settings(lines: Iterable[str]) -> dict[str, str]:
    """Lines of ``Key = value``, the format of configurations; the first of two equal keys counts.

    >>> settings(["ClusterName             = loop\\n", "at a = b", "ClusterName = x\\n"])
    {'ClusterName': 'loop'}
    """
    values: dict[str, str] = {}
    for line in lines:
        pair = re.fullmatch(r"(\w+) *= ?(.*)\n?", line)
        if pair:
            values.setdefault(pair[1], pair[2].strip())
    return values


def words(text: str) -> tuple[str, ...]:
    """The words of a setting; empty for ``none`` and ``(null)``."""
    return tuple(word for word in text.split(",") if word and word not in ("none", "(null)"))
