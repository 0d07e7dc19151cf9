"""A verdict that can be defended: met, missed for one reason, or open while it can still go either way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.measure import judgement
from slurm_ai_factory.core.records import HOUR, Hour, Verdict, Window
from tests.core.generated import quarter

ROLLING = Window("rolling:100h", 0, 100 * HOUR, rolling=True)


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        ({}, "met"),
        ({"starved_charge": 900.0}, "met"),
        ({"regional_charge": 10000}, "met"),
        ({"regional_charge": 0, "total_charge": 0}, "met"),
        ({"regional_charge": 2499}, "missed_demand"),
        ({"regional_charge": 2000}, "missed_demand"),
        ({"regional_charge": 2000, "starved_charge": 25.0}, "missed_demand"),
        ({"regional_charge": 2000, "starved_charge": 25.1}, "missed_starved"),
        ({"regional_charge": 2000, "starved_charge": 9000.0}, "missed_starved"),
        ({"regional_charge": 2480, "starved_charge": 9000.0}, "missed_demand"),
        ({"regional_charge": 2000, "starved_charge": None, "capacity": None}, "missed_starved"),
        ({"regional_charge": 2500, "window": ROLLING, "as_of": 50 * HOUR}, "met"),
        ({"regional_charge": 2000, "window": ROLLING, "as_of": 50 * HOUR}, "missed_demand"),
        ({"as_of": 99 * HOUR}, "open"),
        ({"as_of": 99 * HOUR, "regional_charge": 0}, "open"),
        ({"as_of": 99 * HOUR, "regional_charge": 10000}, "open"),
        ({"as_of": 200 * HOUR}, "met"),
    ],
)
def test_the_verdict_of_a_window(difference: dict[str, Any], verdict: str) -> None:
    assert judgement.verdict(quarter(**difference)) == verdict


@pytest.mark.parametrize(
    ("target", "regional", "total"), [(0.07, 7, 100), (0.29, 29, 100), (0.57, 57, 100), (0.3, 3, 10)]
)
def test_a_promise_that_is_kept_to_the_second_is_met(target: float, regional: int, total: int) -> None:
    kept = quarter(target_share=target, regional_charge=regional, total_charge=total)
    assert judgement.verdict(kept) == "met"
    missed = quarter(target_share=target, regional_charge=regional * 10**9 - 1, total_charge=total * 10**9)
    assert judgement.verdict(missed) == "missed_demand"


@pytest.mark.parametrize(
    "difference",
    [
        {},
        {"regional_charge": 0},
        {"unread_seconds": 3600},
        {"unclassified_limit": 0.0001},
        {"as_of": 50 * HOUR},
    ],
)
def test_where_no_promise_holds_there_is_no_verdict(difference: dict[str, Any]) -> None:
    found = quarter(ended=True, **difference)
    assert judgement.judge(found)[:2] == (Verdict.OPEN, "ended")


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.floats(0, 1e12) | st.none(), st.booleans())
def test_a_window_that_is_over_is_met_or_missed_for_one_reason(
    regional: int, others: int, starved: float | None, rolling: bool
) -> None:
    window = ROLLING if rolling else Window("2027Q1", 0, 100 * HOUR)
    total = regional + others
    found = quarter(regional_charge=regional, total_charge=total, starved_charge=starved, window=window)
    verdict = judgement.verdict(found)
    assert (verdict == Verdict.MET) == (4 * regional >= total)
    assert verdict is not Verdict.OPEN
    if verdict is Verdict.MISSED_DEMAND:
        assert starved is not None
        assert min(starved, total / 4 - regional) <= total / 4 / 100


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0, 1e9))
def test_more_starved_charge_never_turns_a_starved_miss_into_one_of_demand(
    regional: int, others: int, starved: float
) -> None:
    found = quarter(regional_charge=regional, total_charge=regional + others, starved_charge=starved)
    if judgement.verdict(found) is Verdict.MISSED_STARVED:
        assert judgement.verdict(replace(found, starved_charge=2 * starved + 1)) is Verdict.MISSED_STARVED


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 50), st.integers(1, 99))
def test_a_window_is_met_early_only_when_a_rest_wholly_of_others_cannot_undo_it(
    regional: int, others: int, cpus: int, passed: int
) -> None:
    hours = tuple(Hour(at * HOUR, 0.0, 0.0, 0.0, float(cpus * HOUR)) for at in range(passed))
    total = regional + others
    found = quarter(regional_charge=regional, total_charge=total, as_of=passed * HOUR, hours=hours)
    rest = cpus * (100 - passed) * HOUR
    worst = quarter(regional_charge=regional, total_charge=total + rest)
    if len(hours) > 1:
        assert (judgement.verdict(found) is Verdict.MET) == (judgement.verdict(worst) is Verdict.MET)
    else:
        assert judgement.verdict(found) is Verdict.OPEN


@pytest.mark.parametrize(
    ("difference", "verdict", "reason"),
    [
        ({"unclassified_charge": 501}, "open", "unclassified"),
        ({"unclassified_charge": 500}, "met", "met"),
        ({"unclassified_charge": 501, "unclassified_limit": None}, "met", "met"),
        ({"unclassified_charge": 501, "regional_charge": 2000}, "missed_demand", "demand"),
        ({"unclassified_charge": 501, "regional_charge": 2000, "starved_charge": 600.0}, "missed_starved",
         "starved"),
        ({"regional_charge": 2000, "starved_charge": None}, "missed_starved", "capacity_unknown"),
        ({"unclassified_charge": 501, "as_of": 99 * HOUR}, "open", "not_over"),
        ({"regional_charge": 0, "total_charge": 0}, "met", "nothing"),
        ({"unread_seconds": 1}, "open", "unread"),
        ({"unread_seconds": 1, "regional_charge": 0, "total_charge": 0}, "open", "unread"),
        ({"unread_seconds": 1, "regional_charge": 2000, "starved_charge": 600.0}, "open", "unread"),
    ],
)  # fmt: skip
def test_a_verdict_rests_on_a_window_that_is_known(
    difference: dict[str, Any], verdict: str, reason: str
) -> None:
    found = judgement.judge(quarter(**({"unclassified_limit": 0.05} | difference)))
    assert (found.verdict, found.reason) == (verdict, reason)
    assert reason in judgement.GROUNDS


def test_a_window_that_is_met_early_is_held_back_too() -> None:
    hours = tuple(Hour(at * HOUR, 100.0, 100.0, 0.0, 100.0) for at in range(99))
    early = quarter(as_of=99 * HOUR, regional_charge=9000, hours=hours, unclassified_charge=900)
    assert judgement.judge(early) == ("met", "met_early")
    assert judgement.judge(replace(early, unclassified_limit=0.05)) == ("open", "unclassified")
