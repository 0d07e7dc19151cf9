"""`saf ledger withdraw`: takes reads back that were wrong, and reads again."""

from __future__ import annotations

import click

from slurm_ai_factory import cycle
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.measure import asked_instant
from slurm_ai_factory.cli.naming import warn_of_names
from slurm_ai_factory.cli.options import SafCommand, chosen, current_actor, load_config, opened_site
from slurm_ai_factory.cli.setup import ledger_group
from slurm_ai_factory.errors import RefusedError
from slurm_ai_factory.steps import clocks, reading


@ledger_group.command("withdraw", cls=SafCommand)
@click.option("--since", metavar="T", required=True, help="Reads made at this instant or later.")
@click.option("--reason", metavar="TEXT", required=True, help="Why; kept with the entry.")
def withdraw_command(since: str, reason: str) -> None:
    """Take back reads that were wrong, and read again: after a wrong clock, or while Slurm hid rows.

    The ledger becomes what it was before these reads; what they brought is kept, and `--as-of` an instant
    between still shows it. Then everything they covered is read anew. Wants the daemon stopped. Writes to the
    ledger.
    """
    if not reason.strip():
        raise RefusedError("--reason is empty; say why the reads are taken back")
    config = load_config()
    first = asked_instant(config, since)
    with opened_site(config) as site:
        cycle.hold_the_lock(site)
        warn_of_names(site.ledger, reason)
        site.slurm.priority_config()
        now = clocks.checked_diagnostics(site).at
        withdrawn = site.ledger.accounting.withdraw(first, at=now, actor=current_actor(), reason=reason)
        interval = min(withdrawn.first, now - 1), now
        read = reading.read_intervals(
            site.slurm, site.ledger, [interval], at=now, usual=config.slurm.read_window
        )
        site.ledger.accounting.record_events(*site.slurm.events(*interval), now)
    if chosen.json:
        value = {"withdrawn_reads": withdrawn.reads, "since": output.when(interval[0]), "runs": read.runs}
        return output.emit(value)
    if not chosen.quiet:
        again = f"read {read.runs} runs since {output.when(interval[0])} again"
        output.say(f"reads withdrawn: {withdrawn.reads}; {again}", err=True)
    return None


COMMANDS: tuple[click.Command, ...] = ()
"""It belongs to `saf ledger`."""
