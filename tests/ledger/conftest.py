"""A ledger of one cluster, in an empty database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slurm_ai_factory.ledger import Ledger, open_ledger


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with open_ledger(ledger_url, "c") as opened:
        yield opened
