"""The authority index: between 0 and 1, and undefined rather than made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.live.authority import PriorityTerms, index

SIDES = {1: True, 2: True, 3: False, 4: False}


def _entries(*terms: tuple[int, float, float]) -> list[PriorityTerms]:
    return [PriorityTerms(job, "main", fairshare, others) for job, fairshare, others in terms]


@pytest.mark.parametrize(("terms", "expected"), [
    pytest.param([(1, 90000, 0), (3, 10000, 0)], 1.0, id="nothing but fairshare"),
    pytest.param([(1, 5000, 100), (3, 5000, 900)], 0.0, id="fairshare does not tell them apart"),
    pytest.param([(1, 7000, 0), (3, 0, 3000)], 0.7, id="age against fairshare"),
    pytest.param([(1, 0, 3000), (3, 7000, 0)], 0.7, id="the other way round"),
    pytest.param([(1, 8000, 0), (2, 6000, 0), (3, 0, 2000), (4, 0, 4000)], 0.7, id="means of a side"),
    pytest.param([(1, 7000, 0), (1, 7000, 0), (3, 0, 3000)], 0.7, id="an entry for each partition"),
    pytest.param([(1, 5000, 50), (3, 5000, 50)], None, id="alike"),
    pytest.param([(1, 5000, 50)], None, id="others have nothing waiting"),
    pytest.param([(3, 5000, 50)], None, id="the region has nothing waiting"),
    pytest.param([], None, id="nobody"),
    pytest.param([(1, 7000, 0), (3, 0, 3000), (9, 1e9, 1e9)], 0.7, id="of a job that is no demand"),
])  # fmt: skip
def test_authority(terms: list[tuple[int, float, float]], expected: float | None) -> None:
    assert index(_entries(*terms), SIDES) == (None if expected is None else pytest.approx(expected))


VALUES = st.floats(-1e9, 1e9)


@given(st.lists(st.tuples(st.integers(1, 5), VALUES, VALUES), max_size=20))
def test_authority_is_a_ratio_and_the_same_from_both_sides(terms: list[tuple[int, float, float]]) -> None:
    found = index(_entries(*terms), SIDES)
    assert found is None or 0 <= found <= 1
    assert index(_entries(*terms), {job: not side for job, side in SIDES.items()}) == found
