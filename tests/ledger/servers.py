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
from shutil import rmtree
from tempfile import TemporaryDirectory

import psycopg
import pytest

from tests.cluster.processes import wait_until

CHOSEN = os.environ.get("SAF_TEST_POSTGRES")
"""A directory such as /usr/lib/postgresql/16/bin; then every test that needs a ledger has it there."""

BINARIES = Path(CHOSEN or "/usr/lib/postgresql/15/bin")
ACCOUNT = getpwnam("nobody") if os.geteuid() == 0 else None
"""The user a server runs as instead of root, which PostgreSQL refuses."""

DEADLINE = 180


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

    def alter(self, change: str) -> None:
        """Change a setting, from the next look of each process on."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM {change}".encode())
            connection.execute("SELECT pg_reload_conf()")

    def running(self) -> bool:
        """Whether its postmaster does."""
        try:
            return Path(f"/proc/{self._postmaster()}").exists()
        except (FileNotFoundError, IndexError):  # it has none, or has not written it yet
            return False

    def promote(self) -> None:
        """Make a standby the primary; one that it followed is not asked."""
        self.run("pg_ctl", "-w", "promote")

    def kill(self) -> None:
        """SIGKILL for every process of it, as when the machine is lost."""
        pids = self._stopped()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "their end", DEADLINE)
        (self.data / "postmaster.pid").unlink()

    def processes(self) -> list[int]:
        """The postmaster and every process that it started."""
        postmaster = self._postmaster()
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        return [postmaster, *map(int, children)]

    def _postmaster(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def _stopped(self) -> list[int]:
        """Every process of it, and none of them does anything; the postmaster first, for it starts others."""
        os.kill(self._postmaster(), signal.SIGSTOP)
        stopped = self.processes()
        for pid in stopped:
            with suppress(ProcessLookupError):  # a session that has just ended
                os.kill(pid, signal.SIGSTOP)
        return stopped

    def caught_up(self) -> bool:
        """Whether it has standbys, and each has replayed all that it has written."""
        query = "SELECT bool_and(replay_lsn = pg_current_wal_lsn()) FROM pg_stat_replication"
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query).fetchone() == (True,)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """While this lasts, no process of it does anything."""
        stopped = self._stopped()
        try:
            yield
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):  # one that was killed while it stood still
                    os.kill(pid, signal.SIGCONT)


@contextmanager
def private_server(
    programs: Path = BINARIES, settings: str = "", place: Path | None = None
) -> Iterator[Server]:
    """A PostgreSQL, by default that of BINARIES, in a directory of its own, on a Unix socket there."""
    if not CHOSEN and not programs.exists():
        pytest.skip("needs Debian's postgresql-15, or another in SAF_TEST_POSTGRES")
    with _server_in_a_directory(programs, place) as server:
        initdb = ("-U", "postgres", "--auth=trust", "--no-locale", "--encoding=utf8", "--no-sync")
        server.run("initdb", *initdb)
        server.start(settings)
        yield server


@contextmanager
def standby_of(primary: Server, place: Path | None = None) -> Iterator[Server]:
    """A standby that has all that the primary had when it began, and streams what follows."""
    with _server_in_a_directory(primary.programs, place) as server:
        follow(server, primary)
        yield server


def follow(server: Server, primary: Server) -> None:
    """Make a server a standby of the primary; once promoted, it waits for no other standby."""
    rmtree(server.data, ignore_errors=True)
    source = f"host={primary.directory} user=postgres"
    server.run("pg_basebackup", "-d", source, "-R", "-X", "stream", "-c", "fast", "--no-sync")
    server.start()
    server.alter("RESET synchronous_standby_names")


@contextmanager
def _server_in_a_directory(programs: Path, place: Path | None) -> Iterator[Server]:
    """A server that is yet to be made and started; stopped at the end if it runs."""
    with TemporaryDirectory(prefix="saf-pg-", dir=place) as directory:
        if ACCOUNT:
            os.chown(directory, ACCOUNT.pw_uid, -1)
        server = Server(Path(directory), programs)
        try:
            yield server
        finally:
            if server.running():
                server.run("pg_ctl", "-w", "-m", "immediate", "stop")


def either(*servers: Server) -> str:
    """The url of whichever server is the primary."""
    hosts = ",".join(str(server.directory) for server in servers)
    return f"postgresql://postgres@/postgres?host={hosts}"


def synchronous(primary: Server) -> None:
    """From now on a commit on it waits for a standby."""
    primary.alter("SET synchronous_standby_names = 'ANY 1 (*)'")
