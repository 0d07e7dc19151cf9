"""A small cluster in memory for the product to measure and steer: nodes, queues, Fair Tree of two accounts.

Rule: it has the methods of slurm_ai_factory.slurm.Slurm and keeps time by its own clock, so that a quarter
passes in seconds; all of it follows from the seed. It says nothing about how good a policy is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from slurm_ai_factory.core import records
from slurm_ai_factory.core.live.authority import PriorityTerms
from slurm_ai_factory.core.live.demand import Queued
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.errors import SlurmError

CLUSTER = "noorderlicht"
START = 1782856800
"""2026-07-01 in Amsterdam: the beginning of a quarter."""
STEP = 600
NODES = 48
GPUS = 8
HALF_LIFE = 48 * records.HOUR
DAY = 24 * records.HOUR

LONGEST_QUEUE = 20
"""Of one account: who sees so many of their jobs wait submits no more."""

TREE = {
    "regional": "root", "national": "root",
    "reg-business": "regional", "reg-knowledge": "regional", "reg-government": "regional",
    "astro": "national", "climate": "national", "guest": "national",
}  # fmt: skip

DEMAND = {
    "reg-business": (0.09, 0.16),
    "reg-knowledge": (0.06, 0.16),
    "reg-government": (0.02, 0.05),
    "astro": (0.55, 0.50),
    "climate": (0.45, 0.40),
    "guest": (0.02, 0.02),
}
"""Work submitted in an hour, as a part of what the cluster can do: in the first week, and from then on."""


@dataclass
class Model:
    """One cluster; ``advance`` lets time pass."""

    raw_shares: dict[str, int] = field(default_factory=lambda: {"regional": 250, "national": 750})
    now: records.Instant = START
    broken: str = ""  #: while this is set, sacct fails with it
    random: Random = field(default_factory=lambda: Random(7))
    usage: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TREE, 0.0))
    waiting: dict[str, list[records.Run]] = field(default_factory=lambda: {name: [] for name in DEMAND})
    running: list[tuple[records.Instant, records.Run]] = field(default_factory=list)
    ended: list[records.Run] = field(default_factory=list)
    submitted: int = 0
    users: int = 40
    busy: float = 1.0  #: how much of DEMAND comes
    calls: int = 0
    cluster: str = CLUSTER

    def advance(self, seconds: int) -> None:
        """Let time pass in steps: jobs end, come and start; usage decays."""
        for _ in range(seconds // STEP):
            self._end()
            self._submit()
            self._start()
            self.now += STEP
            self._use()

    def _end(self) -> None:
        for end, run in [one for one in self.running if one[0] <= self.now]:
            self.running.remove((end, run))
            start = run.start_at or end
            self.ended.append(run._replace(state="COMPLETED", end_at=end, elapsed_seconds=end - start))

    def _submit(self) -> None:
        week = min(1, (self.now - START) // (7 * DAY))
        for account, parts in DEMAND.items():
            rate = self.busy * parts[week] * NODES * STEP / (4 * records.HOUR)
            room = LONGEST_QUEUE - len(self.waiting[account])
            for _ in range(min(room, int(rate) + (self.random.random() < rate % 1))):
                self.submitted += 1
                self.waiting[account].append(self._job(self.submitted, account))

    def _job(self, number: int, account: str) -> records.Run:
        return records.Run(
            db_index=number, job_id=number, job_label=str(number),
            subject=records.Subject(
                self.cluster, account, f"user{number % self.users}", "gpu", "normal", "", ""
            ),
            state="PENDING",
            submit_at=self.now, eligible_at=self.now, start_at=None, end_at=None, elapsed_seconds=0,
            suspended_seconds=0, req_tres=f"billing={GPUS},cpu=64,gres/gpu={GPUS},node=1", alloc_tres="",
        )  # fmt: skip

    def _start(self) -> None:
        """Fill free nodes: first the side whose usage is below its share, then whoever has work."""
        for _ in range(NODES - len(self.running)):
            account = next((name for name in self._order() if self.waiting[name]), None)
            if account is None:
                return
            run = self.waiting[account].pop(0)
            length = int(min(16 * records.HOUR, self.random.expovariate(1 / (4 * records.HOUR)))) + STEP
            started = run._replace(state="RUNNING", start_at=self.now, alloc_tres=run.req_tres)
            self.running.append((self.now + length, started))

    def _order(self) -> list[str]:
        share = self.raw_shares["regional"] / sum(self.raw_shares.values())
        first = "regional" if self.usage["regional"] < share * self._used() else "national"
        names = sorted(DEMAND, key=lambda name: self.usage[name])
        return [n for n in names if TREE[n] == first] + [n for n in names if TREE[n] != first]

    def _used(self) -> float:
        return self.usage["regional"] + self.usage["national"] or 1.0

    def _use(self) -> None:
        kept = 0.5 ** (STEP / HALF_LIFE)
        self.usage = {name: kept * value for name, value in self.usage.items()}
        for _, run in self.running:
            account = run.subject.account
            for name in (account, TREE[account]):
                self.usage[name] += GPUS * STEP

    def runs(self, since: records.Instant, until: records.Instant) -> Iterator[records.Run]:
        """Every run that was eligible or running in [since, until)."""
        self.calls += 1
        if self.broken:
            raise SlurmError(self.broken)
        found = [one for one in self.ended if (one.end_at or 0) >= since]
        open_runs = [run for _, run in self.running] + [
            one for queue in self.waiting.values() for one in queue
        ]
        return (one for one in [*found, *open_runs] if (one.eligible_at or 0) < until)

    def associations(self) -> tuple[records.Association, ...]:
        """The accounts."""
        self.calls += 1
        accounts = [("root", None), *TREE.items()]
        return tuple(
            records.Association(
                cluster=self.cluster, account=name, parent=parent, raw_shares=self.raw_shares.get(name, 1),
                stored_shares=self.raw_shares.get(name, 1), raw_usage=int(self.usage.get(name, 0.0)),
                effectv_usage=self.usage.get(name, 0.0) / self._used(), norm_shares=None, level_fs=None,
            )
            for name, parent in accounts
        )  # fmt: skip

    def events(
        self, _since: records.Instant, _until: records.Instant
    ) -> tuple[list[records.Size], list[records.Outage]]:
        """One size for ever; a node that was down for half a day."""
        self.calls += 1
        each = f"billing={GPUS},cpu=64,gres/gpu={GPUS},node=1"
        size = f"billing={GPUS * NODES},cpu={64 * NODES},gres/gpu={GPUS * NODES},node={NODES}"
        return [records.Size(START - DAY, None, size)], [
            records.Outage("n1", START + 9 * DAY, START + 9 * DAY + 12 * records.HOUR, "DOWN", each)
        ]

    def priority_config(self) -> records.PriorityConfig:
        """A usual configuration."""
        self.calls += 1
        return records.PriorityConfig(
            cluster=self.cluster, version="24.11.5", priority_type="priority/multifactor",
            decay_half_life_seconds=HALF_LIFE, calc_period_seconds=300, weight_fairshare=100000, weight_age=0,
            flags=(), enforce=("associations", "limits", "safe"), tres=("cpu", "mem", "node", "gres/gpu"),
        )  # fmt: skip

    def queue(self) -> list[Queued]:
        """Every job that is running or waits, as squeue tells it."""
        self.calls += 1
        running = [self._queued(run, run.alloc_tres) for _, run in self.running]
        waiting = [self._queued(run, run.req_tres) for queue in self.waiting.values() for run in queue]
        return running + waiting

    def _queued(self, run: records.Run, tres: str) -> Queued:
        return Queued(
            job_id=run.job_id, array_id=None, tasks=1, task_limit=None, het_id=None, subject=run.subject,
            state=run.state, reason="Priority" if run.state == "PENDING" else "None", priority=1000,
            eligible_at=run.eligible_at, limit_seconds=16 * records.HOUR, tres=tres,
        )  # fmt: skip

    def priority_terms(self) -> list[PriorityTerms]:
        """Of each job that waits: fairshare by its side's turn, and a little for its age."""
        self.calls += 1
        first = TREE[self._order()[0]]
        return [
            PriorityTerms(
                run.job_id,
                "gpu",
                6000.0 if TREE[name] == first else 3000.0,
                0.01 * (self.now - (run.submit_at or 0)),
            )
            for name, queue in self.waiting.items()
            for run in queue
        ]

    def diagnostics(self) -> Diagnostics:
        """All is well."""
        self.calls += 1
        return Diagnostics(self.now, 0, self.now, 100, 100)

    def unreadable(self) -> list[records.Rejected]:
        """The model has nothing that cannot be read."""
        return []

    def logged_changes(
        self, _lever: object, _name: str, _since: records.Instant
    ) -> list[records.Transaction]:
        """The model keeps no log."""
        self.calls += 1
        return []

    def set_raw_shares(self, change: records.Change, _deadline: float, /) -> None:
        """As sacctmgr would, at once."""
        self.calls += 1
        self.raw_shares[change.account] = change.raw_shares_after

    def rolled_up(self, _since: records.Instant, _until: records.Instant) -> bool:
        """slurmdbd is always up to date here."""
        self.calls += 1
        return True

    def utilization(self, since: records.Instant, until: records.Instant) -> dict[tuple[str, str], int]:
        """What sreport would say: the runs themselves, hour by hour."""
        self.calls += 1
        found: dict[tuple[str, str], int] = {}
        for run in [*self.ended, *(one for _, one in self.running)]:
            seconds = min(until, run.end_at or self.now) - max(since, run.start_at or until)
            for entry in run.alloc_tres.split(",") if seconds > 0 else ():
                name, _, count = entry.partition("=")
                key = run.subject.account, name
                found[key] = found.get(key, 0) + int(count) * seconds
        return found

    def reservations(self, _since: records.Instant, _until: records.Instant) -> list[records.Reservation]:
        """None."""
        self.calls += 1
        return []
