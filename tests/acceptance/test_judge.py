"""The judgement of an acceptance run, on rows that can be added up by hand."""

from __future__ import annotations

import pytest

from tests.acceptance.judge import Lived, Run, judge, running, waiting

MINUTE, HOUR = 60, 3600
RUNS = (
    Run(True, 0, 0, HOUR, 1),
    Run(False, 0, 0, HOUR, 3),
    Run(False, 0, HOUR, 2 * HOUR, 4),
    Run(True, HOUR // 2, 2 * HOUR, 3 * HOUR, 2),
    Run(False, 2 * HOUR, 2 * HOUR, 3 * HOUR, 2),
    Run(True, 0, None, 10 * MINUTE, 4),
)
"""A quarter is the region's in the first hour, nothing in the second, where it waits, half in the third."""


def lived(*runs: Run) -> Lived:
    return Lived(name="static", began=0, until=3 * HOUR, cpus=4, away=(), runs=runs, samples=(), writes=0)


def test_every_window_from_the_first_whole_one_on_is_judged() -> None:
    found = judge(lived(*RUNS), HOUR, 0.25)
    ends, shares = zip(*found.windows, strict=True)
    assert ends == tuple(range(HOUR, 3 * HOUR + 1, 5 * MINUTE))
    assert shares[:2] == pytest.approx((0.25, 0.25 * 11 / 12))
    assert shares[-1] == 0.5
    assert found.worst == 0.0
    assert found.missed == 17 / 25
    assert found.share == pytest.approx(3 / 12)
    assert found.utilisation == 1.0


def test_it_is_told_how_long_the_region_waited_in_vain() -> None:
    found = judge(lived(*RUNS), HOUR, 0.25)
    assert (found.blocked, found.blocked_jobs) == (85 * MINUTE, 1)  # from 0:30 on, looked at every 5 minutes
    assert found.missed_waiting == 11 / 25


def test_nothing_is_blocked_where_nobody_waits() -> None:
    found = judge(lived(Run(True, 0, 0, 3 * HOUR, 1), Run(False, 0, 0, 3 * HOUR, 3)), HOUR, 0.25)
    assert (found.worst, found.missed, found.blocked, found.blocked_jobs) == (0.25, 0, 0, 0)


@pytest.mark.parametrize(
    ("at", "jobs", "cpus"), [(0, 1, (1, 3)), (HOUR, 1, (0, 4)), (2 * HOUR, 0, (2, 2)), (3 * HOUR, 0, (0, 0))]
)
def test_what_waits_and_runs_at_an_instant(at: int, jobs: int, cpus: tuple[int, int]) -> None:
    assert waiting(lived(*RUNS), at) == jobs
    assert running(lived(*RUNS), at) == cpus
