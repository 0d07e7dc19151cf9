"""`saf doctor`: the preflight. Tested in tests/doctor and tests/end_to_end/test_trust.py."""

from __future__ import annotations

import sys
from collections import Counter

import click

from slurm_ai_factory import identity, question
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.options import SafCommand, chosen
from slurm_ai_factory.cli.wiring import load_config, now, opened_ledger, slurm_of
from slurm_ai_factory.config import Config
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.core.words import count
from slurm_ai_factory.doctor import checks, gather
from slurm_ai_factory.doctor.facts import OK, Finding
from slurm_ai_factory.doctor.gather import OfLedger

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command("doctor", cls=SafCommand)
def doctor_command() -> None:
    """Check for anything that would silently break accounting or control. Writes nothing.

    Each finding says what was found, what is wanted and how to fix it; with -q, only findings that need
    action. Exit code 5: there is such a finding. Run it as the daemon's user: Slurm may hide rows from other
    users.
    """
    findings = findings_now(load_config())
    shown = [finding for finding in findings if finding.level != OK] if chosen.quiet else findings
    if chosen.json or chosen.csv:
        output.table(Finding._fields, shown, {"findings": [finding._asdict() for finding in shown]})
    else:
        _print(shown)
    sys.exit(output.FINDINGS if checks.failed(findings) else 0)


def findings_now(config: Config) -> list[Finding]:
    """What every check finds now. Raises SlurmError."""
    slurm = slurm_of(config)
    facts = gather.gather_facts(config, slurm, now, identity.user_name(), lambda at: _of_ledger(config, at))
    return checks.examine(facts)


def _of_ledger(config: Config, at: Instant) -> OfLedger:
    """The facts of the ledger that the checks need. Raises LedgerError."""
    with opened_ledger(config) as ledger:
        term = question.terms_of(config, ledger).at(at)
        retained = ledger.privacy.retained() if config.privacy.retention().asked else None
        waiting = ledger.proposals.waiting()
        read = ledger.accounting.watermark() is not None
        steered = question.lever_of(question.ask(config, ledger), at) if read else None
        return OfLedger(steered, term, retained, waiting, ledger.store.standbys())


def _print(findings: list[Finding]) -> None:
    width = max((len(finding.check) for finding in findings), default=0)
    indent = " " * (width + 11)
    for finding in findings:
        level = output.styled(finding.level.ljust(7), fg=_COLOURS[finding.level])
        output.draw(level, f"  {finding.check.ljust(width)}  {finding.found}")
        if finding.level != OK:
            output.say(f"{indent}wanted: {finding.wanted}")
            for line in finding.fix.split("\n"):
                output.say(f"{indent}fix: {line}")
    if not chosen.quiet:
        counts = Counter(finding.level for finding in findings)
        problems, warnings = count(counts["problem"], "problem"), count(counts["warning"], "warning")
        output.say(f"{problems}, {warnings}", err=True)
