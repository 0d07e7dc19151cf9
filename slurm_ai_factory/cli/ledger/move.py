"""`saf ledger move`: copy the ledger into another PostgreSQL."""

from __future__ import annotations

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.options import SafCommand, chosen
from slurm_ai_factory.cli.wiring import config_of_ledger, reachable_ledger_url
from slurm_ai_factory.core.words import count
from slurm_ai_factory.ledger import moving
from slurm_ai_factory.ledger.connection import place
from slurm_ai_factory.ledger.moving import MovedTable


@click.command("move", cls=SafCommand)
@click.option(
    "--to", "target", metavar="URL", required=True, help="An empty database, PostgreSQL 14 or later."
)
@click.option("--from", "source", metavar="URL", help="The ledger to copy. Default: the configured one.")
def move_command(target: str, source: str | None) -> None:
    """Copy the ledger into an empty database and compare both row for row. Writes to that database only.

    Source and target may be any version of PostgreSQL, also the embedded one. Stop the daemon first.
    """
    place(target)  # raises if it is invalid
    config = config_of_ledger()

    def progress(table: MovedTable) -> None:
        if not (chosen.quiet or chosen.json):
            output.say(f"copied {table.name}: {count(table.rows, 'row')}, equal on both sides", err=True)

    tables = moving.move(source or reachable_ledger_url(config), target, progress)
    output.reply(
        [table._asdict() for table in tables],
        f"moved; set ledger.url in {config.file}, or the file of ledger.url_file, to the URL of --to, "
        "then run: saf ledger verify",
    )
