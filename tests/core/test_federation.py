"""Jobs of a federation: whatever becomes of the siblings, each is charged once and waits once."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.charge import delivered, waited
from slurm_ai_factory.core.federation import counted_here, needs_own_number, origin_of
from slurm_ai_factory.core.records import Rejected, Run, Subject

NOW = 1_800_000_000
CLUSTERS = (1, 2, 3)


class Job(NamedTuple):
    """A job of a federation, and what became of it."""

    number: int
    origin: int
    submitted: int
    waits: int  #: seconds until it starts, or is cancelled
    runs: int  #: seconds
    on: int  #: the cluster that runs it; 0 while it waits, -1 if it was cancelled before it started


def job_id(job: Job) -> int:
    return (job.origin << 26) + job.number


def sibling(job: Job, cluster: int, start_shown: bool) -> Run:
    """The row that sacct -D of a cluster has; 22.05 shows a Start equal to the End of some revoked ones."""
    submitted, ends = job.submitted, job.submitted + job.waits
    row = Run(
        db_index=job.number, job_id=job_id(job), job_label=str(job_id(job)),
        subject=Subject(f"c{cluster}", "umcg", "ann", "main", "normal", "", ""), state="PENDING",
        submit_at=submitted, eligible_at=submitted, start_at=None, end_at=None, elapsed_seconds=0,
        suspended_seconds=0, req_tres="cpu=4", alloc_tres="",
    )  # fmt: skip
    if job.on == cluster:
        return row._replace(
            state="COMPLETED",
            start_at=ends,
            end_at=ends + job.runs,
            elapsed_seconds=job.runs,
            alloc_tres="cpu=4",
        )
    if job.on > 0:
        return row._replace(state="REVOKED", start_at=ends if start_shown else None, end_at=ends)
    if job.on < 0:
        return row._replace(state="CANCELLED" if cluster == job.origin else "REVOKED", end_at=ends)
    return row


jobs = st.builds(
    Job,
    st.integers(1, 2**26 - 1), st.sampled_from(CLUSTERS), st.integers(NOW - 10**6, NOW - 10**5),
    st.integers(0, 10**4), st.integers(0, 10**4), st.sampled_from((-1, 0, *CLUSTERS)),
)  # fmt: skip


@given(jobs, st.booleans())
def test_a_job_is_charged_once_and_waits_once(job: Job, start_shown: bool) -> None:
    rows = {cluster: counted_here(sibling(job, cluster, start_shown), cluster) for cluster in CLUSTERS}
    runs = {cluster: row for cluster, row in rows.items() if isinstance(row, Run)}
    assert len(runs) == len(CLUSTERS)
    charged = {cluster: delivered(run, NOW)[2] for cluster, run in runs.items()}
    waiting = {cluster: waited(run, NOW)[2] for cluster, run in runs.items()}
    where = job.on if job.on > 0 else job.origin
    assert charged == {cluster: job.runs if cluster == job.on else 0 for cluster in CLUSTERS}
    passed = NOW - job.submitted if job.on == 0 else job.waits
    assert waiting == {cluster: passed if cluster == where else 0 for cluster in CLUSTERS}


@given(st.integers(1, 2**26 - 1), st.sampled_from((0, *CLUSTERS)))
def test_a_job_outside_a_federation_stays_as_it_is(number: int, own: int) -> None:
    row = sibling(Job(number, 0, NOW - 100, 50, 10, 0), 0, False)._replace(job_id=number)
    assert origin_of(number) == 0
    assert counted_here(row, own) == row
    assert not needs_own_number([row])


@pytest.mark.parametrize(
    ("origin", "on", "needed"), [(1, 0, True), (2, 0, True), (1, 1, False), (2, 1, False), (1, 2, True)]
)
def test_slurmdbd_is_asked_only_where_a_sibling_did_not_start(origin: int, on: int, needed: bool) -> None:
    assert needs_own_number([sibling(Job(7, origin, NOW - 100, 5, 5, on), 1, False)]) == needed


def test_a_line_that_cannot_be_read_stays_one() -> None:
    line = Rejected("x", "why")
    assert counted_here(line, 1) is line
    assert not needs_own_number([line])
