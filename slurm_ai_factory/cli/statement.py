"""`saf statement`: an organisation's usage in a window, at the tariff."""

from __future__ import annotations

import click

from slurm_ai_factory.cli import arguments, output
from slurm_ai_factory.cli.options import SafCommand, chosen
from slurm_ai_factory.cli.wiring import opened_books
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.measure import outlook
from slurm_ai_factory.core.programme import tariff
from slurm_ai_factory.core.programme.tariff import StatementLine
from slurm_ai_factory.core.records import Window
from slurm_ai_factory.ledger import LONG
from slurm_ai_factory.report import statements
from slurm_ai_factory.report.statements import Statement


@click.command("statement", cls=SafCommand)
@click.option("--organisation", metavar="O", required=True, help="The organisation's key in the registry.")
@arguments.WINDOW
@arguments.as_of_option(default="now")
def statement_command(organisation: str, window: str | None, then: str) -> None:
    """Show what an organisation used in a window, at the tariff, and its part of the promise.

    The amounts show what access costs; saf sends no invoice.
    """
    with opened_books(LONG) as (config, ledger):
        asked = arguments.asked_question(config, ledger, window, then=then)
        statement = statements.gather_statement(asked, organisation)
    arguments.warn_of_gaps(statement.unread_seconds, statement.window)
    if not (chosen.json or chosen.csv):
        output.pairs(_heading(statement))
        click.echo()
    columns = ("from", "to", "beneficiary", "resource", "hours", "price", f"amount {statement.currency}")
    rows = [
        (*_days(statement, line), line.beneficiary, line.resource, output.hours(line.charge),
         f"{line.price:f}", line.amount)
        for line in statement.lines
    ]  # fmt: skip
    output.table(columns, rows, _value(statement))


def _heading(statement: Statement) -> dict[str, object]:
    return {
        "organisation": f"{statement.name} ({statement.organisation})",
        "window": f"{statement.window.name}  ({' .. '.join(_days(statement, statement.window))})",
        "as of": windows.iso(statement.as_of),
        f"charge, {outlook.resource_unit(statement.resource)}-hours": output.hours(statement.charge),
        "part of the region's charge": output.percent(statement.part_of_regional),
        "part of what was promised": output.percent(statement.part_of_promise),
        "expertise, hours": statement.expertise_hours,
        f"total, {statement.currency}": tariff.total(statement.lines),
    }


def _days(statement: Statement, span: Window | StatementLine) -> tuple[str, str]:
    """The civil days on which a span starts and ends."""
    return windows.civil_day(span.since, statement.zone), windows.civil_day(span.until, statement.zone)


def _value(statement: Statement) -> dict[str, object]:
    """A statement as JSON; money is text, so that it stays exact."""
    return {
        "organisation": statement.organisation,
        "name": statement.name,
        "window": statement.window.name,
        "since": windows.iso(statement.window.since),
        "until": windows.iso(statement.window.until),
        "as_of": windows.iso(statement.as_of),
        "unread_seconds": statement.unread_seconds,
        "resource": statement.resource,
        "charge": output.number(statement.charge),
        "part_of_regional": statement.part_of_regional,
        "part_of_promise": statement.part_of_promise,
        "expertise_hours": str(statement.expertise_hours),
        "currency": statement.currency,
        "lines": [
            {"since": windows.iso(line.since), "until": windows.iso(line.until),
             "beneficiary": str(line.beneficiary), "resource": line.resource,
             "charge": output.number(line.charge), "price": f"{line.price:f}", "amount": str(line.amount)}
            for line in statement.lines
        ],
        "total": str(tariff.total(statement.lines)),
    }  # fmt: skip
