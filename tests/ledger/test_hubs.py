"""Statements in the ledger: in any order, as known earlier, whole or not at all."""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec
import pytest

from slurm_ai_factory.core.programme.day_statement import DayStatement, SignedStatement, StatedRow, sync_of
from slurm_ai_factory.core.programme.hubs import HubTerm, day_states
from slurm_ai_factory.core.records import DAY, HOUR, Run
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.errors import LedgerError, RefusedError
from slurm_ai_factory.ledger import Ledger
from tests.core.generated import RUN
from tests.ledger.test_accounting import NOW, T0, record

BY = {"at": 50, "actor": "ann@host", "reason": "agreement"}
TERM = HubTerm("south", "beta", T0, False, "key", "2*cpu")


def revisions(*charges: int, site: str = "south") -> list[SignedStatement]:
    """Revisions of one day, each of them after the one before."""
    made: list[SignedStatement] = []
    for number, seconds in enumerate(charges, 1):
        rows = [StatedRow(3, "plant", "x", "local", "cpu=4", seconds, 7, 1)]
        statement = DayStatement(
            1, site, "beta", T0, number, made[-1].digest if made else "", {}, rows, sync_of(rows, T0 + DAY)
        )
        made.append(SignedStatement(statement, statement.digest, "signature"))
    return made


def charge(ledger: Ledger, then: int | None = None) -> object:
    """The charge of the south, or why its day is unread."""
    states = day_states(ledger.hubs.statements(T0, T0 + DAY, then))
    if not states:
        return None
    (state,) = states.values()
    if state.counts is None:
        return state.reason
    hub = ledger.hubs.hubs(then)["south", "beta"]
    (row,) = ledger.hubs.usage(hub, [state.counts], Resource({"cpu": 1}), T0, T0 + DAY)
    assert (row.hour, row.account, row.project) == (T0 + 3 * HOUR, "plant", "x")
    assert (row.weighted, row.waiting) == (2 * row.delivered, 4 * 7)
    return row.delivered


@pytest.mark.parametrize("seed", range(6))
def test_any_order_and_any_number_of_times_ends_with_the_newest(ledger: Ledger, seed: int) -> None:
    order = random.Random(seed)
    files = revisions(10, 20, 30)
    files += order.choices(files, k=4)
    order.shuffle(files)
    ledger.hubs.record(TERM, BY)
    assert sum(ledger.hubs.take_in(file, at=100) for file in files) == 3
    assert charge(ledger) == 4 * 30
    assert len(ledger.hubs.statements(T0, T0 + DAY)) == 3


def test_what_was_known_earlier_stays(ledger: Ledger) -> None:
    first, second, third = revisions(10, 20, 30)
    ledger.hubs.record(TERM, BY)
    for at, file in ((100, first), (200, third), (300, second)):
        ledger.hubs.take_in(file, at=at)
    known = {then: charge(ledger, then) for then in (99, 100, 200, 299, 300)}
    missing = "revision 2 is missing"
    assert known == {99: None, 100: 4 * 10, 200: missing, 299: missing, 300: 4 * 30}
    assert ledger.hubs.hubs(49) == {}


def test_a_term_of_the_same_day_replaces_one_and_both_stay_known(ledger: Ledger) -> None:
    ledger.hubs.record(TERM, BY)
    ledger.hubs.record(TERM._replace(weights="3*cpu"), BY | {"at": 90})
    assert [ledger.hubs.hubs(then)["south", "beta"].terms[0].weights for then in (89, 90)] == [
        "2*cpu",
        "3*cpu",
    ]
    assert [row["weights"] for row in ledger.hubs.history()] == ["2*cpu", "3*cpu"]


def test_a_statement_goes_in_whole_or_not_at_all(ledger: Ledger) -> None:
    (file,) = revisions(10)
    rows = [*file.statement.rows, StatedRow(4, "plant", "x", "local", "cpu=4", -1, 0, 0)]
    broken = msgspec.structs.replace(file, statement=msgspec.structs.replace(file.statement, rows=rows))
    with pytest.raises(LedgerError):
        ledger.hubs.take_in(broken, at=100)
    assert ledger.hubs.statements(T0, T0 + DAY) == []
    assert "south/plant" not in ledger.accounting.parents()
    assert ledger.hubs.take_in(file, at=101)
    assert ledger.hubs.compared() == (1, 0, "")


