"""The command line: `saf`. The only place where everything is put together.

Data goes to stdout, everything else to stderr; no traceback reaches a user without --debug.
"""

from __future__ import annotations

import logging
import sys
import traceback

import click

from slurm_ai_factory import __version__
from slurm_ai_factory.cli import (
    audit,
    books,
    demo,
    doctor,
    expertise,
    explain,
    export,
    ledger_move,
    measure,
    output,
    pause,
    person,
    promise,
    registry,
    report,
    rules,
    screen,
    setup,
    simulate,
    status,
    steer,
    withdraw,
)
from slurm_ai_factory.cli.options import SafGroup, chosen, drop_output, marked, to_journal
from slurm_ai_factory.errors import SafError, shortage


@click.group(cls=SafGroup)
@click.version_option(__version__, prog_name="saf")
def cli() -> None:
    """Share floors for Slurm, with an auditable ledger.

    Reads Slurm's accounting, tells regional from other charge, keeps both in a ledger, and steers RawShares
    so that the region gets its promised share. Commands only read unless they say otherwise.
    """


STEERING = (setup, measure, status, explain, registry, rules, audit, doctor, simulate, demo, steer, pause)
TELLING = (promise, report, expertise, books, export, person, withdraw, ledger_move)

for module in (*STEERING, *TELLING):
    for command in module.COMMANDS:
        cli.add_command(command)


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
