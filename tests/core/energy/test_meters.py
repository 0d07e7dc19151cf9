"""Which values are readings, and which readings the ledger takes: values in, values out."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.energy import meters
from slurm_ai_factory.core.energy.meters import Kind, MeterEntry, Reading, faults, value_of

POISON = [
    "", " ", "N/A", "[N/A]", "NaN", "nan", "inf", "-inf", "null", "9223372036854775794",
    "9223372036854775792", "9.223372036854776e+18", "18446744073709551615", "-1", "1,5", "12 W",
]  # fmt: skip


def reading(since: int, until: int, value: object = 1, meter: str = "m", unit: str = "J") -> Reading:
    return Reading(meter, Kind.E_IT, since, until, Decimal(str(value)), unit, "file")


@pytest.mark.parametrize("text", POISON)
def test_a_value_that_was_not_measured_is_no_figure(text: str) -> None:
    with pytest.raises(ValueError, match=r"no value|not a number|not measured|below 0"):
        value_of(text)


@pytest.mark.parametrize(
    ("kind", "meter", "since", "until", "unit", "why"),
    [
        (Kind.E_IT, "m", 0, 900, "m3", "'m3' is not a unit of E_IT"),
        (Kind.W_IN, "m", 0, 900, "kWh", "'kWh' is not a unit of W_IN; there are m3, L"),
        (Kind.E_IT, "m", 900, 900, "J", "does not end after it begins"),
        (Kind.E_IT, "", 0, 900, "J", "the meter has no name"),
        (Kind.E_GPU, "0", 0, 900, "J", "'0' is not a GPU such as NODE/0"),
        (Kind.P_15MIN, "grid", 0, 60, "kW", "is not a quarter of an hour"),
    ],
)
def test_what_cannot_be_a_reading_is_said(
    kind: Kind, meter: str, since: int, until: int, unit: str, why: str
) -> None:
    (fault,) = faults(Reading(meter, kind, since, until, Decimal(1), unit, "file"))
    assert why in fault


@pytest.mark.parametrize(
    ("unit", "amount"),
    [
        ("J", 2),
        ("mJ", Decimal("0.002")),
        ("kWh", 7_200_000),
        ("MWh", 7_200_000_000),
        ("W", 1800),
        ("kW", 1_800_000),
    ],
)
def test_every_unit_of_energy_is_joules(unit: str, amount: object) -> None:
    """Power is its mean over the interval, here of 900 s."""
    assert reading(0, 900, 2, unit=unit).amount == amount
    assert not set(faults(reading(0, 900, 2, unit=unit)))


@given(
    st.integers(1, 10**6),
    st.integers(0, 10**9),
    st.lists(st.integers(-10, 10**6 + 10), min_size=2, max_size=9),
)
def test_the_parts_of_a_reading_add_up(length: int, value: int, cuts: list[int]) -> None:
    whole = reading(0, length, value)
    edges = [-10, *sorted(cuts), 10**6 + 20]
    assert sum(whole.within(*cut) for cut in pairwise(edges)) == whole.amount


SPANS = st.tuples(st.integers(0, 20), st.integers(1, 8), st.sampled_from("mn"), st.integers(1, 2))


@given(st.lists(SPANS, max_size=12))
def test_a_meter_measures_an_instant_once_and_an_import_may_run_again(
    spans: list[tuple[int, int, str, int]],
) -> None:
    new = [
        (f"line {n}", reading(at, at + size, value, meter))
        for n, (at, size, meter, value) in enumerate(spans)
    ]
    took = meters.sort_readings([], new, {})
    assert len(took.new) + took.known + len(took.skipped) == len(new)
    for one in took.new:
        clashes = [other for other in took.new if other.meter == one.meter and other.since < one.until]
        assert all(other is one or other.until <= one.since for other in clashes)
    entries = [
        MeterEntry(entry_id=n, reading=one, reason="", recorded_at=0, actor="a")
        for n, one in enumerate(took.new)
    ]
    again = meters.sort_readings(entries, [("line", one) for one in took.new], {})
    assert (again.new, again.known, again.skipped) == ((), len(took.new), ())
