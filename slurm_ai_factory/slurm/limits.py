"""Parses what Slurm enforces beside priorities: limits, licences and reservations. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from slurm_ai_factory.core.live.bounds import (
    HELD,
    SPENT,
    Licence,
    LimitedAssociation,
    LimitedQos,
    Withheld,
    limit_counts,
)
from slurm_ai_factory.core.records import FOREVER, Rejected
from slurm_ai_factory.core.tres import parse_tres
from slurm_ai_factory.slurm.fields import barred_rows, each, natural, slurm_instant, words
from slurm_ai_factory.slurm.reserving import expanded
from slurm_ai_factory.slurm.settings import shown_by_scontrol

OF_TRES = (HELD, SPENT, "GrpTRESRunMins", "MaxTRES", "MaxTRESPerNode", "MaxTRESMins")
OF_JOBS = ("GrpJobs", "GrpSubmit", "GrpWall", "MaxJobs", "MaxSubmit", "MaxWall")
OF_QOS = (HELD, SPENT, "GrpTRESRunMins", "MaxTRES", "MaxTRESPU", "MaxTRESPA", "GrpJobs", "MaxWall")
ASSOCIATION_FIELDS = ("ID", "ParentID", *OF_TRES, *OF_JOBS, "QOS")
QOS_FIELDS = ("Flags", *OF_QOS, "Name")


def association_limits(lines: Iterable[str]) -> Iterator[LimitedAssociation | Rejected]:
    """Each association with its limits; its account is ``#ID`` and its number, which no account is called."""
    return each(_association, barred_rows(ASSOCIATION_FIELDS, lines))


def _association(row: Mapping[str, str]) -> LimitedAssociation:
    number, parent = natural("ID", row["ID"]), natural("ParentID", row["ParentID"])
    limits = _set(row, (*OF_TRES, *OF_JOBS))
    return LimitedAssociation(number, parent, f"#ID {number}", "", limits, words(row["QOS"]))


def _set(row: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The limits that are set. Raises ValueError for a count that cannot be read."""
    limits = {name: row[name] for name in names if row[name]}
    for name in (HELD, SPENT):
        limit_counts(limits, name)
    return limits


def all_qos_limits(lines: Iterable[str]) -> Iterator[LimitedQos | Rejected]:
    """Each QOS with its limits."""
    return each(_qos, barred_rows(QOS_FIELDS, lines))


def _qos(row: Mapping[str, str]) -> LimitedQos:
    flags = words(row["Flags"])
    return LimitedQos(row["Name"], _set(row, OF_QOS), "Relative" in flags, "NoDecay" not in flags)


def licences(lines: Iterable[str]) -> Iterator[Licence | Rejected]:
    """The licences, and the layers of hierarchical resources, in ``scontrol -o show license``."""
    return each(_licence, shown_by_scontrol("LicenseName", lines))


def _licence(values: Mapping[str, str]) -> Licence:
    total, used = natural("Total", values["Total"]), natural("Used", values["Used"])
    return Licence(values["LicenseName"], total, used, natural("Mode", values.get("Mode", "0")))


def withheld_nodes(lines: Iterable[str]) -> Iterator[Withheld | Rejected]:
    """The reservations in ``scontrol -o show reservation``, and who may use them."""
    return each(_withheld, shown_by_scontrol("ReservationName", lines))


def _withheld(values: Mapping[str, str]) -> Withheld:
    accounts, users = (words(values.get(key, "")) for key in ("Accounts", "Users"))
    others = any(words(values.get(key, "")) for key in ("Groups", "QOS", "AllowedPartitions"))
    counts, flags = values.get("TRES", ""), words(values.get("Flags", ""))
    return Withheld(
        name=values["ReservationName"],
        since=slurm_instant(values["StartTime"]) or 0,
        until=slurm_instant(values["EndTime"]) or FOREVER,
        nodes=frozenset(expanded(values.get("Nodes", ""))),
        cpus=None if counts in ("", "(null)") else parse_tres(counts).get("cpu"),
        accounts=frozenset(accounts),
        users=frozenset(users),
        open_to_others=others or any(name.startswith("-") for name in (*accounts, *users)),
        maintenance="MAINT" in flags,
    )


def partition_qos(lines: Iterable[str]) -> frozenset[str]:
    """The QOS of the partitions in ``scontrol -o show partition``.

    >>> sorted(partition_qos(["PartitionName=a QoS=wide X=1", "PartitionName=b QoS=N/A"]))
    ['wide']
    """
    shown = shown_by_scontrol("PartitionName", lines)
    return frozenset(values.get("QoS", "") for values in shown) - {"", "N/A"}
