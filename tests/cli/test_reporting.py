"""Expertise hours, statements, reports and pseudonyms as their users have them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from slurm_ai_factory.core import windows
from tests.cli.conftest import CPUS, DAYS, RULES
from tests.cli.test_registry import PLANT, UMCG, civil, link
from tests.saf import Saf

HOURS = ("--role", "data scientist", "--activity", "intake")
TARIFFS = """
[[tariff]]
beneficiary = "regional"
resource = "cpu"
price = "0.10"
since = "2020-01-01"

[[tariff]]
beneficiary = "regional"
resource = "cpu"
price = "0.20"
since = "{cut}"

[[tariff]]
beneficiary = "non_regional"
resource = "cpu"
price = "2"
since = "2020-01-01"
"""


@pytest.fixture
def registered(books: Saf) -> Saf:
    """A hospital in the region that has one account and part of a joint one, and a plant outside."""
    joint = (link("umcg", "umcg"), link("umcg", "joint", "0.4"), link("plant", "joint", "0.35"))
    for command in (UMCG, PLANT, *joint):
        books.run(*command)
    return books


def add(saf: Saf, organisation: str, hours: str, *more: str) -> int:
    day = ("--date", civil(1), "--organisation", organisation, "--hours", hours)
    return int(saf.json("expertise", "add", *day, *HOURS, *more)["entry"])


def test_hours_are_entered_corrected_and_listed(registered: Saf) -> None:
    first, second = add(registered, "umcg", "1,5"), add(registered, "plant", "4", "--unmet")
    registered.run("expertise", "correct", str(first), "--hours", "1", "--reason", "mistyped")
    listed = registered.json("expertise", "list")
    assert [(e["hours"], e["kind"], e["corrects"]) for e in listed] == [
        ("1.50", "delivered", None), ("4.00", "unmet", None), ("-0.50", "delivered", first),
    ]  # fmt: skip
    assert second == first + 1
    shown = registered.run("expertise", "list").stdout
    assert shown.startswith("entry  date")
    assert "mistyped" in shown


@pytest.mark.parametrize(
    ("hours", "organisation", "message"),
    [
        ("many", "umcg", "hours: 'many' is not a number of hours such as 1.5"),
        ("0", "umcg", "hours: '0' is not between 0.01 and 10000"),
        ("1", "umgc", "organisation: 'umgc' is not registered; see `saf organisation list`"),
    ],
)
def test_wrong_hours_are_not_entered(registered: Saf, hours: str, organisation: str, message: str) -> None:
    day = ("--date", civil(1), "--organisation", organisation, "--hours", hours)
    assert message in registered.run("expertise", "add", *day, *HOURS, code=2).stderr
    assert registered.json("expertise", "list") == []


def test_a_table_is_taken_whole_once_or_not_at_all(registered: Saf, tmp_path: Path) -> None:
    good = f"date;organisation;role;hours;activity\r\n{civil(2)};umcg;jurist;1,5;coöperatie\r\n"
    file = tmp_path / "hours.csv"
    file.write_bytes(f"{good}{civil(2)};umcg;jurist;x;a\r\n31-1-2027;nobody;r;1;a\r\n".encode("cp1252"))
    said = registered.run("expertise", "import", str(file), code=1).stderr
    assert f"{file}:3: column hours: 'x' is not a number of hours such as 1.5" in said
    assert f"{file}:4: column organisation: 'nobody' is not registered" in said
    assert registered.json("expertise", "list") == []
    file.write_bytes(good.encode("cp1252"))
    registered.run("expertise", "import", str(file), "--dry-run")
    assert registered.json("expertise", "list") == []
    registered.run("expertise", "import", str(file))
    assert [one["activity"] for one in registered.json("expertise", "list")] == ["coöperatie"]
    assert "was imported" in registered.run("expertise", "import", str(file), code=1).stderr
    assert len(registered.json("expertise", "list")) == 1


def test_a_statement_is_cut_where_the_price_changes(registered: Saf) -> None:
    add(registered, "umcg", "3")
    registered.configure(rules=RULES + TARIFFS.format(cut=civil(2)))
    found = registered.json("statement", "--organisation", "umcg")
    own = CPUS["genomes"] + 0.4 * CPUS["joint"]
    assert found["charge"] == own * 3600 * DAYS
    assert found["expertise_hours"] == "3.00"
    assert found["part_of_regional"] == 1.0
    assert found["part_of_promise"] == pytest.approx(own / 0.25 / sum(CPUS.values()))
    dear = sum(line["charge"] for line in found["lines"] if line["price"] == "0.20") / 3600
    cheap = sum(line["charge"] for line in found["lines"] if line["price"] == "0.10") / 3600
    assert dear + cheap == own * DAYS
    assert dear in (own, 2 * own), "of civil days, which are not those of UTC"
    assert float(found["total"]) == pytest.approx(0.2 * dear + 0.1 * cheap)
    assert "total, EUR" in registered.run("statement", "--organisation", "umcg").stdout


def test_a_statement_without_a_price_is_refused(registered: Saf) -> None:
    assert "add [[tariff]]" in registered.run("statement", "--organisation", "umcg", code=1).stderr
    regional_only = TARIFFS.partition('[[tariff]]\nbeneficiary = "non_regional"')[0]
    registered.configure(rules=RULES + regional_only.format(cut="2021-01-01"))
    said = registered.run("statement", "--organisation", "plant", code=1).stderr
    assert "no [[tariff]] for non_regional cpu" in said
    assert (
        "no organisation 'nobody' is registered"
        in registered.run("statement", "--organisation", "nobody", code=1).stderr
    )


def test_a_report_of_a_few_organisations_shows_no_small_cell(registered: Saf, tmp_path: Path) -> None:
    registered.run("report", "-o", str(tmp_path / "out"))
    (file,) = (tmp_path / "out").glob("*.json")
    said = json.loads(file.read_text())
    assert said["share"]["regional_charge"] == (CPUS["genomes"] + 0.4 * CPUS["joint"]) * 3600 * DAYS
    assert said["tables"]["sector"]["rows"] == [
        {"name": "care", "organisations": 1, "charge": said["share"]["regional_charge"], "part_of_table": 1.0,
         "share": said["share"]["delivered_share"]}
    ], "the region is one organisation: its figure is the promise's own"  # fmt: skip
    hub = said["tables"]["hub"]
    assert [row["name"] for row in hub["rows"]] == ["groningen"], "as the region's own total"
    assert hub["suppressed"]["rows"] == 2, "one plant in the south, and what belongs to no hub"


@pytest.mark.parametrize("unmet", ["0", "4"])
def test_hours_that_one_organisation_did_not_get_are_not_told(
    registered: Saf, tmp_path: Path, unmet: str
) -> None:
    registered.sections["expertise"] = {}
    registered.configure("expertise", RULES, unmet_recorded=True)
    add(registered, "umcg", "2")
    if unmet != "0":
        add(registered, "umcg", unmet, "--unmet")
    registered.run("report", "-o", str(tmp_path / "out"))
    (file,) = (tmp_path / "out").glob("*.json")
    said = json.loads(file.read_text())["expertise"]
    assert (said["unmet_recorded"], said["unmet_hours"]) == (True, None if unmet == "4" else 0)
    page = (tmp_path / "out" / "loop-rolling-7d.en.html").read_text()
    assert ("fewer than 3 organisations asked" in page) is (unmet == "4")


def test_a_report_is_given_out_once_and_checked_ever_after(registered: Saf, tmp_path: Path) -> None:
    at = int(time.time())
    moment = windows.iso(at)
    report = ("report", "-o", str(tmp_path), "--publish", "--as-of")
    first = registered.json(*report, moment)
    texts = {file: Path(file).read_bytes() for file in first["files"]}
    assert registered.json(*report, moment) == first
    assert {file: Path(file).read_bytes() for file in texts} == texts, "also of a window that rolls on"
    month = (*report, moment, "--window", "month")
    registered.run(*month)
    said = registered.run(*report, windows.iso(at - 1), "--window", "month", code=1).stderr
    assert "as of a later instant" in said
    assert registered.json(*report, windows.iso(at - 1)) != first, "a rolling window is another each time"
    registered.configure("promise", RULES, target_share=0.3)
    assert registered.json(*report, moment) == first, "the promise is what the ledger's term says"
    registered.sections["report"] = {"facility": "another"}
    registered.configure()
    said = registered.run(*report, moment, code=1).stderr
    assert "says something else now (" in said
    assert "saf ledger verify" in said


def test_a_report_that_cannot_be_written_is_told(registered: Saf, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in registered.run("report", "-o", str(tmp_path / "file" / "x"), code=1).stderr
    assert "Invalid value" in registered.run("report", "-o", "x", "--language", "fr", code=2).stderr


def test_users_get_pseudonyms(registered: Saf) -> None:
    before = registered.json("share", "--by", "organisation")
    assert "pseudonymise_after is not set" in registered.run("ledger", "pseudonymise", code=1).stderr
    young = registered.run("ledger", "pseudonymise", "--before", "now", code=2).stderr
    assert "runs as young as that are read again" in young
    registered.configure("slurm", RULES, overlap_daily="1h")
    done = registered.json("ledger", "pseudonymise", "--before", civil(0))
    assert done["runs"] > DAYS * 3
    assert done["users"] == 1
    after = registered.json("share", "--by", "organisation")
    kept = ("groups", "total_charge", "regional_charge", "unclassified_charge", "waiting_charge")
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    assert "jan" not in registered.run("explain", "10").stdout
    assert "nothing to do" in registered.run("ledger", "pseudonymise", "--before", civil(0)).stderr


def test_the_fingerprint_of_a_ledger(registered: Saf) -> None:
    then = ("--as-of", "now")
    found = registered.json("ledger", "fingerprint", *then)
    assert {one["name"]: one["rows"] for one in found}["links"] == 3
    rows = registered.run("ledger", "fingerprint", *then, "--rows", "links").stdout
    assert rows.splitlines()[0].split("\t")[1:3] == ["umcg", "umcg"]
