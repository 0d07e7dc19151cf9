"""What sshare says of each association, by its text or by its JSON, in one shape.

Text is the same in every Slurm, with six decimals. JSON has all of them, from 24.11 on, in a version of its
schema that the client is asked for by name (v0.0.42) and that every Slurm up to 26.05 has. Rule: an answer of
another shape is an error that names the version of Slurm, never a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from math import inf, isfinite
from typing import Any, NamedTuple

from slurm_ai_factory.core.records import PARENT_SHARES
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm.fields import natural, table

SHARE_FIELDS = (
    "Cluster", "Account", "User", "Partition", "RawShares", "NormShares", "RawUsage", "EffectvUsage",
    "LevelFS",
)  # fmt: skip
SCHEMA = "v0.0.42"
_WITH_SCHEMA = ((24, 11), (26, 5))
"""The first and the last Slurm that are known to have this schema."""

_MOST = 2.0**64
"""What 26.05 says for infinite beside ``"infinite": false``: INFINITE64, as a float."""

Key = tuple[str, str, str]
"""Account, user and partition; empty where an association has none."""


class Usage(NamedTuple):
    """What slurmctld knows of an association."""

    raw_shares: int | None  #: None where sshare has none to tell, as of the root
    norm_shares: float | None
    raw_usage: int
    effectv_usage: float | None
    level_fs: float | None


def has_json(version: str) -> bool:
    """Whether sshare of this version is asked for JSON, from what ``sshare -V`` prints.

    >>> [has_json(one) for one in ("slurm 22.05.8", "slurm-wlm 24.11.5", "slurm 26.05.5", "slurm 26.11.0")]
    [False, True, True, False]
    """
    found = re.search(r"\b(\d+)\.(\d+)\.", version)
    if not found:
        return False
    first, last = _WITH_SCHEMA
    return first <= (int(found[1]), int(found[2])) <= last


def from_text(lines: Iterable[str]) -> dict[Key, Usage]:
    """The rows of sshare printed with SHARE_FIELDS. Raises SlurmError."""
    rows = table("sshare", SHARE_FIELDS, lines)
    return {(row["Account"].strip(), row["User"], row["Partition"]): _from_row(row) for row in rows}


def _from_row(row: Mapping[str, str]) -> Usage:
    try:
        return Usage(
            raw_shares=shares(row["RawShares"]) if row["RawShares"] else None,
            norm_shares=_float(row["NormShares"]),
            raw_usage=natural("RawUsage", row["RawUsage"]),
            effectv_usage=_float(row["EffectvUsage"]),
            level_fs=_float(row["LevelFS"]),
        )
    except ValueError as error:
        raise SlurmError(
            f"sshare's row of account {row['Account'].strip()} cannot be read: {error}"
        ) from error


def shares(text: str) -> int:
    """RawShares, which may be those of the parent. Raises ValueError."""
    return PARENT_SHARES if text == "parent" else natural("Share", text)


def _float(text: str) -> float | None:
    return float(text) if text else None


def from_json(text: str, version: str) -> dict[Key, Usage]:
    """What ``sshare --json=v0.0.42`` printed; ``version`` is for its errors. Raises SlurmError."""
    try:
        answer = json.loads(text)
        if answer["errors"]:
            raise ValueError(f"it says {answer['errors']}")
        return dict(_from_object(one) for one in answer["shares"]["shares"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SlurmError(
            f"sshare --json={SCHEMA} of {version.strip()} answers in a shape that is not known ({error!r}); "
            "nothing of it was used: see whether this release of saf is for that version of Slurm"
        ) from error


def _from_object(one: dict[str, Any]) -> tuple[Key, Usage]:
    name, parent, partition = (_text(one[key]) for key in ("name", "parent", "partition"))
    usage = Usage(
        raw_shares=_raw_shares(one["shares"]),
        norm_shares=_number(one["shares_normalized"]),
        raw_usage=_natural(one["usage"]),
        effectv_usage=_number(one["effective_usage"]),
        level_fs=_number(one["fairshare"]["level"]),
    )
    return ((parent, name, partition) if "USER" in one["type"] else (name, "", partition)), usage


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no name")
    return value


def _raw_shares(value: dict[str, Any]) -> int | None:
    found = _number(value)
    return None if found is None else _natural(value["number"] if found != inf else found)


def _natural(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is not a natural number")
    return value


def _number(value: dict[str, Any]) -> float | None:
    """A number that may be unset or infinite."""
    is_set, infinite, number = value["set"], value["infinite"], value["number"]
    if type(is_set) is not bool or type(infinite) is not bool or type(number) not in (int, float):
        raise TypeError(f"{value!r} is no number")
    if infinite or number >= _MOST:
        return inf
    if not isfinite(number) or number < 0:
        raise ValueError(f"{number!r} is no number from 0 on")
    return float(number) if is_set else None
