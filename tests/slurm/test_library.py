"""pyslurm's process: whole answers of the right version, or Slurm's commands and a reason that is seen.

Small programs stand at the place of the Python that has pyslurm, and of scontrol; for the worker itself a
library of that name stands in that does what libslurm was seen to do to the process it is in.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.slurm.library import WORKER, Library, LibrarySlurm
from tests.scratch import program
from tests.slurm.test_commands import Pulse, pulse
from tests.slurm.test_objects import DIAGNOSTICS, JOB, SETTINGS

__all__ = ["pulse"]

OURS = {"pyslurm": "25.11.2", "libslurm": "25.11.7"}
ANSWER = json.dumps(OURS | {"answer": DIAGNOSTICS})
SDIAG = """\
sdiag output at Wed Nov 25 08:50:00 2026 (1795596600)
DBD Agent queue size: 0
Backfilling stats
\tLast cycle when: Wed Nov 25 08:49:50 2026 (1795596590)
\tLast depth cycle: 9
\tLast queue length: 12
Latency for 1000 calls to gettimeofday(): 30 microseconds
"""
BY_COMMAND = Diagnostics(1795596600, 0, 1795596590, 9, 12)
BY_PYSLURM = BY_COMMAND._replace(agent_queue=2)

Client = Callable[..., LibrarySlurm]


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """A client whose Python does what the body of a script says, beside a Slurm of a version."""

    def make(body: str = f"echo '{ANSWER}'", slurm: str = "25.11.7", timeout: int = 120) -> LibrarySlurm:
        program(tmp_path / "python", body)
        program(tmp_path / "scontrol", f"echo slurm {slurm}")
        program(tmp_path / "sdiag", f"cat <<'EOF'\n{SDIAG}EOF")
        commands = Commands(directory=tmp_path, timeout_seconds=timeout)
        return LibrarySlurm("loop", commands, Library(commands, str(tmp_path / "python")))

    return make


def test_what_pyslurm_says_is_taken(client: Client) -> None:
    slurm = client()
    assert slurm.diagnostics() == BY_PYSLURM
    assert slurm.refused() == {}


def said(**different: Any) -> str:
    return f"echo '{json.dumps(OURS | {'answer': DIAGNOSTICS} | different)}'"


FAULTS: dict[str, tuple[str, str]] = {
    "not installed": ("echo 'pyslurm is not installed for X' >&2; exit 1", "is not installed for X"),
    "libslurm ends the process": ("echo 'fatal: no slurm.conf' >&2; exit 1", "fatal: "),
    "libslurm ends it and says nothing is wrong": ("exit 0", "cannot be read"),
    "a signal ends it": ("kill -SEGV $$", "exit -11"),
    "it ends in the middle": ('printf \'%s\' \'{"pyslurm": "25.11.2", "answ\'', "middle of a line"),
    "an error beside an answer": (f"echo 'python: error: oops' >&2; echo '{ANSWER}'", "python: error: oops"),
    "garbage": ("echo hello", "cannot be read"),
    "garbage before the answer": (f"echo hello; echo '{ANSWER}'", "cannot be read"),
    "no object": ("echo '[]'", "cannot be read"),
    "no version": (f"echo '{json.dumps({'answer': DIAGNOSTICS})}'", "cannot be read"),
    "a version that is no text": (said(pyslurm=25), "cannot be read"),
    "no answer": (f"echo '{json.dumps(OURS)}'", "cannot be read"),
    "another shape": (said(answer=[]), "cannot be read"),
    "older": (said(pyslurm="24.11.0", libslurm="24.11.5"), "pyslurm 24.11.0 is not supported"),
    "newer": (said(pyslurm="26.05.0", libslurm="26.05.5"), "pyslurm 26.05.0 is not supported"),
    "another libslurm": (said(libslurm="26.05.5"), "found libslurm 26.05.5"),
}


@pytest.mark.parametrize(("body", "reason"), FAULTS.values(), ids=FAULTS)
def test_the_commands_are_asked_where_pyslurm_has_no_answer(
    client: Client, body: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    slurm = client(body)
    with caplog.at_level(logging.WARNING):
        assert slurm.diagnostics() == BY_COMMAND
    assert reason in slurm.refused()["diagnostics"]
    assert "reading diagnostics through Slurm's commands instead of pyslurm" in caplog.text
    assert reason in caplog.text


def test_pyslurm_is_not_asked_beside_another_slurm(client: Client) -> None:
    slurm = client(slurm="26.05.5")
    assert slurm.diagnostics() == BY_COMMAND
    assert (
        slurm.refused()["diagnostics"] == "pyslurm 25.11.2 is not for Slurm 26.05.5; install the one that is"
    )


def test_a_python_that_is_not_there(client: Client, tmp_path: Path) -> None:
    slurm = client()
    (tmp_path / "python").unlink()
    assert slurm.diagnostics() == BY_COMMAND
    assert "correct slurm.python" in slurm.refused()["diagnostics"]


def test_a_process_that_freezes_is_killed_with_all_it_started(client: Client, pulse: Pulse) -> None:
    """It ignores every signal that can be ignored, as a C call that does not come back does."""
    frozen = f"trap '' TERM INT HUP ALRM; exec 3>{pulse.path}; echo up >&3; sleep 1000 & wait; sleep 1000"
    slurm = client(frozen, timeout=5)
    assert slurm.diagnostics() == BY_COMMAND
    assert "no complete answer within 5 s" in slurm.refused()["diagnostics"]
    assert pulse.until_all_are_dead() == "up\n"


def test_a_reason_is_logged_once_and_its_end_too(
    client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slurm = client("exit 1")
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            slurm.diagnostics()
        program(tmp_path / "python", f"echo '{ANSWER}'")
        assert slurm.diagnostics() == BY_PYSLURM
    assert len(caplog.records) == 2
    assert caplog.records[1].message == "reading diagnostics through pyslurm again"
    assert slurm.refused() == {}


def test_the_version_of_slurm_is_asked_at_the_start_and_after_a_failure(
    client: Client, tmp_path: Path
) -> None:
    slurm = client()
    program(tmp_path / "scontrol", f"echo asked >> {tmp_path}/asked; echo slurm 25.11.7")

    def asked() -> int:
        return len((tmp_path / "asked").read_text().splitlines())

    slurm.diagnostics()
    slurm.diagnostics()
    assert asked() == 1
    program(tmp_path / "python", "exit 1")
    slurm.diagnostics()
    program(tmp_path / "python", f"echo '{ANSWER}'")
    slurm.diagnostics()
    assert asked() == 2


def test_where_the_commands_fail_too_the_read_fails(client: Client, tmp_path: Path) -> None:
    slurm = client("exit 1")
    program(tmp_path / "sdiag", "exit 1")
    with pytest.raises(SlurmError, match="sdiag failed"):
        slurm.diagnostics()


def test_it_is_one_cluster_that_is_asked(client: Client) -> None:
    slurm = client(said(answer=SETTINGS | {"cluster_name": "other"}))
    with pytest.raises(SlurmError, match="slurmctld serves cluster other"):
        slurm.priority_config()


# --- the worker -----------------------------------------------------------------------------------------

STAND_IN = """
import os, signal, time
from types import SimpleNamespace as Object

