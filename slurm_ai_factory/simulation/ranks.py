"""Fair Tree compiled: the same ranks as ``fair_tree.fair_share``, fast enough for every pass.

tests/simulation compares the two on any tree. Sources: as there.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from slurm_ai_factory.core.records import PARENT_SHARES
from slurm_ai_factory.simulation.arrays import State, TreeArrays

DEEPEST = 64


@njit(cache=True)
def make_ranks(tree: TreeArrays, state: State) -> None:
    """FairShare of every user, from the usage and the shares as they are.

    Decay alone changes no part of a level: only accounts below which something moved are looked at.
    """
    for node in range(len(tree.first)):
        if state.moved[node] and tree.first[node] < tree.last[node]:
            _level(tree, state, node)
            _sort(tree, state, tree.first[node], tree.last[node])
    state.moved[:] = False
    _walk(tree, state)


@njit(cache=True)
def _level(tree: TreeArrays, state: State, account: int) -> None:
    """level_fs of those who compete below an account; a user with Fairshare=parent comes first."""
    shares = 0.0
    for place in range(tree.first[account], tree.last[account]):
        if state.shares[tree.below[place]] != PARENT_SHARES:
            shares += state.shares[tree.below[place]]
    for place in range(tree.first[account], tree.last[account]):
        node = tree.below[place]
        norm = state.shares[node] / shares if shares > 0 else 0.0
        used = state.usage[node] / state.usage[account] if state.usage[account] > 0 else 0.0
        if state.shares[node] == PARENT_SHARES:
            state.level_fs[node] = np.inf
        elif norm == 0:
            state.level_fs[node] = 0.0
        else:
            state.level_fs[node] = norm / used if used > 0 else np.inf


@njit(cache=True)
def _before(tree: TreeArrays, state: State, node: int, other: int) -> bool:
    """Whether a node goes first: the better level_fs, then a user, then as listed."""
    if state.level_fs[node] != state.level_fs[other]:
        return bool(state.level_fs[node] > state.level_fs[other])
    if tree.user[node] != tree.user[other]:
        return bool(tree.user[node])
    return node < other


@njit(cache=True)
def _sort(tree: TreeArrays, state: State, first: int, last: int) -> None:
    """By insertion: from one pass to the next the order hardly changes."""
    order = state.order
    for place in range(first + 1, last):
        node, hole = order[place], place
        while hole > first and _before(tree, state, node, order[hole - 1]):
            order[hole] = order[hole - 1]
            hole -= 1
        order[hole] = node


@njit(cache=True)
def _walk(tree: TreeArrays, state: State) -> None:
    """Rank the users, depth first. Users that tie share a rank; accounts that tie are not merged."""
    account = np.zeros(DEEPEST, np.int64)
    place = np.zeros(DEEPEST, np.int64)
    before = np.full(DEEPEST, np.nan)
    tied = np.zeros(DEEPEST, np.bool_)
    users = tree.user.sum()
    rank = without_ties = users
    depth, place[0] = 0, tree.first[0]
    while depth >= 0:
        if place[depth] == tree.last[account[depth]]:
            depth -= 1
            continue
        node = state.order[place[depth]]
        ties = tied[depth] or state.level_fs[node] == before[depth]
        place[depth] += 1
        before[depth], tied[depth] = state.level_fs[node], False
        if tree.user[node]:
            rank = rank if ties else without_ties
            without_ties -= 1
            state.fairshare[node] = rank / users
        else:
            depth += 1
            account[depth], place[depth] = node, tree.first[node]
            before[depth], tied[depth] = np.nan, ties
