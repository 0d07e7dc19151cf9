"""`saf approval`: what was proposed, and a second person's word on it."""

from __future__ import annotations

from collections.abc import Mapping

import click

from slurm_ai_factory.audit import approving
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.options import SafGroup, chosen, current_actor, load_config, now, opened_ledger
from slurm_ai_factory.core.programme import approval
from slurm_ai_factory.core.programme.approval import Proposal, ProposalKind
from slurm_ai_factory.ledger import LONG, Ledger

REASON = click.option("--reason", metavar="TEXT", default="", help="Why; kept with the entry.")
NUMBER = click.argument("number", metavar="N", type=click.IntRange(min=1))


@click.group("approval", cls=SafGroup)
def approval_group() -> None:
    """Proposals: what one person wants recorded, and another has to approve.

    Which changes need a second person is said in [approval] of saf.toml.
    """


@approval_group.command("list")
@click.option("--all", "every", is_flag=True, help="Those that were approved or rejected, too.")
def approval_list(every: bool) -> None:
    """Proposals that wait, newest first."""
    with opened_ledger(load_config()) as ledger:
        found = [one for one in ledger.proposals.all() if every or one.ruling is None]
    output.listing([_row(one) for one in found], "no proposal waits")


@approval_group.command("show")
@NUMBER
def approval_show(number: int) -> None:
    """One proposal: what would be recorded, and what became of it."""
    with opened_ledger(load_config()) as ledger:
        found = ledger.proposals.one(number)
    if chosen.json:
        return output.emit({**_row(found), "content": found.content})
    output.pairs({**_row(found), "content": output.as_json(found.content, indent=None)})
    return None


@approval_group.command("approve")
@NUMBER
@REASON
def approval_approve(number: int, reason: str) -> None:
    """Put a proposal into force; not one's own. Writes to the ledger.

    It is checked again: one that cannot be recorded any more is refused, and goes on waiting.
    """
    config = load_config()
    with opened_ledger(config, LONG) as ledger:
        found = approving.approve(config, ledger, number, at=now(), actor=current_actor(), reason=reason)
    _tell(found)


@approval_group.command("reject")
@NUMBER
@REASON
def approval_reject(number: int, reason: str) -> None:
    """Turn a proposal down, or take one's own back. Writes to the ledger."""
    with opened_ledger(load_config()) as ledger:
        ledger.proposals.reject(number, at=now(), actor=current_actor(), reason=reason)
        found = ledger.proposals.one(number)
    _tell(found)


def propose(
    ledger: Ledger, kind: ProposalKind, content: Mapping[str, object], said: Mapping[str, object]
) -> int:
    """Have it wait for a second person, and say so; its number. ``said`` has at, actor and reason."""
    number = ledger.proposals.propose(kind, content, said)
    if not chosen.quiet:
        waits = f"proposal {number} waits for another person, and nothing is in force yet"
        output.say(f"{waits}: saf approval approve {number}", err=True)
    return number


def proposed(
    ledger: Ledger, kind: ProposalKind, content: Mapping[str, object], said: Mapping[str, object]
) -> None:
    """As ``propose``, for a command that has nothing else to say."""
    number = propose(ledger, kind, content, said)
    if chosen.json:
        output.emit({"proposal": number})


def _row(one: Proposal) -> dict[str, object]:
    ruling = one.ruling
    return {
        "proposal": one.number,
        "kind": str(one.kind),
        "what": approval.summary(one),
        "at": output.when(one.at),
        "actor": one.actor,
        "reason": one.reason,
        "step": one.step,
        "ruled_at": output.when(ruling.at if ruling else None),
        "ruled_by": ruling.actor if ruling else None,
        "ruled_reason": ruling.reason if ruling else None,
    }


def _tell(one: Proposal) -> None:
    if chosen.json:
        output.emit(_row(one))
    elif not chosen.quiet:
        output.say(f"proposal {one.number} is {one.step}: {one.kind}, {approval.summary(one)}", err=True)


COMMANDS = (approval_group,)
