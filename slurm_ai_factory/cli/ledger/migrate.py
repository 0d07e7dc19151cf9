"""`saf ledger migrate` and `saf ledger roles`: the schema of the ledger, and who owns it.

Tested in tests/cli/ledger/test_move.py and tests/ledger/test_rights.py.
"""

from __future__ import annotations

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.options import SafCommand, chosen
from slurm_ai_factory.cli.wiring import config_of_ledger, reachable_ledger_url
from slurm_ai_factory.ledger import LONG, Store, rights


@click.command("migrate", cls=SafCommand)
@click.option("--url", metavar="URL", help="The ledger, as a member of saf_owner. Default: ledger.url.")
def migrate_command(url: str | None) -> None:
    """Migrate the ledger's schema to this version and grant its roles their rights. Writes to the ledger.

    If saf_owner owns the schema (see `saf ledger roles`), only its members may do this.
    """
    with Store(url or reachable_ledger_url(config_of_ledger()), LONG) as store:
        names = store.migrate()
    sentences = [f"migrated {name}" for name in names] or ["nothing to migrate"]
    output.reply({"migrated": names}, *sentences)


@click.command("roles", cls=SafCommand)
def roles_command() -> None:
    """Print the SQL that creates the roles saf_owner, saf_daemon and saf_reader. Writes nothing.

    Run it as a PostgreSQL superuser on the ledger's database, new or old; then run `saf ledger migrate`.
    """
    statement = rights.roles()
    output.emit({"sql": statement}) if chosen.json else click.echo(statement)
