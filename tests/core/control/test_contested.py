"""What of the region's usage the others waited for: for every history, and what the law makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from slurm_ai_factory.core.control.contested import HALF_LIVES, contested, decayed_usage, remembered
from slurm_ai_factory.core.control.controller import debit
from slurm_ai_factory.core.records import HOUR, ControlState, Hour, Observed, Window
from tests.core.control.test_controller import (
    DAY,
    NOW,
    POLICY,
    Case,
    _lowest,
    _measurement,
    _observed,
    _steady,
    _tree,
    cases,
    observations,
)

GOAL = POLICY.goal
half_lives = st.integers(60, 90 * DAY)
goals = st.floats(0.01, 0.9)


def _each(observed: Observed, changed: Callable[[Hour], Hour]) -> Observed:
    """The same with every hour changed, also those before the window."""
    hours = tuple(map(changed, observed.measurement.hours))
    measured = replace(observed.measurement, hours=hours)
    return replace(observed, measurement=measured, earlier=tuple(map(changed, observed.earlier)))


def _history(*parts: tuple[int, float, float]) -> Observed:
    """A rolling window of hours of 1000, each part with (hours, regional share, others' waiting)."""
    regional = [share * 1000.0 for hours, share, _ in parts for _ in range(hours)]
    waiting = iter([amount for hours, _, amount in parts for _ in range(hours)])
    measured = _measurement(regional, [1000.0] * len(regional), left=0, rolling=True)
    return _each(
        _observed(measured, *_tree(600)),
        lambda hour: hour._replace(capacity=hour.total, others_waiting=next(waiting)),
    )


def contested_share(observed: Observed, goal: float, half_life: int) -> float:
    return decayed_usage(observed, goal, half_life).contested_share


@given(observations(), goals, half_lives)
def test_it_is_a_part_of_usage_and_the_same_each_time(
    observed: Observed, goal: float, half_life: int
) -> None:
    assert 0.0 <= contested_share(observed, goal, half_life) <= 1.0 - goal + 1e-9
    assert contested_share(observed, goal, half_life) == contested_share(observed, goal, half_life)


@given(observations(), goals, half_lives, st.floats(0, 1e12))
def test_the_more_the_others_wait_the_more_is_contested(
    observed: Observed, goal: float, half_life: int, more: float
) -> None:
    longer = _each(observed, lambda hour: hour._replace(others_waiting=hour.others_waiting + more))
    assert contested_share(longer, goal, half_life) >= contested_share(observed, goal, half_life)


@given(cases, st.floats(0, 1e12))
def test_more_waiting_of_the_others_never_raises_what_the_region_is_given(case: Case, more: float) -> None:
    longer = _each(case.observed, lambda hour: hour._replace(others_waiting=hour.others_waiting + more))
    assert case._replace(observed=longer).wanted() <= case.wanted()


@given(cases)
def test_where_nobody_else_waits_usage_is_followed_whole(case: Case) -> None:
    alone = _each(case.observed, lambda hour: hour._replace(others_waiting=0.0))
    case = case._replace(observed=alone)
    usage = case.level.usage_share
    assert contested_share(alone, case.policy.goal, case.policy.half_life_seconds) == 0.0
    assert _lowest(case, usage) == usage - debit(case.policy, alone)


@given(cases)
def test_contested_or_not_usage_is_followed_up_to_the_goal(case: Case) -> None:
    usage = case.level.usage_share
    least = min(usage, case.policy.goal) - debit(case.policy, case.observed)
    assert least <= _lowest(case, usage) <= usage
    assert case.wanted() >= min(case.policy.share_max, least)


@given(observations(), goals, half_lives, st.integers(-20, 20))
def test_charge_may_be_counted_in_any_unit(
    observed: Observed, goal: float, half_life: int, power: int
) -> None:
    unit = 2.0**power
    scaled = _each(
        observed,
        lambda hour: hour._replace(
            regional=hour.regional * unit, total=hour.total * unit, capacity=hour.capacity * unit,
            others_waiting=hour.others_waiting * unit,
        ),
    )  # fmt: skip
    assert contested_share(scaled, goal, half_life) == contested_share(observed, goal, half_life)


@given(observations(), goals, half_lives, st.integers(1, 90 * DAY))
def test_what_was_not_read_counts_as_soaked_up(
    observed: Observed, goal: float, half_life: int, unread: int
) -> None:
    doubted = replace(observed, measurement=replace(observed.measurement, unread_seconds=unread))
    assert contested_share(doubted, goal, half_life) == 0.0


@given(st.integers(1, 4 * 7), st.integers(1, 4 * 7), st.floats(0.3, 1.0))
def test_the_fewer_days_are_known_the_less_is_contested(fewer: int, more: int, share: float) -> None:
    """A quarter that has just begun says little about usage of weeks."""
    assume(fewer < more)
    short, long = (_history((24 * days, share, 1000.0)) for days in (fewer, more))
    found = [contested_share(each, GOAL, 7 * DAY) for each in (short, long)]
    assert found == sorted(found)


def test_the_turn_of_a_quarter_changes_nothing() -> None:
    """The same hours count in the window and before it."""
    whole = _history((14 * 24, 0.6, 0.0), (7 * 24, 0.5, 400.0))
    hours = whole.measurement.hours
    for at in (1, 24, 400):
        window = whole.measurement.window._replace(since=NOW - at * HOUR)
        measured = replace(whole.measurement, window=window, hours=hours[-at:])
        turned = replace(whole, measurement=measured, earlier=hours[:-at])
        assert contested_share(turned, GOAL, 7 * DAY) == contested_share(whole, GOAL, 7 * DAY)


@pytest.mark.parametrize(
    ("regional", "waiting", "idle", "expected"),
    [
        (600.0, 0.0, 0.0, 0.0),  # nobody waits
        (600.0, 1e6, 0.0, 340.0),  # all above the goal
        (600.0, 100.0, 0.0, 100.0),  # as much as waits
        (600.0, 100.0, 100.0, 0.0),  # what waits would fit beside it
        (600.0, 100.0, 40.0, 60.0),
        (260.0, 1e6, 0.0, 0.0),  # the goal
        (0.0, 1e6, 0.0, 0.0),
    ],
)
def test_contested_is_what_others_waited_for_and_did_not_fit(
    regional: float, waiting: float, idle: float, expected: float
) -> None:
    assert contested(Hour(0, regional, 1000.0, 0.0, 1000.0 + idle, 0.0, waiting), GOAL) == expected


def test_it_decays_as_usage_does() -> None:
    """A week of it is the half of all usage, and a week later a quarter."""
    old = _history((14 * 24, 0.26, 0.0), (7 * 24, 0.6, 1e6), (7 * 24, 0.26, 1e6))
    fresh = _history((14 * 24, 0.26, 0.0), (7 * 24, 0.26, 1e6), (7 * 24, 0.6, 1e6))
    found = [contested_share(each, GOAL, 7 * DAY) for each in (fresh, old)]
    assert found == pytest.approx([0.34 / 2, 0.34 / 4], rel=1e-5)


@given(observations(), goals, half_lives)
def test_usage_never_moves_slower_than_the_half_life_says(
    observed: Observed, goal: float, half_life: int
) -> None:
    decayed = decayed_usage(observed, goal, half_life)
    assert 1.0 <= decayed.turnover < float("inf")
    assert 0.0 <= decayed.contested <= decayed.used


@pytest.mark.parametrize(("days", "turnover"), [(1, 10.6), (7, 2.0), (28, 1.07)])
def test_what_a_young_cluster_uses_counts_for_more(days: int, turnover: float) -> None:
    """Nothing was used before these days; usage then turns over as fast as it has grown."""
    busy = _history((24 * days, 0.6, 0.0))
    measured = busy.measurement
    window = measured.window._replace(since=NOW - 90 * DAY)
    idle = [Hour(at, 0.0, 0.0, 0.0, 1000.0) for at in range(window.since, measured.hours[0].at, HOUR)]
    young = replace(busy, measurement=replace(measured, window=window, hours=(*idle, *measured.hours)))
    assert decayed_usage(young, GOAL, 7 * DAY).turnover == pytest.approx(turnover, rel=0.01)
    assert decayed_usage(busy, GOAL, 7 * DAY).turnover == pytest.approx(1.0)


def test_usage_is_remembered_for_some_half_lives_whatever_the_window() -> None:
    longest = 7 * DAY * HALF_LIVES
    for age in (0, HOUR, DAY, longest - HOUR, longest, 90 * DAY):
        since, until = remembered(Window("w", NOW - age, NOW + DAY), NOW + 59, 7 * DAY)
        assert until == NOW - age
        assert until - since == max(0, longest - age)
        assert since % HOUR == 0


def _wanted(observed: Observed) -> float:
    return Case(POLICY, observed, ControlState(at=NOW, u_ref=0.26), NOW).wanted()


def test_a_region_beside_others_who_always_wait_is_not_followed() -> None:
    """It got 0.6 for four weeks. The more the others waited meanwhile, the less of it is followed."""
    waits = (0.0, 100.0, 200.0, 340.0, 1e6)
    wanted = [_wanted(_history((28 * 24, 0.6, amount))) for amount in waits]
    assert all(less <= more for more, less in pairwise(wanted))
    assert wanted[0] == pytest.approx(0.6 - POLICY.debit_max)
    assert wanted[-1] < GOAL + 0.03


def test_what_was_soaked_up_is_kept_when_the_others_come_back() -> None:
    """Two weeks alone with the machine, then a day of catching up: the region is not put last."""
    observed = _history((14 * 24, 0.26, 1e6), (14 * 24, 0.6, 0.0), (24, 0.26, 1e6))
    assert _wanted(observed) == pytest.approx(0.6 - POLICY.debit_max)


def test_a_decision_says_how_much_was_contested() -> None:
    observed = _history((28 * 24, 0.6, 100.0))
    inputs = Case(POLICY, observed, None, NOW).decision().inputs
    assert inputs["contested_share"] == contested_share(observed, GOAL, POLICY.half_life_seconds)
    assert 0.09 < float(inputs["contested_share"] or 0) < 0.1
    steady = _observed(_measurement(*_steady(0.6), left=30 * DAY), *_tree(600))
    assert Case(POLICY, steady, None, NOW).decision().inputs["contested_share"] == 0.0
