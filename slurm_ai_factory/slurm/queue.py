"""What slurmctld says of now, to values: its queue (squeue), priorities (sprio) and itself (sdiag).

As with everything the controller steers by, a line that cannot be read raises SlurmError: it is not left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from math import fsum, isfinite
from typing import TypeVar

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.authority import Terms
from slurm_ai_factory.core.charge import array_tasks
from slurm_ai_factory.core.demand import Queued
from slurm_ai_factory.core.health import Diagnostics
from slurm_ai_factory.core.records import Subject
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm.fields import clock_seconds, instant, natural
from slurm_ai_factory.slurm.parse import SEPARATOR

QUEUE_FIELDS = (
    "JobID", "ArrayJobID", "ArrayTaskID", "HetJobID", "Account", "UserName", "Partition", "QOS", "WCKey",
    "Reservation", "State", "Reason", "PriorityLong", "EligibleTime", "TimeLimit", "tres-alloc",
)  # fmt: skip
QUEUE_FORMAT = ",".join(f"{name}:{SEPARATOR}" for name in QUEUE_FIELDS)
"""A colon and no width: as much as there is, and behind it the delimiter."""

TERM_FORMAT = SEPARATOR.join(("%i", "%r", "%F", "%A", "%B", "%J", "%P", "%Q", "%S", "%T", "%N"))
"""Job and partition; weighted fairshare, age, association, size, partition, QOS, site and TRES; nice."""

_NONE = frozenset({"", "N/A", "(null)"})
_NO_LIMIT = frozenset({"UNLIMITED", "NOT_SET", "Partition_Limit", "INVALID", "N/A"})
_Row = TypeVar("_Row")


def queue(cluster: str, lines: Iterable[str]) -> list[Queued]:
    """The rows of squeue printed with QUEUE_FORMAT."""
    return [_read("squeue", lambda fields: _queued(cluster, fields), line) for line in lines]


def terms(lines: Iterable[str]) -> list[Terms]:
    """The rows of sprio printed with TERM_FORMAT."""
    return [_read("sprio", _terms, line) for line in lines]


def _read(name: str, read: Callable[[list[str]], _Row], line: str) -> _Row:
    try:
        return read(line.rstrip("\n").split(SEPARATOR))
    except ValueError as error:
        raise SlurmError(f"{name} printed a line that cannot be read: {error}; it was {line!r}") from error


def _queued(cluster: str, fields: list[str]) -> Queued:
    if len(fields) != len(QUEUE_FIELDS) + 1 or fields.pop():
        raise ValueError(f"{len(fields)} fields instead of {len(QUEUE_FIELDS)}")
    job_id, array_id, array, het_id, account, user, partition, qos, wckey, reservation = fields[:10]
    state, reason, priority, eligible, limit, counts = fields[10:]
    tasks, task_limit = (1, None) if array in _NONE else array_tasks(array)
    if not (tasks and state and partition):
        raise ValueError("a job without tasks, state or partition")
    return Queued(
        job_id=natural("JobID", job_id),
        array_id=None if array in _NONE else natural("ArrayJobID", array_id),
        tasks=tasks,
        task_limit=task_limit,
        het_id=None if het_id in _NONE | {"0"} else natural("HetJobID", het_id),
        subject=Subject(cluster, account, user, partition, qos, _named(wckey), _named(reservation)),
        state=state,
        reason=reason,
        priority=natural("PriorityLong", priority),
        eligible_at=None if eligible in _NONE else instant(eligible),
        limit_seconds=None if limit in _NO_LIMIT else clock_seconds(limit),
        tres="" if counts in _NONE else tres.canonical(counts),
    )


def _named(text: str) -> str:
    return "" if text in _NONE else text


def _terms(fields: list[str]) -> Terms:
    if len(fields) != TERM_FORMAT.count(SEPARATOR) + 1:
        raise ValueError(f"{len(fields)} fields instead of {TERM_FORMAT.count(SEPARATOR) + 1}")
    job_id, partition, fairshare, *others, by_tres, nice = fields
    weighed = [_number(one) for one in others]
    weighed += [_number(entry.partition("=")[2]) for entry in by_tres.split(",") if entry]
    return Terms(natural("job", job_id), partition, _number(fairshare), fsum(weighed) - _number(nice))


def _number(text: str) -> float:
    value = float(text or 0)
    if not isfinite(value):
        raise ValueError(f"{text!r} is no number")
    return value


def diagnostics(lines: Iterable[str]) -> Diagnostics:
    """What sdiag prints: what is indented belongs to the line above it that is not."""
    found: dict[tuple[str, str], str] = {}
    section = ""
    for line in lines:
        name, _, value = line.partition(":")
        if line.startswith("sdiag output at"):
            found["", "at"] = line
        elif line.startswith("\t"):
            found.setdefault((section, name.strip()), value.strip())
        elif name.strip():
            section = name.strip()
            found.setdefault(("", section), value.strip())
    try:
        return _diagnostics(found, "Backfilling stats")
    except (KeyError, ValueError) as error:
        raise SlurmError(f"sdiag's answer cannot be read: {error!r}") from error


def _diagnostics(found: Mapping[tuple[str, str], str], backfill: str) -> Diagnostics:
    at = _epoch(found["", "at"])
    if at is None:
        raise ValueError("it has no time")
    return Diagnostics(
        at=at,
        agent_queue=natural("DBD Agent queue size", found["", "DBD Agent queue size"]),
        backfill_last_at=_epoch(found.get((backfill, "Last cycle when"), "")),
        backfill_depth=_count(found.get((backfill, "Last depth cycle"))),
        backfill_queue=_count(found.get((backfill, "Last queue length"))),
    )


def _epoch(text: str) -> int | None:
    """The epoch seconds that sdiag puts behind a time."""
    match = re.search(r"\((\d+)\)\s*$", text)
    return instant(match[1]) if match else None


def _count(text: str | None) -> int | None:
    return None if text is None else natural("a count", text)
