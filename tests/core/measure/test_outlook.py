"""A measurement for its readers: its course by hour and by day."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.measure import outlook, share
from slurm_ai_factory.core.measure.forecast import forecast_of
from slurm_ai_factory.core.records import HOUR, Hour, Measurement, Window
from tests.monitor.examples import NOW, SINCE, measurement

shares = st.floats(0.01, 0.99)


@given(shares)
def test_a_steady_share_goes_straight_and_ends_where_it_is(steady: float) -> None:
    m = measurement(steady)
    assert all(point.share == pytest.approx(steady) for point in outlook.course(m))
    assert all(point.share == pytest.approx(steady) for point in outlook.daily(m))
    assert share.recent_share(m) == pytest.approx(steady)
    assert forecast_of(m).expected_share == pytest.approx(steady, abs=1e-6)


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
    assert (share.recent_share(m), forecast_of(m).expected_share, m.unclassified_share) == (None, None, None)


ROLLING = Window("rolling:30d", SINCE, NOW, rolling=True)


def before(days: int, share: float) -> tuple[Hour, ...]:
    """So many days before the rolling window, at this share of a machine of 100."""
    first, busy = SINCE - days * 24 * HOUR, 100.0 * HOUR
    return tuple(Hour(first + n * HOUR, share * busy, busy, 0.0, busy) for n in range(days * 24))


def test_a_rolling_window_has_the_share_of_its_length_at_each_hour() -> None:
    course = outlook.course(measurement(0.4, window=ROLLING), before(30, 0.2))
    assert len(course) == 30 * 24
    shares = [point.share for point in course]
    assert shares == sorted(shares), "the better hours replace the others one by one"
    assert (course[0].at, course[-1].at) == (SINCE + HOUR, NOW)
    assert shares[360 - 1] == pytest.approx(0.3)
    assert shares[-1] == pytest.approx(0.4)


@given(shares, st.integers(0, 30))
def test_a_moment_whose_window_began_before_the_record_has_no_share(steady: float, days: int) -> None:
    m = measurement(steady, window=ROLLING)
    course = outlook.course(m, before(days, steady))
    assert len(course) == max(1, days * 24 + (days < 30))
    assert course[-1].share == pytest.approx(m.delivered_share)


def test_a_rolling_window_that_ends_within_an_hour_counts_that_hour_so_far() -> None:
    m = measurement(0.4, window=ROLLING._replace(until=NOW + 600), as_of=NOW + 600)
    late = Hour(NOW, 0.0, 100.0 * 600, 0.0, 100.0 * 600)
    regional, total = 0.4 * 100 * 30 * 24 * HOUR, 100.0 * (30 * 24 * HOUR + 600)
    hours = (*m.hours, late)
    m = measurement(0.4, window=m.window, as_of=m.as_of, hours=hours)
    course = outlook.course(m, before(30, 0.4))
    assert [point.at for point in course[-2:]] == [NOW, NOW + 600]
    assert [point.share for point in course[-2:]] == pytest.approx([0.4, regional / total])
