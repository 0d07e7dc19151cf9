"""Slurm's text to values: pure, one line at a time.

Fields are asked for by name and separated by the unit separator, which no Slurm name can hold. A line of
sacct that does not read as a run becomes a Rejected with its reason, never a run with zeros. Answers the
controller steers by (associations, shares) have no such leave: one bad line there raises SlurmError.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.records import (
    Association,
    Charge,
    Outage,
    PriorityConfig,
    Rejected,
    Reservation,
    Run,
    Size,
    Subject,
)
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm.fields import UNSET, clock_seconds, instant, natural, table, words
from slurm_ai_factory.slurm.shares import Key, Usage, shares

SEPARATOR = "\x1f"
RUN_FIELDS = (
    "Cluster", "DBIndex", "JobIDRaw", "JobID", "Account", "User", "Partition", "QOS", "WCKey", "Reservation",
    "ReservationId", "State", "Submit", "Eligible", "Start", "End", "ElapsedRaw", "Suspended", "ReqTRES",
    "AllocTRES", "Comment",
)  # fmt: skip
"""The comment is last: it is any text of the user's, and may go on over several lines."""
ASSOCIATION_FIELDS = ("Cluster", "Account", "User", "Partition", "Share", "ParentName")
UTILIZATION_FIELDS = ("Accounts", "Login", "TresName", "Used")
RESERVATION_FIELDS = ("ID", "Name", "Associations", "Start", "End", "TRES")
ACCOUNT_ID_FIELDS = ("ID", "Account")
EVENT_FIELDS = ("Cluster", "NodeName", "TimeStart", "TimeEnd", "State", "TRES")

_DBINDEX_LIMIT = 2**64

Row = dict[str, str]
"""An association by ASSOCIATION_FIELDS."""


def runs(lines: Iterable[str], separator: str) -> Iterator[Run | Rejected]:
    """What sacct printed with RUN_FIELDS; lines that go on with a run's comment are passed over.

    ``separator`` must be one that no user can have put into a comment.
    """
    comment = False
    for line in lines:
        if comment and separator not in line:
            continue
        comment = not line.endswith(f"{separator}\n")
        yield run(line, separator)


def run(line: str, separator: str = SEPARATOR) -> Run | Rejected:
    """A line of sacct with RUN_FIELDS."""
    fields = line.rstrip("\n").split(separator)
    try:
        return _run(fields)
    except ValueError as error:
        return Rejected(line.rstrip("\n"), str(error))


def _run(fields: list[str]) -> Run:
    if len(fields) != len(RUN_FIELDS):
        raise ValueError(f"{len(fields)} fields instead of {len(RUN_FIELDS)}")
    cluster, db_index, job_id, label, account, user, partition, qos, wckey, *reservation = fields[:11]
    state, submit, eligible, start, end, elapsed, suspended, req_tres, alloc_tres, comment = fields[11:]
    one = Run(
        db_index=_db_index(db_index),
        job_id=natural("JobIDRaw", job_id),
        job_label=label,
        subject=_subject(
            cluster, account, user, partition, qos, wckey, _reservation_of(*reservation), word_of(comment)
        ),
        state=_state(state),
        submit_at=instant(submit),
        eligible_at=instant(eligible),
        start_at=instant(start),
        end_at=instant(end),
        elapsed_seconds=natural("ElapsedRaw", elapsed),
        suspended_seconds=clock_seconds(suspended),
        req_tres=tres.canonical(req_tres),
        alloc_tres=tres.canonical(alloc_tres),
        energy_joules=tres.energy(alloc_tres),
    )
    return _consistent(_from_own_start(_without_false_start(one)))


def _from_own_start(one: Run) -> Run:
    """The run from where it began itself: the later runs of a resized job have the job's own Start.

    What tells them is a Submit, which is the time of the resize, after the Start. ElapsedRaw counts the time
    of the earlier sizes once more (accounting_storage_slurmdbd.c: _setup_job_start_msg; seen in 22.05.8, and
    not in 24.11.5 and later, where Start is the run's own).
    """
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


def _consistent(one: Run) -> Run:
    """The run, or ValueError when its parts contradict each other in a way that would change a charge."""
    if one.start_at is not None and one.end_at is not None and one.end_at < one.start_at:
        raise ValueError(f"End {one.end_at} is before Start {one.start_at}")
    if one.start_at is None and one.elapsed_seconds:
        raise ValueError(f"ElapsedRaw {one.elapsed_seconds} without a Start")
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
    value = natural("DBIndex", text)
    if not 0 < value < _DBINDEX_LIMIT:
        raise ValueError(f"DBIndex {text!r} is not an unsigned 64-bit number")
    return value


@lru_cache(maxsize=4096)
def _state(text: str) -> str:
    """The base word: ``CANCELLED by 123`` and ``CANCELLED+`` are CANCELLED."""
    word = text.split(" ")[0].rstrip("+")
    if not word:
        raise ValueError("no State")
    return word


