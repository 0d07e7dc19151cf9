"""Commands on the ledger for auditors and data-protection officers: fingerprint, verify, pseudonymise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from slurm_ai_factory import reporting, verification
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.audit import FINDINGS
from slurm_ai_factory.cli.measure import asked_instant, asked_window, check_known
from slurm_ai_factory.cli.options import (
    SafCommand,
    actor,
    chosen,
    load_config,
    now,
    opened_books,
    opened_ledger,
)
from slurm_ai_factory.cli.setup import ledger_group
from slurm_ai_factory.core import windows
from slurm_ai_factory.errors import ConfigError
from slurm_ai_factory.ledger import LONG
from slurm_ai_factory.ledger.publishing import PARTS, part_name

NAMES = tuple(map(part_name, PARTS))


@ledger_group.command("fingerprint", cls=SafCommand)
@click.option("--window", metavar="W", help="2027Q1, 2027-03, 2027H1, 2027, rolling:30d or current.")
@click.option("--as-of", "then", metavar="T", required=True, help="As it was known at this instant.")
@click.option("--from", "first", metavar="W", help="From the beginning of this earlier window on.")
@click.option("--rows", type=click.Choice(NAMES), help="Print the rows of this part instead of digests.")
def fingerprint_command(window: str | None, then: str, first: str | None, rows: str | None) -> None:
    """The fingerprint of the rows that a report rests on, part by part.

    A report's own is over all windows of its chart over time: give the earliest with --from. With --rows, the
    rows of one part as they are hashed: pipe them into sha256sum.
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
        ask = reporting.asked(config, ledger, known)
        interval = reporting.interval_of(ask, begins, last)
        if rows:
            for row in ledger.publishing.rows(f"fingerprint_{rows}", interval):
                sys.stdout.buffer.write(row)
            return None
        found = ledger.publishing.fingerprint(interval)
    if chosen.json:
        return output.emit([part._asdict() for part in found])
    return output.table(("part", "rows", "sha256"), found)


@ledger_group.command("verify", cls=SafCommand)
def verify_command() -> None:
    """Compare what the ledger keeps with the runs it is made from, and reports with their fingerprints.

    Usage by hour with the runs, the promise's sums with that usage, and every report that was given out with
    the same one made now, by the settings of now. Changes nothing. Exit code 5 when anything differs.
    """
    with opened_books(LONG) as (config, ledger):
        hours = verification.parts(ledger)
        with _bar(2 * sum(until - since for since, until in hours)) as progress:
            found = list(verification.verify(config, ledger, hours, progress))
    if chosen.json:
        output.emit({"checks": [one._asdict() for one in found]})
    else:
        output.table(("check", "compared", "differing", "first"), found)
    if any(one.differing for one in found):
        sys.exit(FINDINGS)


@contextmanager
def _bar(length: int) -> Iterator[verification.Progress]:
    """A bar over so many seconds of history, on a terminal."""
    with output.bar(length, "comparing") as bar:
        yield lambda part: bar.update(part[1] - part[0])


@ledger_group.command("pseudonymise", cls=SafCommand)
@click.option(
    "--before", metavar="T", help="Runs that ended before this instant; else by privacy.pseudonymise_after."
)
def pseudonymise_command(before: str | None) -> None:
    """Replace the users of old runs by pseudonyms. Writes to the ledger, and cannot be undone.

    No total changes. Users that rules name keep their names.
    """
    config = load_config()
    kept = config.privacy.pseudonymise_after
    if before is None and kept is None:
        raise ConfigError(f"{config.file}: [privacy] pseudonymise_after is not set; set it, or give --before")
    until = asked_instant(config, before) if before else now() - (kept or 0)
    if until > now() - config.slurm.overlap_daily:
        raise click.UsageError("runs as young as that are read again, and their users with them")
    users = {name for rule in config.rules for name in rule.conditions.get("user", ())}
    with opened_ledger(config, LONG) as ledger:
        runs, people = ledger.privacy.pseudonymise(until, users, at=now(), actor=actor())
    if chosen.json:
        output.emit({"before": windows.iso(until), "runs": runs, "users": people})
    elif not chosen.quiet:
        told = f"{runs} runs of {people} users that ended before {windows.iso(until)}"
        click.echo(
            f"pseudonymised {told}" if runs else f"nothing to do before {windows.iso(until)}", err=True
        )


COMMANDS: tuple[click.Command, ...] = ()
"""They belong to `saf ledger`."""
