"""An evaluation of hours that can be added up by hand, and the policies that can be asked for."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.control.controller import Policy
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.simulation import policies
from slurm_ai_factory.simulation.evaluation import Waits, evaluate
from slurm_ai_factory.simulation.layout import ModelSettings, one_pool, partitioned
from slurm_ai_factory.simulation.replay import Replayed, Trial, promise_of
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


def test_a_calendar_window_that_is_not_over_counts_up_to_the_end() -> None:
    found = evaluate(trial(WORK, "month", target=0.5), done())
    ((end, share),) = found.windows
    assert end == JANUARY + 8 * HOUR
    assert share == pytest.approx(10 / 24)
    assert found.violation_ratio == 1.0
    assert found.shortfall_charge == pytest.approx(2 * HOUR)
    assert found.attributable_shortfall_charge == pytest.approx(2 * HOUR)


def test_a_shortfall_is_not_attributed_where_nobody_waited() -> None:
    work = workload([job("n0", JANUARY, 4 * HOUR, 2), job("r0", JANUARY + 5 * HOUR, 60)])
    found = evaluate(trial(work, "rolling:2h"), done(work))
    assert found.shortfall_charge == 4 * HOUR / 2
    assert found.attributable_shortfall_charge == found.starved_ratio == 0


def test_waits_are_told_of_each_side() -> None:
    found = evaluate(trial(WORK, "rolling:2h"), done())
    assert found.regional == Waits(mean_seconds=HOUR, p95_seconds=0.95 * 2 * HOUR, bounded_slowdown=1.5)
    assert found.non_regional == Waits(mean_seconds=0, p95_seconds=0, bounded_slowdown=1.0)


def test_a_job_that_never_starts_waited_until_the_end() -> None:
    work = workload(
        [job("n0", JANUARY, 9 * HOUR, 4), job("r0", JANUARY, HOUR), job("n0", JANUARY + 3 * HOUR, 1)]
    )
    found = evaluate(trial(work, "rolling:2h"), done(work))
    assert found.regional.mean_seconds == 3 * HOUR


ASKED = {
    "floor": ("floor", 0.25, ""),
    "oracle": ("oracle", 0.25, ""),
    "static:0.33": ("static", 0.33, ""),
    "switch:0.1": ("switch", 0.1, ""),
    "partition:0.25": ("partition", 0.25, ""),
    "reset:quarter": ("reset", 0.25, "quarter"),
}


@pytest.mark.parametrize("text", ASKED)
def test_policies_are_asked_for_by_name(text: str) -> None:
    assert policies.named(text, 0.25) == (text, *ASKED[text])


@pytest.mark.parametrize(
    "text",
    ["", "floor:0.3", "static", "static:", "static:0", "static:1", "static:25%", "static:nan", "static:inf",
     "reset", "reset:week", "partition:2", "Floor", "static:0.2:0.3"],
)  # fmt: skip
def test_other_policies_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a policy: use floor, static"):
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
