"""A cycle rests on a clock only while this machine, slurmctld and the ledger agree on it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.live.clock import check_clock, check_newest_read, clock_difference
from slurm_ai_factory.core.records import DAY, HOUR
from slurm_ai_factory.errors import ClockError

NOW = 1_800_000_000
instants = st.integers(NOW - 10 * DAY, NOW + 10 * DAY)


@pytest.mark.parametrize("off", [-DAY, -HOUR, -6, 6, HOUR, DAY])
def test_a_clock_that_is_off_is_refused_with_how_much_and_which_way(off: int) -> None:
    with pytest.raises(ClockError, match=f"{abs(off)} s {'ahead of' if off > 0 else 'behind'} slurmctld's"):
        check_clock(NOW + off, NOW, NOW + off, tolerance=5, longest=600)


@pytest.mark.parametrize("off", [-5, 0, 5])
def test_a_few_seconds_are_allowed(off: int) -> None:
    check_clock(NOW + off, NOW, NOW + off, tolerance=5, longest=600)


@pytest.mark.parametrize("after", [NOW - 1, NOW + 601, NOW + DAY])
def test_a_clock_that_is_set_while_slurmctld_is_asked_is_refused(after: int) -> None:
    with pytest.raises(ClockError, match="was set from"):
        check_clock(NOW, NOW, after, tolerance=5, longest=600)


@given(instants, instants, st.integers(0, 600))
def test_the_difference_is_0_exactly_while_slurmctld_lies_between(
    before: int, cluster: int, took: int
) -> None:
    found = clock_difference(before, cluster, before + took)
    assert (found == 0) == (before <= cluster <= before + took)
    assert clock_difference(before - found, cluster, before + took - found) == 0


def test_a_ledger_that_was_read_beyond_now_names_the_way_back() -> None:
    check_newest_read(NOW + 5, NOW, tolerance=5)
    check_newest_read(None, NOW, tolerance=5)
    with pytest.raises(ClockError, match="saf ledger withdraw --since"):
        check_newest_read(NOW + 6, NOW, tolerance=5)
