"""What the report says beside the share, and what few organisations would not want disclosed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from slurm_ai_factory import question
from slurm_ai_factory.audit import verification
from slurm_ai_factory.cli.report import NOTE_CHARACTERS
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme.tariff import Tariff
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.language import NBSP
from slurm_ai_factory.question import Reached
from slurm_ai_factory.report import LANGUAGES, Report, gather, report_html, value
from slurm_ai_factory.report.programme import Upcoming, _counts_shown, _value, recorded_of
from slurm_ai_factory.report.tables import WindowPiece, members, tables
from tests import facility
from tests.report import test_terms
from tests.report.test_report import saf
from tests.report.year import Year

changing = test_terms.changing
"""The year in a ledger of the test's own."""


def text_of(report: Report, code: str) -> str:
    """The words of a page, with plain spaces."""
    return re.sub("<[^>]*>", "", report_html(report, code, {})).replace(NBSP, " ")


def test_a_missed_floor_has_one_recorded_cause(made: Year) -> None:
    answer = value(made.reports["2027Q3"])["answer"]
    assert (answer["cause"]["name"], answer["cause"]["until"]) == ("control_off", "2027-08-29T22:00:00Z")
    page = text_of(made.reports["2027Q3"], "nl")
    assert "Van 1 juli 2027 tot 30 augustus 2027 stond de sturing uit" in page
    assert "Waarom niet?" in page
    kept = made.reports["2027Q4"]
    assert value(kept)["answer"]["cause"] is None
    assert "Waarom niet?" not in text_of(kept, "nl")


def test_both_shortfalls_are_in_one_line(made: Year) -> None:
    bridge, share = (value(made.reports["2027Q3"])[name] for name in ("answer", "share"))
    line = bridge["bridge"]
    assert line["shortfall"] == share["shortfall_charge"]
    assert line["starved"] == share["starved_charge"]
    assert abs(line["starved"] + line["unasked"] - line["ahead"] - line["idle"] - line["shortfall"]) < 1
    assert "makes a shortfall of 10,819" in text_of(made.reports["2027Q3"], "en")


REQUIRED = {"nl": "moet in de rest van de periode", "en": "in the rest of the period must go"}
NOT_ATTAINABLE = {"nl": "kan dat niet.", "en": "that is not possible"}


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_share_above_the_floor_is_never_said_to_be_out_of_reach(made: Year, code: str) -> None:
    """Also where no demand is waiting at that instant."""
    report = made.report("2027Q4", facility.at("2027-11-15"))
    hours = tuple(hour._replace(regional_waiting=0.0) for hour in report.measurement.hours)
    quiet = replace(report.measurement, regional_running=0, regional_pending=0, hours=hours)
    for floor, below in ((0.25, False), (0.45, True)):
        measured = replace(quiet, target_share=floor)
        programme = replace(report.programme, upcoming=Upcoming(measured, 0.01))
        page = text_of(replace(report, measurement=measured, programme=programme), code)
        assert (NOT_ATTAINABLE[code] in page) is below
        assert (REQUIRED[code] in page) is below


@pytest.mark.parametrize("code", LANGUAGES)
def test_what_is_not_known_is_not_said_to_be_impossible(made: Year, code: str) -> None:
    """Demand is not known where an hour was not read."""
    report = made.report("2027Q4", facility.at("2027-11-15"))
    measured = replace(report.measurement, target_share=0.35, unread_seconds=HOUR)
    programme = replace(report.programme, upcoming=Upcoming(measured, 0.01))
    page = text_of(replace(report, programme=programme), code)
    assert REQUIRED[code] in page
    assert NOT_ATTAINABLE[code] not in page


def test_more_than_everything_that_is_left_is_said_so(made: Year) -> None:
    report = made.report("2027Q4", facility.at("2027-12-28"))
    measured = replace(report.measurement, target_share=0.9)
    programme = replace(report.programme, upcoming=Upcoming(measured, 0.01))
    page = text_of(replace(report, programme=programme), "en")
    assert "Even all computing power that is left would not reach the floor." in page


@pytest.mark.parametrize("code", LANGUAGES)
def test_who_chose_the_reading_is_on_page_one(made: Year, code: str) -> None:
    first = text_of(made.reports["2027Q4"], code).partition({"nl": "Inhoud", "en": "Contents"}[code])[0]
    assert facility.AGREEMENT in first
    assert "beheer@example" in first
    for share in ("30", "24"):
        assert re.search(rf"{share}[.,]\d ?%", first)


