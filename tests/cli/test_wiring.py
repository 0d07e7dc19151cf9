"""Logging: with a priority for the journal, and as before for people."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

LOGS = """
import logging
from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.cli.wiring import start_logging
chosen.debug = True
start_logging()
log = logging.getLogger("saf")
for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
    log.log(level, "first line\\nsecond line")
"""
PLAIN = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ [A-Z]+ first line\r?\nsecond line\r?\n){5}")


def logged(stderr: int, stream: str) -> None:
    """Run a process that logs a message of each level; ``stream``: JOURNAL_STREAM."""
    env = {**os.environ, "JOURNAL_STREAM": stream}
    subprocess.run([sys.executable, "-c", LOGS], stderr=stderr, env=env, check=True, timeout=60)


def test_every_line_has_its_priority_in_the_journal(tmp_path: Path) -> None:
    """As systemd starts it: stderr is the stream that JOURNAL_STREAM names, by device and inode."""
    with (tmp_path / "journal").open("w+") as journal:
        stat = os.fstat(journal.fileno())
        logged(journal.fileno(), f"{stat.st_dev}:{stat.st_ino}")
        journal.seek(0)
        lines = journal.read().splitlines()
    assert [line[:3] for line in lines] == [f"<{n}>" for n in (7, 6, 4, 3, 2) for _ in range(2)]
    assert lines[0] == "<7>DEBUG first line"


@pytest.mark.parametrize("stream", ["", "8:1"])
def test_a_terminal_gets_no_priorities(stream: str) -> None:
    """Also under a service that has its stderr elsewhere, of which JOURNAL_STREAM speaks."""
    ours, theirs = pty.openpty()
    logged(theirs, stream)
    os.close(theirs)
    text = b""
    try:
        while chunk := os.read(ours, 65536):
            text += chunk
    except OSError:
        pass  # the other end is closed
    finally:
        os.close(ours)
    assert PLAIN.fullmatch(text.decode())
