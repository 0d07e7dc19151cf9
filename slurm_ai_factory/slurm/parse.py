"""Parses slurmdbd's answers: runs, associations, events, reservations, sreport. Pure.

A sacct record that cannot be parsed as a run becomes a Rejected with its reason, never a run with zeros,
whatever its texts contain. Associations are identified by their numbers, which no user can forge; where a
name is ambiguous, the number stands in for it.
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
"""A number first and last, so that the end of a record is certain whatever its texts contain."""
NUMBER_FIELDS = ("ID", "ParentID", "Share")
NAMES = ("Account", "User", "Partition")
NAME_FIELDS = (*NAMES, "ID")
UTILIZATION_FIELDS = ("Used", "TresName", "Login", "Accounts")
RESERVATION_FIELDS = ("ID", "Start", "End", "Associations", "TRES", "Name")
EVENT_FIELDS = ("TimeStart", "TimeEnd", "State", "TRES", "NodeName")

ASKED_MOST = 8192
"""Associations in one question: Linux allows 128 KiB for one argument."""
_DBINDEX_MOST = 2**64 - 1


def runs(pieces: Iterable[str], separator: str) -> Iterator[Run | Rejected]:
    """The runs in sacct's output with RUN_FIELDS; no user can know ``separator``. Raises GarbledError."""
    return each(run_of_fields, records(pieces, separator, len(RUN_FIELDS)))


