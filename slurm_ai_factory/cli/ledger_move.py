"""`saf ledger move`: the books into another PostgreSQL."""

from __future__ import annotations

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.options import SafCommand, chosen, load_config, reachable_ledger_url
from slurm_ai_factory.cli.setup import ledger_group
from slurm_ai_factory.ledger import moving
from slurm_ai_factory.ledger.connection import place


@ledger_group.command("move", cls=SafCommand)
@click.option(
    "--to", "target", metavar="URL", required=True, help="An empty database, of PostgreSQL 14 or later."
)
@click.option("--from", "source", metavar="URL", help="The ledger that is copied; else the configured one.")
def move_command(target: str, source: str | None) -> None:
    """Copy the ledger into an empty database and compare both row for row. Writes to that database only.

    Of any version of PostgreSQL, the embedded one included, to any other. No daemon may be active meanwhile.
    """
    place(target)  # raises where it is no url
    config = load_config()

    def done(table: moving.MovedTable) -> None:
        if not (chosen.quiet or chosen.json):
            click.echo(f"copied {table.name}: {table.rows} rows, the same at both ends", err=True)

    moved = moving.move(source or reachable_ledger_url(config), target, done)
    if chosen.json:
        return output.emit([table._asdict() for table in moved])
    if not chosen.quiet:
        click.echo(
            f"moved; set ledger.url in {config.file}, or what ledger.url_file names, to the url given with "
            "--to, and run: saf ledger verify",
            err=True,
        )
    return None


COMMANDS: tuple[click.Command, ...] = ()
"""It belongs to `saf ledger`."""
