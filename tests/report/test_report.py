"""The four reports of a year: the figures of `saf share`, the same in every file, again and again."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from psycopg.sql import SQL, Identifier

from slurm_ai_factory import question
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme.suppression import ChargePart, PartSum
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import open_ledger, publishing
from slurm_ai_factory.question import Reached
from slurm_ai_factory.report import LANGUAGES, Report, as_csv, gather, report_html, report_json, value
from slurm_ai_factory.report.programme import reached_in_programme
from slurm_ai_factory.report.sheets import figure_rows
from tests import facility, loaded, schemas
from tests.conftest import by_hand, new_ledger, past_guards
from tests.core.programme.test_suppression import parts, singled_out
from tests.report import examples, year
from tests.report.year import Year

quarters = pytest.mark.parametrize("window", facility.QUARTERS)


def files(made: Year, report: Report) -> dict[str, str]:
    """Everything that leaves the system."""
    labels = made.config.codes(()).municipalities
    pages = {code: report_html(report, code, labels) for code in LANGUAGES}
    return {**pages, "csv": as_csv(report), "json": report_json(report)}


def saf(made: Year, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """The command line as its users run it."""
    done = loaded.run(
        ["--config", str(made.file), *arguments], env={"PATH": os.environ["PATH"], "NO_COLOR": "1"}
    )
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def shared(made: Year, window: str, *more: str) -> Any:
    """What `saf share` says of a quarter as of when its report was made."""
    then = facility.moment(facility.AS_OF[window])
    asked = ("share", "--window", window, "--as-of", then, "--json", *more)
    return schemas.content(asked, json.loads(saf(made, *asked).stdout))


@quarters
def test_the_figures_are_those_of_saf_share(made: Year, window: str) -> None:
    of_terms = {"promise", "bound", "share_of", "promises"}  # what the promise is, in a report's other parts
    figures = {key: value for key, value in shared(made, window).items() if key not in of_terms}
    said = json.loads(report_json(made.reports[window]))
    assert figures.pop("held_by_grid") == said["surroundings"]["held_by_grid"]
    assert said["share"] == figures


@pytest.mark.parametrize("table", ["category", "sector", "municipality", "hub"])
def test_the_lines_of_a_table_are_the_groups_of_saf_share(made: Year, table: str) -> None:
    regional_only = table != "hub"
    told: dict[str, Decimal] = {}
    for group in shared(made, "2027Q3", "--by", table)["groups"]:
        if group["beneficiary"] == "regional" or not regional_only:
            told[group["name"]] = told.get(group["name"], Decimal(0)) + Decimal(str(group["charge"]))
    rows = value(made.reports["2027Q3"])["tables"][table]["rows"]
    assert len(rows) >= 3
    for row in rows:
        assert Decimal(str(row["charge"])) == told[row["name"] or "unclassified"], row


@quarters
def test_a_table_adds_up_to_what_is_told_elsewhere(made: Year, window: str) -> None:
    said = value(made.reports[window])
    for name, table in said["tables"].items():
        whole = said["share"]["total_charge" if name == "hub" else "regional_charge"]
        left_out = table["suppressed"]["charge"] if table["suppressed"] else 0
        assert sum(Decimal(str(row["charge"])) for row in table["rows"]) + Decimal(str(left_out)) == Decimal(
            str(whole)
        )


def test_the_year_is_told_as_it_went(made: Year) -> None:
    verdicts = [value(made.reports[window])["share"]["verdict"] for window in facility.QUARTERS]
    assert verdicts == ["met", "met", "missed_starved", "met"]
    trend = value(made.reports["2027Q4"])["trend"]
    assert [one["window"] for one in trend] == list(facility.QUARTERS)
    assert [one["verdict"] for one in trend] == verdicts


@quarters
def test_every_file_has_the_same_figures(made: Year, window: str) -> None:
    report = made.reports[window]
    said = value(report)
    flat = [row for section, part in said.items() for row in figure_rows(section, "", part)]
    found = files(made, report)
    rows = list(csv.reader(io.StringIO(found["csv"])))[1:]
    assert rows == [["" if cell is None else str(cell) for cell in row] for row in flat]
    assert json.loads(found["json"]) == json.loads(json.dumps({"schema": 1} | said))
    numbers = {repr(row[3]) for row in flat if isinstance(row[3], int | float)}
    for code in LANGUAGES:
        shown = re.findall(r'<data value="([^"]+)">', found[code])
        assert len(shown) > 80
        assert set(shown) <= numbers


@quarters
def test_the_same_instant_gives_the_same_bytes(made: Year, window: str) -> None:
    again = made.report(window, facility.AS_OF[window])
    assert files(made, again) == files(made, made.reports[window])


def test_what_was_recorded_later_changes_no_byte(made: Year, postgresql: str, tmp_path: Path) -> None:
    """The report of a ledger that ends in April, and that of one which has the rest of the year too."""
    then = facility.AS_OF["2027Q1"]
    with new_ledger(postgresql) as url:
        config = facility.build(url, tmp_path / "saf.toml", until=then)
        april = Year(url, tmp_path / "saf.toml", config, {})
        assert files(april, april.report("2027Q1", then)) == files(made, made.reports["2027Q1"])


def test_a_later_schema_changes_no_byte_and_breaks_no_check(made: Year, postgresql: str) -> None:
    """As after an upgrade that gives every table another column."""
    with new_ledger(postgresql, made.url) as url:
        with by_hand(url) as connection:
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            ).fetchall()
            for (table,) in tables:
                more = SQL("ALTER TABLE {} ADD COLUMN later text DEFAULT 'x'").format(Identifier(table))
                connection.execute(more)
        upgraded = Year(url, made.file, made.config, {})
        with upgraded.ledger() as ledger:
            chain = ledger.chain
            assert [one.differing for one in (chain.walked(), chain.records(), chain.reads())] == [0, 0, 0]
        assert files(upgraded, upgraded.report("2027Q3", facility.AS_OF["2027Q3"])) == files(
            made, made.reports["2027Q3"]
        )


def test_the_command_writes_the_files(made: Year, tmp_path: Path) -> None:
    then = facility.moment(facility.AS_OF["2027Q3"])
    saf(made, "report", "--window", "2027Q3", "--as-of", then, "-o", str(tmp_path))
    names = {
        "nl": "noorderlicht-2027Q3.nl.html", "en": "noorderlicht-2027Q3.en.html",
        "csv": "noorderlicht-2027Q3.csv", "json": "noorderlicht-2027Q3.json",
    }  # fmt: skip
    assert {file.name for file in tmp_path.iterdir()} == set(names.values())
    with made.ledger() as ledger:
        digest = value(made.reports["2027Q3"])["fingerprint"]["sha256"]
        head = ledger.publishing.head("2027Q3", facility.AS_OF["2027Q3"], digest)
    for kind, text in files(made, replace(made.reports["2027Q3"], head=head)).items():
        assert (tmp_path / names[kind]).read_bytes().decode() == text


def test_the_example_is_current(made: Year) -> None:
    found = {file.name: file.read_text(encoding="utf-8") for file in examples.FOLDER.iterdir()}
    assert found == examples.pages(made), "run: make examples"


# -- what leaves the system ---------------------------------------------------------------------------


@quarters
def test_no_person_and_no_job_leaves_the_system(made: Year, window: str) -> None:
    users = {user for account in facility.accounts() for user in account.users}
    with made.ledger() as ledger:
        jobs = {str(row[0]) for row in ledger.store.connection.execute("SELECT job_id FROM runs").fetchall()}
    names = {one.organisation for one, _ in facility.organisations()} | {"waterstof_samen", "bezoekers"}
    flat = value(made.reports[window]).items()
    jobs -= {str(row[3]) for section, part in flat for row in figure_rows(section, "", part)}
    assert jobs
    for kind, text in files(made, made.reports[window]).items():
        words = set(re.findall(r"[\w.]+", text))
        assert not words & users, kind
        assert not words & names, kind
        assert not words & jobs, kind


@quarters
def test_nobodys_own_figure_is_told(made: Year, window: str) -> None:
    """No number in any file is the charge of one organisation, or of two together."""
    with made.asked(window) as asked:
        groups = asked.groups(lambda _, classification: (classification.organisation,))
    own = [group.delivered for group in groups if group.beneficiary is Beneficiary.REGIONAL and group.name]
    assert len(own) >= 29
    secret = {int(a + b) for a in own for b in [0, *own] if a != b}
    flat = [
        row for section, part in value(made.reports[window]).items() for row in figure_rows(section, "", part)
    ]
    told = {int(row[3]) for row in flat if isinstance(row[3], int | float) and row[3] > 10}
    assert not told & secret


def test_no_combination_of_what_is_shown_singles_out_a_few(made: Year) -> None:
    """By linear algebra over the lines of all tables and the totals, each as who is in it, by access."""
    with made.asked("2027Q3") as asked:
        reached = reached_in_programme(asked)

    def those(inside: Iterable[Reached]) -> PartSum:
        return frozenset(ChargePart(one.organisation, one.places["access"]) for one in inside)

    sums = [those(one for one in reached if one.beneficiary is side) for side in Beneficiary]
    few = singled_out([one for one in sums if one], 3)
    for name, table in value(made.reports["2027Q3"])["tables"].items():
        for row in table["rows"]:
            inside = [one for one in reached if one.places[name] == row["name"]]
            sums.append(those(o for o in inside if name == "hub" or o.beneficiary is Beneficiary.REGIONAL))
    assert len(sums) > 14
    assert singled_out([one for one in sums if one], 3) == few == {parts(["account bezoekers"])}


def test_organisations_are_named_only_where_that_is_configured(made: Year) -> None:
    named = replace(made.config, report=replace(made.config.report, name_organisations=True))
    with made.ledger() as ledger:
        report = year.made(named, ledger, "2027Q3", facility.AS_OF["2027Q3"])
    names = value(report)["organisations"]["names"]
    assert len(names) == 30
    assert "Waterbeheer Noorderzijl" in names
    assert "Lichtlijn" not in names, "that is not of the region"
    assert "Waterbeheer Noorderzijl" in report_html(report, "nl", {})
    assert value(made.reports["2027Q3"])["organisations"] == {"regional": 30, "names": None}


# -- what was restated ----------------------------------------------------------------------------------


def test_what_was_restated_is_told_with_its_cause(made: Year) -> None:
    said = value(made.reports["2027Q2"])["restatements"]
    before = value(made.reports["2027Q1"])["share"]
    assert said["replaces"] is None
    assert said["compared_with"] == [
        {
            "window": "2027Q1",
            "as_of": "2027-04-09T22:00:00Z",
            "delivered_share": before["delivered_share"],
            "published": True,
        }
    ]
    (row,) = said["rows"]
    assert row["window"] == "2027Q1"
    assert row["regional_charge_before"] == before["regional_charge"]
    assert row["total_charge_before"] == before["total_charge"]
    assert row["regional_charge"] - before["regional_charge"] == row["regional_charge_difference"]
    causes = row["regional_charge_by_accounting"], row["regional_charge_by_classification"]
    assert (row["causes_told"], *causes) == (False, None, None), "one organisation was registered late"
    assert "niet apart vermeld: te weinig organisaties" in report_html(made.reports["2027Q2"], "nl", {})


def test_causes_that_rest_on_enough_add_up_to_the_difference(made: Year) -> None:
    """The same where two figures of one organisation may be told."""
    (whole,) = made.reports["2027Q2"].restatements
    assert whole.by_accounting is not None
    assert whole.by_classification is not None
    assert whole.by_accounting < 0 < whole.by_classification, "some ended sooner, one was registered late"
    assert whole.by_accounting + whole.by_classification == whole.regional_now - whole.regional_before
    told = replace(made.reports["2027Q2"], restatements=(whole._replace(told_apart=True),))
    (row,) = value(told)["restatements"]["rows"]
    assert row["regional_charge_by_accounting"] == whole.by_accounting
    assert "niet apart vermeld" not in report_html(told, "nl", {})


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "jobs lost the reservation that the accounting of Slurm had recorded: #7, lesson."),
        (
            "nl",
            "zijn rekentaken de reservering kwijtgeraakt die in de boekhouding van Slurm stond: #7, lesson.",
        ),
    ],
)
def test_reservations_that_jobs_lost_are_named_as_a_cause(made: Year, language: str, sentence: str) -> None:
    (whole,) = made.reports["2027Q2"].restatements
    assert "lost_reservations" not in value(made.reports["2027Q2"])["restatements"]["rows"][0]
    told = replace(made.reports["2027Q2"], restatements=(whole._replace(lost_reservations=("#7", "lesson")),))
    assert value(told)["restatements"]["rows"][0]["lost_reservations"] == ["#7", "lesson"]
    assert sentence in report_html(told, language, {})
    assert sentence not in report_html(made.reports["2027Q2"], language, {})


def test_a_first_report_compares_with_nothing_and_a_later_one_with_each_windows_own(made: Year) -> None:
    first = value(made.reports["2027Q1"])["restatements"]
    assert first == {"replaces": None, "compared_with": [], "rows": []}
    assert "No earlier report on this period has been published" in report_html(
        made.reports["2027Q1"], "en", {}
    )
    said = value(made.reports["2027Q3"])["restatements"]
    assert [one["window"] for one in said["compared_with"]] == ["2027Q1", "2027Q2"]
    assert [one["window"] for one in said["rows"]] == ["2027Q1"], "its own report still says the old figure"


def test_any_two_instants_can_be_compared(made: Year) -> None:
    with made.asked("2027Q4") as asked:
        report = gather.gather_report(asked, facility.AS_OF["2027Q1"])
    (row,) = report.restatements
    assert row.window == "2027Q1"
    assert "We compare with what was known on 10\N{NO-BREAK SPACE}April\N{NO-BREAK SPACE}2027" in report_html(
        report, "en", {}
    )
    assert value(report)["restatements"]["replaces"] is None
    assert row.regional_before == made.reports["2027Q1"].measurement.regional_charge


def test_a_report_that_was_given_out_stays(made: Year) -> None:
    third, fourth = made.reports["2027Q3"], made.reports["2027Q4"]
    with made.ledger() as ledger:
        assert year.give_out(made.config, ledger, third) is False, "just this one was given out before"
        with pytest.raises(LedgerError, match=r"organisations\.regional was 30, is 31"):
            year.give_out(made.config, ledger, replace(fourth, reached=fourth.reached + 1))
        with pytest.raises(LedgerError, match="publish the one of 2027Q3 as of a later instant"):
            year.give_out(made.config, ledger, replace(third, known_at=third.known_at + 1))


# -- what it rests on -----------------------------------------------------------------------------------


def test_anyone_can_make_the_fingerprint_again(made: Year) -> None:
    """With nothing but SQL, COPY and SHA-256."""
    said = value(made.reports["2027Q3"])["fingerprint"]
    parts = []
    for part in said["parts"]:
        then = facility.moment(facility.AS_OF["2027Q3"])
        rows = ["ledger", "fingerprint", "--window", "2027Q3", "--from", "2027Q1", "--as-of", then]
        text = saf(made, *rows, "--rows", part["name"]).stdout
        assert sha256(text.encode()).hexdigest() == part["digest"], part["name"]
        assert text.count("\n") == part["rows"]
        parts.append(f"{part['name']} {part['rows']} {part['digest']}\n")
    figures = {name: one for name, one in value(made.reports["2027Q3"]).items() if name != "fingerprint"}
    spelled = json.dumps(figures, sort_keys=True, separators=(",", ":"))
    assert sha256(f"figures 1\n{spelled}".encode()).hexdigest() == said["figures"]
    rest = f"settings {said['settings']}\nfigures {said['figures']}\n"
    whole = "".join(["format 2\n", *parts, rest])
    assert sha256(whole.encode()).hexdigest() == said["sha256"]


IN_JULY = "(SELECT min(entry_id) FROM meters WHERE kind = 'E_IT' AND since > 1816000000)"
CHANGES = {
    "allowed": "UPDATE allowed_power SET max_kw = max_kw + 1 WHERE entry_id = 1",
    "energy": "UPDATE runs SET energy_joules = 5 WHERE db_index = 9000",
    "meters": f"UPDATE meters SET value = value + 1 WHERE entry_id = {IN_JULY}",
    "meter_ends": "INSERT INTO meter_ends (cluster_id, kind, meter, ended_at, recorded_at, actor, reason) "
    "SELECT 1, 'E_IT', 'site', 1800000000, 1800000000, 'x', 'y'",
    "placements": "UPDATE placements SET until = until - 1 WHERE since > 1815000000",
    "runs": "UPDATE runs SET elapsed_seconds = elapsed_seconds - 1 WHERE db_index = 9000",
    "decisions": "UPDATE decisions SET reason = 'raise' WHERE decision_id = 2000",
    "changes": "UPDATE changes SET raw_shares_before = raw_shares_before + 1 WHERE change_id = 12",
    "outages": "UPDATE outages SET until = until - 3600 WHERE node = 'n09' AND since > 1800000000",
    "expertise": "UPDATE expertise_entries SET hours = hours + 0.5 WHERE entry_id = 500",
    "organisations": "UPDATE organisations SET sector = 'care' WHERE organisation = 'windwaard'",
    "links": "UPDATE links SET fraction = 0.5 WHERE account = 'windwaard'",
    "accounts": "UPDATE accounts SET parent = 'national' WHERE account = 'windwaard'",
    "reads": "UPDATE reads SET runs = runs + 1 WHERE read_id = 30",
    "sizes": "UPDATE sizes SET tres = 'cpu=1'",
    "overrides": "INSERT INTO overrides (cluster_id, job, beneficiary, organisation, recorded_at, actor, "
    "reason) SELECT 1, '1', 'regional', '', 1800000000, 'x', 'y'",
}


@pytest.mark.parametrize("part", [publishing.part_name(query) for query in publishing.PARTS])
def test_a_changed_row_changes_the_fingerprint(made: Year, part: str) -> None:
    with open_ledger(past_guards(made.url), facility.CLUSTER) as ledger:
        where = windows.window("2027Q3", 0, made.config.promise.time_zone)
        asked = question.ask(made.config, ledger, where, then=facility.AS_OF["2027Q3"])
        interval = gather.interval_of(asked, where)
        before = {one.name: one.digest for one in ledger.publishing.fingerprint(interval)}
        with ledger.store.connection.transaction(force_rollback=True):
            assert ledger.store.connection.execute(CHANGES[part].encode()).rowcount
            after = {one.name: one.digest for one in ledger.publishing.fingerprint(interval)}
    assert {name for name in before if before[name] != after[name]} == {part}


@pytest.mark.parametrize("window", facility.QUARTERS)
def test_the_runs_behind_a_published_figure_add_up_to_it_at_any_later_time(made: Year, window: str) -> None:
    """Also after corrections, and by category, sector, municipality and hub."""
    then = facility.moment(facility.AS_OF[window])
    printed = saf(made, "ledger", "export", "--window", window, "--as-of", then).stdout
    rows = list(csv.DictReader(io.StringIO(printed)))
    report = made.reports[window].measurement
    for beneficiary, charge in (
        ("regional", report.regional_charge), ("unclassified", report.unclassified_charge),
    ):  # fmt: skip
        exported = sum(Decimal(one["charge"]) for one in rows if one["beneficiary"] == beneficiary)
        assert exported == charge
    assert sum(Decimal(one["charge"]) for one in rows) == report.total_charge
    said = value(made.reports[window])["tables"]
    for table, regional in gather.TABLES.items():
        counted = [one for one in rows if not regional or one["beneficiary"] == "regional"]
        for row in said[table]["rows"]:
            exported = sum(Decimal(one["charge"]) for one in counted if one[table] == row["name"])
            assert exported == Decimal(str(row["charge"])), (table, row["name"])
    assert {one["promise"] for one in rows} == {"region"}


# -- other windows --------------------------------------------------------------------------------------


def test_a_window_that_is_not_over_is_open(made: Year) -> None:
    report = made.report("2027Q4", facility.at("2027-11-15"))
    page = report_html(report, "nl", {})
    assert "Het oordeel staat nog open" in page
    assert "moet in de rest van de periode" not in page, "the share is above the floor"


def test_a_share_above_the_floor_is_not_called_out_of_reach(made: Year) -> None:
    """What is needed, and whether that can be done, is said below the floor only."""
    report = made.report("2027Q4", facility.at("2027-11-15"))
    above, m = value(report)["share"], report.measurement
    assert (above["floor_side"], above["required_share"], above["attainable"]) == ("above", None, None)
    hours = tuple(hour._replace(regional_waiting=0.0) for hour in m.hours)
    below = replace(report, measurement=replace(m, target_share=0.45, hours=hours))
    assert value(below)["share"]["attainable"] is False


def test_a_window_without_records_says_so(made: Year) -> None:
    page = report_html(made.report("2026Q4", facility.AS_OF["2027Q1"]), "en", {})
    assert "There is no verdict yet" in page
    assert "No computing power has been delivered" not in page, "silence is not zero"
    assert "no records have been read" in page


def test_a_window_that_was_read_in_part_has_no_verdict(made: Year) -> None:
    first = made.reports["2027Q1"]
    part = replace(first, measurement=replace(first.measurement, unread_seconds=3600))
    page = report_html(part, "nl", {})
    assert "Er is nog geen oordeel" in page
    assert "De toezegging is nagekomen" not in page
    assert "uur van deze periode zijn geen gegevens ingelezen" in page


def test_where_the_size_is_not_known_no_demand_is_claimed(made: Year) -> None:
    third = made.reports["2027Q3"]
    unknown = replace(third, measurement=replace(third.measurement, capacity=None, starved_charge=None))
    page = report_html(unknown, "nl", {})
    assert "We weten niet hoe groot het systeem was" in page
    assert "klaarstonden" not in page
    assert "klaarstonden" in report_html(third, "nl", {})


def test_a_rolling_window_has_a_report(made: Year) -> None:
    report = made.report("rolling:30d", facility.AS_OF["2027Q2"])
    assert len(report.trend) == 1
    assert "rolling:30d" in report_html(report, "en", {})


def test_nothing_read_yet_is_an_error(made: Year, tmp_path: Path) -> None:
    done = saf(made, "report", "--window", "2026Q1", "--as-of", "2026-05-01", "-o", str(tmp_path), code=1)
    assert "nothing had been read yet at 2026-04-30T22:00:00Z" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_a_second_person_approved_is_counted_and_names_nobody(made: Year) -> None:
    first = made.reports["2027Q1"]
    assert "een tweede persoon heeft goedgekeurd" not in report_html(first, "nl", {})
    page = report_html(replace(first, approved=3), "nl", {})
    assert 'een tweede persoon heeft goedgekeurd</dt><dd><data value="3">3</data>' in page
    assert json.loads(report_json(replace(first, approved=3)))["report"]["approved"] == 3
