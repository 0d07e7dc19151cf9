"""`saf restore-baseline`: put back the shares found before the first change.

Tested in tests/end_to_end/test_siblings.py.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.cycle import exit_code
from slurm_ai_factory.cli.options import SafCommand, chosen
from slurm_ai_factory.cli.wiring import load_config, opened_site, slurm_of
from slurm_ai_factory.core.records import LeverKind
from slurm_ai_factory.steps import applying
from slurm_ai_factory.steps.applying import Outcome, Restored


@click.command("restore-baseline", cls=SafCommand)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--number", is_flag=True, help="Restore the number of RawShares, even if the level changed.")
def restore_baseline_command(yes: bool, number: bool) -> None:
    """Restore what was found before the first change: shares and switches. Writes to Slurm.

    If the RawShares of the region's siblings were rescaled since, the same part is another number of
    RawShares.

    A daemon in mode enforce would steer again at its next cycle: run `saf pause` first, or set control.mode
    to observe and reload.
    """
    config = load_config()
    with opened_site(config) as site:
        restored = applying.baseline(site, site.slurm.associations(), number)
        if not restored:
            baselines = any(site.ledger.control.baselines(lever) for lever in LeverKind)
            why = "all is as it was found" if baselines else "saf itself has set nothing"
            output.say(f"nothing to restore: {why}", err=True)
            return
        for baseline in restored:
            output.say(f"# {_sentence(baseline)}", err=True)
            output.say(shlex.join(slurm_of(config).argv(baseline.change)), err=True)
        rescaled = [baseline for baseline in restored if baseline.rescaled]
        if yes and not number and not all(baseline.baseline.sibling_shares for baseline in rescaled):
            raise click.UsageError(
                "the baseline was recorded without its level, so its number may mean another part now; "
                "check the parts above, then give --number to restore the number itself"
            )
        if not yes and not click.confirm("Run this now?", err=True):
            output.say("nothing was changed", err=True)
            sys.exit(1)
        outcomes = applying.restore_baseline(site, number)
    list_outcomes(outcomes)
    sys.exit(exit_code(outcomes))


def list_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Print what became of each object."""
    rows = [
        {"object": o.change.lever, "account": o.change.account, "raw_shares": o.change.raw_shares_after,
         "status": o.status, "note": o.note}
        for o in outcomes
    ]  # fmt: skip
    if chosen.json or not chosen.quiet:
        output.listing(rows, "nothing was changed")


def _sentence(restored: Restored) -> str:
    """How the restored baseline changes the account's part of the level, or the switch."""
    if restored.change.lever is not LeverKind.ACCOUNT:
        return restored.change.step
    parts = " -> ".join(output.percent(part) or "not known" for part in restored.parts)
    kept, beside = restored.baseline, restored.sibling_shares
    then = "?" if kept.sibling_shares is None else kept.sibling_shares
    rescaled = f"; recorded as {kept.raw_shares} with siblings at {then}, which are at {beside} now"
    return f"{restored.change.account}: {parts} of the level{rescaled if restored.rescaled else ''}"
