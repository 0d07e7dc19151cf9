"""`saf expertise`: hours of the expertise centre."""

from __future__ import annotations

import io
from hashlib import sha256

import click

from slurm_ai_factory.cli import arguments, output
from slurm_ai_factory.cli.correcting import ENTRY, record_correction
from slurm_ai_factory.cli.options import SafGroup
from slurm_ai_factory.cli.wiring import current_actor, load_config, now, opened_ledger
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme import expertise
from slurm_ai_factory.core.programme.expertise import ExpertiseEntry
from slurm_ai_factory.core.words import count

COLUMNS = (
    "entry", "date", "organisation", "role", "hours", "kind", "activity", "corrects", "reason", "by",
)  # fmt: skip


@click.group("expertise", cls=SafGroup)
def expertise_group() -> None:
    """Manage the hours of the expertise centre, which have their own floor."""


@expertise_group.command("add")
@click.option("--date", "day", required=True, metavar="DATE", help="The day worked: 2027-01-31.")
@click.option("--organisation", required=True, metavar="O", help="The organisation's key in the registry.")
@click.option("--role", required=True, metavar="ROLE", help="The expert's role, without a name.")
@click.option("--hours", required=True, metavar="N", help="1.5 or 1,5.")
@click.option("--activity", required=True, metavar="TEXT", help="What was done.")
@click.option("--unmet", is_flag=True, help="The hours were requested but not delivered.")
def expertise_add(day: str, organisation: str, role: str, hours: str, activity: str, unmet: bool) -> None:
    """Record hours. Writes to the ledger."""
    config = load_config()
    fields = {
        "date": day, "organisation": organisation, "role": role, "hours": hours, "activity": activity,
        "kind": "unmet" if unmet else "delivered",
    }  # fmt: skip
    with opened_ledger(config) as ledger:
        with arguments.usage_errors():
            entry = expertise.entry(fields, ledger.registry.known().keys)
        arguments.warn_of_names(ledger, activity)
        (number,) = ledger.expertise.add([entry], at=now(), actor=current_actor())
    output.reply({"entry": number}, f"recorded entry {number}")


@expertise_group.command("correct")
@ENTRY
@click.option("--hours", required=True, metavar="N", help="The correct hours; 0 withdraws the entry.")
@arguments.reason_option(required=True)
def expertise_correct(entry: int, hours: str, reason: str) -> None:
    """Correct an entry with a second entry for the difference. Writes to the ledger."""
    with arguments.usage_errors():
        wanted = expertise.parse_hours(hours, least=0)
    record_correction(
        entry,
        reason,
        lambda ledger, why, by: ledger.expertise.correct(entry, wanted, why, **by),
        relation="corrects",
    )


@expertise_group.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Check the file and record nothing.")
def expertise_import(file: io.BufferedReader, dry_run: bool) -> None:
    """Import the hours of a CSV file, all or none. Writes to the ledger.

    Columns: date, organisation, role, hours, activity, and optionally kind (delivered or unmet). UTF-8 or
    Windows-1252; commas, semicolons or tabs. A file that was imported before is refused.
    """
    config = load_config()
    data = arguments.content_of(file)
    with opened_ledger(config) as ledger:
        entries, faults = expertise.from_sheet(data, ledger.registry.known().keys)
        if faults:
            output.refuse(file.name, faults)
        arguments.warn_of_names(ledger, *(entry.activity for entry in entries))
        if not dry_run:
            ledger.expertise.add(entries, at=now(), actor=current_actor(), file=sha256(data).hexdigest())
    total = sum(entry.hours for entry in entries)
    sentence = f"{count(len(entries), 'entry', 'entries')}, {total} hours"
    output.reply(
        {"entries": len(entries), "hours": str(total)},
        f"{sentence}: valid, not recorded" if dry_run else f"recorded {sentence}",
    )


@expertise_group.command("list")
@arguments.WINDOW
@arguments.as_of_option(default="now")
def expertise_list(window: str | None, then: str) -> None:
    """List the entries of a window with their corrections."""
    config = load_config()
    known = arguments.asked_instant(config, then)
    where = arguments.asked_window(config, window, None, None, known)
    days = windows.days(where, config.promise.time_zone)
    with opened_ledger(config) as ledger:
        rows = [_value(entry) for entry in ledger.expertise.entries(*days, known)]
    nothing = f"no hours of {where.name} are recorded; see `saf expertise add --help`"
    output.table(COLUMNS, [list(row.values())[: len(COLUMNS)] for row in rows], rows, nothing)


def _value(entry: ExpertiseEntry) -> dict[str, object]:
    return {
        "entry": entry.entry_id, "date": entry.day.isoformat(), "organisation": entry.organisation,
        "role": entry.role, "hours": str(entry.hours), "kind": str(entry.kind), "activity": entry.activity,
        "corrects": entry.corrects, "reason": entry.reason, "actor": entry.actor,
        "recorded_at": output.when(entry.recorded_at),
    }  # fmt: skip
