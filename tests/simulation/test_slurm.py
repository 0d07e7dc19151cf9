"""The model cluster as a source: its answers add up, among themselves and to what the engine counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core import charge, tres
from slurm_ai_factory.core.records import HOUR, Change, LeverKind, Run
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.simulation.arrays import ALL, OTHERS_WAITING, REGIONAL, WAITING
from slurm_ai_factory.simulation.cluster import ModelCluster
from slurm_ai_factory.simulation.facility import GPUS, NODES, SIZE, facility
from slurm_ai_factory.simulation.layout import NAME, ModelOutage, ModelSettings, one_pool
from slurm_ai_factory.simulation.scenarios import BEGIN
from slurm_ai_factory.simulation.slurm import ModelSlurm
from slurm_ai_factory.simulation.workload import Job, gathered
from slurm_ai_factory.source import Source

DAY = 24 * HOUR
POOL = 16
REGION = frozenset({"umcg", "smeworks"})
GPU = "gres/gpu"

JOBS = st.lists(
    st.builds(
        lambda account, user, submit, runtime, limit, gpus: Job(
            account, f"{account}{user}", BEGIN + submit, runtime, limit, 8 * gpus, gpus, 1, "gpu"
        ),
        st.sampled_from([*sorted(REGION), "astro", "climate"]),
        st.integers(0, 1),
        st.integers(0, DAY),
        st.integers(1, 6 * HOUR),
        st.integers(0, 12 * HOUR),
        st.integers(1, POOL),
    ),
    min_size=1,
    max_size=40,
)
LATER = st.integers(1, 2 * DAY)


@dataclass
class Time:
    """A clock to set."""

    at: int = BEGIN

    def __call__(self) -> int:
        return self.at


def modelled(jobs: list[Job], clock: Time, outages: tuple[ModelOutage, ...] = ()) -> ModelSlurm:
    workload = gathered("test", jobs)
    layout = replace(one_pool(workload, "gres/gpu", POOL), outages=outages)
    model = ModelCluster(
        workload, workload.users_of(REGION), layout, ModelSettings(), {"regional": 25, "national": 75}
    )
    return ModelSlurm(model, workload, layout, f"billing={POOL},cpu={8 * POOL},{GPU}={POOL},node=2", clock)


def told(slurm: ModelSlurm) -> list[Run]:
    return list(slurm.runs(0, slurm.clock() + 1))


def gpus(run: Run) -> int:
    return int(tres.parse_tres(charge.wanted_tres(run))[GPU])


def sums(slurm: ModelSlurm, now: int, *, waited: bool) -> Counter[tuple[bool, int]]:
    """GPU-seconds by (whether regional, hour), from what is told of the runs."""
    found: Counter[tuple[bool, int]] = Counter()
    for run in told(slurm):
        start, end, seconds = (charge.waited if waited else charge.delivered)(run, now)
        for hour, part in charge.seconds_by_hour(start, end, seconds):
            found[run.subject.account in REGION, hour] += part * gpus(run)
    return found


@given(jobs=JOBS, later=LATER)
def test_charges_of_the_runs_are_the_models_hours(jobs: list[Job], later: int) -> None:
    clock = Time()
    slurm = modelled(jobs, clock)
    clock.at = now = slurm.model.began + later
    delivered, waited = sums(slurm, now, waited=False), sums(slurm, now, waited=True)
    for number, row in enumerate(slurm.model.hours):
        hour = slurm.model.began + number * HOUR
        assert delivered[True, hour] == row[REGIONAL]
        assert delivered[True, hour] + delivered[False, hour] == row[ALL]
        assert waited[True, hour] == row[WAITING]
        assert waited[False, hour] == row[OTHERS_WAITING]


@given(jobs=JOBS, later=LATER, since=st.integers(0, DAY), length=st.integers(1, DAY))
def test_utilization_is_that_of_the_runs(jobs: list[Job], later: int, since: int, length: int) -> None:
    clock = Time()
    slurm = modelled(jobs, clock)
    clock.at = now = slurm.model.began + later
    first = slurm.model.began + since
    found: Counter[tuple[str, str]] = Counter()
    for run in slurm.runs(first, first + length):
        start, end, _ = charge.delivered(run, now)
        seconds = max(0, min(end, first + length) - max(start, first))
        for name, count in tres.parse_tres(run.alloc_tres).items():
            found[run.subject.account, name] += int(count) * seconds
    assert slurm.utilization(first, first + length) == {key: used for key, used in found.items() if used}


@given(jobs=JOBS, later=LATER)
def test_the_queue_is_what_the_engine_has_running_and_waiting(jobs: list[Job], later: int) -> None:
    clock = Time()
    slurm = modelled(jobs, clock)
    clock.at = slurm.model.began + later
    found: Counter[tuple[str, bool]] = Counter()
    for one in slurm.queue():
        found[one.state, one.subject.account in REGION] += int(tres.parse_tres(one.tres)[GPU])
    ended = sum(gpus(run) for run in told(slurm) if run.end_at == clock.at)
    rates = slurm.model.rates
    assert found["RUNNING", True] + found["RUNNING", False] == rates[ALL] - ended
    assert found["PENDING", True] == rates[WAITING]
    assert found["PENDING", False] == rates[OTHERS_WAITING]


@given(jobs=JOBS, later=LATER)
def test_terms_are_of_the_jobs_that_wait_and_make_up_their_priority(jobs: list[Job], later: int) -> None:
    clock = Time()
    slurm = modelled(jobs, clock)
    clock.at = slurm.model.began + later
    waiting = {one.job_id: one.priority for one in slurm.queue() if one.state == "PENDING"}
    terms = {one.job_id: one.fairshare + one.others for one in slurm.priority_terms()}
    assert {job: max(1, round(priority)) for job, priority in terms.items()} == waiting
    assert all(one.others >= 0 for one in slurm.priority_terms())
    assert slurm.diagnostics().backfill_queue == len(waiting)


@given(jobs=JOBS, later=LATER)
def test_a_run_is_told_the_same_from_each_interval_it_was_alive_in(jobs: list[Job], later: int) -> None:
    clock = Time()
    slurm = modelled(jobs, clock)
    clock.at = now = slurm.model.began + later
    every = {run.db_index: run for run in told(slurm)}
    assert all((run.submit_at or now) < now for run in every.values())
    pieces: dict[int, Run] = {}
    for since in range(slurm.model.began, now, 5 * HOUR):
        for run in slurm.runs(since, min(now, since + 5 * HOUR)):
            assert (run.eligible_at or 0) < since + 5 * HOUR
            assert run.end_at is None or run.end_at >= since
            pieces[run.db_index] = run
    assert pieces == every


@given(jobs=JOBS, later=LATER)
def test_usage_and_shares_add_up_at_every_level(jobs: list[Job], later: int) -> None:
    clock = Time()
    slurm = modelled(jobs, clock)
    clock.at = slurm.model.began + later
    rows = slurm.associations()
    accounts = {one.account: one for one in rows if one.user is None}
    assert {one.account for one in rows} == {"root", "regional", "national", *(job.account for job in jobs)}
    for name, account in accounts.items():
        level = [one for one in rows if (one.account if one.user else one.parent) == name]
        if not level:
            continue
        used = sum(one.raw_usage or 0 for one in level)
        assert account.raw_usage == pytest.approx(used, abs=len(level))
        assert sum(one.norm_shares or 0 for one in level) == pytest.approx(1)
        cut = len(level) / (account.raw_usage or 1)  # RawUsage is told in whole seconds
        whole = sum(one.effectv_usage or 0 for one in level)
        assert whole == pytest.approx(1 if account.raw_usage else 0, abs=cut)


def test_shares_that_are_set_are_read_back() -> None:
    slurm = modelled([Job("umcg", "u", BEGIN, HOUR, HOUR, 8, 1, 1, "gpu")], Time())
    slurm.set_raw_shares(
        Change(cluster=NAME, account="regional", raw_shares_before=25, raw_shares_after=40), inf
    )
    found = next(one for one in slurm.associations() if one.account == "regional")
    assert (found.raw_shares, found.stored_shares) == (40, 40)
    assert found.norm_shares == pytest.approx(40 / (40 + 75 + 1))


@pytest.mark.parametrize(
    ("account", "lever", "named"),
    [("umcg", LeverKind.ACCOUNT, "umcg"), ("regional", LeverKind.QOS, "qos regional")],
)
def test_shares_of_another_account_and_a_qos_are_refused(account: str, lever: LeverKind, named: str) -> None:
    slurm = modelled([Job("umcg", "u", BEGIN, HOUR, HOUR, 8, 1, 1, "gpu")], Time())
    change = Change(cluster=NAME, account=account, raw_shares_before=1, raw_shares_after=2, lever=lever)
    with pytest.raises(SlurmError, match=f"steers regional and national and has no {named} "):
        slurm.set_raw_shares(change, inf)


def test_a_clock_that_goes_back_takes_nothing_back() -> None:
    clock = Time(BEGIN + 2 * HOUR)
    slurm = modelled([Job("umcg", "u", BEGIN, HOUR, HOUR, 8, 1, 1, "gpu")], clock)
    before = slurm.diagnostics().at
    clock.at = BEGIN
    assert slurm.diagnostics().at == before == BEGIN + 2 * HOUR
    assert [run.state for run in slurm.runs(0, BEGIN + HOUR)] == ["COMPLETED"]


def test_an_outage_is_told_when_it_has_begun_and_its_end_when_it_is_over() -> None:
    clock = Time(BEGIN)
    outage = ModelOutage(pool=0, since=BEGIN + HOUR, until=BEGIN + 3 * HOUR, counts=(POOL // 4,))
    jobs = [Job("umcg", "u", BEGIN + n * HOUR, HOUR, HOUR, 8, 1, 1, "gpu") for n in range(4)]
    slurm = modelled(jobs, clock, (outage,))
    spans = {}
    for hours in (1, 2, 4):
        clock.at = BEGIN + hours * HOUR
        sizes, outages = slurm.events(0, clock.at)
        assert [one.tres for one in sizes] == [slurm.size]
        spans[hours] = [(one.since, one.until, one.tres) for one in outages]
    down = f"billing={POOL // 4},cpu={2 * POOL},{GPU}={POOL // 4},node=0"
    assert spans == {
        1: [],
        2: [(BEGIN + HOUR, None, down)],
        4: [(BEGIN + HOUR, BEGIN + 3 * HOUR, down)],
    }
    assert slurm.events(BEGIN + 3 * HOUR, clock.at)[1] == []


def test_an_hour_is_rolled_up_when_it_is_over() -> None:
    clock = Time(BEGIN + HOUR)
    slurm = modelled([Job("umcg", "u", BEGIN, HOUR, HOUR, 8, 1, 1, "gpu")], clock)
    assert slurm.rolled_up(BEGIN, BEGIN + HOUR)
    assert not slurm.rolled_up(BEGIN + HOUR, BEGIN + 2 * HOUR)


def test_the_facility_fills_its_nodes_and_has_an_idle_region_at_first() -> None:
    made = facility(DAY)
    clock = Time(made.model.now)
    source: Source = ModelSlurm(made.model, made.workload, made.layout, SIZE, clock)
    history = made.model.hours
    assert history[-24:, REGIONAL].sum() / history[-24:, ALL].sum() < 0.1
    assert history[-24:, ALL].mean() > 0.9 * NODES * GPUS * HOUR
    clock.at += DAY
    source.diagnostics()
    later = made.model.hours[-12:]
    assert later[:, REGIONAL].sum() / later[:, ALL].sum() > 0.2
    whole = made.workload.counts[np.argmax(made.workload.counts[:, 2])]
    assert whole[0] / whole[2] * NODES == tres.parse_tres(SIZE)["cpu"]
