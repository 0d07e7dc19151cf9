"""A ledger whose every name was made to harm whoever looks at it, and every command that prints one.

Rule: what reaches a terminal, a spreadsheet, a page or a scrape has no control character but the end of
a line, and nothing that turns text around or is not seen; JSON has the exact text.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import click
import pytest

from slurm_ai_factory import config as configuration
from slurm_ai_factory.cli import cli, screen
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import records
from slurm_ai_factory.core.energy.allowed import AllowedPower, PowerKind
from slurm_ai_factory.core.energy.keeping import ActKind, ActOutcome, ReservationAct
from slurm_ai_factory.core.energy.meters import Kind, Placement, Reading
from slurm_ai_factory.core.measure.share import Group
from slurm_ai_factory.core.programme.approval import ProposalKind
from slurm_ai_factory.core.programme.expertise import NewEntry
from slurm_ai_factory.core.programme.hubs import HubTerm
from slurm_ai_factory.core.programme.joint import JointWeight
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.core.rules.organisations import Link, Organisation, RegistryEntry
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.ledger import Ledger, open_ledger
from slurm_ai_factory.monitor import page
from slurm_ai_factory.monitor.board import Steered
from slurm_ai_factory.monitor.metrics import Exposition
from tests.cli.conftest import today
from tests.conftest import new_ledger
from tests.core.programme.test_joint import TERM as JOINT
from tests.monitor import examples
from tests.monitor.test_terminal import on_a_terminal
from tests.saf import Saf

EVIL = "=1+1\n\t\r\x07\x1b]0;title\x07\x1b[8m\x7f\x9b2J\u202egro\u2066\u200b\u2028end"
OTHER = f"@{EVIL}"
STEERING = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
YESTERDAY = datetime.fromtimestamp(today() - 24 * records.HOUR, UTC).date()
WINDOW = ("--window", "rolling:7d")
TOML = json.dumps(EVIL).replace("\x7f", "\\u007f")
RULES = f"""
[[rule]]
name = {TOML}
beneficiary = "regional"
account = {TOML}

