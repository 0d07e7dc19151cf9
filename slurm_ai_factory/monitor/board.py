"""The board: the last cycle as the daemon's loop shows it to its web threads.

The rule: metrics, status page and health checks read the board and nothing else, so that a look runs no Slurm
command and no SQL, and all of them show the same cycle. A value that is not known is None, never 0. Tested in
tests/monitor/test_metrics.py.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import NamedTuple
from zoneinfo import ZoneInfo

from slurm_ai_factory.core import records
from slurm_ai_factory.core.control.lever import Reach
from slurm_ai_factory.core.measure.share import Group
from slurm_ai_factory.core.measure.tally import Tally
from slurm_ai_factory.monitor.grid import GridShown

BOUNDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Upper bounds of the histograms of durations, in seconds."""

CAUSES = ("slurm", "ledger", "configuration", "machine", "defect")
"""Causes of a failed cycle."""


class Done(NamedTuple):
    """A change of RawShares in the ledger's history."""

    at: records.Instant
    account: str
    raw_shares_before: int
    raw_shares_after: int
    status: str
    reason: str


class Reconciled(NamedTuple):
    """A comparison of the ledger with sacct and sreport over one civil day."""

    at: records.Instant
    since: records.Instant
    until: records.Instant
    unexplained: records.Charge  #: TRES-seconds, all accounts and TRES


class Metered(NamedTuple):
    """What meters measured: up to when, and the energy of the window as it was last measured, once a day.

    Energy is in joules and water in cubic metres; what is not known is left out.
    """

    newest: Mapping[str, records.Instant]  #: by kind: the end of the longest silent meter's readings
    measured_at: records.Instant
    window: str
    closure: float | None
    closes: bool  #: whether figures by beneficiary may be given
    runs: Mapping[str, float]  #: energy of runs by what it rests on
    idle: float | None
    building: Mapping[str, float]  #: energy of the building by kind
    water: Mapping[str, float]


