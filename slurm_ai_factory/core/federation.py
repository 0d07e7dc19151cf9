"""Where a job of a federation counts, so that neither its charge nor its waiting counts twice. Pure.

A job of a federation has a sibling on each cluster that may run it, all with one number, whose bits 26 to 31
are the number of the cluster that it was submitted to, its origin (https://slurm.schedmd.com/federation.html).
When one sibling starts, the others are revoked, on the origin too: `sacct -D` lists them as REVOKED, eligible
since the job was and with an End, although no sibling of that cluster ran.

The rule: a job is charged to the cluster that runs it and waits there, until it starts on its origin alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from slurm_ai_factory.core.records import Rejected, Run

LOCAL_BITS = 26
"""Of a job's number; above them is the number of its origin, 0 outside a federation."""

REVOKED = "REVOKED"


def origin_of(job_id: int) -> int:
    """The number in its federation of the cluster that the job was submitted to; 0 outside one.

    >>> origin_of(67108865), origin_of(134217729), origin_of(67108863)
    (1, 2, 0)
    """
    return job_id >> LOCAL_BITS


def is_unstarted_sibling(run: Run | Rejected) -> bool:
    """Whether the run is of a federation and did not start, so that it may wait elsewhere."""
    return isinstance(run, Run) and run.start_at is None and bool(origin_of(run.job_id))


def counted_here(run: Run | Rejected, own: int) -> Run | Rejected:
    """The run as it counts on the cluster with this number in its federation."""
    if isinstance(run, Rejected):
        return run
    if run.state == REVOKED:
        return run._replace(
            eligible_at=None, start_at=None, elapsed_seconds=0, suspended_seconds=0, alloc_tres=""
        )
    if is_unstarted_sibling(run) and origin_of(run.job_id) != own:
        return run._replace(eligible_at=None)
    return run


def needs_own_number(runs: Iterable[Run | Rejected]) -> bool:
    """Whether it matters which number the cluster has in its federation."""
    return any(is_unstarted_sibling(run) for run in runs)
