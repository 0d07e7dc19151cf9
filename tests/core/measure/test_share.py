"""Usage to Measurement: additive over time, the same open or closed, and what is owed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core import charge, tres
from slurm_ai_factory.core.measure import capacity, share
from slurm_ai_factory.core.measure.share import HourUsage, Promise, SortedRun, SubjectUsage
from slurm_ai_factory.core.records import HOUR, Charge, Hour, Instant, Measurement, Run, Size, Window
from slurm_ai_factory.core.rules.classify import UNCLASSIFIED, Beneficiary, always
from slurm_ai_factory.core.tres import Resource
from tests.core.generated import (
    NOW,
    OTHERS,
    REGIONAL,
    RUN,
    ended,
    history,
    quarter,
    running_runs,
    sorted_runs,
    weights,
)

WEIGHTS: dict[str, tres.Count] = {"cpu": Decimal("0.25"), "gres/gpu": 16}
CPUS: dict[str, tres.Count] = {"cpu": 1}
TARGET, MARGIN = 0.25, 0.01
CHARGES = ("regional_charge", "total_charge", "unclassified_charge", "waiting_charge")

run_lists = st.lists(sorted_runs(), max_size=6)


@st.composite
def _windows(draw: st.DrawFn) -> Window:
    """Windows of up to two days, over, running or not begun at NOW."""
    since = draw(st.integers(0, NOW // HOUR + 24)) * HOUR
    return Window("w", since, since + draw(st.integers(1, 48)) * HOUR)


def _measured(
    runs: Iterable[SortedRun],
    window: Window,
    as_of: Instant = NOW,
    weights: dict[str, tres.Count] = WEIGHTS,
    closed: Iterable[HourUsage] = (),
    size: str | None = None,
) -> Measurement:
    promise = Promise(cluster="c", target_share=TARGET, margin=MARGIN, resource=Resource(weights))
    sizes = [Size(0, None, size)] if size else []
    up = capacity.capacity_by_hour(sizes, [], weights, window.since, min(window.until, as_of))
    return share.measure_window(
        promise, window, as_of, closed=closed, open_runs=runs, capacity=up, newest_record_at=None
    )


def _charges(measurement: Measurement) -> dict[str, Charge]:
    return {name: getattr(measurement, name) for name in CHARGES}


def _usage(one: SortedRun, weights: dict[str, tres.Count]) -> list[HourUsage]:
    """An ended run as the ledger keeps it: its exact charge by hour, each hour on one side of a cut."""
    run, parts = one
    got = tres.weigh(tres.parse_tres(run.alloc_tres), weights)
    wanted = tres.weigh(tres.parse_tres(charge.wanted_tres(run)), weights)
    delivered = [
        (at, got * seconds, 0) for at, seconds in charge.seconds_by_hour(*charge.delivered(run, NOW))
    ]
    waited = [(at, 0, wanted * seconds) for at, seconds in charge.seconds_by_hour(*charge.waited(run, NOW))]
    return [
        HourUsage(at, who.beneficiary, got * fraction, wanted * fraction)
        for at, got, wanted in (*delivered, *waited)
        for since, until, fraction, who in parts
        if since <= at < until
    ]


# --- what adds up -------------------------------------------------------------------------------------


@given(run_lists, _windows(), weights)
def test_a_window_is_exactly_the_sum_of_its_hours(
    runs: list[SortedRun], window: Window, weights: dict[str, tres.Count]
) -> None:
    hours = [Window("h", at, at + HOUR) for at in range(window.since, window.until, HOUR)]
    parts = [_charges(_measured(runs, hour, weights=weights)) for hour in hours]
    whole = _charges(_measured(runs, window, weights=weights))
    assert whole == {name: sum(part[name] for part in parts) for name in CHARGES}


@given(run_lists, _windows())
def test_the_hourly_series_adds_up_to_the_totals(runs: list[SortedRun], window: Window) -> None:
    """Up to one second of each run, which is cut to whole seconds in the totals."""
    found = _measured(runs, window)
    heaviest = sum(float(tres.weigh(tres.parse_tres(run.req_tres), WEIGHTS)) for run, _ in runs) + 1e-3
    assert sum(h.regional for h in found.hours) == pytest.approx(float(found.regional_charge), abs=heaviest)
    assert sum(h.total for h in found.hours) == pytest.approx(float(found.total_charge), abs=heaviest)
    waiting = sum(h.regional_waiting for h in found.hours)
    assert waiting == pytest.approx(float(found.waiting_charge), abs=heaviest)


@given(run_lists, _windows())
def test_the_hourly_series_has_each_hour_of_the_window_that_has_begun(
    runs: list[SortedRun], window: Window
) -> None:
    found = _measured(runs, window)
    assert [h.at for h in found.hours] == [at for at in range(window.since, window.until, HOUR) if at < NOW]
    assert all(-1e-3 <= h.regional <= h.total + 1e-3 for h in found.hours)


@given(st.lists(running_runs().filter(lambda run: run.state == "RUNNING"), max_size=5), _windows(), weights)
def test_a_running_run_is_charged_as_if_it_ended_now(
    runs: list[Run], window: Window, weights: dict[str, tres.Count]
) -> None:
    running = _measured([SortedRun(run, always(REGIONAL)) for run in runs], window, weights=weights)
    closed = _measured(
        [SortedRun(ended(run, NOW), always(REGIONAL)) for run in runs], window, weights=weights
    )
    assert _charges(running) == _charges(closed)


@given(run_lists, _windows(), weights)
def test_runs_give_the_same_charge_whether_the_ledger_kept_their_hours_or_they_are_still_open(
    runs: list[SortedRun], window: Window, weights: dict[str, tres.Count]
) -> None:
    usage = [one for run in runs for one in _usage(run, weights)]
    inside = [one for one in usage if window.since <= one.hour < min(window.until, NOW)]
    kept = _measured([], window, weights=weights, closed=inside)
    assert _charges(_measured(runs, window, weights=weights)) == _charges(kept)


@given(run_lists, run_lists, _windows())
def test_the_charges_of_two_sets_of_runs_add_up(
    some: list[SortedRun], others: list[SortedRun], window: Window
) -> None:
    one, other = _charges(_measured(some, window)), _charges(_measured(others, window))
    both = _charges(_measured([*some, *others], window))
    assert both == {name: one[name] + other[name] for name in CHARGES}


@given(run_lists, _windows())
def test_the_shares_lie_between_nothing_and_all(runs: list[SortedRun], window: Window) -> None:
    found = _measured(runs, window)
    assert 0 <= found.regional_charge <= found.total_charge
    assert 0 <= found.unclassified_charge <= found.total_charge - found.regional_charge
    assert found.delivered_share is None or 0 <= found.delivered_share <= 1


@given(run_lists, _windows())
def test_the_groups_add_up_to_the_measurement(runs: list[SortedRun], window: Window) -> None:
    found = _measured(runs, window)
    groups = share.by_group(
        lambda _, who: (who.organisation,), WEIGHTS, window, NOW, closed=[], open_runs=runs
    )
    assert sum(group.delivered for group in groups) == found.total_charge
    regional = [group.delivered for group in groups if group.beneficiary is Beneficiary.REGIONAL]
    assert sum(regional) == found.regional_charge
    assert [group.delivered for group in groups] == sorted((g.delivered for g in groups), reverse=True)


# --- who is counted, and as what ----------------------------------------------------------------------

DAY = Window("day", 0, 24 * HOUR)


def _run(start: Instant, end: Instant, who: Any = REGIONAL, **difference: Any) -> SortedRun:
    """An ended run of 4 CPUs, unless said otherwise."""
    return SortedRun(
        ended(RUN._replace(eligible_at=start, start_at=start), end)._replace(**difference), always(who)
    )


def test_unclassified_is_counted_as_not_regional_and_told_apart() -> None:
    runs = [_run(0, 100), _run(0, 200, OTHERS), _run(0, 700, UNCLASSIFIED)]
    found = _measured(runs, DAY, weights=CPUS)
    assert (found.regional_charge, found.total_charge, found.unclassified_charge) == (400, 4000, 2800)
    assert found.delivered_share == 0.1


def test_there_is_no_delivered_share_where_nothing_was_delivered() -> None:
    waiting = RUN._replace(state="PENDING", start_at=None, alloc_tres="")
    assert _measured([], DAY).delivered_share is None
    assert _measured([SortedRun(waiting, always(REGIONAL))], DAY).delivered_share is None


def test_the_capacity_share_is_of_what_was_up_and_none_where_that_is_not_known() -> None:
    run = _run(0, 24 * HOUR)
    assert _measured([run], DAY, weights=CPUS, size="cpu=16").capacity_share == 0.25
    assert _measured([run], DAY, weights=CPUS).capacity is None
    assert _measured([run], DAY, weights=CPUS).capacity_share is None


def test_a_window_that_runs_has_only_the_capacity_it_had_so_far() -> None:
    found = _measured([], DAY, as_of=6 * HOUR + 60, weights=CPUS, size="cpu=16")
    assert found.capacity == 16 * (6 * HOUR + 60)


def test_a_run_that_waits_adds_waiting_and_no_delivered() -> None:
    waiting = RUN._replace(state="PENDING", eligible_at=HOUR, start_at=None, alloc_tres="")
    found = _measured([SortedRun(waiting, always(REGIONAL))], DAY, as_of=3 * HOUR, weights=CPUS)
    assert (found.total_charge, found.waiting_charge, found.regional_pending) == (0, 4 * 2 * HOUR, 4)
    assert [h.regional_waiting for h in found.hours] == [0, 4 * HOUR, 4 * HOUR]


def test_a_waiting_array_waits_for_all_the_tasks_that_may_run_at_once() -> None:
    array = RUN._replace(state="PENDING", job_label="7_[1-9%3]", start_at=None, alloc_tres="")
    found = _measured([SortedRun(array, always(REGIONAL))], DAY, as_of=HOUR, weights=CPUS)
    assert (found.waiting_charge, found.regional_pending) == (3 * 4 * HOUR, 3 * 4)
    task = SortedRun(RUN._replace(job_label="7_3", start_at=HOUR), always(REGIONAL))
    assert _measured([task], DAY, as_of=2 * HOUR, weights=CPUS).waiting_charge == 4 * HOUR


def test_only_regional_waiting_is_told() -> None:
    waiting = RUN._replace(state="PENDING", start_at=None, alloc_tres="")
    found = _measured(
        [SortedRun(waiting, always(OTHERS)), SortedRun(waiting, always(UNCLASSIFIED))], DAY, as_of=HOUR
    )
    assert found.waiting_charge == found.regional_pending == 0


def test_what_waits_for_the_others_is_all_that_is_not_regional() -> None:
    waiting = RUN._replace(state="PENDING", start_at=None, alloc_tres="")
    runs = [SortedRun(waiting, always(who)) for who in (REGIONAL, OTHERS, UNCLASSIFIED, UNCLASSIFIED)]
    found = _measured(runs, DAY, as_of=2 * HOUR, weights=CPUS)
    assert [(h.regional_waiting, h.others_waiting) for h in found.hours] == [(4 * HOUR, 12 * HOUR)] * 2


@pytest.mark.parametrize(
    ("difference", "running", "pending"),
    [
        ({}, 4, 0),
        ({"state": "SUSPENDED"}, 0, 0),
        ({"state": "COMPLETED", "end_at": 50}, 0, 0),
        ({"state": "PENDING", "start_at": None}, 0, 8),
        ({"state": "PENDING", "start_at": None, "eligible_at": HOUR}, 0, 8),
        ({"state": "PENDING", "start_at": None, "eligible_at": None}, 0, 0),
        ({"state": "PENDING", "start_at": None, "eligible_at": 5 * HOUR}, 0, 0),
        ({"state": "CANCELLED", "start_at": None, "end_at": 50}, 0, 0),
    ],
)
def test_regional_demand_is_what_runs_and_what_could_run_now(
    difference: dict[str, Any], running: int, pending: int
) -> None:
    run = RUN._replace(**{"req_tres": "cpu=8", **difference})
    found = _measured([SortedRun(run, always(REGIONAL))], DAY, as_of=HOUR, weights=CPUS)
    assert (found.regional_running, found.regional_pending) == (running, pending)


def test_the_charge_of_closed_and_of_open_runs_of_one_group_is_one_number() -> None:
    kept = [
        SubjectUsage(RUN.subject, replace(REGIONAL, organisation="umcg"), 100),
        SubjectUsage(RUN.subject, replace(REGIONAL, organisation="rug"), Decimal("0.5")),
        SubjectUsage(RUN.subject, replace(OTHERS, organisation="umcg"), 7),
        SubjectUsage(RUN.subject, replace(OTHERS, organisation="idle"), 0),
    ]
    running = SortedRun(RUN._replace(start_at=HOUR - 10), always(replace(REGIONAL, organisation="umcg")))
    groups = share.by_group(
        lambda _, who: (who.organisation,), CPUS, DAY, HOUR, closed=kept, open_runs=[running]
    )
    assert groups == [
        (("umcg",), Beneficiary.REGIONAL, 140),
        (("umcg",), Beneficiary.NON_REGIONAL, 7),
        (("rug",), Beneficiary.REGIONAL, Decimal("0.5")),
    ]


def test_groups_may_be_named_after_the_subject() -> None:
    one = _run(0, 100)
    groups = share.by_group(
        lambda subject, _: (subject.partition,), CPUS, DAY, NOW, closed=[], open_runs=[one, one]
    )
    assert groups == [(("main",), Beneficiary.REGIONAL, 800)]


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_the_shortfall_is_what_lacks_to_the_target(regional: int, others: int) -> None:
    found = quarter(regional_charge=regional, total_charge=regional + others)
    lacking = max(0, (regional + others) / 4 - regional)
    assert found.shortfall_charge == pytest.approx(lacking)
    assert (found.shortfall_charge == 0) == (4 * regional >= regional + others)


# --- starved ------------------------------------------------------------------------------------------

hours = st.builds(
    lambda regional, others, waiting, spare: Hour(
        0, float(regional), float(regional + others), float(waiting), float(regional + others + spare)
    ),
    *[st.integers(0, 10**6)] * 4,
)


@given(st.lists(hours, max_size=10), st.floats(0.01, 0.99))
def test_no_more_was_starved_than_waited_nor_than_the_floor_leaves(some: list[Hour], target: float) -> None:
    found = share.starved(some, target)
    assert 0 <= found <= sum(h.regional_waiting for h in some) + 1e-6
    assert found <= sum(target * h.capacity for h in some) + 1e-6


@given(hours, st.floats(0.01, 0.99))
def test_nothing_is_starved_while_nobody_waits_or_the_region_is_at_its_floor(h: Hour, target: float) -> None:
    assert share.starved([h._replace(regional_waiting=0.0)], target) == 0
    assert share.starved([h._replace(regional=target * h.capacity)], target) == 0


def test_a_region_that_waits_below_its_floor_is_starved_hour_by_hour() -> None:
    """16 CPUs; others hold all for two hours, while 8 regional CPUs wait: 4 of them were promised."""
    others = _run(0, 2 * HOUR, OTHERS, alloc_tres="cpu=16")
    region = SortedRun(
        RUN._replace(start_at=2 * HOUR, req_tres="cpu=8", alloc_tres="cpu=8"), always(REGIONAL)
    )
    found = _measured([others, region], DAY, as_of=3 * HOUR, weights=CPUS, size="cpu=16")
    assert found.starved_charge == pytest.approx(4 * 2 * HOUR)
    unknown = _measured([others, region], DAY, as_of=3 * HOUR, weights=CPUS)
    assert unknown.starved_charge is None


# --- what is still required ---------------------------------------------------------------------------


def test_charge_decays_as_slurm_decays_usage() -> None:
    """An hour that is a half-life older counts half as much."""
    assert share.decayed_share(history([HOUR, 0], [HOUR, HOUR], 1), HOUR) == pytest.approx(1 / 3)
    assert share.decayed_share(history([0, HOUR], [HOUR, HOUR], 1), HOUR) == pytest.approx(2 / 3)
    assert share.decayed_share(history([HOUR] * 9, [4 * HOUR] * 9, 1), 7 * HOUR) == pytest.approx(0.25)


def test_there_is_no_decayed_share_without_charge_or_decay() -> None:
    assert share.decayed_share(history([], [], 1), HOUR) is None
    assert share.decayed_share(history([0], [0], 1), HOUR) is None
    assert share.decayed_share(history([0], [HOUR], 1), 0) is None


def test_the_expected_rate_is_of_the_last_seven_days_from_the_first_use_on() -> None:
    assert share.expected_rate(history([], [], 1)) == 0
    assert share.expected_rate(history([0] * 3, [0, 0, HOUR], 1)) == pytest.approx(1.0)
    assert share.expected_rate(history([0] * 3, [0, HOUR, 0], 1)) == pytest.approx(0.5)
    week = 7 * 24
    halves = [4 * HOUR] * (week // 2) + [2 * HOUR] * (week // 2)
    assert share.expected_rate(history([0] * week, halves, 1)) == pytest.approx(3.0)
    long_ago = [1000 * HOUR] * 10 + [2 * HOUR] * week
    assert share.expected_rate(history([0] * len(long_ago), long_ago, 1)) == pytest.approx(2.0)
