"""Energy is neither made nor lost by a split, an order, a gap or a cut; the jobs of a real GPU add up."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slurm_ai_factory.core.energy.meters import Kind, Placement, Reading
from slurm_ai_factory.core.energy.runs import (
    EnergyPart,
    Fill,
    Presence,
    Quality,
    StatedWatts,
    counted_fill,
    energy_of_run,
    modelled_fill,
    plausible,
    presences,
    split_node,
)
from tests.core.energy import h100
from tests.core.generated import RUN

LENGTH = 40


def node_reading(since: int, until: int, joules: object, unit: str = "J") -> Reading:
    return Reading("n1", Kind.E_NODE, since, until, Decimal(str(joules)), unit, "ipmi")


def gpu_reading(gpu: str, since: int, until: int, joules: object) -> Reading:
    return Reading(f"n1/{gpu}", Kind.E_GPU, since, until, Decimal(str(joules)), "J", "dcgm")


def present(run: int, since: int, until: int, gpus: tuple[str, ...] | None = (), weight: int = 1) -> Presence:
    return Presence(run, "n1", gpus, since, until, Fraction(weight))


def by_run(parts: Sequence[EnergyPart]) -> dict[tuple[int | None, Quality], Fraction]:
    sums: dict[tuple[int | None, Quality], Fraction] = {}
    for part in parts:
        key = part.run, part.quality
        sums[key] = sums.get(key, Fraction(0)) + part.joules
    return sums


E, G, A, P = Quality.NODE_EXCLUSIVE, Quality.GPU_NODE, Quality.APPORTIONED, Quality.GPU
WHOLE = node_reading(0, 10, 1000)
TWO = [gpu_reading("0/GPU-a", 0, 10, 300), gpu_reading("1/GPU-b", 0, 10, 200)]
Case = tuple[list[Reading], list[Reading], list[Presence], dict[tuple[int | None, Quality], int]]
CASES: dict[str, Case] = {
    "nobody": ([WHOLE], [], [], {(None, E): 1000}),
    "one run alone": ([WHOLE], [], [present(1, 0, 10)], {(1, E): 1000}),
    "one run for half of the time": ([WHOLE], [], [present(1, 5, 10)], {(None, E): 500, (1, E): 500}),
    "two by billing": (
        [WHOLE], [], [present(1, 0, 10, weight=3), present(2, 0, 10)], {(1, A): 750, (2, A): 250},
    ),
    "two without billing": (
        [WHOLE], [], [present(1, 0, 10, weight=0), present(2, 0, 10, weight=0)], {(1, A): 500, (2, A): 500},
    ),
    "two with a GPU each, one by its UUID": (
        [WHOLE], TWO, [present(1, 0, 10, ("0",), 3), present(2, 0, 10, ("GPU-b",))],
        {(1, G): 300 + 375, (2, G): 200 + 125},
    ),
    "a GPU that nobody has": ([WHOLE], TWO, [present(1, 0, 10, ("0",))], {(1, G): 800, (None, E): 200}),
    "all GPUs and alone": ([WHOLE], TWO, [present(1, 0, 10, ("0", "1"))], {(1, E): 1000}),
    "two on one GPU": (
        [], TWO[:1], [present(1, 0, 10, ("0",)), present(2, 0, 10, ("0",))], {(1, A): 150, (2, A): 150},
    ),
    "one without a GPU beside": (
        [WHOLE], TWO[:1], [present(1, 0, 10, ("0",)), present(2, 0, 10)], {(1, G): 650, (2, A): 350},
    ),
    "GPUs alone are measured": ([], TWO, [present(1, 0, 10, ("0",))], {(1, P): 300, (None, E): 200}),
    "which GPUs is not recorded": (
        [], TWO, [present(1, 0, 10, ("0",)), present(2, 0, 10, None)], {(1, P): 300, (2, A): 200},
    ),
    "a GPU's meter has a gap": (
        [WHOLE], [gpu_reading("0", 0, 9, 300)], [present(1, 0, 10, ("0",)), present(2, 0, 10)],
        {(1, A): 500, (2, A): 500},
    ),
    "a meter that does not cover the GPUs": (
        [node_reading(0, 10, 100)], TWO[:1], [present(1, 0, 10, ("0",))], {(1, P): 300},
    ),
    "nothing is measured": ([], [], [present(1, 0, 10)], {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_energy_of_a_node_by_run(case: str) -> None:
    node, gpus, runs, wanted = CASES[case]
    assert by_run(list(split_node(node, gpus, runs))) == wanted


def tiled(kind: Kind, meter: str) -> st.SearchStrategy[list[Reading]]:
    """Readings without an overlap, with gaps."""

    def made(rows: list[tuple[int, int, int]]) -> list[Reading]:
        at, readings = 0, []
        for gap, length, value in rows:
            readings.append(Reading(meter, kind, at + gap, at + gap + length, Decimal(value), "J", "s"))
            at += gap + length
        return readings

    row = st.tuples(st.integers(0, 2), st.integers(1, 9), st.integers(0, 999))
    return st.lists(row, max_size=5).map(made)


PRESENCES = st.lists(
    st.builds(
        lambda run, since, length, gpus, weight: present(run, since, since + length, gpus, weight),
        st.integers(1, 4),
        st.integers(0, LENGTH),
        st.integers(1, LENGTH),
        st.sampled_from([None, (), ("0",), ("1",), ("0", "1")]),
        st.integers(0, 5),
    ),
    max_size=5,
)
NODE = tiled(Kind.E_NODE, "n1")
GPUS = st.tuples(tiled(Kind.E_GPU, "n1/0"), tiled(Kind.E_GPU, "n1/1")).map(lambda pair: [*pair[0], *pair[1]])


@given(NODE, PRESENCES)
def test_a_node_gives_away_what_it_used(node: list[Reading], runs: list[Presence]) -> None:
    parts = list(split_node(node, [], runs))
    assert sum(part.joules for part in parts) == sum(reading.amount for reading in node)
    assert all(part.joules >= 0 for part in parts)


@given(GPUS, PRESENCES)
def test_gpus_give_away_what_they_used(gpus: list[Reading], runs: list[Presence]) -> None:
    parts = list(split_node([], gpus, runs))
    assert sum(part.joules for part in parts) == sum(reading.amount for reading in gpus)


@given(NODE, GPUS, PRESENCES)
def test_a_node_with_gpus_gives_away_no_more_than_was_measured(
    node: list[Reading], gpus: list[Reading], runs: list[Presence]
) -> None:
    """Where the node's meter told less than the GPUs, or a GPU has a gap, one of the two is left out."""
    parts = list(split_node(node, gpus, runs))
    total = sum(part.joules for part in parts)
    assert 0 <= total <= sum(reading.amount for reading in (*node, *gpus))
    if not [reading for reading in node if any(gpu.within(reading.since, reading.until) for gpu in gpus)]:
        assert total >= sum(reading.amount for reading in node)


