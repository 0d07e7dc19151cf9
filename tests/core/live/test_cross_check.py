"""sacct and squeue list the same running jobs, or nothing is steered on either."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.live.cross_check import (
    ABSENT_LEAST,
    SETTLED_SECONDS,
    InQueue,
    OpenJob,
    Unlisted,
    cross_check_hold,
    unlisted_hold,
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


def test_half_an_answer_of_sacct_holds() -> None:
    found = unlisted_hold(Unlisted(9, 4, NOW - 60, (12, 11)), NOW, None)
    assert found
    assert found.reason == "answers_differ"
    assert found.sentence.startswith("sacct no longer lists 4 of the 9 ended runs that it listed before")
    assert unlisted_hold(Unlisted(9), NOW, None) is None


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_what_slurmdbd_purged_is_not_lacking(age: int, kept: int) -> None:
    found = unlisted_hold(Unlisted(1, 1, NOW - age, (7,)), NOW, kept)
    assert (found is None) == (age >= kept)


def test_two_answers_together_lack_what_either_lacks() -> None:
    early, late = Unlisted(3, 1, 500, (1,)), Unlisted(4, 2, 900, (9, 8))
    assert early.plus(late) == Unlisted(7, 3, 900, (9, 8, 1))
    assert Unlisted().plus(early) == early
