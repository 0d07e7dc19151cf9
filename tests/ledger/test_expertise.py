"""Hours as they were entered: added, corrected by further entries, and as known at any time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import psycopg
import pytest

from slurm_ai_factory.core.programme.expertise import HoursKind, NewEntry
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Ledger

FIRST, LAST = date(2027, 1, 1), date(2027, 4, 1)
ENTRY = NewEntry(
    day=date(2027, 1, 4), organisation="umcg", role="jurist", hours=Decimal("1.50"), activity="advice"
)
UNMET = NewEntry(
    day=date(2027, 3, 31), organisation="plant", role="jurist", hours=Decimal(2), activity="x",
    kind=HoursKind.UNMET,
)  # fmt: skip


def test_what_is_entered_is_told_as_of_any_time(ledger: Ledger) -> None:
    assert ledger.expertise.add([ENTRY, UNMET], at=100, actor="anna") == [1, 2]
    assert ledger.expertise.correct(1, Decimal(1), "mistyped", at=200, actor="bo") == 3
    then = ledger.expertise.entries(FIRST, LAST, 199)
    assert [(e.entry_id, e.hours, e.kind, e.actor) for e in then] == [
        (1, Decimal("1.50"), HoursKind.DELIVERED, "anna"), (2, 2, HoursKind.UNMET, "anna"),
    ]  # fmt: skip
    correction = ledger.expertise.entries(FIRST, LAST, 200)[-1]
    assert (correction.hours, correction.corrects, correction.reason) == (Decimal("-0.50"), 1, "mistyped")
    assert correction.day == ENTRY.day, "it counts where the entry did"


def test_a_day_is_in_one_window_only(ledger: Ledger) -> None:
    ledger.expertise.add([ENTRY, UNMET], at=100, actor="anna")
    assert len(ledger.expertise.entries(FIRST, date(2027, 3, 31), 100)) == 1
    assert len(ledger.expertise.entries(date(2027, 3, 31), LAST, 100)) == 1


def test_a_file_is_taken_once(ledger: Ledger) -> None:
    ledger.expertise.add([ENTRY, UNMET], at=100, actor="anna", file="ab12")
    with pytest.raises(LedgerError, match=r"was imported at 1970-01-01T00:01:40Z already \(2 entries\)"):
        ledger.expertise.add([ENTRY], at=200, actor="anna", file="ab12")
    ledger.expertise.add([ENTRY], at=200, actor="anna", file="cd34")
    assert len(ledger.expertise.entries(FIRST, LAST, 300)) == 3


def test_what_cannot_be_corrected_is_told(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="there is no entry 7; see `saf expertise list`"):
        ledger.expertise.correct(7, Decimal(1), "r", at=100, actor="anna")


def test_all_or_nothing(ledger: Ledger) -> None:
    wrong = replace(ENTRY, hours=Decimal(-1))
    with pytest.raises(LedgerError, match="violates check constraint"):
        ledger.expertise.add([ENTRY, wrong], at=100, actor="anna")
    assert ledger.expertise.entries(FIRST, LAST, 200) == []


def test_an_entry_without_a_reason_corrects_nothing(ledger: Ledger) -> None:
    ledger.expertise.add([ENTRY], at=100, actor="anna")
    with pytest.raises(psycopg.errors.CheckViolation):
        ledger.store.connection.execute(
            "INSERT INTO expertise_entries "
            "(day, organisation, role, hours, activity, kind, corrects, reason, recorded_at, actor) "
            "VALUES ('2027-01-04', 'umcg', 'r', -1, 'a', 'delivered', 1, '', 1, 'x')"
        )