# -- what would tell something of few -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "shown"),
    [
        ({"sme": "abc", "new": "de"}, ["sme"]),
        ({"sme": "abcd", "new": "abc"}, ["new"]),
        ({"sme": "abcdef"}, ["sme"]),
        ({"sme": "", "new": "abcdef"}, ["sme", "new"]),
        ({"sme": "a"}, []),
    ],
)
def test_a_count_is_left_out_where_it_tells_who(kinds: dict[str, str], shown: list[str]) -> None:
    found = _counts_shown(kinds, "abcdef", 3)
    assert [kind for kind, visible in found.items() if visible] == shown


def priced(side: Beneficiary, price: str, category: str = "") -> Tariff:
    since, exact = facility.SINCE, Decimal(price)
    return Tariff(beneficiary=side, category=category, resource="gres/gpu", price=exact, since=since)


FREE, DEAR = priced(Beneficiary.REGIONAL, "0"), priced(Beneficiary.NON_REGIONAL, "2")
GOVERNMENT = priced(Beneficiary.REGIONAL, "1", "government")
"""Four organisations have this price."""


@pytest.mark.parametrize(
    ("tariffs", "recorded", "worth"),
    [
        ([], False, None),
        ([FREE], True, None),
        ([DEAR], True, None),
        ([FREE, DEAR], True, 2),
        ([FREE, DEAR, GOVERNMENT], True, 2),
    ],
    ids=["no prices", "none for others", "none for the region", "both", "by category"],
)
def test_the_value_of_access_needs_all_prices(
    made: Year, tariffs: Sequence[Tariff], recorded: bool, worth: int | None
) -> None:
    with made.asked("2027Q1", replace(made.config, tariffs=tuple(tariffs))) as asked:
        report = gather.gather_report(asked)
    said = value(report)["programme"]["access_value"]
    assert said["recorded"] is recorded
    hours = Decimal(report.measurement.regional_charge) / HOUR
    cents = worth and float((hours * worth).quantize(Decimal("0.01")))
    assert said["reference"] == cents
    assert (said["advantage"] is None) is (worth is None)


@pytest.mark.parametrize(("least", "told"), [(4, True), (5, False)])
def test_the_value_of_access_tells_nothing_of_few(made: Year, least: int, told: bool) -> None:
    """A whole report that hides fewer than five takes minutes."""
    with made.asked("2027Q1", replace(made.config, tariffs=(FREE, DEAR, GOVERNMENT))) as asked:
        section = replace(asked.config.report, min_organisations=least)
        hidden = replace(asked, config=replace(asked.config, report=section))
        assert (_value(hidden, one_price=True) is not None) is told


# -- what is recorded later -----------------------------------------------------------------------------

SIDE = Beneficiary.REGIONAL


def reached(organisation: str, charge: int, **places: str) -> Reached:
    return Reached(organisation, SIDE, {"category": "business", **places}, charge)


def piece(*rows: Reached) -> WindowPiece:
    return WindowPiece((0, HOUR), rows)


def test_a_charge_is_the_same_part_after_more_is_recorded_of_its_organisation() -> None:
    """Or else what an earlier report disclosed would not be seen in a later one."""
    before = piece(reached("x", 7, size="", stage="", access="", grant=""))
    after = piece(reached("x", 7, size="small", stage="startup", access="fast_lane", grant="granted"))
    assert members([before], SIDE) == members([after], SIDE)
    two = piece(reached("x", 7, access="fast_lane"), reached("x", 7, access="playground"))
    assert len(members([two], SIDE)) == 2


def test_a_row_without_a_part_in_the_pieces_is_hidden() -> None:
    whole = [reached(name, 7, stage="startup") for name in "abcd"]
    elsewhere = [piece(*(reached(name, 7, stage="scaleup") for name in "abcd"))]
    (table,) = tables(whole, {"stage": True}, 3, elsewhere)
    assert (table.rows, table.hidden_names) == ((), 1)


