"""Work, layout and associations as the engine's arrays. Tested in tests/simulation/test_siblings.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from slurm_ai_factory.simulation import fair_tree
from slurm_ai_factory.simulation.arrays import (
    LAST_PASS,
    NEVER,
    NEXT_PASS,
    UP,
    WANTED_AT,
    Events,
    Jobs,
    ModelRules,
    State,
    TreeArrays,
)
from slurm_ai_factory.simulation.layout import OTHERS, REGION, Layout, ModelSettings
from slurm_ai_factory.simulation.peers import SINCE, Peer
from slurm_ai_factory.simulation.workload import User, Workload


def planted(
    users: Sequence[User], regional: frozenset[User], shares: Mapping[str, int], siblings: bool = False
) -> fair_tree.FairTreeNode:
    """The association tree: the region and the others under root, below them accounts, below those users.

    With ``siblings`` all accounts are directly under root, each with an equal part of its side's shares.
    An account with users on both sides is there twice, as a facility would have to have it.
    """
    rows: list[tuple[str, str | None, str | None, int]] = [("root", None, None, 1), ("root", None, "root", 1)]
    sides = {user: _side(user, regional) for user in users}
    accounts = sorted({(account, side) for (account, _), side in sides.items()})
    if siblings:
        count = Counter(side for _, side in accounts)
        rows += [
            (f"{side}.{name}", "root", None, max(1, shares[side] // count[side])) for name, side in accounts
        ]
    else:
        rows += [(side, "root", None, shares[side]) for side in (REGION, OTHERS)]
        rows += [(f"{side}.{account}", side, None, 1) for account, side in accounts]
    rows += [(f"{side}.{account}", None, user, 1) for (account, user), side in sides.items()]
    return fair_tree.tree_of_rows(rows)


def _side(user: User, regional: frozenset[User]) -> str:
    return REGION if user in regional else OTHERS


def flattened(root: fair_tree.FairTreeNode) -> tuple[TreeArrays, dict[str, int]]:
    """The tree as arrays, and the index of each association by its key."""
    nodes, parents = _in_order(root)
    index = {node.key: number for number, node in enumerate(nodes)}
    first: list[int] = []
    last: list[int] = []
    below: list[int] = []
    for node in nodes:
        first.append(len(below))
        if node is root or not (node.user or node.shares_as_parent):
            below += [index[child.key] for child in fair_tree.competitors(node)]
        last.append(len(below))
    tree = TreeArrays(
        parent=np.array(parents, np.int64), user=np.array([node.user for node in nodes]),
        first=np.array(first, np.int64), last=np.array(last, np.int64), below=np.array(below, np.int64),
    )  # fmt: skip
    return tree, index


def _in_order(root: fair_tree.FairTreeNode) -> tuple[list[fair_tree.FairTreeNode], list[int]]:
    """Every association and the index of its parent, depth first, so that those who compete are in order."""
    nodes: list[fair_tree.FairTreeNode] = []
    parents: list[int] = []
    left = [(root, -1)]
    while left:
        node, parent = left.pop()
        left += [(child, len(nodes)) for child in reversed(node.children)]
        nodes.append(node)
        parents.append(parent)
    return nodes, parents


def jobs_of(
    workload: Workload,
    regional: frozenset[User],
    layout: Layout,
    settings: ModelSettings,
    index: Mapping[str, int],
    began: int,
) -> Jobs:
    """The workload's jobs; instants count from ``began``. ``index`` has each association's place by key."""
    keys = [f"{_side(user, regional)}.{'/'.join(user)}" for user in workload.users]
    leaves = np.array([index[key] for key in keys], np.int64)
    sides = np.array([user in regional for user in workload.users], np.int64)
    size = layout.need[:, 0] / max(1, layout.capacity[:, 0].max())
    return Jobs(
        submit=workload.submit - began, runtime=workload.runtime, limit=workload.limit,
        leaf=leaves[workload.user], pool=layout.pool, need=layout.need, weight=layout.weight,
        billing=layout.weight, standing=settings.weight_job_size * size, side=sides[workload.user],
    )  # fmt: skip


def model_rules(settings: ModelSettings, backlog: int, favour: float, peer: Peer) -> ModelRules:
    """The settings for compiled code, with the workload's ``backlog`` and what orders both sides."""
    return ModelRules(
        calc_period=settings.calc_period, half_life=float(settings.half_life),
        weight_fairshare=settings.weight_fairshare, weight_age=settings.weight_age,
        max_age=float(settings.max_age), interval=settings.interval, depth=settings.depth,
        conservative=settings.conservative, backlog=backlog, favour=favour,
        peer=peer.kind, peer_share=peer.share, peer_extra=peer.extra,
    )  # fmt: skip


def events_of(layout: Layout, stops: Sequence[tuple[int, int]], began: int) -> Events:
    """The layout's outages as changes of what is up, in order of time; instants count from ``began``."""
    whole = np.maximum(1, layout.capacity.sum(axis=0))
    rows = [
        (
            max(0, at - began),
            outage.pool,
            sign * np.array(outage.counts),
            sign * outage.counts[0] / whole[0] * layout.total,
        )
        for outage in layout.outages
        for at, sign in ((outage.since, -1), (outage.until, 1))
    ]
    rows.sort(key=lambda row: row[0])
    return Events(
        at=np.array([row[0] for row in rows], np.int64), pool=np.array([row[1] for row in rows], np.int64),
        change=np.array([row[2] for row in rows], np.int64).reshape(len(rows), len(whole)),
        weight=np.array([row[3] for row in rows], np.float64),
        stops=np.array(stops, np.int64).reshape(len(stops), 2),
    )  # fmt: skip


def state_of(
    jobs: Jobs,
    tree: TreeArrays,
    layout: Layout,
    settings: ModelSettings,
    root: fair_tree.FairTreeNode,
    index: Mapping[str, int],
) -> State:
    """The cluster at its beginning: everything is up, idle and unused."""
    count, associations, pools = len(jobs.submit), len(tree.parent), len(layout.capacity)
    at = np.zeros(LAST_PASS + 3, np.int64)
    at[NEXT_PASS], at[WANTED_AT] = settings.calc_period, NEVER
    rates = np.zeros(UP + 1)
    rates[UP] = layout.total
    shares = np.zeros(associations)
    for node in _in_order(root)[0]:
        shares[index[node.key]] = node.raw_shares
    return State(
        at=at, start=np.full(count, -1, np.int64), end=np.full(count, -1, np.int64), priority=np.zeros(count),
        pending=np.zeros(count, np.int64), scratch=np.zeros(count, np.int64), ends=np.zeros(count, np.int64),
        free=layout.capacity.copy(), running=np.zeros((pools, count), np.int64),
        busy=np.zeros(pools, np.int64), least=np.full(layout.capacity.shape, NEVER, np.int64),
        waiting=np.zeros(2, np.int64), usage=np.zeros(associations), rate=np.zeros(associations),
        part=np.zeros(associations), shares=shares, fairshare=np.zeros(associations), rates=rates,
        hours=np.zeros((1, UP + 1)), order=tree.below.copy(), level_fs=np.zeros(associations),
        memory=np.zeros(SINCE + 1), moved=np.ones(associations, np.bool_),
        ended=np.zeros(associations, np.int64), ran=np.zeros(associations, np.int64),
    )  # fmt: skip
