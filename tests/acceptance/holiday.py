"""The holiday on a real Slurm: both sides always want more than there is, and at times the others are away.

A month of a facility in six hours of a small cluster: window, half-life and run times are in the proportion
of a 30-day window, a half-life of 7 days and jobs of some 40 hours. Rule: on both clusters the jobs of each
side are the same and come in the same order, each as soon as its side's queue has room.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from pathlib import Path
from signal import SIGTERM
from threading import Event
from types import TracebackType

from slurm_ai_factory.ledger import Store
from tests.acceptance.judge import LedgerShare, Lived, Run, Sample
from tests.cluster.processes import ClusterError
from tests.cluster.slurm import SlurmCluster
from tests.cluster.tree import Tree, plant
from tests.cluster.workload import Workload
from tests.saf import Saf

MINUTE, HOUR = 60, 3600
SPEED = 60
START = "2026-01-01 00:00:00"
WINDOW = 6 * HOUR
FLOOR, MARGIN = 0.25, 0.02
"""The default margin is less than one run of 4 CPUs for 25 minutes: 1.7 % of a window of 16 CPUs."""
HALF_LIFE = "01:24:00"
CYCLE_HOURS, FROM, AWAY = 12, 3, 3
"""The others are away from hour 3 of every 12 on, for 3 hours."""
SECONDS = (15 * MINUTE, 25 * MINUTE)
SIZES = {1: 8, 2: 4, 4: 1}
DEPTHS = {"national": 1.0, "regional": 2.0}
"""CPUs that wait, in units of the machine; the others come first, so that the region begins with nothing."""
STEP = 2.0
"""Real seconds between two looks at the queue."""
UNSET = ("Unknown", "None", "")
FIELDS = "Account,Submit,Start,End,AllocCPUS,ReqCPUS"


class Cluster(AbstractContextManager["Cluster"]):
    """One cluster, its users, and the daemon where there is one."""

    leaving = "national"
    """The workload that is away at times."""
    margin = MARGIN

    def __init__(self, name: str, directory: Path, seed: int, ledger_url: str | None) -> None:
        self.name, self.directory, self.seed, self.ledger_url = name, directory, seed, ledger_url
        self.slurm = SlurmCluster(directory / "slurm", speed=SPEED, clock_start=START, half_life=HALF_LIFE)
        self.samples: list[Sample] = []
        self.failures: list[str] = []
        self.began = 0
        self._stack = ExitStack()

    def __enter__(self) -> Cluster:
        self._stack.enter_context(self.slurm)
        self.workloads = self._planted()
        self.saf = self._configured(self.ledger_url) if self.ledger_url else None
        self._daemon = self.saf.start(self.directory / "saf.log") if self.saf else None
        if self._daemon is not None:
            self._stack.callback(self._daemon.kill)
        return self

    def _planted(self) -> dict[str, Workload]:
        """The workload of each side; makes their accounts."""
        self.tree: Tree = plant(self.slurm)
        return {
            side: Workload(
                self.slurm, self.tree, seed=self.seed + number, depths={side: depth}, seconds=SECONDS,
                sizes=SIZES, arrays=0,
            )
            for number, (side, depth) in enumerate(DEPTHS.items())
        }  # fmt: skip

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def live(self, hours: int, stop: Event, tell: Callable[[str], None]) -> None:
        """Feed the queues and look at sshare until so many hours of the cluster's clock are over."""
        self.began = int(self.slurm.now())
        while not stop.is_set() and self.slurm.now() < self.began + hours * HOUR:
            try:
                self._step()
            except ClusterError as error:
                self.failures.append(str(error))
                tell(f"{self.name}: {error}")
            stop.wait(STEP)

    def _step(self) -> None:
        others = self.workloads[self.leaving]
        away = absent(int(self.slurm.now()) - self.began)
        if away and others.depths["national"]:
            self.slurm.run("scancel", "--state=PENDING", f"--account={','.join(others.accounts('national'))}")
        others.depths["national"] = 0.0 if away else DEPTHS["national"]
        for workload in self.workloads.values():
            workload.step()
        self.samples.append(self._look())

    def _look(self) -> Sample:
        printed = self.slurm.run("sshare", "-h", "-P", "-A", "regional", "-o", "NormShares,EffectvUsage")
        shares, usage = printed.splitlines()[0].split("|")
        return Sample(int(self.slurm.now()), float(shares), float(usage))

    def line(self) -> str:
        """Where it has come to, for who watches."""
        if not self.samples:
            return f"{self.name}: nothing yet"
        last = self.samples[-1]
        jobs = sum(one.submitted for one in self.workloads.values())
        return (
            f"{self.name}: hour {(last.at - self.began) / HOUR:.1f}, {jobs} jobs,"
            f" usage {last.effectv_usage:.3f}, share {last.norm_shares:.3f}"
        )

    def result(self) -> Lived:
        """What it lived through; the daemon is ended first."""
        until = int(self.slurm.now())
        writes, ledger = self.end_daemon()
        return Lived(
            name=self.name, began=self.began, until=until, cpus=16, away=spans(self.began, until),
            runs=self.runs(until, self.tree.regional), samples=tuple(self.samples), writes=writes,
            ledger=ledger,
        )  # fmt: skip

    def runs(self, until: int, regional: Collection[str]) -> tuple[Run, ...]:
        """Every allocation that sacct tells; what still runs or waits ends now."""
        command = ("sacct", "-a", "-X", "-D", "-P", "-n", "--noconvert", "-S", f"uts{self.began - HOUR}")
        printed = subprocess.run(
            [*command, "-o", FIELDS], env=self.slurm.env | {"TZ": "UTC", "SLURM_TIME_FORMAT": "%s"},
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        return tuple(_run(line.split("|"), until, regional) for line in printed.stdout.splitlines())

    def _configured(self, url: str) -> Saf:
        """Mode enforce, with the product's defaults in the same proportion to the window."""
        with Store(url) as store:
            store.migrate()
        saf = Saf(self.directory, self.slurm.env, url)
        saf.configure("promise", window="rolling:6h", target_share=FLOOR, margin=self.margin)
        saf.configure("slurm", timeout="60m", overlap_daily="6h")
        saf.configure("control", mode="enforce", recovery="36m", writes_per_day=2880)
        saf.configure("daemon", period="5m")
        return saf

    def end_daemon(self) -> tuple[int, LedgerShare | None]:
        """(writes that were read back, what the ledger has of the last window)."""
        if self.saf is None or self._daemon is None:
            return 0, None
        self._daemon.send_signal(SIGTERM)
        self._daemon.wait(timeout=120)
        told = self.saf.json("share")
        as_of, since = (int(datetime.fromisoformat(told[key]).timestamp()) for key in ("as_of", "since"))
        history = self.saf.json("history", "--limit", "10000")
        applied = sum(1 for entry in history if entry["status"] == "applied")
        return applied, LedgerShare(since, as_of, float(told["delivered_share"]))


def _run(row: list[str], until: int, regional: Collection[str]) -> Run:
    account, submit, start, end, allocated, requested = row
    return Run(
        regional=account in regional,
        submit=int(submit),
        start=None if start in UNSET else int(start),
        end=until if end in UNSET else min(until, int(end)),
        cpus=int(allocated if start not in UNSET else requested),
    )


def absent(seconds: int) -> bool:
    """Whether the others are away so long after the beginning.

    >>> [hour for hour in range(24) if absent(hour * HOUR)]
    [3, 4, 5, 15, 16, 17]
    """
    return FROM <= seconds / HOUR % CYCLE_HOURS < FROM + AWAY


def spans(began: int, until: int) -> tuple[tuple[int, int], ...]:
    """When the others were away.

    >>> spans(0, 10 * HOUR)
    ((10800, 21600),)
    """
    first = range(began + FROM * HOUR, until, CYCLE_HOURS * HOUR)
    return tuple((since, min(until, since + AWAY * HOUR)) for since in first)
