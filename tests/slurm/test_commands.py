"""Running commands: an answer is whole or it raises, and nothing is left running.

Small shell scripts stand at the place of Slurm's commands: what is tested is how any process is run. Whether
one still lives is told by a pipe that it and its children hold open, so nothing here waits for a while.
"""

from __future__ import annotations

import errno
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from slurm_ai_factory.errors import SlurmError, SlurmRefusedError, shortage
from slurm_ai_factory.slurm.commands import LINE_MOST, Commands
from tests.scratch import program

Command = Callable[[str], Commands]
PATIENCE = 120
"""Seconds after which a process that should be dead is taken for alive."""


@pytest.fixture
def sacct(tmp_path: Path) -> Command:
    """Makes an executable sacct with this body, and the commands of its directory."""

    def make(body: str) -> Commands:
        program(tmp_path / "sacct", body)
        return Commands(directory=tmp_path, timeout_seconds=PATIENCE)

    return make


class Pulse:
    """The reading end of a named pipe; processes hold the other end open as long as they live."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def until_all_are_dead(self) -> str:
        """What the processes wrote until the last of them was gone."""
        said = b""
        while True:
            ready, _, _ = select.select([self.reader], [], [], PATIENCE)
            assert ready, "a process is still alive"
            piece = os.read(self.reader, 100)
            if not piece:
                return said.decode()
            said += piece


@pytest.fixture
def pulse(tmp_path: Path) -> Iterator[Pulse]:
    one = Pulse(tmp_path / "pulse")
    yield one
    os.close(one.reader)


# --- answers ------------------------------------------------------------------------------------------


def test_a_whole_answer_is_returned_as_it_was_printed(sacct: Command) -> None:
    commands = sacct("printf 'one\\ntwo|2\\n\\nthree\\n'")
    assert commands.output("sacct") == "one\ntwo|2\n\nthree\n"
    assert list(commands.lines("sacct")) == ["one\n", "two|2\n", "\n", "three\n"]


def test_no_output_and_no_error_is_an_empty_answer(sacct: Command) -> None:
    assert sacct("exit 0").output("sacct") == ""


def test_arguments_reach_the_command_as_they_are(sacct: Command) -> None:
    arguments = ["-o", "a b", "$HOME", "*", "x;y", "--delimiter=\x1f", "'\"", ""]
    printed = sacct('printf "%s\\n" "$@"').output("sacct", *arguments)
    assert printed.split("\n")[:-1] == arguments


def test_a_warning_beside_a_whole_answer_is_no_error(sacct: Command) -> None:
    commands = sacct("echo 'sacct: warning: slow' >&2; echo 'srun: error: not ours' >&2; echo done")
    assert commands.output("sacct") == "done\n"


def test_an_answer_that_is_larger_than_any_pipe_arrives_whole(sacct: Command) -> None:
    commands = sacct("i=0; while [ $i -lt 20000 ]; do echo line $i of many; i=$((i+1)); done")
    lines = list(commands.lines("sacct"))
    assert (len(lines), lines[-1]) == (20000, "line 19999 of many\n")


def test_many_errors_on_stderr_do_not_block_the_answer(sacct: Command) -> None:
    commands = sacct("i=0; while [ $i -lt 5000 ]; do echo noise $i of many >&2; i=$((i+1)); done; echo done")
    assert commands.output("sacct") == "done\n"


def test_bytes_that_are_no_text_do_not_stop_the_answer(sacct: Command) -> None:
    assert sacct("printf 'a\\377b\\376\\n'; printf 'c\\376' >&2").output("sacct") == "a\\xffb\\xfe\n"


def test_only_a_line_feed_ends_a_line_and_no_byte_is_lost(sacct: Command) -> None:
    commands = sacct("printf 'a\\r\\nb\\rc\\000d\\302\\205e\\342\\200\\250f\\n'")
    assert list(commands.lines("sacct")) == ["a\r\n", "b\rc\\x00d\x85e\u2028f\n"]


def test_a_line_without_an_end_is_no_line_and_takes_no_memory(sacct: Command) -> None:
    endless = "head -c 100000000 /dev/zero | tr '\\0' x; echo"
    with pytest.raises(SlurmError, match="sacct printed a line of over 1048576 characters"):
        list(sacct(endless).lines("sacct"))
    pieces = [len(one) for one in sacct(endless).pieces("sacct")]
    assert max(pieces) == LINE_MOST
    assert sum(pieces) == 100_000_001


def test_a_variable_may_be_added_to_the_environment(sacct: Command) -> None:
    commands = sacct("echo $SQUEUE_FORMAT2")
    assert list(commands.pieces("sacct", env={"SQUEUE_FORMAT2": "JobID"})) == ["JobID\n"]


# --- failures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo 'sacct: fatal: no slurm.conf' >&2; exit 1", r"sacct failed \(exit 1\): .*no slurm\.conf"),
        ("echo part; exit 3", r"sacct failed \(exit 3\): it printed no error"),
        ("echo part; echo 'sacct: error: slurmdbd is down' >&2", r"failed \(exit 0\): .*slurmdbd is down"),
        ("echo part; echo 'sacct: fatal: gone' >&2", r"failed \(exit 0\): sacct: fatal: gone"),
        ("echo whole; printf part", r"ends in the middle of a line"),
        ("printf part", r"ends in the middle of a line"),
        ("echo part; kill -9 $$", r"failed \(exit -9\)"),
        ("printf 'first\\n\\nlast reason\\n\\n' >&2; exit 1", r"last reason"),
    ],
)
def test_an_answer_that_is_not_whole_raises_and_says_why(sacct: Command, body: str, message: str) -> None:
    with pytest.raises(SlurmError, match=message) as caught:
        sacct(body).output("sacct")
    assert not isinstance(caught.value, SlurmRefusedError)


def test_the_lines_come_before_the_error_that_says_they_are_not_all(sacct: Command) -> None:
    lines = sacct("echo one; echo two; exit 1").lines("sacct")
    assert (next(lines), next(lines)) == ("one\n", "two\n")
    with pytest.raises(SlurmError):
        next(lines)


@pytest.mark.parametrize(
    "said",
    [
        "sacctmgr: error: Access/permission denied",
        "sacctmgr: error: Permission denied",
        "Your user doesn't have privilege to perform this action",
        "slurm_load_partitions: Access/permission denied",
    ],
)
def test_a_refusal_is_told_from_other_failures(sacct: Command, said: str) -> None:
    with pytest.raises(SlurmRefusedError, match="failed"):
        sacct(f'echo "{said}" >&2; exit 1').output("sacct")
    with pytest.raises(SlurmRefusedError, match="failed"):
        sacct(f'echo "{said}" >&2').output("sacct")


def test_a_command_that_is_not_there_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SlurmError, match=r"sacct cannot be run \(No such file.*\); set slurm\.directory"):
        Commands(directory=tmp_path / "nowhere").output("sacct")


def test_a_command_that_may_not_be_run_names_the_setting(sacct: Command, tmp_path: Path) -> None:
    commands = sacct("echo hello")
    (tmp_path / "sacct").chmod(0o644)
    with pytest.raises(
        SlurmError, match=r"cannot be run \(Permission denied\); set slurm\.directory"
    ) as caught:
        commands.output("sacct")
    assert not isinstance(caught.value, SlurmRefusedError)


def test_commands_are_found_on_the_path_when_no_directory_is_set(
    sacct: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sacct("echo found")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert Commands().output("sacct") == "found\n"
    assert Commands().path("sacct") == "sacct"
    assert Commands(directory=tmp_path).path("sacct") == str(tmp_path / "sacct")


def test_an_error_is_heard_where_no_temporary_file_can_be_made(
    sacct: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(SlurmError, match="slurmdbd is down"):
        sacct("echo 'sacct: error: slurmdbd is down' >&2").output("sacct")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM])
def test_a_lack_of_this_machine_is_not_taken_for_a_missing_command(
    sacct: Command, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(subprocess, "Popen", refused)
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        sacct("echo").output("sacct")
    assert shortage(caught.value)


# --- deadline -----------------------------------------------------------------------------------------


def _late(commands: Commands) -> Commands:
    return Commands(directory=commands.directory, timeout_seconds=4)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("sleep 600", id="hangs"),
        pytest.param("echo part; sleep 600; echo rest", id="hangs in the middle of its answer"),
        pytest.param("sleep 600 & wait", id="waits for a child"),
        pytest.param("trap '' TERM INT HUP; sleep 600", id="ignores signals"),
        pytest.param("sleep 600 & echo whole", id="ends and leaves a child that holds its output open"),
    ],
)
def test_a_command_that_misses_its_deadline_is_killed_with_its_children(
    sacct: Command, pulse: Pulse, body: str
) -> None:
    commands = _late(sacct(f"exec 3>{pulse.path}; echo lived >&3; {body}"))
    with pytest.raises(SlurmError, match=r"sacct gave no complete answer within 4 s.*sacct -S now"):
        commands.output("sacct", "-S", "now")
    assert pulse.until_all_are_dead() == "lived\n"


def test_an_answer_that_came_in_time_is_not_late_while_it_is_looked_at(sacct: Command) -> None:
    commands = sacct("echo one")
    assert [line for _ in range(3) for line in commands.lines("sacct")] == ["one\n"] * 3


# --- nothing is left ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", ["echo one; sleep 600", "echo one; sleep 600 & wait", "sleep 600 & echo one"]
)
def test_a_reader_that_stops_early_leaves_no_process(sacct: Command, pulse: Pulse, body: str) -> None:
    lines = sacct(f"exec 3>{pulse.path}; echo lived >&3; {body}").lines("sacct")
    assert next(lines) == "one\n"
    lines.close()  # type: ignore[attr-defined]
    assert pulse.until_all_are_dead() == "lived\n"


def test_a_reader_that_fails_leaves_no_process(sacct: Command, pulse: Pulse) -> None:
    commands = sacct(f"exec 3>{pulse.path}; echo lived >&3; echo one; sleep 600")
    with pytest.raises(ZeroDivisionError):
        print([1 // 0 for _ in commands.lines("sacct")])
    assert pulse.until_all_are_dead() == "lived\n"


# --- environment --------------------------------------------------------------------------------------


def _environment(commands: Commands) -> dict[str, str]:
    pairs = (line.rstrip("\n").partition("=") for line in commands.lines("sacct"))
    return {name: value for name, equals, value in pairs if equals}


def test_a_command_prints_epoch_seconds_in_utc_whatever_the_operator_has_set(
    sacct: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    altering = ("SACCT_FORMAT", "SACCT_FEDERATION", "SLURM_CLUSTERS", "SQUEUE_STATES", "SPRIO_FORMAT")
    for name in (*altering, "SLURM_BITSTR_LEN"):
        monkeypatch.setenv(name, "odd")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")
    monkeypatch.setenv("LC_ALL", "nl_NL.UTF-8")
    found = _environment(sacct("env"))
    assert (found["TZ"], found["SLURM_TIME_FORMAT"], found["LC_ALL"]) == ("UTC", "%s", "C.UTF-8")
    assert found["SLURM_BITSTR_LEN"] == "0"
    assert not set(altering) & found.keys()


def test_the_slurm_conf_that_is_set_wins_over_the_operators(
    sacct: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", "/etc/other.conf")
    commands = sacct("env")
    assert _environment(commands)["SLURM_CONF"] == "/etc/other.conf"
    chosen = Commands(directory=tmp_path, conf=tmp_path / "slurm.conf")
    with pytest.raises(SlurmError, match=r"slurm\.conf is not there, or this user .*; set slurm\.conf$"):
        chosen.output("sacct")
    (tmp_path / "slurm.conf").touch()
    assert _environment(chosen)["SLURM_CONF"] == str(tmp_path / "slurm.conf")


def test_a_command_has_nothing_to_read(sacct: Command) -> None:
    assert sacct("cat; echo done").output("sacct") == "done\n"


def test_somebody_is_called_before_each_question(sacct: Command) -> None:
    called: list[int] = []
    commands = replace(sacct("echo x"), before_each=lambda: called.append(len(called)))
    commands.output("sacct")
    assert list(commands.lines("sacct")) == ["x\n"]
    commands.before(time.monotonic() + PATIENCE, "sacct")
    assert called == [0, 1, 2]
