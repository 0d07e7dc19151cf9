"""`saf ledger fingerprint`: the digests of the rows that a report rests on.

Tested in tests/cli/ledger/test_fingerprint.py.
"""

from __future__ import annotations

import sys

import click

from slurm_ai_factory import question
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import WINDOW, as_of_option, asked_instant, asked_window, check_known
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.cli.wiring import opened_books
from slurm_ai_factory.ledger import LONG
from slurm_ai_factory.ledger.publishing import PARTS, part_name
from slurm_ai_factory.report import gather


@click.command("fingerprint", cls=EachCommand)
@WINDOW
@as_of_option(required=True)
@click.option("--from", "first", metavar="W", help="Start with this earlier window.")
@click.option(
    "--rows", type=click.Choice(tuple(map(part_name, PARTS))), help="Print this part's rows, not digests."
)
def fingerprint_command(window: str | None, then: str, first: str | None, rows: str | None) -> None:
    """Print the fingerprint of the rows that a report rests on, part by part.

    A report's own fingerprint covers every window of its trend chart: give the earliest with --from. With
    --rows, print the rows of one part as they are hashed: pipe them into sha256sum.
    """
    if rows and (chosen.json or sys.stdout.isatty()):
        raise click.UsageError(
            "--rows prints rows as they are hashed: pipe them into sha256sum, without --json"
        )
    with opened_books(LONG) as (config, ledger):
        known = asked_instant(config, then)
        last = asked_window(config, window, None, None, known)
        begins = asked_window(config, first, None, None, known) if first else last
        check_known(ledger, known)
        interval = gather.interval_of(question.ask(config, ledger, last, then=known), begins)
        if rows:
            for block in ledger.publishing.rows(f"fingerprint_{rows}", interval):
                sys.stdout.buffer.write(block)
            return
        parts = ledger.publishing.fingerprint(interval)
    output.table(("part", "rows", "sha256"), parts, [part._asdict() for part in parts])
