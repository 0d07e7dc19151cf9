"""How Slurm is set up, to values: what ``saf doctor`` looks at beside the priority settings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import dropwhile
from math import inf

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.records import Node, Partition, Rejected, Slurmdbd, Transaction
from slurm_ai_factory.errors import SlurmError, reason
from slurm_ai_factory.slurm.fields import barred_rows, clock_seconds, each, natural, settings, words

USAGE_FACTOR_FIELDS = ("UsageFactor", "Name")
COORDINATOR_FIELDS = ("Account", "Coordinators")
ADMIN_FIELDS = ("AdminLevel", "User")
ROW_FIELDS = ("ID", "User")
TRANSACTION_FIELDS = ("Time", "Actor", "Where", "Info")
_UNITS = {"hour": 3600, "day": 86400, "month": 30 * 86400}


def parse_partitions(lines: Iterable[str]) -> Iterator[Partition | Rejected]:
    """Of ``scontrol -o show partition``: one line each, in which values may have blanks."""
    return each(_partition, _shown("PartitionName", lines))


def _shown(key: str, lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """What scontrol shows on each line: of a key that comes twice the first counts, for later text is free.

    A line that begins with another key goes on with the text of the line before it.
    """
    for line in lines:
        pairs = re.findall(r"(?:^|\s)(\w+)=(\S*)", line)
        if pairs and pairs[0][0] == key:
            yield dict(reversed(pairs))


def _partition(found: Mapping[str, str]) -> Partition:
    return Partition(
        name=found["PartitionName"],
        tier=natural("PriorityTier", found["PriorityTier"]),
        weights=found.get("TRESBillingWeights", ""),
        oversubscribe=found["OverSubscribe"],
    )


def parse_nodes(lines: Iterable[str]) -> Iterator[Node | Rejected]:
    """Of ``scontrol -o show node``: one line each, in which values may have blanks."""
    return each(_node, _shown("NodeName", lines))


def _node(found: Mapping[str, str]) -> Node:
    return Node(found["NodeName"], tres.canonical(f"{found['CfgTRES']},node=1"))


def usage_factors(lines: Iterable[str]) -> Iterator[tuple[str, float] | Rejected]:
    """Each QOS with its UsageFactor; 1 where none is set."""
    return each(_usage_factor, barred_rows(USAGE_FACTOR_FIELDS, lines))


def _usage_factor(row: Mapping[str, str]) -> tuple[str, float]:
    factor = float(row["UsageFactor"] or 1)
    if not 0 <= factor < inf:
        raise ValueError(f"UsageFactor {factor} is no number from 0 on")
    return row["Name"], factor


def account_coordinators(lines: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]] | Rejected]:
    """Accounts with their coordinators."""
    return each(
        lambda row: (row["Account"], words(row["Coordinators"])), barred_rows(COORDINATOR_FIELDS, lines)
    )


def admin_level(user: str, lines: Iterable[str]) -> str:
    """The user's AdminLevel, ``None`` as Slurm spells it; empty where slurmdbd does not know the user."""
    return next((line.partition("|")[0] for line in lines if line.partition("|")[2] == f"{user}\n"), "")


def slurmdbd(lines: Iterable[str]) -> Slurmdbd:
    """slurmdbd's part of ``sacctmgr show configuration``, which begins with the client's own."""
    found = settings(dropwhile(lambda line: not line.startswith("SlurmDBD configuration"), lines))
    try:
        return Slurmdbd(
            words(found["PrivateData"]), _range(found["MaxQueryTimeRange"]), _kept(found["PurgeJobAfter"])
        )
    except (KeyError, ValueError) as error:
        raise SlurmError(f"sacctmgr show configuration cannot be read: {reason(error)}") from error


def _range(text: str) -> int | None:
    return None if text in ("UNLIMITED", "INFINITE") else clock_seconds(text)


def _kept(text: str) -> int | None:
    """Seconds in a time of purging.

    >>> _kept("NONE"), _kept("12 months"), _kept("36 hours*")
    (None, 31104000, 129600)
    """
    if text == "NONE":
        return None
    count, _, unit = text.rstrip("*").partition(" ")
    size = _UNITS.get(unit.removesuffix("s"))
    if size is None:
        raise ValueError(f"{text!r} is no time such as 12 months")
    return natural("PurgeJobAfter", count) * size


def own_row(lines: Iterable[str]) -> str | None:
    """The id of an account's own association; None when there is no such account."""
    rows = (line.rstrip("\n").partition("|") for line in lines)
    return next((number for number, _, user in rows if number.isdigit() and not user), None)


def share_changes(row_id: str, lines: Iterable[str]) -> Iterator[Transaction | Rejected]:
    """The transactions that set RawShares of the association with this id."""
    cells = each(_cells, lines)
    ours = (one for one in cells if isinstance(one, Rejected) or _changes(row_id, one))
    return each(lambda one: Transaction(natural("Time", one[0]), one[1], _set(one)), ours)


def _cells(line: str) -> list[str]:
    cells = line.rstrip("\n").split("|")
    if len(cells) < len(TRANSACTION_FIELDS):
        raise ValueError(f"{len(cells)} fields instead of {len(TRANSACTION_FIELDS)}")
    return cells


def _changes(row_id: str, cells: list[str]) -> bool:
    """Not so a change of other rows or of something else; a Where of several rows has bars in it."""
    return bool(_set(cells)) and bool(re.search(rf"\b{row_id}\b", "|".join(cells[2:-1])))


def _set(cells: list[str]) -> str:
    found = re.search(r"\bshares=(\w+)", cells[-1])
    return found[1] if found else ""
