"""Waiting times: which runs count, on which side, and when a figure is left out."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.measure.share import SortedRun
from slurm_ai_factory.core.measure.waits import (
    ALL_SIZES,
    MEDIAN,
    NINETIETH,
    Wait,
    WaitQuantiles,
    wait_quantile,
    waiting_times,
    waits_of,
)
from slurm_ai_factory.core.records import FOREVER, Run, Subject
from slurm_ai_factory.core.rules.classify import Beneficiary, Classification, ClassifiedPart


def sorted_run(
    eligible: int | None, start: int | None, nodes: int, *sides: tuple[Beneficiary, Decimal | int]
) -> SortedRun:
    tres = f"cpu=1,node={nodes}"
    subject = Subject("c", "acc", "u", "p", "q", "", "")
    run = Run(1, 1, "1", subject, "COMPLETED", eligible, eligible, start, None, 0, 0, tres, tres)
    parts = [
        ClassifiedPart(0, FOREVER, fraction, Classification(beneficiary=side, organisation=f"org {side}"))
        for side, fraction in sides
    ]
    return SortedRun(run, tuple(parts))


REGIONAL = (Beneficiary.REGIONAL, 1)


@pytest.mark.parametrize(
    ("eligible", "start", "waited"),
    [
        (100, 160, [60]), (100, 100, [0]), (200, 160, [0]),
        (None, 160, []), (100, None, []), (0, 99, []), (0, 1000, []), (0, 999, [999]),
    ],
)  # fmt: skip
def test_a_run_counts_in_the_window_in_which_it_started(
    eligible: int | None, start: int | None, waited: list[int]
) -> None:
    runs = [sorted_run(eligible, start, 1, REGIONAL)]
    assert [wait.seconds for wait in waits_of(runs, (100, 1000))] == waited


@pytest.mark.parametrize(
    ("nodes", "size"), [(1, "one_node"), (2, "few_nodes"), (4, "few_nodes"), (5, "many_nodes")]
)
def test_sizes_are_by_nodes(nodes: int, size: str) -> None:
    assert [wait.size for wait in waits_of([sorted_run(0, 9, nodes, REGIONAL)], (0, 10))] == [size]


def test_a_joint_project_counts_on_each_side_by_its_fraction() -> None:
    run = sorted_run(
        0, 9, 1, (Beneficiary.REGIONAL, Decimal("0.4")), (Beneficiary.NON_REGIONAL, Decimal("0.6"))
    )
    waits = list(waits_of([run], (0, 10)))
    assert [(wait.regional, wait.weight) for wait in waits] == [
        (True, Decimal("0.4")),
        (False, Decimal("0.6")),
    ]


def test_what_few_organisations_waited_is_left_out_on_either_side() -> None:
    waits = [Wait("one_node", True, whose, 60, 1) for whose in "abc"]
    waits += [Wait("few_nodes", True, whose, 600, 1) for whose in "ab"]
    waits += [Wait("one_node", False, whose, 5, 1) for whose in "de"]
    found = {each.size: each for each in waiting_times(waits, 3)}
    assert found[ALL_SIZES].regional == WaitQuantiles(60, 600)
    assert found["one_node"].regional == WaitQuantiles(60, 60)
    assert found["few_nodes"].regional is None
    assert {each.others for each in found.values()} == {None}


WEIGHTED = st.lists(
    st.tuples(st.integers(0, 10**6), st.decimals("0.000001", 1, places=6)), min_size=1, max_size=30
)


@given(WEIGHTED, st.sampled_from([MEDIAN, NINETIETH, Fraction(1)]))
def test_a_quantile_is_the_first_that_enough_did_not_exceed(
    waits: list[tuple[int, Decimal]], part: Fraction
) -> None:
    found, whole = wait_quantile(sorted(waits), part), Fraction(sum(weight for _, weight in waits))

    def weight_up_to(seconds: int) -> Fraction:
        return sum((Fraction(weight) for wait, weight in waits if wait <= seconds), start=Fraction(0))

    assert weight_up_to(found) >= part * whole
    assert weight_up_to(found - 1) < part * whole
