"""Months of the ledger as rows for an archive, and the record of what was archived.

The rule: an archive has no user, not even under a pseudonym, because a file cannot forget one. It is as the
ledger knew the month at one recorded instant, so that the ledger can be asked for the same later.
Tested in tests/cli/ledger/test_archive.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from slurm_ai_factory.core.records import Instant, Interval
from slurm_ai_factory.ledger.classified import Classified
from slurm_ai_factory.ledger.store import Store, json

QUERIES = {
    "runs": "archive_runs",
    "usage": "archive_usage",
    "classifications": "archive_classifications",
    "allocations": "archive_allocations",
}
"""The files of a month, with the query of each."""

TABLES = tuple(QUERIES)

NUMBER = ("create_archived_subjects", "clear_archived_subjects", "add_archived_subjects",
          "analyze_archived_subjects")  # fmt: skip
SIGN = ("create_signed", "clear_signed", "sign_later", "sign_open")
"""Queries that number the subjects, and that find what hourly usage has too much or too little of."""

Charges = Mapping[str, Mapping[str, str]]
"""TRES -> beneficiary -> delivered TRES-seconds, an exact number as text."""


class ArchivedFile(NamedTuple):
    """One file of an archived month."""

    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ArchivedMonth:
    """A month as it was archived."""

    month: str  #: 2027-01, of the promise's time zone
    since: Instant
    until: Instant
    as_of: Instant  #: as known at
    rules: str  #: digest of the rules that classified it
    files: Mapping[str, ArchivedFile]
    charges: Charges


@dataclass(frozen=True, slots=True)
class ArchiveBook:
    """What of one cluster was archived."""

    store: Store
    cluster_id: int

    def known_up_to(self) -> Instant | None:
        """The newest instant at which anything was recorded that an archive rests on; None before the first.

        Waits for a read that is being recorded: it has an earlier instant.
        """
        with self.store.transaction():
            self.store.one("serialize", cluster_id=self.cluster_id)
        row = self.store.one("known_up_to", cluster_id=self.cluster_id)
        return row[0] if row else None

    def months(self) -> dict[str, ArchivedMonth]:
        """The newest archive of each month, by month."""
        months = {}
        for row in self.store.named("archived_months", cluster_id=self.cluster_id):
            files = {name: ArchivedFile(**file) for name, file in row["files"].items()}
            months[row["month"]] = ArchivedMonth(**{**row, "files": files})
        return months

    def changed(self, archived: ArchivedMonth) -> bool:
        """Whether the ledger changed a run of the month since it was archived."""
        interval = {"since": archived.since, "until": archived.until, "as_of": archived.as_of}
        row = self.store.one("changed_since", cluster_id=self.cluster_id, **interval)
        return bool(row and row[0])

    def record(self, archived: ArchivedMonth, *, at: Instant, actor: str) -> None:
        """Record an archived month, which puts the digests of its files into the chain."""
        files = {name: file._asdict() for name, file in archived.files.items()}
        self.store.do(
            "add_archive", cluster_id=self.cluster_id, month=archived.month, since=archived.since,
            until=archived.until, as_of=archived.as_of, rules=archived.rules, files=json(files),
            charges=json(archived.charges), at=at, actor=actor,
        )  # fmt: skip

    def prepare(self, books: Classified, where: Interval, read_until: Instant) -> Mapping[str, object]:
        """Number the subjects and find the corrections of an interval; the values that ``rows`` needs.

        Inside a snapshot, with ``books`` as known at the instant of the archive.
        """
        values = {
            "cluster_id": self.cluster_id, "set_id": books.set_id, "since": where[0], "until": where[1],
            "as_of": books.then, "read_until": read_until,
        }  # fmt: skip
        for query in NUMBER + SIGN:
            self.store.do(query, **values)
        return values

    def rows(self, table: str, values: Mapping[str, object]) -> Iterator[bytes]:
        """The rows of one of TABLES as CSV, in blocks of whole rows. In the transaction of ``prepare``."""
        return self.store.copy_out(QUERIES[table], values, "(FORMAT csv)")
