"""A command that writes is over before its deadline, or does nothing, however long it was frozen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm.commands import FENCE, Commands
from tests.cluster.slurm import wait_until
from tests.scratch import program

Make = Callable[[str], Commands]


@pytest.fixture
def sacctmgr(tmp_path: Path) -> Make:
    """Commands whose sacctmgr is this shell script; it writes to the file that its first argument names."""

    def make(script: str) -> Commands:
        program(tmp_path / "sacctmgr", script)
        return Commands(directory=tmp_path, timeout_seconds=120)

    return make


def test_a_write_before_its_deadline_is_made(sacctmgr: Make, tmp_path: Path) -> None:
    commands = sacctmgr('echo written >"$1"; echo done')
    assert commands.before(time.monotonic() + 120, "sacctmgr", str(tmp_path / "out")) == "done\n"
    assert (tmp_path / "out").read_text() == "written\n"


def test_a_write_after_its_deadline_is_not_begun(sacctmgr: Make, tmp_path: Path) -> None:
    commands = sacctmgr('echo written >"$1"')
    with pytest.raises(SlurmError, match="not run: its deadline passed"):
        commands.before(time.monotonic() - 0.1, "sacctmgr", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_write_that_takes_too_long_is_ended_at_its_deadline(sacctmgr: Make, tmp_path: Path) -> None:
    commands = sacctmgr('exec sleep 600 && echo written >"$1"')
    with pytest.raises(SlurmError, match="sacctmgr failed"):
        commands.before(time.monotonic() + 5, "sacctmgr", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_write_that_was_frozen_past_its_deadline_does_nothing_when_it_is_thawed(tmp_path: Path) -> None:
    """The alarm is pending when the command is thawed: it dies before its next instruction."""
    out = tmp_path / "out"
    write = f"print('ready', flush=True)\nwhile True: open({str(out)!r}, 'w').close()"
    deadline = time.monotonic() + 8
    argv = [sys.executable, "-I", "-S", str(FENCE), repr(deadline), sys.executable, "-c", write]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGSTOP)
        wait_until(lambda: time.monotonic() > deadline + 0.2, "the deadline to pass", 60)
        out.unlink(missing_ok=True)
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(60) == -signal.SIGALRM
    assert not out.exists()


def test_a_command_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(SlurmError, match=r"sacctmgr.*cannot be run: No such file or directory"):
        Commands(directory=tmp_path).before(time.monotonic() + 120, "sacctmgr")
