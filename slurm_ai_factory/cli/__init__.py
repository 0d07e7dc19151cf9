"""The command line: `saf`. The only place where everything is put together.

Data goes to stdout, everything else to stderr; no traceback reaches a user without --debug.
"""

from __future__ import annotations

import logging
import sys
import traceback
from importlib import import_module

import click

from slurm_ai_factory import __version__
from slurm_ai_factory.cli import output, screen
from slurm_ai_factory.cli.options import SafGroup, chosen, drop_output, marked, to_journal
from slurm_ai_factory.errors import SafError, shortage

MODULES = {
    "approval": ("approval",),
    "backfill": ("audit",),
    "config": ("setup",),
    "cycle": ("steer",),
    "demo": ("demo",),
    "doctor": ("doctor",),
    "expertise": ("expertise",),
    "explain": ("explain",),
    "history": ("steer",),
    "init": ("setup",),
    "ledger": ("setup", "books", "export", "withdraw", "ledger_move"),
    "organisation": ("registry",),
    "override": ("rules",),
    "pause": ("pause",),
    "person": ("person",),
    "plan": ("steer",),
    "promise": ("promise",),
    "reconcile": ("audit",),
    "report": ("report",),
    "restore-baseline": ("steer",),
    "resume": ("pause",),
    "rules": ("rules",),
    "run": ("run",),
    "share": ("measure",),
    "simulate": ("simulate",),
    "statement": ("report",),
    "status": ("status",),
    "unclassified": ("measure",),
}
"""The modules that make up a command. Only those of the command given are loaded: all take a second."""


class Saf(SafGroup):
    """All commands, each loaded when it is asked for."""

    def list_commands(self, _: click.Context) -> list[str]:
        """The names of all commands."""
        return sorted(MODULES)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        """The command of a name."""
        if name not in MODULES:
            return None
        modules = [import_module(f"slurm_ai_factory.cli.{module}") for module in MODULES[name]]
        found: click.Command = next(one for one in modules[0].COMMANDS if one.name == name)
        return found

    def with_all(self) -> click.Group:
        """The group with every command loaded, for whoever looks through them."""
        context = click.Context(self)
        self.commands = {name: self.get_command(context, name) for name in MODULES}  # type: ignore[misc]
        return self


@click.group(cls=Saf)
@click.version_option(__version__, prog_name="saf")
def cli() -> None:
    """Share floors for Slurm, with an auditable ledger.

    Reads Slurm's accounting, tells regional from other charge, keeps both in a ledger, and steers RawShares
    so that the region gets its promised share. Commands only read unless they say otherwise.
    """


def main() -> None:
    """Run the command line; the exit codes are 0 fine, 1 error, 2 usage, and those a command documents."""
    screen.guard()
    try:
        sys.exit(cli.main(standalone_mode=False, auto_envvar_prefix="SAF") or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except SafError as error:
        _told(error, str(error))
    except OSError as error:
        short = shortage(error)
        if error.filename is None and not short:
            drop_output()
        _told(error, short or f"{error.filename or 'the output'} cannot be used: {error.strerror or error}")
    except Exception as error:
        defect = f"unexpected {type(error).__name__}: {error}; run again with --debug and report it"
        _told(error, shortage(error) or defect)


def _told(error: Exception, message: str) -> None:
    if chosen.debug:
        traceback.print_exception(error)
    text = f"saf: {message}"
    output.say(marked(logging.ERROR, text) if to_journal() else text, err=True)
    sys.exit(1)
