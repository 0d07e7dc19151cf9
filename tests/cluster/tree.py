"""The standard account tree of tests and demo: a regional and a national side, each with its accounts.

Rule: every account has two users of its own, and no user is in two accounts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.cluster.commands import Commands
from tests.cluster.requirements import USERS

SHARES = {"regional": 25, "national": 75}
REGIONAL = ("ruggroningen", "umcg", "smeworks", "province")
NATIONAL = ("astro", "climate", "industry")
VISITORS = "visitors"
VISITORS_SHARES = 10

Accounts = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Tree:
    """Account to users; visitors is empty unless it was asked for."""

    regional: Accounts
    national: Accounts
    visitors: Accounts = field(default_factory=dict)


def plant(cluster: Commands, *, visitors: bool = False) -> Tree:
    """Make the accounts and users; visitors adds a top-level account that belongs to neither side."""
    pairs = iter([USERS[first : first + 2] for first in range(0, len(USERS), 2)])
    tree = Tree(
        regional={name: next(pairs) for name in REGIONAL},
        national={name: next(pairs) for name in NATIONAL},
        visitors={VISITORS: next(pairs)} if visitors else {},
    )
    cluster.run("sacctmgr", "-i", "load", "file=/dev/stdin", stdin=_dump(cluster, tree))
    return tree


def _dump(cluster: Commands, tree: Tree) -> str:
    """In the format of "sacctmgr dump": loading it takes a second, adding one by one takes eight."""
    settings = cluster.run("scontrol", "show", "config").splitlines()
    name = next(line for line in settings if line.startswith("ClusterName")).split()[-1]
    lines = [f"Cluster - '{name}'", *_accounts("root", SHARES)]
    lines += _accounts("regional", dict.fromkeys(tree.regional, 1))
    lines += _accounts("national", dict.fromkeys(tree.national, 1))
    if tree.visitors:
        lines += _accounts("root", {VISITORS: VISITORS_SHARES})
    for account, users in (tree.regional | tree.national | tree.visitors).items():
        lines += [f"Parent - '{account}'", *(f"User - '{user}':Fairshare=1" for user in users)]
    return "\n".join(lines) + "\n"


def _accounts(parent: str, shares: dict[str, int]) -> list[str]:
    return [f"Parent - '{parent}'"] + [
        f"Account - '{name}':Fairshare={each}" for name, each in shares.items()
    ]
