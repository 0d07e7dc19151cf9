"""`saf ledger`: the commands on the ledger as a database; one module for each, or for two.

Tested in tests/cli/ledger.
"""

from __future__ import annotations

import click

from slurm_ai_factory.cli.ledger.archive import archive_command
from slurm_ai_factory.cli.ledger.backup import backup_command, restore_command
from slurm_ai_factory.cli.ledger.expire import expire_command
from slurm_ai_factory.cli.ledger.export import export_command
from slurm_ai_factory.cli.ledger.fingerprint import fingerprint_command
from slurm_ai_factory.cli.ledger.head import head_command
from slurm_ai_factory.cli.ledger.migrate import migrate_command, roles_command
from slurm_ai_factory.cli.ledger.move import move_command
from slurm_ai_factory.cli.ledger.pseudonymise import pseudonymise_command
from slurm_ai_factory.cli.ledger.status import ledger_status_command
from slurm_ai_factory.cli.ledger.verify import verify_command
from slurm_ai_factory.cli.ledger.withdraw import withdraw_command
from slurm_ai_factory.cli.options import SafGroup


@click.group("ledger", cls=SafGroup)
def ledger_group() -> None:
    """Manage the ledger database."""


for _command in (
    archive_command, backup_command, expire_command, export_command, fingerprint_command, head_command,
    migrate_command, move_command, pseudonymise_command, restore_command, roles_command,
    ledger_status_command, verify_command, withdraw_command,
):  # fmt: skip
    ledger_group.add_command(_command)
