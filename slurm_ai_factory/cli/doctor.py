"""The preflight: doctor."""

from __future__ import annotations

import sys
from collections import Counter

import click

from slurm_ai_factory import identity, question
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.audit import FINDINGS
from slurm_ai_factory.cli.options import (
    SafCommand,
    chosen,
    load_config,
    now,
    opened_ledger,
    slurm_of,
)
from slurm_ai_factory.config import Config
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.core.words import count
from slurm_ai_factory.doctor import checks, gather
from slurm_ai_factory.doctor.facts import OK, Finding
from slurm_ai_factory.doctor.gather import OfLedger

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command("doctor", cls=SafCommand)
def doctor_command() -> None:
    """Look for all that would make the promise or the control silently wrong. Writes nothing.

    Each finding says what was found, what is wanted and how to get there; -q leaves out what is fine. Exit
    code 5 when anything is not. Run it as the user that the daemon runs as: Slurm shows others other things.
    """
    config = load_config()
    slurm = slurm_of(config)
    facts = gather.gather_facts(config, slurm, now, identity.user_name(), lambda at: _of_ledger(config, at))
    found = checks.examine(facts)
    shown = [one for one in found if one.level != OK] if chosen.quiet else found
    if chosen.json:
        output.emit({"findings": [one._asdict() for one in shown]})
    elif chosen.csv:
        output.table(Finding._fields, shown)
    else:
        _print(shown)
    sys.exit(FINDINGS if checks.failed(found) else 0)


def _of_ledger(config: Config, at: Instant) -> OfLedger:
    """What the ledger knows that the checks need. Raises LedgerError."""
    with opened_ledger(config) as ledger:
        term = question.terms_of(config, ledger).at(at)
        retained = ledger.privacy.retained() if config.privacy.retention().asked else None
        waiting = ledger.proposals.waiting()
        read = ledger.accounting.watermark() is not None
        steered = question.lever_of(question.ask(config, ledger), at) if read else None
        return OfLedger(steered, term, retained, waiting)


def _print(findings: list[Finding]) -> None:
    width = max((len(one.check) for one in findings), default=0)
    indent = " " * (width + 11)
    for one in findings:
        level = output.styled(one.level.ljust(7), fg=_COLOURS[one.level])
        output.draw(level, f"  {one.check.ljust(width)}  {one.found}")
        if one.level != OK:
            output.say(f"{indent}wanted: {one.wanted}")
            for line in one.fix.split("\n"):
                output.say(f"{indent}fix: {line}")
    if not chosen.quiet:
        counts = Counter(one.level for one in findings)
        click.echo(f"{count(counts['problem'], 'problem')}, {count(counts['warning'], 'warning')}", err=True)


COMMANDS = (doctor_command,)
