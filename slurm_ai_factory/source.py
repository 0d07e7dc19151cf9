"""What the product asks of a cluster: the seam between deciding and whatever answers.

The rule: reads are complete or raise SlurmError, save for rows that cannot be read, which are told, and the
values are the core's own. ``slurm.Slurm`` answers
from Slurm's commands, ``slurm.library.LibrarySlurm`` partly through pyslurm, ``simulation.slurm.ModelSlurm``
from a model; a further source is one file beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from slurm_ai_factory.core.live.authority import PriorityTerms
from slurm_ai_factory.core.live.demand import Queued
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.core.records import (
    Association,
    Change,
    Charge,
    Instant,
    Outage,
    PriorityConfig,
    Rejected,
    Reservation,
    Run,
    Size,
)


class Source(Protocol):
    """One cluster. Every method but the last reads; all raise SlurmError."""

    @property
    def cluster(self) -> str:
        """ClusterName."""

    def priority_config(self) -> PriorityConfig:
        """How priorities are made; raises SlurmError when another cluster than ``cluster`` answers."""

    def associations(self) -> tuple[Association, ...]:
        """The association tree with shares and usage."""

    def runs(self, since: Instant, until: Instant) -> Iterator[Run | Rejected]:
        """Every run that was eligible or running in [since, until); nothing may be kept before the end."""

    def events(self, since: Instant, until: Instant) -> tuple[list[Size], list[Outage]]:
        """The sizes the cluster had and the outages of its nodes, in [since, until)."""

    def queue(self) -> Sequence[Queued]:
        """Everything that waits or runs now."""

    def priority_terms(self) -> Sequence[PriorityTerms]:
        """What the priorities of the waiting jobs are made of."""

    def diagnostics(self) -> Diagnostics:
        """What the controller says of its own health, and its clock."""

    def rolled_up(self, since: Instant, until: Instant) -> bool:
        """Whether ``utilization`` knows of this hour."""

    def utilization(self, since: Instant, until: Instant) -> Mapping[tuple[str, str], Charge]:
        """TRES-seconds by (account, TRES) in [since, until), as the cluster's own report has it."""

    def reservations(self, since: Instant, until: Instant) -> Sequence[Reservation]:
        """The reservations there were in [since, until)."""

    def unreadable(self) -> Sequence[Rejected]:
        """The rows, other than runs, that could not be read since this was last asked; does not raise."""

    def set_raw_shares(self, change: Change, deadline: float, /) -> None:
        """Set them before a deadline of ``time.monotonic``, or not at all.

        Says nothing of the outcome, which is read back.
        """
