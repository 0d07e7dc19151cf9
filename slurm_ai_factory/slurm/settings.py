"""How Slurm is set up, to values: what ``saf doctor`` looks at beside the priority settings."""

from __future__ import annotations

import re
from collections.abc import Iterable

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.facts import Node, Partition, Slurmdbd, Transaction
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm.fields import clock_seconds, natural, table, words

USAGE_FACTOR_FIELDS = ("Name", "UsageFactor")
COORDINATOR_FIELDS = ("Account", "Coordinators")
ADMIN_FIELDS = ("User", "AdminLevel")
ROW_FIELDS = ("ID", "User")
TRANSACTION_FIELDS = ("Time", "Actor", "Where", "Info")
_UNITS = {"hour": 3600, "day": 86400, "month": 30 * 86400}


def partitions(lines: Iterable[str]) -> list[Partition]:
    """Of ``scontrol -o show partition``: one line each, in which values may have blanks."""
    return [_partition(line) for line in lines if line.strip()]


def _partition(line: str) -> Partition:
    found = dict(re.findall(r"(\w+)=(\S*)", line))
    try:
        return Partition(
            name=found["PartitionName"],
            tier=natural("PriorityTier", found["PriorityTier"]),
            weights=found.get("TRESBillingWeights", ""),
            oversubscribe=found["OverSubscribe"],
        )
    except (KeyError, ValueError) as error:
        raise SlurmError(f"scontrol printed a partition that cannot be read: {error!r}: {line!r}") from error


def nodes(lines: Iterable[str]) -> list[Node]:
    """Of ``scontrol -o show node``: one line each, in which values may have blanks."""
    return [_node(line) for line in lines if line.strip()]


def _node(line: str) -> Node:
    found = dict(re.findall(r"(?:^|\s)(NodeName|CfgTRES)=(\S*)", line))
    try:
        return Node(found["NodeName"], tres.canonical(f"{found['CfgTRES']},node=1"))
    except (KeyError, ValueError) as error:
        raise SlurmError(f"scontrol printed a node that cannot be read: {error!r}: {line!r}") from error


def usage_factors(lines: Iterable[str]) -> dict[str, float]:
    """UsageFactor by QOS; 1 where none is set."""
    rows = table("sacctmgr", USAGE_FACTOR_FIELDS, lines)
    try:
        return {row["Name"]: float(row["UsageFactor"] or 1) for row in rows}
    except ValueError as error:
        raise SlurmError(f"sacctmgr printed a QOS that cannot be read: {error}") from error


def coordinators(lines: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Coordinators by account."""
    rows = table("sacctmgr", COORDINATOR_FIELDS, lines)
    return {row["Account"]: words(row["Coordinators"]) for row in rows}


def admin_level(lines: Iterable[str]) -> str:
    """The user's AdminLevel, ``None`` as Slurm spells it; empty where slurmdbd does not know the user."""
    rows = list(table("sacctmgr", ADMIN_FIELDS, lines))
    return rows[0]["AdminLevel"] if rows else ""


def slurmdbd(lines: Iterable[str]) -> Slurmdbd:
    """slurmdbd's part of ``sacctmgr show configuration``, which begins with the client's own."""
    found: dict[str, str] = {}
    ours = False
    for line in lines:
        ours = ours or line.startswith("SlurmDBD configuration")
        key, equals, value = line.partition("=")
        if ours and equals:
            found[key.strip()] = value.strip()
    try:
        return Slurmdbd(
            words(found["PrivateData"]), _range(found["MaxQueryTimeRange"]), _kept(found["PurgeJobAfter"])
        )
    except (KeyError, ValueError) as error:
        raise SlurmError(f"sacctmgr show configuration cannot be read: {error!r}") from error


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
    return next((row["ID"] for row in table("sacctmgr", ROW_FIELDS, lines) if not row["User"]), None)


def share_changes(row_id: str, lines: Iterable[str]) -> list[Transaction]:
    """The transactions that set RawShares of the association with this id, oldest first."""
    found = (_change(row_id, line.rstrip("\n").split("|")) for line in lines)
    return sorted((one for one in found if one), key=lambda one: one.at)


def _change(row_id: str, cells: list[str]) -> Transaction | None:
    """None for a change of other rows or of something else; a Where of several rows has bars in it."""
    if len(cells) < len(TRANSACTION_FIELDS):
        raise SlurmError(f"sacctmgr printed a transaction that cannot be read: {'|'.join(cells)!r}")
    at, actor, *where, info = cells
    shares = re.search(r"\bshares=(\w+)", info)
    if not (shares and re.search(rf"\b{row_id}\b", "|".join(where))):
        return None
    try:
        return Transaction(natural("Time", at), actor, shares[1])
    except ValueError as error:
        raise SlurmError(f"sacctmgr printed a transaction that cannot be read: {error}") from error
