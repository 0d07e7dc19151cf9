"""The names that Slurm has: what a rule may name.

Each list is whole or raises SlurmError; an empty one is one that Slurm says is empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm.commands import Commands


def names(commands: Commands, cluster: str) -> dict[str, frozenset[str]]:
    """The names by condition of a rule: accounts, users, QOS, partitions, wckeys, reservations."""

    def listed(what: str, field: str, *where: str) -> frozenset[str]:
        return _column(commands.lines("sacctmgr", "-n", "-P", "show", what, *where, f"format={field}"))

    here = "where", f"cluster={cluster}"
    accounts = listed("assoc", "Account", *here)
    if not accounts:
        raise SlurmError(f"slurmdbd has no associations for cluster {cluster}; check cluster.name")
    wckeys = listed("wckey", "WCKey", *here)
    return {
        "account": accounts,
        "account_subtree": accounts,
        "user": listed("assoc", "User", *here),
        "qos": listed("qos", "Name"),
        "partition": partitions(commands.lines("scontrol", "show", "partition", "--oneliner")),
        "wckey": wckeys | {f"*{name.lstrip('*')}" for name in wckeys},
        "reservation": listed("reservation", "Name", *here),
    }


def _column(lines: Iterable[str]) -> frozenset[str]:
    return frozenset(line.strip() for line in lines) - {""}


def partitions(lines: Iterable[str]) -> frozenset[str]:
    """The names in what scontrol prints, one partition a line.

    >>> sorted(partitions(["PartitionName=gpu AllowGroups=ALL", "PartitionName=main AllowGroups=ALL"]))
    ['gpu', 'main']
    >>> partitions(["No partitions in the system"])
    frozenset()
    """
    found = (re.match(r"PartitionName=(\S+)", line) for line in lines)
    return frozenset(match[1] for match in found if match)
