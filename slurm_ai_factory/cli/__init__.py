"""The command line: `saf`. The only place that puts everything together.

Data goes to stdout, everything else to stderr. Users see a traceback with --debug only.
Tested in tests/cli/test_commands.py.
"""

from __future__ import annotations

import logging
import signal
import sys
import traceback
from importlib import import_module

import click

from slurm_ai_factory import __version__
from slurm_ai_factory.cli import output, screen
from slurm_ai_factory.cli.options import SafGroup, chosen, drop_output
from slurm_ai_factory.cli.wiring import marked, to_journal
from slurm_ai_factory.errors import SafError, shortage

COMMANDS = (
    "approval", "backfill", "bundle", "config", "cycle", "demo", "doctor", "energy", "expertise",
    "explain", "grid", "history", "hub", "init", "joint", "ledger", "meter", "organisation", "override",
    "pause", "person", "plan", "promise", "reconcile", "release", "report", "restore-baseline", "resume",
    "rules", "run", "share", "simulate", "statement", "status", "unclassified",
)  # fmt: skip
"""Each has a module of its name. Only the module of the given command is loaded: all take a second."""

ELSEWHERE = {"resume": "pause"}
"""The command -> the module that has it."""


class Saf(SafGroup):
    """All commands, each loaded when it is asked for."""

    def list_commands(self, _: click.Context) -> list[str]:
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        """The command of a name."""
        if name not in COMMANDS:
            return None
        module = ELSEWHERE.get(name, name).replace("-", "_")
        values = vars(import_module(f"{__name__}.{module}")).values()
        return next(value for value in values if isinstance(value, click.Command) and value.name == name)

    def with_all(self) -> click.Group:
        """The group with every command loaded, for documentation and tests."""
        context = click.Context(self)
        self.commands = {name: self.get_command(context, name) for name in COMMANDS}  # type: ignore[misc]
        return self


@click.group(cls=Saf)
@click.version_option(__version__, prog_name="saf")
def cli() -> None:
    """Keep share floors in Slurm, with an auditable ledger.

    Reads Slurm's accounting, separates regional from other charge, records both in a ledger, and steers
    RawShares so that the region gets its promised share. Commands are read-only unless their help says so.
    """


class _EndedError(KeyboardInterrupt):
    """A signal that asks the process to end, as Ctrl-C does."""


def main() -> None:
    """Run the command line. Exit codes: 0 success, 1 error, 2 usage, and those a command documents."""
    screen.guard()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    try:
        sys.exit(cli.main(standalone_mode=False, auto_envvar_prefix="SAF") or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        ended = error.__cause__ or error  # click turns it into an Abort
        if isinstance(ended, _EndedError):
            signal.signal(ended.args[0], signal.SIG_DFL)
            signal.raise_signal(ended.args[0])
        click.echo("interrupted", err=True)
        sys.exit(130)
    except SafError as error:
        _fail(error, str(error))
    except OSError as error:
        short = shortage(error)
        if error.filename is None and not short:
            drop_output()
        what = f"use {error.filename}" if error.filename else "write the output"
        _fail(error, short or f"cannot {what}: {error.strerror or error}")
    except Exception as error:
        remedy = "this is a defect: run the command again with --debug and report it"
        _fail(error, shortage(error) or f"unexpected {type(error).__name__}: {error}; {remedy}")


def _end(number: int, _frame: object) -> None:
    """Unwind as Ctrl-C does, so that no half a file is left; the process still ends by the signal."""
    raise _EndedError(number)


def _fail(error: Exception, message: str) -> None:
    if chosen.debug:
        traceback.print_exception(error)
    text = f"saf: {message}"
    output.say(marked(logging.ERROR, text) if to_journal() else text, err=True)
    sys.exit(1)
