"""Readings as they were taken in: each once, corrected by further entries, and as known at any time."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest

from slurm_ai_factory.core.energy.meters import Kind, Placement, Reading
from slurm_ai_factory.core.records import HOUR, Window
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Ledger
from tests.ledger.test_accounting import NOW, ended, record, running

DAY_ONE = Window("", 0, 24 * HOUR)
HALL = Reading("hall", Kind.E_IT, 0, HOUR, Decimal("1.50"), "kWh", "bms.csv")
NEXT = replace(HALL, since=HOUR, until=2 * HOUR)
GIVEN = [("line 2", HALL), ("line 3", NEXT)]


def test_the_same_readings_are_taken_once(ledger: Ledger) -> None:
    assert len(ledger.meters.append(GIVEN, at=100, actor="anna").new) == 2
    joules = replace(HALL, value=Decimal(5_400_000), unit="J", source="again.csv")
    again = ledger.meters.append([("line 2", joules), *GIVEN], at=200, actor="anna")
    assert (again.new, again.known, again.skipped) == ((), 3, ())
    assert ledger.meters.readings(Kind.E_IT, DAY_ONE) == [HALL, NEXT]


def test_a_reading_that_contradicts_another_is_skipped_with_its_place(ledger: Ledger) -> None:
    ledger.meters.append(GIVEN, at=100, actor="anna")
    higher, wider = replace(HALL, value=Decimal(9)), replace(NEXT, since=HOUR + 900)
    skipped = ledger.meters.append([("line 5", higher), ("line 6", wider)], at=200, actor="anna").skipped
    assert [one.where for one in skipped] == ["line 5", "line 6"]
    assert skipped[0].reason == (
        "is 9 kWh, but entry 1 is 1.50 kWh; if the new value is right, run `saf meter correct`"
    )
    assert skipped[1].reason == (
        "overlaps entry 2, which meter hall has for 1970-01-01T01:00:00Z..1970-01-01T02:00:00Z"
    )
    assert ledger.meters.readings(Kind.E_IT, DAY_ONE) == [HALL, NEXT]


def test_a_correction_is_known_from_then_on_and_outlives_the_file(ledger: Ledger) -> None:
    ledger.meters.append(GIVEN, at=100, actor="anna")
    assert ledger.meters.correct(1, Decimal(2), "mistyped", at=200, actor="bo") == 3
    assert ledger.meters.correct(2, None, "the meter stood still", at=300, actor="bo") == 4
    assert ledger.meters.append(GIVEN, at=400, actor="anna").known == 2
    assert ledger.meters.readings(Kind.E_IT, DAY_ONE, 199) == [HALL, NEXT]
    assert ledger.meters.readings(Kind.E_IT, DAY_ONE, 200) == [replace(HALL, value=Decimal(2)), NEXT]
    assert ledger.meters.readings(Kind.E_IT, DAY_ONE) == [replace(HALL, value=Decimal(2))]
    assert [(e.entry_id, e.replaces, e.withdrawn) for e in ledger.meters.entries([Kind.E_IT], DAY_ONE)] == [
        (1, None, False), (3, 1, False), (2, None, False), (4, 2, True),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_corrections_make_and_lose_no_energy_and_each_earlier_instant_stays(
    ledger: Ledger, seed: int
) -> None:
    random = Random(seed)
    present = {
        number: replace(HALL, since=number * HOUR, until=(number + 1) * HOUR) for number in range(1, 7)
    }
    ledger.meters.append([("", reading) for reading in present.values()], at=100, actor="anna")
    known = {100: dict(present)}
    for at in range(101, 131):
        number, value = random.randrange(1, 7), random.choice([None, *map(Decimal, range(4))])
        if value == (present[number].value if number in present else None):
            continue
        ledger.meters.correct(number, value, "read again", at=at, actor="bo")
        present.pop(number, None)
        if value is not None:
            present[number] = replace(HALL, since=number * HOUR, until=(number + 1) * HOUR, value=value)
        known[at] = dict(present)
    for at, then in known.items():
        found = ledger.meters.readings(Kind.E_IT, DAY_ONE, at)
        assert found == [then[number] for number in sorted(then)]
        total = sum(reading.within(0, 24 * HOUR) for reading in found)
        assert total == sum(reading.value for reading in then.values()) * 3_600_000
    assert len(known) > 15


def test_the_end_of_a_meter_is_known_from_then_on(ledger: Ledger) -> None:
    ledger.meters.append(GIVEN, at=100, actor="anna")
    ledger.meters.end(Kind.E_IT, "hall", 2 * HOUR, "replaced", at=200, actor="bo")
    ledger.meters.end(Kind.E_IT, "hall", None, "back", at=300, actor="bo")
    assert [ledger.meters.ends(at)[Kind.E_IT] for at in (199, 200, 299, 300, None)] == [
        {}, {"hall": 2 * HOUR}, {"hall": 2 * HOUR}, {}, {},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "value", "reason", "why"),
    [
        (9, Decimal(1), "r", "there is no entry 9; see `saf meter list`"),
        (1, Decimal("1.5"), "r", "entry 1 has this value already"),
        (3, Decimal(1), "r", "entry 3 is itself a correction; correct entry 2"),
        (2, None, "r", "entry 2 is withdrawn already"),
        (1, Decimal(1), " ", "a correction needs a reason"),
    ],
)
def test_what_cannot_be_corrected_is_said(
    ledger: Ledger, entry: int, value: Decimal | None, reason: str, why: str
) -> None:
    ledger.meters.append(GIVEN, at=100, actor="anna")
    ledger.meters.correct(2, None, "the meter stood still", at=200, actor="bo")
    with pytest.raises(LedgerError, match=why):
        ledger.meters.correct(entry, value, reason, at=300, actor="anna")


def test_only_what_lies_in_the_window_is_told(ledger: Ledger) -> None:
    ledger.meters.append(GIVEN, at=100, actor="anna")
    assert ledger.meters.readings(Kind.E_IT, Window("", HOUR, 2 * HOUR)) == [NEXT]
    assert ledger.meters.readings(Kind.E_IT, Window("", HOUR - 1, HOUR)) == [HALL]
    assert ledger.meters.readings(Kind.E_DC, DAY_ONE) == []
    assert ledger.meters.newest(0) == {Kind.E_IT: 2 * HOUR}
    assert ledger.meters.newest(2 * HOUR) == {}
    for meter in {row.reading.meter for row in ledger.meters.entries([Kind.E_IT], DAY_ONE)}:
        ledger.meters.end(Kind.E_IT, meter, DAY_ONE.until, "replaced", at=200, actor="a")
    assert ledger.meters.newest(0) == {}, "a meter that is out of use is not silent"


def test_the_newest_placement_of_a_job_on_a_node_counts(ledger: Ledger) -> None:
    placed = Placement(7, "n1", ("0",), 0, 100)
    longer = replace(placed, until=200)
    for at, told in ((100, placed), (200, placed), (300, longer)):
        ledger.meters.place([told], source="sacct", at=at, actor="anna")
    assert ledger.meters.placements(DAY_ONE, 299) == [placed]
    assert ledger.meters.placements(DAY_ONE) == [longer]
    assert ledger.meters.place([longer], source="sacct", at=400, actor="anna") == 0


def test_what_slurm_counted_is_told_of_ended_runs(ledger: Ledger) -> None:
    counted = ended(1)._replace(energy_joules=1234)
    record(ledger, [counted, ended(2), running(3)], NOW, now=True)
    whole = Window("", 0, NOW)
    assert ledger.meters.counted_joules(whole) == {1: 1234}
    record(ledger, [counted._replace(energy_joules=999), ended(2), running(3)], NOW + 9, now=True)
    assert ledger.meters.counted_joules(whole) == {1: 999}, "an edited AllocTRES is a correction"
    assert ledger.meters.counted_joules(whole, NOW) == {1: 1234}
