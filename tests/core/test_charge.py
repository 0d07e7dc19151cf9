"""Seconds of a run by hour: nothing lost, nothing twice, whatever the cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core import charge
from slurm_ai_factory.core.records import HOUR, Rejected, Run
from tests.core.generated import NOW, RUN, ended, ended_runs, open_runs, running_runs, runs, spans

Span = tuple[int, int, int]
instants = st.integers(-2 * HOUR, NOW + 2 * HOUR)


@given(spans())
def test_the_hours_of_a_run_add_up_to_its_seconds(span: Span) -> None:
    assert sum(seconds for _, seconds in charge.seconds_by_hour(*span)) == span[2]


@given(spans())
def test_each_hour_is_told_once_in_order_and_holds_something(span: Span) -> None:
    hours = list(charge.seconds_by_hour(*span))
    assert all(at % HOUR == 0 and seconds > 0 for at, seconds in hours)
    assert all(earlier < later for (earlier, _), (later, _) in pairwise(hours))


@given(spans())
def test_an_hour_holds_no_more_than_the_run_spent_in_it(span: Span) -> None:
    start, end, _ = span
    for at, seconds in charge.seconds_by_hour(*span):
        assert seconds <= max(1, min(end, at + HOUR) - max(start, at))


@given(spans())
def test_an_hour_holds_the_difference_of_the_cumulative_seconds_at_its_ends(span: Span) -> None:
    for at, seconds in charge.seconds_by_hour(*span):
        assert seconds == charge.spread(*span, at + HOUR) - charge.spread(*span, at)


@given(spans(), instants, instants)
def test_the_cumulative_seconds_never_fall(span: Span, one: int, other: int) -> None:
    assert charge.spread(*span, min(one, other)) <= charge.spread(*span, max(one, other))


@given(spans(), st.integers(0, NOW))
def test_nothing_lies_before_the_start_and_everything_before_what_follows_the_end(
    span: Span, away: int
) -> None:
    start, end, seconds = span
    assert charge.spread(*span, start - away) == 0
    assert charge.spread(*span, max(end, start + 1) + away) == seconds


@given(spans(), st.lists(instants))
def test_the_parts_of_any_partition_add_up(span: Span, cuts: list[int]) -> None:
    edges = [-1, *sorted(cuts), NOW + 3 * HOUR] if not cuts or min(cuts) > -1 else [min(cuts), *sorted(cuts)]
    parts = [charge.spread(*span, b) - charge.spread(*span, a) for a, b in pairwise(edges)]
    assert all(part >= 0 for part in parts)
    assert sum(parts) == charge.spread(*span, edges[-1]) - charge.spread(*span, edges[0])


@pytest.mark.parametrize(
    ("span", "hours"),
    [
        ((3590, 7210, 3620), [(0, 10), (3600, 3600), (7200, 10)]),
        ((3600, 7200, 3600), [(3600, 3600)]),
        ((3600, 7200, 0), []),
        ((0, 7200, 3600), [(0, 1800), (3600, 1800)]),
        ((3600, 3600, 0), []),
        ((0, 10800, 1), [(7200, 1)]),
    ],
)
def test_these_runs_lie_in_these_hours(span: Span, hours: list[tuple[int, int]]) -> None:
    assert list(charge.seconds_by_hour(*span)) == hours


@pytest.mark.parametrize(
    ("difference", "seconds"),
    [
        ({}, 500),
        ({"suspended_seconds": 200}, 300),
        ({"start_at": 2000}, 0),
        ({"state": "SUSPENDED", "elapsed_seconds": 123, "suspended_seconds": 77}, 123),
        ({"state": "COMPLETED", "end_at": 400, "elapsed_seconds": 400}, 400),
        ({"state": "COMPLETED", "end_at": 400, "elapsed_seconds": 250, "suspended_seconds": 150}, 250),
        ({"state": "REQUEUED", "end_at": 90, "elapsed_seconds": 90}, 90),
        ({"state": "PENDING", "start_at": None}, 0),
        ({"state": "CANCELLED", "start_at": None, "end_at": 400}, 0),
    ],
)
def test_a_run_was_charged_these_seconds_at_500(difference: dict[str, object], seconds: int) -> None:
    run = RUN._replace(**difference)  # type: ignore[arg-type]
    assert charge.elapsed(run, 500) == seconds
    assert charge.delivered(run, 500)[2] == seconds


@given(runs)
def test_a_run_is_delivered_forwards_in_time_and_never_less_than_nothing(run: Run) -> None:
    start, end, seconds = charge.delivered(run, NOW)
    assert start <= end
    assert 0 <= seconds <= end - start


@given(running_runs().filter(lambda run: run.state == "RUNNING"), st.integers(0, 48 * HOUR))
def test_a_running_run_that_ends_now_keeps_the_charge_it_had(run: Run, later: int) -> None:
    closed = ended(run, NOW)
    assert charge.delivered(closed, NOW) == charge.delivered(run, NOW)
    assert charge.delivered(closed, NOW + later) == charge.delivered(run, NOW)


@given(ended_runs(), st.integers(0, NOW))
def test_an_ended_run_is_the_same_whenever_it_is_looked_at(run: Run, later: int) -> None:
    assert charge.delivered(run, NOW) == charge.delivered(run, NOW + later)
    assert charge.waited(run, NOW) == charge.waited(run, NOW + later)


@given(open_runs.filter(lambda run: run.end_at is None), st.integers(0, 24 * HOUR))
def test_what_an_open_run_got_and_waited_never_shrinks(run: Run, later: int) -> None:
    assert charge.elapsed(run, NOW) <= charge.elapsed(run, NOW + later)
    assert charge.waited(run, NOW)[2] <= charge.waited(run, NOW + later)[2]


@pytest.mark.parametrize(
    ("difference", "waited"),
    [
        ({"eligible_at": 100, "start_at": 300}, (100, 300, 200)),
        ({"eligible_at": 100, "start_at": 100}, (100, 100, 0)),
        ({"eligible_at": 300, "start_at": 100}, (300, 300, 0)),
        ({"eligible_at": 100, "start_at": None}, (100, 500, 400)),
        ({"eligible_at": 100, "start_at": None, "end_at": 250, "state": "CANCELLED"}, (100, 250, 150)),
        ({"eligible_at": 900, "start_at": None}, (900, 900, 0)),
        ({"eligible_at": None, "start_at": None}, (0, 0, 0)),
        ({"eligible_at": None, "start_at": 300}, (0, 0, 0)),
    ],
)
def test_a_run_waited_from_when_it_could_start_to_when_it_did_or_ended(
    difference: dict[str, object], waited: Span
) -> None:
    assert charge.waited(RUN._replace(**difference), 500) == waited  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        ({"req_tres": "cpu=1", "alloc_tres": "cpu=36"}, "cpu=36"),
        ({"req_tres": "cpu=1", "alloc_tres": "", "start_at": None}, "cpu=1"),
        ({"req_tres": "cpu=1", "alloc_tres": "cpu=36", "start_at": None}, "cpu=1"),
        ({"req_tres": "cpu=1", "alloc_tres": ""}, "cpu=1"),
    ],
)
def test_a_run_waited_for_what_it_was_allocated_once_that_is_known(
    difference: dict[str, object], text: str
) -> None:
    assert charge.wanted_tres(RUN._replace(**difference)) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("label", "tasks"),
    [
        ("7", 1), ("7_3", 1), ("7+1", 1), ("", 1), ("7_[3]", 1), ("7_[1-9]", 9), ("7_[0-0]", 1),
        ("7_[1-9%2]", 2), ("7_[1-9%20]", 9), ("7_[1-3,8,10-20:5]", 7), ("7_[1-3,8,10-20:5%4]", 4),
        ("7_[1,3,5,7,...]", 4), ("7_[1-4,10-12,2", 8), ("7_[9-1]", 1), ("7_[1-9:0]", 9), ("7_[]", 1),
    ],
)  # fmt: skip
def test_a_waiting_array_stands_for_the_tasks_that_may_run_at_once(label: str, tasks: int) -> None:
    assert charge.tasks(label) == tasks


@given(
    st.lists(st.integers(0, 4000), min_size=1, max_size=20, unique=True).map(sorted),
    st.none() | st.integers(1, 30),
)
def test_every_task_of_a_list_is_counted_up_to_the_limit(listed: list[int], limit: int | None) -> None:
    label = f"7_[{','.join(map(str, listed))}{'' if limit is None else f'%{limit}'}]"
    assert charge.tasks(label) == min(len(listed), limit or len(listed))


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 50))
def test_every_task_of_a_range_is_counted(first: int, more: int, step: int) -> None:
    assert charge.tasks(f"7_[{first}-{first + more}:{step}]") == len(range(first, first + more + 1, step))


@given(st.text() | st.from_regex(r"\A\d_\[[0-9,:%\]-]*\Z"))
def test_any_label_stands_for_one_task_or_more(label: str) -> None:
    assert charge.tasks(label) >= 1


@given(st.integers(-(10**12), 10**12))
def test_an_instant_lies_in_its_hour(at: int) -> None:
    assert charge.hour_of(at) % HOUR == 0
    assert charge.hour_of(at) <= at < charge.hour_of(at) + HOUR


@pytest.mark.parametrize("state", ["SUSPENDED", "RUNNING"])
@pytest.mark.parametrize(("elapsed", "sound"), [(3600, True), (2 * HOUR, True), (2**32, False)])
def test_an_open_run_is_charged_for_no_more_time_than_there_was(
    state: str, elapsed: int, sound: bool
) -> None:
    run = RUN._replace(start_at=NOW - HOUR, end_at=None, state=state, elapsed_seconds=elapsed)
    found = charge.chargeable(run, NOW)
    assert (found == run) is sound
    if not sound:
        assert isinstance(found, Rejected)
        assert found == charge.chargeable(run._replace(elapsed_seconds=elapsed + 60), NOW + 60)


@given(runs)
def test_what_ended_is_as_it_was_told(run: Run) -> None:
    assert run.end_at is None or charge.chargeable(run, NOW) == run
