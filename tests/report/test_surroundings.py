"""Energy, grid and water in the report: what is said, what is not recorded, what would single out a few."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from typing import Any, cast

import pytest

from slurm_ai_factory import question
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.energy.meters import Placement
from slurm_ai_factory.core.programme.suppression import ChargePart, PartSum
from slurm_ai_factory.core.records import Charge
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.language import NBSP
from slurm_ai_factory.question import Reached
from slurm_ai_factory.report import LANGUAGES, Report, report_html, value
from slurm_ai_factory.report.given import Given
from slurm_ai_factory.report.sheets import figure_rows
from slurm_ai_factory.report.surroundings import _only, _qualities_shown, energy_reached, energy_told
from slurm_ai_factory.report.tables import Table, TableRow
from tests import facility
from tests.conftest import by_hand
from tests.core.programme.test_suppression import singled_out
from tests.report import test_terms, year
from tests.report.year import Year

changing = test_terms.changing
"""The year in a ledger of the test's own."""


def around(report: Report) -> dict[str, Any]:
    return dict(value(report)["surroundings"])


def text_of(report: Report, code: str) -> str:
    """The words of the section, with plain spaces."""
    page = report_html(report, code, {})
    section = page[page.index('<section aria-labelledby="surroundings">') :].partition("</section>")[0]
    return re.sub("<[^>]*>", "", section).replace(NBSP, " ")


def test_what_is_not_recorded_says_so_and_is_never_a_zero(made: Year) -> None:
    said = around(made.reports["2027Q1"])
    assert [said[name] for name in ("energy", "water", "held_by_grid")] == [None] * 3
    assert (said["grid"]["verdict"], said["grid"]["reason"]) == ("open", "unread")
    assert said["grid"]["unread"] == said["grid"]["quarters"] > 0
    assert said["grid"]["exceeded"] is said["grid"]["peak_kw"] is None
    for code, words in (("en", "not recorded"), ("nl", "niet vastgelegd")):
        assert text_of(made.reports["2027Q1"], code).count(words) == 6


def test_both_conditions_were_kept_where_everything_was_read(made: Year) -> None:
    said = around(made.reports["2027Q3"])
    assert {name: said[name]["verdict"] for name in ("grid", "water")} == {"grid": "kept", "water": "kept"}
    assert (said["grid"]["limited_hours"], said["grid"]["limited_hours_allowed"]) == (9, 1314)
    assert said["water"]["w_potable"] == said["water"]["w_surface"] == 0
    assert said["held_by_grid"]["charge"] == 12 * 9 * 3600
    page = text_of(made.reports["2027Q3"], "en")
    assert "Verdict: kept. In every quarter of an hour the connection drew no more than was allowed." in page
    assert "not what the grid would have been without this facility" in page
    assert "other use, does not count: sanitary" in page
    assert "set aside for the grid: 108 GPU hours" in page


def test_a_connection_that_is_not_read_any_more_leaves_the_verdict_open(made: Year) -> None:
    said = around(made.reports["2027Q4"])
    assert (said["grid"]["verdict"], said["grid"]["reason"]) == ("open", "unread")
    assert "Oordeel: nog open" in text_of(made.reports["2027Q4"], "nl")


def test_a_window_that_does_not_close_says_nobodys_energy(made: Year) -> None:
    said = around(made.reports["2027Q2"])["energy"]
    assert said["closure"] == pytest.approx(0.8, abs=0.03)
    assert (said["closure_reason"], said["beneficiaries"], said["tables"]) == ("outside", [], {})
    for code in LANGUAGES:
        page = text_of(made.reports["2027Q2"], code)
        assert re.search(r"0[.,]7\d\d|0[.,]8\d\d", page), "closure is printed all the same"
        assert ("who the energy was for" if code == "en" else "voor wie de energie was") in page
    assert "Who the energy was for" not in text_of(made.reports["2027Q2"], "en")


