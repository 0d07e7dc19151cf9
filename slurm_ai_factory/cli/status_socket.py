"""The status for users without a right to read configuration or ledger: systemd runs `saf status` for them.

A member of the group saf may connect to the socket, and gets the text and no other right.
Tested in tests/deploy/test_status_socket.py.
"""

from __future__ import annotations

import socket
from pathlib import Path

from slurm_ai_factory.errors import SafError

SOCKET = Path("/run/slurm-ai-factory-status")
"""As in deploy/systemd/saf-status.socket."""

SECONDS = 150
"""Deadline of an answer, above that of the service."""


def status_from_service(path: Path = SOCKET) -> str | None:
    """What `saf status` prints; None where there is no such socket for this user. Raises SafError."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        try:
            connection.connect(str(path))
        except OSError:
            return None
        try:
            with connection.makefile("rb") as stream:
                text = stream.read().decode(errors="replace")
        except OSError as error:
            raise SafError(f"{path} gave no status: {error}; see journalctl -u 'saf-status@*'") from error
    if not text:
        raise SafError(f"{path} gave no status; see journalctl -u 'saf-status@*'")
    return text
