"""The governance report as files: small cells, restatements, publishing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from slurm_ai_factory.core import windows
from tests.cli.conftest import CPUS, DAYS, RULES, add_hours, today
from tests.saf import Saf


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
    add_hours(registered, "umcg", "2")
    if unmet != "0":
        add_hours(registered, "umcg", unmet, "--unmet")
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
    month = (*report, moment, "--window", windows.window("month", today(), ZoneInfo("UTC")).name)
    registered.run(*month)
    said = registered.run(*report, windows.iso(at - 1), *month[-2:], code=1).stderr
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
    assert (
        "cannot make the directory"
        in registered.run("report", "-o", str(tmp_path / "file" / "x"), code=1).stderr
    )
    assert "Invalid value" in registered.run("report", "-o", "x", "--language", "fr", code=2).stderr
