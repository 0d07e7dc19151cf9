"""What is said of a measurement: course, forecast, risk and the one sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.measure import judgement, outlook, share
from slurm_ai_factory.core.measure.forecast import forecast_of
from slurm_ai_factory.core.records import Measurement, Verdict, Window
from tests.monitor.examples import DAY, NOW, SINCE, WINDOW, measurement

shares = st.floats(0.01, 0.99)


@given(shares)
def test_a_steady_share_goes_straight_and_ends_where_it_is(steady: float) -> None:
    m = measurement(steady)
    assert all(point.share == pytest.approx(steady) for point in outlook.course(m))
    assert all(point.share == pytest.approx(steady) for point in outlook.daily(m))
    assert share.recent_share(m) == pytest.approx(steady)
    assert forecast_of(m, 0.01).expected_share == pytest.approx(steady, abs=1e-6)


@given(shares)
def test_the_course_ends_at_the_delivered_share(steady: float) -> None:
    m = measurement(steady)
    assert outlook.course(m)[-1].share == pytest.approx(m.delivered_share, abs=1e-6)
    assert outlook.course(m)[-1].at == m.as_of


def nothing() -> Measurement:
    return measurement(0.2, days=0, regional_charge=0, total_charge=0)


def test_nothing_delivered_is_neither_a_share_nor_a_risk() -> None:
    m = nothing()
    assert outlook.course(m) == []
    assert outlook.daily(m) == []
    assert (share.recent_share(m), forecast_of(m, 0.01).expected_share, m.unclassified_share) == (
        None,
        None,
        None,
    )
    assert not outlook.below(m)
    assert not outlook.at_risk(m, 0.01)


@pytest.mark.parametrize(
    ("m", "risk"),
    [
        (measurement(0.3), False),
        (measurement(0.2), False),
        (measurement(0.2, regional_running=0, regional_pending=0), True),
        (measurement(0.3, regional_running=0, regional_pending=0), False),
        (measurement(0.2, window=Window("rolling:30d", SINCE, NOW, rolling=True)), True),
        (measurement(0.3, window=Window("rolling:30d", SINCE, NOW, rolling=True)), False),
    ],
    ids=["above", "within reach", "too little demand", "above without demand", "rolls below", "rolls above"],
)
def test_the_floor_is_at_risk_when_below_and_not_to_be_mended(m: Measurement, risk: bool) -> None:
    assert outlook.at_risk(m, 0.01) is risk


def test_what_is_not_missing_need_not_be_mended() -> None:
    quiet = {"regional_running": 0, "regional_pending": 0}
    assert outlook.mendable(measurement(0.3, **quiet), 0.01) is None
    assert outlook.mendable(measurement(0.2, **quiet), 0.01) is False
    assert outlook.mendable(measurement(0.2), 0.01) is True


def had(share: str, side: str, rest: str = "") -> str:
    return f"The region has had {share} of the GPU time in 2027Q1, {side} the promised 25 %{rest}."


@pytest.mark.parametrize(
    ("m", "said"),
    [
        (nothing(), "Nothing has been delivered in 2027Q1 yet; the region is promised 25 %."),
        (
            replace(nothing(), unread_seconds=DAY),
            "Nothing is known of 2027Q1: it was not read; the region is promised 25 %.",
        ),
        (
            replace(measurement(0.3, days=90), unread_seconds=DAY),
            had("30 %", "above", "; 24 hours of the window were never read"),
        ),
        (measurement(0.3), had("30 %", "above")),
        (measurement(0.25), had("25 %", "as much as")),
        (
            measurement(0.2, regional_pending=70),
            had("20 %", "below", "; 29 % of the rest of the window would mend it"),
        ),
        (
            measurement(0.2499),
            had("24.99 %", "below", "; 26.5 % of the rest of the window would mend it"),
        ),
        (
            measurement(0.2, regional_running=10, regional_pending=0),
            had(
                "20 %", "below",
                "; it would take 29 % of the rest of the window, more than regional jobs ask for",
            ),
        ),
        (
            measurement(0.2, regional_running=0, regional_pending=0),
            had("20 %", "below", "; no regional job waits"),
        ),
        (measurement(0.9, days=80), had("90 %", "above", " and that can no longer change")),
        (
            measurement(0.2, days=90, starved_charge=1e12),
            had("20 %", "below", "; regional jobs waited while it was below"),
        ),
        (
            measurement(0.2, days=90),
            had("20 %", "below", "; there was too little regional work to reach it"),
        ),
    ],
)  # fmt: skip
def test_one_sentence_says_where_it_stands(m: Measurement, said: str) -> None:
    assert outlook.promise_sentence(m, 0.01) == said


@given(shares, st.integers(0, 90), st.floats(0, 1e9), st.integers(0, 200), st.integers(0, 200))
def test_the_sentence_never_contradicts_the_verdict(
    steady: float, days: int, starved: float, running: int, pending: int
) -> None:
    m = measurement(steady, days, starved_charge=starved, regional_running=running, regional_pending=pending)
    said = outlook.promise_sentence(m, 0.01)
    assert said.endswith(".")
    if "below" in said.split(";")[0]:
        assert judgement.verdict(m) is not Verdict.MET
    if m.total_charge and judgement.verdict(m) is Verdict.MET:
        assert "below the promised" not in said


def test_the_window_is_the_examples_own() -> None:
    assert measurement().window == WINDOW
