"""Slurm archives and purges its accounting: what the ledger has read stays, and counts as before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slurm_ai_factory.core.records import HOUR
from tests.cluster.slurm import SlurmCluster, unavailable, wait_until
from tests.cluster.tree import plant
from tests.saf import Saf

SPEED = 60
START = "2026-03-03 00:35:00"
DEADLINE = 300


@pytest.fixture(scope="module")
def slurm(open_directory: Path) -> Iterator[SlurmCluster]:
    if reason := unavailable(SPEED):
        pytest.skip(reason)
    with SlurmCluster(open_directory / "purge", nodes=1, speed=SPEED, clock_start=START) as cluster:
        yield cluster


def recorded(slurm: SlurmCluster) -> list[str]:
    """The jobs that slurmdbd still has."""
    since = START.replace(" ", "T")
    return slurm.run("sacct", "-a", "-D", "-X", "-n", "-P", "-S", since, "-o", "JobID").split()


def charged(saf: Saf) -> tuple[Any, Any]:
    """The charge of the window, and of each account."""
    shown = saf.json("share", "--by", "account")
    return shown["total_charge"], shown["groups"]


@pytest.mark.slurm
def test_what_slurm_purges_stays_in_the_ledger(slurm: SlurmCluster, saf: Saf) -> None:
    accounts = (tree := plant(slurm)).regional | tree.national
    for job in [slurm.submit(users[0], account, seconds=30) for account, users in accounts.items()]:
        slurm.wait_for(job, "COMPLETED")
    saf.configure("slurm", timeout="10m")
    saf.run("cycle")
    before = charged(saf)
    assert [group["name"] for group in before[1]] != []
    assert len(recorded(slurm)) == len(accounts)
    purgeable = (slurm.now() // HOUR + 2) * HOUR
    wait_until(lambda: slurm.now() > purgeable, "the second full hour", DEADLINE, interval=0.5)
    archive = saf.directory / "archive"
    archive.mkdir()
    slurm.run("sacctmgr", "-i", "archive", "dump", "Jobs", "PurgeJobAfter=1hours", f"Directory={archive}")
    assert recorded(slurm) == []
    assert [file.name for file in archive.iterdir()] != []
    saf.run("cycle")
    assert charged(saf) == before
    saf.run("ledger", "verify")
