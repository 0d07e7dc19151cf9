"""The joint promises as they were measured last, beside the boards of the clusters that the daemon runs.

The rule: what is out of date is not shown. A measurement counts while its clusters were all read not long ago
and some cluster of the daemon completes its cycles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple
from zoneinfo import ZoneInfo

from slurm_ai_factory.core.records import Further, Instant
from slurm_ai_factory.monitor.board import Board


class JointShown(NamedTuple):
    """A joint promise that holds."""

    name: str
    measured: Further | None  #: None where it was not measured, or not lately
    zone: ZoneInfo | None = None  #: of its windows; None where it was not measured
    error: str = ""  #: why it could not be measured


@dataclass(slots=True)
class JointBoard:
    """What was measured of the joint promises, once for all clusters."""

    boards: Sequence[Board]
    clock: Callable[[], Instant]
    shown: tuple[JointShown, ...] = ()
    version: int = 0  #: changes whenever ``shown`` does
    measured_after: tuple[int, ...] = ()  #: how many cycles of each cluster had ended by the last measurement
    measuring: bool = False
    lock: Lock = field(default_factory=Lock)

    def claim(self) -> bool:
        """Whether the caller is to measure them now, and then ``show`` them.

        That is once each cluster has ended another cycle, as before there is nothing new of all together;
        or once one has ended two, so that no one waits for a cluster that hangs or has a long period.
        """
        with self.lock:
            ended = tuple(board.cycles.total() for board in self.boards)
            before = self.measured_after or (0,) * len(ended)
            more = [now - then for now, then in zip(ended, before, strict=True)]
            if self.measuring or not (all(more) or max(more) > 1):
                return False
            self.measured_after, self.measuring = ended, True
            return True

    def show(self, shown: Sequence[JointShown]) -> list[JointShown]:
        """Show these from now on; those of them that could not be measured for a new reason."""
        with self.lock:
            known = {(each.name, each.error) for each in self.shown}
            self.shown, self.version, self.measuring = tuple(shown), self.version + 1, False
        return [each for each in shown if each.error and (each.name, each.error) not in known]

    def current(self) -> list[JointShown]:
        """The joint promises, those out of date without a measurement; none while no cycle here completes."""
        alive = [board.shown for board in self.boards if board.shown is not None and not board.old]
        if not alive:
            return []
        oldest = self.clock() - max(shown.stale_after for shown in alive)
        return [
            each._replace(measured=None) if each.measured and each.measured[0].as_of < oldest else each
            for each in self.shown
        ]