def tree(lines: Iterable[str]) -> list[Row]:
    """The rows of sacctmgr printed with ASSOCIATION_FIELDS."""
    return list(table("sacctmgr", ASSOCIATION_FIELDS, lines))


def associations(tree: Iterable[Row], usage: Mapping[Key, Usage]) -> tuple[Association, ...]:
    """The association tree with the usage of sshare, joined on (account, user, partition)."""
    return tuple(
        _association(row, usage.get((row["Account"], row["User"], row["Partition"]))) for row in tree
    )


def _association(row: Mapping[str, str], usage: Usage | None) -> Association:
    try:
        stored = shares(row["Share"])
    except ValueError as error:
        raise SlurmError(f"an association of account {row['Account']} cannot be read: {error}") from error
    return Association(
        cluster=row["Cluster"],
        account=row["Account"],
        parent=row["ParentName"] or None,
        user=row["User"] or None,
        partition=row["Partition"] or None,
        raw_shares=stored if usage is None or usage.raw_shares is None else usage.raw_shares,
        stored_shares=stored,
        norm_shares=usage.norm_shares if usage else None,
        raw_usage=usage.raw_usage if usage else None,
        effectv_usage=usage.effectv_usage if usage else None,
        level_fs=usage.level_fs if usage else None,
    )


def events(lines: Iterable[str]) -> tuple[list[Size], list[Outage]]:
    """The cluster's sizes and its nodes' outages, from sacctmgr show event."""
    sizes, outages = [], []
    for row in table("sacctmgr", EVENT_FIELDS, lines):
        try:
            since, until = natural("TimeStart", row["TimeStart"]), instant(row["TimeEnd"])
            counts = tres.canonical(row["TRES"])
        except ValueError as error:
            raise SlurmError(f"a cluster event cannot be read: {error} in {row}") from error
        if row["NodeName"]:
            outages.append(Outage(row["NodeName"], since, until, row["State"], _with_node(counts)))
        else:
            sizes.append(Size(since, until, counts))
    return sizes, outages


def _with_node(counts: str) -> str:
    """A node's event lists its TRES without itself."""
    if "node" in tres.parse(counts):
        return counts
    return tres.canonical(f"{counts},node=1" if counts else "node=1")


def utilization(lines: Iterable[str]) -> dict[tuple[str, str], Charge]:
    """TRES-seconds of each account's own, from sreport's tree of accounts, whose rows are sums of subtrees.

    Depth in the tree is told by leading spaces. Readings (energy) and what was not used are left out.
    """
    own: Counter[tuple[str, str]] = Counter()
    path: list[str] = []
    for row in table("sreport", UTILIZATION_FIELDS, lines):
        account = row["Accounts"].lstrip(" ")
        depth = len(row["Accounts"]) - len(account)
        if row["Login"] or row["TresName"] == "energy":
            continue
        if depth > len(path):
            raise SlurmError(f"sreport printed account {account} below no account it printed before")
        path[depth:] = [account]
        used = _used(row)
        own[account, row["TresName"]] += used
        if depth:
            own[path[depth - 1], row["TresName"]] -= used
    return {key: used for key, used in own.items() if used}


def _used(row: Mapping[str, str]) -> int:
    try:
        return natural("Used", row["Used"])
    except ValueError as error:
        raise SlurmError(f"sreport's usage of account {row['Accounts']} cannot be read: {error}") from error


def account_ids(lines: Iterable[str]) -> dict[str, str]:
    """The account of each association, by its id."""
    return {row["ID"]: row["Account"] for row in table("sacctmgr", ACCOUNT_ID_FIELDS, lines)}


def reservations(lines: Iterable[str], accounts: Mapping[str, str]) -> list[Reservation]:
    """Reservations from sacctmgr show reservation; ``accounts`` by the id of an association."""
    return [_reservation(row, accounts) for row in table("sacctmgr", RESERVATION_FIELDS, lines)]


def _reservation(row: Mapping[str, str], accounts: Mapping[str, str]) -> Reservation:
    try:
        entries = (entry.partition("=") for entry in row["TRES"].split(",") if entry)
        return Reservation(
            number=natural("ID", row["ID"]),
            name=row["Name"],
            since=natural("TimeStart", row["Start"]),
            until=instant(row["End"]),
            tres=tuple((name, natural(name, count)) for name, _, count in entries if name != "node"),
            accounts=tuple(accounts.get(one, "") for one in row["Associations"].split(",") if one),
        )
    except ValueError as error:
        raise SlurmError(f"reservation {row['Name']} cannot be read: {error}") from error


def priority_config(lines: Iterable[str]) -> PriorityConfig:
    """What ``scontrol show config`` says of the cluster and its priority plugin."""
    pairs = (line.partition("=") for line in lines)
    values = {key.strip(): value.strip() for key, equals, value in pairs if equals}
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
        raise SlurmError(f"scontrol show config cannot be read: {error!r}") from error
