"""The charge of a run: the seconds it ran, put into the hours in which it ran.

The rule: the seconds of all hours add up to ``elapsed_seconds`` exactly, whatever the cut. sacct reports how
long a run was suspended but not when, so suspended time is spread evenly over the run's whole span, by one
cumulative function that every cut uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from slurm_ai_factory.core.records import DAY, HOUR, Instant, Rejected, Run

ARRAY_MOST = 2**32
"""Tasks; MaxArraySize is at most 4,000,001."""


def hour_of(at: Instant) -> Instant:
    """The whole hour an instant lies in.

    >>> hour_of(7201)
    7200
    """
    return at - at % HOUR


def day_of(at: Instant) -> Instant:
    """The whole day, in UTC, that an instant lies in.

    >>> day_of(90000)
    86400
    """
    return at - at % DAY


def spread(start: Instant, end: Instant, seconds: int, at: Instant) -> int:
    """Of ``seconds`` spread evenly over [start, end): how many lie before ``at``.

    >>> [spread(0, 100, 50, at) for at in (-1, 0, 1, 2, 99, 100, 200)]
    [0, 0, 0, 1, 49, 50, 50]
    """
    if at <= start:
        return 0
    return seconds if at >= end else (at - start) * seconds // (end - start)


def seconds_by_hour(start: Instant, end: Instant, seconds: int) -> Iterator[tuple[Instant, int]]:
    """(hour, seconds in that hour) for each hour in which something lies.

    >>> list(seconds_by_hour(3590, 7210, 3620))
    [(0, 10), (3600, 3600), (7200, 10)]
    >>> list(seconds_by_hour(3600, 3600, 5))
    [(3600, 5)]
    """
    before = 0
    for hour in range(hour_of(start), max(end, start + 1), HOUR):
        upto = seconds if hour + HOUR >= end else spread(start, end, seconds, hour + HOUR)
        if upto > before:
            yield hour, upto - before
        before = upto


def elapsed(run: Run, as_of: Instant) -> int:
    """Seconds the run was charged up to ``as_of``, the instant at which Slurm last listed it.

    An ended run has the seconds of Slurm's accounting. A running one is counted up to ``as_of``; one that is
    suspended keeps the seconds it had.
    """
    if run.start_at is None:
        return 0
    if run.end_at is not None or run.state == "SUSPENDED":
        return run.elapsed_seconds
    return max(0, as_of - run.start_at - run.suspended_seconds)


def chargeable(run: Run | Rejected, as_of: Instant) -> Run | Rejected:
    """The run, or a rejected line: it ends in the future, or ran longer than the time since its start.

    A day is allowed for the time that a read takes and for clocks that differ.
    """
    if isinstance(run, Rejected) or run.start_at is None:
        return run
    row = f"DBIndex {run.db_index}, job {run.job_id}, {run.state}, Start {run.start_at}"
    if run.end_at is not None:
        late = run.end_at > as_of + DAY
        return Rejected(f"{row}, End {run.end_at}", "End is in the future") if late else run
    if run.elapsed_seconds <= as_of - run.start_at + DAY:
        return run
    return Rejected(row, "ElapsedRaw is more than the time since Start")


def delivered(run: Run, as_of: Instant) -> tuple[Instant, Instant, int]:
    """The span in which the run was delivered, and its seconds: (start, end, seconds); 0 if it never ran."""
    start, end = run.start_at, run.end_at
    if start is None:
        return 0, 0, 0
    return start, max(as_of if end is None else end, start), elapsed(run, as_of)


def waited(run: Run, as_of: Instant) -> tuple[Instant, Instant, int]:
    """The span in which the run could have started and did not, from eligible to start, end or ``as_of``."""
    if run.eligible_at is None:
        return 0, 0, 0
    end = as_of if run.end_at is None else run.end_at
    if run.start_at is not None:
        end = run.start_at if run.end_at is None else min(run.start_at, end)
    end = max(run.eligible_at, end)
    return run.eligible_at, end, end - run.eligible_at


def wanted_tres(run: Run) -> str:
    """The TRES a run waited for: AllocTRES if it started (ReqTRES understates --exclusive), else ReqTRES."""
    return run.alloc_tres if run.start_at is not None and run.alloc_tres else run.req_tres


def tasks(label: str) -> int:
    """The tasks of a waiting run: those of an array that may run at once, else 1.

    sacct lists the waiting tasks of an array in one row, with the request of one task. It cuts off a long
    list: the missing tasks are not counted until they start. More tasks than an array can have count as 1.

    >>> [tasks(label) for label in ("7", "7_3", "7_[1-9]", "7_[1-4,8,10-20:2%3]", "7_[5-10:2,...]")]
    [1, 1, 9, 3, 3]
    """
    listed = re.fullmatch(r"\d+_\[([^\]]*)\]?", label) if "[" in label else None
    if not listed:
        return 1
    try:
        count, limit = array_tasks(listed[1])
    except ValueError:
        return 1
    return max(1, count if limit is None else min(count, limit))


def waiting_tasks(run: Run) -> int:
    """The tasks that wait, or waited, as this run: a task that started has a row of its own."""
    return tasks(run.job_label) if run.start_at is None else 1


def array_tasks(text: str) -> tuple[int, int | None]:
    """(tasks in an array's expression, how many of them may run at once or None).

    Raises ValueError for more tasks than an array can have.

    >>> array_tasks("1-4,8,10-20:2%3"), array_tasks("7"), array_tasks("")
    ((11, 3), (1, None), (0, None))
    """
    listed, _, limit = text.partition("%")
    count = 0
    for first, last, step in re.findall(r"(\d+)(?:-(\d+)(?::(\d+))?)?", listed):
        count += max(0, int(last or first) - int(first)) // max(1, int(step or 1)) + 1
    if count > ARRAY_MOST:
        raise ValueError(f"an array of {count} tasks")
    return count, int(limit) if limit.isdigit() and limit.isascii() else None
