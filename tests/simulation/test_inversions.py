"""Inversions beside a plain count of the same replay, and cases that can be added up by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.simulation import policies
from slurm_ai_factory.simulation.inversions import inverted_charge
from slurm_ai_factory.simulation.layout import ModelSettings
from slurm_ai_factory.simulation.replay import Replayed, replay
from slurm_ai_factory.simulation.workload import Job
from tests.simulation.built import FIFO, Ran, cluster, job, job_lists, ran, workload
from tests.simulation.test_evaluation import JANUARY, trial


def inverted(jobs: list[Job], window: str) -> float:
    """The figure where jobs start in the order in which they come."""
    one = replace(trial(workload(jobs), window), settings=ModelSettings(**FIFO))
    return inverted_charge(one, replay(one, policies.named("static:0.25", 0.25)))


def plain(jobs: list[Ran], began: int, window: int, target: float) -> int:
    """The same, job by job and second sums; in a rolling window of some hours."""
    charge = 0
    for other in jobs:
        if other.regional or other.start < 0:
            continue
        since = max(0, (began + other.start - window) // HOUR * HOUR - began)
        used = [
            one.cpus * max(0, min(one.end, other.start) - max(one.start, since))
            for one in jobs
            if one.start >= 0
        ]
        regional = [
            one.cpus * max(0, min(one.end, other.start) - max(one.start, since))
            for one in jobs
            if one.regional and one.start >= 0
        ]
        fits = any(
            one.regional and one.submit <= other.start and (one.start < 0 or one.start > other.start)
            and one.cpus <= other.cpus and one.limit <= other.limit
            for one in jobs
        )  # fmt: skip
        if fits and sum(regional) < target * sum(used):
            charge += other.cpus * other.runtime
    return charge


@given(
    job_lists(), st.sampled_from((1, 2, 5)), st.sampled_from((0.25, 0.5, 0.9)), st.sampled_from((0.0001, 0.5))
)
def test_inversions_are_those_of_a_plain_count(
    jobs: list[Job], hours: int, target: float, share: float
) -> None:
    jobs = [one._replace(submit=one.submit + JANUARY) for one in jobs]
    one = trial(workload(jobs), f"rolling:{hours}h", target)
    done = replay(one, policies.Named("static", "static", share))
    found = plain(ran(done.cluster), done.cluster.began, hours * HOUR, target)
    assert inverted_charge(one, done) == found


WAITS = [
    job("n0", JANUARY, HOUR, 4),
    job("r0", JANUARY + 120, HOUR, 2),
    job("n0", JANUARY + 60, 2 * HOUR, 4, user="b"),
    job("n0", JANUARY + 9 * HOUR, 1),
]
"""The others have all four cores for an hour, then for two more, while a regional job of two cores waits."""


@pytest.mark.parametrize(
    ("changed", "hours"),
    [
        ({}, 8),
        ({"cpus": 4}, 8),
        ({"limit": 3 * HOUR}, 0),
        ({"partition": "gpu"}, 0),
        ({"submit": JANUARY + HOUR + 31}, 0),
    ],
    ids=["it fits", "it needs all", "its limit is longer", "in another partition", "it came later"],
)
def test_a_start_is_one_where_a_regional_job_would_have_fitted(changed: dict[str, Any], hours: int) -> None:
    jobs = [*WAITS[:1], WAITS[1]._replace(**changed), *WAITS[2:]]
    assert inverted(jobs, "rolling:6h") == hours * HOUR


def test_none_is_one_while_the_region_has_its_floor() -> None:
    ahead = job("r0", JANUARY, HOUR, 4, user="b")
    jobs = [ahead, *(one._replace(submit=one.submit + HOUR) for one in WAITS[1:])]
    assert inverted(jobs, "month") == 0


def test_sides_apart_have_none() -> None:
    one = trial(workload(WAITS), "month")
    assert inverted_charge(one, replay(one, policies.own_machines(0.25))) == 0


def test_a_replay_without_starts_has_none() -> None:
    work = workload(WAITS)
    empty = Replayed(policy="nothing", cluster=cluster(work))
    assert inverted_charge(replace(trial(work, "month"), workload=work), empty) == 0
