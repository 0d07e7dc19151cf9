"""The accounts of an association tree as sshare prints them, and the same as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite

from slurm_ai_factory.core.records import Association

COLUMNS = ("Account", "RawShares", "NormShares", "RawUsage", "EffectvUsage", "LevelFS")


def share_rows(associations: Sequence[Association]) -> list[tuple[object, ...]]:
    """COLUMNS of each account, below its parent and further in."""
    return [(" " * depth + one.account, *_shares(one)) for one, depth in _below(associations, None, 0)]


def _below(
    associations: Sequence[Association], parent: str | None, depth: int
) -> Iterator[tuple[Association, int]]:
    for one in associations:
        if one.user is None and one.parent == parent:
            yield one, depth
            yield from _below(associations, one.account, depth + 1)


def _shares(one: Association) -> tuple[object, ...]:
    norm_shares, effectv_usage = _ratio(one.norm_shares), _ratio(one.effectv_usage)
    return one.raw_shares, norm_shares, one.raw_usage, effectv_usage, _ratio(one.level_fs)


def _ratio(value: float | None) -> str | None:
    return None if value is None else f"{value:.6f}"


def share_values(associations: Sequence[Association]) -> list[dict[str, object]]:
    """The same under Slurm's names in snake case; an infinite LevelFS, that of no usage, is null."""
    return [
        {
            "account": one.account, "parent": one.parent, "raw_shares": one.raw_shares,
            "norm_shares": one.norm_shares, "raw_usage": one.raw_usage, "effectv_usage": one.effectv_usage,
            "level_fs": one.level_fs if one.level_fs is None or isfinite(one.level_fs) else None,
        }
        for one, _ in _below(associations, None, 0)
    ]  # fmt: skip
