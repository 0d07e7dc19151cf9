"""The names that Slurm has: what a rule may name.

Each list is whole or raises SlurmError; an empty one is one that Slurm says is empty. A list that Slurm
refuses to this user is named as hidden.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from slurm_ai_factory.errors import SlurmError, SlurmRefusedError
from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.slurm.parse import AssociationRow
from slurm_ai_factory.slurm.tree import AssociationTree


def names_by_condition(commands: Commands, cluster: str) -> tuple[dict[str, frozenset[str]], list[str]]:
    """The names by condition of a rule, and the conditions whose names this user may not see."""

    def listed(what: str, field: str, *where: str) -> frozenset[str]:
        lines = commands.lines("sacctmgr", "-n", "-P", "show", what, *where, f"format=ID,{field}")
        rows = (line.rstrip("\n").partition("|") for line in lines)
        return frozenset(name for number, _, name in rows if number.isdigit()) - {""}

    here = "where", f"cluster={cluster}"
    associations = [
        one for one in AssociationTree(commands, cluster).rows() if isinstance(one, AssociationRow)
    ]
    if not associations:
        raise SlurmError(f"slurmdbd has no associations for cluster {cluster}; check cluster.name")
    reads: dict[str, Callable[[], frozenset[str]]] = {
        "qos": lambda: listed("qos", "Name"),
        "partition": lambda: partition_names(commands.lines("scontrol", "show", "partition", "--oneliner")),
        "wckey": lambda: _with_defaults(listed("wckey", "WCKey", *here)),
        "reservation": lambda: listed("reservation", "Name", *here),
    }
    accounts = frozenset(one.account for one in associations)
    users = frozenset(one.user for one in associations) - {""}
    found, hidden = {"account": accounts, "account_subtree": accounts, "user": users}, []
    for condition, read in reads.items():
        try:
            found[condition] = read()
        except SlurmRefusedError:
            hidden.append(condition)
    return found, hidden


def _with_defaults(wckeys: frozenset[str]) -> frozenset[str]:
    """A job that got its user's default has the wckey with a star."""
    return wckeys | {f"*{name.lstrip('*')}" for name in wckeys}


def partition_names(lines: Iterable[str]) -> frozenset[str]:
    """The names in what scontrol prints, one partition a line.

    >>> sorted(partitions(["PartitionName=gpu AllowGroups=ALL", "PartitionName=main AllowGroups=ALL"]))
    ['gpu', 'main']
    >>> partitions(["No partitions in the system"])
    frozenset()
    """
    found = (re.match(r"PartitionName=(\S+)", line) for line in lines)
    return frozenset(match[1] for match in found if match)
