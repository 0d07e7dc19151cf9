"""Hours of the expertise centre. Entries are added and never changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme import expertise
from slurm_ai_factory.core.programme.expertise import ExpertiseEntry, HoursKind, NewEntry
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger.store import SqlRow, Store


@dataclass(frozen=True, slots=True)
class Expertise:
    """The entries, of all clusters together: experts work for organisations, not for clusters."""

    store: Store

    def add(self, entries: Iterable[NewEntry], *, at: Instant, actor: str, file: str = "") -> list[int]:
        """Add all of these or none; their numbers. ``file`` is the digest of the file they come from.

        Raises LedgerError where that file was imported before.
        """
        with self.store.transaction():
            self.store.one("serialize_expertise")
            self._refuse_again(file)
            return [self._add(entry, at, actor, file) for entry in entries]

    def correct(self, entry_id: int, wanted: Decimal, reason: str, *, at: Instant, actor: str) -> int:
        """Correct an entry to ``wanted`` hours; the number of the correction. Raises LedgerError."""
        with self.store.transaction():
            self.store.one("serialize_expertise")
            known = [_entry(row) for row in self.store.all("expertise_entry", entry_id=entry_id)]
            try:
                new = expertise.correction(known, entry_id, wanted, reason)
            except ValueError as error:
                raise LedgerError(str(error)) from error
            return self._add(new, at, actor, "")

    def entries(self, first: date, last: date, as_of: Instant) -> Sequence[ExpertiseEntry]:
        """Entries and corrections of days in [first, last), as known at an instant, in the order of entry."""
        rows = self.store.all("expertise_entries", first=first, last=last, as_of=as_of)
        return [_entry(row) for row in rows]

    def _refuse_again(self, file: str) -> None:
        imported = self.store.one("expertise_file", file=file) if file else None
        if imported:
            raise LedgerError(
                f"this file was imported at {windows.iso(imported[0])} already ({imported[1]} entries); "
                "correct single entries with `saf expertise correct`"
            )

    def _add(self, entry: NewEntry, at: Instant, actor: str, file: str) -> int:
        row = self.store.one(
            "add_expertise", day=entry.day, organisation=entry.organisation, role=entry.role,
            hours=entry.hours, activity=entry.activity, kind=str(entry.kind), corrects=entry.corrects,
            reason=entry.reason, file=file, at=at, actor=actor,
        )  # fmt: skip
        return int(row[0]) if row else 0


def _entry(row: SqlRow) -> ExpertiseEntry:
    return ExpertiseEntry(
        day=row[0], organisation=row[1], role=row[2], hours=row[3], activity=row[4], kind=HoursKind(row[5]),
        corrects=row[6], reason=row[7], entry_id=row[8], recorded_at=row[9], actor=row[10],
    )  # fmt: skip
