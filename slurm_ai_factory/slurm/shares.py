"""Parses sshare's answer for each association, text or JSON, into one shape. Pure.

Associations are identified by id and never by name: no user can hide or forge a row of numbers. Text is the
same in every Slurm, with six decimals. JSON has all decimals, from 24.11 on; sshare is asked for its schema
by name, since each release adds one and removes the oldest. Rule: an answer of another shape is an error that
names the version of Slurm, never a number. A row whose usage is out of range has unknown usage, and comes
with a Rejected; the other rows count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from math import inf
from typing import Annotated, Any, NamedTuple

import msgspec

from slurm_ai_factory.core.records import PARENT_SHARES, Rejected
from slurm_ai_factory.errors import SlurmError, reason
from slurm_ai_factory.slurm.fields import natural, rejected

SHARE_FIELDS = ("ID", "RawShares", "NormShares", "RawUsage", "EffectvUsage", "LevelFS")
SCHEMAS = (
    ("v0.0.45", (26, 5)),
    ("v0.0.44", (25, 11)),
    ("v0.0.43", (25, 5)),
    ("v0.0.42", (24, 11)),
)
"""The schemas whose shape is known, newest first, each with the first release of Slurm that has it.

In all of them the fields that are read here have the same shape. A new release is one more row, at the top.
"""

_USAGE_MOST = 2**64 - 1
_MOST = 2.0**64
"""INFINITE64 as a float, which 26.05 writes for infinite, with ``"infinite": false``."""


class AssociationUsage(NamedTuple):
    """An association's shares and usage, as slurmctld has them."""

    raw_shares: int | None  #: None where sshare prints none, as for root
    norm_shares: float | None = None
    raw_usage: int | None = None  #: None where it cannot be read
    effectv_usage: float | None = None
    level_fs: float | None = None


UsageRow = tuple[int, AssociationUsage] | Rejected
"""The usage of the association with this id, or a row that cannot be read."""


def sshare_release(version: str) -> tuple[int, int] | None:
    """The release of Slurm in the output of ``sshare -V``.

    >>> sshare_release("slurm-wlm 24.11.5"), sshare_release("slurm 22.05.8-2"), sshare_release("?")
    ((24, 11), (22, 5), None)
    """
    match = re.search(r"\b(\d+)\.(\d+)\.", version)
    return (int(match[1]), int(match[2])) if match else None


def schemas(version: str) -> list[str]:
    """The schemas that sshare of this version may offer, newest first, from the output of ``sshare -V``.

    >>> schemas("slurm 22.05.8"), schemas("slurm-wlm 25.05.5"), schemas("slurm 26.11.0")[0], schemas("?")
    ([], ['v0.0.43', 'v0.0.42'], 'v0.0.45', [])
    """
    release = sshare_release(version)
    return [] if release is None else [schema for schema, first in SCHEMAS if first <= release]


def from_text(lines: Iterable[str]) -> Iterator[UsageRow]:
    """The rows of sshare's output with SHARE_FIELDS. Raises SlurmError."""
    for line in lines:
        try:
            number, raw_shares, *figures = line.rstrip("\n").split("|")
            norm_shares, raw_usage, effectv_usage, level_fs = figures
            row_id = natural("ID", number)
            usage = AssociationUsage(shares(raw_shares) if raw_shares else None)
        except ValueError as error:
            raise SlurmError(f"sshare printed a row that cannot be read: {error}") from error
        try:
            usage = usage._replace(
                norm_shares=_float(norm_shares),
                raw_usage=natural("RawUsage", raw_usage, _USAGE_MOST),
                effectv_usage=_float(effectv_usage),
                level_fs=_float(level_fs),
            )
        except ValueError as error:
            yield _unreadable(row_id, error)
        yield row_id, usage


def _unreadable(row_id: int, error: ValueError) -> Rejected:
    """Without the row's figures, so that it stays the same for an association while they change."""
    return rejected(f"sshare: association {row_id}", error)


def shares(text: str) -> int:
    """RawShares, or PARENT_SHARES for ``parent``. Raises ValueError."""
    return PARENT_SHARES if text == "parent" else natural("Share", text)


def _float(text: str) -> float | None:
    value = float(text) if text else None
    if value is not None and not value >= 0:
        raise ValueError(f"{text!r} is not a number of 0 or more")
    return value


class _Number(msgspec.Struct, frozen=True, gc=False):
    set: bool
    infinite: bool
    number: float


class _Level(msgspec.Struct, frozen=True, gc=False):
    level: _Number


class _Row(msgspec.Struct, frozen=True, gc=False):
    id: Annotated[int, msgspec.Meta(ge=0)]
    shares: _Number
    shares_normalized: _Number
    usage: int
    effective_usage: _Number
    fairshare: _Level


class _Rows(msgspec.Struct, frozen=True):
    shares: list[_Row]


class _Answer(msgspec.Struct, frozen=True):
    errors: list[Any]
    shares: _Rows


_ANSWER = msgspec.json.Decoder(_Answer)


def from_json(text: str, version: str) -> list[UsageRow]:
    """The rows of ``sshare --json`` in one of SCHEMAS. Raises SlurmError, which names ``version``.

    A large site has 20,000 rows in 30 MB, of which this is a small part: msgspec makes objects of that alone.
    """
    try:
        answer = _ANSWER.decode(text)
        if answer.errors:
            raise ValueError(f"it says {answer.errors}")
        return [row for item in answer.shares.shares for row in _from_row(item)]
    except ValueError as error:
        raise SlurmError(
            f"sshare --json of {version.strip()} answers in an unknown shape: "
            f"{reason(error)}; nothing of it was used: see whether this release of saf supports that version "
            "of Slurm"
        ) from error


def from_plain(rows: list[Any]) -> list[UsageRow]:
    """Rows in the shape of sshare's JSON, as objects. Raises ValueError."""
    return [row for item in msgspec.convert(rows, list[_Row]) for row in _from_row(item)]


def _from_row(row: _Row) -> Iterator[UsageRow]:
    raw_shares = _number(row.shares)
    if raw_shares is not None and not raw_shares.is_integer():
        raise ValueError(f"{raw_shares} shares of association {row.id} are not a natural number")
    usage = AssociationUsage(None if raw_shares is None else int(raw_shares))
    try:
        if not 0 <= row.usage <= _USAGE_MOST:
            raise ValueError(f"{row.usage} is out of range")
        usage = usage._replace(
            norm_shares=_number(row.shares_normalized),
            raw_usage=row.usage,
            effectv_usage=_number(row.effective_usage),
            level_fs=_number(row.fairshare.level),
        )
    except ValueError as error:
        yield _unreadable(row.id, error)
    yield row.id, usage


def _number(value: _Number) -> float | None:
    """A number that may be unset (None) or infinite. Raises ValueError where it is out of range."""
    if value.infinite or value.number >= _MOST:
        return inf
    if value.number < 0:
        raise ValueError(f"{value.number} is not a number of 0 or more")
    return value.number if value.set else None
