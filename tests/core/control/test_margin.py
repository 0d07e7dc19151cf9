"""What margin the size of runs asks for, whatever the size of the machine and the length of the window."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from slurm_ai_factory.core.control.margin import SteeredMargin, ripple_of_runs, steered_margin
from slurm_ai_factory.core.measure.share import Promise
from slurm_ai_factory.core.records import DAY, HOUR, Bound, Hour, Measurement, Window
from slurm_ai_factory.core.tres import Resource

NOW = 400 * DAY
CPUS = Resource({"cpu": 1})
FLOOR = Promise(cluster="c", target_share=0.25, margin=0.01, resource=CPUS)
CAP = replace(FLOOR, name="industry", bound=Bound.CAP, target_share=0.02)

charges = st.floats(1.0, 1e12)
rates = st.floats(1e-3, 1e6)
lengths = st.integers(HOUR, 366 * DAY)
factors = st.sampled_from([0.001, 0.5, 3.0, 1000.0])
percentages = st.floats(0.0, 1.0)


def _lately(rate: float, *, rolling: bool = False, hours: int = 48, unread: int = 0) -> Measurement:
    """A measurement of so many hours up to NOW, in each of which this rate was delivered."""
    since = NOW - hours * HOUR
    total = rate * HOUR
    return Measurement(
        cluster="c", window=Window("w", since, NOW if rolling else NOW + DAY, rolling), as_of=NOW,
        resource=CPUS, target_share=0.25, regional_charge=0, total_charge=int(total * hours),
        unclassified_charge=0, capacity=None, waiting_charge=0, starved_charge=None, newest_record_at=None,
        unread_seconds=unread,
        hours=tuple(Hour(since + n * HOUR, 0.0, total, 0.0, 0.0) for n in range(hours)),
    )  # fmt: skip


@given(charges, rates, lengths, factors)
def test_a_larger_machine_with_larger_runs_and_a_slower_one_over_longer_are_the_same(
    charge: float, rate: float, seconds: int, factor: float
) -> None:
    ripple = ripple_of_runs(charge, rate, seconds)
    assert ripple > 0
    assert ripple_of_runs(factor * charge, factor * rate, seconds) == pytest.approx(ripple)
    assert ripple_of_runs(charge, rate / 1000, 1000 * seconds) == pytest.approx(ripple)
    assert ripple_of_runs(factor * charge, rate, seconds) == pytest.approx(factor * ripple)


@given(charges, rates, lengths)
def test_nothing_is_asked_for_where_no_run_was_charged_or_nothing_delivered(
    charge: float, rate: float, seconds: int
) -> None:
    assert ripple_of_runs(0.0, rate, seconds) == ripple_of_runs(charge, 0.0, seconds) == 0.0
    assert not steered_margin(FLOOR, _lately(0.0), charge, seconds, 0.9).short
    assert not steered_margin(FLOOR, _lately(rate), 0.0, seconds, 0.9).short


@pytest.mark.parametrize("rolling", [False, True])
@pytest.mark.parametrize(
    ("seconds", "ripple", "advised"),
    [
        pytest.param(6 * HOUR, 2 * 100 / 96 / 60, 0.04, id="runs of 4 CPUs for 25 minutes on 16 CPUs"),
        pytest.param(30 * DAY, 2 * 100 / 96 / 60 / 120, None, id="the same in a window of thirty days"),
    ],
)
def test_two_runs_of_a_whole_window_are_what_the_margin_must_absorb(
    seconds: int, ripple: float, advised: float | None, rolling: bool
) -> None:
    margin = steered_margin(FLOOR, _lately(16.0, rolling=rolling), 4 * 1500.0, seconds, 0.9)
    assert margin.ripple == pytest.approx(ripple)
    assert (margin.promise, margin.margin, margin.window_seconds) == ("region", 0.01, seconds)
    assert (margin.advised if margin.short else None) == advised


@given(percentages, st.floats(0.001, 0.2))
def test_the_advised_margin_is_the_least_whole_percentage_that_is_not_short(
    ripple: float, margin: float
) -> None:
    steered = SteeredMargin("region", margin, 2.0, 30 * DAY, ripple)
    advised = steered.advised
    assert advised is not None
    assert (advised * 100) == pytest.approx(round(advised * 100))
    assert not steered._replace(margin=advised).short
    assert advised - 0.0105 < ripple < advised + 0.0006
    assume(steered.short)
    assert advised > margin


@pytest.mark.parametrize(
    ("promise", "share_max", "room"),
    [(FLOOR, 0.9, 0.65), (CAP, 0.9, 0.02), (replace(CAP, target_share=0.97), 0.9, 0.03)],
)
def test_a_margin_for_which_the_promise_leaves_no_room_is_not_advised(
    promise: Promise, share_max: float, room: float
) -> None:
    def advised(ripple: float) -> float | None:
        run_charge = ripple / 2 * 16.0 * DAY
        return steered_margin(promise, _lately(16.0), run_charge, DAY, share_max).advised

    assert advised(room - 0.015) == pytest.approx(room - 0.01)
    assert advised(room + 0.005) is None


def test_where_a_part_of_the_last_days_was_not_read_no_ripple_is_known() -> None:
    margin = steered_margin(FLOOR, _lately(16.0, unread=1), 1e9, DAY, 0.9)
    assert margin.ripple is None
    assert not margin.short
