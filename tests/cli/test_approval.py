"""What one person proposes and another approves: commands, messages, and that it is in force once."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from slurm_ai_factory import config as configuration
from slurm_ai_factory.audit import approving
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import open_ledger
from tests.cli.conftest import CPUS, DAYS, PLANT, UMCG, charges, link
from tests.saf import Saf

ALICE, BOB = ("--as", "alice"), ("--as", "bob")
JOB = str(DAYS * 10)
OVERRIDE = ("override", JOB, "--beneficiary", "non_regional", "--reason", "a test of ours")
WINDOW = ("--window", "rolling:7d")


@pytest.fixture
def careful(books: Saf) -> Saf:
    """Everything needs a second person, and --as is believed."""
    books.sections |= {"actor": {"allow_as": True}, "approval": {}}
    books.configure("approval", registry=True, overrides=True, publications=True)
    return books


def proposed(saf: Saf, *command: str) -> str:
    return str(saf.json(*ALICE, *command)["proposal"])


def listed(saf: Saf) -> list[tuple[Any, ...]]:
    return [(one["kind"], one["step"]) for one in saf.json("approval", "list", "--all")]


def test_an_entry_of_the_past_is_in_force_when_another_person_approved_it(careful: Saf) -> None:
    number = proposed(careful, *UMCG)
    assert careful.json("organisation", "list") == []
    for own in (ALICE, ("--as", "ALICE")):
        said = careful.run(*own, "approval", "approve", number, code=1).stderr
        assert f"alice made proposal {number}; another person has to approve it" in said
    assert careful.json("organisation", "list") == []
    careful.run(*BOB, "approval", "approve", number, "--reason", "seen the letter")
    (shown,) = careful.json("organisation", "show", "umcg")["history"]
    assert [part.partition(" as ")[0] for part in shown["actor"].split(", approved by ")] == ["alice", "bob"]
    assert shown["reason"] == "the list of members; approved: seen the letter"
    assert listed(careful) == [("registry", "approved")]


def test_what_reaches_back_in_no_way_needs_nobody_else(careful: Saf) -> None:
    careful.run(*ALICE, *UMCG[:-4], "--since", "2999-01-01", "--reason", "from then on")
    assert [one["organisation"] for one in careful.json("organisation", "list", "--all")] == ["umcg"]
    assert listed(careful) == []


def test_a_wrong_entry_is_refused_when_it_is_proposed(careful: Saf) -> None:
    said = careful.run(*ALICE, *link("nobody", "umcg"), code=1).stderr
    assert "'nobody' is not registered" in said
    assert listed(careful) == []


def test_what_can_be_no_more_is_refused_with_the_reason_and_waits(careful: Saf) -> None:
    for command in (UMCG, PLANT):
        careful.run(*BOB, "approval", "approve", proposed(careful, *command))
    first, second = (proposed(careful, *link(key, "joint", "0.6")) for key in ("umcg", "plant"))
    careful.run(*BOB, "approval", "approve", first)
    said = careful.run(*BOB, "approval", "approve", second, code=1).stderr
    assert "add up to 1.2" in said
    assert "reject the proposal" in said
    assert listed(careful)[0] == ("registry", "waiting")
    careful.run(*ALICE, "approval", "reject", second, "--reason", "a mistake of mine")
    said = careful.run(*BOB, "approval", "approve", second, code=1).stderr
    assert f"proposal {second} was rejected by alice as " in said


def test_an_override_waits_and_is_in_force_after(careful: Saf) -> None:
    number = proposed(careful, *OVERRIDE)
    assert careful.json("override") == []
    before = charges(careful, "account")
    careful.run(*BOB, "approval", "approve", number)
    (entry,) = careful.json("override")
    assert ", approved by bob as " in entry["actor"]
    assert charges(careful, "account") != before
    taken = proposed(careful, "override", JOB, "--withdraw", "--reason", "it was not")
    careful.run(*BOB, "approval", "approve", taken)
    assert charges(careful, "account") == before
    assert sum(CPUS.values()) * DAYS == sum(before.values()) * DAYS


def test_an_override_of_no_job_is_not_proposed(careful: Saf) -> None:
    said = careful.run(*ALICE, "override", "4711", *OVERRIDE[2:], code=1).stderr
    assert "job 4711 is not in the ledger" in said
    assert listed(careful) == []


def test_a_report_is_given_out_when_another_person_approved_it(careful: Saf, tmp_path: Path) -> None:
    publish = ("report", *WINDOW, "-o", str(tmp_path / "r"), "--publish")
    number, reports = proposed(careful, *publish), ("ledger", "verify")
    assert careful.json(*reports)["checks"][-1]["compared"] == 0
    careful.run(*BOB, "approval", "approve", number)
    assert careful.json(*reports)["checks"][-1]["compared"] == 1


def test_a_report_that_would_be_another_now_is_not_given_out(careful: Saf, tmp_path: Path) -> None:
    number = proposed(careful, "report", *WINDOW, "-o", str(tmp_path / "r"), "--publish")
    careful.sections["report"] = {"contact": "somebody else"}
    careful.configure()
    said = careful.run(*BOB, "approval", "approve", number, code=1).stderr
    assert "made now differs from the one proposed" in said
    assert listed(careful) == [("publication", "waiting")]


def test_of_two_who_approve_at_once_one_does(careful: Saf, ledger_url: str) -> None:
    number, config = int(proposed(careful, *OVERRIDE)), configuration.load_file(careful.file)

    def approve(who: str) -> str:
        with open_ledger(ledger_url, "loop") as ledger:
            try:
                approving.approve(config, ledger, number, at=2_000_000_000, actor=f"{who}@h", reason="")
            except LedgerError as error:
                return str(error)
        return "done"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(approve, [f"person{n}" for n in range(8)]))
    assert outcomes.count("done") == 1
    assert all("was approved by person" in one for one in outcomes if one != "done")
    assert len(careful.json("override")) == 1


def test_as_is_refused_where_it_is_not_allowed(books: Saf) -> None:
    said = books.run(*ALICE, "override", code=1).stderr
    assert "does not allow --as" in said
    books.sections["actor"] = {"allow_as": True}
    books.configure()
    for name in ("a b", "x@y", "a\x1b"):
        books.run("--as", name, "override", code=2)
    books.run(*ALICE, "override")


@pytest.mark.skipif(os.geteuid() != 0, reason="SUDO_USER is believed of root and service users only")
def test_who_ran_sudo_is_the_person(books: Saf) -> None:
    """As far as the audit uid of this machine says nothing else."""
    login = Path("/proc/self/loginuid").read_text()
    if int(login) != 2**32 - 1:
        pytest.skip(f"this was started by the login of uid {login}")
    books.env["SUDO_USER"] = "nobody"
    books.run(*OVERRIDE)
    (entry,) = books.json("override")
    assert entry["actor"].startswith("nobody as root@")


def test_a_proposal_is_shown_whole(careful: Saf) -> None:
    number = proposed(careful, *OVERRIDE)
    shown = careful.json("approval", "show", number)
    assert shown["content"] == {"beneficiary": "non_regional", "job": JOB, "organisation": ""}
    assert shown["what"] == f"job {JOB}: non_regional"
    assert "no proposal 99" in careful.run("approval", "show", "99", code=1).stderr


def test_a_proposal_waits_for_all_who_look(careful: Saf) -> None:
    done: subprocess.CompletedProcess[str] = careful.run(*ALICE, *OVERRIDE)
    assert "waits for another person and has no effect yet: saf approval approve" in done.stderr