[[rule]]
name = "others"
beneficiary = "registry"
"""


@pytest.fixture(scope="module")
def hostile(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saf]:
    with new_ledger(postgresql) as url:
        saf = Saf(tmp_path_factory.mktemp("hostile"), {"PATH": os.environ["PATH"]}, url)
        saf.configure("promise", RULES, window="rolling:7d")
        with open_ledger(url, "loop") as ledger:
            _fill(ledger, configuration.load_file(saf.file), today())
        yield saf


def _fill(ledger: Ledger, config: Config, at: int) -> None:
    since = at - 9 * 24 * records.HOUR
    names = {"root": None, "regional": "root", EVIL: "root", OTHER: "root"}
    tree = [
        records.Association(cluster="loop", account=one, parent=up, raw_shares=1) for one, up in names.items()
    ]
    ledger.intake.record_accounts(tree, since)
    ledger.intake.record_events([records.Size(since, None, "cpu=40,node=1")], [], 1)
    runs = [_run(number, account, at) for number, account in enumerate((EVIL, OTHER, "root"), 1)]
    ledger.intake.record(runs, since, at, at=at)
    _say(ledger, config, at)
    change = records.Change(cluster="loop", account=EVIL, raw_shares_before=1, raw_shares_after=2)
    decision = records.Decision(
        at=at, reason="raise", sentence=EVIL, inputs={"account": EVIL}, changes=(change,)
    )
    for planned in ledger.control.record(decision, "enforce", EVIL, records.ChangeStatus.PLANNED):
        ledger.control.settle(planned, at=at, raw_shares=1, note=EVIL)


def _run(number: int, account: str, at: int) -> records.Run:
    """An hour of four CPUs, yesterday."""
    start = at - 24 * records.HOUR
    subject = records.Subject("loop", account, EVIL, EVIL, EVIL, EVIL, EVIL, EVIL)
    dates = start, start, start, start + records.HOUR
    return records.Run(number, number, str(number), subject, EVIL, *dates, records.HOUR, 0, "cpu=4",
               "cpu=4")  # fmt: skip


def _say(ledger: Ledger, config: Config, at: int) -> None:
    """What people have said, past the checks of the command line."""
    said = {"actor": EVIL, "reason": EVIL}
    ledger.promise_terms.begin(replace(config.first_term(at, EVIL), source=EVIL, reason=EVIL, label=EVIL))
    plant = Organisation(organisation="plant", name=EVIL, kvk="17000000", category="business", sector="C",
                         municipality="GM0014", since=0)  # fmt: skip
    entries: list[RegistryEntry] = [plant, Link(organisation="plant", account=OTHER, since=0)]
    codes = config.codes(ledger.accounting.parents())
    assert not ledger.registry.record(entries, codes, {"at": at, **said}).problems
    ledger.intake.override("3", {"beneficiary": "regional", "organisation": "", **said}, at=at)
    ledger.control.say_pause(records.Pause(at, at + 10**9, EVIL, EVIL))
    hours = NewEntry(day=YESTERDAY, organisation="plant", role=EVIL, hours=Decimal(1), activity=EVIL)
    ledger.expertise.add([hours], at=at, actor=EVIL)
    power = AllowedPower(since=0, until=900, max_kw=Decimal(9), kind=PowerKind.OWN, reference=EVIL, told_at=0)
    ledger.allowed.append([power], at=at, actor=EVIL)
    act = ReservationAct(ActKind.CREATE, EVIL, 900, 1800, (EVIL,))
    ledger.reserving.record(act, ActOutcome.PLANNED, at=at, actor=EVIL, sentence=EVIL, inputs={})
    ledger.allowed.correct(1, Decimal(8), EVIL, at=at, actor=EVIL)
    yesterday = at - 24 * records.HOUR
    meter = Reading(EVIL, Kind.E_NODE, yesterday, yesterday + records.HOUR, Decimal(1), "kWh", EVIL)
    ledger.meters.append([(EVIL, meter)], at=at, actor=EVIL)
    ledger.meters.correct(1, Decimal(2), EVIL, at=at, actor=EVIL)
    ledger.meters.end(Kind.E_NODE, EVIL, at, EVIL, at=at, actor=EVIL)
    ledger.meters.place([Placement(1, EVIL, (EVIL,), yesterday, at)], source=EVIL, at=at, actor=EVIL)
    ledger.hubs.record(HubTerm(EVIL, EVIL, at - records.DAY * 3, False, EVIL, "cpu"), {"at": at, **said})
    joint = replace(JOINT, label=EVIL, source=EVIL, recorded_at=at, actor=EVIL, reason=EVIL)
    assert ledger.joint.record(joint) == ()
    cpu = Resource({"cpu": 1})
    counted = JointWeight("together", "loop", records.HOUR, cpu, EVIL, **said, recorded_at=at)
    assert ledger.joint.weigh(counted) == ()
    wanted = {"job": EVIL, "beneficiary": "regional", "organisation": EVIL}
    ledger.proposals.propose(ProposalKind.OVERRIDE, wanted, {"at": at, **said})
    ledger.proposals.reject(1, at=at, actor=EVIL, reason=EVIL)


COMMANDS: dict[tuple[str, ...], int] = {
    ("share", *WINDOW, "--by", "account"): 0,
    ("share", *WINDOW, "--by", "organisation"): 0,
    ("share", *WINDOW, "--by", "partition"): 0,
    ("unclassified", *WINDOW): 0,
    ("explain", "1"): 0,
    ("explain", "2"): 0,
    ("rules", "check", "--offline"): 1,  # the steered account is no region of these rules
    ("rules", "test", "tried.toml", "--offline"): 0,
    ("override",): 0,
    ("organisation", "list"): 0,
    ("approval", "list", "--all"): 0,
    ("approval", "show", "1"): 0,
    ("organisation", "show", "plant"): 0,
    ("organisation", "export"): 0,
    ("organisation", "export", "--links"): 0,
    ("history",): 0,
    ("grid", "list"): 0,
    ("grid", "history"): 0,
    ("grid", "status", *WINDOW): 0,
    ("joint", "list"): 0,
    ("joint", "share", "together", *WINDOW): 0,
    ("hub", "list"): 0,
    ("hub", "status"): 5,
    ("hub", "share", *WINDOW): 0,
    ("hub", "report", "-o", "reports", *WINDOW): 0,
    ("pause",): 0,
    ("status",): 4,
    ("config", "show"): 0,
    ("ledger", "status"): 0,
    ("promise", "list"): 0,
    ("promise", "show"): 0,
    ("ledger", "export", *WINDOW, "--users"): 0,
    ("ledger", "archive", "--verify", "nowhere"): 0,
    ("ledger", "expire"): 0,
    ("ledger", "verify"): 0,
    ("statement", "--organisation", "plant", *WINDOW): 1,
    ("expertise", "list", *WINDOW): 0,
    ("config", "check"): 0,
    ("ledger", "fingerprint", "--as-of", "now", *WINDOW): 0,
    ("report", "-o", "reports", *WINDOW): 0,
    ("meter", "retired"): 0,
    ("meter", "list", *WINDOW): 0,
    ("energy", *WINDOW, "--by", "account"): 0,
    ("person", "show", "title", "--reason", "request"): 0,
    ("person", "export", "title", "--reason", "request"): 0,
    ("person", "hold"): 0,
}


ELSEWHERE = {
    "init", "run", "cycle", "plan", "doctor", "reconcile", "backfill", "restore-baseline", "release",
    "bundle",
    "grid plan",
    # those ask Slurm
    "demo", "simulate",  # of a model
    "ledger head",  # a hash
    "organisation add", "organisation link", "organisation end", "organisation import", "expertise add",
    "expertise correct", "expertise import", "grid correct", "grid import", "resume",
    "approval approve", "approval reject",
    "joint set", "joint end", "joint weigh", "hub add", "hub end", "hub intake", "hub state",
    "ledger migrate", "ledger pseudonymise", "ledger backup", "ledger restore",
    "meter correct", "meter end", "meter import", "meter place",
    "ledger move", "ledger withdraw", "person forget", "promise set", "promise end",  # write
    "ledger roles",  # prints what is the same everywhere
}  # fmt: skip
"""Commands whose answer has no text of the ledger, or that need more than one."""


def _names(group: click.Group, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        yield from _names(command, f"{name} ") if isinstance(command, click.Group) else (before + name,)


def test_every_command_is_looked_at_or_said_not_to_be() -> None:
    looked_at = {
        name for name in _names(cli.with_all()) for command in COMMANDS if " ".join(command).startswith(name)
    }
    assert set(_names(cli.with_all())) == looked_at | ELSEWHERE
    assert not looked_at & ELSEWHERE


TABLES = tuple(one for one in COMMANDS if {"share", "unclassified", "export", "history", "list"} & set(one))


@pytest.mark.parametrize(
    "command", [*COMMANDS, *((*one, form) for one in TABLES for form in ("--csv", "--json"))], ids=" ".join
)
def test_no_output_steers_a_terminal(hostile: Saf, command: tuple[str, ...]) -> None:
    (hostile.directory / "tried.toml").write_text(RULES.replace('"regional"', '"non_regional"'))
    plain = tuple(one for one in command if one not in ("--csv", "--json"))
    done = hostile.run(*command, code=COMMANDS[plain])
    assert not STEERING.search(done.stdout + done.stderr)


NO_ANSWER = {("statement", "--organisation", "plant", *WINDOW)}
"""Without prices there is no statement; tests/cli/test_statement.py has one."""


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - NO_ANSWER), ids=" ".join)
def test_every_answer_in_json_has_the_shape_that_is_published(hostile: Saf, command: tuple[str, ...]) -> None:
    (hostile.directory / "tried.toml").write_text(RULES.replace('"regional"', '"non_regional"'))
    hostile.json(*command, code=COMMANDS[command])


def test_a_name_ends_no_line_and_json_has_it_as_it_is(hostile: Saf) -> None:
    (shown,) = [line for line in hostile.run("explain", "1").stdout.splitlines() if line.startswith("wckey")]
    assert shown.endswith(
        r"=1+1\x0a\x09\x0d\x07\x1b]0;title\x07\x1b[8m\x7f\x9b2J\u202egro\u2066\u200b\u2028end"
    )
    assert hostile.json("explain", "1")["runs"][0]["wckey"] == EVIL


NAMING = [one for one in TABLES if {"account", "partition", "history", "export", "expertise"} & set(one)]


@pytest.mark.parametrize(
    "command", [one for one in NAMING if not {"--links", "person"} & set(one)], ids=" ".join
)
def test_no_cell_of_csv_is_a_formula(hostile: Saf, command: tuple[str, ...]) -> None:
    rows = csv.reader(io.StringIO(hostile.run(*command, "--csv").stdout, newline=""))
    cells = [cell for row in rows for cell in row]
    assert any(cell.startswith("'=1+1") for cell in cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]


def test_a_terminal_gets_colours_of_ours_alone(hostile: Saf) -> None:
    shown, _ = on_a_terminal(hostile, "status")
    assert "\x1b[1m" in shown
    assert not STEERING.search(re.sub("\x1b\\[(0|1|2|3\\d)m|\r\n", "", shown))


def test_an_error_that_holds_a_name_is_one_line(hostile: Saf) -> None:
    (hostile.directory / "bad.toml").write_text(f"[cluster]\nname = 'loop'\n[promise]\n{TOML} = 1")
    done = hostile.run("--config", "bad.toml", "config", "check", code=1)
    assert not STEERING.search(done.stderr)
    assert len(done.stderr.splitlines()) == 1


def test_the_report_shows_what_it_was_given(hostile: Saf, tmp_path: Path) -> None:
    hostile.sections["report"] = {"facility": "F\u202e\x1b", "contact": "=1+1"}
    hostile.configure("report", RULES, name_organisations=True)
    hostile.run("report", *WINDOW, "-o", str(tmp_path))
    files = [one.read_text() for one in tmp_path.iterdir()]
    assert len(files) == 4
    assert not [text for text in files if STEERING.search(text)]
    assert "'=1+1" in (tmp_path / "loop-rolling-7d.csv").read_text()


def test_no_page_and_no_scrape_holds_a_hidden_character() -> None:
    groups = {"category": (Group((EVIL,), Beneficiary.REGIONAL, 1),)}
    board = examples.complete(groups=groups, steered=(Steered(EVIL, 37, 37, 25),))
    _, scrape = Exposition(board).text("")
    for text in (page.status_html(board, examples.NOW), scrape.decode()):
        assert "title" in text
        assert not STEERING.search(text)


def test_a_message_of_the_log_is_one_line_whoever_formats_it() -> None:
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(screen.OneLineRecord)
    try:
        record = logging.getLogger("saf").makeRecord("saf", logging.INFO, "f", 1, "account %s", (EVIL,), None)
    finally:
        logging.setLogRecordFactory(before)
    assert not STEERING.search(logging.Formatter("%(message)s").format(record))
    assert "\n" not in logging.Formatter("%(message)s").format(record)
