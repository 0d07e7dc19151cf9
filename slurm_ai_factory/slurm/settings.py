"""Parses Slurm's set-up for ``saf doctor``: partitions, nodes, QOS, users, slurmdbd's settings. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import dropwhile
from math import inf

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.records import (
    PARENT_SHARES,
    GatheredEnergy,
    LeverKind,
    LoggedWriter,
    Node,
    Partition,
    Rejected,
    Slurmdbd,
    Transaction,
)
from slurm_ai_factory.errors import SlurmError, reason
from slurm_ai_factory.slurm.fields import barred_rows, clock_seconds, each, natural, settings, words

USAGE_FACTOR_FIELDS = ("UsageFactor", "Name")
PRIORITY_FIELDS = ("Priority", "Name")
FEDERATION_FIELDS = ("ID", "Cluster")
COORDINATOR_FIELDS = ("Account", "Coordinators")
ADMIN_FIELDS = ("AdminLevel", "User")
ROW_FIELDS = ("ID", "User")
TRANSACTION_FIELDS = ("Time", "Actor", "Where", "Info")
_ENTRY = re.compile(
    r"(?P<at>[^|]*)\|(?P<actor>[^|]*)\|(?P<where>(?:'[^']*'|[^'|]|\|\|)*)\|(?P<info>[^']*(?:'[^']*'[^']*)*)"
)
"""An entry of slurmdbd's log with TRANSACTION_FIELDS; objects are separated by two bars."""
_LOGGED_AS = {LeverKind.ACCOUNT: "shares", LeverKind.QOS: "priority"}
_UNITS = {"hour": 3600, "day": 86400, "month": 30 * 86400}


def parse_partitions(lines: Iterable[str]) -> Iterator[Partition | Rejected]:
    """The partitions in ``scontrol -o show partition``: one per line; values may contain blanks."""
    return each(_partition, shown_by_scontrol("PartitionName", lines))


def shown_by_scontrol(key: str, lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """The keys and values on each line of scontrol's that begins with ``key``.

    The first of two equal keys counts, since free text comes last. A line that begins with another key
    continues the text of the line before it.
    """
    for line in lines:
        pairs = re.findall(r"(?:^|\s)(\w+)=(\S*)", line)
        if pairs and pairs[0][0] == key:
            yield dict(reversed(pairs))


def _partition(values: Mapping[str, str]) -> Partition:
    return Partition(
        name=values["PartitionName"],
        tier=natural("PriorityTier", values["PriorityTier"]),
        weights=values.get("TRESBillingWeights", ""),
        oversubscribe=values["OverSubscribe"],
    )


def parse_nodes(lines: Iterable[str]) -> Iterator[Node | Rejected]:
    """The nodes in ``scontrol -o show node``: one per line; values may contain blanks."""
    return each(
        lambda values: Node(values["NodeName"], tres.canonical(f"{values['CfgTRES']},node=1")),
        shown_by_scontrol("NodeName", lines),
    )


def usage_factors(lines: Iterable[str]) -> Iterator[tuple[str, float] | Rejected]:
    """Each QOS with its UsageFactor, which is 1 where none is set."""
    return each(_usage_factor, barred_rows(USAGE_FACTOR_FIELDS, lines))


def _usage_factor(row: Mapping[str, str]) -> tuple[str, float]:
    factor = float(row["UsageFactor"] or 1)
    if not 0 <= factor < inf:
        raise ValueError(f"UsageFactor {factor} is negative, infinite or not a number")
    return row["Name"], factor


def switch_weight(weight: str, lines: Iterable[str]) -> int:
    """A weight such as PriorityWeightQOS in ``scontrol show config``. Raises SlurmError."""
    try:
        return natural(weight, settings(lines)[weight])
    except (KeyError, ValueError) as error:
        raise SlurmError(f"scontrol show config cannot be read: {reason(error)}") from error


def gathered_energy(lines: Iterable[str]) -> GatheredEnergy:
    """How energy is gathered, by ``scontrol show config``.

    >>> lines = ["AcctGatherEnergyType    = acct_gather_energy/rapl", "PrologFlags = Alloc,Contain"]
    >>> gathered_energy(lines), gathered_energy(["AcctGatherEnergyType = (null)", "PrologFlags = (null)"])
    (GatheredEnergy(plugin='rapl', contained=True), GatheredEnergy(plugin='', contained=False))
    """
    values = settings(lines)
    plugin = "".join(words(values.get("AcctGatherEnergyType", ""))).rpartition("/")[2]
    return GatheredEnergy(
        "" if plugin == "none" else plugin, "contain" in map(str.lower, words(values.get("PrologFlags", "")))
    )


def qos_priorities(lines: Iterable[str]) -> Iterator[tuple[str, int] | Rejected]:
    """Each QOS with its Priority, which is 0 where none is set."""
    return each(
        lambda row: (row["Name"], natural("Priority", row["Priority"] or "0")),
        barred_rows(PRIORITY_FIELDS, lines),
    )


def federation_numbers(lines: Iterable[str]) -> Iterator[tuple[str, int] | Rejected]:
    """Each cluster with its number in its federation, 0 where it is in none.

    >>> list(federation_numbers(["2|gpu\\n", "|cpu\\n"]))
    [('gpu', 2), ('cpu', 0)]
    """
    return each(
        lambda row: (row["Cluster"], natural("ID", row["ID"] or "0")), barred_rows(FEDERATION_FIELDS, lines)
    )


def job_factors(lines: Iterable[str]) -> Iterator[tuple[str, int] | Rejected]:
    """Each partition with its PriorityJobFactor, from ``scontrol -o show partition``."""
    return each(
        lambda values: (values["PartitionName"], natural("PriorityJobFactor", values["PriorityJobFactor"])),
        shown_by_scontrol("PartitionName", lines),
    )


def account_coordinators(lines: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]] | Rejected]:
    """Accounts with their coordinators."""
    return each(
        lambda row: (row["Account"], words(row["Coordinators"])), barred_rows(COORDINATOR_FIELDS, lines)
    )


