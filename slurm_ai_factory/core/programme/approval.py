"""Proposals: changes that one person asks for and another has to approve before they take effect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme.joint import weight_of
from slurm_ai_factory.core.programme.persons import person_of
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.core.rules.organisations import Link, Organisation, RegistryEntry, entry_value


class ProposalKind(StrEnum):
    """What can be proposed."""

    PROMISE = "promise"
    REGISTRY = "registry"
    OVERRIDE = "override"
    PUBLICATION = "publication"
    JOINT = "joint"


class ProposalStep(StrEnum):
    """Where a proposal stands."""

    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The answer to a proposal."""

    step: ProposalStep  #: approved or rejected
    at: Instant
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A change to be approved; ``content`` holds it in JSON's types, in the form of its kind."""

    number: int
    kind: ProposalKind
    content: Mapping[str, Any]
    at: Instant
    actor: str
    reason: str
    ruling: Ruling | None = None

    @property
    def step(self) -> ProposalStep:
        """Where it stands."""
        return self.ruling.step if self.ruling else ProposalStep.WAITING


def closed(proposal: Proposal) -> str:
    """Why a proposal can no longer be approved or rejected; empty while it waits."""
    ruling = proposal.ruling
    if ruling is None:
        return ""
    return f"proposal {proposal.number} was {ruling.step} by {ruling.actor} at {windows.iso(ruling.at)}"


def own(proposal: Proposal, actor: str) -> str:
    """Why this actor may not approve a proposal: the same person made it. Empty for another person's."""
    if proposal.actor.startswith("~"):
        return f"the author of proposal {proposal.number} is no longer known; reject it and propose it again"
    if proposal.actor.endswith(f" as {actor}"):
        return f"{actor} is not a person; log in as yourself, or name the approver with --as"
    who = person_of(proposal.actor)
    if person_of(actor).casefold() != who.casefold():
        return ""
    return f"{who} made proposal {proposal.number}; another person has to approve it"


def approved_fields(proposal: Proposal, *, at: Instant, actor: str, reason: str) -> dict[str, Any]:
    """``at``, ``actor`` and ``reason`` of an approved change: both persons, and both their reasons."""
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
            "type": "organisation" if isinstance(entry, Organisation) else "link",
            **{k: str(v) if isinstance(v, Decimal) else v for k, v in entry_value(entry).items()},
        }
        for entry in entries
    ]


def entries_from(value: Iterable[Mapping[str, Any]]) -> list[RegistryEntry]:
    """The entries that ``entries_value`` wrote."""
    entries: list[RegistryEntry] = []
    for given in value:
        fields = {name: field for name, field in given.items() if name != "type"}
        if given["type"] == "organisation":
            entries.append(Organisation(**fields))
        else:
            exact = {name: Decimal(fields[name]) for name in ("fraction", "granted") if fields.get(name)}
            entries.append(Link(**{**fields, **exact}))
    return entries


def summary(proposal: Proposal) -> str:
    """The proposed change in a few words.

    >>> wanted = {"window": "2027Q1", "as_of": 1806530400, "fingerprint": "ab"}
    >>> kind = ProposalKind.PUBLICATION
    >>> summary(Proposal(number=1, kind=kind, content=wanted, at=0, actor="a", reason=""))
    'report of 2027Q1 as of 2027-03-31T22:00:00Z'
    """
    content = proposal.content
    match proposal.kind:
        case ProposalKind.REGISTRY:
            return ", ".join(sorted({entry["organisation"] for entry in content["entries"]}))
        case ProposalKind.OVERRIDE:
            return f"job {content['job']}: {content['beneficiary'] or 'withdraw the override'}"
        case ProposalKind.PUBLICATION:
            return f"report of {content['window']} as of {windows.iso(content['as_of'])}"
        case ProposalKind.PROMISE:
            what = "no promise" if content["ended"] else f"a share of {content['share']:g}"
            return f"{what} from {windows.iso(content['since'])}"
        case ProposalKind.JOINT if "term" in content:
            term = content["term"]
            what = "no promise" if term["ended"] else f"a share of {term['share']:g}"
            return f"{term['promise']}: {what} from {windows.iso(term['since'])}"
        case ProposalKind.JOINT:
            row = weight_of(content["weight"])
            return f"{row.promise}: {row.cluster} counts {row.unit} from {windows.iso(row.since)}"
