"""`saf organisation`: the registry of organisations and their links to accounts."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import click

from slurm_ai_factory import question
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.approval import proposed
from slurm_ai_factory.cli.arguments import (
    asked_day,
    asked_reason,
    content_of,
    reason_option,
    usage_errors,
    warn_of_names,
)
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.new_file import replaced_file
from slurm_ai_factory.cli.options import SafGroup, chosen
from slurm_ai_factory.cli.wiring import current_actor, load_config, now, opened_ledger
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme import registry_sheet
from slurm_ai_factory.core.programme.approval import ProposalKind, entries_value
from slurm_ai_factory.core.records import FOREVER, Instant
from slurm_ai_factory.core.rules.organisations import (
    ACCESS_MODES,
    CATEGORIES,
    COMPANY_SIZES,
    COMPANY_STAGES,
    Link,
    Organisation,
    RegistryEntry,
    effective,
)
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import LedgerError, RefusedError
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.ledger.registry import Recorded

REASON = reason_option(required=True)
SINCE = click.option("--since", metavar="DATE", help="First day. Default: today.")
UNTIL = click.option("--until", metavar="DATE", help="The entry ends at the start of this day.")
CORRECT = click.option(
    "--correct", is_flag=True, help="Replace an entry that starts on the same day; the earlier one is kept."
)
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _dated(command: _Command) -> _Command:
    """The options of every entry."""
    for option in (CORRECT, REASON, UNTIL, SINCE):
        command = option(command)
    return command


@click.group("organisation", cls=SafGroup)
def organisation_group() -> None:
    """Manage the registry: who uses the machine, since when, and through which accounts.

    Dates are civil days in the promise's time zone; each begins on a whole hour, so that no hour of usage is
    split. Nothing is overwritten: earlier entries are kept, with who made them and why.
    """


@organisation_group.command("add")
@click.argument("key")
@click.option("--name", metavar="TEXT", required=True, help="The name in the trade register.")
@click.option("--kvk", metavar="NUMBER", default="", help="KvK number, 8 digits; only in the Netherlands.")
@click.option("--category", type=click.Choice(CATEGORIES), required=True, help="The kind of organisation.")
@click.option("--sector", metavar="S", required=True, help="SBI section A to U, or one of registry.sectors.")
@click.option(
    "--municipality", metavar="CODE", default="", help="CBS code, such as GM0014; only in the Netherlands."
)
@click.option("--hub", metavar="H", default="", help="One of registry.hubs.")
@click.option(
    "--size", type=click.Choice(COMPANY_SIZES), help="Of a business: its size by the EU definition."
)
@click.option("--stage", type=click.Choice(COMPANY_STAGES), help="Of a business: its stage.")
@_dated
def organisation_add(
    key: str, since: str | None, until: str | None, reason: str, correct: bool, **given: str | None
) -> None:
    """Register an organisation, or change its details from a day on. Writes to the ledger."""
    config = load_config()
    fields = {name: value or "" for name, value in given.items()}
    entry = Organisation(organisation=key, **fields, **_dates(config, since, until))  # type: ignore[arg-type]
    _record(config, [entry], reason, correct=correct)


@organisation_group.command("link")
@click.argument("key")
@click.option("--account", metavar="A", required=True, help="The Slurm account, with those below it.")
@click.option("--fraction", metavar="F", default="1", show_default=True, help="The part of its charge.")
@click.option("--access", type=click.Choice(ACCESS_MODES), help="How the account got access.")
@click.option("--granted", metavar="HOURS", help="Resource-hours granted for the time of this entry.")
@_dated
def organisation_link(
    key: str,
    account: str,
    fraction: str,
    access: str | None,
    granted: str | None,
    since: str | None,
    until: str | None,
    reason: str,
    correct: bool,
) -> None:
    """Assign an account's charge, or a part of it, to an organisation. Writes to the ledger.

    The fractions of an account add up to at most 1; the rest is not regional.
    """
    config = load_config()
    dates = _dates(config, since, until)
    with usage_errors("--fraction"):
        part = registry_sheet.fraction_of(fraction)
    with usage_errors("--granted"):
        hours = registry_sheet.granted_hours(granted) if granted else None
    entry = Link(
        organisation=key, account=account, fraction=part, access=access or "", granted=hours, **dates
    )
    _record(config, [entry], reason, correct=correct)


@organisation_group.command("end")
@click.argument("key")
@click.option("--on", metavar="DATE", help="The first day without it. Default: today.")
@click.option("--account", metavar="A", help="End only the link to this account.")
@REASON
def organisation_end(key: str, on: str | None, account: str | None, reason: str) -> None:
    """End an organisation with all its links, or a single link. Writes to the ledger.

    An entry that starts on that day or later is withdrawn.
    """
    config = load_config()
    at = asked_day(config.promise.time_zone, "--on", on) if on else _today(config)
    with opened_ledger(config) as ledger:
        ended = ledger.registry.known().ended(key, at)
    entries = [entry for entry in ended if account in (None, getattr(entry, "account", None))]
    if not entries:
        what = f"organisation {key}" if account is None else f"link of {key} to account {account}"
        raise LedgerError(f"no {what} lasts longer than that; see `saf organisation show {key}`")
    _record(config, entries, reason, correct=True)


@organisation_group.command("import")
@click.argument("file", type=click.File("rb"))
@REASON
@CORRECT
def organisation_import(file: io.BufferedReader, reason: str, correct: bool) -> None:
    """Import a CSV of organisations or of links, all of it or, if any line is wrong, none.

    Columns as in `export`, in any order; comma, semicolon or tab; UTF-8 or Windows-1252. Lines equal to a
    present entry change nothing. Writes to the ledger.
    """
    config = load_config()
    table = registry_sheet.read_registry_sheet(content_of(file), config.promise.time_zone)
    if table.faults:
        output.refuse(file.name, table.faults)
    if table.encoding != "UTF-8" and not chosen.quiet:
        output.say(f"{file.name} is read as {table.encoding}", err=True)
    entries = [entry for _, entry in table.entries]
    with opened_ledger(config) as ledger:
        recorded = _recorded(config, ledger, entries, reason, correct=correct)
    if recorded is None:
        return
    if recorded.problems:
        output.refuse(file.name, registry_sheet.faults_of(recorded.problems, table.entries))
    _answer(recorded, entries)


@organisation_group.command("export")
@click.option("--links", is_flag=True, help="Export the links instead of the organisations.")
@click.option(
    "-o", "--output", "file", type=click.Path(path_type=Path), help="The file to write. Default: stdout."
)
def organisation_export(links: bool, file: Path | None) -> None:
    """Export the registry as CSV, in the form that `import` reads."""
    if file and chosen.json:
        raise click.UsageError("give either --json, which prints to stdout, or -o")
    config = load_config()
    with opened_ledger(config) as ledger:
        registry = ledger.registry.known()
    entries = registry.links if links else registry.organisations
    rows = registry_sheet.sheet_rows(entries, config.promise.time_zone)
    if chosen.json:
        return output.emit(rows)
    columns = sum(registry_sheet.LINK if links else registry_sheet.ORGANISATION, ())
    cells = [[row[name] for name in columns] for row in rows]
    if file is None:
        return output.write_csv(sys.stdout, columns, cells)
    with replaced_file(file) as part, part.open("w", encoding="utf-8", newline="") as opened:
        output.write_csv(opened, columns, cells)
    return output.reply({}, f"wrote {file}: {count(len(cells), 'entry', 'entries')}")


@organisation_group.command("list", cls=EachCommand)
@click.option("--on", metavar="DATE", help="Organisations registered on this day. Default: today.")
@click.option("--all", "every", is_flag=True, help="Include past and future organisations.")
@click.option("--as-of", "then", metavar="DATE", help="Use what the ledger knew at the start of this day.")
def organisation_list(on: str | None, every: bool, then: str | None) -> None:
    """List organisations with their accounts; those that start later are marked."""
    config = load_config()
    zone = config.promise.time_zone
    at = asked_day(zone, "--on", on) if on else now()
    with opened_ledger(config) as ledger:
        registry = ledger.registry.known(asked_day(zone, "--as-of", then) if then else None)
        config = question.under_terms(config, ledger, at)
    latest_start = at if on else FOREVER
    listed = [
        entry
        for entry in registry.organisations
        if every or (entry.since <= latest_start and at < entry.until)
    ]
    values = [_listed(config, registry.links, entry, at) for entry in listed]
    rows = values if chosen.json else [dict(zip(value, _cells(value), strict=True)) for value in values]
    output.listing(rows, "no organisation is registered; see `saf organisation add --help`")


def _listed(config: Config, links: Iterable[Link], entry: Organisation, at: Instant) -> dict[str, object]:
    """An organisation as `list` shows it, with its accounts at an instant, or at its start if later."""
    present = [
        link
        for link in links
        if link.organisation == entry.organisation and link.since <= max(at, entry.since) < link.until
    ]
    return {
        **_entry_value(config, entry),
        "in_force": entry.since <= at < entry.until,
        "regional": entry.municipality in config.registry.region,
        "accounts": [
            link.account if link.fraction == 1 else f"{link.account} {link.fraction:f}" for link in present
        ],
    }


def _entry_value(config: Config, entry: RegistryEntry) -> dict[str, object]:
    """An entry with its dates as users type them."""
    return dict(registry_sheet.sheet_rows([entry], config.promise.time_zone)[0])


def _cells(value: dict[str, object]) -> list[object]:
    return [output.cell(cell) for cell in value.values()]


@organisation_group.command("show", cls=EachCommand)
@click.argument("key")
def organisation_show(key: str) -> None:
    """Show an organisation: its entries, its links, and everything recorded about it."""
    config = load_config()
    with opened_ledger(config) as ledger:
        registry, history = ledger.registry.known(), ledger.registry.history(key)
    if not history:
        raise LedgerError(f"organisation {key} is not registered; see `saf organisation list --all`")
    entries = {
        "entries": [_entry_value(config, entry) for entry in registry.entries_of(key)],
        "links": [_entry_value(config, link) for link in registry.links if link.organisation == key],
    }
    records = [_record_value(config, row) for row in history]
    if chosen.json:
        return output.emit({"organisation": key, **entries, "history": records})
    for rows in entries.values():
        if rows:
            output.table(list(rows[0]), [_cells(row) for row in rows])
            click.echo()
    for record in records:
        link = "account" in record
        what = f"account {record['account']}, fraction {record['fraction']}," if link else record["name"]
        dates = "withdrawn" if record["taken_back"] else f"{record['since']} .. {record['until'] or ''}"
        output.say(f"{record['recorded_at']} {record['actor']}: {what} {dates} ({record['reason']})")
    return None


def _record_value(config: Config, row: dict[str, Any]) -> dict[str, Any]:
    """A row of the history: when, by whom and why, and the entry as it was recorded."""
    zone = config.promise.time_zone
    dates = {name: None if row[name] == FOREVER else windows.civil_day(row[name], zone) for name in _DATES}
    fields = {name: value for name, value in row.items() if value is not None and name not in _LEFT_OUT}
    for name in ("fraction", "granted"):
        if isinstance(exact := fields.get(name), Decimal):
            fields[name] = output.number(exact)
    taken_back = row["until"] <= row["since"]
    return {"recorded_at": output.when(row["recorded_at"]), **fields, **dates, "taken_back": taken_back}


_DATES = ("since", "until")
_LEFT_OUT = ("recorded_at", "entry_id", *_DATES)


def _dates(config: Config, since: str | None, until: str | None) -> dict[str, Instant]:
    zone = config.promise.time_zone
    return {
        "since": asked_day(zone, "--since", since) if since else _today(config),
        "until": asked_day(zone, "--until", until) if until else FOREVER,
    }


def _today(config: Config) -> Instant:
    return windows.instant("today", now(), config.promise.time_zone)


def _recorded(
    config: Config, ledger: Ledger, entries: Sequence[RegistryEntry], reason: str, *, correct: bool
) -> Recorded | None:
    """Record entries; None if they become a proposal that waits for a second person."""
    reason = asked_reason(reason)
    accounts = ledger.accounting.parents()
    if not accounts and any(isinstance(entry, Link) for entry in entries):
        raise LedgerError("the ledger does not know the cluster's accounts yet; run `saf cycle` once")
    warn_of_names(ledger, reason)
    act, codes = {"at": now(), "actor": current_actor(), "reason": reason}, config.codes(accounts)
    new, _ = ledger.registry.check(entries, codes, correct=correct)
    present = ledger.registry.known()
    if config.approval.registry and any(effective(present, entry) < now() for entry in new):
        content = {"entries": entries_value(entries), "correct": correct}
        proposed(ledger, ProposalKind.REGISTRY, content, act)
        return None
    return ledger.registry.record(entries, codes, act, correct=correct)


def _record(config: Config, entries: Sequence[RegistryEntry], reason: str, *, correct: bool) -> None:
    """Record entries of one organisation and report it. Raises RefusedError with every problem."""
    with opened_ledger(config) as ledger:
        recorded = _recorded(config, ledger, entries, reason, correct=correct)
    if recorded is None:
        return
    if recorded.problems:
        if chosen.json:
            problems = [{"column": problem.field, "reason": problem.reason} for problem in recorded.problems]
            output.emit({"new": 0, "known": 0, "problems": problems})
        reasons = "; ".join(f"{problem.field}: {problem.reason}" for problem in recorded.problems)
        raise RefusedError(f"{entries[0].organisation}: {reasons}; nothing was changed")
    _answer(recorded, entries)


def _answer(recorded: Recorded, entries: Sequence[RegistryEntry]) -> None:
    keys = sorted({entry.organisation for entry in entries})
    which = ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")
    present = f", {recorded.known} already present" if recorded.known else ""
    sentence = f"recorded {count(recorded.new, 'entry', 'entries')}{present}: {which}"
    output.reply({"new": recorded.new, "known": recorded.known, "problems": []}, sentence)
