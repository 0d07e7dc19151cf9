"""One person's data as the data-protection officer has it: shown, given out, forgotten, held."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import HOUR, Run, Subject
from slurm_ai_factory.ledger import open_ledger
from tests.cli.conftest import RULES, UMCG, link, today
from tests.saf import Saf

WHY = ("--reason", "request 17")


@pytest.fixture
def published(books: Saf) -> Saf:
    """A report that rests on an override and on hours whose texts name the user, and was given out."""
    for command in (UMCG, link("umcg", "umcg")):
        books.run(*command)
    said = books.run("override", "10", "--beneficiary", "regional", "--reason", "asked for by jan")
    assert "the recorded text names jan, a user of Slurm" in said.stderr
    hours = (
        "--date", windows.iso(today())[:10], "--organisation", "umcg", "--hours", "2", "--role", "jurist",
    )  # fmt: skip
    assert "names jan" in books.run("expertise", "add", *hours, "--activity", "intake met Jan").stderr
    return books


def report(saf: Saf, moment: str, directory: Path) -> dict[str, bytes]:
    done = saf.json("report", "-o", str(directory), "--as-of", moment, "--publish")
    return {file: Path(file).read_bytes() for file in done["files"]}


def test_forgetting_changes_no_report_and_no_figure(published: Saf, tmp_path: Path) -> None:
    moment = windows.iso(int(time.time()))
    before, share = report(published, moment, tmp_path / "out"), published.json("share")
    done = published.json("person", "forget", "jan", *WHY)
    assert done["runs"] > 0
    assert (done["texts"], done["left"]) == (2, [])
    assert report(published, moment, tmp_path / "out") == before
    assert published.json("share") == share
    checks = published.json("ledger", "verify")["checks"]
    assert [one["differing"] for one in checks] == [0] * len(checks)
    assert "jan" not in published.run("explain", "10").stdout
    assert "jan" not in published.run("override").stdout


def test_what_is_held_is_shown_and_given_out(published: Saf) -> None:
    shown = published.json("person", "show", "jan", *WHY)
    found = {(one["table"], one["column"]): one for one in shown["found"]}
    assert found["overrides", "reason"]["fate"] == "withheld"
    rows = published.json("person", "export", "jan", *WHY)
    assert {one["table"] for one in rows} == {table for table, _ in found}
    assert len([one for one in rows if one["table"] == "runs"]) == found["runs", ""]["rows"]
    text = published.run("person", "show", "jan", *WHY).stdout
    assert "gets a pseudonym" in text
    assert "is withheld" in text
    acts = published.json("person", "show", "jan", *WHY)["acts"]
    assert [one["act"] for one in acts] == ["show", "export", "show", "show"]


def test_who_computes_on_stays_forgotten(published: Saf, ledger_url: str) -> None:
    published.run("person", "forget", "jan", *WHY)
    at = today()
    subject = Subject("loop", "astro", "jan", "main", "normal", "", "")
    running = Run(99, 99, "99", subject, "RUNNING", at, at, at - HOUR, None, 0, 0, "cpu=2", "cpu=2")
    with open_ledger(ledger_url, "loop") as ledger:
        ledger.intake.record([running], at - HOUR, at + 60, at=at + 60)
    assert "jan" not in published.run("ledger", "export", "--users").stdout


def test_a_hold_is_listed_and_keeps_the_name(published: Saf) -> None:
    published.configure("slurm", RULES, overlap_daily="1h")
    published.run("person", "hold", "jan", "--until", "2099-01-01", *WHY)
    (listed,) = published.json("person", "hold")
    assert (listed["user"], listed["reason"], listed["in_force"]) == ("jan", "request 17", True)
    before = windows.iso(today())
    assert published.json("ledger", "pseudonymise", "--before", before)["runs"] == 0
    assert "is held until" in published.run("person", "forget", "jan", *WHY, code=1).stderr
    published.run("person", "hold", "jan", "--until", "now", *WHY)
    assert published.json("ledger", "pseudonymise", "--before", before)["users"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("forget", "jan", "--reason", "Jan asked"), 2, "--reason has the name"),
        (("forget", "~0123456789abcdef", *WHY), 2, "is a pseudonym; give the name"),
        (("forget", "nobody", *WHY), 1, "the ledger holds nothing of nobody; check the name"),
        (("show", "jan", "--reason", " "), 2, "--reason is empty"),
        (("hold", "nobody", "--until", "2099-01-01", *WHY), 1, "the ledger has no user nobody"),
        (("hold", "jan", *WHY), 2, "give NAME, --until and a --reason"),
    ],
)
def test_what_is_wrong_is_refused_and_not_noted(
    books: Saf, arguments: tuple[str, ...], code: int, message: str
) -> None:
    assert message in books.run("person", *arguments, code=code).stderr
    assert books.json("person", "show", "jan", *WHY)["acts"][:-1] == []


def test_a_user_of_a_rule_is_not_forgotten(books: Saf) -> None:
    books.configure("promise", RULES.replace('qos = "benchmark"', 'user = "jan"'))
    assert "a rule names jan; take" in books.run("person", "forget", "jan", *WHY, code=1).stderr


def test_retention_takes_names_of_staff_and_texts(published: Saf) -> None:
    published.sections["privacy"] = {}
    published.configure("privacy", withhold_staff_after="30d")
    assert "nothing to do" in published.run("ledger", "pseudonymise").stderr
    assert published.json("ledger", "pseudonymise")["before"] is None
