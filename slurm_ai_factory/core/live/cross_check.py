"""Whether the answers of sacct and squeue in one cycle can both be complete: the same jobs run. Pure.

Either may answer with a part and give no error. A part of sacct looks as if runs had vanished, a part of
squeue as if no job waited.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from slurm_ai_factory.core.records import Hold, Instant

SETTLED_SECONDS = 300
"""A job that began so long ago is in both answers, unless it ended between them."""

ABSENT_LEAST = 3
ABSENT_PART = 0.5
"""Of the jobs that run according to sacct, at least this many and more than this part must be absent from
squeue; fewer may have ended meanwhile."""

NAMED_MOST = 5


class OpenJob(NamedTuple):
    """A run that has not ended as far as the ledger knows."""

    job_id: int
    start_at: Instant | None
    missing: bool  #: whether the last read did not list it


class InQueue(NamedTuple):
    """The jobs that squeue lists."""

    running: Collection[int]
    all: Collection[int]


def cross_check_hold(open_jobs: Iterable[OpenJob], queue: InQueue, at: Instant) -> Hold | None:
    """Why nothing may be steered on these two answers; None where both can be complete.

    >>> jobs = [OpenJob(number, 0, False) for number in range(8)]
    >>> cross_check_hold(jobs, InQueue({6, 7}, {6, 7}), 1000).sentence.partition(": ")[0]
    'squeue does not list 0, 1, 2, 3, 4 and 1 more of the 8 jobs that sacct has running'
    >>> cross_check_hold(jobs, InQueue({4, 5, 6, 7}, {4, 5, 6, 7}), 1000) is None
    True
    """
    jobs = list(open_jobs)
    unlisted = {job.job_id for job in jobs if job.missing} - {job.job_id for job in jobs if not job.missing}
    if vanished := sorted(unlisted & set(queue.running)):
        return Hold(
            "answers_differ",
            f"sacct no longer lists {_named(vanished)}, which squeue says are running: nothing is steered "
            "on a part of an answer; see whether slurmdbd hides or lost rows",
        )
    running = {
        job.job_id for job in jobs if job.start_at is not None and job.start_at <= at - SETTLED_SECONDS
    } - unlisted
    absent = sorted(running - set(queue.all))
    if len(absent) < ABSENT_LEAST or len(absent) <= ABSENT_PART * len(running):
        return None
    return Hold(
        "answers_differ",
        f"squeue does not list {_named(absent)} of the {len(running)} jobs that sacct has running: nothing "
        "is steered on a part of an answer; see `squeue -a` and `sacctmgr show runawayjobs`",
    )


def _named(jobs: list[int]) -> str:
    """Some job numbers, and how many more there are."""
    more = f" and {len(jobs) - NAMED_MOST} more" if len(jobs) > NAMED_MOST else ""
    return f"{', '.join(map(str, jobs[:NAMED_MOST]))}{more}"
