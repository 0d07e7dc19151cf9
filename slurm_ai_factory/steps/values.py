"""What the steps hand on: all that a decision rests on, and what became of a cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slurm_ai_factory.config import Config
from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.records import (
    Association,
    Decision,
    Instant,
    Measurement,
    PriorityConfig,
)
from slurm_ai_factory.steps.applying import Outcome
from slurm_ai_factory.steps.live import Signals
from slurm_ai_factory.steps.reading import Read


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Everything observed: what a decision rests on."""

    at: Instant
    config: Config  #: under the term of the window measured
    contradiction: str  #: what saf.toml says otherwise than that term; empty for nothing
    read: Read
    measurement: Measurement
    associations: tuple[Association, ...]
    priority: PriorityConfig
    signals: Signals
    groups: Sequence[share.Group]  #: the window's charge; each name is the steered account and DETAILS
    unknown_accounts: tuple[str, ...]
    foreign: Mapping[str, int]  #: account -> what our last change left, where somebody changed that since


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleReport:
    """One cycle, whole: the value that the log, the metrics and the status show."""

    gathered: Gathered
    decision: Decision
    outcomes: tuple[Outcome, ...]
    mode: str
    seconds: float
    steered: tuple[str, ...]  #: the accounts
