"""The stage on the model cluster: two `saf run`, a primary and a standby, each on a small disk of its own.

Rule: what is asked afterwards is asked as on a real Slurm: sacct and slurmdbd's log against the ledger's
tables. A daemon reaches PostgreSQL through a socket that can be cut, the stage itself does not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg

from tests.conftest import as_role
from tests.end_to_end import disk
from tests.end_to_end.running import Running
from tests.faults.between import Between
from tests.faults.judge import Written
from tests.faults.modelled import GONE, SHARES, Modelled
from tests.faults.pair import PairStage
from tests.saf import Saf

PERIOD, TIMEOUT, LEDGER_TIMEOUT = 2, 2, 2
DISK = "320m"
TABLES = "runs, reads, decisions, changes"
"""What a cycle writes to."""

GRANT, REVOKE = f"GRANT INSERT ON {TABLES} TO saf_daemon", f"REVOKE INSERT ON {TABLES} FROM saf_daemon"


class ModelStage(PairStage):
    """``disks``: whether each server is on a small file system of its own, which needs root."""

    def __init__(
        self, directory: Path, seed: int, stack: ExitStack, *, disks: bool = True, period: int = PERIOD
    ) -> None:
        self.stack, self.directory, self.disks = stack, directory, disks
        self.operator_dice = random.Random(-seed)
        self.pair: dict[int, tuple[Saf, Running]] = {}
        self.model = Modelled(directory, seed)
        self.slurm = self.gate = self.model  # type: ignore[assignment]
        stack.enter_context(self.model.serving())
        self.url = self._ledger()
        self.networks = [
            stack.enter_context(between.passing()) or between
            for name, server in (("one", self.primary), ("two", self.standby))
            for between in [Between(directory / name, server.directory)]
        ]
        hosts = ",".join(str(one.place) for one in self.networks)
        reached = as_role(psycopg.conninfo.make_conninfo(self.url, host=hosts), "saf_daemon_login")
        self.saf, self.second = self.another("saf", reached), self.another("second", reached)
        for saf in (self.saf, self.second):
            saf.configure("cluster", name="model")
            saf.configure("daemon", period=f"{period}s")
            saf.configure("slurm", timeout=f"{TIMEOUT}s", directory=str(directory / "bin"))
            saf.configure("ledger", timeout=f"{LEDGER_TIMEOUT}s")
        self.beside = SHARES["national"]
        self._started, self._daemon, self.usual = 0, None, True
        self.since = 0  # whatever was written is looked for in the ledger

    def places(self) -> tuple[Path | None, Path | None]:
        """A small file system for each server."""
        if not self.disks:
            return None, None
        first, second = (
            self.stack.enter_context(disk.small(self.directory / name, DISK)) for name in ("disk1", "disk2")
        )
        return first, second

    @contextmanager
    def alive(self) -> Iterator[None]:
        """The jobs are the model's own; both daemons are ended afterwards."""
        try:
            yield
        finally:
            self.end()

    def operate(self) -> None:
        """Set other RawShares, as an operator."""
        self.model.operate("operator", "regional", self.operator_dice.randint(15, 30))

    def transactions(self) -> list[Written]:
        """Every change of the region's RawShares, oldest first."""
        log = self.model.log
        return [Written(one.at, one.actor == "root", one.raw_shares) for one in log]

    def frozen_out(self, leader: int) -> bool:
        """Whether a leader that stands still has lost the lock to the other."""
        with suppress(psycopg.Error):
            return self.leader() != leader
        return False

    def fillers(self) -> list[Path]:
        """The file that fills the disk of each server."""
        return [one.directory.parent / "filler" for one in (self.primary, self.standby)]

    def heal(self) -> None:
        """Whatever a fault left: everything runs again, and the primary has a standby."""
        for daemon in GONE:
            self.model.be(daemon)
        self.model.printer.shift = 0
        for between in self.networks:
            between.be()
        for filler in self.fillers() if self.disks else []:
            filler.unlink(missing_ok=True)
        self.follow_again()
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(GRANT.encode())
