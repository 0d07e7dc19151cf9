"""`saf ledger archive`: closed months as Parquet, with their digests in the chain; or check such files."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from slurm_ai_factory.audit import archived, archiving
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import asked_instant, usage_errors
from slurm_ai_factory.cli.options import SafCommand
from slurm_ai_factory.cli.wiring import current_actor, now, opened_books
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import Window
from slurm_ai_factory.ledger import LONG, Ledger

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("archive", cls=SafCommand)
@click.option("--month", metavar="YYYY-MM", help="The month to archive, or with --verify to check.")
@click.option("--before", metavar="T", help="Archive every month that ends by this instant.")
@click.option("--to", "directory", type=FOLDER, metavar="DIRECTORY", help="Where the files go.")
@click.option("--verify", "checked", type=FOLDER, metavar="DIRECTORY", help="Check the files there instead.")
def archive_command(
    month: str | None, before: str | None, directory: Path | None, checked: Path | None
) -> None:
    """Write closed months as Parquet files, and record their digests in the chain. Deletes nothing.

    A month has four files: the runs that ended in it with their earlier versions, hourly usage, its
    beneficiaries, and counts of TRES. They hold no user. A month that was archived is left alone, unless the
    ledger or its files changed. Needs the extra `archive`.

    The status of a month: archived (recorded for the first time, or again because the ledger changed), copied
    (written as recorded, to a directory that did not have it), repaired (a file was missing or damaged), or
    unchanged.

    With --verify, compare the files with the chain, add up their charge, and compare that with the ledger.
    Writes nothing. Exit code 5: something differs.
    """
    if (directory is None) == (checked is None):
        raise click.UsageError("give either --to or --verify")
    if (before and (month or checked)) or (directory and not (month or before)):
        raise click.UsageError(
            "with --to, give either --month or --before; with --verify, --month or nothing"
        )
    with opened_books(LONG) as (config, ledger):
        if checked:
            checks = list(archived.verify_archive(config, ledger, checked, [month] if month else None))
            value = {"checks": [check._asdict() for check in checks]}
            output.table(("check", "compared", "differing", "first"), checks, value)
            if any(check.differing for check in checks):
                sys.exit(output.FINDINGS)
        elif directory:
            _archive(ledger, config, directory, _months(config, ledger, month, before))


def _months(config: Config, ledger: Ledger, month: str | None, before: str | None) -> list[Window]:
    """The months that the options mean. Raises UsageError."""
    if before:
        return archiving.months_before(config, ledger, min(now(), asked_instant(config, before)))
    with usage_errors("--month"):
        window = windows.window(str(month), now(), config.promise.time_zone)
        if windows.window("month", window.since, config.promise.time_zone) != window:
            raise ValueError(f"{month!r} is not a month such as 2027-01")
    return [window]


def _archive(ledger: Ledger, config: Config, directory: Path, months: list[Window]) -> None:
    rows = []
    with output.bar(len(months), "archiving") as bar:
        for month in months:
            made = archiving.archive_month(config, ledger, month, directory, at=now(), actor=current_actor())
            rows.append({**made._asdict(), "as_of": output.when(made.as_of)})
            bar.update(1)
    output.listing(rows, "no month of the ledger ended by then")