@pytest.mark.parametrize("window", ["2027Q3", "2027Q4"])
def test_the_lines_add_up_to_the_energy_of_all_runs(made: Year, window: str) -> None:
    said = around(made.reports[window])["energy"]
    assert sum(row["joules"] for row in said["beneficiaries"]) == pytest.approx(said["run_joules"])
    assert sum(said["quality_joules"].values()) == pytest.approx(said["run_joules"])
    assert list(said["quality_joules"]) == said["qualities"] == ["node_exclusive", "apportioned", "modelled"]
    building = sum(row["building_joules"] for row in said["beneficiaries"])
    assert building == pytest.approx(said["building"]["E_DC"])
    table = said["tables"]["category"]
    rows = [*table["rows"], *([table["suppressed"]] if table["suppressed"] else [])]
    assert sum(row["joules"] for row in rows) == pytest.approx(table["total"])


# -- what would tell something of few -------------------------------------------------------------------


def used(made: Year, window: str, then: int) -> list[Reached]:
    """Whose energy it was, by quality."""
    with made.asked(window, then=then) as asked:
        return energy_reached(asked)


@pytest.mark.parametrize("window", ["2027Q3", "2027Q4"])
def test_nobodys_own_energy_is_told(made: Year, window: str) -> None:
    """No number in any file is the energy of one organisation, or of two, of one quality or of all."""
    own: dict[tuple[str, str], Fraction] = {}
    for each in used(made, window, facility.AS_OF[window]):
        for quality in ("", each.places["quality"]):
            key = each.organisation, quality
            own[key] = own.get(key, Fraction(0)) + cast("Fraction", each.charge)
    sums = [of for (whom, quality), of in own.items() if whom != "account bezoekers"]
    assert len(own) > 60
    secret = {int(a) for a in sums} | {int(a + b) for a, b in combinations(sums, 2)}
    rows = figure_rows("surroundings", "", around(made.reports[window]))
    told = {int(row[3]) for row in rows if isinstance(row[3], int | float) and row[3] > 10**6}
    assert len(told) > 15
    assert not told & secret


def test_no_combination_of_charge_and_energy_singles_out_a_few(made: Year) -> None:
    """As if energy was the same multiple of every charge: by linear algebra over all lines together."""
    said, reached = value(made.reports["2027Q3"]), used(made, "2027Q3", facility.AS_OF["2027Q3"])

    def those(inside: Iterator[Reached]) -> PartSum:
        return frozenset(ChargePart(each.organisation, each.places["quality"]) for each in inside)

    sums = [those(each for each in reached if each.beneficiary is side) for side in Beneficiary]
    few = singled_out([each for each in sums if each], 3)
    tables = [said["tables"], said["surroundings"]["energy"]["tables"]]
    for name in ("category", "sector", "municipality", "hub"):
        for row in (row for table in tables if name in table for row in table[name]["rows"]):
            region = (o for o in reached if name == "hub" or o.beneficiary is Beneficiary.REGIONAL)
            sums.append(those(o for o in region if o.places[name] == row["name"]))
    for quality in said["surroundings"]["energy"]["quality_joules"]:
        sums.append(those(each for each in reached if each.places["quality"] == quality))
    assert {one.organisation for each in singled_out([s for s in sums if s], 3) for one in each} == {
        one.organisation for each in few for one in each
    }


def test_a_second_report_hides_whose_energy_was_corrected(changing: Year) -> None:
    """A run of each of two categories was placed late: their lines would each disclose one organisation's.

    The total discloses what both changed together, as a total of charge does.
    """
    then, changed = facility.AS_OF["2027Q3"], ("business", "knowledge_institution")
    with changing.ledger() as ledger:
        where = windows.window("2027Q3", 0, changing.config.promise.time_zone)
        asked = question.ask(changing.config, ledger, where, then=then)
        placed = {place.job_id for place in ledger.meters.placements(where)}
        with asked.books() as books:
            runs = list(books.runs_between(where.since, where.until))
        for category in changed:
            run = next(
                run for run, parts in runs
                if run.job_id not in placed and run.start_at and run.end_at
                and where.since < run.start_at < run.end_at < where.until
                and "node=1" in run.alloc_tres.split(",")
                and any(
                    part.classification.category == category
                    and part.classification.beneficiary is Beneficiary.REGIONAL
                    for part in parts if part.since <= run.start_at < part.until
                )
            )  # fmt: skip
            place = Placement(run.job_id, "n01", (), run.start_at or 0, run.end_at or 0)
            ledger.meters.place([place], source="late", at=then + 60, actor="beheer@example")
        again = around(year.made(changing.config, ledger, "2027Q3", then + 3600))["energy"]
    first = around(changing.reports["2027Q3"])["energy"]
    before, after = ({row["name"] for row in of["tables"]["category"]["rows"]} for of in (first, again))
    assert before - after == {*changed}
    assert again["quality_joules"] is None
    assert again["qualities"] == first["qualities"], "the words stay"
    assert first["run_joules"] != again["run_joules"]


