"""The command that takes an answer apart: explain."""

from __future__ import annotations

from collections.abc import Sequence

import click

from slurm_ai_factory import question
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.options import SafCommand, chosen, opened_books
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import charge, tres, windows
from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.measure.share import SortedRun
from slurm_ai_factory.core.records import FOREVER, Instant, Subject, Window
from slurm_ai_factory.core.rules.classify import DETAILS, ClassifiedPart, Rules
from slurm_ai_factory.core.rules.why import why
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Ledger


@click.command("explain", cls=SafCommand)
@click.argument("job", required=False)
@click.option("--account", metavar="A", help="Explain an account instead of a job.")
def explain_command(job: str | None, account: str | None) -> None:
    """Which rule says who a job or an account is for, since when and why, and how the charge was computed."""
    if bool(job) == bool(account):
        raise click.UsageError("give either a JOBID or --account A")
    with opened_books() as (config, ledger):
        if account:
            _explain_account(config, ledger, account)
        else:
            _explain_job(config, ledger, str(job))


def _explain_account(config: Config, ledger: Ledger, account: str) -> None:
    """By account alone; rules that also look at user, QOS and the like may say otherwise of some jobs."""
    rules = question.rules_at(config, ledger)
    if account not in rules.parents:
        raise LedgerError(
            f"account {account} is not known on {config.cluster.name}; see `saf share --by account`"
        )
    subject = Subject(config.cluster.name, account, "", "", "", "", "")
    lineage, at = list(rules.lineage(account)), ledger.accounting.watermark() or 0
    parts = rules.parts(subject)
    value = {"account": account, "lineage": lineage, **_found(parts, at), "why": why(rules, subject, at)}
    if chosen.json:
        return output.emit(value | {"parts": [_part_value(one) for one in parts]})
    output.pairs({**value, "lineage": " < ".join(lineage)})
    return _print_parts(parts)


def _found(parts: Sequence[ClassifiedPart], at: Instant) -> dict[str, object]:
    """The classification at an instant; of several, that of the largest fraction."""
    now = [one for one in parts if one.since <= at < one.until]
    found = max(now, key=lambda one: one.fraction).classification
    return {
        "beneficiary": str(found.beneficiary),
        "rule": found.rule or "no rule holds",
        **{name: getattr(found, name) for name in DETAILS},
    }


def _part_value(one: ClassifiedPart) -> dict[str, object]:
    return {
        "since": output.when(one.since or None),
        "until": output.when(None if one.until == FOREVER else one.until),
        "fraction": output.number(one.fraction),
        "beneficiary": str(one.classification.beneficiary),
        "rule": one.classification.rule,
        **{name: getattr(one.classification, name) for name in DETAILS},
    }


def _print_parts(parts: Sequence[ClassifiedPart]) -> None:
    """The table of parts, where there is more than one."""
    if len(parts) > 1:
        click.echo()
        rows = [list(_part_value(one).values()) for one in parts]
        output.table(("since", "until", "fraction", "beneficiary", "rule", *DETAILS), rows)


def _explain_job(config: Config, ledger: Ledger, job: str) -> None:
    at, rules = question.read_up_to(ledger), question.rules_at(config, ledger)
    runs = ledger.classified(rules).runs_of_job(job)
    if not runs:
        hint = "" if job[:1].isdigit() else f"; an account is explained with: saf explain --account {job}"
        raise LedgerError(f"job {job} is not in the ledger, which was read up to {windows.iso(at)}{hint}")
    if chosen.json:
        values = [_explained(one, config, rules, at) | {"parts": _charged(one, config, at)} for one in runs]
        return output.emit({"job": job, "as_of": output.when(at), "runs": values})
    for one in runs:
        output.pairs(_explained(one, config, rules, at))
        _print_parts(one.parts)
        click.echo()
    return None


def _explained(one: SortedRun, config: Config, rules: Rules, at: Instant) -> dict[str, object]:
    run = one.run
    count = tres.weigh(tres.parse_tres(run.alloc_tres), config.promise.resource)
    seconds = charge.elapsed(run, at)
    began = at if run.start_at is None else run.start_at
    return {
        "run": f"{run.job_label} (DBIndex {run.db_index})",
        "state": run.state,
        **run.subject._asdict(),
        "start_at": output.when(run.start_at),
        "end_at": output.when(run.end_at),
        **_found(one.parts, began),
        "why": why(rules, run.subject, began),
        "alloc_tres": run.alloc_tres,
        "elapsed_seconds": seconds,
        "suspended_seconds": run.suspended_seconds,
        "charge": f"{count} {config.promise_of().resource} x {seconds} s = {count * seconds}",
    }


def _charged(one: SortedRun, config: Config, at: Instant) -> list[dict[str, object]]:
    """The parts with what each has of the run's charge."""
    ever = Window("ever", 0, FOREVER)
    weights = config.promise.resource
    return [
        _part_value(part) | {"charge": output.number(share.charge_of_part(one.run, part, weights, ever, at))}
        for part in one.parts
    ]


COMMANDS = (explain_command,)
