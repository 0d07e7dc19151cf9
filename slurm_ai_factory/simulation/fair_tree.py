"""Slurm's own fairshare arithmetic: decay, accrual, levels, ranks.

slurmctld computes this at each pass of its decay thread. Usage is in billing TRES-seconds, decayed, as
RawUsage in sshare. The sources are Slurm's priority_multifactor.c, fair_tree.c and assoc_mgr.c; what is used
of them is the same from 22.05 to 26.05.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from slurm_ai_factory.core.records import PARENT_SHARES

HALF = 0.693
"""ln 2 as Slurm has it (priority_multifactor.c: _init_decay_vars)."""


@dataclass(frozen=True, slots=True)
class FairTreeNode:
    """An association: an account with what is below it, in Slurm's order, or a user."""

    key: str
    raw_shares: int = 1
    user: bool = False
    children: tuple[FairTreeNode, ...] = ()

    @property
    def shares_as_parent(self) -> bool:
        """Whether it has Fairshare=parent: an account's children compete a level higher, a user wins."""
        return self.raw_shares == PARENT_SHARES


class FairTreeLevel(NamedTuple):
    """An association among those it competes with."""

    norm_shares: float  #: RawShares / all RawShares of the level
    effectv_usage: float  #: usage / usage of the level
    level_fs: float  #: norm_shares / effectv_usage; inf without usage, 0 without shares


def decay(seconds: float, half_life: float) -> float:
    """What is left of usage after a time; 1 where there is no decay (half_life 0).

    Linear in the second, so a little less than 2**(-seconds / half_life) (_init_decay_vars, _apply_decay).

    >>> round(decay(7 * 86400, 7 * 86400), 4), decay(60, 0)
    (0.5001, 1.0)
    """
    return float((1 - HALF / half_life) ** seconds) if half_life else 1.0


def leaves(node: FairTreeNode) -> Iterator[FairTreeNode]:
    """The users of a subtree, in order."""
    if node.user:
        yield node
    for child in node.children:
        yield from leaves(child)


def summed(root: FairTreeNode, usage: Mapping[str, float]) -> dict[str, float]:
    """Usage of every association, from that of the users: an account has its users' (and their accounts')."""
    total = {root.key: usage.get(root.key, 0.0)}
    for child in root.children:
        below = summed(child, usage)
        total |= below
        total[root.key] += below[child.key]
    return total


def competitors(account: FairTreeNode) -> list[FairTreeNode]:
    """Who competes below an account: its children, and those of children with Fairshare=parent.

    assoc_mgr.c: _get_children_level_shares, and fs_assoc_ptr in _set_assoc_parent_and_user.
    """
    rivals: list[FairTreeNode] = []
    for child in account.children:
        rivals += competitors(child) if child.shares_as_parent and not child.user else [child]
    return rivals


def levels(root: FairTreeNode, usage: Mapping[str, float]) -> dict[str, FairTreeLevel]:
    """The level of every association that competes, by key; ``usage`` as of ``summed``."""
    levels_by_key: dict[str, FairTreeLevel] = {}
    for account in _accounts(root):
        rivals = competitors(account)
        shares = sum(rival.raw_shares for rival in rivals if not rival.shares_as_parent)
        for rival in rivals:
            if rival.shares_as_parent:
                continue
            # fair_tree.c: _calc_assoc_fs
            norm = rival.raw_shares / shares if shares else 0.0
            effectv = usage[rival.key] / usage[account.key] if usage[account.key] else 0.0
            level_fs = norm / effectv if norm and effectv else inf if norm else 0.0
            levels_by_key[rival.key] = FairTreeLevel(norm, effectv, level_fs)
    return levels_by_key


def _accounts(root: FairTreeNode) -> Iterator[FairTreeNode]:
    """The accounts that others compete in."""
    yield root
    for rival in competitors(root):
        if not rival.user:
            yield from _accounts(rival)


def fair_share(root: FairTreeNode, usage: Mapping[str, float]) -> dict[str, float]:
    """FairShare of every user by Fair Tree: rank / number of users (fair_tree.c: _calc_tree_fs)."""
    levels_by_key = levels(root, usage)
    users = sum(1 for _ in leaves(root))
    return {key: rank / users for key, rank in _Ranking(levels_by_key, users).of(competitors(root))}


class _Ranking:
    """A walk down the tree, the best level_fs first. Users that tie have one rank, that of the first of them.

    Accounts that tie are not merged, whatever the documentation says: _count_tied_accounts ends at the first
    account it meets. Only the first below a tied account may share the rank of the user before it.
    """

    def __init__(self, levels_by_key: Mapping[str, FairTreeLevel], users: int) -> None:
        self.levels = levels_by_key
        self.rank = self.without_ties = users

    def of(self, siblings: Sequence[FairTreeNode], tied: bool = False) -> Iterator[tuple[str, int]]:
        before: float | None = None
        for node in sorted(siblings, key=lambda rival: (-self._level_fs(rival), not rival.user)):
            tied = tied or self._level_fs(node) == before
            before = self._level_fs(node)
            if node.user:
                self.rank = self.rank if tied else self.without_ties
                self.without_ties -= 1
                yield node.key, self.rank
            else:
                yield from self.of(competitors(node), tied)
            tied = False

    def _level_fs(self, node: FairTreeNode) -> float:
        return inf if node.shares_as_parent else self.levels[node.key].level_fs


def tree_of_rows(parts: Iterable[tuple[str, str | None, str | None, int]]) -> FairTreeNode:
    """A tree from rows of (account, its parent, user, RawShares); the user is None for an account's own row.

    The key of an account is its name, of a user ``account/user``. The root account's user is given like any
    other: it has one share, and competes with the accounts below root.

    Raises ValueError where there is no root account, or more than one.
    """
    shares: dict[str, int] = {}
    below: dict[str, list[str]] = {}
    roots: list[str] = []
    for account, parent, user, raw_shares in parts:
        key = account if user is None else f"{account}/{user}"
        shares[key] = raw_shares
        if user is None and parent is None:
            roots.append(key)
        else:
            below.setdefault(account if user is not None else str(parent), []).append(key)
    if len(roots) != 1:
        raise ValueError(f"{len(roots)} root accounts instead of one")
    return _node(roots[0], shares, below)


def _node(key: str, shares: Mapping[str, int], below: Mapping[str, Sequence[str]]) -> FairTreeNode:
    children = tuple(_node(child, shares, below) for child in below.get(key, ()))
    return FairTreeNode(key, shares[key], "/" in key, children)
