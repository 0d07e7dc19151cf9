"""Approves proposals of each kind, which takes a second person.

Rule: a proposal is recorded as it was made, if it is still valid, or not at all. Everything is checked first;
then one transaction writes the approval together with what was proposed. Tested in
tests/cli/test_approval.py.
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
from slurm_ai_factory.core.programme.joint import joint_term, weight_of
from slurm_ai_factory.core.programme.terms import term_of
from slurm_ai_factory.core.records import FIRST, Instant
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.report import gather

Attribution = Mapping[str, Any]
"""A record's at, actor and reason; or the content of a proposal."""


def approve(config: Config, ledger: Ledger, number: int, *, at: Instant, actor: str, reason: str) -> Proposal:
    """Approve a proposal, once. Raises LedgerError if it is closed, the actor's own, or no longer valid."""
    proposal = ledger.proposals.one(number)
    if why := approval.closed(proposal) or approval.own(proposal, actor):
        raise LedgerError(why)
    by = approval.approved_fields(proposal, at=at, actor=actor, reason=reason)
    enter = PREPARE[proposal.kind](config, ledger, proposal.content, by)
    ledger.proposals.approve(number, enter, at=at, actor=actor, reason=reason)
    return ledger.proposals.one(number)


def check_override(ledger: Ledger, job: str, content: Mapping[str, Any]) -> None:
    """Raise LedgerError where this override of a job is not possible.

    ``content`` has beneficiary (None withdraws the last override) and organisation.
    """
    ledger.intake.check_job(job)
    organisation = content["organisation"]
    if organisation and organisation not in ledger.registry.known().keys:
        raise LedgerError(f"organisation {organisation} is not registered; see `saf organisation list`")
    last = [override for override in ledger.registry.overrides().values() if override.job == job][-1:]
    if not content["beneficiary"] and not any(override.beneficiary for override in last):
        raise LedgerError(f"job {job} has no override to withdraw; see `saf override`")


def _registry(config: Config, ledger: Ledger, content: Attribution, by: Attribution) -> Callable[[], None]:
    codes = config.codes(ledger.accounting.parents())
    entries = approval.entries_from(content["entries"])

    def enter() -> None:
        done = ledger.registry.record(entries, codes, by, correct=content["correct"])
        if done.problems:
            problems = "; ".join(
                f"{problem.entry.organisation}: {problem.field} {problem.reason}" for problem in done.problems
            )
            raise LedgerError(f"the entries cannot be recorded any more: {problems}; reject the proposal")

    return enter


def _override(_config: Config, ledger: Ledger, content: Attribution, by: Attribution) -> Callable[[], object]:
    check_override(ledger, content["job"], content)
    values = {name: content[name] for name in ("beneficiary", "organisation")}
    values |= {name: by[name] for name in ("actor", "reason")}
    return partial(ledger.intake.override, content["job"], values, at=by["at"])


def _publication(
    config: Config, ledger: Ledger, content: Attribution, by: Attribution
) -> Callable[[], object]:
    then = content["as_of"]
    ask = question.ask(config, ledger, then=then)
    window = windows.window(content["window"], then, ask.config.promise.time_zone)
    made = gather.published_anew(ask.about(window), content.get("note"))
    if made.fingerprint != content["fingerprint"]:
        raise LedgerError(
            f"the report of {content['window']} made now differs from the one proposed: the ledger or the "
            "settings it rests on were changed since; reject the proposal, and publish it again"
        )
    return partial(ledger.publishing.publish, made, at=by["at"], actor=by["actor"])


def _promise(config: Config, ledger: Ledger, content: Attribution, by: Attribution) -> Callable[[], None]:
    """Records the proposed term at the time of approval, by both persons; it may be retroactive by now."""
    new = term_of({**content, "actor": by["actor"], "reason": by["reason"], "recorded_at": by["at"]})

    def enter() -> None:
        if new.promise != FIRST:
            question.begin_terms(config, ledger, by["at"], by["actor"])
        if problems := ledger.promise_terms.record(new, config.term_before(new, by["at"], by["actor"])):
            raise LedgerError(f"{'; '.join(problems)}; reject the proposal")

    return enter


def _joint(_config: Config, ledger: Ledger, content: Attribution, by: Attribution) -> Callable[[], None]:
    """Records the proposed term or weight of a joint promise at the time of approval, by both persons."""
    now = {"actor": by["actor"], "reason": by["reason"], "recorded_at": by["at"]}

    def enter() -> None:
        problems = (
            ledger.joint.record(joint_term({**content["term"], **now}))
            if "term" in content
            else ledger.joint.weigh(weight_of({**content["weight"], **now}))
        )
        if problems:
            raise LedgerError(f"{'; '.join(problems)}; reject the proposal")

    return enter


PREPARE: Mapping[ProposalKind, Callable[[Config, Ledger, Attribution, Attribution], Callable[[], object]]] = {
    ProposalKind.PROMISE: _promise,
    ProposalKind.JOINT: _joint,
    ProposalKind.REGISTRY: _registry,
    ProposalKind.OVERRIDE: _override,
    ProposalKind.PUBLICATION: _publication,
}
"""Each checks a proposal's content, and gives what the transaction that approves it has to call."""
