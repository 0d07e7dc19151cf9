"""Commands for the hours of the expertise centre: expertise add, correct, import, list."""

from __future__ import annotations

import io
from hashlib import sha256

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.measure import asked_instant, asked_window
from slurm_ai_factory.cli.naming import warn_of_names
from slurm_ai_factory.cli.options import SafGroup, chosen, current_actor, load_config, now, opened_ledger
from slurm_ai_factory.cli.registry import refuse
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme import expertise
from slurm_ai_factory.core.programme.expertise import ExpertiseEntry


@click.group("expertise", cls=SafGroup)
def expertise_group() -> None:
    """Hours of the expertise centre, which have a floor of their own."""


@expertise_group.command("add")
@click.option("--date", "day", required=True, metavar="DATE", help="The day worked: 2027-01-31.")
@click.option("--organisation", required=True, metavar="O", help="For whom: its key in the registry.")
@click.option("--role", required=True, metavar="ROLE", help="Of the expert; no name.")
@click.option("--hours", required=True, metavar="N", help="1.5 or 1,5.")
@click.option("--activity", required=True, metavar="TEXT", help="What was done.")
@click.option("--unmet", is_flag=True, help="Hours that were asked for and not given.")
def expertise_add(day: str, organisation: str, role: str, hours: str, activity: str, unmet: bool) -> None:
    """Enter hours. Writes to the ledger."""
    config = load_config()
    fields = {
        "date": day, "organisation": organisation, "role": role, "hours": hours, "activity": activity,
        "kind": "unmet" if unmet else "delivered",
    }  # fmt: skip
    with opened_ledger(config) as ledger:
        try:
            entry = expertise.entry(fields, ledger.registry.known().keys)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        warn_of_names(ledger, activity)
        (number,) = ledger.expertise.add([entry], at=now(), actor=current_actor())
    _say(f"entry {number}", {"entry": number})


@expertise_group.command("correct")
@click.argument("entry", type=int)
@click.option(
    "--hours", required=True, metavar="N", help="What the entry counts for from now on; 0 takes it back."
)
@click.option("--reason", required=True, metavar="TEXT", help="Why.")
def expertise_correct(entry: int, hours: str, reason: str) -> None:
    """Correct an entry by a further one, with signed hours. Writes to the ledger."""
    config = load_config()
    try:
        wanted = expertise.parse_hours(hours, least=0)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with opened_ledger(config) as ledger:
        warn_of_names(ledger, reason)
        number = ledger.expertise.correct(entry, wanted, reason, at=now(), actor=current_actor())
    _say(f"entry {number} corrects entry {entry}", {"entry": number, "corrects": entry})


@expertise_group.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Check the file, and enter nothing.")
def expertise_import(file: io.BufferedReader, dry_run: bool) -> None:
    """Enter the hours of a CSV file, all or none. Writes to the ledger.

    Columns: date, organisation, role, hours, activity, and kind (delivered or unmet) where wanted. UTF-8 or
    Windows-1252; commas, semicolons or tabs. The same file is not taken twice.
    """
    config = load_config()
    data = file.read()
    with opened_ledger(config) as ledger:
        entries, faults = expertise.from_sheet(data, ledger.registry.known().keys)
        if faults:
            refuse(file.name, faults)
        warn_of_names(ledger, *(one.activity for one in entries))
        if not dry_run:
            ledger.expertise.add(entries, at=now(), actor=current_actor(), file=sha256(data).hexdigest())
    total = sum(entry.hours for entry in entries)
    told = "would be entered" if dry_run else "entered"
    _say(f"{len(entries)} entries, {total} hours {told}", {"entries": len(entries), "hours": str(total)})


@expertise_group.command("list")
@click.option("--window", metavar="W", help="2027Q1, 2027-03, 2027H1, 2027, rolling:30d or current.")
@click.option(
    "--as-of", "then", metavar="T", default="now", help="As it was known at this instant; else now."
)
def expertise_list(window: str | None, then: str) -> None:
    """The entries of a window with their corrections."""
    config = load_config()
    known = asked_instant(config, then)
    where = asked_window(config, window, None, None, known)
    days = windows.days(where, config.promise.time_zone)
    with opened_ledger(config) as ledger:
        found = ledger.expertise.entries(*days, known)
    if chosen.json:
        return output.emit([_value(one) for one in found])
    columns = (
        "entry",
        "date",
        "organisation",
        "role",
        "hours",
        "kind",
        "activity",
        "corrects",
        "reason",
        "by",
    )
    return output.table(columns, [tuple(_value(one).values())[:10] for one in found])


def _value(one: ExpertiseEntry) -> dict[str, object]:
    return {
        "entry": one.entry_id,
        "date": one.day.isoformat(),
        "organisation": one.organisation,
        "role": one.role,
        "hours": str(one.hours),
        "kind": str(one.kind),
        "activity": one.activity,
        "corrects": one.corrects,
        "reason": one.reason,
        "actor": one.actor,
        "recorded_at": output.when(one.recorded_at),
    }


def _say(sentence: str, value: dict[str, object]) -> None:
    if chosen.json:
        output.emit(value)
    elif not chosen.quiet:
        click.echo(sentence, err=True)


COMMANDS = (expertise_group,)
