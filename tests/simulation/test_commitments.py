"""Several promises on the model cluster: the row of each account, what each sees, and what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from slurm_ai_factory.core.control.controller import Policy
from slurm_ai_factory.core.measure.share import CAPACITY, Promise
from slurm_ai_factory.core.records import DAY, HOUR, Bound, Verdict
from slurm_ai_factory.simulation import scenarios
from slurm_ai_factory.simulation.bookkeeping import Books
from slurm_ai_factory.simulation.commitments import Commitments
from slurm_ai_factory.simulation.layout import ModelSettings, one_pool
from slurm_ai_factory.simulation.policies import Named
from slurm_ai_factory.simulation.replay import Replayed, Trial, promise_of, replay
from slurm_ai_factory.simulation.verdicts import PromiseOutcome, outcomes, whole_windows
from slurm_ai_factory.simulation.workload import Workload
from tests.simulation.built import job, workload

EU, REGION, INDUSTRY, CARE = (
    replace(promise_of(share, 0.01, "cpu"), name=name, bound=bound, share_of=of)
    for name, bound, share, of in (
        ("eu", Bound.FLOOR, 0.5, "delivered"), ("region", Bound.FLOOR, 0.25, "delivered"),
        ("industry", Bound.CAP, 0.2, "delivered"), ("care", Bound.FLOOR, 0.4, "promise:region"),
    )
)  # fmt: skip
CROSSING: Mapping[str, frozenset[str]] = {
    "e": frozenset({"eu"}), "r": frozenset({"region"}), "rc": frozenset({"region", "care"}),
    "ri": frozenset({"region", "industry"}), "i": frozenset({"industry"}),
}  # fmt: skip
ALL_FOUR = Commitments(promises=(EU, REGION, INDUSTRY, CARE), accounts=CROSSING)
WORK = workload([job(name, 0, HOUR) for name in (*CROSSING, "n")] + [job("n", 2 * HOUR, 60)])
"""A core for an hour to each account of four promises and to one of none, on eight cores."""


def trial(work: Workload, commitments: Commitments, cores: int, window: str, period: int) -> Trial:
    return Trial(
        workload=work, regional=frozenset(), layout=one_pool(work, "cpu", cores), settings=ModelSettings(),
        promise=commitments.promises[0], window=window, zone=ZoneInfo("UTC"), commitments=commitments,
        control=Policy(account="", target_share=0.5, half_life_seconds=7 * DAY, period_seconds=period),
        period=period,
    )  # fmt: skip


def by_name(tried: Trial, policy: str = "floor") -> tuple[Replayed, dict[str, PromiseOutcome]]:
    lived = replay(tried, Named(policy, policy, 0.5))
    return lived, {outcome.promise.name: outcome for outcome in outcomes(tried, lived)}


@pytest.mark.parametrize(
    ("account", "row"),
    [("e", "eu"), ("r", "region"), ("rc", "region"), ("ri", "industry"), ("i", "industry"),
     ("n", "national")],
)  # fmt: skip
def test_an_account_is_below_the_row_of_its_cap_or_else_of_its_first_floor(account: str, row: str) -> None:
    assert ALL_FOUR.row(account) == row


@pytest.mark.parametrize(
    ("promise", "regional", "total"),
    [(EU, 1, 6), (REGION, 3, 6), (INDUSTRY, 2, 6), (CARE, 1, 3),
     (replace(EU, share_of=CAPACITY), 1, 8)],
)  # fmt: skip
def test_a_promise_counts_every_account_that_it_is_made_to(
    promise: Promise, regional: int, total: int
) -> None:
    tried = trial(WORK, ALL_FOUR, 8, "rolling:1h", HOUR)
    cluster = replay(tried, Named("static", "static", 0.5)).cluster
    books = Books(cluster, promise, "month", tried.zone, HOUR, ALL_FOUR.sight(promise, WORK.users, WORK.user))
    measured = books.measurement()
    hours = 2 if promise.share_of == CAPACITY else 1  # all cores are up for both
    assert measured.regional_charge == pytest.approx(regional * HOUR, abs=60)
    assert measured.total_charge == pytest.approx(total * hours * HOUR, abs=60)
    assert (measured.promise, measured.bound) == (promise.name, promise.bound)


def test_what_the_rows_begin_with_fits_and_leaves_the_others_something() -> None:
    huge = Commitments(
        promises=(replace(EU, target_share=0.6), replace(REGION, target_share=0.5)), accounts=CROSSING
    )
    shares = huge.raw_shares(("eu", "region", "national"))
    assert shares["national"] == pytest.approx(500, abs=2)
    assert shares["eu"] / shares["region"] == pytest.approx(0.6 / 0.5, abs=0.01)
    assert huge.raw_shares(("eu",)).keys() == {"eu", "national"}


def test_windows_that_roll_end_a_day_apart_and_others_are_whole() -> None:
    tried = trial(WORK, ALL_FOUR, 8, "rolling:2d", HOUR)
    assert [window.until for window in whole_windows(tried, 0, 4 * DAY + 60)] == [2 * DAY, 3 * DAY, 4 * DAY]
    monthly = replace(tried, window="month")
    assert [window.name for window in whole_windows(monthly, 1, 75 * DAY)] == ["1970-02"]


def test_two_floors_and_a_cap_that_crosses_them_hold_and_the_same_shares_unsteered_break_the_cap() -> None:
    """Both sides of the scenario want more than there is; its accounts are dealt out to three promises."""
    wanted = replace(scenarios.SATURATED, days=50, widths=(8, 16, 32))
    work = scenarios.drawn("crossing", wanted, sorted(scenarios.REGIONAL), scenarios.OTHERS, seed=1)
    accounts = {
        "n0": "eu", "n1": "eu", "n2": "eu", "n3": "eu", "n4": "eu industry", "n5": "industry",
        "n6": "industry", "r0": "region", "r1": "region", "r2": "region", "r3": "region industry",
    }  # fmt: skip
    commitments = Commitments(
        promises=(EU, REGION, INDUSTRY),
        accounts={account: frozenset(names.split()) for account, names in accounts.items()},
    )
    tried = trial(replace(work, backlog=60), commitments, wanted.cores, "rolling:20d", 12 * HOUR)
    lived, found = by_name(tried)
    assert found["eu"].delivered_share == pytest.approx(0.51, abs=0.025)
    assert found["region"].delivered_share == pytest.approx(0.26, abs=0.025)
    assert found["industry"].verdicts == {Verdict.KEPT: found["industry"].windows}
    assert set(lived.cluster.accounts) == {"eu", "region", "industry", "national"}
    assert all(outcome.writes_per_day for outcome in found.values())
    _, static = by_name(tried, "static")
    assert static["eu"].delivered_share is not None
    assert static["eu"].delivered_share > 0.535, "what it has below the row of the cap comes on top"
    assert static["industry"].writes_per_day == 0


def test_a_broken_window_says_how_long_enough_was_asked_for() -> None:
    """A job at a time, which waits until long jobs of the others end and is less than the floor."""
    ours = [job("e", 5 * HOUR * number, 2 * HOUR, cpus=3) for number in range(24)]
    others = [job("n", 0, 10 * HOUR + 600 * number) for number in range(8 * 12)]
    _, found = by_name(trial(workload(ours + others), ALL_FOUR, 8, "rolling:2d", HOUR), "static")
    broken = found["eu"].broken
    assert len(broken) == found["eu"].windows == 3
    assert all(part.share < 0.2 for part in broken)
    assert all(0.4 < part.asked < 0.6 for part in broken), "two jobs at a time are more than the floor"
