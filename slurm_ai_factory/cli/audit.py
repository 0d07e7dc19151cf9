"""Commands for the auditor: backfill."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from slurm_ai_factory import reading
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.measure import asked_instant
from slurm_ai_factory.cli.options import SafCommand, chosen, load_config, now, opened_ledger, slurm_of
from slurm_ai_factory.config import Config
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.reading import Interval, Progress, Read


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
    with opened_ledger(config) as ledger:
        slurm = slurm_of(config)
        slurm.priority_config()
        at = now()
        first, last = asked_instant(config, since), _until(config, until, at)
        if first >= last:
            raise click.UsageError("the end of the interval is not after its start")
        intervals = [(first, last)] if again else ledger.accounting.gaps(first, last)
        with _shown(intervals) as progress:
            done = reading.read(
                slurm, ledger, intervals, at=at, usual=config.slurm.read_window, progress=progress
            )
        ledger.accounting.record_events(*slurm.events(first, last), at)
    _report(intervals, done)


def _until(config: Config, until: str | None, at: Instant) -> Instant:
    """The end asked for, but before now: a read up to now says which runs are open, which is for cycles."""
    return min(at - 1, asked_instant(config, until or "now"))


@contextmanager
def _shown(intervals: list[Interval]) -> Iterator[Progress | None]:
    """A bar over the history to be read, with rate and remaining time; none where nobody sees it."""
    if chosen.quiet or not sys.stderr.isatty():
        yield None
        return
    began, total = time.monotonic(), sum(until - since for since, until in intervals)
    with click.progressbar(
        length=total, label="reading", file=sys.stderr, show_eta=True, item_show_func=_text
    ) as bar:

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
        aside = f", {len(done.rejected)} line(s) kept aside" if done.rejected else ""
        click.echo(f"read {done.runs} runs, {done.changed} new or changed{aside}", err=True)


COMMANDS = (backfill_command,)
