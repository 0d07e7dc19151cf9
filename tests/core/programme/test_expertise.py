"""Hours of the expertise centre: the floor, the verdict, corrections, and tables as people send them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.programme import expertise
from slurm_ai_factory.core.programme.expertise import (
    ExpertiseEntry,
    ExpertiseMeasurement,
    HoursKind,
    NewEntry,
)
from slurm_ai_factory.core.records import HOUR, Verdict, Window
from slurm_ai_factory.core.rules.classify import Beneficiary

WINDOW = Window("2027Q1", 0, 100 * HOUR)
OVER, BEFORE = 100 * HOUR, 99 * HOUR
SIDES = {"umcg": Beneficiary.REGIONAL, "plant": Beneficiary.NON_REGIONAL}
HEADER = "date,organisation,role,hours,activity\n"


def entry(
    hours: str, organisation: str = "umcg", kind: HoursKind = HoursKind.DELIVERED, number: int = 1
) -> ExpertiseEntry:
    return ExpertiseEntry(
        day=date(2027, 1, 4), organisation=organisation, role="engineer", hours=Decimal(hours),
        activity="advice", kind=kind, entry_id=number, recorded_at=0, actor="a",
    )  # fmt: skip


def measured(
    entries: Sequence[ExpertiseEntry], as_of: int = OVER, unmet: bool = True, window: Window = WINDOW
) -> ExpertiseMeasurement:
    return expertise.measure_hours(
        entries, window, as_of, target_share=0.25, unmet_recorded=unmet,
        beneficiary=lambda name, _: SIDES.get(name, Beneficiary.UNCLASSIFIED),
    )  # fmt: skip


def test_a_share_of_hours_is_like_a_share_of_charge() -> None:
    found = measured(
        [entry("10"), entry("20", "plant"), entry("10", "stranger"), entry("7", kind=HoursKind.UNMET)]
    )
    assert found.regional_hours == found.unclassified_hours == 10
    assert found.total_hours == 40
    assert found.unmet_hours == 7
    assert found.delivered_share == 0.25
    assert found.shortfall_hours == 0


@pytest.mark.parametrize(
    ("regional", "others", "unmet", "as_of", "recorded", "verdict"),
    [
        ("25", "75", "0.01", OVER, True, Verdict.MET),
        ("24", "76", "0.01", OVER, True, Verdict.MISSED_DEMAND),
        ("24", "76", "5", OVER, True, Verdict.MISSED_STARVED),
        ("24", "76", "0.25", OVER, True, Verdict.MISSED_DEMAND),
        ("24", "76", "0.26", OVER, True, Verdict.MISSED_STARVED),
        ("24", "76", "0.01", OVER, False, Verdict.MISSED_STARVED),
        ("25", "75", "0.01", BEFORE, True, Verdict.OPEN),
        ("1", "99", "9", BEFORE, True, Verdict.OPEN),
    ],
)
def test_the_verdict(
    regional: str, others: str, unmet: str, as_of: int, recorded: bool, verdict: Verdict
) -> None:
    entries = [entry(regional), entry(others, "plant"), entry(unmet, kind=HoursKind.UNMET)]
    assert expertise.hours_verdict(measured(entries, as_of, recorded)) is verdict


def test_a_rolling_window_is_judged_as_if_it_ended_now() -> None:
    rolling = WINDOW._replace(rolling=True)
    assert expertise.hours_verdict(measured([entry("1")], BEFORE, window=rolling)) is Verdict.MET


def test_without_hours_there_is_no_share() -> None:
    found = measured([])
    assert found.delivered_share is None
    assert expertise.hours_verdict(found) is Verdict.MET, "nothing was promised of nothing"


hours = st.decimals("0", "100", places=2)


@given(first=st.decimals("0.01", "100", places=2), wanted=st.lists(hours, min_size=1, max_size=5))
def test_corrections_add_up_to_what_was_wanted_last(first: Decimal, wanted: list[Decimal]) -> None:
    entries = [entry(str(first))]
    for number, value in enumerate(wanted, 2):
        if value == expertise.entry_standing(entries, 1):
            with pytest.raises(ValueError, match="already counts as"):
                expertise.correction(entries, 1, value, "mistyped")
            continue
        new = expertise.correction(entries, 1, value, "mistyped")
        entries.append(_kept(new, number))
        assert expertise.entry_standing(entries, 1) == value == measured(entries).total_hours


def _kept(new: NewEntry, number: int) -> ExpertiseEntry:
    return ExpertiseEntry(
        day=new.day, organisation=new.organisation, role=new.role, hours=new.hours, activity=new.activity,
        kind=new.kind, corrects=new.corrects, reason=new.reason, entry_id=number, recorded_at=0, actor="a",
    )  # fmt: skip


def test_what_cannot_be_corrected() -> None:
    entries = [entry("5"), _kept(expertise.correction([entry("5")], 1, Decimal(4), "mistyped"), 2)]
    for number, value, reason, message in (
        (9, "1", "r", "there is no entry 9"),
        (2, "1", "r", "entry 2 is itself a correction; correct entry 1"),
        (1, "-1", "r", "hours that are not below 0"),
        (1, "1", " ", "needs a reason"),
    ):
        with pytest.raises(ValueError, match=message):
            expertise.correction(entries, number, Decimal(value), reason)


def test_a_table_of_a_spreadsheet() -> None:
    header = "date;organisation;role;hours;activity;kind\r\n"
    data = f"{header}2027-01-04;umcg;jurist;1,5;advies coöperatie;\r\n2027-01-05;umcg;arts;2;intake;unmet\r\n"
    entries, faults = expertise.from_sheet(data.encode("cp1252"), ["umcg"])
    assert faults == []
    assert [(e.hours, e.kind, e.activity) for e in entries] == [
        (Decimal("1.50"), HoursKind.DELIVERED, "advies coöperatie"), (2, HoursKind.UNMET, "intake"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        ("2027-02-30,umcg,r,1,a", "date", "'2027-02-30' is not a date such as 2027-01-31"),
        ("4-1-2027,umcg,r,1,a", "date", "'4-1-2027' is not a date such as 2027-01-31"),
        ("2027-01-04,umgc,r,1,a", "organisation", "'umgc' is not registered; see `saf organisation list`"),
        ("2027-01-04,umcg,r,veel,a", "hours", "'veel' is not a number of hours such as 1.5"),
        ("2027-01-04,umcg,r,-1,a", "hours", "'-1' is not between 0.01 and 10000"),
        ("2027-01-04,umcg,r,nan,a", "hours", "'nan' is not between 0.01 and 10000"),
        ("2027-01-04,umcg,r,1.005,a", "hours", "'1.005' has more than two decimals"),
        ("2027-01-04,umcg,,1,a", "role", "is empty"),
        ("2027-01-04,umcg,r,1", "", "has 4 cells, the first line has 5"),
    ],
)
def test_a_wrong_line_is_told_with_its_place(line: str, column: str, reason: str) -> None:
    data = f"{HEADER}2027-01-04,umcg,r,1,a\n{line}\n"
    _, faults = expertise.from_sheet(data.encode(), ["umcg"])
    assert [(fault.line, fault.column, fault.reason) for fault in faults] == [(3, column, reason)]


def test_every_fault_is_told_at_once_and_an_empty_table_is_one() -> None:
    lines = "2027-01-04,umcg,r,x,a\n2027-13-04,umcg,r,1,a\n"
    assert len(expertise.from_sheet(f"{HEADER}{lines}".encode(), ["umcg"])[1]) == 2
    assert expertise.from_sheet(HEADER.encode(), ["umcg"])[1][0].reason == "has no line below the first"
    assert expertise.from_sheet(b"date,hours\n", [])[1][0].column == "organisation"
