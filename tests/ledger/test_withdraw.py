"""Reads that were wrong are taken back: the ledger is what it was before them, and nothing is lost."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import given

from slurm_ai_factory.core.records import DAY, HOUR, Instant, Outage, Run, Size, Window
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Ledger, open_ledger
from tests.ledger.generated import histories_in_one_ledger
from tests.ledger.test_accounting import (
    NOW,
    T0,
    clusters,
    ended,
    entries,
    expected,
    histories,
    measure,
    record,
    running,
)

WRONG = NOW + DAY  #: the clock that was a day ahead
LATER = NOW + HOUR
WINDOW = Window("all", T0, NOW + HOUR)
WHO = {"actor": "ann@host", "reason": "wrong clock"}


def named(cluster: str, read: list[Run]) -> list[Run]:
    return [one._replace(subject=one.subject._replace(cluster=cluster)) for one in read]


@histories_in_one_ledger
@given(right=histories(), wrong=histories())
def test_the_ledger_is_what_it_was_before_whatever_the_wrong_reads_told(
    ledger_url: str, right: list[list[Run]], wrong: list[list[Run]]
) -> None:
    cluster = next(clusters)
    with open_ledger(ledger_url, cluster) as ledger:
        last: dict[int, Run] = {}
        for read in right:
            record(ledger, named(cluster, read), now=True)
            last = {**last, **{one.db_index: one for one in named(cluster, read)}}
        before = [measure(ledger, WINDOW, NOW, then) for then in (None, NOW)]
        for read in wrong:
            record(ledger, named(cluster, read), WRONG, now=True)
        ledger.intake.withdraw(WRONG, at=LATER, **WHO)
        assert ledger.accounting.watermark() == NOW
        assert entries(ledger) == expected(last.values())
        assert [measure(ledger, WINDOW, NOW, then) for then in (None, NOW)] == before
        compared = ledger.accounting.usage_compared(T0, NOW + HOUR)
        assert compared.differing == 0


def test_what_the_wrong_reads_told_is_still_known_as_of_then(ledger: Ledger) -> None:
    record(ledger, [ended(1)], now=True)
    record(ledger, [ended(1)._replace(elapsed_seconds=1), ended(2)], LATER, now=True)
    told = measure(ledger, WINDOW, LATER, then=LATER)
    ledger.intake.withdraw(LATER, at=LATER + HOUR, **WHO)
    assert measure(ledger, WINDOW, LATER, then=LATER) == told
    assert measure(ledger, WINDOW, NOW) != told
    assert ledger.accounting.watermark() == NOW
    assert ledger.accounting.watermark(LATER) == LATER


def test_what_was_read_again_counts_as_if_nothing_had_been(ledger: Ledger) -> None:
    record(ledger, [ended(1), running(2)], now=True)
    record(ledger, [], WRONG, now=True)
    assert [one.missing for one in ledger.accounting.open_jobs()] == [True]
    ledger.intake.withdraw(WRONG, at=LATER, **WHO)
    assert [one.missing for one in ledger.accounting.open_jobs()] == [False]
    record(ledger, [ended(1), ended(2)], LATER + HOUR, now=True)
    assert ledger.accounting.open_jobs() == []
    assert ledger.accounting.usage_compared(T0, LATER).differing == 0


def test_capacity_and_tree_of_wrong_reads_are_taken_back_and_kept(ledger: Ledger, ledger_url: str) -> None:
    def events(at: Instant, count: int) -> None:
        ledger.intake.record_events(
            [Size(T0, None, f"cpu={count}")], [Outage("n1", T0, None, "DOWN", "cpu=1")], at
        )

    record(ledger, [ended(1)], now=True)
    events(NOW, 8)
    before = ledger.accounting.events(T0, NOW, LATER)
    record(ledger, [ended(1)], WRONG, now=True)
    events(WRONG, 99)
    ledger.intake.withdraw(WRONG, at=LATER, **WHO)
    assert ledger.accounting.events(T0, NOW, WRONG) == before
    with psycopg.connect(ledger_url) as connection:
        kept = connection.execute("SELECT table_name, content->>'tres' FROM withdrawn_rows").fetchall()
        said = connection.execute("SELECT actor, reason, recorded_at FROM withdrawals").fetchall()
    assert ("sizes", "cpu=99") in kept
    assert said == [("ann@host", "wrong clock", LATER)]


def test_there_must_be_something_to_take_back(ledger: Ledger) -> None:
    record(ledger, [ended(1)], now=True)
    with pytest.raises(LedgerError, match="no read was made since"):
        ledger.intake.withdraw(WRONG, at=LATER, **WHO)
    assert ledger.accounting.watermark() == NOW


def test_an_override_made_since_stands_in_the_way(ledger: Ledger) -> None:
    record(ledger, [ended(1)], now=True)
    said = {"beneficiary": "regional", "organisation": "", "actor": "a", "reason": "r"}
    ledger.intake.override("7", said, at=LATER)
    record(ledger, [ended(1)], LATER + 1, now=True)
    with pytest.raises(LedgerError, match="job 7 was put under an override"):
        ledger.intake.withdraw(LATER, at=LATER + HOUR, **WHO)
