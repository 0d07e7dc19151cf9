"""Questions that cannot be answered as they were asked: each gets one sentence, and never a zero."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import ChangeStatus, Decision
from slurm_ai_factory.ledger import open_ledger
from tests.cli.conftest import CPUS, DAYS, RULES, today
from tests.cluster.processes import wait_until
from tests.conftest import by_hand
from tests.saf import Saf
from tests.scratch import program

LATER = "2100Q1"
TERM = ("--since", "2027-01-01", "--share", "0.2", "--source", "s", "--reason", "r")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("share", "--window", LATER), 2, "2100Q1 begins at 2099-12-31T23:00:00Z, which is in the future"),
        (("share", "-S", "2100-01-01", "-E", "2100-02-01"), 2, "which is in the future"),
        (("share", "--as-of", "2100-01-01"), 2, "2099-12-31T23:00:00Z is in the future"),
        (("report", "--as-of", "2100-01-01", "-o", "."), 2, "is in the future"),
        (("unclassified", "--window", LATER), 2, "is in the future"),
        (("share", "--window", "2020Q2", "--as-of", "2020-01-01"), 2, "which is after --as-of 2019-12-31T23"),
        (("share", "--window", "9999Q4"), 2, "give a year after 1870 and before 8970"),
        (("share", "--window", "1600"), 2, "give a year after 1870 and before 8970"),
        (("share", "--resource", "gres/gpux"), 2, "the ledger has no gres/gpux; its TRES are cpu, node"),
        (("ledger", "export", "--resource", "gres/gpux"), 2, "the ledger has no gres/gpux"),
        (("reconcile", "-S", "2026-11-10", "-E", "2026-11-01"), 2, "is not after its start"),
        (("history", "--limit", "0"), 2, "1<=x<="),
        (("override", "10", "--withdraw", "--reason", "x"), 1, "job 10 has no override to withdraw"),
        (("history", "--limit", "99999999999999999999"), 2, "1<=x<="),
        (("history", "--json", "--csv"), 2, "give either --json or --csv"),
        (("share", "--resource", ""), 2, "resource is empty"),
        (("share", "--window", ""), 2, "window is empty"),
        (("-M", "flat", "share"), 1, "--cluster flat: "),
        (("-M", "flat", "share"), 1, "is the configuration of cluster loop"),
        (
            ("reconcile", "-S", "2100-01-01", "-E", "2100-02-01"),
            2,
            "-S: 2099-12-31T23:00:00Z is in the future",
        ),
        (
            ("reconcile", "-S", "1970-01-01", "-E", "2026-11-01"),
            2,
            "is too early: Slurm takes no instant before",
        ),
        (
            ("backfill", "-S", "1970-01-01"),
            2,
            "-S: 1969-12-31T23:00:00Z is too early: Slurm takes no instant",
        ),
        (("backfill", "-S", "1871-01-01"), 2, "before 1970-01-12T13:46:40Z"),
        (("backfill", "-S", "1500-01-01"), 2, "is too far away: give an instant after 1870"),
        (("backfill", "-S", "2100-01-01"), 2, "-S: 2099-12-31T23:00:00Z is in the future"),
        (
            ("backfill", "-S", "now+1hour", "-E", "now+2hours"),
            2,
            "is in the future; give an instant that has",
        ),
        (("backfill", "-S", "2026-11-10", "-E", "2026-11-01"), 2, "is not after its start"),
        (("backfill", "-S", "2026-11-10", "-E", "2026-11-10"), 2, "is not after its start"),
        (("ledger", "backup", ""), 1, ". is a directory; name a file"),
        (("report", "-o", ".", "--note", "/dev/zero"), 2, "/dev/zero is too long; write at most 600"),
        (("meter", "import", "/dev/zero"), 2, "/dev/zero has more than 256 MiB; import it in parts"),
        (("person", "show", "nobody", "--reason", "x"), 0, "the ledger has the name nobody nowhere"),
    ],
)
def test_what_cannot_be_answered_is_said_in_one_sentence(
    books: Saf, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = books.run(*arguments, code=code)
    assert said in done.stderr
    assert done.stdout == ""


def test_a_window_that_was_not_read_is_not_called_classified(books: Saf) -> None:
    assert (
        "every charge of the window is classified" not in books.run("unclassified", "--window", "2020").stderr
    )
    assert "8 784.0 hours of 2020 were never read" in books.run("unclassified", "--window", "2020").stderr
    assert books.json("share", "--window", "2020")["verdict"] == "open"


def test_what_is_typed_goes_before_the_environment_wherever_it_stands(books: Saf, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(books.file.read_text())
    for typed in (("--config", str(other), "config", "check"), ("config", "check", "--config", str(other))):
        assert books.run(*typed).stderr.startswith(f"{other}: valid")
    books.env["SAF_CLUSTER"] = "loop"
    for before in (("-M", "lop", "history"), ("history", "-M", "lop")):
        assert "--cluster lop" in books.run(*before, code=1).stderr


@pytest.mark.parametrize(
    "url", ["postgressql://u:secret@h/db", "postgresql://u:sec%ret@h/db", "mysql://x:secret@y/z"]
)
def test_a_url_that_cannot_be_read_is_told_without_its_password(books: Saf, url: str) -> None:
    books.configure("ledger", url=url)
    for command in (("share",), ("config", "check")):
        said = books.run(*command, code=1).stderr
        assert "ledger.url cannot be read; write postgresql://" in said
        assert "sec" not in said.replace("seconds", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("override", "--withdraw", "--reason", "x"), "give the JOBID"),
        (("override", "--beneficiary", "regional"), "give the JOBID"),
        (("ledger", "fingerprint", "--as-of", "now", "--rows", "runs", "--json"), "without --json"),
        (("explain", "7\x1b[31m"), "job has the character 0x001b, which cannot be printed"),
        (("explain", "\udcff"), "job has the character 0xdcff"),
        (("-M", "", "share"), "--cluster is empty; give it a value, or leave it out"),
        (("share", "--config", ""), "--config is empty"),
        (("pause", "--as", ""), "--as is empty"),
        (("promise", "set", "x", "--who", "comment=a\x1b[2J", *TERM), "who has the character 0x001b"),
        (("ledger", "export", "--component", ""), "components is empty"),
    ],
)
def test_what_is_typed_is_refused_before_anything_is_done(
    books: Saf, arguments: tuple[str, ...], said: str
) -> None:
    assert said in books.run(*arguments, code=2).stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("history",), "there are no changes; --decisions lists what was decided"),
        (("history", "--decisions"), "there are no decisions yet"),
        (
            ("meter", "list", "--window", "2020"),
            "no reading of 2020 is recorded; see `saf meter import --help`",
        ),
        (("meter", "retired"), "no meter is out of use"),
        (("expertise", "list", "--window", "2020"), "no hours of 2020 are recorded; see `saf expertise add"),
        (("grid", "list"), "no allowed power is recorded; see `saf grid import --help`"),
        (("grid", "history"), "nothing was done or advised about the reservation"),
    ],
)
def test_an_empty_list_is_a_sentence_for_people_and_a_header_for_programs(
    books: Saf, command: tuple[str, ...], said: str
) -> None:
    for_people = books.run(*command)
    assert for_people.stdout == ""
    assert for_people.stderr.startswith(said)
    assert books.run(*command, "--quiet").stderr == ""
    assert books.run(*command, "--csv").stdout.count("\n") == 1
    assert books.json(*command) == []


@pytest.mark.parametrize("like", ["sreport", "apel", "waldur"])
def test_what_others_count_of_the_same_runs_needs_no_slurm(books: Saf, like: str) -> None:
    """Every run lies in the interval, completed, with what it asked for: all of them agree."""
    told = books.json("reconcile", "--like", like, "-S", windows.iso(today() - 9 * 86400), "-E", "now")
    cpus = {row["account"]: row["theirs"] for row in told["rows"] if row["tres"] == "cpu"}
    assert cpus == {account: held * DAYS * 3600 for account, held in CPUS.items()}
    assert [row for row in told["rows"] if row["difference"] or row["causes"]] == []
    assert {row["tres"] for row in told["rows"]} == ({"cpu"} if like == "apel" else {"cpu", "node"})
    done = books.run("reconcile", "--like", like, "-S", windows.iso(today() - 9 * 86400), "-E", "now")
    assert done.stdout == ""
    assert done.stderr.endswith(": 4 accounts, nothing differs\n")


def test_each_usage_error_has_a_line_of_usage(books: Saf) -> None:
    for command, *options in (
        ("share", "--json", "--csv"),
        ("share", "--csv", "-M", "all"),
        ("share", "--window", "x", "-M", "all"),
        ("share", "--window", "x"),
        ("statement", "--organisation", ""),
        ("history", "--limit", "0"),
    ):
        stderr = books.run(command, *options, code=2).stderr
        assert re.search(rf"^Usage: .* {command} \[OPTIONS\]$", stderr, re.MULTILINE), stderr


def test_a_slurm_that_does_not_answer_delays_an_explanation_by_seconds(books: Saf, tmp_path: Path) -> None:
    program(tmp_path / "sacctmgr", "exec sleep 600")
    books.configure("slurm", directory=str(tmp_path), timeout="5m")
    (limits,) = books.json("explain", "--account", "genomes")["limits"]
    assert limits.startswith("not known: sacctmgr gave no complete answer within 10 s")


@pytest.fixture
def behind(books: Saf, ledger_url: str) -> Saf:
    """Nothing was read of the last day."""
    with by_hand(ledger_url) as connection:
        connection.execute("UPDATE reads SET until = until - 86400")
    return books


def test_a_rolling_window_ends_where_reading_did(behind: Saf) -> None:
    told = behind.json("share")
    assert told["until"] == told["as_of"] == windows.iso(today() - 86400)
    assert told["verdict"] == "missed_demand"


def test_a_window_that_is_over_and_was_not_read_to_its_end_has_no_verdict(behind: Saf) -> None:
    over = ("-S", windows.iso(today() - 2 * 86400), "-E", windows.iso(today()))
    told = behind.json("share", *over)
    assert (told["verdict"], told["verdict_reason"], told["unread_seconds"]) == ("open", "unread", 86400)
    exported = behind.run("ledger", "export", *over)
    assert f"24.0 hours of {told['window']} were never read: saf backfill -S" in exported.stderr


def test_names_are_printed_in_any_encoding(books: Saf) -> None:
    books.run("pause", "--until", "now+1hour", "--reason", "\u0141\u00f3d\u017a")
    books.env["PYTHONIOENCODING"] = "latin-1"
    done = subprocess.run(books.argv("pause"), env=books.env, capture_output=True, check=True, timeout=60)
    assert rb"\u0141" in done.stdout


def test_an_output_that_takes_nothing_is_told(books: Saf) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            books.argv("share"), env=books.env, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "saf: cannot write the output: No space left on device\n")


def test_a_configuration_names_files_that_are_checked_with_it(books: Saf, tmp_path: Path) -> None:
    web = tmp_path / "web.yml"
    books.configure("daemon", RULES, web_config_file=str(web))
    assert "web.yml: No such file" in books.run("config", "check", code=1).stderr
    web.write_text("basic_auth_user: {}\n")
    assert "basic_auth_user" in books.run("config", "check", code=1).stderr
    web.write_text("tls_server_config: {cert_file: saf.pem, key_file: saf.key}\n")
    assert "certificate cannot be used" in books.run("config", "check", code=1).stderr
    web.write_text("basic_auth_users: {}\n")
    assert ": valid, " in books.run("config", "check").stderr


def test_a_reader_that_leaves_is_no_failure(books: Saf) -> None:
    env = {**books.env, "PYTHONPATH": str(Path(__file__).parents[2])}
    saf = subprocess.Popen(
        books.argv("config", "show"), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert saf.stdout
    saf.stdout.close()
    _, said = saf.communicate(timeout=60)
    assert (saf.returncode, said) == (0, b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_that_waits_for_the_ledger(books: Saf, number: signal.Signals) -> None:
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    url = str(books.sections["ledger"]["url"])
    argv = ("env", "--default-signal", *books.argv("ledger", "verify"))  # nohup has it ignored
    with by_hand(url) as other, by_hand(url) as watching:
        other.execute("BEGIN; LOCK TABLE runs")
        with subprocess.Popen(argv, env=books.env, cwd=books.directory, stderr=subprocess.PIPE) as saf:
            try:
                wait_until(lambda: watching.execute(waiting).fetchone() is not None, "it to wait", 120)
                saf.send_signal(number)
                _, said = saf.communicate(timeout=120)
            finally:
                saf.kill()
    assert (saf.returncode, said.strip()) == (-number, b"")


def test_commands_that_ask_make_no_cluster_known(books: Saf, ledger_url: str) -> None:
    books.configure("cluster", name="lop")
    said = books.run("share", code=1).stderr
    assert "the ledger has nothing of cluster lop, only of loop; correct cluster.name, or add" in said
    assert said.endswith("by its first cycle: saf -M lop cycle\n")
    with open_ledger(ledger_url, "loop") as ledger:
        assert [name for name, _ in ledger.store.all("clusters")] == ["loop"]


def test_observing_has_a_history_of_decisions(books: Saf, ledger_url: str) -> None:
    with open_ledger(ledger_url, "loop") as ledger:
        for at, reason in ((1, "at_set_point"), (2, "no_usage")):
            decision = Decision(at=at, reason=reason, sentence=f"because {reason}", inputs={}, changes=())
            ledger.control.record(decision, "observe", "saf", ChangeStatus.OBSERVED)
    assert books.json("history") == []
    assert [one["reason"] for one in books.json("history", "--decisions")] == ["no_usage", "at_set_point"]
    assert "because at_set_point" in books.run("history", "--decisions").stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start somebody else's server")
def test_root_opens_no_directory_to_reach_the_ledger_of_another_user(books: Saf, tmp_path: Path) -> None:
    directory = tmp_path / "state" / "postgresql"
    directory.mkdir(parents=True)
    os.chown(directory, 1, 1)
    del books.sections["ledger"]["url"]
    books.configure("ledger", state_directory=str(tmp_path / "state"))
    tmp_path.chmod(0o700)
    said = books.run("share", code=1).stderr
    assert "root does not run PostgreSQL, and user daemon may not enter" in said
    assert (directory.stat().st_uid, tmp_path.stat().st_mode & 0o777) == (1, 0o700)


LONG = "x" * 501


@pytest.mark.parametrize(
    "arguments",
    [
        ("pause", "--until", "2099-01-01", "--reason", LONG),
        ("override", "10", "--withdraw", "--reason", LONG),
        ("promise", "set", *TERM[:4], "--source", LONG, "--reason", "r"),
        ("promise", "set", *TERM, "--label", LONG),
        ("organisation", "end", LONG, "--on", "2026-01-01", "--reason", "r"),
        (
            "expertise",
            "add",
            "--date",
            "2026-01-01",
            "--organisation",
            "umcg",
            "--role",
            "r",
            "--hours",
            "1",
            "--activity",
            LONG,
        ),
        ("person", "hold", LONG, "--until", "2099-01-01", "--reason", "r"),
        ("ledger", "withdraw", "--since", "2026-01-01", "--reason", LONG),
        ("doctor", "--withdraw", "purge", "--reason", LONG),
    ],
)
def test_a_text_that_no_list_could_show_is_refused(books: Saf, arguments: tuple[str, ...]) -> None:
    said = books.run(*arguments, code=2).stderr
    assert "has 501 characters; give at most 500" in said
    assert LONG not in said


def test_a_long_text_of_an_earlier_version_stays_readable(books: Saf) -> None:
    reason = "an earlier version took this " * 400
    with by_hand(str(books.sections["ledger"]["url"])) as connection:
        connection.execute(
            "INSERT INTO pauses (cluster_id, recorded_at, until, actor, reason) "
            "SELECT cluster_id, 1767571200, 1767574800, 'anna', %s FROM clusters", (reason,)
        )  # fmt: skip
    assert [row["reason"] for row in books.json("pause")] == [reason]
    shown = books.json("pause", "--until", "2099-01-01", "--reason", "x" * 500)
    assert shown["reason"] == "x" * 500
