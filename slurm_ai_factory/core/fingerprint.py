"""A report's fingerprint: over its rows, settings and figures. Tested in tests/cli/ledger/test_verify.py."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

FORMAT = 2
"""The fingerprint's format. Format 1 left the figures out and hashed names of the program."""


class RowsDigest(NamedTuple):
    """The SHA-256 of one kind of rows."""

    name: str
    rows: int
    digest: str


def fingerprint(rows: Iterable[RowsDigest], settings: str, figures: str) -> str:
    """SHA-256, in hex, of a line for the format, one for each kind of rows, and two digests.

    >>> fingerprint([RowsDigest("runs", 1, "ab")], "cd", "ef")[:8]
    'f855dd60'
    """
    lines = [f"format {FORMAT}", *(f"{kind.name} {kind.rows} {kind.digest}" for kind in rows)]
    lines += [f"settings {settings}", f"figures {figures}"]
    return sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