def test_a_revision_that_contradicts_another_is_refused(ledger: Ledger) -> None:
    first, second = revisions(10, 20)
    other, other_second = revisions(11, 20)
    ledger.hubs.take_in(first, at=100)
    for wrong in (other, other_second):
        with pytest.raises(RefusedError, match=r"another revision 1|does not follow the revision 1"):
            ledger.hubs.take_in(wrong, at=100)
    ledger.hubs.take_in(second, at=100)
    with pytest.raises(RefusedError, match="another revision 2"):
        ledger.hubs.take_in(other_second, at=100)


def test_a_revision_that_a_later_one_does_not_follow_is_refused(ledger: Ledger) -> None:
    ledger.hubs.take_in(revisions(10, 20)[1], at=100)
    with pytest.raises(RefusedError, match=r"is not the revision 1 that revision 2 follows"):
        ledger.hubs.take_in(revisions(11)[0], at=100)


def test_accounts_of_sites_are_below_their_site_and_outlive_withdrawn_reads(ledger: Ledger) -> None:
    ledger.hubs.record(TERM, BY)
    record(ledger, [RUN], NOW, now=True)
    ledger.hubs.take_in(revisions(10)[0], at=NOW + 1)
    ledger.intake.withdraw(NOW, at=NOW + 2, actor="ann@host", reason="wrong clock")
    parents = ledger.accounting.parents()
    assert (parents["south/plant"], parents["south/"]) == ("south/", "root")


def run(**changes: object) -> Run:
    """A run of an hour and a half on 4 CPUs, over the end of the first day."""
    start, end = T0 + DAY - HOUR, T0 + DAY + HOUR // 2
    made = RUN._replace(start_at=start, eligible_at=start - 60, submit_at=start - 60, end_at=end,
                        elapsed_seconds=end - start, state="COMPLETED")  # fmt: skip
    return made._replace(**changes)  # type: ignore[arg-type]


def test_a_day_is_stated_once_and_again_when_it_changed(ledger: Ledger) -> None:
    """The time of an open run is stated as it will be once it ended; only then is the run counted."""
    record(ledger, [run(end_at=None, elapsed_seconds=0, state="RUNNING")], NOW, now=True)
    (first,) = ledger.given.state("south", "local", T0, at=NOW)
    assert ledger.given.state("south", "local", T0, at=NOW + 9) == [first]
    assert [(row.delivered, row.waiting, row.runs) for row in first.rows] == [(0, 60, 0), (HOUR, 0, 0)]
    record(ledger, [run()], NOW + HOUR, now=True)
    assert ledger.given.state("south", "local", T0, at=NOW + HOUR) == [first], "the end is in the next day"
    (second_day,) = ledger.given.state("south", "local", T0 + DAY, at=NOW + HOUR)
    assert [(row.hour, row.delivered, row.runs) for row in second_day.rows] == [(0, HOUR // 2, 1)]
    record(ledger, [run(alloc_tres="cpu=8,node=1")], NOW + 2 * HOUR, now=True)
    again = ledger.given.state("south", "local", T0, at=NOW + 2 * HOUR)
    assert (again[1].revision, again[1].previous) == (2, again[0].digest)
    assert again[1].sync.charge["cpu"] == str(8 * HOUR)


def test_a_day_that_was_not_read_whole_is_not_stated(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="was not read whole"):
        ledger.given.state("south", "local", T0, at=NOW)
    record(ledger, [run()], NOW, now=True)
    for day in (T0 - DAY, T0 + 2 * DAY):
        with pytest.raises(LedgerError, match="was not read whole"):
            ledger.given.state("south", "local", day, at=NOW)
    assert replace(ledger.given, cluster="c").state("south", "local", T0, at=NOW)[0].cluster == "c"