class Steered(NamedTuple):
    """A steered account of the region, or its QOS or partition, with RawShares or the value of the switch."""

    account: str
    raw_shares: int | None  #: after the cycle; None if the cluster does not have the account
    wanted: int | None  #: by the decision
    foreign_from: int | None = None  #: as our last change set them, if another user has changed them since


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A complete cycle, as it is shown."""

    at: records.Instant
    mode: records.Mode
    seconds: float
    phases: Mapping[str, float]  #: seconds of each phase of the cycle
    measurement: records.Measurement
    earlier: Sequence[records.Hour] = ()  #: the hours before a rolling window, as many as it has
    margin: float
    further: tuple[records.Further, ...] = ()  #: the other promises that hold, by name
    groups: Mapping[str, Sequence[Group]]  #: by category and by sector, largest first
    reach: Reach  #: of the steered accounts
    decision: records.Decision
    reason_since: records.Instant | None  #: of the first of the latest decisions that share this reason
    steered: tuple[Steered, ...]  #: at least one
    lever: records.LeverKind = records.LeverKind.ACCOUNT
    raised: int | None = None  #: the value of a switch while the region goes first; None for accounts
    weight_fairshare: int  #: PriorityWeightFairShare
    history: Sequence[Done]  #: the latest changes, newest first
    statuses: tuple[str, ...]
    unreadable: int  #: distinct lines of sacct that could not be parsed in the last day
    unknown_states: int
    unknown_accounts: tuple[str, ...]
    runs: int
    changed: int
    period: int
    stale_after: int
    zone: ZoneInfo
    authority: float | None = None  #: how far fairshare alone orders the queue; None if no job waits
    demand: Mapping[str, float] | None = None  #: beneficiary -> amount that pending jobs request
    retention_overdue: bool | None = None  #: None if [privacy] sets no limit
    contradiction: str = ""  #: where saf.toml contradicts the current term of the promise
    queue_unknown: int = 0  #: jobs pending for an unknown reason
    proposals: int = 0  #: waiting for a second person's approval
    tally: Tally | None = None  #: of the hours since the daemon started
    grid: GridShown | None = None  #: None where nothing is recorded of grid and water

    @property
    def promises(self) -> tuple[records.Further, ...]:
        """Every promise, the first one first."""
        return records.Further(self.measurement, self.margin), *self.further

    @property
    def switch_raised(self) -> bool | None:
        """Whether the switch is raised after the cycle; None for accounts, or if Slurm does not have it."""
        present = self.steered[0].raw_shares
        return None if self.raised is None or present is None else present == self.raised

    @property
    def foreign(self) -> bool:
        """Whether another user changed what is steered."""
        return any(row.foreign_from is not None for row in self.steered)


@dataclass(slots=True)
class Durations:
    """A histogram of durations in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, durations up to it), cumulative as in Prometheus.

        >>> durations = Durations()
        >>> durations.add(0.03); durations.add(500.0)
        >>> [durations.buckets()[n] for n in (0, 1, -2, -1)]
        [('0.01', 0), ('0.03', 1), ('300.0', 1), ('+Inf', 2)]
        """
        bounds = [*map(str, BOUNDS), "+Inf"]
        return [(bound, sum(self.counts[: n + 1])) for n, bound in enumerate(bounds)]


@dataclass(slots=True)
class Board:
    """The outcome of the last cycle, and counts since the daemon started."""

    cluster: str
    shown: Shown | None = None  #: of the last complete cycle
    ended_at: float | None = None  #: that cycle, by the clock of this host; ``shown.at`` is the cluster's
    failure: str = ""
    failed: str = ""  #: outcome of the last cycle: failed or standby; empty if it completed
    cause: str = ""  #: of the failure, one of CAUSES
    reason: str = "read_failed"  #: the hold that a failed cycle is shown as, one of HOLDS
    overdue_since: records.Instant | None = None  #: when a cycle last began or ended, if over a period ago
    reconciled: Reconciled | None = None
    metered: Metered | None = None  #: None where there are no meters
    cycles: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    switched: Counter[bool] = field(default_factory=Counter)  #: changes by the switch's new position
    runs: int = 0
    changed: int = 0
    durations: Durations = field(default_factory=Durations)
    phases: dict[str, Durations] = field(default_factory=dict)
    version: int = 0  #: changes whenever anything here does
    lock: Lock = field(default_factory=Lock)

    def complete(self, shown: Shown, ended_at: float | None = None) -> None:
        """Record a complete cycle, and when it ended by the clock of this host."""
        with self.lock:
            self.ended_at = ended_at
            self.shown, self.failed, self.failure, self.cause = shown, "", "", ""
            self.overdue_since = None
            self.version += 1
            self.cycles["complete"] += 1
            self.decisions[shown.decision.reason] += 1
            self.changes.update(shown.statuses)
            # The first decision is about the switch, and has one change at most.
            if shown.decision.changes and shown.statuses[:1] == (records.ChangeStatus.APPLIED,):
                self.switched.update([shown.switch_raised] if shown.switch_raised is not None else [])
            self.runs += shown.runs
            self.changed += shown.changed
            self.durations.add(shown.seconds)
            for phase, seconds in shown.phases.items():
                self.phases.setdefault(phase, Durations()).add(seconds)

    def fail(self, outcome: str, message: str, cause: str = "", reason: str = "read_failed") -> None:
        """Record a cycle that ended without a measurement; ``outcome`` is failed or standby.

        A daemon that stands by leaves the hours to the active one, and counts from 0 when it takes over.
        """
        with self.lock:
            if self.shown is not None and outcome == "standby":
                self.shown = replace(self.shown, tally=None)
            self.failed, self.failure, self.cause = outcome, message, cause
            self.reason, self.overdue_since = reason, None
            self.cycles[outcome] += 1
            self.version += 1

    def overdue(self, since: records.Instant, version: int) -> bool:
        """Record that no cycle has begun or ended since an instant.

        Returns False, and changes nothing, if that is known or the board is not at this version any more.
        """
        with self.lock:
            if self.overdue_since is not None or self.version != version:
                return False
            self.overdue_since = since
            self.version += 1
            return True

    @property
    def finished_at(self) -> records.Instant | None:
        """Of the last complete cycle."""
        return None if self.shown is None else self.shown.at

    @property
    def old(self) -> bool:
        """Whether ``shown`` is of an earlier cycle than the last one due."""
        return bool(self.failed) or self.overdue_since is not None

    def compare(self, reconciled: Reconciled) -> None:
        """Record a comparison of the ledger with Slurm's accounting."""
        with self.lock:
            self.reconciled = reconciled
            self.version += 1

    def meter(self, metered: Metered | None) -> None:
        """Record what meters measured."""
        with self.lock:
            self.metered = metered
            self.version += 1

    def hold(self) -> str | None:
        """Reason of the last decision, or of the hold that a failed or hanging cycle is; None before any."""
        if self.overdue_since is not None:
            return "read_failed"
        if self.failed:
            return {"failed": self.reason, "standby": "standby"}[self.failed]
        return self.shown.decision.reason if self.shown else None
