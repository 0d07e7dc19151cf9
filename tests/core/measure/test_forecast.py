"""The rest of a calendar window: what is expected, required and attainable."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.measure.forecast import forecast_of, required_share
from slurm_ai_factory.core.measure.share import expected_rate
from slurm_ai_factory.core.records import HOUR, Hour, Measurement, Window
from tests.core.generated import history, quarter
from tests.monitor.examples import DAY, NOW, SINCE, measurement

TARGET, MARGIN = 0.25, 0.01
shares = st.floats(0.01, 0.99)


def _required(found: Measurement) -> float | None:
    return required_share(found, MARGIN)


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


def test_a_forecast_carries_the_demand_of_seven_days_to_the_end_and_says_so() -> None:
    week = 7 * 24
    hours = tuple(Hour(at * HOUR, 2.0 * HOUR, 10.0 * HOUR, 2.0 * HOUR, 12.0 * HOUR) for at in range(week))
    before = quarter(
        window=Window("w", 0, 2 * week * HOUR), as_of=week * HOUR, hours=hours,
        regional_charge=2 * week * HOUR, total_charge=10 * week * HOUR, regional_pending=10**9,
    )  # fmt: skip
    ahead = forecast_of(before)
    assert (ahead.remaining_seconds, ahead.expected_rate, ahead.demand_rate) == (week * HOUR, 10.0, 4.0)
    assert (ahead.highest_share, ahead.expected_share) == (0.4, 0.2)
    assert ahead.attainable_share == pytest.approx(0.3)
    assert required_share(before, MARGIN) == pytest.approx(0.32)
    assert "10.0 cpu" in ahead.assumptions("cpu")[0]
    assert "4.0 cpu" in ahead.assumptions("cpu")[1]
    over = forecast_of(quarter())
    assert (over.remaining_seconds, over.highest_share, over.attainable_share) == (0, None, None)


@pytest.mark.parametrize(
    ("days", "changes", "known"), [(7, {}, True), (6, {}, False), (30, {"unread_seconds": HOUR}, False)]
)
def test_demand_is_unknown_until_seven_days_were_read_whole(
    days: int, changes: dict[str, int], known: bool
) -> None:
    ahead = forecast_of(measurement(0.2, days, **changes))
    assert (ahead.demand_rate is not None) is (ahead.attainable_share is not None) is known
    assert ("is not known" in ahead.assumptions("cpu")[1]) is not known


@given(_histories())
def test_the_highest_share_is_at_least_that_of_the_last_seven_days(found: Measurement) -> None:
    ahead = forecast_of(found)
    if ahead.attainable_share is not None:
        assert ahead.expected_share is not None
        assert ahead.expected_share <= ahead.attainable_share


def test_the_forecast_goes_by_the_last_seven_days() -> None:
    m = measurement(0.2)
    lately = tuple(
        hour._replace(regional=hour.total * 0.4) if hour.at >= m.as_of - 7 * DAY else hour for hour in m.hours
    )
    regional = round(sum(hour.regional for hour in lately))
    m = replace(m, hours=lately, regional_charge=regional)
    expected = (regional + 0.4 * 60 * DAY * 100) / (90 * DAY * 100)
    assert forecast_of(m).expected_share == pytest.approx(expected)


def test_a_rolling_window_has_no_forecast() -> None:
    m = measurement(0.2, window=Window("rolling:30d", SINCE, NOW, rolling=True))
    assert forecast_of(m).expected_share is None
