"""`saf ledger withdraw`: withdraw reads that were wrong, and read again.

Tested in tests/ledger/test_withdraw.py and tests/end_to_end/test_trust.py.
"""

from __future__ import annotations

import click

from slurm_ai_factory import cycle
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import asked_instant, reason_option, warn_of_names
from slurm_ai_factory.cli.options import SafCommand
from slurm_ai_factory.cli.wiring import current_actor, load_config, opened_site
from slurm_ai_factory.errors import RefusedError
from slurm_ai_factory.steps import clocks, reading


@click.command("withdraw", cls=SafCommand)
@click.option("--since", metavar="T", required=True, help="Withdraw reads made at this instant or later.")
@reason_option(required=True)
def withdraw_command(since: str, reason: str) -> None:
    """Withdraw wrong reads and read again: after a wrong clock, or while Slurm hid rows.

    The ledger becomes what it was before these reads, and their interval is read again. Withdrawn data stays:
    `--as-of` an instant in between still shows it. Stop the daemon first. Writes to the ledger.
    """
    if not reason.strip():
        raise RefusedError("--reason is empty; say why the reads are withdrawn")
    config = load_config()
    first = asked_instant(config, since)
    with opened_site(config) as site:
        cycle.hold_the_lock(site)
        warn_of_names(site.ledger, reason)
        site.slurm.priority_config()
        now = clocks.checked_diagnostics(site).at
        withdrawn = site.ledger.intake.withdraw(first, at=now, actor=current_actor(), reason=reason)
        interval = min(withdrawn.first, now - 1), now
        read = reading.read_intervals(
            site.slurm, site.ledger, [interval], at=now, usual=config.slurm.read_window
        )
        site.ledger.intake.record_events(*site.slurm.events(*interval), now)
    began = output.when(interval[0])
    value = {"withdrawn_reads": withdrawn.reads, "since": began, "runs": read.runs}
    output.reply(value, f"reads withdrawn: {withdrawn.reads}; read {read.runs} runs since {began} again")
