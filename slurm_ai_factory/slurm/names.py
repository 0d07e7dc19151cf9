"""The names in Slurm that a rule may use.

Each list is complete or raises SlurmError; it is empty only where Slurm says so. A list that Slurm refuses
this user is reported as hidden.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from slurm_ai_factory.errors import SlurmError, SlurmRefusedError
from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.slurm.parse import AssociationRow
from slurm_ai_factory.slurm.tree import AssociationTree


def names_by_condition(commands: Commands, cluster: str) -> tuple[dict[str, frozenset[str]], list[str]]:
    """The names by condition of a rule, and the conditions whose names this user may not see.

    Raises SlurmError.
    """

    def listed(what: str, field: str, *where: str) -> frozenset[str]:
        lines = commands.lines("sacctmgr", "-n", "-P", "show", what, *where, f"format=ID,{field}")
        rows = (line.rstrip("\n").partition("|") for line in lines)
        return frozenset(name for number, _, name in rows if number.isdigit()) - {""}

    here = "where", f"cluster={cluster}"
    rows = AssociationTree(commands, cluster).rows()
    associations = [row for row in rows if isinstance(row, AssociationRow)]
    if not associations:
        raise SlurmError(f"slurmdbd has no associations for cluster {cluster}; check cluster.name")
    reads: dict[str, Callable[[], frozenset[str]]] = {
        "qos": lambda: listed("qos", "Name"),
        "partition": lambda: partition_names(commands.lines("scontrol", "show", "partition", "--oneliner")),
        "wckey": lambda: listed("wckey", "WCKey", *here),
        "reservation": lambda: listed("reservation", "Name", *here),
    }
    accounts = frozenset(row.account for row in associations)
    users = frozenset(row.user for row in associations) - {""}
    names, hidden = {"account": accounts, "account_subtree": accounts, "user": users}, []
    for condition, read in reads.items():
        try:
            names[condition] = read()
        except SlurmRefusedError:
            hidden.append(condition)
    if "wckey" in names:  # a job with its user's default wckey has it with a star
        names["wckey"] |= {f"*{name.lstrip('*')}" for name in names["wckey"]}
    return names, hidden


def partition_names(lines: Iterable[str]) -> frozenset[str]:
    """The names in scontrol's answer, which has one partition per line.

    >>> sorted(partition_names(["PartitionName=gpu AllowGroups=ALL", "PartitionName=main AllowGroups=ALL"]))
    ['gpu', 'main']
    >>> partition_names(["No partitions in the system"])
    frozenset()
    """
    matches = (re.match(r"PartitionName=(\S+)", line) for line in lines)
    return frozenset(match[1] for match in matches if match)
