"""A place for what is made or measured beside the tests: a directory, and an embedded PostgreSQL in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slurm_ai_factory.ledger import embedded


@contextmanager
def scratch_server() -> Iterator[tuple[Path, str]]:
    """The directory, and a superuser's url of the server, which has no ledger; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="saf-scratch-", ignore_cleanup_errors=True) as scratch:
        directory = Path(scratch)
        directory.chmod(0o755)
        server = embedded.url(directory / "ledger")
        try:
            yield directory, server
        finally:
            embedded.stop(directory / "ledger")
