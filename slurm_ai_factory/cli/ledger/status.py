"""`saf ledger status`. Tested in tests/cli/ledger/test_move.py."""

from __future__ import annotations

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.wiring import load_config, opened_ledger


@click.command("status", cls=EachCommand)
def ledger_status_command() -> None:
    """Show how much the ledger holds and up to when accounting was read."""
    config = load_config()
    with opened_ledger(config) as ledger:
        status = ledger.accounting.status()
        leader = ledger.store.leader(ledger.accounting.cluster_id)
    read_at = output.when(status["last_read_at"])
    output.show({"cluster": config.cluster.name, **status, "last_read_at": read_at, "leader": leader})
