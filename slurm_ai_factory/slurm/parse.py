"""What slurmdbd says of the past and of the tree, to values: runs, associations, events, sreport. Pure.

A record of sacct that does not read as a run becomes a Rejected with its reason, never a run with zeros; what
its texts hold does not matter. Every association is known by its numbers, which nobody can forge; a name that
cannot be told from another row's is told by its number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.records import (
    FINISHED,
    Association,
    Charge,
    Instant,
    Outage,
    PriorityConfig,
    Rejected,
    Reservation,
    Run,
    Size,
    Subject,
)
from slurm_ai_factory.errors import SlurmError, reason
from slurm_ai_factory.slurm.fields import (
    UNSET,
    barred_rows,
    clock_seconds,
    each,
    natural,
    records,
    rejected,
    settings,
    slurm_instant,
    words,
)
from slurm_ai_factory.slurm.shares import AssociationUsage, shares

RUN_FIELDS = (
    "DBIndex", "JobIDRaw", "ReservationId", "Submit", "Eligible", "Start", "End", "ElapsedRaw", "Suspended",
    "ReqTRES", "AllocTRES", "State", "JobID", "Cluster", "Account", "User", "Partition", "QOS", "WCKey",
    "Reservation", "Comment", "DBIndex",
)  # fmt: skip
"""A number first and last: a record ends with it, whatever its texts hold."""
NUMBER_FIELDS = ("ID", "ParentID", "Share")
NAMES = ("Account", "User", "Partition")
NAME_FIELDS = (*NAMES, "ID")
UTILIZATION_FIELDS = ("Used", "TresName", "Login", "Accounts")
RESERVATION_FIELDS = ("ID", "Start", "End", "Associations", "TRES", "Name")
EVENT_FIELDS = ("TimeStart", "TimeEnd", "State", "TRES", "NodeName")

ASKED_MOST = 8192
"""Associations in one question: an argument has at most 128 kB."""
_DBINDEX_MOST = 2**64 - 1


def runs(pieces: Iterable[str], separator: str) -> Iterator[Run | Rejected]:
    """What sacct printed with RUN_FIELDS; ``separator`` is one that no user can know. Raises GarbledError."""
    return each(_run, records(pieces, separator, len(RUN_FIELDS)))


def _run(fields: list[str]) -> Run:
    db_index, job_id, number, submit, eligible, start, end, elapsed, suspended = fields[:9]
    req_tres, alloc_tres, state, label, cluster, account, user, partition, qos, wckey = fields[9:19]
    one = Run(
        db_index=_db_index(db_index),
        job_id=natural("JobIDRaw", job_id),
        job_label=label,
        subject=_subject(
            cluster, account, user, partition, qos, wckey, _reservation_of(fields[19], number),
            word_of(fields[20]),
        ),
        state=_state(state),
        submit_at=slurm_instant(submit),
        eligible_at=slurm_instant(eligible),
        start_at=slurm_instant(start),
        end_at=slurm_instant(end),
        elapsed_seconds=natural("ElapsedRaw", elapsed),
        suspended_seconds=clock_seconds(suspended),
        req_tres=tres.canonical(req_tres),
        alloc_tres=tres.canonical(alloc_tres),
        energy_joules=tres.energy(alloc_tres),
    )  # fmt: skip
    return _consistent(_ended(_without_false_start(one)))


def late_submits(answer: Iterable[Run | Rejected]) -> list[Run]:
    """The runs that were submitted after they started: later sizes of resized jobs, or a clock set back."""
    return [
        one
        for one in answer
        if isinstance(one, Run) and one.start_at and one.submit_at and one.submit_at > one.start_at
    ]


def resizes(answer: Iterable[Run | Rejected]) -> set[tuple[int, Instant | None]]:
    """The jobs of an answer that were resized, each with when."""
    return {(one.job_id, one.end_at) for one in answer if isinstance(one, Run) and one.state == "RESIZING"}


def from_own_start(one: Run | Rejected, resized: Collection[tuple[int, Instant | None]]) -> Run | Rejected:
    """The run from where it began itself: the later runs of a resized job have the job's own Start.

    What tells them is an earlier run that ended with a resize when this one was submitted. ElapsedRaw counts
    the time of the earlier sizes once more (accounting_storage_slurmdbd.c: _setup_job_start_msg; seen in
    22.05.8, and not in 24.11.5 and later, where Start is the run's own). A Submit after the Start without
    one is a clock that was set back, or Slurm's mistake: then the run is as it was told.
    """
    if isinstance(one, Rejected) or (one.job_id, one.submit_at) not in resized:
        return one
    if one.start_at is None or one.submit_at is None or one.submit_at <= one.start_at:
        return one
    before = one.submit_at - one.start_at
    return one._replace(
        start_at=one.submit_at,
        elapsed_seconds=max(0, one.elapsed_seconds - before),
        told_start_at=one.start_at,
    )


def _without_false_start(one: Run) -> Run:
    """22.05 gives what was cancelled while it waited its End for a Start; later versions give it none.

    Where it was requeued just before, both lie before its Submit: it must not be taken for a resized run.
    """
    never = one.end_at is not None and one.start_at == one.end_at and not one.elapsed_seconds
    return one._replace(start_at=None) if never and not one.alloc_tres else one


def _ended(one: Run) -> Run:
    """A run that is over and has no End yet, as after a restart of slurmdbd: it ran as long as is told."""
    if one.state in FINISHED and one.start_at is not None and one.end_at is None:
        return one._replace(end_at=one.start_at + one.elapsed_seconds)
    return one


def _consistent(one: Run) -> Run:
    """The run, or ValueError when its parts contradict each other in a way that would change a charge."""
    if one.start_at is not None and one.end_at is not None and one.end_at < one.start_at:
        raise ValueError(f"End {one.end_at} is before Start {one.start_at}")
    if one.start_at is None and one.elapsed_seconds:
        raise ValueError(f"ElapsedRaw {one.elapsed_seconds} without a Start")
    if one.start_at and one.end_at and one.elapsed_seconds > one.end_at - one.start_at + 1:
        raise ValueError(
            f"ElapsedRaw {one.elapsed_seconds} is more than the {one.end_at - one.start_at} s "
            "from Start to End"
        )
    if one.elapsed_seconds and not one.alloc_tres:
        raise ValueError(f"ElapsedRaw {one.elapsed_seconds} without AllocTRES")
    return one


def word_of(comment: str) -> str:
    """The word that a job's comment has for us: what stands after ``saf:``.

    >>> word_of("second try saf:flood-north, see wiki"), word_of("no word"), word_of("unsaf:x")
    ('flood-north', '', '')
    """
    if "saf:" not in comment:
        return ""
    found = re.search(r"(?<!\w)saf:([A-Za-z0-9][A-Za-z0-9_.-]{0,63})", comment)
    return found[1].rstrip(".-") if found else ""


def _reservation_of(name: str, number: str) -> str:
    """The reservation's name, or #ID where sacct does not tell it.

    slurmdbd joins a run with the reservations that began before it, and leaves the name out of those that
    began in the same second, as runs that waited for it do (as_mysql_jobacct_process.c).
    """
    return name or ("" if number in UNSET else f"#{number}")


@lru_cache(maxsize=65536)
def _subject(*parts: str) -> Subject:
    return Subject(*parts)


def _db_index(text: str) -> int:
    value = natural("DBIndex", text, _DBINDEX_MOST)
    if not value:
        raise ValueError("DBIndex '0' is of no run")
    return value


@lru_cache(maxsize=4096)
def _state(text: str) -> str:
    """The base word: ``CANCELLED by 123`` and ``CANCELLED+`` are CANCELLED."""
    word = text.split(" ")[0].rstrip("+")
    if not word:
        raise ValueError("no State")
    return word


Names = tuple[str, str, str]
"""An association's NAMES; empty where it has none."""


class AssociationRow(NamedTuple):
    """An association as slurmdbd has it, with the numbers of its row and of its parent's."""

    id: int
    parent_id: int  #: 0 for root
    raw_shares: int
    account: str
    user: str = ""
    partition: str = ""


def numbers(lines: Iterable[str]) -> dict[int, tuple[int, int]]:
    """Parent's id and RawShares of each association, by id, from sacctmgr's answer with NUMBER_FIELDS.

    Raises SlurmError: nobody can put a line into an answer of numbers.
    """
    found = {}
    for line in lines:
        try:
            one, parent, stored = line.rstrip("\n").split("|")
            found[natural("ID", one)] = natural("ParentID", parent), shares(stored)
        except ValueError as error:
            raise SlurmError(f"sacctmgr printed an association that cannot be read: {error}") from error
    return found


def association_names(lines: Iterable[str], known: Collection[int]) -> dict[int, Names]:
    """The names of those of these associations of which one line of sacctmgr tells, by id.

    Each row of an answer with NAME_FIELDS ends with its own id, whatever its names hold. Only where there are
    as many lines as associations is it certain that no name has a bar or a line break in it.
    """
    rows = [line.rstrip("\n").split("|") for line in lines]
    told = Counter(row[-1] for row in rows)
    whole = (row for row in rows if row[0] and len(row) == len(NAME_FIELDS) and told[row[-1]] == 1)
    ids = {str(one): one for one in known}
    return {ids[number]: (account, user, part) for account, user, part, number in whole if number in ids}


def odd_parts(group: Sequence[int], named: Collection[int]) -> list[list[int]]:
    """Associations to ask for apart, when some name among them is odd: those that look odd, or one half.

    >>> parts([1, 2, 3, 4], {1, 2, 4}), parts([1, 2, 3], {1, 2, 3}), parts([1, 2], ())
    ([[3], [1, 2, 4]], [[1], [2, 3]], [[1], [2]])
    """
    odd = [one for one in group if one not in named]
    rest = [one for one in group if one in named]
    if not (odd and rest):
        half = len(group) // 2
        odd, rest = list(group[:half]), list(group[half:])
    return [some[at : at + ASKED_MOST] for some in (odd, rest) for at in range(0, len(some), ASKED_MOST)]


def association_tree(
    found: Mapping[int, tuple[int, int]], named: Mapping[int, Names]
) -> Iterator[AssociationRow | Rejected]:
    """Every association, in the order of the numbers; told as well are those that have no name of their own.

    Such a one goes by its number and counts on its level; so does each of those that share a name. No account
    has that name: sacctmgr puts names in lower case.
    """
    told = Counter(named.values())
    for one, (parent, raw_shares) in found.items():
        name = named.get(one)
        if name and told[name] == 1:
            yield AssociationRow(one, parent, raw_shares, *name)
            continue
        yield AssociationRow(one, parent, raw_shares, f"#ID {one}")
        yield rejected(
            "|".join((str(one), *(name or ()))), "the name of this association cannot be told from others"
        )


def parse_associations(
    cluster: str, tree: Iterable[AssociationRow], usage: Mapping[int, AssociationUsage]
) -> tuple[Association, ...]:
    """The association tree with the usage of sshare, joined by id. Raises SlurmError."""
    rows = {row.id: row for row in tree}
    try:
        return tuple(_association(cluster, row, rows, usage.get(row.id)) for row in rows.values())
    except KeyError as error:
        raise SlurmError(
            f"sacctmgr told of no association {error}, and of others below it; see saf doctor"
        ) from error


def _association(
    cluster: str, row: AssociationRow, rows: Mapping[int, AssociationRow], usage: AssociationUsage | None
) -> Association:
    above = rows[row.parent_id].account if row.parent_id else None
    return Association(
        cluster=cluster,
        account=row.account,
        parent=None if row.user else above,
        user=row.user or None,
        partition=row.partition or None,
        raw_shares=row.raw_shares if usage is None or usage.raw_shares is None else usage.raw_shares,
        stored_shares=row.raw_shares,
        norm_shares=usage.norm_shares if usage else None,
        raw_usage=usage.raw_usage if usage else None,
        effectv_usage=usage.effectv_usage if usage else None,
        level_fs=usage.level_fs if usage else None,
    )


def events(lines: Iterable[str]) -> Iterator[Size | Outage | Rejected]:
    """The cluster's sizes and what its nodes' events say, from sacctmgr show event with EVENT_FIELDS."""
    return each(_event, barred_rows(EVENT_FIELDS, lines))


def _event(row: Mapping[str, str]) -> Size | Outage:
    since, until = slurm_instant(row["TimeStart"]), slurm_instant(row["TimeEnd"])
    counts = tres.canonical(row["TRES"])
    if since is None:
        raise ValueError("an event without a TimeStart")
    if not row["NodeName"]:
        return Size(since, until, counts)
    return Outage(row["NodeName"], since, until, row["State"], _with_node(counts))


def _with_node(counts: str) -> str:
    """A node's event lists its TRES without itself."""
    if "node" in tres.parse_tres(counts):
        return counts
    return tres.canonical(f"{counts},node=1" if counts else "node=1")


class Used(NamedTuple):
    """A row of sreport's tree of accounts: TRES-seconds of a whole subtree."""

    depth: int
    account: str
    tres: str
    seconds: int


def used(lines: Iterable[str]) -> Iterator[Used | Rejected]:
    """The rows of the accounts, from sreport's answer with UTILIZATION_FIELDS.

    Depth in the tree is told by leading spaces. Rows of users and readings (energy) are left out.
    """
    rows = barred_rows(UTILIZATION_FIELDS, lines)
    return each(_used, (one for one in rows if isinstance(one, Rejected) or _is_account(one)))


def _is_account(row: Mapping[str, str]) -> bool:
    return not row["Login"] and row["TresName"] != "energy"


def _used(row: Mapping[str, str]) -> Used:
    account = row["Accounts"].lstrip(" ")
    return Used(len(row["Accounts"]) - len(account), account, row["TresName"], natural("Used", row["Used"]))


def utilization(rows: Iterable[Used]) -> dict[tuple[str, str], Charge]:
    """TRES-seconds of each account's own, without what was not used. Raises SlurmError."""
    own: Counter[tuple[str, str]] = Counter()
    path: list[str] = []
    for depth, account, name, seconds in rows:
        if depth > len(path):
            raise SlurmError(f"sreport printed account {account!r} below no account it printed before")
        path[depth:] = [account]
        own[account, name] += seconds
        if depth:
            own[path[depth - 1], name] -= seconds
    return {key: seconds for key, seconds in own.items() if seconds}


def reservations(lines: Iterable[str], accounts: Mapping[str, str]) -> Iterator[Reservation | Rejected]:
    """Reservations from sacctmgr show reservation; ``accounts`` by the id of an association."""
    return each(lambda row: _reservation(row, accounts), barred_rows(RESERVATION_FIELDS, lines))


def _reservation(row: Mapping[str, str], accounts: Mapping[str, str]) -> Reservation:
    entries = (entry.partition("=") for entry in row["TRES"].split(",") if entry)
    since = slurm_instant(row["Start"])
    if since is None:
        raise ValueError("a reservation without a Start")
    return Reservation(
        number=natural("ID", row["ID"]),
        name=row["Name"],
        since=since,
        until=slurm_instant(row["End"]),
        tres=tuple((name, natural(name, count)) for name, _, count in entries if name != "node"),
        accounts=tuple(accounts.get(one, "") for one in row["Associations"].split(",") if one),
    )


def parse_priority_config(lines: Iterable[str]) -> PriorityConfig:
    """What ``scontrol show config`` says of the cluster and its priority plugin."""
    values = settings(lines)
    try:
        return PriorityConfig(
            cluster=values["ClusterName"],
            version=values["SLURM_VERSION"],
            priority_type=values["PriorityType"],
            decay_half_life_seconds=clock_seconds(values.get("PriorityDecayHalfLife", "")),
            calc_period_seconds=clock_seconds(values.get("PriorityCalcPeriod", "")),
            weight_fairshare=int(values.get("PriorityWeightFairShare", "0")),
            weight_age=int(values.get("PriorityWeightAge", "0")),
            flags=words(values.get("PriorityFlags", "")),
            enforce=words(values.get("AccountingStorageEnforce", "")),
            tres=words(values.get("AccountingStorageTRES", "")),
            private_data=words(values.get("PrivateData", "")),
            usage_reset=values.get("PriorityUsageResetPeriod", "NONE"),
            slurm_user=values.get("SlurmUser", "").partition("(")[0],
        )
    except (KeyError, ValueError) as error:
        raise SlurmError(f"scontrol show config cannot be read: {reason(error)}") from error
