"""`saf reconcile`: compare the ledger with sacct and sreport.

Tested in tests/end_to_end/test_reconcile.py.
"""

from __future__ import annotations

import sys

import click

from slurm_ai_factory.audit import books
from slurm_ai_factory.audit.reconcile import ReconciledRow, Reconciliation, reconcile
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import asked_instant
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.cli.wiring import current_actor, load_config, now, opened_ledger, slurm_of
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import charge
from slurm_ai_factory.core.records import Charge, Instant, Interval
from slurm_ai_factory.core.words import count
from slurm_ai_factory.ledger.audits import Audit

COLUMNS = ("account", "TRES", "ledger", "sacct", "sreport", "difference", "cause")


@click.command("reconcile", cls=EachCommand)
@click.option(
    "-S", "--since", metavar="T", default="yesterday", show_default=True, help="Start of the interval."
)
@click.option("-E", "--until", metavar="T", default="today", show_default=True, help="End of the interval.")
@click.option("--all", "every", is_flag=True, help="Also list accounts without a difference.")
def reconcile_command(since: str, until: str, every: bool) -> None:
    """Compare the ledger with sacct and sreport, per account and TRES. Records the result in the ledger.

    In TRES-seconds of whole hours. Lists every difference with its causes. Exit code 5: part of a difference
    is unexplained.
    """
    config = load_config()
    at = now()
    first, last = _whole_hours(config, since, until, at)
    with opened_ledger(config) as ledger:
        slurm = slurm_of(config)
        slurm.priority_config()
        result = reconcile(
            books.books_between(slurm, ledger, first, last, at=at, usual=config.slurm.read_window)
        )
        audit = Audit("reconcile", at, first, last, result.findings)
        ledger.audits.keep(audit, {"unexplained": str(result.unexplained)}, current_actor())
    if chosen.json:
        output.emit(
            {
                "since": output.when(first),
                "until": output.when(last),
                "rows": [_row_value(row) for row in result.rows],
                "unexplained": output.number(result.unexplained),
                "rejected": result.rejected,
            }
        )
    else:
        _print(result, every, f"{output.when(first)} .. {output.when(last)}")
    if result.unexplained:
        sys.exit(output.FINDINGS)


def _whole_hours(config: Config, since: str, until: str, at: Instant) -> Interval:
    """The interval in whole hours that are over: sreport knows no others. Raises UsageError."""
    first = charge.hour_of(asked_instant(config, since))
    last = charge.hour_of(min(at, asked_instant(config, until)))
    if first >= last:
        raise click.UsageError(
            f"no whole hour of the interval is over; it is {output.when(at)}, and without -E it ends "
            "with yesterday"
        )
    return first, last


def _print(result: Reconciliation, every: bool, interval: str) -> None:
    shown = [row for row in result.rows if every or row.difference or row.causes]
    if shown or chosen.csv:
        output.table(COLUMNS, map(_cells, shown))
    accounts = len({row.account for row in result.rows})
    compared = count(accounts, "account") if accounts else "no account was charged for anything"
    sentence = f"{interval}: {compared}, unexplained {output.number(result.unexplained)} TRES-seconds"
    skipped = f"; skipped {count(result.rejected, 'unparsable line')} of sacct" if result.rejected else ""
    output.say(sentence + skipped, err=chosen.csv)


def _row_value(row: ReconciledRow) -> dict[str, object]:
    return {
        "account": row.account,
        "tres": row.tres,
        "ledger": output.number(row.ledger),
        "sacct": output.number(row.sacct),
        "sreport": output.number(row.sreport),
        "difference": output.number(row.difference),
        "cause": _cause(row),
        "causes": {cause: output.number(amount) for cause, amount in row.causes.items()},
        "unexplained": output.number(row.unexplained),
    }


def _cells(row: ReconciledRow) -> list[object]:
    amounts = (row.ledger, row.sacct, row.sreport, row.difference)
    return [row.account, row.tres, *map(output.number, amounts), _cause(row)]


def _cause(row: ReconciledRow) -> str | None:
    """Each cause with its amount, and the unexplained amount."""
    named: dict[str, Charge] = dict(row.causes)
    if row.unexplained:
        named["UNEXPLAINED"] = row.unexplained
    return "; ".join(f"{cause} {output.number(amount):+}" for cause, amount in named.items()) or None
