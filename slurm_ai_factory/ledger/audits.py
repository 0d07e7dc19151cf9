"""Checks of the books that were made, and what they found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.ledger.store import Store, json


class Audit(NamedTuple):
    """A check of the books: of all there is, or of an interval."""

    command: str  #: verify or reconcile
    at: Instant
    since: Instant | None
    until: Instant | None
    findings: int


@dataclass(frozen=True, slots=True)
class Audits:
    """The checks that were made of one cluster's books."""

    store: Store
    cluster_id: int

    def keep(self, made: Audit, result: Mapping[str, object], actor: str) -> None:
        """Note a check that was made, with all that it found; of a cluster that is not known, nothing."""
        if not self.cluster_id:
            return
        found = {"result": json(result), "actor": actor}
        self.store.do("add_audit", cluster_id=self.cluster_id, **made._asdict(), **found)

    def made(self, since: Instant, as_of: Instant) -> list[Audit]:
        """The checks made in [since, as_of], oldest first."""
        rows = self.store.all("audits", cluster_id=self.cluster_id, since=since, as_of=as_of)
        return [Audit(*row) for row in rows]
