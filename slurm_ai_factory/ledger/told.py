"""What Slurm listed in a read, and of that what the ledger does not have yet.

Most of any answer is what the answer before said. It is left out where it certainly is what the ledger has:
the ledger's last read is the one remembered here, whoever else may write, and the run is told just as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from slurm_ai_factory.core.records import Rejected, Run

Told = tuple[Any, ...]
"""A row for the table observed; its first column is the run's DBIndex."""


class Listed:
    """What one read lists, noted while it streams by."""

    def __init__(self, before: Mapping[int, int]) -> None:
        self.before = before
        self.digests: dict[int, int] = {}  #: of 64 bits, by DBIndex: about 100 bytes each
        self.open: set[int] = set()
        self.states: set[str] = set()
        self.rejected: list[Rejected] = []

    def news(self, read: Iterable[Run | Rejected]) -> Iterator[Told]:
        """Rows of the runs that are not told just as ``before``.

        What a running run has elapsed is now, not a fact to keep.
        """
        for one in read:
            if isinstance(one, Rejected):
                self.rejected.append(one)
                continue
            self.states.add(one.state)
            facts: Told = one
            if one.end_at is None:
                self.open.add(one.db_index)
                facts = one if one.state == "SUSPENDED" else (*one[:9], 0, *one[10:])
            self.digests[one.db_index] = digest = hash(facts)
            if self.before.get(one.db_index) != digest:
                yield (*facts[:3], *one.subject[1:8], *facts[4:14])


class Memory:
    """The last read that listed every open run, for as long as it is the ledger's last."""

    def __init__(self) -> None:
        self._kept: tuple[int, Listed] | None = None

    def keep(self, read_id: int, listed: Listed) -> None:
        """This became that read of the ledger."""
        listed.before = {}
        self._kept = read_id, listed

    def of(self, read_id: int | None) -> Listed | None:
        """What that read listed, if it is the one remembered."""
        return self._kept[1] if self._kept and self._kept[0] == read_id else None
