"""Closure over the time that its meters cover, indicators, CO2, and the sums by group."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.energy import closure
from slurm_ai_factory.core.energy.closure import Closure, EmissionFactor, Indicator, add_up, cells
from slurm_ai_factory.core.energy.meters import Kind, Reading
from slurm_ai_factory.core.energy.runs import EnergyPart, Fill, Quality
from slurm_ai_factory.core.measure.share import SortedRun
from slurm_ai_factory.core.records import Instant, Run
from slurm_ai_factory.core.rules.classify import ClassifiedPart, always
from tests.core.generated import OTHERS, REGIONAL, RUN

SPANS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.integers(1, 9)), max_size=8)


def reading(
    kind: Kind, since: int, until: int, value: object, unit: str = "kWh", meter: str = "m"
) -> Reading:
    return Reading(meter, kind, since, until, Decimal(str(value)), unit, "bms")


@given(SPANS, st.integers(0, 40))
def test_covered_is_where_every_meter_has_a_reading(spans: list[tuple[str, int, int]], at: int) -> None:
    ends: dict[str, int] = {}
    readings = []
    for meter, gap, length in spans:
        since = ends.get(meter, 0) + gap % 4
        ends[meter] = since + length
        readings.append(reading(Kind.E_IT, since, ends[meter], 1, meter=meter))
    covered = closure.covered_intervals(readings, 0, 41)
    there = {one.meter for one in readings if one.since <= at < one.until}
    wanted = bool(readings) and there == {one.meter for one in readings if one.since < 41}
    assert any(since <= at < until for since, until in covered) == wanted
    assert all(before[1] < after[0] for before, after in pairwise(covered)), "joined where they touch"


def test_a_meter_that_was_taken_out_of_use_needs_no_reading_while_another_one_has() -> None:
    readings = [reading(Kind.E_IT, 0, until, 1, meter=meter) for meter, until in (("a", 10), ("b", 20))]
    assert closure.covered_intervals(readings, 0, 30) == [(0, 10)]
    assert closure.covered_intervals(readings, 0, 30, {"a": 10}) == [(0, 20)]
    assert closure.covered_intervals(readings, 0, 30, {"a": 12}) == [(0, 10), (12, 20)]
    assert closure.covered_intervals(readings[:1], 0, 30, {"a": 10}) == [(0, 10)], "no reading is no 0"


@given(SPANS, st.lists(st.integers(0, 60), max_size=5))
def test_an_amount_is_the_sum_of_its_parts(spans: list[tuple[str, int, int]], cuts: list[int]) -> None:
    readings = [reading(Kind.E_IT, since, since + length, 7) for _, since, length in spans]
    edges = [0, *sorted(set(cuts) - {0, 61}), 61]
    whole = closure.amount_within(readings, [(0, 61)])
    assert whole == closure.amount_within(readings, list(pairwise(edges)))
    assert whole == sum(one.amount for one in readings)


PUE = Indicator("PUE", Kind.E_DC, Kind.E_IT, "1", "edition")
WUE = Indicator("WUE", Kind.W_IN, Kind.E_IT, "m3/MWh", "edition")


@pytest.mark.parametrize(
    ("row", "readings", "value", "seconds"),
    [
        (PUE, [reading(Kind.E_DC, 0, 100, 12), reading(Kind.E_IT, 0, 100, 10)], 1.2, 100),
        (PUE, [reading(Kind.E_DC, 0, 50, 12), reading(Kind.E_IT, 0, 100, 10)], 2.4, 50),
        (PUE, [reading(Kind.E_IT, 0, 100, 10)], None, 0),
        (PUE, [reading(Kind.E_DC, 0, 100, 12), reading(Kind.E_IT, 0, 100, 0)], None, 100),
        (WUE, [reading(Kind.W_IN, 0, 100, 500, "L"), reading(Kind.E_IT, 0, 100, 2, "MWh")], 0.25, 100),
        (WUE, [reading(Kind.W_IN, 0, 100, 0, "m3"), reading(Kind.E_IT, 0, 100, 2, "MWh")], 0, 100),
    ],
)  # fmt: skip
def test_an_indicator_is_known_where_both_of_its_kinds_are(
    row: Indicator, readings: list[Reading], value: float | None, seconds: int
) -> None:
    by_kind = {kind: [one for one in readings if one.kind is kind] for kind in Kind}
    ratio = closure.indicator_value(row, by_kind, 0, 100, {})
    assert ratio.value == (None if value is None else pytest.approx(value))
    assert ratio.covered_seconds == seconds


FACTORS = [
    EmissionFactor("location", Decimal(300), 0, "grid"),
    EmissionFactor("location", Decimal(200), 50, "grid"),
    EmissionFactor("market", Decimal(10), 20, "contract"),
]


@pytest.mark.parametrize(
    ("basis", "until", "kilograms", "used"),
    [
        ("location", 100, 0.5 * 10 * 0.3 + 0.5 * 10 * 0.2, 2),
        ("market", 100, None, 1),
        ("location", 101, None, 2),
        ("other", 100, None, 0),
    ],
)
def test_co2_is_known_where_readings_and_factors_cover_it_all(
    basis: str, until: int, kilograms: float | None, used: int
) -> None:
    total, factors = closure.emitted([reading(Kind.E_DC, 0, 100, 10)], FACTORS, basis, 0, until)
    assert total == (None if kilograms is None else pytest.approx(kilograms))
    assert len(factors) == used


@pytest.mark.parametrize(
    ("kappa", "covered", "known", "holds", "sentence"),
    [
        (None, 0, 1.0, False, "no figures by beneficiary: E_IT is not recorded in this window"),
        (None, 100, 0.0, False, "no figures by beneficiary: the energy of runs and nodes is not recorded"),
        (
            1.0,
            50,
            1.0,
            False,
            "no figures by beneficiary: E_IT is recorded for only 50% of the window so far",
        ),
        (1.0, 100, 0.8, False, "no figures by beneficiary: energy is known for only 80% of the time of runs"),
        (0.89, 100, 1.0, False, "no figures by beneficiary: closure 0.890 is outside 0.9 to 1.1"),
        (1.11, 100, 1.0, False, "no figures by beneficiary: closure 1.110 is outside 0.9 to 1.1"),
        (0.9, 90, 0.9, True, "closure 0.900 is within 0.9 to 1.1"),
        (1.1, 100, 1.0, True, "closure 1.100 is within 0.9 to 1.1"),
    ],
)
def test_figures_by_beneficiary_are_given_only_where_closure_holds(
    kappa: float | None, covered: int, known: float, holds: bool, sentence: str
) -> None:
    of = Closure(
        kappa=kappa, covered_seconds=covered, elapsed_seconds=100, known_ratio=known, least=0.9, most=1.1
    )
    assert (of.holds, of.sentence) == (holds, sentence)


ENDED = RUN._replace(end_at=100, elapsed_seconds=100, alloc_tres="cpu=4,node=1")
HALVES = (ClassifiedPart(0, 60, 1, REGIONAL), ClassifiedPart(60, 10**9, 1, OTHERS))
SHARED = (
    ClassifiedPart(0, 10**9, Decimal("0.4"), REGIONAL),
    ClassifiedPart(0, 10**9, Decimal("0.6"), OTHERS),
)


def added(
    parts: tuple[ClassifiedPart, ...], since: int, until: int, covered: Iterable[tuple[int, int]] = ()
) -> closure.EnergySums:
    """Metered for 20 s at 3 W, modelled at 5 W for the rest."""

    def fill(_: Run, at: Instant) -> Fill | None:
        return Fill(Fraction(5), Quality.MODELLED) if at < 80 else None

    metered = {1: [EnergyPart(1, 0, 20, Fraction(60), Quality.APPORTIONED)]}
    cut = cells(since, until, list(covered), [80])
    return add_up([SortedRun(ENDED, parts)], metered, fill, cut, lambda *_: ("",), 200)


def test_energy_goes_to_the_side_that_a_run_was_on_at_the_time() -> None:
    sums = added(HALVES, 0, 200, [(10, 70)])
    by_side = {str(group.beneficiary): dict(of) for group, of in sums.groups.items()}
    assert by_side == {
        "regional": {Quality.APPORTIONED: 60, Quality.MODELLED: 200},
        "non_regional": {Quality.MODELLED: 100},
    }
    assert float(sums.closing) == 30 + 250
    assert (float(sums.unknown_seconds), float(sums.node_seconds)) == (20, 100)
    shared = added(SHARED, 0, 200).groups
    assert {str(group.beneficiary): float(sum(of.values())) for group, of in shared.items()} == {
        "regional": 144.0, "non_regional": 216.0,
    }  # fmt: skip


@given(st.lists(st.integers(0, 120), max_size=5), st.sampled_from([HALVES, SHARED, always(OTHERS)]))
def test_the_windows_that_make_up_a_window_add_up_to_it(
    cuts: list[int], parts: tuple[ClassifiedPart, ...]
) -> None:
    edges = [-5, *sorted(set(cuts)), 130]
    pieces = [added(parts, *span, [(30, 90)]) for span in pairwise(edges)]
    whole = added(parts, -5, 130, [(30, 90)])
    assert sum((of.total for of in pieces), start=Fraction(0)) == whole.total
    assert sum(of.closing for of in pieces) == whole.closing
    assert sum(of.unknown_seconds for of in pieces) == whole.unknown_seconds
