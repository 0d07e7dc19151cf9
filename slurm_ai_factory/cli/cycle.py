"""`saf cycle`: a single cycle. Tested in tests/end_to_end/test_control.py."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from slurm_ai_factory import cycle
from slurm_ai_factory.cli import output, plan
from slurm_ai_factory.cli.options import SafCommand, chosen
from slurm_ai_factory.cli.wiring import load_config, opened_site, slurm_of
from slurm_ai_factory.core.records import ChangeStatus
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.steps.applying import Outcome
from slurm_ai_factory.steps.summary import cycle_sentence
from slurm_ai_factory.steps.values import CycleReport


@click.command("cycle", cls=SafCommand)
@click.option("--dry-run", is_flag=True, help="Read, decide and print, but change nothing: `saf plan`.")
def cycle_command(dry_run: bool) -> None:
    """Run a single cycle. Writes to the ledger, and in mode enforce, of [control] or [grid], to Slurm."""
    config = load_config()
    with opened_site(config) as site:
        if dry_run:
            return plan.print_plan(plan.planned(site), slurm_of(config))
        report = cycle.run(site, time.monotonic)
        if chosen.json:
            output.emit(_value(report, slurm_of(config)))
        elif not chosen.quiet:
            output.say(cycle_sentence(report))
    sys.exit(exit_code(report.outcomes))


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """1 if a change failed or its outcome is unknown, else 0."""
    return int(any(outcome.status in (ChangeStatus.FAILED, ChangeStatus.PLANNED) for outcome in outcomes))


def _value(report: CycleReport, slurm: Slurm) -> dict[str, Any]:
    gathered = report.gathered
    return {
        "at": output.when(gathered.at),
        "mode": report.mode,
        "runs": gathered.read.runs,
        "changed": gathered.read.changed,
        "rejected": [line._asdict() for line in gathered.read.rejected],
        "unknown_states": list(gathered.read.unknown_states),
        "unknown_accounts": list(gathered.unknown_accounts),
        "delivered_share": gathered.measurement.delivered_share,
        "decision": output.decision_value(report.decision, slurm),
        "beside": [output.decision_value(decision, slurm) for decision in report.beside],
        "outcomes": [
            {"object": outcome.change.lever, "account": outcome.change.account,
             "raw_shares_after": outcome.change.raw_shares_after, "status": outcome.status,
             "note": outcome.note}
            for outcome in report.outcomes
        ],
        "seconds": report.seconds,
    }  # fmt: skip
