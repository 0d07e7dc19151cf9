"""The synthetic workloads: what each side asks for, and that a seed gives the same jobs again."""

from __future__ import annotations

import numpy as np
import pytest

from slurm_ai_factory.core.records import DAY, HOUR
from slurm_ai_factory.simulation import scenarios
from slurm_ai_factory.simulation.scenarios import BEGIN, SCENARIOS
from slurm_ai_factory.simulation.workload import Workload


def asked(work: Workload, regional: bool, since: float, until: float) -> float:
    """Core-seconds that a side asks for in a span of days."""
    side = np.array([(account in scenarios.REGIONAL) is regional for account, _ in work.users])[work.user]
    day = (work.submit - BEGIN) / DAY
    chosen = side & (since <= day) & (day < until)
    return float((work.runtime * work.counts[:, 0])[chosen].sum())


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_side_asks_for_what_the_scenario_says(name: str) -> None:
    work, one = scenarios.scenario(name, 1)
    for regional, load in ((True, one.regional), (False, one.others)):
        wanted = sum(max(0.0, load(hour / 24)) for hour in range(24 * one.days)) * one.cores * HOUR
        assert asked(work, regional, 0, one.days) == pytest.approx(wanted, rel=0.15)


@pytest.mark.parametrize("name", SCENARIOS)
def test_jobs_are_possible(name: str) -> None:
    work, one = scenarios.scenario(name, 2)
    assert (work.submit[1:] >= work.submit[:-1]).all()
    assert work.submit[0] >= BEGIN
    assert work.submit[-1] < BEGIN + one.days * DAY
    assert (work.limit >= work.runtime).all()
    assert work.runtime.min() >= 60
    assert set(work.counts[:, 0].tolist()) <= set(one.widths)
    assert work.backlog == one.backlog
    assert {account for account, _ in work.users} == {*scenarios.REGIONAL, *scenarios.OTHERS}


def test_in_a_holiday_the_others_are_away_and_in_a_burst_the_region_is() -> None:
    holiday, burst = scenarios.scenario("holiday", 1)[0], scenarios.scenario("burst", 1)[0]
    assert asked(holiday, False, 45, 60) < 0.4 * asked(holiday, False, 30, 45)
    assert asked(burst, True, 12, 24) == 0 < asked(burst, True, 24, 36)


def test_a_seed_gives_the_same_jobs_and_another_seed_others() -> None:
    first, again, other = (scenarios.scenario("late", seed)[0] for seed in (7, 7, 8))
    assert np.array_equal(first.submit, again.submit)
    assert np.array_equal(first.counts, again.counts)
    assert len(first) != len(other) or not np.array_equal(first.submit, other.submit)


def test_there_are_no_other_scenarios() -> None:
    with pytest.raises(KeyError):
        scenarios.scenario("weekend", 1)
