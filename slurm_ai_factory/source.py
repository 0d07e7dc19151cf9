"""Everything that saf asks of a cluster: the interface between deciding and whatever answers.

Rule: reads are complete or raise SlurmError; rows that cannot be read are listed by ``unreadable``. Values
are the core's own. ``slurm.Slurm`` answers from Slurm's commands, ``slurm.library.LibrarySlurm`` partly
through pyslurm, ``simulation.slurm.ModelSlurm`` from a model; a further source is one file beside them.
Tested in tests/slurm/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from slurm_ai_factory.core import records
from slurm_ai_factory.core.energy.keeping import NodeNow, ReservationAct, ReservedNow
from slurm_ai_factory.core.live.authority import PriorityTerms
from slurm_ai_factory.core.live.demand import Queued
from slurm_ai_factory.core.live.health import Diagnostics


class Source(Protocol):
    """One cluster. Every method but the last two reads; all raise SlurmError."""

    @property
    def cluster(self) -> str:
        """ClusterName."""

    def priority_config(self) -> records.PriorityConfig:
        """How priorities are made; raises SlurmError when another cluster than ``cluster`` answers."""

    def associations(self) -> tuple[records.Association, ...]:
        """The association tree with shares and usage."""

    def runs(
        self, since: records.Instant, until: records.Instant
    ) -> Iterator[records.Run | records.Rejected]:
        """Every run that was eligible or running in [since, until); keep none before the iteration ends."""

    def slurmdbd(self) -> records.Slurmdbd:
        """What hides or ends rows of the accounting."""

    def federation_id(self) -> int:
        """The cluster's number in its federation; 0 where it is in none."""

    def events(
        self, since: records.Instant, until: records.Instant
    ) -> tuple[list[records.Size], list[records.Outage]]:
        """The sizes of the cluster and the outages of its nodes in [since, until)."""

    def queue(self) -> Sequence[Queued]:
        """Every job that waits or runs now."""

    def priority_terms(self) -> Sequence[PriorityTerms]:
        """The terms of the waiting jobs' priorities."""

    def diagnostics(self) -> Diagnostics:
        """slurmctld's report of its own health, with its clock."""

    def rolled_up(self, since: records.Instant, until: records.Instant) -> bool:
        """Whether ``utilization`` has this hour."""

    def utilization(
        self, since: records.Instant, until: records.Instant
    ) -> Mapping[tuple[str, str], records.Charge]:
        """TRES-seconds by (account, TRES) in [since, until), from the cluster's own report."""

    def reservations(self, since: records.Instant, until: records.Instant) -> Sequence[records.Reservation]:
        """The reservations in [since, until)."""

    def unreadable(self) -> Sequence[records.Rejected]:
        """The rows, other than runs, that could not be read since the last call; does not raise."""

    def switch(self, lever: records.LeverKind, name: str) -> records.SwitchNow | None:
        """The value of a QOS or partition that a switch sets; None where the cluster does not have it."""

    def logged_changes(
        self, lever: records.LeverKind, name: str, since: records.Instant
    ) -> Sequence[records.Transaction]:
        """Who set RawShares of an account's own row or Priority of a QOS, by Slurm's own log, newest last.

        Slurm keeps no log of partitions.
        """

    def reserved(self) -> Sequence[ReservedNow]:
        """The reservations that there are now."""

    def nodes_to_keep(self) -> Sequence[NodeNow]:
        """Every node, whether jobs may start on it, and when its last job ends at the latest."""

    def reserve(self, act: ReservationAct, now: records.Instant, deadline: float, /) -> None:
        """Carry out an act on a reservation before a deadline, or not at all; read the outcome back."""

    def set_raw_shares(self, change: records.Change, deadline: float, /) -> None:
        """Make a change before a deadline of ``time.monotonic``, or not at all; read the outcome back."""
