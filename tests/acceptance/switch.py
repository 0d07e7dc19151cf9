"""python -m tests.acceptance.switch: a QOS as the lever on a real Slurm, and how the region's part ripples.

For an hour of the cluster's clock the others have the machine; then both sides want more than there is. The
shares of the region's account are next to nothing, so what it gets is the switch's doing. The result goes to
docs/evaluation/switch-slurm.md; exit code 1 when the region is below its floor.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from slurm_ai_factory.ledger import embedded
from tests.acceptance.__main__ import DOCS, HOURS
from tests.acceptance.holiday import FLOOR, HALF_LIFE, HOUR, MINUTE, SPEED, START, Cluster
from tests.acceptance.judge import Run, share
from tests.cluster.requirements import unavailable
from tests.cluster.slurm import SlurmCluster
from tests.saf import RULES, Saf
from tests.scratch import scratch_directory

LENGTH = int(HOURS / 3)
"""Hours of the cluster's clock; each is a minute."""

FIRST = HOUR
"""The others alone."""

SETTLED = 4 * HOUR
"""From then on the region's part is judged."""

OPTIONS = {"PriorityWeightFairshare": "1000", "PriorityWeightQOS": "100000"}
BY_QOS = RULES.replace('account_subtree = "regional"', 'qos = "regional"')
PAGE = """# A QOS as the lever on a real Slurm

`make accept-switch` writes this page: a real Slurm of 16 CPUs on a clock {speed} times too
fast, `PriorityDecayHalfLife` {half_life}, jobs of 15 to 25 minutes and 1 to 4 CPUs, and `saf run` in mode
`enforce` with a cycle every 5 minutes and `control.lever = "qos"`. For the first hour the others have the
machine; then both sides always have jobs waiting. The region's account has 3 of 78 shares, so what it gets
is the switch's doing. The goal is {goal}. Length: {hours} hours.

| | |
|---|---|
| share of the region from hour {settled} on, from `sacct` | {share:.3f} |
| its lowest and highest hour | {lowest:.2f}, {highest:.2f} |
| decayed part of the charge (`usage_share`), lowest and highest | {low:.3f}, {high:.3f} |
| changes of the priority that were read back | {changes} |
| changes an hour | {rate:.1f} |

An hour here is what five days are with a half-life of 7 days. While the switch is raised, all jobs that start
are the region's, and jobs that run do not stop when it is lowered: so the hours differ more than the mean.
The region is above its goal because few jobs run at a time on 16 CPUs: the set-point lets usage pass it
by two runs and the hysteresis, and follows from there. [accept-slurm](accept-slurm.md) has the same cluster
with shares.
"""


class Switched(Cluster):
    """A cluster whose region is a QOS; the default margin, as what is judged is the mean of hours."""

    margin = 0.01

    def __init__(self, directory: Path, ledger_url: str) -> None:
        super().__init__("switch", directory, 1, ledger_url)
        self.slurm = SlurmCluster(
            directory / "slurm", speed=SPEED, clock_start=START, half_life=HALF_LIFE, options=OPTIONS
        )

    def __enter__(self) -> Switched:
        super().__enter__()
        self.slurm.run("sacctmgr", "-i", "add", "qos", "regional")
        self.slurm.run(
            "sacctmgr", "-i", "modify", "account", "where", "name=regional", "cluster=loop", "set",
            "fairshare=3", "qos+=regional", "defaultqos=regional",
        )  # fmt: skip
        return self

    def _configured(self, url: str) -> Saf:
        saf = super()._configured(url)
        saf.configure("control", BY_QOS, lever="qos", qos="regional", raised=1000)
        return saf

    def _step(self) -> None:
        region = self.workloads["regional"]
        region.depths["regional"] = 2.0 if self.slurm.now() >= self.began + FIRST else 0.0
        for workload in self.workloads.values():
            workload.step()
        self.samples.append(self._look())

    def page(self, hours: int) -> tuple[str, float]:
        """The page, and the share that it is about; ends the daemon."""
        runs, settled = self.runs(int(self.slurm.now()), self.tree.regional), self.began + SETTLED
        changes, _ = self.end_daemon()
        assert self.saf is not None
        decisions = self.saf.json("history", "--decisions", "--limit", "10000")
        usage = [
            entry["inputs"]["usage_share"]
            for entry in decisions
            if "usage_share" in entry["inputs"] and datetime.fromisoformat(entry["at"]).timestamp() > settled
        ]
        each = hourly(runs, settled, self.began + hours * HOUR)
        whole = share(runs, settled, self.began + hours * HOUR) or 0.0
        text = PAGE.format(
            speed=SPEED, half_life=HALF_LIFE, goal=FLOOR + Switched.margin, hours=hours,
            settled=SETTLED // HOUR, share=whole, lowest=min(each), highest=max(each),
            low=min(usage), high=max(usage), changes=changes, rate=changes / hours,
        )  # fmt: skip
        return text, whole


def hourly(runs: Sequence[Run], since: int, until: int) -> list[float]:
    """The region's part of each whole hour."""
    return [share(runs, at, at + 60 * MINUTE) or 0.0 for at in range(since, until - HOUR + 1, HOUR)]


def main() -> int:
    if reason := unavailable(SPEED):
        sys.exit(f"this needs a real Slurm: {reason}")
    with scratch_directory() as directory:
        url = embedded.url(directory / "ledger")
        try:
            with Switched(directory, url) as cluster:
                cluster.live(LENGTH, threading.Event(), lambda text: print(text, file=sys.stderr))
                text, whole = cluster.page(LENGTH)
                (DOCS / "switch-slurm.md").write_text(text, encoding="utf-8")
        finally:
            embedded.delete(directory / "ledger")
    print(text)
    return int(whole < FLOOR)


if __name__ == "__main__":
    sys.exit(main())
