"""What the tests on a real Slurm have in common: known shares to begin with, and commands that misbehave."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cluster.slurm import SlurmCluster, wait_until
from tests.saf import Saf
from tests.scratch import program

COMMANDS = ("sacct", "sacctmgr", "sshare", "scontrol", "squeue", "sprio", "sdiag")
BASELINE = 25
EAGER: dict[str, Any] = {"mode": "enforce", "share_min": 0.6, "share_max": 0.9, "slew": 0.1}
"""A configuration that wants more for the region at once, whatever was delivered."""


def raw_shares(slurm: SlurmCluster, account: str = "regional") -> tuple[int, int]:
    """(slurmdbd's, slurmctld's) RawShares of an account's own row."""
    stored = slurm.run("sacctmgr", "-n", "-P", "show", "assoc", f"account={account}", "user=", "format=Share")
    live = slurm.run("sshare", "-n", "-P", "-A", account, "-o", "RawShares")
    return int(stored.split()[0]), int(live.split()[0])


def transactions(slurm: SlurmCluster) -> list[str]:
    """slurmdbd's own log of every change of an association since it began."""
    lines = slurm.run("sacctmgr", "-n", "-P", "list", "transactions", "format=Action,Where,Info").splitlines()
    return [line for line in lines if line.startswith("Modify Associations")]


def set_shares(slurm: SlurmCluster, value: int) -> None:
    """As an operator would, and waited for."""
    slurm.run("sacctmgr", "-i", "modify", "account", "where", "name=regional", "cluster=loop", "set",
              f"fairshare={value}")  # fmt: skip
    wait_until(lambda: raw_shares(slurm) == (value, value), f"RawShares {value} in slurmctld", 180)


@pytest.fixture
def eager(slurm: SlurmCluster, saf: Saf) -> Saf:
    """saf in mode enforce, wanting a raise, on a cluster whose region has its baseline."""
    set_shares(slurm, BASELINE)
    saf.configure("control", **EAGER)
    return saf


Wrap = Callable[[str, str], None]


@pytest.fixture
def wrap(saf: Saf) -> Wrap:
    """Put a shell script in the place of one Slurm command; $REAL in it is the command itself."""
    return wrapper(saf)


def wrapper(saf: Saf) -> Wrap:
    """What the fixture ``wrap`` is. A command is never missing, so that a daemon may run meanwhile."""
    directory = saf.directory / "bin"
    directory.mkdir()
    for name in COMMANDS:
        (directory / name).symlink_to(_which(name, saf))

    def wrapped(name: str, script: str) -> None:
        made = directory / f"{name}.new"
        program(made, f"REAL={_which(name, saf)}\n{script}")
        made.rename(directory / name)
        saf.configure("slurm", directory=str(directory))

    return wrapped


def libfaketime() -> str:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        pytest.skip("libfaketime is not installed")
    return str(found[0])


def cut_sessions(ledger_url: str) -> None:
    """As a server does that takes the leader for dead."""
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def _which(name: str, saf: Saf) -> Path:
    """The command of the Slurm that the test runs on."""
    found = shutil.which(name, path=saf.env["PATH"])
    assert found
    return Path(found)
