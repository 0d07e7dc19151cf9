"""What sshare says of each association, by its text or by its JSON, in one shape.

Associations are told by their id, and by no name: in numbers alone nobody can hide or forge a row. Text is
the same in every Slurm, with six decimals. JSON has all of them, from 24.11 on, in a version of its schema
that the client is asked for by name (v0.0.42) and that every Slurm up to 26.05 has. Rule: an answer of
another shape is an error that names the version of Slurm, never a number. A row whose usage is out of range
has none that is known, and is told; the others stand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from math import inf, isfinite
from typing import Any, NamedTuple

from slurm_ai_factory.core.records import PARENT_SHARES, Rejected
from slurm_ai_factory.errors import SlurmError, reason
from slurm_ai_factory.slurm.fields import natural, rejected

SHARE_FIELDS = ("ID", "RawShares", "NormShares", "RawUsage", "EffectvUsage", "LevelFS")
SCHEMA = "v0.0.42"
_WITH_SCHEMA = ((24, 11), (26, 5))
"""The first and the last Slurm that are known to have this schema."""

_USAGE_MOST = 2**64 - 1
_MOST = 2.0**64
"""What 26.05 says for infinite beside ``"infinite": false``: INFINITE64, as a float."""


class AssociationUsage(NamedTuple):
    """What slurmctld knows of an association."""

    raw_shares: int | None  #: None where sshare has none to tell, as of the root
    norm_shares: float | None = None
    raw_usage: int | None = None  #: None where it cannot be read
    effectv_usage: float | None = None
    level_fs: float | None = None


UsageRow = tuple[int, AssociationUsage] | Rejected
"""The usage of the association with this id, or what of a row cannot be read."""


def sshare_release(version: str) -> tuple[int, int] | None:
    """The release of Slurm in what ``sshare -V`` prints.

    >>> release("slurm-wlm 24.11.5"), release("slurm 22.05.8-2"), release("?")
    ((24, 11), (22, 5), None)
    """
    found = re.search(r"\b(\d+)\.(\d+)\.", version)
    return (int(found[1]), int(found[2])) if found else None


def has_json(version: str) -> bool:
    """Whether sshare of this version is asked for JSON, from what ``sshare -V`` prints.

    >>> [has_json(one) for one in ("slurm 22.05.8", "slurm-wlm 24.11.5", "slurm 26.05.5", "slurm 26.11.0")]
    [False, True, True, False]
    """
    found, (first, last) = sshare_release(version), _WITH_SCHEMA
    return found is not None and first <= found <= last


def from_text(lines: Iterable[str]) -> Iterator[UsageRow]:
    """The rows of sshare printed with SHARE_FIELDS. Raises SlurmError."""
    for line in lines:
        try:
            number, raw_shares, *figures = line.rstrip("\n").split("|")
            norm_shares, raw_usage, effectv_usage, level_fs = figures
            one, usage = natural("ID", number), AssociationUsage(shares(raw_shares) if raw_shares else None)
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
            yield _told(one, error)
        yield one, usage


def _told(number: int, why: ValueError) -> Rejected:
    """The same for an association each time, while its other figures go on changing."""
    return rejected(f"sshare: association {number}", why)


def shares(text: str) -> int:
    """RawShares, which may be those of the parent. Raises ValueError."""
    return PARENT_SHARES if text == "parent" else natural("Share", text)


def _float(text: str) -> float | None:
    value = float(text) if text else None
    if value is not None and not value >= 0:
        raise ValueError(f"{text!r} is no number from 0 on")
    return value


def from_json(text: str, version: str) -> list[UsageRow]:
    """The rows that ``sshare --json=v0.0.42`` printed; ``version`` is for its errors. Raises SlurmError."""
    try:
        answer = json.loads(text)
        if answer["errors"]:
            raise ValueError(f"it says {answer['errors']}")
        return [row for one in answer["shares"]["shares"] for row in _from_object(one)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SlurmError(
            f"sshare --json={SCHEMA} of {version.strip()} answers in a shape that is not known: "
            f"{reason(error)}; nothing of it was used: see whether this release of saf is for that version "
            "of Slurm"
        ) from error


def _from_object(one: dict[str, Any]) -> Iterator[UsageRow]:
    number, usage = _natural(one["id"]), AssociationUsage(_raw_shares(one["shares"]))
    try:
        usage = usage._replace(
            norm_shares=_number(one["shares_normalized"]),
            raw_usage=_natural(one["usage"]),
            effectv_usage=_number(one["effective_usage"]),
            level_fs=_number(one["fairshare"]["level"]),
        )
    except ValueError as error:
        yield _told(number, error)
    yield number, usage


def _raw_shares(value: dict[str, Any]) -> int | None:
    found = _number(value)
    return None if found is None else _natural(value["number"] if found != inf else found)


def _natural(value: object) -> int:
    """Raises TypeError where it is no number, and ValueError where it is out of range."""
    if type(value) is not int:
        raise TypeError(f"{value!r} is not a natural number")
    if not 0 <= value <= _USAGE_MOST:
        raise ValueError(f"{value} is out of range")
    return value


def _number(value: dict[str, Any]) -> float | None:
    """A number that may be unset or infinite; raises as ``_natural`` does."""
    is_set, infinite, number = value["set"], value["infinite"], value["number"]
    if type(is_set) is not bool or type(infinite) is not bool or type(number) not in (int, float):
        raise TypeError(f"{value!r} is no number")
    if infinite or number >= _MOST:
        return inf
    if not isfinite(number) or number < 0:
        raise ValueError(f"{number!r} is no number from 0 on")
    return float(number) if is_set else None
