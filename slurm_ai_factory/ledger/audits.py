"""Records `saf ledger verify` and `saf reconcile`: when they ran, and what they found.

Tested in tests/cli/ledger/test_verify.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.ledger.store import Store, json


class Audit(NamedTuple):
    """One check of the ledger: of all of it, or of the interval [since, until)."""

    command: str  #: verify or reconcile
    at: Instant
    since: Instant | None
    until: Instant | None
    findings: int  #: how many differences it found


@dataclass(frozen=True, slots=True)
class Audits:
    """The recorded checks of one cluster."""

    store: Store
    cluster_id: int

    def keep(self, made: Audit, result: Mapping[str, object], actor: str) -> None:
        """Record a check and its result; nothing for a cluster that the ledger does not know."""
        if self.cluster_id:
            values = {**made._asdict(), "result": json(result), "actor": actor}
            self.store.do("add_audit", cluster_id=self.cluster_id, **values)

    def made(self, since: Instant, as_of: Instant) -> list[Audit]:
        """The checks recorded in [since, as_of], oldest first."""
        rows = self.store.all("audits", cluster_id=self.cluster_id, since=since, as_of=as_of)
        return [Audit(*row) for row in rows]
