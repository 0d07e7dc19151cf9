"""Counters and samples of power become readings, and whatever was not measured stays a gap."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.energy.meters import Kind
from slurm_ai_factory.core.energy.samples import Series, from_series, placements_sheet, readings_sheet
from tests.core.energy import h100

HEADER = b"meter,kind,since,until,value,unit\n"


@pytest.mark.parametrize(
    ("values", "unit", "intervals", "why"),
    [
        (["1", "2", "4"], "J", [(0, 60, 1), (60, 120, 2)], []),
        (["1", "N/A", "4"], "J", [(0, 120, 3)], ["'N/A' is not a number"]),
        (["1", None, None, None, "9"], "J", [(0, 240, 8)], []),
        (["1", None, None, None, None, "9"], "J", [], ["no value for 300 s"]),
        (["4", "1", "2"], "J", [(60, 120, 1)], ["the counter went back from 4 to 1"]),
        (["4294967290", "3"], "J", [], ["the counter went back"]),
        (["1", "9223372036854775794", "4"], "mJ", [(0, 120, 3)], ["for a value that was not measured"]),
        (["100", "200", "0"], "W", [(0, 60, 150), (60, 120, 100)], []),
        (["100", "NaN", "200"], "W", [], ["stands for a value", "no value for 120 s"]),
        ([], "W", [], []),
    ],
)  # fmt: skip
def test_samples_become_readings(
    values: list[str | None], unit: str, intervals: list[tuple[int, int, int]], why: list[str]
) -> None:
    samples = [(60 * n, text) for n, text in enumerate(values) if text is not None]
    readings, skipped = from_series(Series("n1/0", samples), Kind.E_GPU, unit, 60, "dcgm")
    assert [(one.since, one.until, float(one.value)) for one in readings] == intervals
    assert len(skipped) == len(why)
    for row, reason in zip(skipped, why, strict=True):
        assert reason in row.reason


def test_the_mean_of_a_quarter_is_of_the_quarter_that_ends_there() -> None:
    (reading,), _ = from_series(Series("grid", [(1800, "12.5")]), Kind.P_15MIN, "kW", 900, "bms")
    assert (reading.since, reading.until, float(reading.watts)) == (900, 1800, 12_500)


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=20), st.sets(st.integers(1, 18)))
def test_a_counter_that_never_goes_back_is_known_whole_whatever_is_blank(
    steps: list[int], blank: set[int]
) -> None:
    """As long as no gap is so long that a reset could hide in it."""
    counter, total = [], 0
    for n, step in enumerate(steps):
        total += step
        counter.append((n, "" if n % 4 and n in blank and n + 1 < len(steps) else str(total)))
    readings, _ = from_series(Series("m", counter), Kind.E_IT, "J", 1, "bms")
    assert sum(reading.value for reading in readings) == total - steps[0]


def test_the_counter_and_the_power_of_a_real_gpu_agree() -> None:
    counter = sum(reading.amount for reading in h100.readings("energy_counter_j", "J"))
    power = sum(reading.amount for reading in h100.readings("power_w", "W"))
    assert float(counter) == pytest.approx(h100.TOTAL_JOULES, rel=0.001)
    assert float(power) == pytest.approx(h100.TOTAL_JOULES, rel=0.01)


def test_a_table_says_which_lines_have_no_value() -> None:
    lines = [b"hall,E_IT,0,900,1.5,kWh", b"hall,E_IT,900,1800,,kWh", b"hall,E_IT,1800,2700,-3,kWh"]
    readings, skipped, faults = readings_sheet(HEADER + b"\n".join(lines), "bms.csv", int)
    assert [(where, one.value) for where, one in readings] == [("line 2", Decimal("1.5"))]
    assert [(row.where, row.reason) for row in skipped] == [
        ("line 3", "there is no value"), ("line 4", "-3 is below 0"),
    ]  # fmt: skip
    assert faults == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"hall,E_XY,0,900,1,kWh", "'E_XY' is not a kind of meter; there are E_DC"),
        (b"hall,E_IT,0,900,1,m3", "'m3' is not a unit of E_IT"),
        (b"hall,E_IT,0,900,,m3", "'m3' is not a unit of E_IT"),
        (b"hall,E_IT,x,900,1,kWh", "invalid literal"),
        (b"hall,E_IT,0,900,1", "has 5 cells"),
        (b"", "has no line below the first"),
    ],
)
def test_a_table_with_a_mistake_is_refused(line: bytes, why: str) -> None:
    (fault,) = readings_sheet(HEADER + line, "bms.csv", int)[2]
    assert why in fault.reason


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"7_3,n1,0,0,60", "'7_3' is not a job number"),
        (b"7,,0,0,60", "there is no node"),
        (b"7,n1,0,60,60", "does not end after it begins"),
        (b"0,n1,0,0,60", "'0' is not a job number"),
        (b"99999999999999999999999,n1,0,0,60", "is not a job number"),
    ],
)
def test_a_placement_that_cannot_be_is_refused(line: bytes, why: str) -> None:
    (fault,) = placements_sheet(b"job,node,gpus,since,until\n" + line, int)[1]
    assert why in fault.reason
