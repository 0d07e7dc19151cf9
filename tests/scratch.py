"""A place for what is made or measured beside the tests: a directory, and an embedded PostgreSQL in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slurm_ai_factory.ledger import embedded


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A directory that other users can reach, for servers and commands that run as one; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="saf-", ignore_cleanup_errors=True) as scratch:
        Path(scratch).chmod(0o755)
        yield Path(scratch)


def program(path: Path, script: str) -> None:
    """Make a command of a shell script."""
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


@contextmanager
def scratch_server() -> Iterator[tuple[Path, str]]:
    """The directory, and a superuser's url of the server, which has no ledger; both are gone afterwards."""
    with scratch_directory() as directory:
        server = embedded.url(directory / "ledger")
        try:
            yield directory, server
        finally:
            embedded.stop(directory / "ledger")
