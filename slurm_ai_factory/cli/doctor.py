"""`saf doctor`: the preflight. Writes only acknowledgements.

Tested in tests/doctor, tests/cli/test_doctor.py and tests/end_to_end/test_trust.py.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import click

from slurm_ai_factory import identity, question
from slurm_ai_factory.cli import arguments, output
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.cli.wiring import current_actor, load_config, now, opened_ledger, slurm_of
from slurm_ai_factory.config import Config
from slurm_ai_factory.core.energy import allowed
from slurm_ai_factory.core.records import Acknowledgement, Instant
from slurm_ai_factory.core.words import count
from slurm_ai_factory.doctor import checks, gather
from slurm_ai_factory.doctor.facts import OK, Facts, Finding
from slurm_ai_factory.doctor.gather import OfLedger
from slurm_ai_factory.errors import LedgerError, SlurmError
from slurm_ai_factory.steps.keeping import LOOKED_BACK

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


COLUMNS = (*Finding._fields[:-1], "acknowledged_by", "acknowledged_until", "acknowledged_reason")


@click.command("doctor", cls=EachCommand, once=("acknowledge", "until", "withdraw", "reason"))
@click.option("--acknowledge", metavar="CHECK", help="Do not count what this check finds, until a date.")
@click.option("--until", metavar="WHEN", help="With --acknowledge: when it counts again: 2027-01-31.")
@click.option("--withdraw", metavar="CHECK", help="Count what this check finds again.")
@arguments.reason_option()
def doctor_command(
    acknowledge: str | None, until: str | None, withdraw: str | None, reason: str | None
) -> None:
    """Check for anything that would silently break accounting or control.

    Each finding says what was found, what is wanted and how to fix it; with -q, only findings that need
    action. Exit code 5: there is such a finding. Run it as the daemon's user: Slurm may hide rows from other
    users. Writes nothing, except an acknowledgement: --acknowledge CHECK --until WHEN --reason TEXT records
    in the ledger that a finding needs no action until then. It counts again after that, and once it is worse.
    """
    config = load_config()
    if acknowledge and until and not withdraw:
        return _acknowledge(config, acknowledge, until, arguments.asked_reason(reason or ""))
    if withdraw and not acknowledge and not until:
        return _withdraw(config, withdraw, arguments.asked_reason(reason or ""))
    if acknowledge or withdraw or until or reason:
        raise click.UsageError("give --acknowledge, --until and --reason, or --withdraw and --reason")
    findings = checks.examine(facts_now(config))
    shown = [finding for finding in findings if finding.counts] if chosen.quiet else findings
    if chosen.json or chosen.csv:
        values = [finding_value(finding) for finding in shown]
        output.table(COLUMNS, [list(value.values()) for value in values], {"findings": values})
    else:
        _print(shown)
    sys.exit(output.FINDINGS if checks.failed(findings) else 0)


def _acknowledge(config: Config, check: str, until: str, reason: str) -> None:
    """Record an acknowledgement of what a check finds now. Raises UsageError, SlurmError, LedgerError."""
    with arguments.usage_errors("--acknowledge"):
        checks.known_check(check)
    end, facts = arguments.asked_future(config, "--until", until), facts_now(config)
    with arguments.usage_errors("--acknowledge"):
        level = checks.to_acknowledge(check, facts).level
    acknowledgement = Acknowledgement(check, level, now(), end, current_actor(), reason)
    with opened_ledger(config, admit=slurm_of(config).priority_config) as ledger:
        arguments.warn_of_names(ledger, reason)
        ledger.acknowledging.add(acknowledgement)
    sentence = f"the {level} of {check} does not count until {output.when(end)}"
    output.reply(_acknowledgement_value(acknowledgement), sentence)


def _withdraw(config: Config, check: str, reason: str) -> None:
    """Record the end of an acknowledgement. Raises UsageError, LedgerError."""
    with arguments.usage_errors("--withdraw"):
        checks.known_check(check)
    at = now()
    with opened_ledger(config) as ledger:
        given = ledger.acknowledging.newest().get(check)
        if given is None or at >= given.until:
            raise click.UsageError(
                f"--withdraw: {check} is not acknowledged, so there is nothing to withdraw"
            )
        arguments.warn_of_names(ledger, reason)
        withdrawal = given._replace(at=at, until=at, actor=current_actor(), reason=reason)
        ledger.acknowledging.add(withdrawal)
    output.reply(_acknowledgement_value(withdrawal), f"{check} counts again")


def _acknowledgement_value(row: Acknowledgement) -> dict[str, Any]:
    """An acknowledgement as JSON shows it; ``until`` is ``at`` where it withdrew another."""
    return {**row._asdict(), "at": output.when(row.at), "until": output.when(row.until)}


def finding_value(finding: Finding) -> dict[str, Any]:
    """A finding as JSON and CSV show it; the last three are None where it counts, or is ok."""
    *cells, given = finding
    who = (given.actor, output.when(given.until), given.reason) if given else (None, None, None)
    return dict(zip(COLUMNS, (*cells, *who), strict=True))


def facts_now(config: Config) -> Facts:
    """What every check looks at now. Raises SlurmError, and LedgerError where sites state days instead."""
    user, slurm = identity.user_name(), slurm_of(config)
    try:
        return gather.gather_facts(config, slurm, now, user, lambda at: _of_ledger(config, at))
    except SlurmError as error:
        if _only_statements(config):
            raise LedgerError(question.STATEMENTS) from error
        raise


def _only_statements(config: Config) -> bool:
    """Whether statements of sites are all that the ledger takes in; False where it cannot be asked."""
    try:
        with opened_ledger(config, admit=None) as ledger:
            return question.takes_statements(ledger)
    except LedgerError:
        return False


def _of_ledger(config: Config, at: Instant) -> OfLedger:
    """The facts of the ledger that the checks need. Raises LedgerError."""
    with opened_ledger(config) as ledger:
        term = question.terms_of(config, ledger).at(at)
        retained = ledger.privacy.retained() if config.privacy.retention().asked else None
        waiting = ledger.proposals.waiting()
        read = ledger.accounting.watermark() is not None
        asked = question.ask(config, ledger) if read else None
        steered = question.lever_of(asked, at) if asked else None
        margins = gather.steered_margins(asked) if asked else []
        acknowledged = ledger.acknowledging.newest()
        zone, lately = config.promise.time_zone, at - LOOKED_BACK
        limits = [row for row in allowed.standing(ledger.allowed.entries(), at) if row.allowed.until > lately]
        late = [f"entry {row.entry_id} {why}" for row in limits if (why := allowed.told_late(row, zone))]
        store, cluster_id = ledger.store, ledger.control.cluster_id
        return OfLedger(
            steered, term, retained, waiting, store.standbys(), acknowledged, late, margins,
            store.daemons(cluster_id),
        )  # fmt: skip


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
        if given := finding.acknowledged:
            output.say(
                f"{indent}acknowledged by {given.actor} until {output.when(given.until)}: {given.reason}"
            )
    if not chosen.quiet:
        counts = Counter(finding.level for finding in findings if finding.counts)
        problems, warnings = count(counts["problem"], "problem"), count(counts["warning"], "warning")
        accepted = sum(finding.acknowledged is not None for finding in findings)
        beside = f"; {accepted} acknowledged" if accepted else ""
        output.say(f"{problems}, {warnings}{beside}", err=True)
