"""`saf ledger export`: the runs behind a share, one by one, for auditors and for other tools."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import click

from slurm_ai_factory import question
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.measure import (
    asked_instant,
    asked_promise,
    asked_window,
    check_known,
    tell_unread,
)
from slurm_ai_factory.cli.options import SafCommand, chosen, now, opened_books
from slurm_ai_factory.cli.setup import ledger_group
from slurm_ai_factory.core.charge import elapsed
from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.measure.share import Promise, SortedRun
from slurm_ai_factory.core.records import Charge, Instant, Run, Window
from slurm_ai_factory.core.rules.classify import DETAILS, ClassifiedPart
from slurm_ai_factory.ledger import LONG

COLUMNS = (
    "job_label", "db_index", "account", "user", "partition", "qos", "wckey", "reservation", "state",
    "submit_at", "eligible_at", "start_at", "end_at", "elapsed_seconds", "suspended_seconds", "alloc_tres",
    "beneficiary", "fraction", "rule", "category", "organisation", "sector", "municipality", "hub", "promise",
    "charge",
)  # fmt: skip

INSTANTS = ("submit_at", "eligible_at", "start_at", "end_at")

Exported = dict[str, object]
"""A row: COLUMNS, and more that is not shown."""


@ledger_group.command("export", cls=SafCommand)
@click.option("--window", metavar="W", help="2027Q1, 2027-03, 2027H1, 2027, rolling:30d or current.")
@click.option("-S", "--since", metavar="T", help="Instead of a window: from this instant on.")
@click.option("-E", "--until", metavar="T", help="With -S: up to this instant; else now.")
@click.option("--resource", metavar="R", help="In this resource: cpu, gres/gpu, or 0.25*cpu+16*gres/gpu.")
@click.option(
    "--as-of", "then", metavar="T", help="As it was known at this instant: the figures of a report."
)
@click.option("--users", is_flag=True, help="With the users' names, which are left out otherwise.")
def export_command(
    window: str | None,
    since: str | None,
    until: str | None,
    resource: str | None,
    then: str | None,
    users: bool,
) -> None:
    """Every run with its charge in a window, as CSV; with --json as JSON.

    The charges, in resource-seconds, add up to those of `saf share` for the same window, and with --as-of to
    those of the report of that instant. A run that is for several has a row for each.
    """
    with opened_books(LONG) as (config, ledger):
        known = asked_instant(config, then) if then else None
        where = asked_window(config, window, since, until, known)
        check_known(ledger, known)
        asked = question.ask(config, ledger, where, then=known, moment=now())
        where, promise = asked.window, asked_promise(asked.config, resource)
        with asked.books() as books:
            runs = books.runs_between(where.since, where.until)
            told = {"promise": asked.terms.of(where).promise}
            found = (row | told for row in _rows(runs, where, promise, asked.read_until))
            columns = [one for one in COLUMNS if users or one != "user"]
            if chosen.json:
                output.emit_rows({name: row[name] for name in columns} for row in found)
            else:
                output.write_csv(sys.stdout, columns, ([row[name] for name in columns] for row in found))
        unread = asked.unread()
    tell_unread(unread, where)


def _rows(runs: Iterable[SortedRun], where: Window, promise: Promise, at: Instant) -> Iterator[Exported]:
    for run, parts in runs:
        for part in parts:
            charge = share.charge_of_part(run, part, promise.weights, where, at)
            if charge:
                yield _row(run._replace(elapsed_seconds=elapsed(run, at)), part, charge)


def _row(run: Run, part: ClassifiedPart, charge: Charge) -> Exported:
    found = part.classification
    return {
        **run._asdict(),
        **run.subject._asdict(),
        **{name: output.when(getattr(run, name)) for name in INSTANTS},
        **{name: getattr(found, name) for name in ("rule", *DETAILS)},
        "beneficiary": str(found.beneficiary),
        "fraction": output.number(part.fraction),
        "charge": output.number(charge),
    }


COMMANDS: tuple[click.Command, ...] = ()
"""It belongs to `saf ledger`."""
