"""A PostgreSQL of a test's own in a private directory, and what can be done to its processes.

It is Debian's 15, or the one whose programs are in the directory that SAF_TEST_POSTGRES names.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from pwd import getpwnam
from tempfile import TemporaryDirectory

import psycopg
import pytest

CHOSEN = os.environ.get("SAF_TEST_POSTGRES")
"""A directory such as /usr/lib/postgresql/16/bin; then every test that needs a ledger has it there."""

BINARIES = Path(CHOSEN or "/usr/lib/postgresql/15/bin")
ACCOUNT = getpwnam("nobody") if os.geteuid() == 0 else None
"""The user a server runs as instead of root, which PostgreSQL refuses."""

DEADLINE = 60


class Server:
    """A running PostgreSQL in a directory."""

    def __init__(self, directory: Path, programs: Path = BINARIES) -> None:
        self.directory, self.programs = directory, programs
        self.data = directory / "data"
        self.url = f"postgresql://postgres@/postgres?host={directory}"

    def run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self.programs / program, "-D", self.data, *arguments], check=True, capture_output=True, cwd="/",
            user=ACCOUNT and ACCOUNT.pw_uid, group=ACCOUNT and ACCOUNT.pw_gid,
            extra_groups=[] if ACCOUNT else None, timeout=DEADLINE,
        )  # fmt: skip

    def start(self, settings: str = "") -> None:
        options = f"-h '' -k {self.directory} -F {settings}"
        self.run("pg_ctl", "-w", "-l", f"{self.directory}/log", "-o", options, "start")

    def promote(self) -> None:
        """Make a standby the primary; one that it followed is not asked."""
        self.run("pg_ctl", "-w", "promote")

    def kill(self) -> None:
        """SIGKILL for every process of it, as when the machine is lost."""
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        (self.data / "postmaster.pid").unlink()

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
def private_server(programs: Path = BINARIES, settings: str = "") -> Iterator[Server]:
    """A PostgreSQL, by default that of BINARIES, in a directory of its own, on a Unix socket there."""
    if not CHOSEN and not programs.exists():
        pytest.skip("needs Debian's postgresql-15, or another in SAF_TEST_POSTGRES")
    with _server_in_a_directory(programs) as server:
        initdb = ("-U", "postgres", "--auth=trust", "--no-locale", "--encoding=utf8", "--no-sync")
        server.run("initdb", *initdb)
        server.start(settings)
        yield server


@contextmanager
def standby_of(primary: Server) -> Iterator[Server]:
    """A standby that has all that the primary had when it began, and streams what follows."""
    with _server_in_a_directory(primary.programs) as server:
        source = f"host={primary.directory} user=postgres"
        server.run("pg_basebackup", "-d", source, "-R", "-X", "stream", "-c", "fast", "--no-sync")
        server.start()
        yield server


@contextmanager
def _server_in_a_directory(programs: Path) -> Iterator[Server]:
    """A server that is yet to be made and started; stopped at the end if it runs."""
    with TemporaryDirectory(prefix="saf-pg-") as directory:
        if ACCOUNT:
            os.chown(directory, ACCOUNT.pw_uid, -1)
        server = Server(Path(directory), programs)
        try:
            yield server
        finally:
            if (server.data / "postmaster.pid").exists():
                server.run("pg_ctl", "-w", "-m", "immediate", "stop")


def either(*servers: Server) -> str:
    """The url of whichever server is the primary."""
    hosts = ",".join(str(server.directory) for server in servers)
    return f"postgresql://postgres@/postgres?host={hosts}"


def synchronous(primary: Server) -> None:
    """From now on a commit on it waits for a standby; a standby does not have this setting."""
    with psycopg.connect(primary.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'")
        connection.execute("SELECT pg_reload_conf()")
