"""Work, layout and associations as the engine's arrays. Tested in tests/simulation/test_siblings.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from slurm_ai_factory.simulation import arrays, fair_tree
from slurm_ai_factory.simulation.layout import OTHERS, REGION, Layout, ModelSettings
from slurm_ai_factory.simulation.peers import SINCE, Peer
from slurm_ai_factory.simulation.workload import User, Workload


class Placed(NamedTuple):
    """Where the users of a workload are, in its order of users."""

    rows: tuple[str, ...]  #: the row of the steered level that each is below
    side: arrays.Ints  #: 1 regional, 0 not
    group: arrays.Ints  #: see ``Jobs.group``
    groups: int = 0  #: how many groups are counted apart; none where there are just two sides


def two_sides(users: Sequence[User], regional: frozenset[User]) -> Placed:
    """The region and the others."""
    side = np.array([user in regional for user in users], np.int64)
    return Placed(tuple(REGION if user in regional else OTHERS for user in users), side, side)


def planted(
    users: Sequence[User], rows: Sequence[str], shares: Mapping[str, int], siblings: bool = False
) -> fair_tree.FairTreeNode:
    """The association tree: the rows of ``shares`` under root, below them accounts, below those users.

    ``rows`` has the one of each user. With ``siblings`` all accounts are directly under root, each with an
    equal part of its row's shares. An account with users in two rows is there twice, as a facility would have
    to have it.
    """
    tree: list[tuple[str, str | None, str | None, int]] = [("root", None, None, 1), ("root", None, "root", 1)]
    above = dict(zip(users, rows, strict=True))
    accounts = sorted({(account, row) for (account, _), row in above.items()})
    if siblings:
        count = Counter(row for _, row in accounts)
        tree += [(f"{row}.{name}", "root", None, max(1, shares[row] // count[row])) for name, row in accounts]
    else:
        tree += [(row, "root", None, raw_shares) for row, raw_shares in shares.items()]
        tree += [(f"{row}.{account}", row, None, 1) for account, row in accounts]
    tree += [(f"{row}.{account}", None, user, 1) for (account, user), row in above.items()]
    return fair_tree.tree_of_rows(tree)


def flattened(root: fair_tree.FairTreeNode) -> tuple[arrays.TreeArrays, dict[str, int]]:
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
    tree = arrays.TreeArrays(
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
    placed: Placed,
    layout: Layout,
    settings: ModelSettings,
    index: Mapping[str, int],
    began: int,
) -> arrays.Jobs:
    """The workload's jobs; instants count from ``began``. ``index`` has each association's place by key."""
    keys = zip(placed.rows, workload.users, strict=True)
    leaves = np.array([index[f"{row}.{'/'.join(user)}"] for row, user in keys], np.int64)
    size = layout.need[:, 0] / max(1, layout.capacity[:, 0].max())
    return arrays.Jobs(
        submit=workload.submit - began, runtime=workload.runtime, limit=workload.limit,
        leaf=leaves[workload.user], pool=layout.pool, need=layout.need, weight=layout.weight,
        billing=layout.weight, standing=settings.weight_job_size * size, side=placed.side[workload.user],
        group=placed.group[workload.user],
    )  # fmt: skip


def model_rules(settings: ModelSettings, backlog: int, favour: float, peer: Peer) -> arrays.ModelRules:
    """The settings for compiled code, with the workload's ``backlog`` and what orders both sides."""
    return arrays.ModelRules(
        calc_period=settings.calc_period, half_life=float(settings.half_life),
        weight_fairshare=settings.weight_fairshare, weight_age=settings.weight_age,
        max_age=float(settings.max_age), interval=settings.interval, depth=settings.depth,
        conservative=settings.conservative, backlog=backlog, favour=favour,
        peer=peer.kind, peer_share=peer.share, peer_extra=peer.extra,
    )  # fmt: skip


def events_of(layout: Layout, stops: Sequence[tuple[int, int]], began: int) -> arrays.Events:
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
    return arrays.Events(
        at=np.array([row[0] for row in rows], np.int64), pool=np.array([row[1] for row in rows], np.int64),
        change=np.array([row[2] for row in rows], np.int64).reshape(len(rows), len(whole)),
        weight=np.array([row[3] for row in rows], np.float64),
        stops=np.array(stops, np.int64).reshape(len(stops), 2),
    )  # fmt: skip


def state_of(
    jobs: arrays.Jobs,
    tree: arrays.TreeArrays,
    layout: Layout,
    settings: ModelSettings,
    root: fair_tree.FairTreeNode,
    index: Mapping[str, int],
    groups: int = 0,
) -> arrays.State:
    """The cluster at its beginning: everything is up, idle and unused; ``groups`` are counted apart."""
    count, associations, pools = len(jobs.submit), len(tree.parent), len(layout.capacity)
    at = np.zeros(arrays.LAST_PASS + 3, np.int64)
    at[arrays.NEXT_PASS], at[arrays.WANTED_AT] = settings.calc_period, arrays.NEVER
    rates = np.zeros(arrays.FIRST_GROUP + 2 * groups)
    rates[arrays.UP] = layout.total
    shares = np.zeros(associations)
    for node in _in_order(root)[0]:
        shares[index[node.key]] = node.raw_shares
    return arrays.State(
        at=at, start=np.full(count, -1, np.int64), end=np.full(count, -1, np.int64), priority=np.zeros(count),
        pending=np.zeros(count, np.int64), scratch=np.zeros(count, np.int64), ends=np.zeros(count, np.int64),
        free=layout.capacity.copy(), running=np.zeros((pools, count), np.int64),
        busy=np.zeros(pools, np.int64), least=np.full(layout.capacity.shape, arrays.NEVER, np.int64),
        waiting=np.zeros(max(2, groups), np.int64), usage=np.zeros(associations), rate=np.zeros(associations),
        part=np.zeros(associations), shares=shares, fairshare=np.zeros(associations), rates=rates,
        hours=np.zeros((1, len(rates))), order=tree.below.copy(), level_fs=np.zeros(associations),
        memory=np.zeros(SINCE + 1), moved=np.ones(associations, np.bool_),
        ended=np.zeros(associations, np.int64), ran=np.zeros(associations, np.int64),
    )  # fmt: skip
