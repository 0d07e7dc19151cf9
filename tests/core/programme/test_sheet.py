"""Tables as people send them: read rightly, or refused with line, column and reason."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.programme import registry_sheet, sheet
from slurm_ai_factory.core.records import FOREVER
from slurm_ai_factory.core.rules.organisations import Link, Organisation, RegistryEntry
from slurm_ai_factory.core.windows import day

ZONE = ZoneInfo("Europe/Amsterdam")
HEADER = "organisation,name,kvk,category,sector,municipality,hub,since,until\n"
ROW = "cafe,Café Fryslân,01234567,business,I,GM0014,groningen,2027-01-01,\n"
CAFE = Organisation(
    organisation="cafe", name="Café Fryslân", kvk="01234567", category="business", sector="I",
    municipality="GM0014", hub="groningen", since=day("2027-01-01", ZONE),
)  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        (HEADER + ROW).encode(),
        (HEADER + ROW).encode("utf-8-sig"),
        (HEADER + ROW).encode("cp1252"),
        (HEADER + ROW).replace(",", ";").encode("cp1252"),
        (HEADER + ROW).replace(",", ";").replace("\n", "\r\n").encode("cp1252"),
        (HEADER + ROW).replace(",", "\t").encode(),
        ("sep=;\r\n" + (HEADER + ROW).replace(",", ";")).encode("cp1252"),
        (HEADER.upper() + "\n,,,,,,,,\n" + ROW).encode(),
        (HEADER.replace(",", " , ") + ROW.replace(",", " , ")).encode(),
    ],
)
def test_one_table_is_read_alike_however_it_was_saved(data: bytes) -> None:
    found = registry_sheet.read_registry_sheet(data, ZONE)
    assert found.faults == ()
    assert [entry for _, entry in found.entries] == [CAFE]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", (0, "", "is empty")),
        (b"\n \n", (0, "", "is empty")),
        ((HEADER + ROW).encode("utf-16"), (0, "", "is UTF-16 or not text")),
        ((HEADER + ROW).encode().decode("cp1252").encode(), (2, "name", "it may be 'Café Fryslân'")),
        ((HEADER + ROW).encode() + "x,Caf\xe9,,,,,,,".encode("cp1252"), (2, "name", "it may be 'Café")),
        ((HEADER + ROW).encode("cp1252").replace(b"\xe9", b"\x81"), (2, "name", "neither UTF-8 nor plainly")),
        ((HEADER + ROW).encode("mac-roman"), (2, "name", "neither UTF-8 nor plainly")),
        (
            (HEADER + ROW).replace("Café", "Ca\x07fe").replace("â", "a").encode(),
            (2, "name", "cannot be seen"),
        ),
        ((HEADER + ROW.replace("cafe,", "")).encode(), (2, "", "has 8 cells, the first line has 9")),
        ((HEADER + "\n" + ROW.replace("\n", ",x\n")).encode(), (3, "", "has 10 cells")),
        (HEADER.replace("kvk", "kvkk").encode(), (1, "kvkk", "is not a column here")),
        (HEADER.replace("kvk", "name").encode(), (1, "name", "is there twice")),
        (HEADER.replace("name,", "").encode(), (1, "name", "lacks the column name")),
        ((HEADER + '"open,' + ROW).encode(), (2, "", "is not CSV")),
        ((HEADER + ROW.replace("2027-01-01", "01-01-2027")).encode(), (2, "since", "is not a date")),
        ((HEADER + ROW.replace("2027-01-01", "")).encode(), (2, "since", "is not a date")),
        ((HEADER + ROW.replace("2027-01-01", "2027-01-01T12:00")).encode(), (2, "since", "is not a date")),
        (b"organisation,account,since,fraction\na,b,2027-01-01,40%\n", (2, "fraction", "is not a fraction")),
        (b"organisation,account,since,fraction\na,b,2027-01-01,-1\n", (2, "fraction", "is not a fraction")),
        (b"organisation,account,since,fraction\na,b,2027-01-01,1e9\n", (2, "fraction", "is not a fraction")),
    ],
)
def test_a_table_that_cannot_be_read_for_certain_is_refused_with_its_place(
    data: bytes, fault: tuple[int, str, str]
) -> None:
    found = registry_sheet.read_registry_sheet(data, ZONE)
    assert found.entries == ()
    first = found.faults[0]
    assert (first.line, first.column) == fault[:2], found.faults
    assert fault[2] in first.reason


def test_every_fault_is_told_at_once_with_its_own_line() -> None:
    text = HEADER + ROW.replace("2027-01-01", "soon") + "\n" + ROW + ROW.replace("2027", "x")
    found = registry_sheet.read_registry_sheet(text.encode(), ZONE)
    assert [(one.line, one.column) for one in found.faults] == [(2, "since"), (5, "since")]
    broken = HEADER + '"two\nlines",' + ROW[5:] + "short\n"
    faults = registry_sheet.read_registry_sheet(broken.encode(), ZONE).faults
    assert [(one.line, one.column) for one in faults] == [(2, "organisation"), (4, "")]


def test_a_table_of_links_is_told_by_its_columns_and_takes_a_decimal_comma() -> None:
    header = "account;organisation;since;until;fraction\n"
    text = f"{header}joint;umcg;2027-01-01;2027-04-01;0,4\numcg;umcg;2027-01-01;;\n"
    first, second = (entry for _, entry in registry_sheet.read_registry_sheet(text.encode(), ZONE).entries)
    assert first == Link(
        organisation="umcg", account="joint", fraction=Decimal("0.4"), since=day("2027-01-01", ZONE),
        until=day("2027-04-01", ZONE),
    )  # fmt: skip
    assert isinstance(second, Link)
    assert (second.fraction, second.until) == (Decimal(1), FOREVER)


def test_a_zone_whose_days_begin_within_an_hour_is_refused() -> None:
    found = registry_sheet.read_registry_sheet((HEADER + ROW).encode(), ZoneInfo("Asia/Kolkata"))
    assert found.faults[0].column == "since"
    assert "whole UTC hour" in found.faults[0].reason


GRANT = Link(
    organisation="umcg", account="umcg", access="fast_lane", granted=Decimal("5000.5"),
    since=day("2027-01-01", ZONE), until=day("2028-01-01", ZONE),
)  # fmt: skip


@pytest.mark.parametrize("entry", [CAFE, replace(CAFE, size="micro", stage="startup"), GRANT])
def test_what_is_written_is_read_back(entry: RegistryEntry) -> None:
    rows = registry_sheet.sheet_rows([entry], ZONE)
    text = ",".join(rows[0]) + "\n" + ",".join(rows[0].values()) + "\n"
    assert registry_sheet.read_registry_sheet(text.encode(), ZONE).entries == ((2, entry),)


@pytest.mark.parametrize("text", ["0", "0.00", "-1", "1e3", "1.234", "many", "\u0663"])
def test_granted_hours_that_are_no_number_are_refused(text: str) -> None:
    header = "organisation,account,since,granted\n"
    data = f"{header}umcg,umcg,2027-01-01,{text}\n".encode()
    (fault,) = registry_sheet.read_registry_sheet(data, ZONE).faults
    assert (fault.line, fault.column) == (2, "granted")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    found = sheet.read_sheet(data, ["a"], ["b"])
    assert not (found.lines and found.faults)
    assert all(fault.reason and fault.line >= 0 for fault in found.faults)


def _plain(word: str) -> bool:
    """Whether no bytes of the word can be another word's: what is ASCII, or not UTF-8 in Windows-1252."""
    try:
        word.encode("cp1252").decode("utf-8")
    except UnicodeDecodeError:
        return True
    return word.isascii()


letters = st.characters(codec="cp1252", exclude_categories=("C", "S", "Z", "P", "N"))
western = st.text(letters, min_size=1, max_size=500).filter(_plain)


@given(western, st.sampled_from(["utf-8", "utf-8-sig", "cp1252"]), st.sampled_from([",", ";", "\t"]))
def test_a_word_comes_out_as_it_went_in(word: str, encoding: str, delimiter: str) -> None:
    data = f"a{delimiter}b\n{word}{delimiter}x\n".encode(encoding)
    found = sheet.read_sheet(data, ["a", "b"])
    assert found.faults == ()
    assert [line.cells["a"] for line in found.lines] == [word]


def test_a_cell_that_no_list_could_show_is_refused_and_a_list_of_gpus_is_not() -> None:
    long = "x" * 501
    found = sheet.read_sheet(f"name,gpus\n{long},{long}\n".encode(), ["name", "gpus"])
    assert found.faults == (sheet.Fault(2, "name", "has 501 characters; give at most 500"),)
