"""`saf explain`: the classification and the charge of one job, or the classification of an account.

Tested in tests/cli/test_organisation.py and tests/end_to_end/test_accounting.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import click

from slurm_ai_factory import question
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.cli.wiring import now, opened_books, slurm_of
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import charge, tres, windows
from slurm_ai_factory.core.live.bounds import Machine, bounds_on
from slurm_ai_factory.core.live.waiting_for import reason_meaning
from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.measure.share import SortedRun
from slurm_ai_factory.core.records import FOREVER, Instant, Subject, Window
from slurm_ai_factory.core.rules.classify import DETAILS, ClassifiedPart, Rules
from slurm_ai_factory.core.rules.why import why
from slurm_ai_factory.errors import LedgerError, SlurmError
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.slurm import Slurm

EVER = Window("ever", 0, FOREVER)
PATIENCE = 10
"""Seconds that a command of Slurm has, as a message has by default (MessageTimeout)."""
SHOWN = (*DETAILS, "promises")
"""Of a classification, beside beneficiary and rule."""


@click.command("explain", cls=EachCommand)
@click.argument("job", required=False)
@click.option("--account", metavar="A", help="Explain an account instead of a job.")
def explain_command(job: str | None, account: str | None) -> None:
    """Explain which rule classifies a job or an account, since when and why, and how a job is charged.

    Slurm is asked for the limits that it enforces on an account, and for what a job waits for that has not
    started; where it does not answer within seconds, the answer says so.
    """
    if bool(job) == bool(account):
        raise click.UsageError("give either a JOBID or --account A")
    with opened_books() as (config, ledger):
        if account:
            _explain_account(config, ledger, account)
        else:
            _explain_job(config, ledger, str(job))


def _explain_account(config: Config, ledger: Ledger, account: str) -> None:
    """By account alone; rules with other conditions (user, QOS, ...) may classify some jobs otherwise."""
    rules = question.rules_at(config, ledger)
    if account not in rules.parents:
        raise LedgerError(
            f"account {account} is not known on {config.cluster.name}; see `saf share --by account`"
        )
    subject = Subject(config.cluster.name, account, "", "", "", "", "")
    lineage, at = list(rules.lineage(account)), ledger.accounting.watermark() or 0
    parts = rules.parts(subject)
    value = {
        "account": account, "lineage": lineage, **_classified(parts, at), "why": why(rules, subject, at),
        "limits": _limits(config, account),
    }  # fmt: skip
    if chosen.json:
        return output.emit(value | {"parts": [_part_value(part) for part in parts]})
    output.pairs({**value, "lineage": " < ".join(lineage)})
    return _print_parts(parts)


def _impatient(config: Config) -> Slurm:
    """Slurm, with little time for an answer: the ledger has all the rest."""
    timeout = min(config.slurm.timeout, PATIENCE)
    return slurm_of(replace(config, slurm=replace(config.slurm, timeout=timeout)))


def _limits(config: Config, account: str) -> list[str]:
    """The limits that Slurm enforces on an account's jobs, each with where it is set."""
    nothing = Machine(size={}, nodes={}, weights={}, window_seconds=1, memory_seconds=None)
    try:
        bounds = bounds_on([account], _impatient(config).native_limits(), nothing, now())
    except SlurmError as error:
        return [f"not known: {error}"]
    return [f"{bound.limit} of {bound.where}" for bound in bounds]


def _waits_for(config: Config, job_id: int) -> str:
    """What a job that has not started waits for now, in Slurm's word and in ours."""
    try:
        queued = next((row for row in _impatient(config).queue() if row.job_id == job_id), None)
    except SlurmError as error:
        return f"not known: {error}"
    return f"{queued.reason}: {reason_meaning(queued.reason)}" if queued else "not in the queue now"


def _classified(parts: Sequence[ClassifiedPart], at: Instant) -> dict[str, object]:
    """The classification at an instant; of several parts, that of the largest fraction."""
    present = [part for part in parts if part.since <= at < part.until]
    classification = max(present, key=lambda part: part.fraction).classification
    return {
        "beneficiary": str(classification.beneficiary),
        "rule": classification.rule or "no rule holds",
        **{name: getattr(classification, name) for name in SHOWN},
    }


def _part_value(part: ClassifiedPart) -> dict[str, object]:
    return {
        "since": output.when(part.since or None),
        "until": output.when(None if part.until == FOREVER else part.until),
        "fraction": output.number(part.fraction),
        "beneficiary": str(part.classification.beneficiary),
        "rule": part.classification.rule,
        **{name: getattr(part.classification, name) for name in SHOWN},
    }


def _print_parts(parts: Sequence[ClassifiedPart]) -> None:
    """The table of parts, where there is more than one."""
    if len(parts) > 1:
        click.echo()
        rows = [list(_part_value(part).values()) for part in parts]
        output.table(("since", "until", "fraction", "beneficiary", "rule", *SHOWN), rows)


def _explain_job(config: Config, ledger: Ledger, job: str) -> None:
    at, rules = question.watermark(ledger), question.rules_at(config, ledger)
    runs = ledger.classified(rules).runs_of_job(job)
    if not runs:
        hint = "" if job[:1].isdigit() else f"; to explain an account: saf explain --account {job}"
        raise LedgerError(f"job {job} is not in the ledger, which was read up to {windows.iso(at)}{hint}")
    if chosen.json:
        values = [_explained(run, config, rules, at) | {"parts": _charged(run, config, at)} for run in runs]
        return output.emit({"job": job, "as_of": output.when(at), "runs": values})
    for run in runs:
        output.pairs(_explained(run, config, rules, at))
        _print_parts(run.parts)
        click.echo()
    return None


def _explained(sorted_run: SortedRun, config: Config, rules: Rules, at: Instant) -> dict[str, object]:
    run = sorted_run.run
    count = tres.weigh(tres.parse_tres(run.alloc_tres), config.promise.resource.weights)
    seconds = charge.elapsed(run, at)
    began = at if run.start_at is None else run.start_at
    return {
        "run": f"{run.job_label} (DBIndex {run.db_index})",
        "state": run.state,
        **run.subject._asdict(),
        "start_at": output.when(run.start_at),
        "end_at": output.when(run.end_at),
        **_classified(sorted_run.parts, began),
        "why": why(rules, run.subject, began),
        "alloc_tres": run.alloc_tres,
        "elapsed_seconds": seconds,
        "suspended_seconds": run.suspended_seconds,
        **({} if run.start_at or run.end_at else {"waits_for": _waits_for(config, run.job_id)}),
        "charge": f"{count} {config.promise.resource} x {seconds} s = {count * seconds}",
    }


def _charged(sorted_run: SortedRun, config: Config, at: Instant) -> list[dict[str, object]]:
    """The parts, each with its part of the run's charge."""
    values, weights = [], config.promise.resource.weights
    for part in sorted_run.parts:
        amount = share.charge_of_part(sorted_run.run, part, weights, EVER, at)
        values.append(_part_value(part) | {"charge": output.number(amount)})
    return values
