"""Decisions that expire, and what the ledger keeps for good.

The rule: only a decision without a change goes, never one that a published report rests on, and a chained row
lists which went. PostgreSQL chooses them (migration 0023), so no statement can delete one more. Tested in
tests/cli/ledger/test_expire.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.ledger.derived import Comparison
from slurm_ai_factory.ledger.store import Store


class TableSize(NamedTuple):
    """How much a table holds."""

    name: str
    rows: int
    bytes: int  #: on disk, with indexes
    oldest: Instant | None


class Expirable(NamedTuple):
    """Decisions that may expire."""

    rows: int
    bytes: int  #: of the rows, without indexes
    oldest: Instant | None


@dataclass(frozen=True, slots=True)
class Expiries:
    """What expires in the ledger of one cluster."""

    store: Store
    cluster_id: int

    def sizes(self) -> list[TableSize]:
        """What there is in the tables that grow with every cycle and every run, of all clusters."""
        return [TableSize(*row) for row in self.store.all("kept")]

    def expirable(self, due: Instant) -> Expirable:
        """The decisions from before ``due`` that may expire."""
        return Expirable(*(self.store.one("expirable", cluster_id=self.cluster_id, due=due) or (0, 0, None)))

    def expire(self, due: Instant, *, at: Instant, actor: str) -> int:
        """Delete them, and record which went; how many. ``due`` is at least 30 days before ``at``."""
        with self.store.transaction():
            self.store.one("serialize", cluster_id=self.cluster_id)
            row = self.store.one("add_expiry", cluster_id=self.cluster_id, at=at, due=due, actor=actor)
            return self.store.do("drop_expired", expiry_id=row[0]) if row else 0

    def last(self, since: Instant, until: Instant) -> Instant | None:
        """When decisions of [since, until) expired last; None where none did."""
        key = {"cluster_id": self.cluster_id, "since": since, "until": until}
        row = self.store.one("expired_between", **key)
        return row[0] if row else None

    def compared(self) -> Comparison:
        """Compare every expiry with the entries of the chain that it lists."""
        return Comparison(*(self.store.one("expiries_compared", cluster_id=self.cluster_id) or (0, 0)))
