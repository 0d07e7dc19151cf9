"""What a cycle works with: the configuration, the edges, and who owns time.

Tested in tests/test_daemon.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from slurm_ai_factory.config import Config
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.source import Source

AMONG = "cluster "
"""Begins the names of the threads of a cluster among several; its name follows."""


@dataclass(frozen=True, slots=True)
class Laps:
    """How long each phase of the cycle at hand took, in seconds, by the stopwatch given."""

    stopwatch: Callable[[], float] = float
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Note how long the body takes; a phase that comes twice adds up."""
        began = self.stopwatch()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + self.stopwatch() - began


@dataclass(frozen=True, slots=True)
class Site:
    """What a cycle works with; clock and wait are given, so that tests and simulations own time."""

    config: Config
    slurm: Source
    ledger: Ledger
    clock: Callable[[], Instant]
    wait: Callable[[float], object]
    actor: str
    laps: Laps = field(default_factory=Laps)
