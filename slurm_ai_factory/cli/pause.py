"""`saf pause` and `saf resume`: suspend the control for a while. Both write to the ledger only."""

from __future__ import annotations

from typing import Any

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import asked_future, reason_option, warn_of_names
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.options import SafCommand
from slurm_ai_factory.cli.wiring import current_actor, load_config, now, opened_ledger, slurm_of
from slurm_ai_factory.core.records import Pause


@click.command("pause", cls=EachCommand, once=("until", "reason"))
@click.option("--until", metavar="WHEN", help="When the control resumes: now+4hours, 2027-01-31T18:00.")
@reason_option()
def pause_command(until: str | None, reason: str | None) -> None:
    """Suspend steering until an instant; without options, list the pauses.

    Once this command returns, neither a daemon nor `saf cycle` sets RawShares or touches the reservation of
    [grid]. The current ones stay, and measuring goes on. A later pause replaces this one; `saf resume` ends
    it. Writes to the ledger.
    """
    config = load_config()
    if until is None and reason is None:
        with opened_ledger(config) as ledger:
            lasting = ledger.control.pause(now())
            pauses = [{**_value(pause), "in_force": pause == lasting} for pause in ledger.control.pauses()]
        return output.listing(pauses, "there are no pauses")
    if until is None or not (reason or "").strip():
        raise click.UsageError("give --until and a --reason")
    end = asked_future(config, "--until", until)
    pause = Pause(now(), end, current_actor(), reason or "")
    with opened_ledger(config, admit=slurm_of(config).priority_config) as ledger:
        warn_of_names(ledger, pause.reason)
        ledger.control.say_pause(pause)
    sentence = f"the control is paused until {output.when(end)}; current RawShares are left unchanged"
    return output.reply(_value(pause), sentence)


@click.command("resume", cls=SafCommand)
@reason_option(default="")
def resume_command(reason: str) -> None:
    """End a pause, or a hold for what another user changed. Writes to the ledger.

    The next cycle steers again, from the values that are there, if control.mode is enforce.
    """
    config, at = load_config(), now()
    with opened_ledger(config) as ledger:
        foreign = [
            change.seen_at or at for change in ledger.control.foreign_changes(1) if not change.accepted
        ]
        paused = ledger.control.pause(at) is not None
        if not paused and not foreign:
            output.say("nothing to resume: the control is not paused", err=True)
            return
        at = max([at, *foreign])  # by slurmctld's clock, it was seen before this
        warn_of_names(ledger, reason)
        pause = Pause(at, at, current_actor(), reason)
        ledger.control.say_pause(pause)
    what = "the control is no longer paused" if paused else "saf goes on from what another user set"
    sentence = f"{what}; the next cycle runs in mode {config.control.mode}"
    output.reply(_value(pause), sentence)


def _value(pause: Pause) -> dict[str, Any]:
    """A pause as JSON shows it; ``until`` is ``at`` where it ended another pause."""
    return {**pause._asdict(), "at": output.when(pause.at), "until": output.when(pause.until)}
