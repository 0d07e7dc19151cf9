"""`saf approval`: proposals, and a second person's ruling on them."""

from __future__ import annotations

from collections.abc import Mapping

import click

from slurm_ai_factory.audit import approving
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import reason_option
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.options import SafGroup, chosen
from slurm_ai_factory.cli.wiring import current_actor, load_config, now, opened_ledger
from slurm_ai_factory.core.programme import approval
from slurm_ai_factory.core.programme.approval import Proposal, ProposalKind
from slurm_ai_factory.ledger import LONG, Ledger

NUMBER = click.argument("number", metavar="N", type=click.IntRange(min=1))


@click.group("approval", cls=SafGroup)
def approval_group() -> None:
    """Manage proposals: changes of one person that another person has to approve.

    [approval] of saf.toml says which changes need a second person.
    """


@approval_group.command("list", cls=EachCommand)
@click.option("--all", "every", is_flag=True, help="Include approved and rejected proposals.")
def approval_list(every: bool) -> None:
    """List waiting proposals, newest first."""
    with opened_ledger(load_config()) as ledger:
        proposals = [proposal for proposal in ledger.proposals.all() if every or proposal.ruling is None]
    output.listing([_value(proposal) for proposal in proposals], "no proposal waits")


@approval_group.command("show")
@NUMBER
def approval_show(number: int) -> None:
    """Show one proposal: what it would record, and how it was ruled on."""
    with opened_ledger(load_config()) as ledger:
        proposal = ledger.proposals.one(number)
    if chosen.json:
        return output.emit({**_value(proposal), "content": proposal.content})
    content = output.as_json(proposal.content, indent=None)
    return output.pairs({**_value(proposal), "content": content})


@approval_group.command("approve")
@NUMBER
@reason_option(default="")
def approval_approve(number: int, reason: str) -> None:
    """Approve and record another person's proposal. Writes to the ledger.

    The proposal is checked again; one that can no longer be recorded is refused and keeps waiting.
    """
    config = load_config()
    with opened_ledger(config, LONG) as ledger:
        proposal = approving.approve(config, ledger, number, at=now(), actor=current_actor(), reason=reason)
    _answer(proposal)


@approval_group.command("reject")
@NUMBER
@reason_option(default="")
def approval_reject(number: int, reason: str) -> None:
    """Reject a proposal, or withdraw your own. Writes to the ledger."""
    with opened_ledger(load_config()) as ledger:
        ledger.proposals.reject(number, at=now(), actor=current_actor(), reason=reason)
        proposal = ledger.proposals.one(number)
    _answer(proposal)


def propose(
    ledger: Ledger, kind: ProposalKind, content: Mapping[str, object], entry: Mapping[str, object]
) -> int:
    """Record a proposal and print that it waits; its number. ``entry`` has at, actor and reason."""
    number = ledger.proposals.propose(kind, content, entry)
    if not chosen.quiet:
        waits = f"proposal {number} waits for another person and has no effect yet"
        output.say(f"{waits}: saf approval approve {number}", err=True)
    return number


def proposed(
    ledger: Ledger, kind: ProposalKind, content: Mapping[str, object], entry: Mapping[str, object]
) -> None:
    """As ``propose``, for a command that prints nothing else."""
    output.reply({"proposal": propose(ledger, kind, content, entry)})


def _value(proposal: Proposal) -> dict[str, object]:
    ruling = proposal.ruling
    return {
        "proposal": proposal.number,
        "kind": str(proposal.kind),
        "what": approval.summary(proposal),
        "at": output.when(proposal.at),
        "actor": proposal.actor,
        "reason": proposal.reason,
        "step": proposal.step,
        "ruled_at": output.when(ruling.at if ruling else None),
        "ruled_by": ruling.actor if ruling else None,
        "ruled_reason": ruling.reason if ruling else None,
    }


def _answer(proposal: Proposal) -> None:
    what = f"{proposal.kind}, {approval.summary(proposal)}"
    output.reply(_value(proposal), f"proposal {proposal.number} is {proposal.step}: {what}")
