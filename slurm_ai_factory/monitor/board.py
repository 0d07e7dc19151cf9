"""The board: what the last cycle left to be seen, handed from the daemon's loop to its web threads.

The rule: metrics, status page and health read the board and nothing else, so that looking costs no Slurm call
and no SQL, and every place shows the same cycle. A value that is not known is None, never 0.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple
from zoneinfo import ZoneInfo

from slurm_ai_factory.core.control.lever import Reach
from slurm_ai_factory.core.measure.share import Group
from slurm_ai_factory.core.records import Charge, Decision, Instant, Measurement

BOUNDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Upper bounds of the histograms of durations, in seconds."""

CAUSES = ("slurm", "ledger", "configuration", "machine", "defect")
"""What a failed cycle failed for."""


class Done(NamedTuple):
    """A change of RawShares as the history has it."""

    at: Instant
    account: str
    raw_shares_before: int
    raw_shares_after: int
    status: str
    reason: str


class Reconciled(NamedTuple):
    """The ledger against sacct and sreport over one civil day."""

    at: Instant
    since: Instant
    until: Instant
    unexplained: Charge  #: TRES-seconds, all accounts and TRES


class Steered(NamedTuple):
    """The lever: an account of the region."""

    account: str
    raw_shares: int | None  #: in force after the cycle; None when the account is not there
    wanted: int | None  #: what the decision asks for
    foreign_from: int | None = None  #: what our last change left, when something else has changed it since


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a completed cycle has to show."""

    at: Instant
    mode: str
    seconds: float
    phases: Mapping[str, float]  #: seconds of each phase of the cycle
    measurement: Measurement
    margin: float
    groups: Mapping[str, Sequence[Group]]  #: by category and by sector, largest first
    reach: Reach  #: how far the steered accounts reach
    decision: Decision
    reason_since: Instant | None  #: since when every decision has had this reason
    steered: tuple[Steered, ...]  #: at least one
    weight_fairshare: int  #: PriorityWeightFairShare
    history: Sequence[Done]  #: the latest changes, newest first
    statuses: tuple[str, ...]
    unreadable: int  #: different lines of Slurm that reads of the last day could not read
    unknown_states: int
    unknown_accounts: tuple[str, ...]
    runs: int
    changed: int
    period: int
    stale_after: int
    zone: ZoneInfo
    authority: float | None = None  #: how far fairshare decides who goes first; None when nobody waits
    demand: Mapping[str, float] | None = None  #: beneficiary -> of the resource, wanted by jobs that wait
    retention_overdue: bool | None = None  #: None where nothing of [privacy] is to go
    contradiction: str = ""  #: what saf.toml says otherwise than the promise's term in force
    queue_unknown: int = 0  #: jobs in the queue for reasons that are not known
    proposals: int = 0  #: that wait for a second person

    @property
    def foreign(self) -> str:
        """What somebody else changed, as ``foreign`` says it; empty when nothing."""
        changes = {one.account: one.foreign_from for one in self.steered if one.foreign_from is not None}
        return foreign(changes, len(self.steered))


def foreign(changes: Mapping[str, int], steered: int) -> str:
    """The RawShares that somebody else changed, by name where several accounts are steered.

    >>> foreign({"regional": 25}, 1), foreign({"umcg": 25, "rug": 30}, 3), foreign({}, 1)
    ('RawShares from 25', 'RawShares of umcg from 25, RawShares of rug from 30', '')
    """
    named = {account: f" of {account}" if steered > 1 else "" for account in changes}
    return ", ".join(f"RawShares{named[account]} from {shares}" for account, shares in changes.items())


@dataclass(slots=True)
class Durations:
    """How often a phase took how long."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, how many took no longer), as Prometheus has it.

        >>> durations = Durations()
        >>> durations.add(0.03); durations.add(500.0)
        >>> [durations.buckets()[n] for n in (0, 1, -2, -1)]
        [('0.01', 0), ('0.03', 1), ('300.0', 1), ('+Inf', 2)]
        """
        bounds = [*map(str, BOUNDS), "+Inf"]
        return [(bound, sum(self.counts[: n + 1])) for n, bound in enumerate(bounds)]


@dataclass(slots=True)
class Board:
    """The last cycle's outcome, and what has been counted since the daemon started."""

    cluster: str
    shown: Shown | None = None  #: of the last complete cycle
    failure: str = ""
    failed: str = ""  #: how the last cycle failed: failed, standby; empty when it went through
    cause: str = ""  #: what it failed for, one of CAUSES
    reason: str = "read_failed"  #: the hold that a failed cycle is shown as, one of HOLDS
    failed_at: Instant | None = None
    overdue_since: Instant | None = None  #: when the loop last moved, while that is over a period ago
    finished_at: Instant | None = None  #: of the last complete cycle
    reconciled: Reconciled | None = None
    cycles: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    changed: int = 0
    durations: Durations = field(default_factory=Durations)
    phases: dict[str, Durations] = field(default_factory=dict)
    version: int = 0  #: changes whenever anything here does
    lock: Lock = field(default_factory=Lock)

    def complete(self, shown: Shown) -> None:
        """A cycle went through."""
        with self.lock:
            self.shown, self.failed, self.failure, self.cause = shown, "", "", ""
            self.finished_at, self.overdue_since = shown.at, None
            self.version += 1
            self.cycles["complete"] += 1
            self.decisions[shown.decision.reason] += 1
            self.changes.update(shown.statuses)
            self.runs += shown.runs
            self.changed += shown.changed
            self.durations.add(shown.seconds)
            for phase, seconds in shown.phases.items():
                self.phases.setdefault(phase, Durations()).add(seconds)

    def fail(
        self,
        outcome: str,
        message: str,
        cause: str = "",
        at: Instant | None = None,
        reason: str = "read_failed",
    ) -> None:
        """A cycle ended without a measurement: outcome is failed or standby."""
        with self.lock:
            self.failed, self.failure, self.cause, self.failed_at = outcome, message, cause, at
            self.reason, self.overdue_since = reason, None
            self.cycles[outcome] += 1
            self.version += 1

    def overdue(self, since: Instant, version: int) -> bool:
        """No cycle has begun or ended since then; whether that was news, and the version still this one."""
        with self.lock:
            if self.overdue_since is not None or self.version != version:
                return False
            self.overdue_since = since
            self.version += 1
            return True

    @property
    def old(self) -> bool:
        """Whether what is shown is not what the last beat should have shown."""
        return bool(self.failed) or self.overdue_since is not None

    def compare(self, found: Reconciled) -> None:
        """The ledger was compared with Slurm's books."""
        with self.lock:
            self.reconciled = found
            self.version += 1

    def hold(self) -> str | None:
        """The reason of the last cycle, whether it decided, failed or hangs; None before the first."""
        if self.overdue_since is not None:
            return "read_failed"
        if self.failed:
            return {"failed": self.reason, "standby": "standby"}[self.failed]
        return self.shown.decision.reason if self.shown else None
