"""Whole replays: the production controller, what it is compared with, and what can go wrong."""

from __future__ import annotations

from functools import cache
from math import log
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from slurm_ai_factory.core.control.controller import Policy
from slurm_ai_factory.core.control.controller import decide as production
from slurm_ai_factory.core.records import DAY, HOUR, Decision
from slurm_ai_factory.simulation import policies, replay, scenarios
from slurm_ai_factory.simulation.arrays import ALL, REGIONAL
from slurm_ai_factory.simulation.evaluation import PolicyResult, evaluate
from slurm_ai_factory.simulation.layout import ModelSettings, one_pool
from slurm_ai_factory.simulation.replay import Faults, Replayed, Trial, promise_of
from slurm_ai_factory.simulation.workload import Workload

FLOOR = 0.25
HALF_LIFE = 7 * DAY
POLICY = Policy(account="regional", target_share=FLOOR, half_life_seconds=HALF_LIFE, period_seconds=2 * HOUR)
NO_FAULTS = Faults()
WEEK = 7 * DAY
BACK = 60 * DAY
"""The others come back from their first holiday."""


@cache
def scenario(name: str, days: int, seed: int = 1) -> Workload:
    """The first days of a scenario."""
    work = scenarios.scenario(name, seed)[0]
    return work.only(work.submit < scenarios.BEGIN + days * DAY)


def trial(
    work: Workload,
    faults: Faults = NO_FAULTS,
    half_life: int = HALF_LIFE,
    names: frozenset[str] = scenarios.REGIONAL,
) -> Trial:
    return Trial(
        workload=work, regional=work.users_of(names),
        layout=one_pool(work, "cpu", scenarios.SATURATED.cores), settings=ModelSettings(half_life=half_life),
        promise=promise_of(FLOOR, POLICY.margin, "cpu"), window="rolling:30d", zone=ZoneInfo("UTC"),
        control=POLICY, period=POLICY.period_seconds, faults=faults,
    )  # fmt: skip


def replayed(one: Trial, policy: str) -> Replayed:
    return replay.replay(one, policies.named(policy, FLOOR))


def worst(found: PolicyResult) -> float:
    """The share of the worst window; there is one."""
    assert found.min_window_share is not None
    return found.min_window_share


@cache
def result(name: str, policy: str) -> PolicyResult:
    one = trial(scenario(name, 100))
    return evaluate(one, replayed(one, policy))


