"""`saf pause` and `saf resume`: an operator stops the control for a while. Both write to the ledger only."""

from __future__ import annotations

from typing import Any

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.measure import asked_instant
from slurm_ai_factory.cli.naming import warn_of_names
from slurm_ai_factory.cli.options import (
    SafCommand,
    chosen,
    current_actor,
    load_config,
    now,
    opened_ledger,
    slurm_of,
)
from slurm_ai_factory.config import Config
from slurm_ai_factory.core.records import Instant, Pause
from slurm_ai_factory.ledger import Ledger


@click.command("pause", cls=SafCommand)
@click.option(
    "--until", metavar="WHEN", help="When the control goes on by itself: now+4hours, 2027-01-31T18:00."
)
@click.option("--reason", metavar="TEXT", help="Why; kept with the entry.")
def pause_command(until: str | None, reason: str | None) -> None:
    """Stop steering until an instant; without options, list the pauses.

    Once this returns, no RawShares are set: not by a daemon, not by `saf cycle`. Those in force stay, and
    measuring goes on. Another pause takes the place of this one; `saf resume` ends it. Writes to the ledger.
    """
    config = load_config()
    if until is None and reason is None:
        with opened_ledger(config) as ledger:
            return _list(ledger)
    if until is None or not (reason or "").strip():
        raise click.UsageError("give --until and a --reason")
    said = Pause(now(), _later(config, until), current_actor(), reason or "")
    with opened_ledger(config, admit=slurm_of(config).priority_config) as ledger:
        warn_of_names(ledger, said.reason)
        ledger.control.say_pause(said)
    return _print(said, f"is paused until {output.when(said.until)}; the shares in force stay")


def _later(config: Config, until: str) -> Instant:
    """Raises UsageError when it is past."""
    found = asked_instant(config, until)
    if found <= now():
        raise click.UsageError(f"--until is {output.when(found)}, which is past; give a later instant")
    return found


@click.command("resume", cls=SafCommand)
@click.option("--reason", metavar="TEXT", default="", help="Why; kept with the entry.")
def resume_command(reason: str) -> None:
    """End a pause: the next cycle steers again, where control.mode is enforce. Writes to the ledger."""
    config, at = load_config(), now()
    with opened_ledger(config) as ledger:
        if ledger.control.pause(at) is None:
            click.echo("nothing to resume: the control is not paused", err=True)
            return
        warn_of_names(ledger, reason)
        said = Pause(at, at, current_actor(), reason)
        ledger.control.say_pause(said)
    _print(said, f"is no longer paused; the next cycle goes on in mode {config.control.mode}")


def _print(said: Pause, sentence: str) -> None:
    if chosen.json:
        output.emit(_value(said))
    elif not chosen.quiet:
        click.echo(f"the control {sentence}", err=True)


def _list(ledger: Ledger) -> None:
    lasting = ledger.control.pause(now())
    rows = [{**_value(one), "in_force": one == lasting} for one in ledger.control.pauses()]
    output.listing(rows, "there are no pauses")


def _value(said: Pause) -> dict[str, Any]:
    """``until`` is ``at`` where a pause was ended."""
    return {**said._asdict(), "at": output.when(said.at), "until": output.when(said.until)}


COMMANDS = (pause_command, resume_command)
