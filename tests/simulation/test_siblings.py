"""The region's accounts beside all others under root: the law holds the floor there, too."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from slurm_ai_factory.core.controller import Policy
from slurm_ai_factory.core.records import DAY
from slurm_ai_factory.simulation import policies, scenarios
from slurm_ai_factory.simulation.evaluation import Result, evaluate
from slurm_ai_factory.simulation.layout import REGION, Settings, one_pool
from slurm_ai_factory.simulation.replay import Replayed, Trial, promise_of, replay

TARGET, MARGIN = 0.25, 0.01


def lived(name: str, policy: str = "floor") -> tuple[Replayed, Result]:
    """A hundred and twenty days of a scenario, judged by windows of thirty."""
    scenario = replace(scenarios.SCENARIOS[name], days=120)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenarios, "SCENARIOS", {name: scenario})
        work, _ = scenarios.scenario(name, seed=1)
    trial = Trial(
        workload=work, regional=frozenset(user for user in work.users if user[0] in scenarios.REGIONAL),
        layout=one_pool(work, "cpu", scenario.cores), settings=Settings(),
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


def test_no_window_is_missed_when_the_others_come_back_from_holiday() -> None:
    _, found = lived("holiday")
    _, static = lived("holiday", "static:0.25")
    assert (found.violation_ratio, found.min_window_share > TARGET) == (0, True)
    assert static.violation_ratio > 0.05
