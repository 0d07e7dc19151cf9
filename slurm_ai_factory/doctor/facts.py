"""What ``saf doctor`` looks at and what it reports, as values: everything its checks work with.

Tested in tests/doctor/test_checks.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from slurm_ai_factory.core import records
from slurm_ai_factory.core.control.lever import Lever
from slurm_ai_factory.core.control.margin import SteeredMargin
from slurm_ai_factory.core.live import rights
from slurm_ai_factory.core.live.bounds import NativeLimits
from slurm_ai_factory.core.live.demand import Queued
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.core.live.modes import RunningDaemon
from slurm_ai_factory.core.programme.retention import Retained
from slurm_ai_factory.core.tres import Count
from slurm_ai_factory.ledger.store import Standbys

OK, WARNING, PROBLEM = "ok", "warning", "problem"


class Finding(NamedTuple):
    """What a check found. A problem makes the promise or the control wrong, a warning makes it worse."""

    check: str
    level: str
    found: str
    wanted: str
    fix: str = ""  #: commands or settings, one per line; empty where there is nothing to do
    acknowledged: records.Acknowledgement | None = None  #: the one that covers it now

    @property
    def counts(self) -> bool:
        """Whether it needs attention."""
        return self.level != OK and self.acknowledged is None


class CheckResult(NamedTuple):
    """A finding without the name of its check."""

    level: str
    found: str
    wanted: str
    fix: str = ""


def want(fine: bool, level: str, found: str, wanted: str, fix: str) -> CheckResult:
    """OK where ``fine``; else a finding of this level, with its fix."""
    return CheckResult(OK, found, wanted) if fine else CheckResult(level, found, wanted, fix)


class Recent(NamedTuple):
    """The queue, and the runs of the hours before it; the queue was read first."""

    queue: Sequence[Queued] = ()
    runs: Sequence[records.Run] = ()
    since: records.Instant = 0
    at: records.Instant = 0  #: when the queue was read


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Facts about Slurm, the ledger and the configuration.

    A fact that could not be read is None, and its error is in ``unread``.
    """

    now: records.Instant  #: this machine's clock, at the moment of slurmctld's in ``diagnostics``
    clock_tolerance: int  #: seconds by which the two may differ
    user: str  #: the user that runs ``saf doctor``
    mode: records.Mode
    accounts: tuple[str, ...]  #: the steered ones, or the QOS or partition of a switch
    steered_by: records.LeverKind = records.LeverKind.ACCOUNT  #: control.lever
    switch: records.SwitchNow | None = None  #: None where accounts are steered, or Slurm does not have it
    raised: int = 0  #: control.raised
    goal: float  #: the promise and its margin, a share of the whole machine
    promised: float  #: the promise alone, a share of the whole machine
    keeps_nodes_free: bool = False  #: whether grid.mode lets saf make reservations
    share_max: float  #: control.share_max, of the level
    weights: Mapping[str, Count]  #: of the promise's resource
    window_seconds: int
    read_window_seconds: int
    priority: records.PriorityConfig
    associations: Sequence[records.Association]
    unknown_accounts: Sequence[str]  #: named by rules, but not in Slurm
    reservations_named: bool = False  #: by a rule
    unclassified_accounts: Sequence[str]  #: with users, but matched by no rule
    authority: float | None
    unknown_words: Mapping[str, int]  #: states and reasons in the queue, with their number of jobs
    diagnostics: Diagnostics
    partitions: Sequence[records.Partition] | None
    usage_factors: Mapping[str, float] | None  #: by QOS
    coordinators: Mapping[str, Sequence[str]] | None  #: of the accounts above the steered ones
    admin_level: str | None  #: of ``user``, as Slurm spells it; empty for a user that slurmdbd does not have
    slurmdbd: records.Slurmdbd | None
    gathered_energy: records.GatheredEnergy | None = None
    transactions: Sequence[records.Transaction] | None  #: of the steered accounts' rows, newest last
    native_limits: NativeLimits | None = None
    writers: Sequence[records.LoggedWriter] | None = None  #: of this cluster's tree, in the last month
    nodes: Sequence[records.Node] | None
    recent: Recent | None = None
    configuration: Mapping[str, str] | None = None  #: scontrol show config
    shares_schema: str | None = None  #: empty where sshare is read as text
    lever: Lever | None  #: None where it needs the ledger, which cannot be read
    contradiction: str = ""  #: where saf.toml contradicts the promise's current term
    size: str | None  #: the cluster's TRES now, as slurmdbd has them; empty where it has none
    source: str  #: slurm.source
    refused: Mapping[str, str]  #: the reads that the source had no answer to, and why
    retained: Retained | None = None  #: None where [privacy] removes nothing, or it could not be read
    lease: int | None = None  #: control.lease
    proposals: int | None = None  #: waiting for a second person; None where the ledger cannot be read
    late_limits: Sequence[str] | None = None  #: of the grid, lately or to come; None if it cannot be read
    margins: Sequence[SteeredMargin] | None = None  #: of what is steered; None if the ledger cannot be read
    daemons: Sequence[RunningDaemon] | None = None  #: that run now; None if the ledger cannot be read
    standbys: Standbys | None = None  #: of the ledger; None where the ledger cannot be read
    acknowledgements: Mapping[str, records.Acknowledgement] = field(
        default_factory=dict
    )  #: by check; some have ended
    unread: Mapping[str, str] = field(default_factory=dict)  #: errors by name of the fact

    @property
    def steered(self) -> str:
        """The names of the steered accounts."""
        return ", ".join(self.accounts)

    @property
    def privileged(self) -> bool:
        """Whether ``user`` sees and may change everything."""
        return rights.unrestricted(self.user, self.priority.slurm_user, self.admin_level)

    @property
    def remedy(self) -> str:
        """The command that makes ``user`` an operator."""
        return rights.operator_command(self.user, self.admin_level)


class Check(NamedTuple):
    """One check of ``saf doctor``."""

    name: str
    why: str  #: why it matters
    needs: tuple[str, ...]  #: facts without which it has nothing to look at
    look: Callable[[Facts], CheckResult]

    def missing(self, facts: Facts) -> str:
        """Why it has nothing to look at; empty where every fact was read."""
        return "; ".join(facts.unread[name] for name in self.needs if name in facts.unread)


def doctor_check(
    name: str, why: str, needs: tuple[str, ...] = ()
) -> Callable[[Callable[[Facts], CheckResult]], Check]:
    """Make a function of Facts a check."""
    return lambda look: Check(name, why, needs, look)
