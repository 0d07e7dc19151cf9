"""An evaluation of hours that can be added up by hand, and the policies that can be asked for."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.control.controller import Policy
from slurm_ai_factory.core.records import DAY, HOUR
from slurm_ai_factory.simulation import peers, policies, scenarios
from slurm_ai_factory.simulation.bookkeeping import windows_of
from slurm_ai_factory.simulation.evaluation import Waits, evaluate, of_own_machine, partial_windows
from slurm_ai_factory.simulation.layout import ModelSettings, one_pool, partitioned
from slurm_ai_factory.simulation.replay import Replayed, Trial, promise_of, replay
from slurm_ai_factory.simulation.workload import Job, Workload
from tests.simulation.built import cluster, job, lived, regional, workload

JANUARY = 1_767_225_600
"""2026-01-01, in UTC."""

WORK = workload(
    [
        job("n0", JANUARY, 4 * HOUR, 3),
        job("r0", JANUARY, 2 * HOUR, 1),
        job("n0", JANUARY + 2 * HOUR, 2 * HOUR, 1),
        job("r0", JANUARY + 2 * HOUR, 2 * HOUR, 4),
        job("n0", JANUARY + 8 * HOUR, 1),
    ]
)
"""Four cores: in hours 0 and 1 a quarter is the region's, in 2 and 3 nothing, and it waits; in 4 and 5 all is
the region's; hours 6 and 7 are idle."""


def trial(work: Workload, window: str, target: float = 0.25) -> Trial:
    return Trial(
        workload=work, regional=regional(work), layout=one_pool(work, "cpu", 4), settings=ModelSettings(),
        promise=promise_of(target, 0.01, "cpu"), window=window, zone=ZoneInfo("UTC"),
        control=Policy(account="regional", target_share=target, half_life_seconds=HOUR),
    )  # fmt: skip


def done(work: Workload = WORK) -> Replayed:
    model = cluster(work, interval=1)
    lived(model, model.until)
    return Replayed(policy="static:0.25", cluster=model)


def test_a_rolling_window_is_looked_at_at_every_hour() -> None:
    found = evaluate(trial(WORK, "rolling:2h"), done())
    assert found.windows == tuple(
        (JANUARY + hour * HOUR, share)
        for hour, share in ((2, 0.25), (3, 1 / 8), (4, 0.0), (5, 0.5), (6, 1.0), (7, 1.0))
    )
    assert found.min_window_share == 0.0
    assert found.violation_ratio == 2 / 6
    assert found.starved_ratio == 2 / 6


def test_sums_are_those_of_windows_laid_end_to_end() -> None:
    """Hours 2 and 3 are one: 8 core-hours, of which the region should have had 2, and four cores waited."""
    found = evaluate(trial(WORK, "rolling:2h"), done())
    assert found.delivered_share == pytest.approx(10 / 24)
    assert found.utilisation == pytest.approx(24 / 32)
    assert found.shortfall_charge == 2 * HOUR
    assert found.attributable_shortfall_charge == 2 * HOUR


FEBRUARY = JANUARY + 31 * DAY
LONG = workload(
    [
        job("n0", JANUARY - 5 * HOUR, 40 * DAY, 2),
        job("r0", FEBRUARY, DAY, 2),
        job("n0", FEBRUARY + 2 * DAY, 1),
    ]
)
"""The others have two cores all the time, the region two on the first of February."""


def test_a_calendar_window_of_which_there_is_a_part_is_not_judged() -> None:
    one = trial(LONG, "month")
    found = evaluate(one, done(LONG))
    assert found.windows == ((FEBRUARY, 0.0),)
    assert (found.min_window_share, found.violation_ratio) == (0.0, 1.0)
    assert found.shortfall_charge == 31 * DAY * 2 * 0.25
    assert found.delivered_share > 0.02
    assert partial_windows(one) == 2


def test_where_no_window_is_whole_nothing_is_said_of_windows() -> None:
    found = evaluate(trial(WORK, "month", target=0.5), done())
    assert found.windows == ()
    figures = (found.min_window_share, found.violation_ratio, found.starved_ratio, found.shortfall_charge)
    assert {*figures, found.attributable_shortfall_charge} == {None}
    assert found.delivered_share == pytest.approx(10 / 24)
    assert partial_windows(trial(WORK, "month")) == 1
    assert partial_windows(trial(WORK, "rolling:2h")) == 0


@pytest.mark.parametrize("name", ["late", "early"])
def test_the_scenarios_with_quarters_have_two_whole_ones(name: str) -> None:
    work, _ = scenarios.scenario(name, 1)
    span = int(work.submit[0]), int(work.submit[-1])
    quarters = windows_of("quarter", *span, ZoneInfo("Europe/Amsterdam"))
    assert [quarter.name for quarter in quarters if quarter.until <= span[1]] == ["2026Q1", "2026Q2"]


def test_a_shortfall_is_not_attributed_where_nobody_waited() -> None:
    work = workload([job("n0", JANUARY, 4 * HOUR, 2), job("r0", JANUARY + 5 * HOUR, 60)])
    found = evaluate(trial(work, "rolling:2h"), done(work))
    assert found.shortfall_charge == 4 * HOUR / 2
    assert found.attributable_shortfall_charge == found.starved_ratio == 0


