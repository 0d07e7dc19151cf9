"""What the model cluster delivered, beside what core.share makes of the same jobs."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.measure.share import SortedRun
from slurm_ai_factory.core.records import HOUR, Run
from slurm_ai_factory.core.rules.classify import always
from slurm_ai_factory.simulation.bookkeeping import Books, windows_of
from slurm_ai_factory.simulation.replay import promise_of
from slurm_ai_factory.simulation.workload import Job
from tests.core.generated import OTHERS, REGIONAL, RUN
from tests.simulation.built import CORES, Ran, cluster, job, job_lists, ran, workload

UTC = ZoneInfo("UTC")
PROMISE = promise_of(0.25, 0.01, "cpu")


def as_run(number: int, one: Ran, began: int, now: int) -> Run:
    """The job as Slurm's accounting would tell it just before now."""
    started, ended = (0 <= at < now - began for at in (one.start, one.end))
    return RUN._replace(
        db_index=number,
        state="COMPLETED" if started and ended else "RUNNING" if started else "PENDING",
        submit_at=began + one.submit,
        eligible_at=began + one.submit,
        start_at=began + one.start if started else None,
        end_at=began + one.end if started and ended else None,
        elapsed_seconds=(one.end - one.start if ended else now - began - one.start) if started else 0,
        alloc_tres=f"cpu={one.cpus}" if started else "",
        req_tres=f"cpu={one.cpus}",
    )


@given(
    job_lists(),
    st.lists(st.integers(1, 30 * HOUR), min_size=1, max_size=5),
    st.sampled_from(("rolling:6h", "month")),
)
def test_a_measurement_is_that_of_the_core_on_the_same_jobs(
    jobs: list[Job], looks: list[int], name: str
) -> None:
    model = cluster(workload(jobs))
    books = Books(model, PROMISE, name, UTC, HOUR)
    for at in sorted(looks):
        model.advance(model.began + at)
        found = books.measurement()
        now, window = model.now, windows.window(name, model.now, UTC)
        done = [one for one in ran(model) if model.began + one.submit < now]
        begun = max(model.began, window.since)
        capacity = {
            hour: CORES * (min(hour + HOUR, now) - hour) for hour in range(begun // HOUR * HOUR, now, HOUR)
        }
        runs = [
            SortedRun(as_run(number, one, model.began, now), always(REGIONAL if one.regional else OTHERS))
            for number, one in enumerate(done)
        ]
        expected = share.measure_window(
            PROMISE, window, now, closed=(), open_runs=runs, capacity=capacity, newest_record_at=now
        )
        assert found.regional_charge == expected.regional_charge
        assert found.total_charge == expected.total_charge
        assert found.waiting_charge == expected.waiting_charge
        assert found.capacity == expected.capacity
        assert found.regional_running == expected.regional_running
        assert found.regional_pending == expected.regional_pending
        hours = [hour for hour in expected.hours if hour.at >= model.began]
        assert [hour.at for hour in found.hours] == [hour.at for hour in hours]
        for ours, theirs in zip(found.hours, hours, strict=True):
            assert tuple(ours) == pytest.approx(tuple(theirs))


def test_backlog_is_what_waiting_regional_jobs_usually_use() -> None:
    """One user's runs took half an hour so far; of the other's only limit and horizon are known."""
    jobs = [
        job("r0", 0, 1800, 4, limit=9000),
        job("n0", 1, 20 * HOUR, 4),
        job("r0", 2, 1800, 2, limit=9000),
        job("r1", 2, 1800, 1, limit=9000),
        job("n0", 90 * HOUR, 1),
    ]
    model = cluster(workload(jobs), interval=1)
    model.advance(2 * HOUR)
    assert model.backlog(HOUR) == 2 * 1800 + 1 * HOUR
    assert model.backlog(3 * HOUR) == 2 * 1800 + 1 * 9000
    assert Books(model, PROMISE, "month", UTC, 600).observed().regional_backlog == 3 * 600


def test_usage_remembers_the_hours_before_a_month_that_has_begun() -> None:
    """The month begins at the third hour, and usage goes back four half-lives of two hours each."""
    begins = 31 * 24 * HOUR
    model = cluster(workload([job("r0", begins - 2 * HOUR, 5 * HOUR), job("n0", begins + 9 * HOUR, 1)]))
    model.settings = replace(model.settings, half_life=2 * HOUR)
    books = Books(model, PROMISE, "month", UTC, HOUR)
    for passed, known in ((HOUR, 0), (3 * HOUR, 2), (6 * HOUR + 1, 2), (9 * HOUR, 1), (11 * HOUR, 0)):
        model.advance(model.began + passed)
        seen = books.observed()
        both = (*seen.earlier, *seen.measurement.hours)
        assert len(seen.earlier) == known
        assert [hour.at for hour in both] == list(range(both[0].at, model.now, HOUR))


def test_windows_between_two_instants() -> None:
    first, second = windows_of("month", 0, 32 * 24 * HOUR, UTC)
    assert (first.since, first.until, second.since) == (0, 31 * 24 * HOUR, 31 * 24 * HOUR)
    laid = windows_of("rolling:6h", 0, 20 * HOUR, UTC)
    assert [(one.since, one.until) for one in laid] == [(0, 21600), (21600, 43200), (43200, 64800)]
