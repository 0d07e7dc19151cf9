"""`saf reconcile`: compare the ledger with sacct and sreport, or with the figures of another party.

Tested in tests/end_to_end/test_reconcile.py and tests/cli/test_questions.py.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from slurm_ai_factory import question
from slurm_ai_factory.audit import books
from slurm_ai_factory.audit.reconcile import ExplainedRow, ReconciledRow, Reconciliation, reconcile
from slurm_ai_factory.audit.theirs import OtherBook, compare_with
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import asked_instant, asked_start, warn_of_gaps
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.cli.wiring import (
    check_answers,
    current_actor,
    load_config,
    now,
    opened_ledger,
    slurm_of,
)
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import charge
from slurm_ai_factory.core.records import Charge, Instant, Interval, Window
from slurm_ai_factory.core.words import count
from slurm_ai_factory.ledger.audits import Audit

COLUMNS = ("account", "TRES", "ledger", "sacct", "sreport", "difference", "cause")
LIKE_COLUMNS = ("account", "TRES", "ledger", "theirs", "difference", "cause")


@click.command("reconcile", cls=EachCommand)
@click.option(
    "-S", "--since", metavar="T", default="yesterday", show_default=True, help="Start of the interval."
)
@click.option("-E", "--until", metavar="T", default="today", show_default=True, help="End of the interval.")
@click.option("--all", "every", is_flag=True, help="Also list accounts without a difference.")
@click.option(
    "--like",
    type=click.Choice([book.value for book in OtherBook]),
    help="Compute from the ledger's runs what this party counts, and explain the difference; asks no Slurm.",
)
def reconcile_command(since: str, until: str, every: bool, like: str | None) -> None:
    """Compare the ledger with sacct and sreport, per account and TRES. Records the result in the ledger.

    In TRES-seconds of whole hours. Lists every difference with its causes. Exit code 5: part of a difference
    is unexplained. With --like, records nothing.
    """
    config = load_config()
    at = now()
    first, last = _whole_hours(config, since, until, at)
    if like:
        return _like(
            config,
            OtherBook(like),
            Window(f"{output.when(first)} .. {output.when(last)}", first, last),
            every,
        )
    with opened_ledger(config) as ledger:
        slurm = slurm_of(config)
        check_answers(slurm, ledger)
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
    return None


def _like(config: Config, book: OtherBook, window: Window, every: bool) -> None:
    """What another party counts of the ledger's runs, beside the ledger's own figures."""
    with opened_ledger(config) as ledger:
        at = question.watermark(ledger)
        unread = ledger.accounting.unread(window.since, window.until)
        runs = ledger.accounting.runs_between(window.since - 1, window.until)  # APEL's may end at its start
    rows = compare_with(book, runs, window.since, window.until, at)
    warn_of_gaps(unread, window)
    unexplained = sum(max(row.unexplained, -row.unexplained) for row in rows)
    if chosen.json:
        value = {"since": output.when(window.since), "until": output.when(window.until), "like": book.value}
        output.emit(
            value | {"rows": [_row_value(row) for row in rows], "unexplained": output.number(unexplained)}
        )
    else:
        differing = [row for row in rows if row.difference or row.causes]
        shown = rows if every else differing
        amounts = ((row, (row.ledger, row.theirs, row.difference)) for row in shown)
        if shown or chosen.csv:
            output.table(
                LIKE_COLUMNS,
                [[row.account, row.tres, *map(output.number, each), _cause(row)] for row, each in amounts],
            )
        rest = f"unexplained {output.number(unexplained)} TRES-seconds" if differing else "nothing differs"
        output.say(f"{window.name}: {_compared(rows)}, {rest}", err=True)
    if unexplained:
        sys.exit(output.FINDINGS)


def _whole_hours(config: Config, since: str, until: str, at: Instant) -> Interval:
    """The interval in whole hours that are over: sreport knows no others. Raises UsageError."""
    begin, end = asked_start(config, since), asked_instant(config, until)
    if end <= begin:
        raise click.UsageError(
            f"the end of the interval, {output.when(end)}, is not after its start; without -E it ends with "
            "yesterday"
        )
    first, last = charge.hour_of(begin), charge.hour_of(min(at, end))
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
    sentence = (
        f"{interval}: {_compared(result.rows)}, unexplained {output.number(result.unexplained)} TRES-seconds"
    )
    skipped = f"; skipped {count(result.rejected, 'unparsable line')} of sacct" if result.rejected else ""
    output.say(sentence + skipped, err=chosen.csv)


def _compared(rows: Sequence[ExplainedRow]) -> str:
    accounts = len({row.account for row in rows})
    return count(accounts, "account") if accounts else "no account was charged for anything"


def _row_value(row: ExplainedRow) -> dict[str, object]:
    books = ("sacct", "sreport") if isinstance(row, ReconciledRow) else ("theirs",)
    return {
        "account": row.account,
        "tres": row.tres,
        "ledger": output.number(row.ledger),
        **{book: output.number(getattr(row, book)) for book in books},
        "difference": output.number(row.difference),
        "cause": _cause(row),
        "causes": {cause: output.number(amount) for cause, amount in row.causes.items()},
        "unexplained": output.number(row.unexplained),
    }


def _cells(row: ReconciledRow) -> list[object]:
    amounts = (row.ledger, row.sacct, row.sreport, row.difference)
    return [row.account, row.tres, *map(output.number, amounts), _cause(row)]


def _cause(row: ExplainedRow) -> str | None:
    """Each cause with its amount, and the unexplained amount."""
    named: dict[str, Charge] = dict(row.causes)
    if row.unexplained:
        named["UNEXPLAINED"] = row.unexplained
    return "; ".join(f"{cause} {output.number(amount):+}" for cause, amount in named.items()) or None