def test_a_half_year_shows_what_its_quarters_showed(made: Year) -> None:
    half = around(made.report("2027H2", facility.AS_OF["2027Q4"]))["energy"]
    quarters = [around(made.reports[window])["energy"] for window in ("2027Q3", "2027Q4")]
    for row in half["tables"]["category"]["rows"]:
        parts = [
            each["joules"] for of in quarters for each in of["tables"]["category"]["rows"]
            if each["name"] == row["name"]
        ]  # fmt: skip
        assert sum(parts) == pytest.approx(row["joules"])
    assert half["run_joules"] == pytest.approx(sum(of["run_joules"] for of in quarters))


def reached(organisation: str, quality: str, joules: int) -> Reached:
    return Reached(organisation, Beneficiary.REGIONAL, {"sector": "care", "quality": quality}, joules)


BOTH = [reached(whom, word, 5) for whom in "abc" for word in ("apportioned", "modelled")]
TOLD = {"surroundings": {"energy": {"run_joules": 5.0, "quality_joules": {"modelled": 5.0}}}}


@pytest.mark.parametrize(
    ("own", "before", "shown"),
    [
        (BOTH, [], True),
        ([reached("a", "modelled", 5)], [], True),  # one word: its amount is the total
        (BOTH[:4], [], False),
        ([*BOTH[::2], reached("d", "modelled", 5)], [], False),
        (BOTH, [Given((0, 10), TOLD, lambda _: BOTH)], True),
        (BOTH, [Given((0, 10), TOLD, lambda _: BOTH[:5])], False),  # corrected since
        (BOTH, [Given((0, 10), {}, lambda _: BOTH[:5])], True),  # told no energy
        (BOTH, [Given((50, 60), TOLD, lambda _: BOTH[:5])], True),  # shares no time
        (BOTH, [Given((0, 20), TOLD, lambda piece: BOTH if piece == (0, 10) else BOTH[:4])], False),
    ],
)
def test_amounts_by_quality_are_shown_where_they_tell_no_more_than_whole_amounts(
    own: list[Reached], before: list[Given], shown: bool
) -> None:
    assert _qualities_shown((0, 10), lambda _: own, before, 3) is shown


def test_a_line_that_the_charge_hides_is_left_out_of_the_energy_too() -> None:
    rows = (TableRow("a", 4, 40), TableRow("b", 3, 30))
    table = Table("category", 80, rows, 1, TableRow("", 3, 10))
    assert _only(table, {"a", "b"}) == table
    assert _only(table, {"a"}) == Table("category", 80, rows[:1], 2, TableRow("", 6, cast("Charge", 40)))


# -- reports of an earlier version ----------------------------------------------------------------------


def test_a_report_from_before_is_remade_as_it_was(changing: Year) -> None:
    """Its document has no energy; it is made again without, and compared with what it said."""
    then = facility.AS_OF["2027Q1"]
    earlier = replace(changing.reports["2027Q1"], surroundings=None)
    said = value(earlier)
    assert said["programme"]["surroundings"] == {"energy": None, "grid": None, "water": None}
    assert "surroundings" not in said
    assert text_of(earlier, "en").count("not recorded") == 4
    with by_hand(changing.url) as connection:
        connection.execute(
            "UPDATE reports SET document = %s WHERE window_name = '2027Q1'", [json.dumps(said)]
        )
    again = changing.report("2027Q1", then)
    assert again.surroundings is None
    assert energy_told(said) is None
