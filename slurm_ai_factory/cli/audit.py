"""Commands for the auditor: backfill, reconcile."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from slurm_ai_factory.audit import books
from slurm_ai_factory.audit.reconcile import ReconciledRow, Reconciliation, reconcile
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.measure import asked_instant
from slurm_ai_factory.cli.options import (
    SafCommand,
    chosen,
    current_actor,
    load_config,
    now,
    opened_ledger,
    opened_site,
    slurm_of,
)
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import charge
from slurm_ai_factory.core.records import Charge, Instant, Interval
from slurm_ai_factory.core.words import count
from slurm_ai_factory.ledger import LONG
from slurm_ai_factory.ledger.audits import Audit
from slurm_ai_factory.steps import clocks, reading
from slurm_ai_factory.steps.reading import OnRead, Read

FINDINGS = 5


@click.command("backfill", cls=SafCommand)
@click.option("-S", "--since", metavar="T", required=True, help="From this instant on.")
@click.option("-E", "--until", metavar="T", help="Up to this instant; else up to now.")
@click.option("--again", is_flag=True, help="Also what was read before; corrections are taken over.")
def backfill_command(since: str, until: str | None, again: bool) -> None:
    """Read history into the ledger. Writes to the ledger.

    What was read already is left out, so an interrupted backfill is resumed by giving the command again. It
    may run beside the daemon.
    """
    config = load_config()
    with opened_site(config, limits=LONG) as site:
        at = clocks.cluster_now(site)
        first, last = asked_instant(config, since), _until(config, until, at)
        if first >= last:
            raise click.UsageError("the end of the interval is not after its start")
        accounting = site.ledger.accounting
        intervals = [(first, last)] if again else accounting.gaps(first, last)
        with _shown(intervals) as progress:
            done = reading.read_intervals(
                site.slurm, site.ledger, intervals, at=at, usual=config.slurm.read_window, progress=progress
            )
        accounting.record_events(*site.slurm.events(first, last), at)
    _report(intervals, done)


def _until(config: Config, until: str | None, at: Instant) -> Instant:
    """The end asked for, but before now: a read up to now says which runs are open, which is for cycles."""
    return min(at - 1, asked_instant(config, until or "now"))


@contextmanager
def _shown(intervals: list[Interval]) -> Iterator[OnRead]:
    """A bar over the history to be read, with rate and remaining time."""
    began, total = time.monotonic(), sum(until - since for since, until in intervals)
    with output.bar(total, "reading", show_eta=True, item_show_func=_text) as bar:

        def progress(interval: Interval, so_far: Read) -> None:
            rate = so_far.runs / max(0.001, time.monotonic() - began)
            bar.update(interval[1] - interval[0], f"{so_far.runs:,} runs, {rate:,.0f}/s")

        yield progress


def _text(item: object) -> str:
    return str(item or "")


def _report(intervals: list[Interval], done: Read) -> None:
    spans = [{"since": output.when(since), "until": output.when(until)} for since, until in intervals]
    value = {
        "intervals": spans,
        "runs": done.runs,
        "changed": done.changed,
        "rejected": len(done.rejected),
    }
    if chosen.json:
        output.emit(value)
    elif not chosen.quiet and not intervals:
        click.echo("nothing to read: the ledger has all of it", err=True)
    elif not chosen.quiet:
        aside = f", skipped {count(len(done.rejected), 'unparsable line')} of sacct" if done.rejected else ""
        click.echo(f"read {done.runs} runs, {done.changed} new or changed{aside}", err=True)


@click.command("reconcile", cls=SafCommand)
@click.option("-S", "--since", metavar="T", default="yesterday", help="From this instant on; else yesterday.")
@click.option("-E", "--until", metavar="T", default="today", help="Up to this instant; else today.")
@click.option("--all", "every", is_flag=True, help="Also where the books agree.")
def reconcile_command(since: str, until: str, every: bool) -> None:
    """Compare the ledger with sacct and sreport, per account and TRES. The result is kept.

    In TRES-seconds of whole hours. Every difference is told with its causes; exit code 5 when some of it is
    unexplained.
    """
    config = load_config()
    at = now()
    first, last = _whole_hours(config, since, until, at)
    with opened_ledger(config) as ledger:
        slurm = slurm_of(config)
        slurm.priority_config()
        found = reconcile(
            books.books_between(slurm, ledger, first, last, at=at, usual=config.slurm.read_window)
        )
        made = Audit("reconcile", at, first, last, found.findings)
        ledger.audits.keep(made, {"unexplained": str(found.unexplained)}, current_actor())
    if chosen.json:
        output.emit({"since": output.when(first), "until": output.when(last)} | _value(found))
    else:
        _show(found, every, f"{output.when(first)} .. {output.when(last)}")
    if found.unexplained:
        sys.exit(FINDINGS)


def _whole_hours(config: Config, since: str, until: str, at: Instant) -> Interval:
    """The interval asked for, in whole hours that are over: sreport knows no others."""
    first = charge.hour_of(asked_instant(config, since))
    last = charge.hour_of(min(at, asked_instant(config, until)))
    if first >= last:
        raise click.UsageError(
            f"no whole hour of the interval is over; it is {output.when(at)}, and without -E it ends "
            "with yesterday"
        )
    return first, last


def _show(found: Reconciliation, every: bool, interval: str) -> None:
    shown = [row for row in found.rows if every or row.difference or row.causes]
    if shown or chosen.csv:
        columns = ("account", "TRES", "ledger", "sacct", "sreport", "difference", "cause")
        output.table(columns, map(_cells, shown))
    accounts = len({row.account for row in found.rows})
    compared = count(accounts, "account") if accounts else "no account was charged for anything"
    sentence = f"{interval}: {compared}, unexplained {output.number(found.unexplained)} TRES-seconds"
    aside = f"; skipped {count(found.rejected, 'unparsable line')} of sacct" if found.rejected else ""
    click.echo(sentence + aside, err=chosen.csv)


def _value(found: Reconciliation) -> dict[str, object]:
    return {
        "rows": [_row_value(row) for row in found.rows],
        "unexplained": output.number(found.unexplained),
        "rejected": found.rejected,
    }


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
    """Each cause with its amount, and what has none."""
    named: dict[str, Charge] = dict(row.causes)
    if row.unexplained:
        named["UNEXPLAINED"] = row.unexplained
    return "; ".join(f"{cause} {output.number(amount):+}" for cause, amount in named.items()) or None


COMMANDS = (backfill_command, reconcile_command)
