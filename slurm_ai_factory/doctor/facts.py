"""What ``saf doctor`` looks at, as values, and what it says of each: everything its checks work with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from slurm_ai_factory.core.control.lever import Lever
from slurm_ai_factory.core.live import rights
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.core.programme.retention import Retained
from slurm_ai_factory.core.records import (
    Association,
    Instant,
    Node,
    Partition,
    PriorityConfig,
    Slurmdbd,
    Transaction,
)
from slurm_ai_factory.core.tres import Count

OK, WARNING, PROBLEM = "ok", "warning", "problem"


class Finding(NamedTuple):
    """What one check found. A problem makes the promise or the control wrong; a warning makes it worse."""

    check: str
    level: str
    found: str
    wanted: str
    fix: str = ""  #: commands or settings, one a line; empty where nothing is to be done


class CheckResult(NamedTuple):
    """A finding without the name of its check, which the table of checks has."""

    level: str
    found: str
    wanted: str
    fix: str = ""


def want(fine: bool, level: str, found: str, wanted: str, fix: str) -> CheckResult:
    """Fine, or not: then at this level and with this fix."""
    return CheckResult(OK, found, wanted) if fine else CheckResult(level, found, wanted, fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was read of Slurm and of the configuration; None for what could not be read, with its error."""

    now: Instant  #: this machine's clock, when slurmctld said its own
    clock_tolerance: int  #: seconds by which the two may differ
    user: str  #: who asks
    mode: str
    accounts: tuple[str, ...]  #: the steered ones
    weights: Mapping[str, Count]  #: of the promise's resource
    window_seconds: int
    read_window_seconds: int
    priority: PriorityConfig
    associations: Sequence[Association]
    unknown_accounts: Sequence[str]  #: named by rules and not in Slurm
    unclassified_accounts: Sequence[str]  #: with users, and matched by no rule
    authority: float | None
    unknown_words: Mapping[str, int]  #: of the queue, with their jobs
    diagnostics: Diagnostics
    partitions: Sequence[Partition] | None
    usage_factors: Mapping[str, float] | None  #: by QOS
    coordinators: Mapping[str, Sequence[str]] | None  #: by account
    admin_level: str | None  #: of ``user``, as Slurm spells it; empty where slurmdbd does not know the user
    slurmdbd: Slurmdbd | None
    transactions: Sequence[Transaction] | None  #: of the steered accounts' rows, newest last
    nodes: Sequence[Node] | None
    lever: Lever | None  #: None where the ledger is needed to tell and cannot be read
    contradiction: str = ""  #: what saf.toml says otherwise than the promise's term in force
    size: str | None  #: the cluster's TRES now, as slurmdbd has them; empty where it has none
    source: str  #: slurm.source
    refused: Mapping[str, str]  #: what the source had no answer to, and why
    retained: Retained | None = None  #: None where nothing of [privacy] is to go, or it could not be read
    proposals: int | None = None  #: that wait for a second person; None where the ledger cannot be read
    unread: Mapping[str, str] = field(default_factory=dict)

    @property
    def steered(self) -> str:
        """The steered accounts by name."""
        return ", ".join(self.accounts)

    @property
    def privileged(self) -> bool:
        """Whether ``user`` sees and may change everything."""
        return rights.unrestricted(self.user, self.priority.slurm_user, self.admin_level)

    @property
    def remedy(self) -> str:
        """The command that makes ``user`` an operator."""
        return rights.operator_command(self.user, self.admin_level)