def admin_level(user: str, lines: Iterable[str]) -> str:
    """The user's AdminLevel, ``None`` as Slurm spells it; empty where slurmdbd does not know the user."""
    return next((line.partition("|")[0] for line in lines if line.partition("|")[2] == f"{user}\n"), "")


def slurmdbd(lines: Iterable[str]) -> Slurmdbd:
    """slurmdbd's part of ``sacctmgr show configuration``, after the client's own. Raises SlurmError."""
    values = settings(dropwhile(lambda line: not line.startswith("SlurmDBD configuration"), lines))
    try:
        widest = values["MaxQueryTimeRange"]
        return Slurmdbd(
            words(values["PrivateData"]),
            None if widest in ("UNLIMITED", "INFINITE") else clock_seconds(widest),
            _kept(values["PurgeJobAfter"]),
        )
    except (KeyError, ValueError) as error:
        raise SlurmError(f"sacctmgr show configuration cannot be read: {reason(error)}") from error


def _kept(text: str) -> int | None:
    """Seconds in a purge time; None for NONE. Raises ValueError.

    >>> _kept("NONE"), _kept("12 months"), _kept("36 hours*")
    (None, 31104000, 129600)
    """
    if text == "NONE":
        return None
    count, _, unit = text.rstrip("*").partition(" ")
    size = _UNITS.get(unit.removesuffix("s"))
    if size is None:
        raise ValueError(f"{text!r} is not a time such as 12 months")
    return natural("PurgeJobAfter", count) * size


def own_row(lines: Iterable[str]) -> str | None:
    """How slurmdbd's log names an account's own association; None where there is no such account."""
    rows = (line.rstrip("\n").partition("|") for line in lines)
    return next((f"id_assoc={number}" for number, _, user in rows if number.isdigit() and not user), None)


def of_qos(name: str) -> str:
    """How slurmdbd's log names a QOS; Slurm drops apostrophes."""
    return f"name='{name}'"


def logged(lever: LeverKind, key: str, lines: Iterable[str]) -> Iterator[Transaction | Rejected]:
    """The transactions that set the lever's attribute of the object with this key.

    Texts are between apostrophes and may hold anything else: ends of lines, bars, or what looks like another
    transaction. So an entry ends where its apostrophes are closed, and texts are left out of what was set.
    """
    setting = re.compile(rf"\b{_LOGGED_AS[lever]}=(\w+)")
    named = re.compile(rf"(?<![\w']){re.escape(key)}(?!\w)")

    def transaction(entry: str) -> Transaction | None:
        at, actor, where, info = _parts(entry)
        values = setting.findall(info)
        if not (values and named.search(where)):
            return None
        return Transaction(natural("Time", at), actor, values[-1])

    return (entry for entry in each(transaction, _entries(lines)) if entry is not None)


def logged_writers(added: Iterable[str], modified: Iterable[str]) -> Iterator[LoggedWriter | Rejected]:
    """What each user added and modified, from the log of each with TRANSACTION_FIELDS.

    Quoted texts are ignored. Slurm writes parent_acct for the row of an account alone, and 2147483647 for
    Fairshare=parent.
    """
    writers: dict[str, LoggedWriter] = {}
    for lines, what in ((added, _added), (modified, _modified)):
        for entry in each(_parts, _entries(lines)):
            if isinstance(entry, Rejected):
                yield entry
                continue
            _, actor, where, info = entry
            before = writers.get(actor, LoggedWriter(actor, 0, 0, 0, 0, frozenset()))
            writers[actor] = what(before, where, info)
    yield from writers.values()


def _parts(entry: str) -> tuple[str, str, str, str]:
    """Time, actor, object and setting of an entry, the last without its texts. Raises ValueError."""
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise ValueError(f"not {', '.join(TRANSACTION_FIELDS)} separated by bars")
    return match["at"], match["actor"], match["where"], re.sub("'[^']*'", "", match["info"])


def _added(writer: LoggedWriter, _where: str, info: str) -> LoggedWriter:
    if "parent_acct=" in info:
        return writer._replace(accounts=writer.accounts + 1)
    return writer._replace(users=writer.users + (f"shares={PARENT_SHARES}," in info))


def _modified(writer: LoggedWriter, where: str, info: str) -> LoggedWriter:
    budget, shares = (bool(re.search(rf"\b{name} ?= ?[^,]", info)) for name in ("grp_tres_mins", "shares"))
    rows = (
        {int(number) for number in re.findall(r"\bid_assoc=(\d{1,19})", where)} if budget or shares else set()
    )
    return writer._replace(
        budgets=writer.budgets + budget, shares=writer.shares + shares, changed=writer.changed.union(rows)
    )


def _entries(lines: Iterable[str]) -> Iterator[str]:
    """The entries of the log, each without the end of its last line."""
    parts, within_text = list[str](), False
    for line in lines:
        parts.append(line)
        within_text ^= line.count("'") % 2 == 1
        if not within_text:
            yield "".join(parts).removesuffix("\n")
            parts.clear()
    if parts:
        yield "".join(parts)