@given(NODE, GPUS, PRESENCES, st.randoms())
def test_the_order_in_which_things_come_changes_nothing(
    node: list[Reading], gpus: list[Reading], runs: list[Presence], random: st.DataObject
) -> None:
    runs = list({presence.run: presence for presence in runs}.values())
    before = by_run(list(split_node(node, gpus, runs)))
    for things in (node, gpus, runs):
        random.shuffle(things)  # type: ignore[attr-defined]
    assert by_run(list(split_node(node, gpus, runs))) == before


CUTS = st.lists(st.integers(-5, 3 * LENGTH), max_size=6)


@example([node_reading(0, 40, 400)], [], [present(1, 0, 40)], [10, 30], False)
@given(NODE, GPUS, PRESENCES, CUTS, st.booleans())
def test_the_parts_of_a_window_add_up(
    node: list[Reading], gpus: list[Reading], runs: list[Presence], cuts: list[int], fills: bool
) -> None:
    run = RUN._replace(start_at=2, end_at=2 + LENGTH, elapsed_seconds=LENGTH)
    parts = [part for part in split_node(node, gpus, runs) if part.run == 1]
    fill = Fill(Fraction(7), Quality.MODELLED) if fills else None

    def energy(since: int, until: int) -> tuple[Fraction, Fraction | int]:
        of = energy_of_run(run, parts, fill, since, until, LENGTH)
        return of.total, of.unknown_seconds

    edges = [-9, *sorted(cuts), 4 * LENGTH]
    pieces = [energy(*cut) for cut in pairwise(edges)]
    whole = energy(-9, 4 * LENGTH)
    assert sum((joules for joules, _ in pieces), start=Fraction(0)) == whole[0]
    assert sum(seconds for _, seconds in pieces) == whole[1]


def test_a_reading_above_what_a_node_can_draw_is_kept_apart() -> None:
    fine, outlier = node_reading(0, 10, 1000), node_reading(10, 20, 10_001)
    assert plausible([fine, outlier], Fraction(1000)) == ([fine], [outlier])
    assert plausible([fine, outlier], None) == ([fine, outlier], [])


def test_slurms_counter_fills_the_time_that_no_meter_told() -> None:
    run = RUN._replace(start_at=0, end_at=100, elapsed_seconds=100, alloc_tres="cpu=4,node=2")
    fill = counted_fill(run, 4000)
    assert energy_of_run(run, [], fill, 0, 50, 200).joules == {E: 2000}
    half = EnergyPart(1, 0, 100, Fraction(900), A)
    both = energy_of_run(run, [half], fill, 0, 100, 200)
    assert both.joules == {A: 900, E: 2000}
    assert both.quality is A
    assert counted_fill(run, None) is counted_fill(RUN, 4000) is None


