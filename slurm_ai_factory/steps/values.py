"""What the steps hand on: all that a decision rests on, and what became of a cycle.

Tested in tests/monitor/test_showing.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slurm_ai_factory.config import Config
from slurm_ai_factory.core import records
from slurm_ai_factory.core.control.foreign import ForeignChange
from slurm_ai_factory.core.measure import share
from slurm_ai_factory.steps.applying import Outcome
from slurm_ai_factory.steps.keeping import Kept
from slurm_ai_factory.steps.live import Signals
from slurm_ai_factory.steps.reading import Read


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What the decision about a further promise rests on, beside what the first one's does."""

    config: Config  #: under its term
    measurement: records.Measurement
    earlier: tuple[records.Hour, ...]  #: as in ``Gathered``
    signals: Signals
    run_charge: float  #: as in ``Gathered``, in its resource
    holds: tuple[records.Hold, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Everything observed: what a decision rests on."""

    at: records.Instant
    config: Config  #: under the term of the window measured
    contradiction: str  #: what saf.toml says otherwise than that term; empty for nothing
    read: Read
    measurement: records.Measurement
    further: tuple[records.Further, ...]  #: the other promises that hold
    beside: tuple[Beside, ...]  #: those of them that are steered
    earlier: tuple[records.Hour, ...]  #: before the window, that usage still holds; none if not all is known
    holds: tuple[records.Hold, ...]  #: found in the answers of Slurm and of the ledger
    run_charge: float  #: of a run that ended lately, each weighted by itself; 0 where none did
    waiting_rows: frozenset[str]  #: accounts and account/user with jobs that could start
    associations: tuple[records.Association, ...]
    switch: records.SwitchNow | None  #: None where accounts are steered, or Slurm does not have it
    priority: records.PriorityConfig
    signals: Signals
    groups: Sequence[share.Group]  #: the window's charge; each name is the steered account and DETAILS
    unknown_accounts: tuple[str, ...]
    foreign: Mapping[str, ForeignChange]  #: account, QOS or partition -> how another user changed it

    @property
    def foreign_change(self) -> int | str | None:
        """What our last changes left, in one value, with the account's name where several are steered."""
        ours = {name: change.ours for name, change in self.foreign.items()}
        if len(self.config.control.steered) == 1:
            return ours.get(self.config.control.steered[0])
        return ", ".join(f"{account} {shares}" for account, shares in ours.items()) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleReport:
    """One cycle, whole: the value that the log, the metrics and the status show."""

    gathered: Gathered
    decision: records.Decision
    beside: tuple[records.Decision, ...] = ()  #: about further promises that are steered
    kept: Kept | None = None  #: what was done about a limit; None where grid.mode is off
    outcomes: tuple[Outcome, ...]
    mode: records.Mode
    seconds: float
    steered: tuple[str, ...]  #: the accounts, or one QOS or partition
