"""What a second person puts into force: each kind of proposal, checked again as it is approved.

The rule: a proposal is recorded as it was made, if it still may be, or not at all. Everything is checked
first; then the approval and what it puts into force are written in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from slurm_ai_factory import question
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme import approval
from slurm_ai_factory.core.programme.approval import Proposal, ProposalKind
from slurm_ai_factory.core.programme.terms import term_of
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.report import gather

Attribution = Mapping[str, Any]
"""at, actor and reason."""


def approve(config: Config, ledger: Ledger, number: int, *, at: Instant, actor: str, reason: str) -> Proposal:
    """Put a proposal into force, once. Raises LedgerError where it is closed, one's own or not valid now."""
    proposal = ledger.proposals.one(number)
    if why := approval.closed(proposal) or approval.own(proposal, actor):
        raise LedgerError(why)
    said = approval.said(proposal, at=at, actor=actor, reason=reason)
    put_into_force = PREPARE[proposal.kind](config, ledger, proposal.content, said)
    ledger.proposals.approve(number, put_into_force, at=at, actor=actor, reason=reason)
    return ledger.proposals.one(number)


def check_override(ledger: Ledger, job: str, content: Mapping[str, Any]) -> None:
    """Raise LedgerError where a job cannot be overridden so.

    ``content`` has beneficiary (None takes the last override back) and organisation.
    """
    ledger.accounting.check_job(job)
    organisation = content["organisation"]
    if organisation and organisation not in ledger.registry.known().keys:
        raise LedgerError(f"organisation {organisation} is not registered; see `saf organisation list`")
    last = [one for one in ledger.registry.overrides().values() if one.job == job][-1:]
    if not content["beneficiary"] and not any(one.beneficiary for one in last):
        raise LedgerError(f"job {job} has no override to withdraw; see `saf override`")


def _registry(config: Config, ledger: Ledger, content: Attribution, said: Attribution) -> Callable[[], None]:
    terms = config.terms(ledger.accounting.parents())
    entries = approval.entries_from(content["entries"])

    def enter() -> None:
        done = ledger.registry.record(entries, terms, said, correct=content["correct"])
        if done.problems:
            whole = "; ".join(f"{one.entry.organisation}: {one.field} {one.reason}" for one in done.problems)
            raise LedgerError(f"the entries cannot be recorded any more: {whole}; reject the proposal")

    return enter


def _override(
    _config: Config, ledger: Ledger, content: Attribution, said: Attribution
) -> Callable[[], object]:
    check_override(ledger, content["job"], content)
    wanted = {name: content[name] for name in ("beneficiary", "organisation")}
    who = {name: said[name] for name in ("actor", "reason")}
    return partial(ledger.accounting.override, content["job"], {**wanted, **who}, at=said["at"])


def _publication(
    config: Config, ledger: Ledger, content: Attribution, said: Attribution
) -> Callable[[], object]:
    then = content["as_of"]
    ask = question.ask(config, ledger, then=then)
    window = windows.window(content["window"], then, ask.config.promise.time_zone)
    made = gather.published_anew(ask.about(window))
    if made.fingerprint != content["fingerprint"]:
        raise LedgerError(
            f"the report of {content['window']} made now differs from the one proposed: the ledger or the "
            "settings it rests on were changed since; reject the proposal, and publish it anew"
        )
    return partial(ledger.publishing.publish, made, at=said["at"], actor=said["actor"])


def _promise(config: Config, ledger: Ledger, content: Attribution, said: Attribution) -> Callable[[], None]:
    """The term as it was proposed, recorded now, by both persons; it may have become retroactive."""
    by = {"actor": said["actor"], "reason": said["reason"], "recorded_at": said["at"]}
    new = term_of({**content, **by})

    def enter() -> None:
        if found := ledger.promise_terms.record(new, config.first_term(said["at"], said["actor"])):
            raise LedgerError(f"{'; '.join(found)}; reject the proposal")

    return enter


PREPARE: Mapping[ProposalKind, Callable[[Config, Ledger, Attribution, Attribution], Callable[[], object]]] = {
    ProposalKind.PROMISE: _promise,
    ProposalKind.REGISTRY: _registry,
    ProposalKind.OVERRIDE: _override,
    ProposalKind.PUBLICATION: _publication,
}
"""Each looks at a proposal's content, and answers with what the transaction that approves it has to do."""
