"""`saf status` through the socket of systemd, as a user who may read neither configuration nor ledger."""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from slurm_ai_factory.cli import status_socket
from slurm_ai_factory.errors import SafError
from tests.cli.conftest import books, days, ledger_url
from tests.cluster.processes import wait_until
from tests.saf import Saf

__all__ = ["books", "days", "ledger_url"]

ACTIVATE = shutil.which("systemd-socket-activate")
ACCEPTS = "00010000"
"""The flags of a socket that listens."""


def listening(path: Path) -> bool:
    """Whether somebody does at this address; its file is there a moment sooner."""
    sockets = (line.split() for line in Path("/proc/net/unix").read_text().splitlines())
    return any(one[-1] == str(path) and one[3] == ACCEPTS for one in sockets)


def test_without_a_socket_there_is_no_status(tmp_path: Path) -> None:
    assert status_socket.status_from_service(tmp_path / "none") is None


@pytest.mark.skipif(
    ACTIVATE is None, reason="systemd-socket-activate is missing: install the package systemd"
)
def test_the_socket_answers_with_what_status_prints(books: Saf) -> None:
    path = books.directory / "status"
    answered = books.argv("--no-color", "status")
    for command, expected in ((answered, books.run("status", code=4).stdout), (["true"], None)):
        path.unlink(missing_ok=True)
        given = [f"--setenv={name}={value}" for name, value in books.env.items()]
        argv = [str(ACTIVATE), "--accept", "--inetd", *given, f"--listen={path}", *command]
        with subprocess.Popen(argv, cwd=books.directory, stderr=subprocess.DEVNULL) as systemd:
            try:
                wait_until(partial(listening, path), "the socket", 120)
                if expected is None:
                    with pytest.raises(SafError, match="gave no status"):
                        status_socket.status_from_service(path)
                else:
                    text = status_socket.status_from_service(path)
                    assert (text or "").splitlines()[0] == expected.splitlines()[0]
            finally:
                systemd.terminate()
                systemd.wait(120)
