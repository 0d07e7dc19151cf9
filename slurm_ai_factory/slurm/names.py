"""The names that Slurm has: what a rule may name.

Each list is whole or raises SlurmError; an empty one is one that Slurm says is empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.slurm.parse import Row
from slurm_ai_factory.slurm.tree import Tree


def names(commands: Commands, cluster: str) -> dict[str, frozenset[str]]:
    """The names by condition of a rule: accounts, users, QOS, partitions, wckeys, reservations."""

    def listed(what: str, field: str, *where: str) -> frozenset[str]:
        lines = commands.lines("sacctmgr", "-n", "-P", "show", what, *where, f"format=ID,{field}")
        rows = (line.rstrip("\n").partition("|") for line in lines)
        return frozenset(name for number, _, name in rows if number.isdigit()) - {""}

    here = "where", f"cluster={cluster}"
    associations = [one for one in Tree(commands, cluster).rows() if isinstance(one, Row)]
    if not associations:
        raise SlurmError(f"slurmdbd has no associations for cluster {cluster}; check cluster.name")
    accounts = frozenset(one.account for one in associations)
    wckeys = listed("wckey", "WCKey", *here)
    return {
        "account": accounts,
        "account_subtree": accounts,
        "user": frozenset(one.user for one in associations) - {""},
        "qos": listed("qos", "Name"),
        "partition": partitions(commands.lines("scontrol", "show", "partition", "--oneliner")),
        "wckey": wckeys | {f"*{name.lstrip('*')}" for name in wckeys},
        "reservation": listed("reservation", "Name", *here),
    }


def partitions(lines: Iterable[str]) -> frozenset[str]:
    """The names in what scontrol prints, one partition a line.

    >>> sorted(partitions(["PartitionName=gpu AllowGroups=ALL", "PartitionName=main AllowGroups=ALL"]))
    ['gpu', 'main']
    >>> partitions(["No partitions in the system"])
    frozenset()
    """
    found = (re.match(r"PartitionName=(\S+)", line) for line in lines)
    return frozenset(match[1] for match in found if match)
