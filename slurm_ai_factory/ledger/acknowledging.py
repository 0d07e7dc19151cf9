"""Acknowledged findings of `saf doctor`. Rows are only added. Tested in tests/cli/test_doctor.py."""

from __future__ import annotations

from dataclasses import dataclass

from slurm_ai_factory.core.records import Acknowledgement
from slurm_ai_factory.ledger.store import Store


@dataclass(frozen=True, slots=True)
class AcknowledgementBook:
    """What operators acknowledged on one cluster."""

    store: Store
    cluster_id: int

    def add(self, acknowledgement: Acknowledgement) -> None:
        """Record an acknowledgement; it takes the place of an earlier one of its check."""
        self.store.do("add_acknowledgement", cluster_id=self.cluster_id, **acknowledgement._asdict())

    def newest(self) -> dict[str, Acknowledgement]:
        """The newest acknowledgement of each check, ended ones included and withdrawn ones not."""
        rows = self.store.all("acknowledgements", cluster_id=self.cluster_id)
        return {row[0]: Acknowledgement(*row) for row in rows}
