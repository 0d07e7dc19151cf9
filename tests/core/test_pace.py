"""How much is asked for at once, and how far back: never more than Slurm gives, never less than is needed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.pace import FEW_RUNS, MANY_RUNS, SHORTEST, Overlap, Pace
from slurm_ai_factory.core.records import HOUR

DAY = 24 * HOUR
paces = st.integers(SHORTEST, 32 * DAY).flatmap(
    lambda longest: st.builds(Pace, st.integers(SHORTEST, longest), st.just(longest))
)
overlaps = st.lists(st.integers(1, 30 * DAY), min_size=3, max_size=3).map(
    lambda found: Overlap(**dict(zip(("always", "hourly", "daily"), sorted(found), strict=True)))
)


@given(paces)
def test_the_pace_halves_until_slurm_can_be_asked_for_no_less(pace: Pace) -> None:
    slower = pace.slower()
    while slower is not None:
        assert SHORTEST <= slower.seconds < pace.seconds
        pace, slower = slower, slower.slower()
    assert pace.seconds == SHORTEST


@given(paces, st.integers(0, 3 * MANY_RUNS))
def test_the_next_interval_is_longer_after_few_runs_and_shorter_after_many(pace: Pace, runs: int) -> None:
    after = pace.after(runs)
    assert SHORTEST <= after.seconds <= pace.longest
    if runs < FEW_RUNS:
        assert after.seconds >= pace.seconds
    if runs > MANY_RUNS:
        assert after.seconds <= pace.seconds


@given(overlaps, st.integers(40 * DAY, 50 * DAY), st.integers(0, 2 * DAY))
def test_every_read_overlaps_and_the_first_of_an_hour_or_a_day_does_more(
    overlap: Overlap, mark: int, later: int
) -> None:
    now = mark + later
    back = mark - overlap.since(mark, now)
    assert back >= overlap.always
    if mark // HOUR != now // HOUR:
        assert back >= overlap.hourly
    if mark // DAY != now // DAY:
        assert back == overlap.daily
