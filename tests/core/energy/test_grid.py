"""The verdict on the grid: quarters, missing readings, parts of a window."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.energy.allowed import AllowedEntry, PowerKind
from slurm_ai_factory.core.energy.grid import GridMeasurement, highest, judge_grid, measure_grid
from slurm_ai_factory.core.energy.meters import QUARTER, Kind, Reading
from slurm_ai_factory.core.records import HOUR, Verdict, Window
from tests.core.energy.test_allowed import ENTRIES, entry, row

DAY = Window("day", 0, 10 * HOUR)
END = DAY.until


def reading(quarter: int, kw: int, meter: str = "main") -> Reading:
    since = quarter * QUARTER
    return Reading(meter, Kind.P_15MIN, since, since + QUARTER, Decimal(kw), "kW", "bms.csv")


def whole(*changed: Reading, kw: int = 500) -> list[Reading]:
    """A reading of every quarter of the window, some of them changed."""
    by_quarter = {each.since: each for each in [*(reading(n, kw) for n in range(40)), *changed]}
    return list(by_quarter.values())


def measured(
    readings: list[Reading], entries: list[AllowedEntry], window: Window = DAY, as_of: int = END
) -> GridMeasurement:
    return measure_grid(window, as_of, readings, {"main": 0}, entries)


CONTRACT = entry(1, row(0, 40, 600))
LIMIT = entry(2, row(8, 12, 400, PowerKind.TDTR))


@pytest.mark.parametrize(
    ("readings", "entries", "as_of", "verdict", "reason"),
    [
        (whole(), [CONTRACT], END, Verdict.KEPT, "within"),
        (whole(kw=600), [CONTRACT], END, Verdict.KEPT, "within"),
        (whole(), [CONTRACT, LIMIT], END, Verdict.EXCEEDED, "exceeded"),
        (whole()[1:], [CONTRACT], END, Verdict.OPEN, "unread"),
        ([], [CONTRACT], END, Verdict.OPEN, "unread"),
        (whole()[1:], [CONTRACT, LIMIT], END, Verdict.EXCEEDED, "exceeded"),
        (whole(), [], END, Verdict.OPEN, "no_profile"),
        (whole(), [entry(1, row(1, 40, 600))], END, Verdict.OPEN, "no_profile"),
        (whole(), [CONTRACT], END - 1, Verdict.OPEN, "not_over"),
        (whole(), [CONTRACT, LIMIT], 8 * QUARTER, Verdict.OPEN, "not_over"),
        (whole(), [CONTRACT, LIMIT], 9 * QUARTER, Verdict.EXCEEDED, "exceeded"),
    ],
)
def test_verdicts(
    readings: list[Reading], entries: list[AllowedEntry], as_of: int, verdict: Verdict, reason: str
) -> None:
    assert judge_grid(measured(readings, entries, as_of=as_of)) == (verdict, reason)


def test_what_was_drawn_above_the_limit_is_energy() -> None:
    m = measured(whole(reading(8, 401), reading(9, 700)), [CONTRACT, LIMIT])
    assert (m.exceeded, m.excess_kwh, m.peak_kw) == (4, Fraction(1 + 300 + 100 + 100, 4), Fraction(700))
    assert m.limited_seconds == HOUR
    assert m.evidence["allowed_entries"] == [1, 2]


def test_meters_of_a_connection_add_up_from_their_first_reading_on() -> None:
    """A quarter in which one of them is silent is not read: what the other one drew is not all."""
    second = [reading(n, 50, "second") for n in range(10, 39)]
    m = measure_grid(DAY, END, [*whole(), *second], {"main": 0, "second": 10 * QUARTER}, [CONTRACT])
    assert (m.unread, m.peak_kw, judge_grid(m).reason) == (1, Fraction(550), "unread")
    assert highest([], {"main": 0}, DAY) is None


def test_a_reading_that_is_no_quarter_of_the_grid_is_not_one() -> None:
    odd = Reading("main", Kind.P_15MIN, 60, 60 + QUARTER, Decimal(500), "kW", "bms.csv")
    assert measured([odd, *whole()[2:]], [CONTRACT]).unread == 2


READINGS = st.dictionaries(st.integers(0, 39), st.integers(0, 9)).map(
    lambda kws: [reading(*pair) for pair in kws.items()]
)
SUMS = ("quarters", "unread", "unallowed", "compared", "exceeded", "excess_kwh", "limited_seconds")


@given(READINGS, ENTRIES, st.integers(0, 10), st.integers(0, 40 * QUARTER), st.randoms(use_true_random=False))
def test_parts_of_a_window_add_up_and_order_does_not_matter(
    readings: list[Reading], entries: list[AllowedEntry], cut: int, as_of: int, random: Random
) -> None:
    whole_day = measured(readings, entries, as_of=as_of)
    random.shuffle(readings)
    random.shuffle(entries)
    assert measured(readings, entries, as_of=as_of) == whole_day
    windows = Window("a", 0, cut * HOUR), Window("b", cut * HOUR, END)
    parts = [measured(readings, entries, window, as_of) for window in windows]
    for name in SUMS:
        assert sum(getattr(part, name) for part in parts) == getattr(whole_day, name), name
    peaks = [part.peak_kw for part in parts if part.peak_kw is not None]
    assert max(peaks, default=None) == whole_day.peak_kw


@given(READINGS, ENTRIES)
def test_the_digest_tells_different_evidence_apart(
    readings: list[Reading], entries: list[AllowedEntry]
) -> None:
    before = measured(readings, entries).evidence["digest"]
    absent = next(n for n in range(41) if n * QUARTER not in {each.since for each in readings})
    if absent < 40:
        assert measured([*readings, reading(absent, 0)], entries).evidence["digest"] != before
    assert measured(readings, [*entries, entry(99, row(0, 40, 0))]).evidence["digest"] != before


def test_a_meter_that_was_taken_out_of_use_needs_no_reading_any_more() -> None:
    """Only from then on, and only while another one is read."""
    both = [*whole(), *(reading(n, 10, "old") for n in range(20))]
    meters = {"main": 0, "old": 0}

    def unread(readings: list[Reading], ends: dict[str, int]) -> int:
        return measure_grid(DAY, END, readings, meters, [CONTRACT], ends).unread

    assert unread(both, {}) == 20
    assert unread(both, {"old": 20 * QUARTER}) == 0
    assert unread(both, {"old": 25 * QUARTER}) == 5
    assert unread(both[:10], {"old": 0, "main": 10 * QUARTER}) == 30
