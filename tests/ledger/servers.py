"""A PostgreSQL of a test's own: Debian's, in a private directory, and what can be done to its processes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from pwd import getpwnam
from tempfile import TemporaryDirectory

import pytest

BINARIES = Path("/usr/lib/postgresql/15/bin")
DEADLINE = 60


class Server:
    """A running PostgreSQL in a directory."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self.url = f"postgresql://postgres@/postgres?host={directory}"

    def run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [BINARIES / program, "-D", self.data, *arguments], check=True, capture_output=True, cwd="/",
            user="postgres", group="postgres", extra_groups=[], timeout=DEADLINE,
        )  # fmt: skip

    def processes(self) -> list[int]:
        """The postmaster and every process that it started."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        return [postmaster, *map(int, children)]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """While this lasts, no process of it does anything."""
        stopped = self.processes()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):  # one that was killed while it stood still
                    os.kill(pid, signal.SIGCONT)


@contextmanager
def debian() -> Iterator[Server]:
    """Debian's PostgreSQL 15 in a directory of its own, on a Unix socket there."""
    if os.geteuid() != 0 or not BINARIES.exists():
        pytest.skip("needs root and Debian's postgresql-15")
    with TemporaryDirectory(prefix="saf-pg-") as directory:
        os.chown(directory, getpwnam("postgres").pw_uid, -1)
        server = Server(Path(directory))
        server.run("initdb", "--auth=trust", "--no-locale", "--encoding=utf8", "--no-sync")
        server.run("pg_ctl", "-w", "-l", f"{directory}/log", "-o", f"-h '' -k {directory} -F", "start")
        try:
            yield server
        finally:
            server.run("pg_ctl", "-w", "-m", "immediate", "stop")
