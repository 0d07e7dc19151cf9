"""`saf ledger export`: the runs behind a share, one by one, for auditors and other tools."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cache, partial
from pathlib import Path

import click

from slurm_ai_factory.audit import parquet, waldur
from slurm_ai_factory.audit.waldur import AccountUsage
from slurm_ai_factory.cli import arguments, output
from slurm_ai_factory.cli.new_file import new_file
from slurm_ai_factory.cli.options import SafCommand, chosen
from slurm_ai_factory.cli.wiring import opened_books
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.charge import elapsed
from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.measure.share import Promise, SortedRun
from slurm_ai_factory.core.records import Instant, Window
from slurm_ai_factory.core.rules.classify import DETAILS
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import LONG, Ledger
from slurm_ai_factory.question import Question
from slurm_ai_factory.report.programme import RECORDED, recorded_of

COLUMNS = (
    "job_label", "db_index", "account", "user", "partition", "qos", "wckey", "reservation", "state",
    "submit_at", "eligible_at", "start_at", "end_at", "elapsed_seconds", "suspended_seconds", "alloc_tres",
    "beneficiary", "fraction", "rule", "category", "organisation", "sector", "municipality", "hub", *RECORDED,
    "promise", "charge",
)  # fmt: skip

INSTANTS = ("submit_at", "eligible_at", "start_at", "end_at")

PARQUET = dict.fromkeys(COLUMNS, parquet.TEXT) | {
    "db_index": parquet.INDEX, "elapsed_seconds": parquet.WHOLE, "suspended_seconds": parquet.WHOLE,
    "fraction": parquet.FRACTION, "charge": parquet.CHARGE,
}  # fmt: skip
"""The type of each column in Parquet; instants are text, as in CSV."""


@click.command("export", cls=SafCommand)
@arguments.WINDOW
@arguments.SINCE
@arguments.UNTIL
@arguments.RESOURCE
@arguments.as_of_option()
@click.option("--users", is_flag=True, help="Include the names of users.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "parquet", "waldur"]),
    default="csv",
    show_default=True,
    help="parquet needs -o, and the extra `archive`; waldur needs --component.",
)
@click.option(
    "-o",
    "--output",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="With --format parquet: the file, which must be new.",
)
@click.option(
    "--component",
    "components",
    multiple=True,
    metavar="TRES[=FACTOR]",
    help="With --format waldur: a component of the offering, with its unit_factor in Waldur's site agent; "
    "without one, 1. Repeatable.",
)
def export_command(
    window: str | None,
    since: str | None,
    until: str | None,
    resource: str | None,
    then: str | None,
    users: bool,
    form: str,
    file: Path | None,
    components: tuple[str, ...],
) -> None:
    """Export every run of a window with its charge: as CSV, with --json as JSON, or as Parquet.

    The charges, in resource-seconds, add up to those of `saf share` for the same window, and with --as-of to
    those of the report of that instant. A run for several beneficiaries has a row for each.

    With --format waldur, print the usage of each account in a month instead, as JSON that Waldur's set_usage
    takes. Refuse a month of which hours were never read.
    """
    if (form == "parquet") != (file is not None) or (file and (chosen.json or chosen.csv)):
        raise click.UsageError("for Parquet, give --format parquet -o FILE, without --json and --csv")
    if (form == "waldur") != bool(components) or (components and (resource or users or chosen.csv)):
        raise click.UsageError(
            "for Waldur, give --format waldur with each --component of the offering, without --resource, "
            "--users and --csv"
        )
    with arguments.usage_errors("--component"):
        factors = waldur.parse_components(components)
    with opened_books(LONG) as (config, ledger):
        asked = arguments.asked_question(config, ledger, window, since, until, then)
        if factors:
            return _export_month(ledger, asked, factors)
        where, promise = asked.window, arguments.asked_promise(asked.config, resource)
        if resource:
            arguments.check_tres(ledger, promise.resource)
        with asked.books() as books:
            runs = books.runs_between(where.since, where.until)
            term = {"promise": asked.terms.of(where).promise}
            recorded = cache(partial(recorded_of, asked, asked.window))
            rows = (
                row | term | recorded(str(row["organisation"]), str(row["account"]))
                for row in _rows(runs, where, promise, asked.read_until)
            )
            columns = [column for column in COLUMNS if users or column != "user"]
            if file:
                types = {name: PARQUET[name] for name in columns}
                with new_file(file) as part:
                    written = parquet.write_rows(
                        part, types, ([_typed(row[name], types[name]) for name in columns] for row in rows)
                    )
                output.reply({}, f"{file}: {count(written, 'row')} of {where.name}")
            elif chosen.json:
                output.emit_rows({name: row[name] for name in columns} for row in rows)
            else:
                output.write_csv(sys.stdout, columns, ([row[name] for name in columns] for row in rows))
        unread = asked.unread()
    return arguments.warn_of_gaps(unread, where)


def _export_month(ledger: Ledger, asked: Question, factors: Mapping[str, Decimal]) -> None:
    """Print the usage of each account in a month for Waldur. Raises UsageError, LedgerError."""
    where, at = asked.window, asked.read_until
    if where.rolling or windows.window("month", where.since, asked.config.promise.time_zone) != where:
        raise click.UsageError("Waldur keeps usage by month; give --window with a month such as 2027-03")
    arguments.check_tres(ledger, Resource(factors))
    if unread := asked.unread():
        raise LedgerError(
            f"{output.hours(unread)} hours of {where.name} were never read, so nothing was exported; run "
            f"`saf backfill -S {output.when(where.since)}`"
        )
    with asked.books() as books:
        runs = (run for run, _ in books.runs_between(where.since, where.until))
        usage = waldur.usage_by_account(runs, factors, where.since, where.until, at)
    final = at >= where.until and not any(used.open_runs for used in usage.values())
    if not final:
        output.say(
            f"{where.name} is not final: export it again when the month is over and its runs have ended",
            err=True,
        )
    without_account = usage.pop("", AccountUsage(dict.fromkeys(factors, 0), 0))
    output.emit(
        {
            "cluster": ledger.accounting.cluster,
            "month": where.name,
            "since": output.when(where.since),
            "until": output.when(where.until),
            "as_of": output.when(at),
            "final": final,
            "components": {name: str(factor) for name, factor in factors.items()},
            "resources": [
                {
                    "backend_id": account,
                    "open_runs": used.open_runs,
                    "charges": _charges(used),
                    "set_usage": waldur.set_usage(where.name, used, factors),
                }
                for account, used in usage.items()
            ],
            "without_account": _charges(without_account),
        }
    )


def _charges(used: AccountUsage) -> dict[str, object]:
    return {name: output.number(charge) for name, charge in used.charges.items()}


def _typed(value: object, kind: str) -> object:
    """A value as Parquet has it in a column of a type."""
    if kind == parquet.TEXT:
        return None if value is None else str(value)
    return value if kind == parquet.WHOLE else Decimal(str(value))


def _rows(
    runs: Iterable[SortedRun], where: Window, promise: Promise, at: Instant
) -> Iterator[dict[str, object]]:
    """A row for each part with a charge; keys are COLUMNS and more."""
    for run, parts in runs:
        for part in parts:
            charge = share.charge_of_part(run, part, promise.resource.weights, where, at)
            if not charge:
                continue
            yield {
                **run._asdict(),
                **run.subject._asdict(),
                **{name: output.when(getattr(run, name)) for name in INSTANTS},
                **{name: getattr(part.classification, name) for name in ("rule", *DETAILS)},
                "elapsed_seconds": elapsed(run, at),
                "beneficiary": str(part.classification.beneficiary),
                "fraction": output.number(part.fraction),
                "charge": output.number(charge),
            }
