"""Hours of the expertise centre: recorded, corrected, imported, listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import HOURS, add_hours, civil
from tests.saf import Saf


def test_hours_are_entered_corrected_and_listed(registered: Saf) -> None:
    first, second = add_hours(registered, "umcg", "1,5"), add_hours(registered, "plant", "4", "--unmet")
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
