"""The product with a ledger that has some days of four accounts, and no Slurm to ask."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from slurm_ai_factory.core.records import HOUR, Association, Run, Size, Subject
from slurm_ai_factory.ledger import open_ledger
from tests.saf import Saf

RULES = """
[[rule]]
name = "benchmarks"
beneficiary = "non_regional"
account_subtree = "umcg"
qos = "benchmark"

[[rule]]
name = "registry"
beneficiary = "registry"

[[rule]]
name = "national"
beneficiary = "non_regional"
account_subtree = "national"
"""
TREE = {
    "root": None, "regional": "root", "umcg": "regional", "genomes": "umcg", "joint": "regional",
    "national": "root", "astro": "national", "visitors": "root",
}  # fmt: skip
CPUS = {"genomes": 4, "joint": 10, "astro": 20, "visitors": 2}
DAYS = 4
"""Every account runs for the first hour of each of the last days, in UTC."""


def today() -> int:
    now = int(time.time())
    return now - now % (24 * HOUR)


@pytest.fixture
def books(ledger_url: str, tmp_path: Path) -> Saf:
    """The product; charges are in cpu-seconds, and each account's are CPUS x DAYS x HOUR."""
    at = today()
    with open_ledger(ledger_url, "loop") as ledger:
        tree = [Association(cluster="loop", account=one, parent=up, raw_shares=1) for one, up in TREE.items()]
        ledger.intake.record_accounts(tree, at - 9 * 24 * HOUR)
        ledger.intake.record_events([Size(at - 90 * 24 * HOUR, None, "cpu=40,node=1")], [], 1)
        ledger.intake.record(_runs(at), at - 9 * 24 * HOUR, at, at=at)
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    saf = Saf(tmp_path, env, ledger_url)
    saf.configure("promise", RULES, window="rolling:7d")
    return saf


def _runs(at: int) -> list[Run]:
    found = []
    for day in range(1, DAYS + 1):
        for number, (account, cpus) in enumerate(CPUS.items()):
            start, index = at - day * 24 * HOUR, day * 10 + number
            subject = Subject("loop", account, "jan", "main", "normal", "", "")
            tres = f"cpu={cpus},node=1"
            found.append(
                Run(index, index, str(index), subject, "COMPLETED", start, start, start, start + HOUR, HOUR,
                    0, tres, tres)
            )  # fmt: skip
    never = found[0]._replace(db_index=1, job_id=1, job_label="1", state="CANCELLED", start_at=None,
                              elapsed_seconds=0, alloc_tres="",
                              subject=found[0].subject._replace(qos="benchmark"))  # fmt: skip
    return [*found, never._replace(end_at=never.eligible_at)]
