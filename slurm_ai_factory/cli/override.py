"""`saf override`: the classification of a single job, whatever the rules say.

Tested in tests/cli/test_approval.py and tests/end_to_end/test_accounting.py.
"""

from __future__ import annotations

import click

from slurm_ai_factory.audit import approving
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.approval import proposed
from slurm_ai_factory.cli.arguments import reason_option, warn_of_names
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.wiring import current_actor, load_config, now, opened_ledger
from slurm_ai_factory.core.programme.approval import ProposalKind
from slurm_ai_factory.core.words import count
from slurm_ai_factory.ledger import Ledger


@click.command("override", cls=EachCommand, once=("job", "beneficiary", "organisation", "withdraw", "reason"))
@click.argument("job", metavar="[JOBID]", required=False)
@click.option(
    "--beneficiary", type=click.Choice(("regional", "non_regional")), help="Classify the job as this."
)
@click.option("--organisation", metavar="KEY", default="", help="The organisation, if it is registered.")
@click.option("--withdraw", is_flag=True, help="Withdraw an earlier override; the rules decide again.")
@reason_option()
def override_command(
    job: str | None, beneficiary: str | None, organisation: str, withdraw: bool, reason: str | None
) -> None:
    """Override the classification of a single job; without JOBID, list the overrides.

    Covers the job's runs now in the ledger; a later requeue is a new run. Earlier answers are kept: `--as-of`
    an earlier instant still shows them. Writes to the ledger.
    """
    config = load_config()
    with opened_ledger(config) as ledger:
        if job is None and (beneficiary or organisation or withdraw or reason):
            raise click.UsageError("give the JOBID")
        if job is None:
            return _list(ledger)
        if bool(beneficiary) == withdraw or not (reason or "").strip():
            raise click.UsageError("give --beneficiary or --withdraw, and a --reason")
        warn_of_names(ledger, reason or "")
        wanted = {"beneficiary": beneficiary, "organisation": organisation}
        approving.check_override(ledger, job, wanted)
        act = {"actor": current_actor(), "reason": reason}
        if config.approval.overrides:
            return proposed(ledger, ProposalKind.OVERRIDE, {"job": job, **wanted}, {"at": now(), **act})
        number, runs = ledger.intake.override(job, wanted | act, at=now())
    sentence = f"override {number} of job {job}: {count(runs, 'run')}; see `saf explain {job}`"
    return output.reply({"override": number, "job": job, "runs": runs}, sentence)


def _list(ledger: Ledger) -> None:
    rows = [
        {"override": override.number, "job": override.job,
         "beneficiary": str(override.beneficiary or "withdrawn"), "organisation": override.organisation,
         "at": output.when(override.at), "actor": override.actor, "reason": override.reason}
        for override in ledger.registry.overrides().values()
    ]  # fmt: skip
    output.listing(rows, "there are no overrides")
