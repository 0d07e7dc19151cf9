"""A Slurm that answers from memory, so that the time of a cycle is the product's own.

Rule: it has the methods of the real one and answers as a busy cluster would at each instant of a simulated
clock: at every beat some running jobs have ended, waiting ones have started and new ones have come.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from slurm_ai_factory.core import records
from slurm_ai_factory.core.live.authority import PriorityTerms
from slurm_ai_factory.core.live.demand import Queued
from slurm_ai_factory.core.live.health import Diagnostics

ENDED_EACH_BEAT = 35


@dataclass
class StandIn:
    """One cluster: its open runs, and those that ended lately in the order of their ends."""

    cluster: str
    tree: dict[str, str]
    users: list[tuple[str, str]]
    open_runs: list[records.Run]
    ended: list[records.Run]
    ends: list[records.Instant] = field(init=False)
    newest: int = field(init=False)
    now: records.Instant = 0

    def __post_init__(self) -> None:
        self.ends = [run.end_at or 0 for run in self.ended]
        self.newest = max(run.db_index for run in [*self.open_runs, *self.ended])

    def beat(self, now: records.Instant, seconds: int) -> None:
        """Let the time of one beat pass, up to now."""
        self.now = now
        running = [run for run in self.open_runs if run.start_at is not None][:ENDED_EACH_BEAT]
        waiting = [run for run in self.open_runs if run.start_at is None][:ENDED_EACH_BEAT]
        gone = {run.db_index for run in [*running, *waiting]}
        self.open_runs = [run for run in self.open_runs if run.db_index not in gone]
        for number, run in enumerate(running):
            self._end(run, now - 1 - number * seconds // ENDED_EACH_BEAT)
        for number, run in enumerate(waiting):
            start = now - 1 - number * seconds // ENDED_EACH_BEAT
            self.open_runs.append(run._replace(state="RUNNING", start_at=start, alloc_tres=run.req_tres))
        for run in running:
            self._submit(run, now - 1)

    def _end(self, run: records.Run, end: records.Instant) -> None:
        start = run.start_at or end
        end = max(start, end)
        done = run._replace(state="COMPLETED", end_at=end, elapsed_seconds=end - start)
        insort(self.ended, done, key=lambda run: run.end_at or 0)
        insort(self.ends, end)

    def _submit(self, like: records.Run, at: records.Instant) -> None:
        self.newest += 1
        fresh = like._replace(
            db_index=self.newest, job_id=self.newest, job_label=str(self.newest), state="PENDING",
            submit_at=at, eligible_at=at, start_at=None, alloc_tres="",
        )  # fmt: skip
        self.open_runs.append(fresh)

    def runs(self, since: records.Instant, until: records.Instant) -> Iterator[records.Run]:
        """Every run that was eligible or running in [since, until)."""
        lately = self.ended[bisect_left(self.ends, since) :]
        return (run for run in [*lately, *self.open_runs] if (run.eligible_at or 0) < until)

    def federation_id(self) -> int:
        """The cluster is in no federation, though its numbers of jobs are as large as in one."""
        return 0

    def associations(self) -> tuple[records.Association, ...]:
        """The accounts and their users."""
        shares = {"regional": 25, "national": 75}
        accounts = [("root", None), *((name, parent) for name, parent in self.tree.items())]
        rows = [(name, parent, None) for name, parent in accounts] + [
            (account, None, user) for account, user in self.users
        ]
        return tuple(
            records.Association(
                cluster=self.cluster, account=name, parent=parent, user=user,
                raw_shares=shares.get(name, 1), stored_shares=shares.get(name, 1), norm_shares=0.01,
                raw_usage=1000, effectv_usage=0.25 if name == "regional" else 0.75, level_fs=1.0,
            )
            for name, parent, user in rows
        )  # fmt: skip

    def events(
        self, _since: records.Instant, _until: records.Instant
    ) -> tuple[list[records.Size], list[records.Outage]]:
        """One size, and no outage."""
        return [
            records.Size(1_700_000_000, None, "billing=20000,cpu=20000,gres/gpu=2000,mem=80000000,node=400")
        ], []

    def priority_config(self) -> records.PriorityConfig:
        """A usual configuration."""
        return records.PriorityConfig(
            cluster=self.cluster, version="24.11.5", priority_type="priority/multifactor",
            decay_half_life_seconds=7 * 86400, calc_period_seconds=300, weight_fairshare=100000, weight_age=0,
            flags=(), enforce=("associations", "limits", "safe"), tres=("cpu", "mem", "node", "gres/gpu"),
        )  # fmt: skip

    def queue(self) -> list[Queued]:
        """No job: the ledger is measured."""
        return []

    def priority_terms(self) -> list[PriorityTerms]:
        """No job waits."""
        return []

    def diagnostics(self) -> Diagnostics:
        """slurmctld is well, and its clock is the simulated one."""
        return Diagnostics(self.now, 0, None, None, None)

    def unreadable(self) -> list[records.Rejected]:
        """None: every row can be read."""
        return []

    def set_raw_shares(self, change: records.Change) -> None:
        """Never called: cycles are measured in mode observe."""
        raise AssertionError(change)
