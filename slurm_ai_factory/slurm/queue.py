"""Parses slurmctld's answers about now: its queue (squeue), priorities (sprio), its health (sdiag). Pure.

A job that cannot be parsed becomes a Rejected with its reason; the other jobs count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from math import fsum

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.charge import array_tasks
from slurm_ai_factory.core.live.authority import PriorityTerms
from slurm_ai_factory.core.live.demand import Queued
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.core.records import Rejected, Subject
from slurm_ai_factory.errors import SlurmError, reason
from slurm_ai_factory.slurm.fields import barred_rows, clock_seconds, each, natural, records, slurm_instant

QUEUE_FIELDS = (
    "JobID", "ArrayJobID", "ArrayTaskID", "HetJobID", "PriorityLong", "EligibleTime", "TimeLimit",
    "tres-alloc", "State", "Reason", "Account", "UserName", "Partition", "QOS", "WCKey", "Reservation",
    "JobID",
)  # fmt: skip
"""A number first and last, so that the end of a record is certain whatever its names contain."""

TERM_FIELDS = ("%i", "%F", "%A", "%B", "%J", "%P", "%Q", "%S", "%T", "%N", "%r")
"""Job; weighted fairshare, age, association, size, partition, QOS, site and TRES; nice; partition."""

_TERM_MOST = 2**64
_NONE = frozenset({"", "N/A", "(null)"})
_NO_LIMIT = frozenset({"UNLIMITED", "NOT_SET", "Partition_Limit", "INVALID", "N/A"})


def queue_format(separator: str) -> str:
    """squeue's format. A colon without a width prints the whole field, followed by the separator."""
    return f":{separator},".join(QUEUE_FIELDS) + ":"


def parse_queue(cluster: str, pieces: Iterable[str], separator: str) -> Iterator[Queued | Rejected]:
    """The jobs in squeue's output in ``queue_format``. Raises GarbledError."""
    return each(lambda fields: _queued(cluster, fields), records(pieces, separator, len(QUEUE_FIELDS)))


def _queued(cluster: str, fields: list[str]) -> Queued:
    job_id, array_id, array, het_id, priority, eligible, limit, counts, state, reason = fields[:10]
    account, user, partition, qos, wckey, reservation = fields[10:16]
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
        eligible_at=None if eligible in _NONE else slurm_instant(eligible),
        limit_seconds=None if limit in _NO_LIMIT else clock_seconds(limit),
        tres="" if counts in _NONE else tres.canonical(counts),
    )


def _named(text: str) -> str:
    return "" if text in _NONE else text


def terms(lines: Iterable[str]) -> Iterator[PriorityTerms | Rejected]:
    """The priority terms in sprio's output with TERM_FIELDS, one entry per job and partition."""
    return each(_terms, barred_rows(TERM_FIELDS, lines))


def _terms(row: Mapping[str, str]) -> PriorityTerms:
    job_id, fairshare, *others, by_tres, nice, partition = row.values()
    weighed = [_number(text) for text in others]
    weighed += [_number(entry.partition("=")[2]) for entry in by_tres.split(",") if entry]
    return PriorityTerms(natural("job", job_id), partition, _number(fairshare), fsum(weighed) - _number(nice))


def _number(text: str) -> float:
    value = float(text or 0)
    if not abs(value) < _TERM_MOST:
        raise ValueError(f"{text!r} is no number below 2^64")
    return value


FIGURES_END = "Latency for 1000 calls to gettimeofday()"
"""The line that every version of sdiag prints after all the figures that are read here."""


def parse_diagnostics(lines: Iterable[str]) -> Diagnostics:
    """The figures of sdiag's output. Raises SlurmError. Indented lines belong to the section above them."""
    figures: dict[tuple[str, str], str] = {}
    section = ""
    for line in lines:
        name, _, value = line.partition(":")
        if line.startswith("sdiag output at"):
            figures.setdefault(("", "at"), line)
        elif line.startswith("\t"):
            figures.setdefault((section, name.strip()), value.strip())
        elif name.strip():
            section = name.strip()
            figures.setdefault(("", section), value.strip())
    if ("", FIGURES_END) not in figures:  # a figure that was cut off would pass for unknown
        raise SlurmError(
            f"sdiag's answer ends before {FIGURES_END!r}; nothing of it was used: run sdiag by hand"
        )
    try:
        return _diagnostics(figures, "Backfilling stats")
    except (KeyError, ValueError) as error:
        raise SlurmError(f"sdiag's answer cannot be read: {reason(error)}") from error


def _diagnostics(figures: Mapping[tuple[str, str], str], backfill: str) -> Diagnostics:
    at = _epoch(figures["", "at"])
    if at is None:
        raise ValueError("it has no time")
    return Diagnostics(
        at=at,
        agent_queue=natural("DBD Agent queue size", figures["", "DBD Agent queue size"]),
        backfill_last_at=_epoch(figures.get((backfill, "Last cycle when"), "")),
        backfill_depth=_count(figures.get((backfill, "Last depth cycle"))),
        backfill_queue=_count(figures.get((backfill, "Last queue length"))),
    )


def _epoch(text: str) -> int | None:
    """The epoch seconds that sdiag prints in brackets after a time."""
    match = re.search(r"\((\d+)\)\s*$", text)
    return slurm_instant(match[1]) if match else None


def _count(text: str | None) -> int | None:
    return None if text is None else natural("a count", text)
