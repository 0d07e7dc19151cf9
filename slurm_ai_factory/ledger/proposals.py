"""Proposals as they were made, approved and rejected. Rows are added and never changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from slurm_ai_factory.core.programme.approval import Proposal, ProposalKind, Ruling, closed, own
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger.store import SqlRow, Store, json


@dataclass(frozen=True, slots=True)
class Proposals:
    """The proposals of one cluster."""

    store: Store
    cluster_id: int

    def propose(self, kind: ProposalKind, content: Mapping[str, object], said: Mapping[str, object]) -> int:
        """Note what is proposed; its number. ``said`` has at, actor and reason."""
        row = self.store.one(
            "add_proposal", cluster_id=self.cluster_id, kind=str(kind), content=json(content), **said
        )
        return int(row[0]) if row else 0

    def all(self, number: int | None = None) -> list[Proposal]:
        """Every proposal, or the one of this number, newest first."""
        rows = self.store.all("proposals", cluster_id=self.cluster_id, number=number)
        return [_proposal(row) for row in rows]

    def one(self, number: int) -> Proposal:
        """Raises LedgerError where there is none of this number."""
        for found in self.all(number):
            return found
        raise LedgerError(f"there is no proposal {number}; see `saf approval list`")

    def waiting(self) -> int:
        """How many proposals nobody has decided about."""
        row = self.store.one("proposals_waiting", cluster_id=self.cluster_id)
        return int(row[0]) if row else 0

    def approved(self, then: Instant) -> int:
        """How many proposals had been approved by an instant."""
        row = self.store.one("proposals_approved", cluster_id=self.cluster_id, as_of=then)
        return int(row[0]) if row else 0

    def approve(
        self, number: int, put_into_force: Callable[[], object], *, at: Instant, actor: str, reason: str
    ) -> None:
        """Put a proposal into force, once, together with its approval; neither if LedgerError is raised."""
        with self.store.transaction():
            self._rule(number, "approved", own, at=at, actor=actor, reason=reason)
            put_into_force()

    def reject(self, number: int, *, at: Instant, actor: str, reason: str) -> None:
        """Have a proposal never be in force; whoever made it may do so too. Raises LedgerError."""
        with self.store.transaction():
            self._rule(number, "rejected", lambda _, __: "", at=at, actor=actor, reason=reason)

    def _rule(
        self,
        number: int,
        step: str,
        against: Callable[[Proposal, str], str],
        *,
        at: Instant,
        actor: str,
        reason: str,
    ) -> None:
        self.store.one("serialize_proposals", cluster_id=self.cluster_id)
        found = self.one(number)
        if why := closed(found) or against(found, actor):
            raise LedgerError(why)
        said = {"step": step, "kind": str(found.kind), "at": at, "actor": actor, "reason": reason}
        self.store.do("rule_on_proposal", cluster_id=self.cluster_id, number=number, **said)


def _proposal(row: SqlRow) -> Proposal:
    number, kind, content, at, actor, reason, step, *ruled = row
    ruling = None
    if step:
        ruling = Ruling(step=step, at=ruled[0], actor=ruled[1], reason=ruled[2])
    return Proposal(
        number=number,
        kind=ProposalKind(kind),
        content=content,
        at=at,
        actor=actor,
        reason=reason,
        ruling=ruling,
    )