def run_of_fields(fields: list[str]) -> Run:
    """A record of RUN_FIELDS. Raises ValueError."""
    db_index, job_id, number, submit, eligible, start, end, elapsed, suspended = fields[:9]
    req_tres, alloc_tres, state, label, cluster, account, user, partition, qos, wckey = fields[9:19]
    value = natural("DBIndex", db_index, _DBINDEX_MOST)
    if not value:
        raise ValueError("DBIndex '0' is of no run")
    read = Run(
        db_index=value,
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
    return _consistent(_corrected(read))


def late_submits(answer: Iterable[Run | Rejected]) -> list[Run]:
    """The runs that were submitted after they started: later sizes of resized jobs, or a clock set back."""
    return [
        run
        for run in answer
        if isinstance(run, Run) and run.start_at and run.submit_at and run.submit_at > run.start_at
    ]


def resizes(answer: Iterable[Run | Rejected]) -> set[tuple[int, Instant | None]]:
    """The jobs in an answer that were resized, each with the instant."""
    return {(run.job_id, run.end_at) for run in answer if isinstance(run, Run) and run.state == "RESIZING"}


def from_own_start(run: Run | Rejected, resized: Collection[tuple[int, Instant | None]]) -> Run | Rejected:
    """The run from its own start: a later run of a resized job has the Start of the whole job.

    Such a run was submitted when an earlier run of its job ended with a resize. Its ElapsedRaw counts the
    time of the earlier sizes once more (accounting_storage_slurmdbd.c: _setup_job_start_msg; in 22.05.8, but
    not in 24.11.5 and later, where Start is the run's own). A Submit after the Start without such an earlier
    run comes from a clock that was set back, or from a fault of Slurm's: then the run stays unchanged.
    """
    if isinstance(run, Rejected) or (run.job_id, run.submit_at) not in resized:
        return run
    if run.start_at is None or run.submit_at is None or run.submit_at <= run.start_at:
        return run
    before = run.submit_at - run.start_at
    return run._replace(
        start_at=run.submit_at,
        elapsed_seconds=max(0, run.elapsed_seconds - before),
        told_start_at=run.start_at,
    )


def _corrected(run: Run) -> Run:
    """The run without a Start where it never ran, and with an End where it is over.

    22.05 sets Start to End for a job that was cancelled while it waited; later versions set none. Where the
    job was requeued just before, both lie before its Submit, and it would pass for a resized run. After a
    restart of slurmdbd a run that is over may lack its End: it ran for ElapsedRaw.
    """
    never_ran = run.end_at is not None and run.start_at == run.end_at and not run.elapsed_seconds
    if never_ran and not run.alloc_tres:
        return run._replace(start_at=None)
    if run.state in FINISHED and run.start_at is not None and run.end_at is None:
        return run._replace(end_at=run.start_at + run.elapsed_seconds)
    return run


def _consistent(run: Run) -> Run:
    """The run, or ValueError when its parts contradict each other in a way that would change a charge."""
    if run.start_at is not None and run.end_at is not None and run.end_at < run.start_at:
        raise ValueError(f"End {run.end_at} is before Start {run.start_at}")
    if run.start_at is None and run.elapsed_seconds:
        raise ValueError(f"ElapsedRaw {run.elapsed_seconds} without a Start")
    if run.start_at and run.end_at and run.elapsed_seconds > run.end_at - run.start_at + 1:
        raise ValueError(
            f"ElapsedRaw {run.elapsed_seconds} is more than the {run.end_at - run.start_at} s "
            "from Start to End"
        )
    if run.elapsed_seconds and not run.alloc_tres:
        raise ValueError(f"ElapsedRaw {run.elapsed_seconds} without AllocTRES")
    return run


def word_of(comment: str) -> str:
    """The word for saf in a job's comment: the one after ``saf:``; empty where there is none.

    >>> word_of("second try saf:flood-north, see wiki"), word_of("no word"), word_of("unsaf:x")
    ('flood-north', '', '')
    """
    if "saf:" not in comment:
        return ""
    match = re.search(r"(?<!\w)saf:([A-Za-z0-9][A-Za-z0-9_.-]{0,63})", comment)
    return match[1].rstrip(".-") if match else ""


def _reservation_of(name: str, number: str) -> str:
    """The reservation's name, or #ID where sacct leaves it out.

    slurmdbd joins a run with the reservations that began before it. Runs that waited for a reservation begin
    in the same second as it does, and have no name (as_mysql_jobacct_process.c).
    """
    return name or ("" if number in UNSET else f"#{number}")


@lru_cache(maxsize=65536)
def _subject(*parts: str) -> Subject:
    return Subject(*parts)


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

    Raises SlurmError for any odd line: users cannot put lines into an answer of numbers.
    """
    by_id = {}
    for line in lines:
        try:
            number, parent, stored = line.rstrip("\n").split("|")
            by_id[natural("ID", number)] = natural("ParentID", parent), shares(stored)
        except ValueError as error:
            raise SlurmError(f"sacctmgr printed an association that cannot be read: {error}") from error
    return by_id


def association_names(lines: Iterable[str], known: Collection[int]) -> dict[int, Names]:
    """The names, by id, of those ``known`` associations that have exactly one whole line of sacctmgr.

    Each row of an answer with NAME_FIELDS ends with its own id, whatever its names contain. Only an answer
    with as many lines as associations proves that no name has a bar or a line break in it.
    """
    rows = [line.rstrip("\n").split("|") for line in lines]
    times = Counter(row[-1] for row in rows)
    whole = (row for row in rows if row[0] and len(row) == len(NAME_FIELDS) and times[row[-1]] == 1)
    ids = {str(number): number for number in known}
    return {ids[number]: (account, user, part) for account, user, part, number in whole if number in ids}


def odd_parts(group: Sequence[int], named: Collection[int]) -> list[list[int]]:
    """A group with an odd name somewhere, divided into smaller groups: odd and other names, or two halves.

    >>> odd_parts([1, 2, 3, 4], {1, 2, 4}), odd_parts([1, 2, 3], {1, 2, 3}), odd_parts([1, 2], ())
    ([[3], [1, 2, 4]], [[1], [2, 3]], [[1], [2]])
    """
    odd = [number for number in group if number not in named]
    rest = [number for number in group if number in named]
    if not (odd and rest):
        half = len(group) // 2
        odd, rest = list(group[:half]), list(group[half:])
    return [part[at : at + ASKED_MOST] for part in (odd, rest) for at in range(0, len(part), ASKED_MOST)]


def association_tree(
    by_id: Mapping[int, tuple[int, int]], named: Mapping[int, Names]
) -> Iterator[AssociationRow | Rejected]:
    """Every association, in the order of the numbers, and a Rejected for each without a unique name.

    Such an association goes by ``#ID`` and its number, and counts on its level. No account has such a name:
    sacctmgr puts names in lower case.
    """
    times = Counter(named.values())
    for number, (parent, raw_shares) in by_id.items():
        name = named.get(number)
        if name and times[name] == 1:
            yield AssociationRow(number, parent, raw_shares, *name)
            continue
        yield AssociationRow(number, parent, raw_shares, f"#ID {number}")
        yield rejected(
            "|".join((str(number), *(name or ()))),
            "the name of this association cannot be distinguished from others",
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
            f"sacctmgr listed associations below association {error}, but not that one; see saf doctor"
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
    """The cluster's sizes and its nodes' outages, from sacctmgr show event with EVENT_FIELDS."""
    return each(_event, barred_rows(EVENT_FIELDS, lines))


def _event(row: Mapping[str, str]) -> Size | Outage:
    since, until = slurm_instant(row["TimeStart"]), slurm_instant(row["TimeEnd"])
    counts = tres.canonical(row["TRES"])
    if since is None:
        raise ValueError("an event without a TimeStart")
    if not row["NodeName"]:
        return Size(since, until, counts)
    if "node" not in tres.parse_tres(counts):  # a node's event does not count the node itself
        counts = tres.canonical(f"{counts},node=1" if counts else "node=1")
    return Outage(row["NodeName"], since, until, row["State"], counts)


class Used(NamedTuple):
    """A row of sreport's tree of accounts: TRES-seconds of a whole subtree."""

    depth: int
    account: str
    tres: str
    seconds: int


def used(lines: Iterable[str]) -> Iterator[Used | Rejected]:
    """The rows of the accounts, from sreport's answer with UTILIZATION_FIELDS.

    Leading spaces give the depth in the tree. Leaves out rows of users, and energy.
    """
    rows = barred_rows(UTILIZATION_FIELDS, lines)
    accounts = (
        row for row in rows if isinstance(row, Rejected) or (not row["Login"] and row["TresName"] != "energy")
    )
    return each(_used, accounts)


def _used(row: Mapping[str, str]) -> Used:
    account = row["Accounts"].lstrip(" ")
    return Used(len(row["Accounts"]) - len(account), account, row["TresName"], natural("Used", row["Used"]))


def utilization(rows: Iterable[Used]) -> dict[tuple[str, str], Charge]:
    """TRES-seconds of each account's own, without zeros. Raises SlurmError."""
    own: Counter[tuple[str, str]] = Counter()
    path: list[str] = []
    for depth, account, name, seconds in rows:
        if depth > len(path):
            raise SlurmError(f"sreport printed account {account!r}, but not the account above it")
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
        accounts=tuple(accounts.get(number, "") for number in row["Associations"].split(",") if number),
    )


def parse_priority_config(lines: Iterable[str]) -> PriorityConfig:
    """The cluster and its priority settings in ``scontrol show config``. Raises SlurmError."""
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
