"""`saf ledger backup` and `saf ledger restore`: the ledger as one file, the head of its chain beside it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from slurm_ai_factory import config as configuration
from slurm_ai_factory.audit import signing
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.new_file import new_file
from slurm_ai_factory.cli.options import SafCommand
from slurm_ai_factory.cli.wiring import config_of_ledger, reachable_ledger_url
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import backup, embedded
from slurm_ai_factory.ledger.backup import BackedUp
from slurm_ai_factory.ledger.chain import Head

FILE = click.Path(dir_okay=False, path_type=Path)
URL = click.option("--url", metavar="URL", help="The ledger. Default: the configured one.")
PROGRAMS = click.option(
    "--programs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIRECTORY",
    help="PostgreSQL's programs. Default: those in PATH, or of the embedded PostgreSQL.",
)


@click.command("backup", cls=SafCommand)
@click.argument("file", type=FILE)
@URL
@PROGRAMS
def backup_command(file: Path, url: str | None, programs: Path | None) -> None:
    """Dump the ledger into FILE, and the head of its chain into FILE.head. The daemon may run meanwhile.

    FILE holds names of persons: only its owner may read it. Both files must be new. Keep a copy of FILE.head
    elsewhere: it proves later that a restored ledger is whole.
    """
    config = config_of_ledger()
    with new_file(head_file(file)) as noted, new_file(file) as part:
        dumped = backup.back_up(url or reachable_ledger_url(config), part, programs)
        value = _noted(config, dumped)
        noted.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    output.reply({"file": str(file), **value}, f"dumped the ledger into {file}; head {dumped.head.hash}")


@click.command("restore", cls=SafCommand)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@URL
@PROGRAMS
def restore_command(file: Path, url: str | None, programs: Path | None) -> None:
    """Restore a ledger from FILE into an empty database, of PostgreSQL 14 or later. Writes to that only.

    The restored ledger must end with the head in FILE.head, if that is there. Give --url as a member of
    saf_owner or as a superuser, if the ledger had the roles of `saf ledger roles`.
    """
    config = config_of_ledger()
    target = url or configuration.ledger_url(config) or embedded.url(config.ledger.state_directory)
    dumped = _read(head_file(file)) if head_file(file).exists() else None
    head = backup.restore(target, file, programs, dumped)
    compared = "as noted" if dumped else f"not compared, because there is no {head_file(file)}"
    output.reply(
        {"entry": head.entry, "head": head.hash, "recorded": windows.iso(head.at), "compared": bool(dumped)},
        f"restored; head {head.hash}, {compared}; now run: saf ledger verify",
    )


def head_file(file: Path) -> Path:
    """Where the head of a dump is noted."""
    return Path(f"{file}.head")


def _noted(config: Config, dumped: BackedUp) -> dict[str, object]:
    head, key = dumped.head, config.ledger.signing_key
    value = {"entry": head.entry, "head": head.hash, "recorded": windows.iso(head.at), "roles": dumped.roles}
    return value | ({"signature": signing.head_signature(key, head.entry, head.hash)} if key else {})


def _read(file: Path) -> BackedUp:
    """What is noted beside a dump. Raises LedgerError."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
        return BackedUp(Head(int(value["entry"]), str(value["head"]), 0), value["roles"] is True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LedgerError(
            f"{file} has no head of a ledger: {error}; copy it again, or move it away"
        ) from error
