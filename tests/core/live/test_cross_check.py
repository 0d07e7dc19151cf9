"""sacct and squeue list the same running jobs, or nothing is steered on either."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.live.cross_check import (
    ABSENT_LEAST,
    SETTLED_SECONDS,
    InQueue,
    OpenJob,
    cross_check_hold,
)

NOW = 1_800_000_000
LONG_AGO = NOW - SETTLED_SECONDS


def running(*numbers: int, start: int = LONG_AGO) -> list[OpenJob]:
    return [OpenJob(number, start, missing=False) for number in numbers]


@given(st.sets(st.integers(1, 50)), st.sets(st.integers(51, 99)))
def test_two_whole_answers_hold_nothing(jobs: set[int], others: set[int]) -> None:
    assert cross_check_hold(running(*jobs), InQueue(jobs, jobs | others), NOW) is None


def test_a_job_that_sacct_dropped_and_squeue_runs_is_a_contradiction() -> None:
    found = cross_check_hold([OpenJob(7, LONG_AGO, missing=True)], InQueue({7}, {7}), NOW)
    assert found
    assert found.reason == "answers_differ"
    assert "sacct no longer lists 7" in found.sentence


def test_a_requeued_job_has_a_newer_run_that_is_listed() -> None:
    jobs = [OpenJob(7, LONG_AGO, missing=True), OpenJob(7, NOW, missing=False)]
    assert cross_check_hold(jobs, InQueue({7}, {7}), NOW) is None


def test_a_run_that_vanished_and_no_longer_runs_is_no_contradiction() -> None:
    assert cross_check_hold([OpenJob(7, LONG_AGO, missing=True)], InQueue(set(), set()), NOW) is None


def test_a_queue_that_lists_less_than_half_of_what_runs_is_a_part() -> None:
    found = cross_check_hold(running(*range(1, 11)), InQueue({1, 2, 3, 4}, {1, 2, 3, 4}), NOW)
    assert found
    assert "squeue does not list 5, 6, 7, 8, 9 and 1 more of the 10 jobs" in found.sentence
    assert cross_check_hold(running(*range(1, 11)), InQueue({1, 2, 3, 4, 5}, {1, 2, 3, 4, 5}), NOW) is None


def test_few_jobs_and_young_ones_may_have_ended_meanwhile() -> None:
    nobody = InQueue(set(), set())
    assert cross_check_hold(running(*range(ABSENT_LEAST - 1)), nobody, NOW) is None
    assert cross_check_hold(running(*range(9), start=LONG_AGO + 1), nobody, NOW) is None
    assert cross_check_hold(running(*range(ABSENT_LEAST)), nobody, NOW)
