"""What was done to the reservation that keeps nodes free. Acts are added and never changed.

An act is recorded as planned before Slurm is asked, and a second row says what was read back. Tested in
tests/end_to_end/test_grid.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slurm_ai_factory.core.energy import keeping
from slurm_ai_factory.core.records import Instant, Outage
from slurm_ai_factory.ledger.store import SqlRow, Store, json


@dataclass(frozen=True, slots=True)
class ReservationBook:
    """The acts on one cluster."""

    store: Store
    cluster_id: int

    def record(
        self,
        act: keeping.ReservationAct,
        outcome: keeping.ActOutcome,
        *,
        at: Instant,
        actor: str,
        sentence: str,
        inputs: Mapping[str, object],
        plan_id: int | None = None,
    ) -> int:
        """Add an act, or what became of the planned one ``plan_id``; its number."""
        row = self.store.one(
            "add_reservation_act",
            cluster_id=self.cluster_id,
            **act._asdict() | {"kind": str(act.kind), "nodes": list(act.nodes)},
            outcome=str(outcome),
            at=at,
            actor=actor,
            sentence=sentence,
            inputs=json(inputs),
            plan_id=plan_id,
        )
        return int(row[0]) if row else 0

    def last(self, name: str, *, advised: bool = False) -> keeping.DoneAct | None:
        """The newest act on a reservation that was tried, or was advised, and what became of it."""
        key = {"cluster_id": self.cluster_id, "name": name, "advised": advised}
        row = self.store.one("last_reservation_act", **key)
        return _done(row) if row else None

    def free(self, since: Instant, until: Instant, as_of: Instant) -> list[Outage]:
        """When which nodes were kept free in an interval, as known at an instant."""
        key = {"cluster_id": self.cluster_id, "since": since, "until": until, "as_of": as_of}
        by_name: dict[str, list[keeping.Applied]] = {}
        for at, kind, name, begin, end, nodes, tres in self.store.all("applied_acts", **key):
            act = keeping.ReservationAct(keeping.ActKind(kind), name, begin, end, tuple(nodes))
            by_name.setdefault(name, []).append(keeping.Applied(at, act, tres or {}))
        return [outage for applied in by_name.values() for outage in keeping.kept_free(applied)]

    def acts(self, limit: int) -> list[dict[str, Any]]:
        """The latest acts with what became of them, newest first, by column."""
        return self.store.named("reservation_acts", cluster_id=self.cluster_id, limit=limit)


def _done(row: SqlRow) -> keeping.DoneAct:
    act_id, kind, name, since, until, nodes, outcome = row
    return keeping.DoneAct(
        act_id,
        keeping.ReservationAct(keeping.ActKind(kind), name, since, until, tuple(nodes)),
        keeping.ActOutcome(outcome),
    )
