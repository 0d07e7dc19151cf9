"""The edge to PostgreSQL: what was read, what was decided, what was done. psycopg is imported here only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from slurm_ai_factory.ledger.accounting import Accounting, ReadResult
from slurm_ai_factory.ledger.control import Control, Planned
from slurm_ai_factory.ledger.store import Store

__all__ = ["Ledger", "Planned", "ReadResult", "Store", "open_ledger"]


@dataclass(frozen=True, slots=True)
class Ledger:
    """One cluster's books: its accounting, and what was decided and done."""

    store: Store
    accounting: Accounting
    control: Control


@contextmanager
def open_ledger(url: str, cluster: str) -> Iterator[Ledger]:
    """The ledger of one cluster, its schema checked. Raises LedgerError."""
    with Store(url) as store:
        store.check_schema()
        cluster_id = store.cluster_id(cluster)
        yield Ledger(store, Accounting(store, cluster, cluster_id), Control(store, cluster, cluster_id))
