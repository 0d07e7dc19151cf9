"""What this process was told of each run last, so that what is told again need not go to the ledger again.

Most of any answer is what the answer before said. It is left out where it certainly is what the ledger has:
the ledger's last read is the one remembered here, whoever else may write, and the row is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Told = tuple[Any, ...]
"""A row for the table observed; its first column is the run's DBIndex."""

LIMIT = 65_536
"""Runs remembered, those told last; about 100 bytes each."""


class Memory:
    """The rows of the last reads, as digests of 64 bits by DBIndex."""

    def __init__(self) -> None:
        self._read_id: int | None = None
        self._digests: dict[int, int] = {}

    def follow(self, read_id: int | None) -> None:
        """A read begins, after this one in the ledger; until it is kept, nothing is certain any more."""
        if read_id is None or read_id != self._read_id:
            self._digests.clear()
        self._read_id = None

    def keep(self, read_id: int, without: Iterable[int]) -> None:
        """The read became this one of the ledger, which has these runs otherwise than they were told."""
        self._read_id = read_id
        for db_index in without:
            self._digests.pop(db_index, None)
        for db_index in list(self._digests)[: max(0, len(self._digests) - LIMIT)]:
            del self._digests[db_index]

    def news(self, rows: Iterable[Told]) -> Iterator[Told]:
        """The rows that were not told just so."""
        for row in rows:
            db_index, digest = row[0], hash(row)
            known = self._digests.pop(db_index, None)
            self._digests[db_index] = digest
            if known != digest:
                yield row
