"""Three books of the same hours: what differs has a computed cause or stays unexplained."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from slurm_ai_factory.audit.reconcile import (
    CHANGED,
    GONE,
    IDLE,
    NO_ACCOUNT,
    NOT_ELIGIBLE,
    NOT_READ,
    NOT_ROLLED_UP,
    RESIZED,
    SUSPENDED,
    SUSPENDED_WHEN,
    Amounts,
    ComparedBooks,
    Reconciliation,
    reconcile,
)
from slurm_ai_factory.core import charge, tres
from slurm_ai_factory.core.records import HOUR, Reservation, Run
from tests.core.generated import NOW, RUN, allocations, ended

SINCE, UNTIL = 2 * HOUR, 9 * HOUR
PLAIN = RUN._replace(start_at=HOUR, eligible_at=HOUR)
ACCOUNTS = ("umcg", "astro")


@st.composite
def unsuspended_runs(draw: st.DrawFn) -> Run:
    """A run about the interval, of one of two accounts, never suspended; it may be open or waiting."""
    account = draw(st.sampled_from(ACCOUNTS))
    start = draw(st.none() | st.integers(0, 11 * HOUR))
    run = RUN._replace(subject=RUN.subject._replace(account=account), start_at=start)
    if start is None:
        return run._replace(alloc_tres="", state="PENDING")
    run = run._replace(alloc_tres=draw(allocations))
    length = draw(st.none() | st.integers(0, 10 * HOUR))
    return run if length is None else ended(run, start + length)


many = st.lists(unsuspended_runs(), max_size=6).map(
    lambda found: [run._replace(db_index=n) for n, run in enumerate(found, 1)]
)


def hourly(found: list[Run], since: int = SINCE, until: int = UNTIL) -> Amounts:
    """The hourly usage of ended runs, hour by hour as the ledger keeps it."""
    total: Counter[tuple[str, str]] = Counter()
    for run in found:
        if run.end_at is None:
            continue
        for hour, seconds in charge.seconds_by_hour(*charge.delivered(run, NOW)):
            if since <= hour < until:
                total.update(
                    {
                        (run.subject.account, n): c * seconds
                        for n, c in tres.parse_tres(run.alloc_tres).items()
                    }
                )
    return total


def rollup(found: list[Run], since: int = SINCE, until: int = UNTIL) -> Amounts:
    """What slurmdbd makes of runs that were never suspended: start and end cut to each hour."""
    total: Counter[tuple[str, str]] = Counter()
    for run in found:
        for hour in range(since, until, HOUR):
            end = hour + HOUR if run.end_at is None else min(run.end_at, hour + HOUR)
            seconds = 0 if run.start_at is None else max(0, end - max(run.start_at, hour))
            total.update(
                {(run.subject.account, n): c * seconds for n, c in tres.parse_tres(run.alloc_tres).items()}
            )
    return total


def books(found: list[Run], **different: object) -> ComparedBooks:
    """Books that agree about these runs, but for what is different."""
    agreeing = ComparedBooks(
        since=SINCE, until=UNTIL, at=NOW, closed=hourly(found),
        open_runs=[run for run in found if run.end_at is None], kept=found, sacct=found,
        sreport=rollup(found),
    )  # fmt: skip
    return replace(agreeing, **different)  # type: ignore[arg-type]


def causes(found: Reconciliation) -> set[str]:
    return {cause for row in found.rows for cause in row.causes}


@given(many)
def test_books_of_the_same_runs_agree_without_a_cause(found: list[Run]) -> None:
    result = reconcile([books(found)])
    assert result.unexplained == 0
    assert not causes(result)
    assert all(row.ledger == row.sacct == row.sreport for row in result.rows)


@given(many, st.integers(SINCE // HOUR, UNTIL // HOUR))
def test_two_intervals_say_what_the_whole_says(found: list[Run], cut: int) -> None:
    parts = [(SINCE, cut * HOUR), (cut * HOUR, UNTIL)]
    pieces = [
        books(found, since=a, until=b, closed=hourly(found, a, b), sreport=rollup(found, a, b))
        for a, b in parts
    ]
    assert reconcile(pieces).rows == reconcile([books(found)]).rows


@given(many, st.data())
def test_a_run_the_ledger_lacks_is_not_read_yet_and_one_sacct_lacks_is_gone(
    found: list[Run], data: st.DataObject
) -> None:
    assume(found)
    missing = data.draw(st.sampled_from(found))
    others = [run for run in found if run is not missing]
    unread = reconcile([books(others, sacct=found, sreport=rollup(found))])
    gone = reconcile([books(found, sacct=others, sreport=rollup(others))])
    assert unread.unexplained == gone.unexplained == 0
    assert (causes(unread), causes(gone)) in (({NOT_READ}, {GONE}), (set(), set()))


@given(unsuspended_runs(), unsuspended_runs())
def test_a_run_that_slurm_changed_since_is_told_with_the_amount(before: Run, after: Run) -> None:
    result = reconcile([books([before], sacct=[after], sreport=rollup([after]))])
    assert result.unexplained == 0
    assert causes(result) <= {CHANGED}


@given(many, st.sampled_from(("ledger", "sreport")), st.integers(-5, 5).filter(bool))
def test_a_second_that_nobody_can_account_for_is_unexplained(found: list[Run], book: str, off: int) -> None:
    key = ("umcg", "cpu")
    altered = {key: 10**6 + off} if book == "ledger" else {key: 10**6}
    other = {key: 10**6 + off} if book == "sreport" else {key: 10**6}
    result = reconcile(
        [
            books(
                found,
                closed=Counter(hourly(found)) + Counter(altered),
                sreport=Counter(rollup(found)) + Counter(other),
                sacct=found,
            )
        ]
    )
    assert result.unexplained == abs(off)


@given(many)
def test_hours_that_are_not_rolled_up_are_told_with_all_that_sacct_has(found: list[Run]) -> None:
    result = reconcile([books(found, sreport=None)])
    assert result.unexplained == 0
    assert causes(result) <= {NOT_ROLLED_UP}
    assert all(row.causes[NOT_ROLLED_UP] == -row.sacct for row in result.rows)


@pytest.mark.parametrize(
    ("run", "cause"),
    [
        (PLAIN._replace(subject=PLAIN.subject._replace(account="")), NO_ACCOUNT),
        (PLAIN._replace(eligible_at=None), NOT_ELIGIBLE),
    ],
)
def test_what_the_rollup_leaves_out_is_named(run: Run, cause: str) -> None:
    result = reconcile([books([ended(run, 4 * HOUR)], sreport={})])
    assert result.unexplained == 0
    assert causes(result) == {cause}


@pytest.mark.parametrize(
    ("begins", "expected"),
    [
        (3 * HOUR, {"cpu": 2 * 600 + 1 * 1000, "node": 600 + 1000}),
        (SINCE - 700, {"cpu": 2 * 0 + 1 * 300, "node": 300}),
    ],
)
def test_the_time_of_earlier_sizes_that_sreport_counts_again_is_named(
    begins: int, expected: dict[str, int]
) -> None:
    """Eight CPUs for 600 s, then two for 400 s, then one."""
    shapes = ((8, begins, begins + 600), (2, begins + 600, begins + 1000), (1, begins + 1000, begins + 5000))
    found = [
        ended(PLAIN._replace(db_index=n, start_at=start, alloc_tres=f"cpu={cpus},node=1"), end)
        for n, (cpus, start, end) in enumerate(shapes)
    ]
    found[:2] = [run._replace(state="RESIZING") for run in found[:2]]
    found[1:] = [run._replace(told_start_at=begins) for run in found[1:]]
    as_told = [run._replace(start_at=begins) for run in found]
    result = reconcile([books(found, sreport=rollup(as_told))])
    assert result.unexplained == 0
    assert {row.tres: row.causes[RESIZED] for row in result.rows} == expected


def test_a_resized_job_whose_sizes_have_their_own_start_needs_no_cause() -> None:
    """As slurmdbd has it from 24.11 on."""
    found = [
        ended(PLAIN._replace(db_index=1, start_at=3 * HOUR, state="RESIZING"), 3 * HOUR + 600),
        ended(PLAIN._replace(db_index=2, start_at=3 * HOUR + 600), 3 * HOUR + 900),
    ]
    result = reconcile([books(found, sreport=rollup(found))])
    assert (result.unexplained, causes(result)) == (0, set())


def test_sreport_takes_suspended_time_off_cpu_only() -> None:
    run = ended(PLAIN._replace(start_at=3 * HOUR, suspended_seconds=83), 4 * HOUR)
    sreport = {("umcg", "cpu"): 4 * (HOUR - 83), ("umcg", "node"): HOUR}
    cpu, node = reconcile([books([run], sreport=sreport)]).rows
    assert (cpu.difference, cpu.causes) == (0, {})
    assert (node.difference, node.causes) == (83, {SUSPENDED: 83})


@given(st.integers(0, 1800), st.integers(0, 1800))
def test_time_suspended_on_either_side_of_the_edge_is_explained_as_far_as_it_can_be(
    before: int, inside: int
) -> None:
    """A run from an hour before the interval to an hour into it, suspended so long on either side."""
    run = ended(PLAIN._replace(suspended_seconds=before + inside), 3 * HOUR)
    sreport = {("umcg", "cpu"): 4 * (HOUR - inside), ("umcg", "node"): HOUR}
    result = reconcile([books([run], sreport=sreport)])
    assert result.unexplained == 0
    assert causes(result) <= {SUSPENDED, SUSPENDED_WHEN}
    too_much = {("umcg", "cpu"): 4 * HOUR + 1, ("umcg", "node"): HOUR}
    assert reconcile([books([run], sreport=too_much)]).unexplained > 0


@pytest.mark.parametrize(
    ("since", "until", "accounts", "used", "expected"),
    [
        (2 * HOUR + 695, None, ("umcg", "astro"), 1513, {"umcg": 2784, "astro": 2784}),
        (2 * HOUR + 695, None, ("umcg", ""), 1513, {"umcg": 2784}),
        (2 * HOUR + 695, None, ("umcg", "umcg", "astro"), 1513, {"umcg": 2 * 1856, "astro": 1856}),
        (HOUR, 2 * HOUR, ("umcg",), 0, {}),
        (HOUR, 2 * HOUR + 100, ("umcg",), 100, {}),
        (HOUR, 2 * HOUR + 100, ("umcg",), 0, {"umcg": 400}),
        (HOUR, 2 * HOUR + 100, ("umcg",), 99, {"umcg": 4}),
    ],
)
@pytest.mark.parametrize("told_as", ["lesson", "#3"])
def test_idle_reservation_time_is_what_the_rollup_divides(
    told_as: str,
    since: int,
    until: int | None,
    accounts: tuple[str, ...],
    used: int,
    expected: dict[str, int],
) -> None:
    """A run of one CPU makes all four of the reservation count as used: that is how slurmdbd has it."""
    reservation = Reservation(3, "lesson", since, until, (("cpu", 4),), accounts)
    start = max(since, 2 * HOUR)
    inside = PLAIN._replace(
        subject=PLAIN.subject._replace(reservation=told_as), alloc_tres="cpu=1,node=1", start_at=start
    )
    found = [ended(inside, start + used)] if used else []
    added = {(account, "cpu"): amount for account, amount in expected.items()}
    one = books(
        found,
        until=3 * HOUR,
        closed=hourly(found, SINCE, 3 * HOUR),
        sreport=Counter(rollup(found, SINCE, 3 * HOUR)) + Counter(added),
        reservations=[reservation],
    )
    result = reconcile([one])
    assert result.unexplained == 0
    assert {row.account: row.causes[IDLE] for row in result.rows if IDLE in row.causes} == expected


def test_lines_that_cannot_be_read_are_counted_over_all_intervals() -> None:
    assert reconcile([books([], rejected=2), books([], rejected=1)]).rejected == 3
