"""What other parties count of our runs: by hand on examples, and exact on any runs."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.audit.reconcile import NO_ACCOUNT, NOT_ELIGIBLE, SUSPENDED, ExplainedRow
from slurm_ai_factory.audit.theirs import (
    BEGAN_EARLIER,
    ENDS_LATER,
    OTHER_STATE,
    REQUESTED,
    OtherBook,
    compare_with,
)
from slurm_ai_factory.core.records import HOUR, Run
from tests.core.generated import NOW, RUN, allocations, ended, running_runs, waiting_runs

SINCE, UNTIL = 10 * HOUR, 20 * HOUR
SPANNING = ended(RUN._replace(start_at=8 * HOUR, eligible_at=8 * HOUR), 12 * HOUR)
"""Four hours on 4 CPUs, two of them in the interval, at whose end it does not run any more."""
LONG = ended(RUN._replace(start_at=19 * HOUR, eligible_at=19 * HOUR), 23 * HOUR)
OPEN = RUN._replace(start_at=18 * HOUR, eligible_at=18 * HOUR)
SUSPENDED_RUN = ended(SPANNING._replace(end_at=None, start_at=11 * HOUR, suspended_seconds=HOUR), 13 * HOUR)
NO_TIME = SPANNING._replace(eligible_at=None)
HOMELESS = SPANNING._replace(subject=RUN.subject._replace(account=""))
EXCLUSIVE = SPANNING._replace(req_tres="cpu=1,node=1,gres/gpu=1")


def compared(book: OtherBook, *runs: Run) -> Mapping[str, ExplainedRow]:
    rows = compare_with(book, runs, SINCE, UNTIL, NOW)
    assert not [row for row in rows if row.unexplained]
    return {row.tres: row for row in rows}


@pytest.mark.parametrize(
    ("book", "run", "ledger", "theirs", "cause"),
    [
        (OtherBook.APEL, SPANNING, 8, 16, BEGAN_EARLIER),
        (OtherBook.APEL, LONG, 4, 0, ENDS_LATER),
        (OtherBook.APEL, OPEN, 8, 0, ENDS_LATER),
        (OtherBook.APEL, SPANNING._replace(state="OUT_OF_MEMORY"), 8, 0, OTHER_STATE),
        (OtherBook.APEL, SPANNING._replace(state="TIMEOUT"), 8, 16, BEGAN_EARLIER),
        (OtherBook.WALDUR, EXCLUSIVE, 8, 2, REQUESTED),
        (OtherBook.WALDUR, OPEN, 8, 8, ""),
        (OtherBook.SREPORT, SPANNING, 8, 8, ""),
        (OtherBook.SREPORT, NO_TIME, 8, 0, NOT_ELIGIBLE),
        (OtherBook.SREPORT, HOMELESS, 8, 0, NO_ACCOUNT),
        (OtherBook.SREPORT, SUSPENDED_RUN, 4, 4, ""),
    ],
)
def test_the_cpu_hours_of_one_run(book: OtherBook, run: Run, ledger: int, theirs: int, cause: str) -> None:
    row = compared(book, run)["cpu"]
    assert (row.ledger / HOUR, row.theirs / HOUR, list(row.causes)) == (
        ledger,
        theirs,
        [cause] if cause else [],
    )


def test_apel_counts_a_job_that_ends_with_the_interval_in_the_next() -> None:
    """The interval is half-open: a job is in one month, wholly."""
    edge = ended(OPEN, UNTIL)
    assert [row.theirs for row in compare_with(OtherBook.APEL, [edge], SINCE, UNTIL, NOW)] == [0]
    (row,) = compare_with(OtherBook.APEL, [edge], UNTIL, UNTIL + HOUR, NOW)
    assert (row.ledger, row.theirs, row.causes) == (0, 8 * HOUR, {BEGAN_EARLIER: 8 * HOUR})


def test_sreport_counts_suspended_time_of_everything_but_cpus() -> None:
    row = compared(OtherBook.SREPORT, SUSPENDED_RUN)["node"]
    assert (row.ledger, row.theirs, row.causes) == (HOUR, 2 * HOUR, {SUSPENDED: HOUR})


def test_waldur_counts_what_was_asked_for_of_each_tres() -> None:
    rows = compared(OtherBook.WALDUR, EXCLUSIVE)
    assert {name: row.difference / HOUR for name, row in rows.items()} == {
        "cpu": -6,
        "gres/gpu": 2,
        "node": 0,
    }


@st.composite
def any_runs(draw: st.DrawFn) -> Run:
    run = draw(running_runs() | waiting_runs())
    run = run._replace(
        req_tres=draw(allocations),
        state=draw(st.sampled_from(("COMPLETED", "OUT_OF_MEMORY", "CANCELLED", run.state))),
        subject=run.subject._replace(account=draw(st.sampled_from(("umcg", "astro", "")))),
    )
    if run.start_at is None or draw(st.booleans()):
        return run
    end = draw(st.integers(run.start_at + run.suspended_seconds, NOW + HOUR))
    return run._replace(end_at=end, elapsed_seconds=end - run.start_at - run.suspended_seconds)


@given(st.lists(any_runs(), max_size=6), st.integers(0, 400), st.integers(1, 400), st.sampled_from(OtherBook))
def test_the_causes_add_up_to_the_difference_exactly(
    runs: list[Run], first: int, hours: int, book: OtherBook
) -> None:
    since = first * HOUR
    for row in compare_with(book, runs, since, since + hours * HOUR, NOW):
        assert row.unexplained == 0
        assert row.ledger + sum(row.causes.values()) == row.theirs


@given(st.lists(any_runs(), max_size=6), st.integers(1, 470))
def test_two_intervals_count_what_the_whole_does(runs: list[Run], cut: int) -> None:
    """However a time is cut into months, APEL counts each job once."""
    whole = compare_with(OtherBook.APEL, runs, 0, 600 * HOUR, NOW)
    parts = [
        row
        for since, until in ((0, cut * HOUR), (cut * HOUR, 600 * HOUR))
        for row in compare_with(OtherBook.APEL, runs, since, until, NOW)
    ]
    for account in {row.account for row in whole}:
        both = (sum(row.theirs for row in rows if row.account == account) for rows in (whole, parts))
        assert next(both) == next(both)
