"""The region's accounts beside all others under root: the law holds the floor there, too."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from slurm_ai_factory.core.control.controller import Policy
from slurm_ai_factory.core.records import DAY
from slurm_ai_factory.simulation import policies, scenarios
from slurm_ai_factory.simulation.evaluation import PolicyResult, evaluate
from slurm_ai_factory.simulation.layout import REGION, ModelSettings, one_pool
from slurm_ai_factory.simulation.replay import Replayed, Trial, promise_of, replay
from slurm_ai_factory.simulation.workload import Workload

TARGET, MARGIN = 0.25, 0.01


def lived(name: str, policy: str = "floor") -> tuple[Replayed, PolicyResult]:
    """A hundred and twenty days of a scenario, judged by windows of thirty."""
    scenario = replace(scenarios.SCENARIOS[name], days=120)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenarios, "SCENARIOS", {name: scenario})
        work, _ = scenarios.scenario(name, seed=1)
    return judged(work, scenarios.REGIONAL, scenario.cores, policy)


def judged(
    work: Workload, regional: frozenset[str], cores: int, policy: str = "floor"
) -> tuple[Replayed, PolicyResult]:
    trial = Trial(
        workload=work, regional=frozenset(user for user in work.users if user[0] in regional),
        layout=one_pool(work, "cpu", cores), settings=ModelSettings(),
        promise=promise_of(TARGET, MARGIN, "cpu"), window="rolling:30d", zone=ZoneInfo("UTC"), siblings=True,
        control=Policy(account=REGION, target_share=TARGET, half_life_seconds=7 * DAY, period_seconds=1800),
    )  # fmt: skip
    replayed = replay(trial, policies.named(policy, TARGET))
    return replayed, evaluate(trial, replayed)


def test_while_all_want_more_than_there_is_the_region_gets_the_goal() -> None:
    replayed, found = lived("saturated")
    assert found.delivered_share == pytest.approx(TARGET + MARGIN, abs=0.015)
    assert found.violation_ratio == 0
    assert found.writes_per_day < 24
    rows = {one.account: one.raw_shares for one in replayed.cluster.associations() if not one.user}
    assert set(replayed.cluster.regional) == {f"regional.{name}" for name in scenarios.REGIONAL}
    assert len({rows[name] for name in replayed.cluster.regional}) == 1, "they began equal"
    assert {rows[f"national.{name}"] for name in scenarios.OTHERS} == {
        policies.raw_shares(TARGET)["national"] // 8
    }


def test_one_account_gets_the_goal_and_no_more_while_some_of_the_others_are_gone() -> None:
    """Two of eight accounts stop for good; the others want the whole machine as before."""
    gone, day = scenarios.OTHERS[:2], 20
    wanted = replace(scenarios.SATURATED, days=120, others=lambda at: 1.2 if at < day else 1.6)
    work = scenarios.drawn("gone", wanted, ["r0"], scenarios.OTHERS, seed=1)
    left = np.array([account in gone for account, _ in work.users])[work.user]
    work = work.only(~(left & (work.submit > scenarios.BEGIN + day * DAY)))
    _, found = judged(work, frozenset({"r0"}), wanted.cores)
    assert found.delivered_share == pytest.approx(TARGET + MARGIN, abs=0.015)
    assert found.violation_ratio == 0


def test_no_window_is_missed_when_the_others_come_back_from_holiday() -> None:
    _, found = lived("holiday")
    _, static = lived("holiday", "static:0.25")
    assert found.violation_ratio == 0
    assert found.min_window_share is not None
    assert found.min_window_share > TARGET
    assert static.violation_ratio is not None
    assert static.violation_ratio > 0.05
