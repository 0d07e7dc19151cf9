"""Readings of meters, and where jobs ran. Entries are added and never changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.energy import meters
from slurm_ai_factory.core.energy.meters import Kind, MeterEntry, Placement, Reading, SortedReadings
from slurm_ai_factory.core.records import Instant, Window
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger.store import SqlRow, Store, known_at

SUGGESTED = 10
"""Meters that a message names where none of a name is known."""


@dataclass(frozen=True, slots=True)
class Meters:
    """The meters of one cluster, and of the building as far as it serves this cluster."""

    store: Store
    cluster_id: int

    def append(self, given: Sequence[tuple[str, Reading]], *, at: Instant, actor: str) -> SortedReadings:
        """Add the readings that are new, all of them or none; each comes with the place where it was read."""
        with self.store.transaction():
            self.store.one("serialize_meters")
            took = self.beside(given)
            who = {"replaces": None, "at": at, "actor": actor, "reason": ""}
            rows = [{"cluster_id": self.cluster_id, **asdict(reading), **who} for reading in took.new]
            self.store.do_many("add_reading", rows)
        return took

    def beside(self, given: Sequence[tuple[str, Reading]]) -> SortedReadings:
        """What ``append`` would do with some readings."""
        if not given:
            return SortedReadings((), 0, ())
        span = min(new.since for _, new in given), max(new.until for _, new in given)
        entries = self.entries({new.kind for _, new in given}, Window("", *span))
        return meters.sort_readings(entries, given, self.ends())

    def correct(self, entry_id: int, value: Decimal | None, reason: str, *, at: Instant, actor: str) -> int:
        """Make an entry count as ``value``; None withdraws it. The number of the correction.

        Raises LedgerError.
        """
        with self.store.transaction():
            self.store.one("serialize_meters")
            rows = self.store.all("meter_entry_of", cluster_id=self.cluster_id, entry_id=entry_id)
            try:
                reading, _ = meters.correction_of(map(_entry, rows), entry_id, value, reason)
            except ValueError as error:
                raise LedgerError(str(error)) from error
            return self._add(reading, value, entry_id, {"at": at, "actor": actor, "reason": reason.strip()})

    def readings(self, kind: Kind, window: Window, as_of: Instant | None = None) -> list[Reading]:
        """The readings that overlap a window, as known now or then, each whole; no two of a meter overlap."""
        rows = self.store.all(
            "meter_readings", cluster_id=self.cluster_id, kind=str(kind), since=window.since,
            until=window.until, as_of=known_at(as_of),
        )  # fmt: skip
        return [Reading(meter, Kind(kind), *others) for meter, kind, *others in rows]

    def entries(
        self, kinds: Iterable[Kind], window: Window, as_of: Instant | None = None
    ) -> list[MeterEntry]:
        """Readings and corrections that overlap a window, as known now or then."""
        rows = self.store.all(
            "meter_entries", cluster_id=self.cluster_id, kinds=[str(kind) for kind in kinds],
            since=window.since, until=window.until, as_of=known_at(as_of),
        )  # fmt: skip
        return [_entry(row) for row in rows]

    def newest(self, since: Instant) -> dict[Kind, Instant]:
        """Up to when there are readings of each kind: of the meter that is silent longest.

        Of meters that have a reading after ``since``.
        """
        key = {"cluster_id": self.cluster_id, "as_of": known_at(None)}
        return {Kind(kind): at for kind, at in self.store.all("newest_readings", **key, since=since)}

    def ends(self, as_of: Instant | None = None) -> dict[Kind, dict[str, Instant]]:
        """From when on meters are out of use, by kind and meter, as known now or then."""
        ends: dict[Kind, dict[str, Instant]] = {kind: {} for kind in Kind}
        for kind, meter, at in self.store.all(
            "meter_ends", cluster_id=self.cluster_id, as_of=known_at(as_of)
        ):
            ends[Kind(kind)][meter] = at
        return ends

    def end_rows(self) -> list[dict[str, Any]]:
        """Every row about the end of a meter, in the order of entry."""
        return self.store.named("meter_end_rows", cluster_id=self.cluster_id)

    def end(
        self, kind: Kind, meter: str, ended_at: Instant | None, reason: str, *, at: Instant, actor: str
    ) -> int:
        """Take a meter out of use from an instant on; None puts it back. The number of the entry.

        Raises LedgerError for an unknown meter, and for one that has a reading after that instant.
        """
        key = {"cluster_id": self.cluster_id, "kind": str(kind), "meter": meter}
        with self.store.transaction():
            self.store.one("serialize_meters")
            newest, known = self.store.one("last_reading", **key) or (None, 0)
            if not known:
                rows = self.store.all("meters_of_kind", **key, limit=SUGGESTED)
                there = ", ".join(row[0] for row in rows) or "none yet"
                raise LedgerError(
                    f"the ledger has no readings of {kind} by {meter}; its meters of {kind} are {there}"
                )
            if None not in (ended_at, newest) and newest > ended_at:
                raise LedgerError(
                    f"{meter} has a reading up to {windows.iso(newest)}; give that instant or a later one"
                )
            if self.ends()[kind].get(meter) == ended_at:
                raise LedgerError(f"that is recorded of {meter} already; nothing was changed")
            row = self.store.one("add_meter_end", **key, ended_at=ended_at, reason=reason, at=at, actor=actor)
            return int(row[0]) if row else 0

    def place(self, placements: Iterable[Placement], *, source: str, at: Instant, actor: str) -> int:
        """Add where jobs ran, as far as the ledger does not have it so already; how many are new."""
        key = {"cluster_id": self.cluster_id, "source": source, "at": at, "actor": actor}
        with self.store.transaction():
            self.store.one("serialize_meters")
            return sum(
                self.store.do("add_placement", **key, **asdict(placed) | {"gpus": list(placed.gpus)})
                for placed in placements
            )

    def placements(self, window: Window, as_of: Instant | None = None) -> list[Placement]:
        """Where jobs ran in a window, as known now or then."""
        rows = self.store.all(
            "placements_between", cluster_id=self.cluster_id, since=window.since, until=window.until,
            as_of=known_at(as_of),
        )  # fmt: skip
        return [Placement(job, node, tuple(gpus), since, until) for job, node, gpus, since, until in rows]

    def counted_joules(self, window: Window, as_of: Instant | None = None) -> dict[int, int]:
        """DBIndex -> what Slurm counted, of the runs of a window, as known now or then."""
        rows = self.store.all(
            "counted_joules", cluster_id=self.cluster_id, since=window.since, until=window.until,
            as_of=known_at(as_of),
        )  # fmt: skip
        return {int(db_index): joules for db_index, joules in rows}

    def _add(
        self, reading: Reading, value: Decimal | None, replaces: int | None, who: dict[str, object]
    ) -> int:
        row = self.store.one(
            "add_reading",
            cluster_id=self.cluster_id,
            **asdict(reading) | {"value": value},
            replaces=replaces,
            **who,
        )
        return int(row[0]) if row else 0


def _entry(row: SqlRow) -> MeterEntry:
    entry_id, meter, kind, since, until, value, unit, source, replaces, reason, recorded_at, actor = row
    return MeterEntry(
        entry_id=entry_id,
        reading=Reading(meter, Kind(kind), since, until, value or Decimal(0), unit, source),
        withdrawn=value is None,
        replaces=replaces,
        reason=reason,
        recorded_at=recorded_at,
        actor=actor,
    )
