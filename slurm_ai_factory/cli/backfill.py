"""`saf backfill`: read history into the ledger. Tested in tests/end_to_end/test_backfill.py."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import asked_instant, asked_start
from slurm_ai_factory.cli.options import SafCommand
from slurm_ai_factory.cli.wiring import load_config, opened_site
from slurm_ai_factory.core.records import Instant, Interval
from slurm_ai_factory.core.words import count
from slurm_ai_factory.ledger import LONG
from slurm_ai_factory.steps import clocks, reading
from slurm_ai_factory.steps.reading import OnRead, Read


@click.command("backfill", cls=SafCommand)
@click.option("-S", "--since", metavar="T", required=True, help="Start of the interval.")
@click.option("-E", "--until", metavar="T", help="End of the interval. Default: now.")
@click.option(
    "--again", is_flag=True, help="Also read the intervals that were read before, and record corrections."
)
def backfill_command(since: str, until: str | None, again: bool) -> None:
    """Read history into the ledger. Writes to the ledger.

    Intervals already read are skipped, so giving the command again resumes an interrupted backfill. It may
    run beside the daemon.
    """
    config = load_config()
    first, end = asked_start(config, since), asked_instant(config, until or "now")
    _check_order(first, end)
    with opened_site(config, limits=LONG) as site:
        at = clocks.cluster_now(site)
        last = min(at - 1, end)  # only cycles read up to now: such a read says which runs are open
        _check_order(first, last)
        intervals = [(first, last)] if again else site.ledger.accounting.gaps(first, last)
        with _bar(intervals) as progress:
            read = reading.read_intervals(
                site.slurm, site.ledger, intervals, at=at, usual=config.slurm.read_window, progress=progress
            )
        site.ledger.intake.record_events(*site.slurm.events(first, last), at)
        kept = site.slurm.slurmdbd().kept_seconds if read.unlisted.lacking else None
    if wrong := read.unlisted.sentence(at, kept):
        output.say(f"warning: {wrong}; the ledger keeps them as they were", err=True)
    _answer(intervals, read)


def _check_order(first: Instant, last: Instant) -> None:
    """Raise UsageError for an interval without a second in it."""
    if first >= last:
        raise click.UsageError(
            f"the end of the interval, {output.when(last)}, is not after its start; it ends now at the latest"
        )


@contextmanager
def _bar(intervals: list[Interval]) -> Iterator[OnRead]:
    """A progress bar over the intervals, with rate and remaining time."""
    began, total = time.monotonic(), sum(until - since for since, until in intervals)
    with output.bar(total, "reading", show_eta=True, item_show_func=lambda text: text or "") as bar:

        def progress(interval: Interval, so_far: Read) -> None:
            rate = so_far.runs / max(0.001, time.monotonic() - began)
            bar.update(interval[1] - interval[0], f"{so_far.runs:,} runs, {rate:,.0f}/s")

        yield progress


def _answer(intervals: list[Interval], read: Read) -> None:
    value = {
        "intervals": [
            {"since": output.when(since), "until": output.when(until)} for since, until in intervals
        ],
        "runs": read.runs,
        "changed": read.changed,
        "rejected": len(read.rejected),
    }
    skipped = f", skipped {count(len(read.rejected), 'unparsable line')} of sacct" if read.rejected else ""
    sentence = f"read {read.runs} runs, {read.changed} new or changed{skipped}"
    output.reply(value, sentence if intervals else "nothing to read: the ledger has all of it")
