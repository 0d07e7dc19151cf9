"""Proposals: what one person wants recorded, and another has to approve before it is in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme.persons import person_of
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.core.rules.organisations import Link, Organisation, RegistryEntry, entry_value


class ProposalKind(StrEnum):
    """What can be proposed."""

    PROMISE = "promise"
    REGISTRY = "registry"
    OVERRIDE = "override"
    PUBLICATION = "publication"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What became of a proposal."""

    step: str  #: approved or rejected
    at: Instant
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What would be recorded, and what became of that; ``content`` is as the kind has it, in JSON's types."""

    number: int
    kind: ProposalKind
    content: Mapping[str, Any]
    at: Instant
    actor: str
    reason: str
    ruling: Ruling | None = None

    @property
    def step(self) -> str:
        """waiting, approved or rejected."""
        return self.ruling.step if self.ruling else "waiting"


def closed(proposal: Proposal) -> str:
    """Why nothing can be decided about a proposal any more; empty while it waits."""
    ruling = proposal.ruling
    if ruling is None:
        return ""
    return f"proposal {proposal.number} was {ruling.step} by {ruling.actor} at {windows.iso(ruling.at)}"


def own(proposal: Proposal, actor: str) -> str:
    """Why this actor may not approve a proposal: it is the same person's; empty where it is another's."""
    if proposal.actor.startswith("~"):
        return f"who made proposal {proposal.number} is no longer known; reject it, and propose it again"
    if proposal.actor.endswith(f" as {actor}"):
        return f"{actor} is no person; log in as yourself, or say who approves with --as"
    who = person_of(proposal.actor)
    if person_of(actor).casefold() != who.casefold():
        return ""
    return f"proposal {proposal.number} was made by {who}; somebody else has to approve it"


def said(proposal: Proposal, *, at: Instant, actor: str, reason: str) -> dict[str, Any]:
    """At, actor and reason of what an approval puts into force: both persons, and the reasons of both."""
    both = [proposal.reason, f"approved: {reason}" if reason else ""]
    return {
        "at": at,
        "actor": f"{proposal.actor}, approved by {actor}",
        "reason": "; ".join(filter(None, both)),
    }


def entries_value(entries: Iterable[RegistryEntry]) -> list[dict[str, Any]]:
    """Entries of the registry in JSON's types."""
    return [
        {
            "type": "organisation" if isinstance(one, Organisation) else "link",
            **{k: str(v) if isinstance(v, Decimal) else v for k, v in entry_value(one).items()},
        }
        for one in entries
    ]


def entries_from(value: Iterable[Mapping[str, Any]]) -> list[RegistryEntry]:
    """The entries that ``entries_value`` wrote."""
    return [_entry(**one) for one in value]


def _entry(type: str, **told: Any) -> RegistryEntry:  # noqa: A002
    if type == "organisation":
        return Organisation(**told)
    return Link(**{**told, "fraction": Decimal(told["fraction"])})


def summary(proposal: Proposal) -> str:
    """What is proposed, for people, in a few words.

    >>> wanted = {"window": "2027Q1", "as_of": 1806530400, "fingerprint": "ab"}
    >>> summary(Proposal(number=1, kind=Kind.PUBLICATION, content=wanted, at=0, actor="a", reason=""))
    'report of 2027Q1 as of 2027-03-31T22:00:00Z'
    """
    content = proposal.content
    match proposal.kind:
        case ProposalKind.REGISTRY:
            return ", ".join(sorted({one["organisation"] for one in content["entries"]}))
        case ProposalKind.OVERRIDE:
            return f"job {content['job']}: {content['beneficiary'] or 'take the override back'}"
        case ProposalKind.PUBLICATION:
            return f"report of {content['window']} as of {windows.iso(content['as_of'])}"
        case ProposalKind.PROMISE:
            what = "no promise" if content["ended"] else f"a share of {content['share']:g}"
            return f"{what} from {windows.iso(content['since'])}"