if not os.environ.get("PYSLURM_DISABLE_AUTO_INIT"):
    os._exit(1)
version = Object(__version__="25.11.2")

def slurm_api_version():
    return 25, 11, 7

def slurm_init():
    print("a TRES of a kind that is not known")
    os.write(1, b"and libslurm itself")

TRES = Object(cpu=Object(count=3), mem=None, node=None, billing=None, vmem=None, pages=None,
              gres={"gpu": Object(count=2)}, license={}, fs={}, interconnect={}, other={})
JOB = Object(**VALUES, allocated_tres=None, requested_tres=TRES)

class Jobs:
    @staticmethod
    def load():
        BODY
"""


@pytest.fixture
def library(tmp_path: Path) -> Callable[..., Library]:
    """The worker, with the stand-in in the place of pyslurm; the body is what loading jobs does."""

    def make(body: str, timeout: int = 120) -> Library:
        (tmp_path / "pyslurm.py").write_text(STAND_IN.replace("BODY", body).replace("VALUES", repr(JOB)))
        python = f'shift; export PYTHONPATH="{tmp_path}"; exec {sys.executable} -P "$@"'
        program(tmp_path / "python", python)
        program(tmp_path / "scontrol", "echo slurm 25.11.7")
        return Library(Commands(directory=tmp_path, timeout_seconds=timeout), str(tmp_path / "python"))

    return make


def test_the_worker_answers_in_one_line_whatever_is_printed_too(library: Callable[..., Library]) -> None:
    (job,) = library("return {1: JOB}").ask("queue")
    assert job == JOB | {"tres": {"cpu": 3, "gres/gpu": 2}}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise RuntimeError('Unable to contact\\n slurmctld')", "RuntimeError: Unable to contact"),
        ("os._exit(1)", r"failed \(exit 1\)"),
        ("os._exit(0)", "cannot be read"),
        ("os.kill(os.getpid(), 11)", "exit -11"),
        ("return {1: Object(id=1)}", "AttributeError"),
        ("return {1: Object(**{**vars(JOB), 'id': object()})}", "TypeError"),
    ],
)
def test_what_goes_wrong_in_the_worker_is_told(
    library: Callable[..., Library], body: str, reason: str
) -> None:
    with pytest.raises(SlurmError, match=reason):
        library(body).ask("queue")


def test_a_call_that_hears_no_signal_ends_at_the_deadline(library: Callable[..., Library]) -> None:
    deaf = library("signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64)); time.sleep(1000)", timeout=5)
    with pytest.raises(SlurmError, match="no complete answer within 5 s"):
        deaf.ask("queue")


def test_without_pyslurm_the_worker_says_what_to_do() -> None:
    library = Library(Commands(timeout_seconds=120), sys.executable)
    if "pyslurm" in sys.modules:
        pytest.skip("this Python has pyslurm")
    with pytest.raises(SlurmError, match=r"pyslurm is not installed for .*set slurm\.python"):
        library.ask("queue")


def test_nothing_of_the_product_imports_the_worker() -> None:
    sources = [one for one in WORKER.parents[1].rglob("*.py") if one != WORKER]
    assert sources
    assert not [
        one for one in sources if "import pyslurm" in one.read_text() or "import worker" in one.read_text()
    ]