@pytest.mark.parametrize("share", [0.25, 0.4])
def test_where_both_are_saturated_a_static_share_is_what_is_delivered(share: float) -> None:
    half_life = DAY
    one = trial(scenario("saturated", 60), half_life=half_life)
    hours = replayed(one, f"static:{share}").cluster.hours
    settled = hours[int(3 * half_life / log(2)) // HOUR :].sum(axis=0)
    assert settled[REGIONAL] / settled[ALL] == pytest.approx(share, abs=0.01)


def test_the_floor_is_kept_where_static_shares_break_it() -> None:
    floor = result("holiday", "floor")
    assert worst(result("holiday", "static:0.25")) < 0.23
    assert worst(floor) >= FLOOR
    assert floor.violation_ratio == floor.starved_ratio == floor.attributable_shortfall_charge == 0
    assert 0 < floor.writes_per_day < 5


@pytest.mark.parametrize("name", ["saturated", "holiday"])
def test_a_switch_keeps_the_floor_too_and_leaves_the_rest_to_the_others(name: str) -> None:
    """While it is lowered, shares leave the region a tenth."""
    switch, floor = result(name, "switch:0.1"), result(name, "floor")
    assert switch.violation_ratio == 0
    assert abs(switch.delivered_share - floor.delivered_share) < 0.03
    assert 0 < switch.writes_per_day < 5


@pytest.mark.parametrize("name", ["saturated", "holiday"])
def test_the_oracle_gives_at_least_what_the_floor_does_and_that_at_least_the_floor(name: str) -> None:
    oracle, floor = result(name, "oracle"), result(name, "floor")
    assert oracle.delivered_share >= floor.delivered_share >= FLOOR
    assert worst(oracle) >= worst(floor) >= FLOOR
    assert oracle.regional.mean_seconds <= floor.regional.mean_seconds
    assert floor.non_regional.mean_seconds <= oracle.non_regional.mean_seconds


def test_a_partition_leaves_idle_what_shares_would_use() -> None:
    assert (
        result("holiday", "partition:0.25").utilisation < result("holiday", "static:0.25").utilisation - 0.01
    )


def test_a_reset_makes_usage_count_from_the_beginning_of_its_period() -> None:
    one = trial(scenario("holiday", 100))
    delivered = evaluate(one, replayed(one, "reset:quarter"))
    assert delivered.delivered_share == pytest.approx(FLOOR, abs=0.03)


def test_a_replay_repeated_is_the_same() -> None:
    one = trial(scenario("holiday", 70), Faults(lost_writes=0.3, seed=4))
    first, second = replayed(one, "floor"), replayed(one, "floor")
    assert first.writes == second.writes
    for mine, theirs in zip(first.cluster.jobs[1:], second.cluster.jobs[1:], strict=True):
        assert np.array_equal(mine, theirs)


def test_names_do_not_matter() -> None:
    """Accounts in another order: ties are broken otherwise, and nothing else."""
    work = scenario("saturated", 60)
    other = {account: f"{9 - int(account[1:])}{account}" for account, _ in work.users}
    users = tuple((other[account], user) for account, user in work.users)
    renamed = trial(
        Workload(**{name: getattr(work, name) for name in work.__slots__} | {"users": users}),
        names=frozenset(other[name] for name in scenarios.REGIONAL),
    )
    mine, theirs = (evaluate(one, replayed(one, "floor")) for one in (trial(work), renamed))
    assert theirs.delivered_share == pytest.approx(mine.delivered_share, abs=0.005)
    assert worst(theirs) == pytest.approx(worst(mine), abs=0.01)


FAULTS = {
    "killed for a week while the region soaks": Faults(asleep=((50 * DAY, 57 * DAY),)),
    "killed for a week as the others come back": Faults(asleep=((BACK - DAY, BACK - DAY + WEEK),)),
    "slurmctld down for a day, and restarted": Faults(stopped=((BACK + DAY, BACK + 2 * DAY),)),
    "a third of the writes lost": Faults(lost_writes=1 / 3, seed=1),
    "all of them": Faults(
        asleep=((50 * DAY, 57 * DAY),), stopped=((BACK + DAY, BACK + 2 * DAY),), lost_writes=1 / 3, seed=2
    ),
}


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> list[Decision]:
    """Every decision of a replay, those that write nothing too."""
    made: list[Decision] = []

    def decide(*arguments: Any) -> Decision:
        made.append(production(*arguments))
        return made[-1]

    monkeypatch.setattr(replay, "decide", decide)
    return made


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_winds_up_and_the_window_recovers(fault: str, decisions: list[Decision]) -> None:
    """The set-point stays near usage, and the floor holds again when the fault has left the window."""
    faults = FAULTS[fault]
    one = trial(scenario("holiday", 110), faults)
    done = evaluate(one, replayed(one, "floor"))
    for decision in decisions:
        usage, contested, debit, u_ref = (
            float(decision.inputs[name] or 0) for name in ("usage_share", "contested_share", "debit", "u_ref")
        )
        assert POLICY.debit_max <= debit < 0.025
        assert max(min(usage, POLICY.goal), usage - contested) - debit - 1e-9 <= u_ref
        assert u_ref <= max(usage + POLICY.credit_max, POLICY.goal) + 1e-9
    over = max((until for _, until in (*faults.asleep, *faults.stopped)), default=0)
    after = [share for end, share in done.windows if end > scenarios.BEGIN + over + 30 * DAY]
    assert min(after) >= FLOOR
    assert worst(done) > worst(result("holiday", "static:0.25"))


def test_no_decision_is_made_while_the_daemon_sleeps_or_slurmctld_is_down(decisions: list[Decision]) -> None:
    faults = Faults(asleep=((DAY, 2 * DAY),), stopped=((3 * DAY, 4 * DAY),))
    replayed(trial(scenario("holiday", 6), faults), "floor")
    days = {(decision.at - scenarios.BEGIN) // DAY for decision in decisions}
    assert days == {0, 2, 4, 5}


def test_a_lost_write_is_written_again() -> None:
    """Every write is lost: the shares stay what they were, and each decision starts from what they are."""
    one = trial(scenario("holiday", 62), Faults(lost_writes=1.0))
    done = replayed(one, "floor")
    (regional,) = {change.raw_shares_before for write in done.writes for change in write.changes}
    assert regional == policies.raw_shares(FLOOR)["regional"]
    assert len(done.writes) > 10
