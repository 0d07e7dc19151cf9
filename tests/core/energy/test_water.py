"""The verdict on water: absolute, with exempt meters named and gaps left open."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.energy.meters import Kind, Reading
from slurm_ai_factory.core.energy.water import WaterMeasurement, judge_water, measure_water
from slurm_ai_factory.core.records import HOUR, Verdict, Window

DAY = Window("day", 0, 10 * HOUR)
END = DAY.until
EXEMPT = {"toilets": "sanitary"}


def litres(meter: str, kind: Kind, value: int = 0, since: int = 0, until: int = END) -> Reading:
    return Reading(meter, kind, since, until, Decimal(value), "L", "bms.csv")


POTABLE = litres("cooling", Kind.W_POTABLE)
SURFACE = litres("canal", Kind.W_SURFACE)
TOILETS = litres("toilets", Kind.W_POTABLE, 90)


def measured(*readings: Reading, window: Window = DAY, as_of: int = END) -> WaterMeasurement:
    """Of meters that begin with their first reading."""
    kinds = Kind.W_POTABLE, Kind.W_SURFACE
    by_kind = {kind: [each for each in readings if each.kind is kind] for kind in kinds}
    meters = {
        kind: {each.meter: min(other.since for other in of if other.meter == each.meter) for each in of}
        for kind, of in by_kind.items()
    }
    return measure_water(window, as_of, by_kind, meters, EXEMPT)


@pytest.mark.parametrize(
    ("readings", "as_of", "verdict", "reason"),
    [
        ([POTABLE, SURFACE, TOILETS], END, Verdict.KEPT, "none"),
        ([POTABLE, SURFACE, TOILETS], END - 1, Verdict.OPEN, "not_over"),
        ([POTABLE, litres("canal", Kind.W_SURFACE, 1)], END, Verdict.EXCEEDED, "used"),
        ([litres("cooling", Kind.W_POTABLE, 1)], END, Verdict.EXCEEDED, "used"),
        ([POTABLE], END, Verdict.OPEN, "no_meter"),
        ([TOILETS, SURFACE], END, Verdict.OPEN, "no_meter"),
        ([], END, Verdict.OPEN, "no_meter"),
        ([POTABLE, litres("canal", Kind.W_SURFACE, 0, HOUR)], END, Verdict.OPEN, "unread"),
        ([POTABLE, litres("canal", Kind.W_SURFACE, 0, 0, END - 1)], END, Verdict.OPEN, "unread"),
        ([POTABLE, SURFACE, litres("new", Kind.W_POTABLE, 0, HOUR)], END, Verdict.KEPT, "none"),
        ([POTABLE, SURFACE, litres("new", Kind.W_POTABLE, 0, HOUR, 2 * HOUR)], END, Verdict.OPEN, "unread"),
    ],
)
def test_water_verdicts(readings: list[Reading], as_of: int, verdict: Verdict, reason: str) -> None:
    assert judge_water(measured(*readings, as_of=as_of)) == (verdict, reason)


def test_an_exempt_meter_is_named_and_does_not_count() -> None:
    m = measured(POTABLE, SURFACE, TOILETS)
    assert m.used(Kind.W_POTABLE) == 0
    assert [(use.meter, use.use, use.cubic_metres) for use in m.meters if use.use] == [
        ("toilets", "sanitary", Fraction(9, 100))
    ]
    assert measured(SURFACE, TOILETS).used(Kind.W_POTABLE) is None


def test_a_meter_without_a_reading_of_the_window_is_no_zero() -> None:
    m = measured(POTABLE, SURFACE, window=Window("later", END, 2 * END), as_of=2 * END)
    assert [use.cubic_metres for use in m.meters] == [None, None]
    assert m.used(Kind.W_POTABLE) is m.used(Kind.W_SURFACE) is None


GAPS = st.sets(st.integers(0, 9)).map(
    lambda hours: [litres("cooling", Kind.W_POTABLE, hour, hour * HOUR, (hour + 1) * HOUR) for hour in hours]
)


@given(GAPS, st.integers(0, 10))
def test_volumes_and_gaps_add_up_over_parts(readings: list[Reading], cut: int) -> None:
    first = litres("cooling", Kind.W_POTABLE, 0, -HOUR, 0)
    windows = DAY, Window("a", 0, cut * HOUR), Window("b", cut * HOUR, END)
    sums = [
        [(use.cubic_metres, use.unread_seconds) for use in measured(first, *readings, window=window).meters]
        for window in windows
    ]
    (volume, unread), *parts = [pair for pairs in sums for pair in pairs]
    assert (volume or 0) == sum(part[0] or 0 for part in parts)
    assert unread == sum(part[1] for part in parts)


@pytest.mark.parametrize(
    ("readings", "ends", "unread"),
    [
        ([], {}, 5),
        ([], {"old": 5}, 5),
        ([litres("new", Kind.W_POTABLE, 0, 5 * HOUR)], {"old": 5}, 0),
        ([litres("new", Kind.W_POTABLE, 0, 7 * HOUR)], {"old": 5}, 2),
        ([litres("new", Kind.W_POTABLE, 0, 0)], {"old": 5}, 0),
        ([litres("new", Kind.W_POTABLE, 0, 0)], {"old": 6}, 1),
    ],
)
def test_a_meter_that_was_taken_out_of_use_is_expected_until_another_one_is_read(
    readings: list[Reading], ends: dict[str, int], unread: int
) -> None:
    """Otherwise a window would be kept that nobody measured."""
    of = [litres("old", Kind.W_POTABLE, 0, 0, 5 * HOUR), *readings]
    firsts = {each.meter: each.since for each in of}
    kinds = {Kind.W_POTABLE: of, Kind.W_SURFACE: [SURFACE]}
    m = measure_water(
        DAY, END, kinds, {Kind.W_POTABLE: firsts, Kind.W_SURFACE: {"canal": 0}}, {},
        {Kind.W_POTABLE: {meter: at * HOUR for meter, at in ends.items()}},
    )  # fmt: skip
    assert sum(use.unread_seconds for use in m.meters) == unread * HOUR
    assert judge_water(m) == ((Verdict.OPEN, "unread") if unread else (Verdict.KEPT, "none"))
