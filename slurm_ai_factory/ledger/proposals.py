"""Proposals and their approvals and rejections. Rows are added and never changed.

Tested in tests/cli/test_approval.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from slurm_ai_factory.core.programme.approval import Proposal, ProposalKind, ProposalStep, Ruling, closed, own
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger.store import SqlRow, Store, json


@dataclass(frozen=True, slots=True)
class Proposals:
    """The proposals of one cluster."""

    store: Store
    cluster_id: int

    def propose(self, kind: ProposalKind, content: Mapping[str, object], by: Mapping[str, object]) -> int:
        """Record a proposal; its number. ``by`` has at, actor and reason."""
        row = self.store.one(
            "add_proposal", cluster_id=self.cluster_id, kind=str(kind), content=json(content), **by
        )
        return int(row[0]) if row else 0

    def all(self, number: int | None = None) -> list[Proposal]:
        """Every proposal, or the one of this number, newest first."""
        rows = self.store.all("proposals", cluster_id=self.cluster_id, number=number)
        return [_proposal(row) for row in rows]

    def one(self, number: int) -> Proposal:
        """The proposal of this number. Raises LedgerError where there is none."""
        for proposal in self.all(number):
            return proposal
        raise LedgerError(f"there is no proposal {number}; see `saf approval list`")

    def waiting(self) -> int:
        """How many proposals wait for a decision."""
        row = self.store.one("proposals_waiting", cluster_id=self.cluster_id)
        return int(row[0]) if row else 0

    def approved(self, then: Instant) -> int:
        """How many proposals had been approved by an instant."""
        row = self.store.one("proposals_approved", cluster_id=self.cluster_id, as_of=then)
        return int(row[0]) if row else 0

    def approve(
        self, number: int, put_into_force: Callable[[], object], *, at: Instant, actor: str, reason: str
    ) -> None:
        """Apply a proposal, once, together with its approval; neither if LedgerError is raised."""
        with self.store.transaction():
            self._rule(number, ProposalStep.APPROVED, own, at=at, actor=actor, reason=reason)
            put_into_force()

    def reject(self, number: int, *, at: Instant, actor: str, reason: str) -> None:
        """Reject a proposal; its own author may do so too. Raises LedgerError."""
        with self.store.transaction():
            self._rule(number, ProposalStep.REJECTED, lambda _, __: "", at=at, actor=actor, reason=reason)

    def _rule(
        self,
        number: int,
        step: ProposalStep,
        against: Callable[[Proposal, str], str],
        *,
        at: Instant,
        actor: str,
        reason: str,
    ) -> None:
        self.store.one("serialize_proposals", cluster_id=self.cluster_id)
        proposal = self.one(number)
        if why := closed(proposal) or against(proposal, actor):
            raise LedgerError(why)
        ruling = {"step": str(step), "kind": str(proposal.kind), "at": at, "actor": actor, "reason": reason}
        self.store.do("rule_on_proposal", cluster_id=self.cluster_id, number=number, **ruling)


def _proposal(row: SqlRow) -> Proposal:
    number, kind, content, at, actor, reason, step, *ruled = row
    ruling = None
    if step:
        ruling = Ruling(step=ProposalStep(step), at=ruled[0], actor=ruled[1], reason=ruled[2])
    return Proposal(
        number=number, kind=ProposalKind(kind), content=content, at=at, actor=actor, reason=reason,
        ruling=ruling,
    )  # fmt: skip