def test_waits_are_told_of_each_side() -> None:
    found = evaluate(trial(WORK, "rolling:2h"), done())
    assert found.regional == Waits(mean_seconds=HOUR, p95_seconds=0.95 * 2 * HOUR, bounded_slowdown=1.5)
    assert found.non_regional == Waits(mean_seconds=0, p95_seconds=0, bounded_slowdown=1.0)


def test_sharing_is_measured_by_the_machine_that_each_side_would_have_alone() -> None:
    """Of four cores the region would have one: its job of four waits for the one before."""
    jobs = [
        job("r0", JANUARY, 2 * HOUR),
        job("r0", JANUARY + HOUR, HOUR, 4),
        job("n0", JANUARY + 5 * HOUR, 1),
    ]
    one = trial(workload(jobs), "rolling:2h")
    alone = evaluate(one, replay(one, policies.own_machines(0.25))).regional
    assert (alone.mean_seconds, alone.bounded_slowdown) == (HOUR / 2, 1.5)
    shared = Waits(mean_seconds=HOUR, p95_seconds=0, bounded_slowdown=3.0)
    assert of_own_machine(shared, alone) == (2, 2)


def test_a_side_that_never_waits_alone_has_no_part_of_that() -> None:
    none = Waits(mean_seconds=0, p95_seconds=0, bounded_slowdown=1.0)
    assert of_own_machine(none, none) == (None, 1.0)


def test_longer_time_limits_of_the_region_change_nothing_but_limits() -> None:
    one = trial(WORK, "rolling:2h")
    (plain, padded) = policies.asked(["static:0.25"], 0.25, 3)
    jobs, asked = (replay(one, policy).cluster.jobs[0] for policy in (plain, padded))
    assert (padded.name, padded.share) == ("static:0.25, padding 3", 0.25)
    assert (asked.limit == jobs.limit * (1 + 2 * jobs.side)).all()
    assert (asked.runtime == jobs.runtime).all()


def test_a_job_that_never_starts_waited_until_the_end() -> None:
    work = workload(
        [job("n0", JANUARY, 9 * HOUR, 4), job("r0", JANUARY, HOUR), job("n0", JANUARY + 3 * HOUR, 1)]
    )
    found = evaluate(trial(work, "rolling:2h"), done(work))
    assert found.regional.mean_seconds == 3 * HOUR


ASKED = {
    "floor": ("floor", 0.25, "", 0),
    "oracle": ("oracle", 0.25, "", 0),
    "static:0.33": ("static", 0.33, "", 0),
    "switch:0.1": ("switch", 0.1, "", 0),
    "partition:0.25": ("partition", 0.25, "", 0),
    "reset:quarter": ("reset", 0.25, "quarter", 0),
    "guarantee:0.3": ("guarantee", 0.3, "", 0),
    "karma:0.25,0.5": ("karma", 0.25, "", 0.5),
    "dmmf:0.4": ("dmmf", 0.4, "", 0),
    "kai:0.25,1": ("kai", 0.25, "", 1),
    "fstarget:0.2": ("fstarget", 0.2, "", 0),
    "onesided:0.25,12h": ("onesided", 0.25, "", 12 * HOUR),
}


@pytest.mark.parametrize("text", ASKED)
def test_policies_are_asked_for_by_name(text: str) -> None:
    kind, share, period, extra = ASKED[text]
    assert policies.named(text, 0.25) == policies.Named(text, kind, share, period, extra)


def test_there_is_an_example_of_every_kind() -> None:
    kinds = {policies.named(text, 0.25).kind for text in policies.FORMS}
    assert kinds == {kind for kind, *_ in ASKED.values()} >= set(peers.KINDS)


def test_a_policy_that_is_asked_for_twice_is_there_once() -> None:
    (policy,) = policies.asked(["partition:0.25", "partition:.250"], 0.25)
    assert policy == policies.own_machines(0.25)


@pytest.mark.parametrize(
    "text",
    ["", "floor:0.3", "static", "static:", "static:0", "static:1", "static:25%", "static:nan", "static:inf",
     "reset", "reset:week", "partition:2", "Floor", "static:0.2:0.3", "static:0.2,1", "karma:0.25",
     "karma:0.25,2", "kai:0.25,-1", "kai:0.25,nan", "kai:0.25,inf", "kai:0.25,1,1", "onesided:0.25,long",
     "dmmf:1", "guarantee:0.25,0.5"],
)  # fmt: skip
def test_other_policies_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a policy: use floor, switch"):
        policies.named(text, 0.25)


@given(st.floats(0.0001, 0.9999))
def test_raw_shares_are_within_a_thousandth_and_never_nothing(share: float) -> None:
    shares = policies.raw_shares(share)
    assert min(shares.values()) >= 1
    assert sum(shares.values()) + 1 == policies.FULL
    assert shares["regional"] / policies.FULL == pytest.approx(share, abs=0.001)


@given(st.floats(0.05, 0.95), st.integers(2, 1000))
def test_a_partition_cuts_the_machine_in_two(part: float, cores: int) -> None:
    work = workload([Job("n0", "a", 0, 60, 0, cores), Job("r0", "a", 0, 60, 0, 1)])
    whole = one_pool(work, "cpu", cores)
    cut = partitioned(whole, replace(trial(work, "month"), layout=whole).side, part)
    assert cut.capacity.sum() == cores
    assert cut.pool.tolist() == [0, 1]
    assert (cut.need <= cut.capacity[cut.pool]).all()
    assert cut.weight.tolist() == [cores, 1]
