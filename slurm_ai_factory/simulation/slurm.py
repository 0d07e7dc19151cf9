"""The model cluster as a source: what Slurm's commands would print of it, in the product's own values.

The rule: it reports what the engine did and nothing else, and nothing later than its clock. It has
no heterogeneous jobs, no arrays, no reservations and no late records, because the model has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from slurm_ai_factory.core import records, tres
from slurm_ai_factory.core.energy.keeping import NodeNow, ReservationAct, ReservedNow
from slurm_ai_factory.core.live.authority import PriorityTerms
from slurm_ai_factory.core.live.demand import Queued
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.simulation import fair_tree
from slurm_ai_factory.simulation.cluster import ModelCluster
from slurm_ai_factory.simulation.layout import NAME, Layout
from slurm_ai_factory.simulation.workload import COMPONENTS, Workload

QOS = "normal"


@dataclass(frozen=True, slots=True)
class ModelSlurm:
    """A model cluster as a ``source.Source``; each question first lets it catch up with the clock."""

    model: ModelCluster
    workload: Workload
    layout: Layout
    size: str  #: TRES of the whole cluster
    clock: Callable[[], records.Instant]

    @property
    def cluster(self) -> str:
        """ClusterName."""
        return NAME

    def advance(self) -> records.Instant:
        """Let everything happen that happens before now."""
        self.model.advance(max(self.model.now, self.clock()))
        return self.model.now

    def priority_config(self) -> records.PriorityConfig:
        """Its configuration."""
        settings = self.model.settings
        return records.PriorityConfig(
            cluster=NAME, version="model", priority_type="priority/multifactor",
            decay_half_life_seconds=settings.half_life, calc_period_seconds=settings.calc_period,
            weight_fairshare=int(settings.weight_fairshare), weight_age=int(settings.weight_age),
            flags=(), enforce=("associations", "limits"), tres=("billing", *COMPONENTS),
        )  # fmt: skip

    def associations(self) -> tuple[records.Association, ...]:
        """The whole tree, with NormShares, EffectvUsage and LevelFS as sshare computes them."""
        self.advance()
        rows = (*self.model.associations(), *self.model.members())
        root = fair_tree.tree_of_rows((row.account, row.parent, row.user, row.raw_shares) for row in rows)
        levels = fair_tree.levels(root, {row.key: float(row.raw_usage or 0) for row in rows})
        # Root competes with nobody, so it has no level.
        return tuple(replace(row, **levels[row.key]._asdict()) if row.key in levels else row for row in rows)

    def runs(self, since: records.Instant, until: records.Instant) -> Iterator[records.Run]:
        """Every run that was eligible or running in [since, until), as it stands now."""
        now = self.advance()
        jobs, start, end = self.model.jobs
        submitted = (start != -2) & (jobs.submit < min(until, now) - self.model.began)
        listed = submitted & ((start < 0) | (end >= since - self.model.began))
        return (self._run(job, now) for job in np.flatnonzero(listed).tolist())

    def _run(self, job: int, now: records.Instant) -> records.Run:
        jobs, starts, ends = self.model.jobs
        began, wanted = self.model.began, self._tres(job)
        start = began + int(starts[job]) if starts[job] >= 0 else None
        end = began + int(ends[job]) if start is not None and began + ends[job] <= now else None
        state = "PENDING" if start is None else "RUNNING" if end is None else "COMPLETED"
        return records.Run(
            db_index=job + 1, job_id=job + 1, job_label=str(job + 1), subject=self._subject(job), state=state,
            submit_at=began + int(jobs.submit[job]), eligible_at=began + int(jobs.submit[job]),
            start_at=start, end_at=end, elapsed_seconds=0 if start is None else (end or now) - start,
            suspended_seconds=0, req_tres=wanted, alloc_tres="" if start is None else wanted,
        )  # fmt: skip

    def _subject(self, job: int) -> records.Subject:
        account, user = self.workload.users[self.workload.user[job]]
        partition = self.workload.partitions[self.workload.partition[job]]
        return records.Subject(NAME, account, user, partition, QOS, "", "")

    def _tres(self, job: int) -> str:
        return _text(int(self.model.jobs[0].billing[job]), *map(int, self.workload.counts[job]))

    def events(
        self, since: records.Instant, until: records.Instant
    ) -> tuple[list[records.Size], list[records.Outage]]:
        """One size since it began, and the outages that have begun."""
        now = self.advance()
        outages = [
            self._outage(number)
            for number, outage in enumerate(self.layout.outages)
            if outage.since < min(until, now) and outage.until > since
        ]
        return [records.Size(self.model.began, None, self.size)], outages

    def _outage(self, number: int) -> records.Outage:
        outage, whole = self.layout.outages[number], int(self.layout.capacity.sum(axis=0)[0])
        down = ",".join(
            f"{name}={count * outage.counts[0] // whole}"
            for name, count in tres.parse_tres(self.size).items()
        )
        until = outage.until if outage.until <= self.model.now else None
        return records.Outage(f"outage{number}", outage.since, until, "DOWN", down)

    def queue(self) -> list[Queued]:
        """Waiting jobs in the order in which they would start, then running ones."""
        now = self.advance()
        _, start, end = self.model.jobs
        waiting = [(job, priority) for job, priority, _ in self.model.waiting()]
        running = np.flatnonzero((start >= 0) & (end > now - self.model.began)).tolist()
        return [
            *(self._queued(job, "PENDING", "Priority", round(priority)) for job, priority in waiting),
            *(self._queued(job, "RUNNING", "None", 1) for job in running),
        ]

    def _queued(self, job: int, state: str, reason: str, priority: int) -> Queued:
        jobs = self.model.jobs[0]
        return Queued(
            job_id=job + 1, array_id=None, tasks=1, task_limit=None, het_id=None, subject=self._subject(job),
            state=state, reason=reason, priority=max(1, priority), limit_seconds=int(jobs.limit[job]),
            eligible_at=self.model.began + int(jobs.submit[job]), tres=self._tres(job),
        )  # fmt: skip

    def priority_terms(self) -> list[PriorityTerms]:
        """The priority of each waiting job, as its fairshare term and the rest."""
        self.advance()
        return [
            PriorityTerms(job + 1, self._subject(job).partition, fairshare, priority - fairshare)
            for job, priority, fairshare in self.model.waiting()
        ]

    def diagnostics(self) -> Diagnostics:
        """The diagnostics of a healthy scheduler: the model's looks whenever there is something to start."""
        now, waiting = self.advance(), len(self.model.waiting())
        return Diagnostics(
            at=now, agent_queue=0, backfill_last_at=now,
            backfill_depth=min(waiting, self.model.settings.depth), backfill_queue=waiting,
        )  # fmt: skip

    def rolled_up(self, _since: records.Instant, until: records.Instant) -> bool:
        """An hour is rolled up when it is over."""
        return until <= self.advance()

    def utilization(
        self, since: records.Instant, until: records.Instant
    ) -> dict[tuple[str, str], records.Charge]:
        """TRES-seconds by (account, TRES), from the engine's own starts and ends."""
        now = self.advance()
        _, start, end = self.model.jobs
        first, last = since - self.model.began, min(until, now) - self.model.began
        seconds = np.where(start >= 0, np.minimum(end, last) - np.maximum(start, first), 0).clip(min=0)
        charges: dict[tuple[str, str], records.Charge] = {}
        for job in np.flatnonzero(seconds).tolist():
            for name, count in tres.parse_tres(self._tres(job)).items():
                key = self._subject(job).account, name
                charges[key] = charges.get(key, 0) + count * int(seconds[job])
        return charges

    def reservations(self, _since: records.Instant, _until: records.Instant) -> list[records.Reservation]:
        """The model has none."""
        return []

    def reserved(self) -> list[ReservedNow]:
        """The model has none."""
        return []

    def nodes_to_keep(self) -> list[NodeNow]:
        """The model counts resources, and has no nodes with names."""
        return []

    def reserve(self, act: ReservationAct, _now: records.Instant, _deadline: float, /) -> None:
        """Raises SlurmError."""
        raise SlurmError(f"the model cluster has no reservations, so not {act.name}; set grid.mode to plan")

    def unreadable(self) -> list[records.Rejected]:
        """The model has nothing that cannot be read."""
        return []

    def slurmdbd(self) -> records.Slurmdbd:
        """Nothing hides rows, and none is purged."""
        return records.Slurmdbd((), None, None)

    def federation_id(self) -> int:
        """The model is in no federation."""
        return 0

    def switch(self, _lever: records.LeverKind, _name: str) -> records.SwitchNow | None:
        """The model has neither QOS nor partitions with priorities of their own."""
        return None

    def logged_changes(
        self, _lever: records.LeverKind, _name: str, _since: records.Instant
    ) -> list[records.Transaction]:
        """The model keeps no log."""
        return []

    def set_raw_shares(self, change: records.Change, _deadline: float, /) -> None:
        """Set RawShares as sacctmgr does. Raises SlurmError for an account not on the steered level."""
        if change.object not in self.model.accounts:
            known = " and ".join(self.model.accounts)
            raise SlurmError(f"the model cluster steers {known} and has no {change.object} beside them")
        self.advance()
        self.model.set_raw_shares(change.account, change.raw_shares_after)


@lru_cache(maxsize=4096)
def _text(billing: int, *counts: int) -> str:
    """TRES as Slurm writes them.

    >>> _text(4, 64, 4, 1), _text(8, 8, 0, 0)
    ('billing=4,cpu=64,gres/gpu=4,node=1', 'billing=8,cpu=8')
    """
    named = zip(("billing", *COMPONENTS), (billing, *counts), strict=True)
    return ",".join(f"{name}={count}" for name, count in named if count)
