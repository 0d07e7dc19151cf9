"""The rest of a calendar window: what is expected, required and attainable."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.measure.forecast import forecast_of
from slurm_ai_factory.core.measure.share import expected_rate
from slurm_ai_factory.core.records import HOUR, Hour, Measurement, Window
from tests.core.generated import history, quarter
from tests.monitor.examples import DAY, NOW, SINCE, measurement

TARGET, MARGIN = 0.25, 0.01
shares = st.floats(0.01, 0.99)


def _required(found: Measurement) -> float | None:
    return forecast_of(found, MARGIN).required_share


@st.composite
def _histories(draw: st.DrawFn) -> Measurement:
    total = draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=300))
    regional = [draw(st.integers(0, 4)) * one // 4 for one in total[:20]] + [0] * len(total[20:])
    return history(regional, total, draw(st.integers(1, 500)))


@given(_histories())
def test_a_rest_delivered_at_the_required_share_ends_the_window_at_target_and_margin(
    found: Measurement,
) -> None:
    required = _required(found)
    if required is None:
        assert expected_rate(found) == 0
        return
    rest = expected_rate(found) * (found.window.until - found.as_of)
    regional, total = float(found.regional_charge) + required * rest, float(found.total_charge) + rest
    if required > 0:
        assert regional / total == pytest.approx(TARGET + MARGIN)
    else:
        assert regional / total >= TARGET + MARGIN - 1e-9


@given(_histories())
def test_a_rolling_or_finished_window_has_no_required_share(found: Measurement) -> None:
    rolling = found.window._replace(rolling=True)
    assert _required(replace(found, window=rolling)) is None
    finished = found.window._replace(until=found.as_of)
    assert _required(replace(found, window=finished)) is None


@pytest.mark.parametrize(
    ("regional", "total", "left", "required"),
    [
        ([26, 26], [100, 100], 2, 0.26),
        ([0, 0], [100, 100], 2, 0.52),
        ([0] * 9, [100] * 9, 1, 2.6),
        ([100] * 9, [100] * 9, 1, 0.0),
        ([0, 0], [0, 0], 2, None),
    ],
)
def test_the_required_share_says_how_far_out_of_reach_a_promise_is(
    regional: list[int], total: list[int], left: int, required: float | None
) -> None:
    assert _required(history(regional, total, left)) == pytest.approx(required)


@pytest.mark.parametrize(
    ("running", "pending", "attainable"), [(0, 0, False), (26, 0, True), (13, 13, True), (20, 5, False)]
)
def test_a_promise_is_attainable_when_the_region_wants_enough(
    running: int, pending: int, attainable: bool
) -> None:
    before = history([26 * HOUR] * 2, [100 * HOUR] * 2, 2)
    found = replace(before, regional_running=running, regional_pending=pending)
    assert forecast_of(found, MARGIN - 1e-6).attainable is attainable


def test_more_than_everything_is_never_attainable_and_no_requirement_is_unknown() -> None:
    late = replace(history([0] * 9, [100 * HOUR] * 9, 1), regional_pending=10**9)
    assert forecast_of(late, MARGIN).attainable is False
    assert forecast_of(history([0], [0], 5), MARGIN).attainable is None


def test_a_forecast_carries_the_demand_seen_now_to_the_end_and_says_so() -> None:
    hours = tuple(Hour(at * HOUR, 0.0, 10.0 * HOUR, 0.0, 12.0 * HOUR) for at in range(50))
    found = forecast_of(
        quarter(as_of=50 * HOUR, regional_charge=100 * HOUR, total_charge=500 * HOUR, hours=hours,
              regional_running=2, regional_pending=2), MARGIN,
    )  # fmt: skip
    assert (found.remaining_seconds, found.expected_rate, found.demand_rate) == (50 * HOUR, 10.0, 4.0)
    assert (found.highest_share, found.attainable_share) == (0.4, 0.3)
    assert found.required_share == pytest.approx(0.32)
    assert found.attainable
    assert "10.0 cpu" in found.assumptions("cpu")[0]
    over = forecast_of(quarter(), MARGIN)
    assert (over.remaining_seconds, over.required_share, over.attainable, over.attainable_share) == (
        0, None, None, None
    )  # fmt: skip


def test_the_forecast_goes_by_the_last_seven_days() -> None:
    m = measurement(0.2)
    lately = tuple(
        hour._replace(regional=hour.total * 0.4) if hour.at >= m.as_of - 7 * DAY else hour for hour in m.hours
    )
    regional = round(sum(hour.regional for hour in lately))
    m = replace(m, hours=lately, regional_charge=regional)
    expected = (regional + 0.4 * 60 * DAY * 100) / (90 * DAY * 100)
    assert forecast_of(m, MARGIN).expected_share == pytest.approx(expected)


def test_a_rolling_window_has_no_forecast() -> None:
    m = measurement(0.2, window=Window("rolling:30d", SINCE, NOW, rolling=True))
    assert forecast_of(m, MARGIN).expected_share is None
