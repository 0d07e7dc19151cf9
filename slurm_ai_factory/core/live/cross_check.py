"""Whether sacct's and squeue's answers of a cycle can be complete: the same jobs run, none is lost. Pure.

Either may answer with a part and give no error. A part of sacct looks as if runs had vanished, a part of
squeue as if no job waited. What sacct listed before as over, it lists again.
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

PART = "nothing is steered on a part of an answer; see whether slurmdbd hides or lost rows"


class OpenJob(NamedTuple):
    """A run that has not ended as far as the ledger knows."""

    job_id: int
    start_at: Instant | None
    missing: bool  #: whether the last read did not list it


class Unlisted(NamedTuple):
    """The runs that are over by an earlier read, which a whole answer about their time lists too."""

    known: int = 0
    lacking: int = 0  #: of these, how many the answer does not have
    newest_end_at: Instant | None = None  #: of the lacking ones
    jobs: tuple[int, ...] = ()  #: some of the lacking ones, the newest first

    def plus(self, other: Unlisted) -> Unlisted:
        """Of both answers together; a run that both should list counts twice."""
        ends = [end for end in (self.newest_end_at, other.newest_end_at) if end is not None]
        return Unlisted(
            self.known + other.known, self.lacking + other.lacking, max(ends, default=None),
            (*other.jobs, *self.jobs)[:NAMED_MOST],
        )  # fmt: skip

    def sentence(self, at: Instant, kept_seconds: int | None) -> str:
        """What is wrong with the answer; empty where nothing is, or where slurmdbd purged these runs.

        ``kept_seconds`` is how long slurmdbd keeps runs; None for ever.

        >>> Unlisted(9, 2, 500, (12, 11)).sentence(1000, None)
        'sacct no longer lists 2 of the 9 ended runs that it listed before, such as those of jobs 12, 11'
        >>> Unlisted(9, 2, 500, (12, 11)).sentence(1000, 500)
        ''
        """
        purged = kept_seconds is not None and (self.newest_end_at or 0) <= at - kept_seconds
        if not self.lacking or purged:
            return ""
        jobs = f"those of jobs {', '.join(map(str, self.jobs))}"
        return (
            f"sacct no longer lists {self.lacking} of the {self.known} ended runs that it listed before, "
            f"such as {jobs}"
        )


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
            f"sacct no longer lists {_named(vanished)}, which squeue says are running: {PART}",
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


def unlisted_hold(unlisted: Unlisted, at: Instant, kept_seconds: int | None) -> Hold | None:
    """Why nothing may be steered on an answer of sacct; None where it has what was listed before."""
    wrong = unlisted.sentence(at, kept_seconds)
    return Hold("answers_differ", f"{wrong}: {PART}") if wrong else None


def _named(jobs: list[int]) -> str:
    """Some job numbers, and how many more there are."""
    more = f" and {len(jobs) - NAMED_MOST} more" if len(jobs) > NAMED_MOST else ""
    return f"{', '.join(map(str, jobs[:NAMED_MOST]))}{more}"
