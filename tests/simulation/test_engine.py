"""What must hold of the model cluster whatever it is given; its schedulers beside plain ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.simulation import fair_tree
from slurm_ai_factory.simulation.arrays import ALL, OTHERS_WAITING, REGIONAL, UP, WAITING
from slurm_ai_factory.simulation.layout import ModelOutage
from slurm_ai_factory.simulation.workload import Job
from tests.simulation.built import CORES, FIFO, Ran, cluster, job, job_lists, lived, running, workload

modes = st.booleans()
"""conservative or not"""


@given(job_lists(), modes)
def test_never_more_runs_than_there_is(jobs: list[Job], conservative: bool) -> None:
    done = lived(cluster(workload(jobs), conservative=conservative))
    assert all(running(done, one.start) <= CORES for one in done)


@given(job_lists(), modes, st.sampled_from((1, 30, 300)))
def test_every_job_runs_once_for_its_time_from_a_beat_after_its_submission(
    jobs: list[Job], conservative: bool, interval: int
) -> None:
    done = lived(cluster(workload(jobs), conservative=conservative, interval=interval))
    assert all(one.submit <= one.start and one.end - one.start == one.runtime for one in done)
    assert all(one.start % interval == 0 for one in done)


def easy(jobs: Sequence[Ran], cores: int) -> list[int]:
    """When each starts: first come first served, and behind the first that waits what does not delay it."""

    def look(now: int, waiting: list[int], start: list[int]) -> None:
        shadow, spare = -1, 0
        for one in waiting:
            free = cores - _used(jobs, start, now)
            fits = jobs[one].cpus <= free
            over = now + jobs[one].limit
            if fits and (shadow < 0 or over <= shadow or jobs[one].cpus <= spare):
                start[one] = now
                spare -= jobs[one].cpus if shadow >= 0 and over > shadow else 0
            elif shadow < 0:
                shadow, spare = _reservation(jobs, start, now, jobs[one].cpus, cores)

    return _started(jobs, look)


def conservative(jobs: Sequence[Ran], cores: int) -> list[int]:
    """When each starts: at every look, each in turn at the earliest time that delays none before it."""

    def look(now: int, waiting: list[int], start: list[int]) -> None:
        planned = [
            (start[one], start[one] + jobs[one].limit, jobs[one].cpus)
            for one in range(len(jobs))
            if start[one] >= 0 and now < start[one] + jobs[one].runtime
        ]
        for one in waiting:
            begin = _earliest(planned, now, jobs[one], cores)
            planned.append((begin, begin + jobs[one].limit, jobs[one].cpus))
            if begin == now:
                start[one] = now

    return _started(jobs, look)


def _started(jobs: Sequence[Ran], look: Callable[[int, list[int], list[int]], None]) -> list[int]:
    start = [-1] * len(jobs)
    events = {one.submit for one in jobs}
    while events:
        now = min(events)
        look(now, [n for n, one in enumerate(jobs) if one.submit <= now and start[n] < 0], start)
        events |= {begun + jobs[n].runtime for n, begun in enumerate(start) if begun == now}
        events.remove(now)
    return start


def _used(jobs: Sequence[Ran], start: Sequence[int], now: int) -> int:
    return sum(
        one.cpus for one, begun in zip(jobs, start, strict=True) if 0 <= begun <= now < begun + one.runtime
    )


def _reservation(
    jobs: Sequence[Ran], start: Sequence[int], now: int, cpus: int, cores: int
) -> tuple[int, int]:
    """(when so many CPUs will be free by the time limits, what is left then)."""
    busy = [n for n, begun in enumerate(start) if begun >= 0 and now < begun + jobs[n].runtime]
    free = cores - _used(jobs, start, now)
    for due, one in sorted((start[n] + jobs[n].limit, n) for n in busy):
        free += jobs[one].cpus
        if free >= cpus:
            return due, free - cpus
    raise AssertionError("a job larger than the machine")


def _earliest(planned: Sequence[tuple[int, int, int]], now: int, one: Ran, cores: int) -> int:
    """The first instant from which on the job fits for as long as it may run."""
    edges = sorted({now, *(end for _, end, _ in planned if end > now)})
    for begin in edges:
        over = begin + one.limit
        checks = [begin, *(at for at, _, _ in planned if begin < at < over)]
        if all(
            sum(cpus for at, end, cpus in planned if at <= check < end) + one.cpus <= cores
            for check in checks
        ):
            return begin
    raise AssertionError("a job larger than the machine")


@given(job_lists())
def test_easy_is_that_of_a_plain_scheduler(jobs: list[Job]) -> None:
    done = lived(cluster(workload(jobs), **FIFO))
    assert [one.start for one in done] == easy(done, CORES)


@given(job_lists(most=15))
def test_conservative_is_that_of_a_plain_scheduler(jobs: list[Job]) -> None:
    done = lived(cluster(workload(jobs), conservative=True, **FIFO))
    assert [one.start for one in done] == conservative(done, CORES)


@given(job_lists(exact=True))
def test_the_first_that_waits_is_not_delayed_beyond_its_reservation(jobs: list[Job]) -> None:
    done = lived(cluster(workload(jobs), **FIFO))
    for now in sorted({one.submit for one in done} | {one.end for one in done}):
        waiting = [one for one in done if one.submit <= now < one.start]
        if waiting:
            first = waiting[0]
            start = [one.start if one.start <= now else -1 for one in done]
            assert first.start <= _reservation(done, start, now, first.cpus, CORES)[0]


@given(job_lists())
def test_hours_add_up_to_what_ran_and_waited(jobs: list[Job]) -> None:
    model = cluster(workload(jobs))
    done = lived(model)
    total = model.hours.sum(axis=0)
    ours = [one for one in done if one.regional]
    others = [one for one in done if not one.regional]
    assert total[REGIONAL] == sum(one.cpus * one.runtime for one in ours)
    assert total[ALL] == sum(one.cpus * one.runtime for one in done)
    assert total[WAITING] == sum(one.cpus * (one.start - one.submit) for one in ours)
    assert total[OTHERS_WAITING] == sum(one.cpus * (one.start - one.submit) for one in others)
    assert total[UP] == CORES * (model.now - model.began)


@given(job_lists())
def test_each_hour_is_the_overlap_of_the_jobs_with_it(jobs: list[Job]) -> None:
    model = cluster(workload(jobs))
    done = lived(model)
    for hour, row in enumerate(model.hours):
        begin, end = hour * HOUR, (hour + 1) * HOUR
        overlap = [one.cpus * max(0, min(one.end, end) - max(one.start, begin)) for one in done]
        assert row[ALL] == sum(overlap)
        assert row[REGIONAL] == sum(part for one, part in zip(done, overlap, strict=True) if one.regional)


@given(job_lists(), st.lists(st.integers(1, 12 * HOUR), min_size=1, max_size=6), modes)
def test_it_does_not_matter_how_often_one_looks(
    jobs: list[Job], looks: list[int], conservative: bool
) -> None:
    at_once = cluster(workload(jobs), conservative=conservative)
    in_steps = cluster(workload(jobs), conservative=conservative)
    for at in sorted(looks):
        in_steps.advance(in_steps.began + at)
        in_steps.fairshare()
        in_steps.associations()
    until = at_once.began + 12 * HOUR
    assert lived(at_once, until) == lived(in_steps, until)
    assert at_once.usage() == in_steps.usage()


@given(job_lists())
def test_the_same_work_is_lived_through_the_same_way(jobs: list[Job]) -> None:
    assert lived(cluster(workload(jobs))) == lived(cluster(workload(jobs)))


@given(job_lists(), st.sampled_from(("x", "zz.")))
def test_names_do_not_matter(jobs: list[Job], prefix: str) -> None:
    """What is called otherwise, in the same order: ties of Fair Tree go by order."""
    renamed = [one._replace(account=one.account[0] + prefix + one.account[1:]) for one in jobs]
    assert lived(cluster(workload(jobs))) == lived(cluster(workload(renamed)))


@given(job_lists(), st.integers(0, 4 * HOUR), st.integers(1, 8 * HOUR), st.integers(1, CORES))
def test_on_nodes_that_are_down_nothing_starts(jobs: list[Job], since: int, span: int, down: int) -> None:
    """What runs there goes on."""
    outage = ModelOutage(pool=0, since=since, until=since + span, counts=(down,))
    model = cluster(workload(jobs), outages=(outage,))
    done = lived(model, model.until + 8 * 24 * HOUR)
    for one in done:
        up = CORES - (down if since <= model.began + one.start < since + span else 0)
        assert running(done, one.start) <= up
        assert one.end - one.start == one.runtime
    lost = down * max(0, since + span - max(since, model.began))
    assert model.hours[:, UP].sum() == CORES * (model.now - model.began) - lost


@given(job_lists(), st.integers(0, 6 * HOUR), st.integers(1, 12 * HOUR), modes)
def test_while_slurmctld_is_down_nothing_starts_and_what_runs_goes_on(
    jobs: list[Job], since: int, span: int, conservative: bool
) -> None:
    model = cluster(workload(jobs), stops=[(since, since + span)], conservative=conservative)
    done = lived(model, model.until + 8 * 24 * HOUR)
    assert all(not since <= one.start < since + span for one in done)
    assert all(one.end - one.start == one.runtime for one in done)
    without = lived(cluster(workload(jobs), conservative=conservative))
    before = [one for one in without if one.start < since]
    assert [one for one in done if one.start < since] == before


def test_usage_goes_on_where_it_was_when_slurmctld_comes_back() -> None:
    """Its first pass is as long as the stop was: what ran is charged, and all decays for that time."""
    work = workload([job("r0", 0, 20 * HOUR), job("n0", 0, HOUR, 2), job("n0", 30 * HOUR, 1)])
    model = cluster(work, half_life=4 * HOUR, stops=[(2 * HOUR, 6 * HOUR)])
    model.advance(2 * HOUR)
    before = model.usage()
    model.advance(6 * HOUR)
    assert model.usage() == before
    model.advance(6 * HOUR + 1)
    seconds = 4 * HOUR + 300
    left = fair_tree.decay(seconds, 4 * HOUR)
    after = model.usage()
    assert after["national.n0/a"] == pytest.approx(before["national.n0/a"] * left)
    assert after["regional.r0/a"] == pytest.approx((before["regional.r0/a"] + seconds) * left)


@given(job_lists(), st.integers(1, 5))
def test_a_side_whose_backlog_is_full_submits_no_more(jobs: list[Job], backlog: int) -> None:
    done = lived(cluster(workload(jobs, backlog)))
    came = [one for one in done if one.start != -2]
    for now in {one.submit for one in done}:
        for side in (True, False):
            waiting = [one for one in came if one.regional is side and one.submit <= now < one.start]
            assert len(waiting) <= backlog
    assert all(one.start >= one.submit for one in came)


@given(job_lists(exact=True), st.integers(600, 48 * HOUR), st.sampled_from((60, 300)))
def test_usage_is_what_the_core_says_of_the_same_passes(jobs: list[Job], half_life: int, period: int) -> None:
    """Usage of the region and of the others after a day of passes, by the arithmetic of core.fair_tree."""
    model = cluster(workload(jobs), half_life=half_life, calc_period=period)
    done = lived(model, model.began + 24 * HOUR + 1)
    expected = {True: 0.0, False: 0.0}
    for since, until in pairwise(range(0, 24 * HOUR + 1, period)):
        for side in expected:
            used = sum(
                one.cpus * max(0, min(one.end, until) - max(one.start, since))
                for one in done
                if one.regional is side and one.start >= 0
            )
            expected[side] = (expected[side] + used) * fair_tree.decay(period, half_life)
    rows = {one.account: one.raw_usage for one in model.associations() if one.user is None}
    assert rows["regional"] == pytest.approx(expected[True], rel=1e-6, abs=1)
    assert rows["national"] == pytest.approx(expected[False], rel=1e-6, abs=1)


@pytest.mark.parametrize(("written", "first"), [(10_400, "regional"), (10_600, "national")])
def test_raw_shares_act_from_the_next_pass_on(written: int, first: str) -> None:
    """Both wait for the one core, and the region used more; the last pass before it is free is at 10500."""
    used = [job("r0", 0, 7200), job("n0", 7200, 3590)]
    waiting = [job("n0", 10_700, HOUR), job("r0", 10_700, HOUR), job("n0", 90 * HOUR, 1)]
    model = cluster(workload(used + waiting), cores=1, interval=1)
    model.advance(written)
    before = model.fairshare()
    model.set_raw_shares("regional", 99_000)
    assert model.fairshare() == before
    (began,) = [one for one in lived(model, 10_800) if one.start == 10_790]
    assert began.regional is (first == "regional")


def test_reset_forgets_usage_from_now_on() -> None:
    model = cluster(workload([job("r0", 0, 10 * HOUR), job("n0", 50 * HOUR, 1)]), half_life=0)
    model.advance(2 * HOUR + 1)
    assert model.usage()["regional.r0/a"] == 2 * HOUR
    model.advance(2 * HOUR + 100)
    model.reset_usage()
    model.advance(3 * HOUR + 1)
    assert model.usage()["regional.r0/a"] == HOUR - 100


@pytest.mark.parametrize("favour", [0.0, 1e9])
def test_favoured_are_first_whatever_they_used(favour: float) -> None:
    jobs = [job("r0", 0, 10 * HOUR), *[job(name, 100 + n, HOUR) for n, name in enumerate(("n0", "r0"))]]
    model = cluster(workload([*jobs, job("n0", 99 * HOUR, 1)]), cores=1, favour=favour)
    done = lived(model)
    second = min(done[1:3], key=lambda one: one.start)
    assert second.regional is (favour > 0)
