"""The product with a ledger that has some days of four accounts, and no Slurm to ask."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from slurm_ai_factory.core.records import HOUR, Association, Run, Size, Subject
from slurm_ai_factory.ledger import open_ledger
from tests.conftest import new_ledger
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
ALWAYS = ("--since", "2020-01-01", "--reason", "the list of members")
UMCG = ("organisation", "add", "umcg", "--name", "UMCG", "--kvk", "01234567", "--category",
        "knowledge_institution", "--sector", "care", "--municipality", "GM0014", "--hub", "groningen",
        *ALWAYS)  # fmt: skip
PLANT = ("organisation", "add", "plant", "--name", "Plant", "--kvk", "17000000", "--category", "business",
         "--sector", "C", "--municipality", "GM0772", "--hub", "south", *ALWAYS)  # fmt: skip
HOURS = ("--role", "data scientist", "--activity", "intake")


@cache
def today() -> int:
    """The beginning of the day on which the tests began, in UTC, also of those that run after midnight."""
    now = int(time.time())
    return now - now % (24 * HOUR)


def link(key: str, account: str, fraction: str = "1", *dates: str) -> tuple[str, ...]:
    return ("organisation", "link", key, "--account", account, "--fraction", fraction, *(dates or ALWAYS))


def charges(saf: Saf, by: str, *options: str) -> dict[tuple[str, str], float]:
    """Charge by group and beneficiary, in hours of all days."""
    found = saf.json("share", "--by", by, *options)
    assert sum(group["charge"] for group in found["groups"]) == found["total_charge"]
    return {(g["name"], g["beneficiary"]): g["charge"] / HOUR / DAYS for g in found["groups"]}


def civil(days_ago: int) -> str:
    return datetime.fromtimestamp(today() - days_ago * 24 * HOUR, UTC).date().isoformat()


def add_hours(saf: Saf, organisation: str, hours: str, *more: str) -> int:
    day = ("--date", civil(1), "--organisation", organisation, "--hours", hours)
    return int(saf.json("expertise", "add", *day, *HOURS, *more)["entry"])


@pytest.fixture(scope="session")
def days(postgresql: str) -> Iterator[str]:
    """A ledger that has the days, to be copied."""
    at = today()
    with new_ledger(postgresql) as url:
        with open_ledger(url, "loop") as ledger:
            tree = [
                Association(cluster="loop", account=one, parent=up, raw_shares=1) for one, up in TREE.items()
            ]
            ledger.intake.record_accounts(tree, at - 9 * 24 * HOUR)
            ledger.intake.record_events([Size(at - 90 * 24 * HOUR, None, "cpu=40,node=1")], [], 1)
            ledger.intake.record(_runs(at), at - 9 * 24 * HOUR, at, at=at)
        yield url


@pytest.fixture
def ledger_url(postgresql: str, days: str) -> Iterator[str]:
    """A ledger of the test's own, which has the days."""
    with new_ledger(postgresql, days) as url:
        yield url


def saf_of(ledger_url: str, directory: Path) -> Saf:
    """The product; charges are in cpu-seconds, and each account's are CPUS x DAYS x HOUR."""
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    saf = Saf(directory, env, ledger_url)
    saf.configure("daemon", ready_after="1s")  # midnight was read last, and is too old a minute later
    saf.configure("promise", RULES, window="rolling:7d")
    return saf


@pytest.fixture
def books(ledger_url: str, tmp_path: Path) -> Saf:
    """The product on a ledger of the test's own."""
    return saf_of(ledger_url, tmp_path)


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


@pytest.fixture
def registered(books: Saf) -> Saf:
    """A hospital in the region that has one account and part of a joint one, and a plant outside."""
    joint = (link("umcg", "umcg"), link("umcg", "joint", "0.4"), link("plant", "joint", "0,35"))
    for command in (UMCG, PLANT, *joint):
        books.run(*command)
    return books
