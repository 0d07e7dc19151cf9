"""The accounts of an association tree as sshare prints them, and as JSON.

Tested in tests/end_to_end/test_model_demo.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite

from slurm_ai_factory.core.records import Association

COLUMNS = ("Account", "RawShares", "NormShares", "RawUsage", "EffectvUsage", "LevelFS")


def share_rows(associations: Sequence[Association]) -> list[tuple[object, ...]]:
    """COLUMNS of each account; children follow their parent, indented."""
    return [
        (" " * depth + row.account, row.raw_shares, _ratio(row.norm_shares), row.raw_usage,
         _ratio(row.effectv_usage), _ratio(row.level_fs))
        for row, depth in _below(associations, None, 0)
    ]  # fmt: skip


def _below(
    associations: Sequence[Association], parent: str | None, depth: int
) -> Iterator[tuple[Association, int]]:
    """Each account below a parent, with its depth."""
    for row in associations:
        if row.user is None and row.parent == parent:
            yield row, depth
            yield from _below(associations, row.account, depth + 1)


def _ratio(value: float | None) -> str | None:
    return None if value is None else f"{value:.6f}"


def share_values(associations: Sequence[Association]) -> list[dict[str, object]]:
    """The same under Slurm's names in snake case; an infinite LevelFS (no usage) is null."""
    return [
        {
            "account": row.account, "parent": row.parent, "raw_shares": row.raw_shares,
            "norm_shares": row.norm_shares, "raw_usage": row.raw_usage, "effectv_usage": row.effectv_usage,
            "level_fs": row.level_fs if row.level_fs is None or isfinite(row.level_fs) else None,
        }
        for row, _ in _below(associations, None, 0)
    ]  # fmt: skip
