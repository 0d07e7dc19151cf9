"""The words that all of Slurm's commands print: numbers, instants, times, lists, tables. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.errors import SlurmError

UNSET = frozenset({"", "Unknown", "None", "0"})
_NEVER = 4294967294
"""NO_VAL: times at or above it are unset (4294967295 is INFINITE)."""


def instant(text: str) -> Instant | None:
    """Epoch seconds; None where Slurm has no time to tell. Raises ValueError."""
    if text in UNSET:
        return None
    value = natural("instant", text)
    return None if value >= _NEVER else value


def natural(what: str, text: str) -> int:
    """A number in plain digits. Raises ValueError that says ``what`` was wanted."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{what} {text!r} is not a natural number")
    return int(text)


@lru_cache(maxsize=4096)
def clock_seconds(text: str) -> int:
    """Seconds in [D-]HH:MM:SS, as sacct's Suspended and scontrol's times are printed.

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


def table(name: str, fields: tuple[str, ...], lines: Iterable[str]) -> Iterable[dict[str, str]]:
    """The rows that a command printed with ``-P``. Raises SlurmError on a row of another shape."""
    for line in lines:
        values = line.rstrip("\n").split("|")
        if len(values) != len(fields):
            found = f"{len(values)} fields instead of {len(fields)}"
            raise SlurmError(f"{name} printed a line with {found}: {line!r}")
        yield dict(zip(fields, values, strict=True))


def words(text: str) -> tuple[str, ...]:
    """The words of a setting; none where it says none."""
    return tuple(word for word in text.split(",") if word and word not in ("none", "(null)"))