def test_a_piece_of_a_window_has_what_is_recorded_for_the_window(made: Year) -> None:
    """A link's access that began in December counts for the year, also in the year's first quarter."""
    zone = made.config.promise.time_zone
    year, first = (windows.window(name, 0, zone) for name in ("2027", "2027Q1"))
    with made.ledger() as ledger:
        asked = question.ask(made.config, ledger, year)
        link = next(each for each in asked.rules.registry.links if each.granted)
        late = replace(link, since=year.until - HOUR, access="playground")
        rules = replace(asked.rules, registry=asked.rules.registry.plus([late]))
        later = replace(asked, rules=rules)
        quarter = later.over((first.since, first.until))
        apart = recorded_of(quarter, first, link.organisation, link.account)
        together = recorded_of(quarter, year, link.organisation, link.account)
    assert (apart["access"], together["access"]) == (link.access, "playground")


def test_the_value_of_access_does_not_tell_categories_apart_by_the_price_for_others(made: Year) -> None:
    """The region's price is one, that of others differs: the sum would tell what each category got."""
    dearer = replace(DEAR, price=DEAR.price * 2, category="business")
    with made.asked("2027Q1", replace(made.config, tariffs=(FREE, DEAR, dearer))) as asked:
        assert _value(asked, one_price=True) is not None
        assert _value(asked, one_price=False) is None


# -- reports of an earlier version ----------------------------------------------------------------------


def test_a_report_of_a_version_with_fewer_figures_is_verified_by_those_it_has(made: Year) -> None:
    with made.ledger() as ledger:
        report = ledger.publishing.last("2027Q2", facility.AS_OF["2027Q2"] + 1)
        assert report is not None
        document, settings = json.loads(report.document), json.loads(report.settings)
        earlier = {name: part for name, part in document.items() if name not in ("answer", "programme")}
        del earlier["tables"]["size"], settings["tariffs"], settings["report"]["currency"]
        old = report._replace(document=json.dumps(earlier), settings=json.dumps(settings), fingerprint="ab")
        assert verification._difference(made.config, ledger, old) is None
        earlier["share"]["regional_charge"] += 1
        changed = old._replace(document=json.dumps(earlier))
        difference = verification._difference(made.config, ledger, changed)
        assert difference is not None
        assert difference.startswith("document.share.regional_charge was ")


# -- the facility's response ----------------------------------------------------------------------------


HOSTILE = "Wij beloven beterschap. <b>Echt</b>\n\n=HYPERLINK(1)\x1b[31m"


def test_a_response_is_kept_with_the_report_as_it_was_written(changing: Year, tmp_path: Path) -> None:
    then, note = facility.moment(facility.AS_OF["2027Q4"]), tmp_path / "note.txt"
    note.write_text(HOSTILE, encoding="utf-8")
    asked = ["report", "--window", "2027Q3", "--as-of", then, "-o"]
    done = saf(changing, *asked, str(tmp_path / "first"), "--note", str(note), "--publish")
    assert f"\npublished the report of 2027Q3 as of {then}\n" in done.stderr
    saf(changing, *asked, str(tmp_path / "again"))
    first, again = (
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("first", "again")
    )
    assert first == again, "made again without --note"
    values = json.loads(first["noorderlicht-2027Q3.json"])
    assert values["answer"]["note"] == HOSTILE
    page = first["noorderlicht-2027Q3.nl.html"].decode()
    assert "&lt;b&gt;Echt&lt;/b&gt;" in page
    assert "\\x1b[31m" in page
    note.write_text("Iets anders.", encoding="utf-8")
    refused = saf(changing, *asked, str(tmp_path / "other"), "--note", str(note), "--publish", code=1)
    assert "says something else now (answer.note was" in refused.stderr
    with changing.ledger() as ledger:
        report = ledger.publishing.last("2027Q3", facility.AS_OF["2027Q4"] + 1)
        assert report is not None
        assert verification._difference(changing.config, ledger, report) is None


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"x" * (NOTE_CHARACTERS + 1), "601 characters"), (b" \n", "0 characters"),
        (b"caf\xe9", "not text in UTF-8"),
    ],
)  # fmt: skip
def test_a_response_that_cannot_be_printed_is_refused(
    made: Year, tmp_path: Path, content: bytes, wrong: str
) -> None:
    note = tmp_path / "note.txt"
    note.write_bytes(content)
    asked: list[Any] = ["report", "--window", "2027Q3", "-o", str(tmp_path), "--note", str(note)]
    assert wrong in saf(made, *asked, code=2).stderr
