"""Words around figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.words import count


@given(st.integers())
def test_only_one_is_singular(number: int) -> None:
    assert count(number, "run") == (f"{number} run" if number == 1 else f"{number} runs")


@pytest.mark.parametrize(("number", "text"), [(1, "1 entry"), (2, "2 entries")])
def test_a_plural_of_its_own_is_used(number: int, text: str) -> None:
    assert count(number, "entry", "entries") == text
