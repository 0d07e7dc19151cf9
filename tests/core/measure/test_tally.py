"""Counters: every hour once, never less than before, whatever the window does and whatever is corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.measure.tally import Tallied, Tally
from slurm_ai_factory.core.records import HOUR, Hour, Measurement, Window
from slurm_ai_factory.core.tres import Resource
from tests.monitor import examples

YEAR = Window("2027", 0, 10_000 * HOUR)
AMOUNTS = st.tuples(*[st.integers(0, 10**6)] * 5)


def measured(hours: list[Hour], as_of: int, window: Window = YEAR, target: float = 0.25) -> Measurement:
    """What a cycle measures at an instant: the hours of its window up to then."""
    since, until = window.since - window.since % HOUR, min(window.until, as_of)
    inside = tuple(hour for hour in hours if since <= hour.at < until)
    return replace(examples.measurement(), window=window, as_of=as_of, hours=inside, target_share=target)


def hours_of(amounts: Sequence[tuple[int, ...]]) -> list[Hour]:
    return [
        Hour(
            n * HOUR, float(region), float(region + other + unsorted), float(wait), float(up), float(unsorted)
        )
        for n, (region, other, unsorted, wait, up) in enumerate(amounts)
    ]


def rolling(as_of: int, length: int) -> Window:
    return Window("rolling", max(0, as_of - length) // HOUR * HOUR, as_of, rolling=True)


@given(
    st.lists(AMOUNTS, min_size=1, max_size=30), st.lists(st.integers(1, 7 * HOUR), max_size=20), st.booleans()
)
def test_each_whole_hour_is_in_the_sums_once_whatever_the_window(
    amounts: list[tuple[int, ...]], pauses: list[int], rolls: bool
) -> None:
    hours, as_of = hours_of(amounts), 0
    tally = Tally("gres/gpu", 0)
    for pause in pauses:
        as_of = min(as_of + pause, len(hours) * HOUR)
        later = tally.plus(measured(hours, as_of, rolling(as_of, 8 * HOUR) if rolls else YEAR))
        assert all(new >= old for new, old in zip(later.sums, tally.sums, strict=True))
        tally = later
    over = amounts[: as_of // HOUR]
    known = tally.sums
    assert known.regional == pytest.approx(sum(row[0] for row in over))
    assert known.non_regional == pytest.approx(sum(row[1] for row in over))
    assert known.unclassified == pytest.approx(sum(row[2] for row in over))
    assert known.waiting == pytest.approx(sum(row[3] for row in over))
    assert known.capacity == pytest.approx(sum(row[4] for row in over))
    starved = sum(min(row[3], max(0, row[4] / 4 - row[0])) for row in over)
    assert known.starved == pytest.approx(starved)


def test_a_correction_of_an_hour_that_was_counted_changes_nothing() -> None:
    """Neither a withdrawn run nor a new rule over a whole quarter looks like usage of today."""
    before = hours_of([(40, 60, 0, 0, 100)] * 5)
    tally = Tally("gres/gpu", 0).plus(measured(before, 5 * HOUR))
    for corrected in ((0, 60, 0, 0, 100), (100, 0, 0, 0, 100)):
        after = hours_of([corrected] * 5 + [(40, 60, 0, 0, 100)])
        assert tally.plus(measured(after, 6 * HOUR)).sums.regional == 5 * 40 + 40
        assert tally.plus(measured(after, 5 * HOUR)) == tally


def test_a_clock_that_went_back_changes_nothing() -> None:
    hours = hours_of([(40, 60, 0, 0, 100)] * 5)
    tally = Tally("gres/gpu", 0).plus(measured(hours, 5 * HOUR))
    assert tally.plus(measured(hours, 3 * HOUR)) == tally


def test_the_last_hours_of_a_window_are_in_it_and_no_hour_of_the_next_twice() -> None:
    hours = hours_of([(40, 60, 0, 0, 100)] * 10)
    first, second = Window("2027Q1", 0, 6 * HOUR), Window("2027Q2", 6 * HOUR, 99 * HOUR)
    tally = Tally("gres/gpu", 0).plus(measured(hours, 5 * HOUR + 60, first))
    assert tally.until == 5 * HOUR
    ended = tally.plus(measured(hours, 6 * HOUR + 60, first)).plus(measured(hours, 6 * HOUR + 60, second))
    assert ended.until == 6 * HOUR
    assert ended.plus(measured(hours, 10 * HOUR, second)).sums.regional == 10 * 40


def test_another_resource_starts_at_nothing() -> None:
    hours = hours_of([(40, 60, 0, 0, 100)] * 5)
    tally = Tally("gres/gpu", 0).plus(measured(hours, 5 * HOUR))
    other = tally.plus(replace(measured(hours, 5 * HOUR), resource=Resource({"cpu": 1})))
    assert other == Tally("cpu", 5 * HOUR, Tallied())


def test_rounding_never_lowers_a_sum() -> None:
    below = Hour(0, -1e-9, 0.1, -1e-9, 0.0, 0.1 + 1e-9)
    assert min(Tally("gres/gpu", 0).plus(measured([below], HOUR)).sums) == 0.0