def test_a_model_is_dated_and_says_what_it_knows() -> None:
    run = RUN._replace(alloc_tres="cpu=4,gres/gpu=2,node=2", end_at=100, elapsed_seconds=100)
    stated = [
        StatedWatts("gres/gpu", Decimal(700), 0, "data sheet"),
        StatedWatts("gres/gpu", Decimal(600), 50, "measured"),
        StatedWatts("cpu", Decimal("2.5"), 0, "measured"),
    ]
    assert modelled_fill(run, stated, 49, 200) == Fill(Fraction(705), Quality.MODELLED)
    assert modelled_fill(run, stated, 50, 200) == Fill(Fraction(605), Quality.MODELLED)
    assert modelled_fill(run._replace(alloc_tres="mem=4,node=1"), stated, 50, 200) is None
    suspended = run._replace(elapsed_seconds=20, suspended_seconds=80)
    assert modelled_fill(suspended, stated, 50, 200) == Fill(Fraction(121), Quality.MODELLED)


def test_a_run_of_which_nothing_is_known_has_no_figure() -> None:
    of = energy_of_run(RUN._replace(end_at=10), [], None, 0, 10, 20)
    assert (of.joules, of.quality, of.unknown_seconds) == ({}, Quality.NONE, Fraction(10))


@pytest.mark.parametrize("fills", [False, True])
def test_a_gpu_without_a_reading_is_not_known_and_not_silently_left_out(fills: bool) -> None:
    """One of two GPUs has a gap: half of the run is as if no meter had read it."""
    run = RUN._replace(start_at=0, end_at=10, elapsed_seconds=10, alloc_tres="cpu=4,gres/gpu=2,node=1")
    gap = [gpu_reading("0", 0, 10, 300), gpu_reading("1", 0, 5, 100)]
    parts = list(split_node([], gap, [present(1, 0, 10, ("0", "1"))]))
    of = energy_of_run(run, parts, Fill(Fraction(8), Quality.MODELLED) if fills else None, 0, 10, 20)
    modelled = {Quality.MODELLED: Fraction(5 * 8, 2)} if fills else {}
    assert of.joules == {P: 400, **modelled}
    assert of.unknown_seconds == (0 if fills else Fraction(5, 2))
    assert of.quality is (Quality.MODELLED if fills else Quality.NONE)


def test_a_requeued_job_has_its_own_part_of_a_placement() -> None:
    run = RUN._replace(start_at=10, end_at=20, alloc_tres="billing=8,cpu=4,gres/gpu=1,node=2")
    (there,) = presences(run, [Placement(7, "n1", (), 0, 15)])
    assert there == Presence(1, "n1", None, 10, 15, Fraction(4))
    assert list(presences(run, [Placement(7, "n1", ("0",), 20, 30)])) == []
    assert list(presences(RUN._replace(start_at=None), [Placement(7, "n1", (), 0, 15)])) == []


RECORDED = {
    "counter": ("energy_counter_j", "J", 0.001, set[str]()),
    "samples of power": ("power_w", "W", 0.01, {"D"}),
}


@pytest.mark.parametrize("source", RECORDED)
def test_the_jobs_of_a_real_gpu_and_its_idle_time_close_to_its_meter(source: str) -> None:
    column, unit, tolerance, marked = RECORDED[source]
    readings = h100.readings(column, unit)
    span = readings[0].since, readings[-1].until
    jobs = {
        placed.job_id: RUN._replace(
            db_index=placed.job_id, job_id=placed.job_id, start_at=placed.since, end_at=placed.until,
            alloc_tres="cpu=4,gres/gpu=1,node=1",
        )
        for placed in h100.placements()
    }  # fmt: skip
    there = [one for placed in h100.placements() for one in presences(jobs[placed.job_id], [placed])]
    parts = list(split_node([], readings, there))
    energy = {
        job: energy_of_run(run, [part for part in parts if part.run == job], None, *span, span[1])
        for job, run in jobs.items()
    }
    idle = sum(part.joules for part in parts if part.run is None)
    total = float(sum(of.total for of in energy.values()) + idle)
    assert total == pytest.approx(h100.TOTAL_JOULES, rel=tolerance)
    for name, job in h100.JOBS.items():
        of = energy[job].total + (energy[h100.SECOND_OF_C].total if name == "C" else 0)
        if name not in marked:
            assert float(of) == pytest.approx(h100.told()[name].joules, rel=0.02), name
        assert energy[job].quality is (Quality.APPORTIONED if name == "C" else Quality.GPU)
        assert energy[job].coarse == (name in marked)
