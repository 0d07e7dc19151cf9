"""A lever with two values: when it is raised and put back, what it leaves alone, and what it leads to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.control.controller import Policy
from slurm_ai_factory.core.control.reasons import HOLDS
from slurm_ai_factory.core.control.several import Guard, guarded
from slurm_ai_factory.core.control.switch import Switch, decide_switch
from slurm_ai_factory.core.records import HOUR, ControlState, Decision, Hold, LeverKind, Observed, SwitchNow
from tests.core.control.test_controller import DAY, NOW, _measurement, observations, policies

FOUND, RAISED = 10, 1000
SWITCH = Switch(LeverKind.QOS, "regional", RAISED, 0.01)
POLICY = Policy(account="regional", target_share=0.25, half_life_seconds=7 * DAY)
switches = st.builds(
    Switch,
    lever=st.sampled_from([LeverKind.QOS, LeverKind.PARTITION]),
    name=st.just("regional"),
    raised=st.integers(1, 2**31),
    hysteresis=st.floats(0.001, 0.2),
)


def seen(share: float, value: int = FOUND, *, hours: int = 240) -> Observed:
    """A region that has steadily had this share, wants more, and a switch at this value."""
    measurement = _measurement([share * HOUR] * hours, [float(HOUR)] * hours, left=30 * DAY)
    return Observed(
        measurement=measurement, associations=(), regional_backlog=100.0 * DAY, switch=SwitchNow(value, 500)
    )


def decided(observed: Observed, u_ref: float = 0.26, found: int | None = FOUND, writes: int = 0) -> Decision:
    """Right after a decision that left this set-point."""
    baseline = {} if found is None else {"regional": found}
    last = ControlState(at=NOW, u_ref=u_ref, writes_last_day=writes, baseline=baseline)
    return decide_switch(POLICY, SWITCH, observed, last, NOW)


@pytest.mark.parametrize(
    ("share", "goal", "waiting", "reason"),
    [(0.5, 0.5, 1, "guards"), (0.5, 0.5, 0, "switch_on"), (0.5, 0.4, 1, "switch_on")],
)
def test_a_switch_is_not_raised_at_the_expense_of_a_floor_that_is_not_steered(
    share: float, goal: float, waiting: int, reason: str
) -> None:
    """The others keep (1 - 0.27) / (1 - 0.2) of what they get; as many as that guard gets."""
    measured = _measurement([share * HOUR] * 240, [float(HOUR)] * 240, left=30 * DAY)
    guard = replace(measured, promise="eu", target_share=goal, regional_pending=waiting)
    for value, found in ((FOUND, reason), (RAISED, "switch_stays")):
        decision = guarded(decided(seen(0.2, value)), POLICY, [Guard(guard, 0.01)])
        assert decision.reason == found
        assert bool(decision.changes) == (found == "switch_on")


@pytest.mark.parametrize(
    ("share", "value", "reason", "after"),
    [
        (0.20, FOUND, "switch_on", RAISED),
        (0.20, RAISED, "switch_stays", None),
        (0.255, FOUND, "switch_stays", None),  # within the hysteresis it stays, whichever it is
        (0.255, RAISED, "switch_stays", None),
        (0.265, RAISED, "switch_stays", None),
        (0.28, RAISED, "switch_off", FOUND),
        (0.28, FOUND, "switch_stays", None),
        (0.20, 77, "switch_on", RAISED),  # a value that somebody else set
        (0.255, 77, "switch_off", FOUND),
        (0.28, 77, "switch_off", FOUND),
    ],
)
def test_the_switch_is_raised_below_the_set_point_and_put_back_above_it(
    share: float, value: int, reason: str, after: int | None
) -> None:
    decision = decided(seen(share, value), u_ref=0.26)
    assert decision.reason == reason
    assert [change.raw_shares_after for change in decision.changes] == ([] if after is None else [after])
    if after is not None:
        assert f"qos regional Priority {value} -> {after}: " in decision.sentence


@pytest.mark.parametrize(
    ("observed", "found", "policy", "reason"),
    [
        (replace(seen(0.2), switch=None), FOUND, POLICY, "no_switch"),
        (replace(seen(0.2), switch=SwitchNow(FOUND, 0)), FOUND, POLICY, "no_switch_weight"),
        (seen(0.2), RAISED, POLICY, "no_room"),
        (seen(0.2, RAISED), None, POLICY, "no_room"),
        (seen(0.2, hours=0), FOUND, POLICY, "nothing_delivered"),
        (seen(0.2), FOUND, replace(POLICY, half_life_seconds=0), "no_decay"),
        (replace(seen(0.2), holds=(Hold("paused", "jan paused it"),)), FOUND, POLICY, "paused"),
    ],
)
def test_what_keeps_a_switch_from_steering_is_a_hold(
    observed: Observed, found: int | None, policy: Policy, reason: str
) -> None:
    last = ControlState(at=NOW - HOUR, u_ref=0.4, baseline={} if found is None else {"regional": found})
    decision = decide_switch(policy, SWITCH, observed, last, NOW)
    assert (decision.reason, decision.changes, decision.state) == (reason, (), last)
    assert reason in HOLDS


def test_the_days_writes_bound_the_switch() -> None:
    assert decided(seen(0.1), writes=POLICY.writes_per_day - 1).changes
    spent = decided(seen(0.1), writes=POLICY.writes_per_day)
    assert (spent.reason, spent.changes) == ("write_budget", ())


@given(policies(), switches, observations(), st.integers(0, 2**31), st.integers(0, 2**31), st.floats(0, 1))
def test_a_switch_has_two_values_and_no_third(
    policy: Policy, switch: Switch, observed: Observed, value: int, found: int, u_ref: float
) -> None:
    observed = replace(observed, switch=SwitchNow(value, 1))
    last = ControlState(at=NOW - HOUR, u_ref=u_ref, baseline={"regional": found})
    decision = decide_switch(policy, switch, observed, last, NOW)
    assert decision == decide_switch(policy, switch, observed, last, NOW)
    for change in decision.changes:
        assert change.raw_shares_before == value != change.raw_shares_after
        assert change.raw_shares_after in (found, switch.raised)
        assert (change.lever, change.account) == (switch.lever, "regional")
    assert bool(decision.changes) == (decision.reason in ("switch_on", "switch_off"))


@given(policies(), switches, observations(), st.floats(0, 1))
def test_after_a_change_the_switch_stays_until_time_passes(
    policy: Policy, switch: Switch, observed: Observed, u_ref: float
) -> None:
    observed = replace(observed, switch=SwitchNow(0, 1))
    last = ControlState(at=NOW, u_ref=u_ref, baseline={"regional": 0})
    decision = decide_switch(policy, switch, observed, last, NOW)
    if decision.changes:
        after = replace(observed, switch=SwitchNow(decision.changes[0].raw_shares_after, 1))
        assert decide_switch(policy, switch, after, decision.state, NOW).reason == "switch_stays"


@pytest.mark.parametrize("static", [0.0, 0.15, 0.4])
def test_the_region_gets_the_goal_although_it_does_not_limit_itself(static: float) -> None:
    """All of the machine while raised, ``static`` of it otherwise; above the goal it cannot be held back."""
    policy, value, state = replace(POLICY, half_life_seconds=2 * DAY), FOUND, None
    got: list[float] = []
    for hour in range(40 * 24):
        got.append(HOUR * (1.0 if value == RAISED else static))
        measured = _measurement(got, [float(HOUR)] * len(got), left=0, rolling=True)
        observed = Observed(
            measurement=measured, associations=(), regional_backlog=100.0 * DAY, switch=SwitchNow(value, 500)
        )
        decision = decide_switch(policy, SWITCH, observed, state, NOW + hour * HOUR)
        for change in decision.changes:
            value = change.raw_shares_after
        state = decision.state and replace(decision.state, baseline={"regional": FOUND})
    lately = got[10 * 24 :]
    expected = max(policy.goal, static)
    assert sum(lately) / (HOUR * len(lately)) == pytest.approx(expected, abs=0.02)
