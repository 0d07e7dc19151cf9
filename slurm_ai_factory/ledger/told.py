"""What Slurm listed in a read, and of that what the ledger does not have yet.

Most of any answer is what the answer before said. It is left out where it certainly is what the ledger has:
the ledger's last read is the one remembered here, whoever else may write, and the run is told just as it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any

from slurm_ai_factory.core.records import Rejected, Run

Told = tuple[Any, ...]
"""A row for the table observed; its first column is the run's DBIndex."""

LATEST = 2**32
"""Instants end in the year 2106: an hour of a run is a row, and its seconds are multiplied by its seconds."""

RANGES = {
    "db_index": range(1, 10**20),
    **dict.fromkeys(("submit_at", "eligible_at", "start_at", "end_at"), range(LATEST)),
    **dict.fromkeys(("elapsed_seconds", "suspended_seconds"), range(LATEST // 2)),
    **dict.fromkeys(("job_id", "energy_joules"), range(2**63)),
}
"""What the ledger can hold of the numbers of a run."""

NUMBERS = attrgetter(*RANGES)

LIMIT = 65_536
"""Runs remembered beside those told last; about 100 bytes each."""


class Listed:
    """What one read lists, noted while it streams by."""

    def __init__(self) -> None:
        self.digests: dict[int, int] = {}  #: 64 bits, by DBIndex
        self.open: set[int] = set()
        self.states: set[str] = set()
        self.rejected: list[Rejected] = []
        self.again = False  #: whether a run was told more than once

    def news(self, read: Iterable[Run | Rejected], known: Mapping[int, int]) -> Iterator[Told]:
        """Rows of the runs whose digests are not the known ones, and of those that are told again.

        What a running run has elapsed is now, not a fact to keep.
        """
        for one in read:
            if isinstance(one, Rejected):
                self.rejected.append(one)
                continue
            running = one.end_at is None and one.state != "SUSPENDED"
            digest = hash((one[:9], one[10:]) if running else one)
            if known.get(one.db_index) != digest and (why := unfit(one)):
                self.rejected.append(Rejected(f"DBIndex {one.db_index}, job {one.job_label}", why))
                continue
            self.states.add(one.state)
            if again := one.db_index in self.digests:
                self.again = True
                self.open.discard(one.db_index)
            if one.end_at is None:
                self.open.add(one.db_index)
            self.digests[one.db_index] = digest
            if again or known.get(one.db_index) != digest:
                elapsed = 0 if running else one.elapsed_seconds
                yield (*one[:3], *one.subject[1:8], *one[4:9], elapsed, *one[10:14])


def unfit(run: Run) -> str | None:
    """Why the ledger cannot hold a run, which is put aside then and stops no other; None where it can.

    >>> from slurm_ai_factory.core.records import Subject
    >>> whose = Subject("c", "a", "", "", "", "", "")
    >>> unfit(Run(1, 1, "1", whose, "RUNNING", 0, 0, 0, None, 2**40, 0, "", ""))
    'elapsed_seconds 1099511627776 is out of range'
    """
    for value, (name, held) in zip(NUMBERS(run), RANGES.items(), strict=True):
        if value is not None and value not in held:
            return f"{name} {value} is out of range"
    texts = "".join((run.job_label, run.state, run.req_tres, run.alloc_tres, *run.subject))
    return "a NUL character in a name" if "\0" in texts else None


class Memory:
    """What the last reads told, for as long as the last of them is the ledger's last."""

    def __init__(self) -> None:
        self._read_id: int | None = None
        self.digests: dict[int, int] = {}
        self.open: Collection[int] | None = None  #: the open runs, where the last read listed all

    def follow(self, read_id: int | None) -> None:
        """A read begins, after this one in the ledger."""
        if read_id is None or read_id != self._read_id:
            self.digests, self.open = {}, None

    def keep(self, read_id: int, listed: Listed, gone: Iterable[int] | None) -> None:
        """It became this read of the ledger, which has the runs that are gone otherwise than they were told.

        ``gone`` is None where it did not list everything that is open.
        """
        self._read_id = read_id
        self.digests |= listed.digests
        for db_index in gone or ():
            self.digests.pop(db_index, None)
        self.open = None if gone is None else listed.open
        if len(self.digests) > LIMIT + len(listed.digests):
            older = [db_index for db_index in self.digests if db_index not in listed.digests]
            for db_index in older[: -LIMIT // 2]:
                del self.digests[db_index]
