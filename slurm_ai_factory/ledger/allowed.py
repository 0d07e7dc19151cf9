"""Allowed power. Entries are added and never changed. Tested in tests/cli/test_grid.py."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import Decimal

from slurm_ai_factory.core.energy import allowed
from slurm_ai_factory.core.energy.allowed import AllowedEntry, AllowedPower, PowerKind, SortedRows
from slurm_ai_factory.core.energy.meters import Kind
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger.store import SqlRow, Store, known_at


@dataclass(frozen=True, slots=True)
class AllowedBook:
    """What the connection of one cluster may draw."""

    store: Store
    cluster_id: int

    def append(self, rows: Iterable[AllowedPower], *, at: Instant, actor: str) -> SortedRows:
        """Add the rows that are new, all of them or none."""
        with self.store.transaction():
            self.store.one("serialize_allowed")
            sorted_out = allowed.sort_rows(self.entries(), rows)
            for row in sorted_out.new:
                self._add(row, False, None, {"at": at, "actor": actor, "reason": ""})
        return sorted_out

    def correct(self, entry_id: int, max_kw: Decimal | None, reason: str, *, at: Instant, actor: str) -> int:
        """Make an entry allow ``max_kw``; None withdraws it. The number of the correction.

        Raises LedgerError.
        """
        with self.store.transaction():
            self.store.one("serialize_allowed")
            of = [entry for entry in self.entries() if entry_id in (entry.entry_id, entry.replaces)]
            try:
                row = allowed.corrected(of, entry_id, max_kw, reason)
            except ValueError as error:
                raise LedgerError(str(error)) from error
            who = {"at": at, "actor": actor, "reason": reason.strip()}
            return self._add(row, max_kw is None, entry_id, who)

    def entries(self) -> list[AllowedEntry]:
        """Every row and correction, in the order of entry."""
        return [_entry(row) for row in self.store.all("allowed_power", cluster_id=self.cluster_id)]

    def first_readings(self, kind: Kind, as_of: Instant | None = None) -> dict[str, Instant]:
        """Each meter of a kind with the beginning of its first reading, as known now or then."""
        key = {"cluster_id": self.cluster_id, "kind": str(kind), "as_of": known_at(as_of)}
        return dict(self.store.all("first_readings", **key))

    def _add(self, row: AllowedPower, withdrawn: bool, replaces: int | None, who: dict[str, object]) -> int:
        values = asdict(row) | {"kind": str(row.kind), "withdrawn": withdrawn, "replaces": replaces}
        added = self.store.one("add_allowed", cluster_id=self.cluster_id, **values, **who)
        return int(added[0]) if added else 0


def _entry(row: SqlRow) -> AllowedEntry:
    entry_id, since, until, max_kw, kind, reference, told_at, withdrawn, replaces, reason, at, actor = row
    return AllowedEntry(
        entry_id=entry_id,
        allowed=AllowedPower(
            since=since,
            until=until,
            max_kw=max_kw,
            kind=PowerKind(kind),
            reference=reference,
            told_at=told_at,
        ),
        withdrawn=withdrawn,
        replaces=replaces,
        reason=reason,
        recorded_at=at,
        actor=actor,
    )
