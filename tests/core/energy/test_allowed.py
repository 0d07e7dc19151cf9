"""Rows of allowed power: what they allow in each quarter, corrections, tables and clock changes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.energy import allowed
from slurm_ai_factory.core.energy.allowed import AllowedEntry, AllowedPower, PowerKind
from slurm_ai_factory.core.energy.meters import QUARTER

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
HEADER = "since,until,max_kw,kind,reference,told_at\n"
NOW = 2**31


def row(since: int, until: int, kw: int, kind: PowerKind = PowerKind.CONTRACT) -> AllowedPower:
    """Of these quarters since 1970."""
    return AllowedPower(
        since=since * QUARTER, until=until * QUARTER, max_kw=Decimal(kw), kind=kind, reference="C1", told_at=0
    )


def entry(number: int, power: AllowedPower, at: int = 0, **changes: object) -> AllowedEntry:
    values = {"entry_id": number, "allowed": power, "reason": "", "recorded_at": at, "actor": "a", **changes}
    return AllowedEntry(**values)  # type: ignore[arg-type]


ROWS = st.builds(
    lambda since, length, kw, kind: row(since, since + length, kw, kind),
    st.integers(0, 20),
    st.integers(1, 12),
    st.integers(0, 9),
    st.sampled_from(PowerKind),
)
ENTRIES = st.lists(ROWS, max_size=6).map(
    lambda rows: [entry(number, power) for number, power in enumerate(rows, 1)]
)


@given(ENTRIES, st.randoms(use_true_random=False))
def test_the_least_row_of_each_quarter_counts_in_any_order(
    entries: list[AllowedEntry], random: object
) -> None:
    strictest = allowed.least(entries, 0, 40 * QUARTER)
    for at in range(0, 40 * QUARTER, QUARTER):
        holding = [each.allowed.max_kw for each in entries if each.allowed.since <= at < each.allowed.until]
        assert (strictest[at].allowed.max_kw if at in strictest else None) == min(holding, default=None)
    shuffled = list(entries)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert allowed.least(shuffled, 0, 40 * QUARTER) == strictest


@given(ENTRIES, st.integers(0, 40))
def test_limited_time_adds_up_over_parts(entries: list[AllowedEntry], cut: int) -> None:
    ends = (0, cut * QUARTER, 40 * QUARTER)
    parts = [allowed.limited_seconds(entries, *part) for part in pairwise(ends)]
    assert sum(parts) == allowed.limited_seconds(entries, 0, 40 * QUARTER)


def test_of_each_row_its_last_correction_counts_as_it_was_known_then() -> None:
    first, other = row(0, 4, 900), row(0, 4, 700)
    entries = [
        entry(1, first, 10),
        entry(2, other, 20),
        entry(3, replace(first, max_kw=Decimal(800)), 30, replaces=1, reason="typo"),
        entry(4, other, 40, replaces=2, withdrawn=True, reason="not ours"),
    ]
    known = {
        at: sorted(int(each.allowed.max_kw) for each in allowed.standing(entries, at))
        for at in (9, 10, 20, 30, 40)
    }
    assert known == {9: [], 10: [900], 20: [700, 900], 30: [700, 800], 40: [800]}


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        ("2027-01-01T00:07,2028-01-01,9,contract,C,2026-12-01", "since", "not on a quarter of an hour"),
        ("2027-01-01,2027-01-01,9,contract,C,2026-12-01", "until", "is not after since"),
        ("2027-01-01,2028-01-01,many,contract,C,2026-12-01", "max_kw", "is not a number of kilowatts"),
        ("2027-01-01,2028-01-01,-1,contract,C,2026-12-01", "max_kw", "is not between 0"),
        ("2027-01-01,2028-01-01,NaN,contract,C,2026-12-01", "max_kw", "is not between 0"),
        ("2027-01-01,2028-01-01,9,promise,C,2026-12-01", "kind", "is not one of contract, tdtr"),
        ("2027-01-01,2028-01-01,9,contract,,2026-12-01", "reference", "is empty"),
        ("2027-01-01,2028-01-01,9,contract,C,2099-12-01", "told_at", "is in the future"),
        ("2027-03-28T02:15,2028-01-01,9,contract,C,2026-12-01", "since", "is not one instant"),
        ("2027-10-31T02:15,2028-01-01,9,contract,C,2026-12-01", "since", "is not one instant"),
        ("soon,2028-01-01,9,contract,C,2026-12-01", "since", "is not an instant"),
        ("0001-01-01,2028-01-01,9,contract,C,2026-12-01", "since", "is too far away"),
        ("2027-01-01,9999-12-31T23:59-14:00,9,contract,C,2026-12-01", "until", "is too far away"),
    ],
)
def test_a_wrong_row_is_refused_with_its_place(line: str, column: str, reason: str) -> None:
    _, faults = allowed.from_sheet_of_power(f"{HEADER}{line}\n".encode(), AMSTERDAM, NOW)
    assert [(fault.line, fault.column) for fault in faults] == [(2, column)]
    assert reason in faults[0].reason


@pytest.mark.parametrize(("day", "after", "hours"), [("28", "29", 23), ("29", "30", 24)])
def test_a_civil_day_has_the_quarters_that_its_clocks_have(day: str, after: str, hours: int) -> None:
    line = f"2027-03-{day},2027-03-{after},9,tdtr,L1,2027-03-01\n"
    rows, faults = allowed.from_sheet_of_power(f"{HEADER}{line}".encode(), AMSTERDAM, NOW)
    assert not faults
    assert (rows[0].until - rows[0].since) // QUARTER == 4 * hours


def test_what_is_there_already_is_not_added_again() -> None:
    before = [entry(1, row(0, 4, 900)), entry(2, row(0, 4, 800), replaces=1, reason="typo")]
    new, known = allowed.sort_rows(before, [row(0, 4, 900), row(4, 8, 900), row(4, 8, 900)])
    assert (new, known) == ((row(4, 8, 900),), 1)


@pytest.mark.parametrize(
    ("number", "kw", "reason", "message"),
    [
        (7, 1, "x", "there is no entry 7"),
        (2, 1, "x", "entry 2 is itself a correction; correct entry 1"),
        (1, 1, " ", "needs a reason"),
        (1, 800, "x", "has this value already"),
    ],
)
def test_a_correction_that_is_none_is_refused(number: int, kw: int, reason: str, message: str) -> None:
    entries = [entry(1, row(0, 4, 900)), entry(2, row(0, 4, 800), replaces=1, reason="typo")]
    of = [each for each in entries if number in (each.entry_id, each.replaces)]
    with pytest.raises(ValueError, match=message):
        allowed.corrected(of, number, Decimal(kw), reason)
    assert allowed.corrected(entries, 1, None, "gone").max_kw == 800


@pytest.mark.parametrize("text", ["1.000", "1,000", "12.500", "174.994", "1,000,000", " 9.000 "])
def test_a_number_that_may_have_a_mark_of_thousands_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="may mean"):
        allowed.kilowatts(text)


@pytest.mark.parametrize(
    ("text", "kw"),
    [("1000", "1000"), ("1.0000", "1"), ("0.125", "0.125"), ("9,5", "9.5"), ("1000.125", "1000.125")],
)
def test_a_number_without_a_doubt_is_taken(text: str, kw: str) -> None:
    assert allowed.kilowatts(text) == Decimal(kw)


def civil(text: str) -> int:
    return allowed.civil_instant(text, AMSTERDAM)


BEGINS = civil("2027-03-02T17:00")


@pytest.mark.parametrize(
    ("kind", "told", "recorded", "late"),
    [
        (PowerKind.TDTR, "2027-03-01T08:10", "2027-03-01T08:20", ""),
        (PowerKind.TDTR, "2027-03-01T08:30", "2027-03-01T08:30", ""),
        (PowerKind.TDTR, "2027-03-01T08:31", "2027-03-01T08:32", "was announced at"),
        (PowerKind.TDTR, "2027-03-01T08:10", "2027-03-01T12:00", "was entered at"),
        (PowerKind.TDTR, "2027-03-01T08:10", "2027-03-02T18:00", "after it began"),
        (PowerKind.REDISPATCH, "2027-03-02T09:00", "2027-03-02T09:05", ""),
        (PowerKind.REDISPATCH, "2027-03-02T09:00", "2027-03-02T17:01", "after it began"),
        (PowerKind.CONTRACT, "2027-03-02T09:00", "2027-03-02T17:01", ""),
    ],
)
def test_a_limit_that_was_known_too_late_to_act_on_is_told(
    kind: PowerKind, told: str, recorded: str, late: str
) -> None:
    power = replace(row(0, 1, 500, kind), since=BEGINS, until=BEGINS + QUARTER, told_at=civil(told))
    why = allowed.told_late(entry(1, power, civil(recorded)), AMSTERDAM)
    assert bool(why) == bool(late)
    assert late in why
