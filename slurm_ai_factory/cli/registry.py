"""Commands for the account manager: the registry of organisations and their links to accounts."""

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
from slurm_ai_factory.cli.measure import asked_day
from slurm_ai_factory.cli.naming import warn_of_names
from slurm_ai_factory.cli.options import SafGroup, chosen, current_actor, load_config, now, opened_ledger
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme import registry_sheet
from slurm_ai_factory.core.programme.approval import ProposalKind, entries_value
from slurm_ai_factory.core.programme.sheet import Fault
from slurm_ai_factory.core.records import FOREVER, Instant
from slurm_ai_factory.core.rules.organisations import (
    CATEGORIES,
    Link,
    Organisation,
    Registry,
    RegistryEntry,
    effective,
)
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import LedgerError, RefusedError
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.ledger.registry import Recorded

REASON = click.option("--reason", metavar="TEXT", required=True, help="Why; kept with the entry.")
SINCE = click.option("--since", metavar="DATE", help="From the beginning of this day on; else today.")
UNTIL = click.option("--until", metavar="DATE", help="Up to the beginning of this day.")
CORRECT = click.option(
    "--correct", is_flag=True, help="Put otherwise what is known from the same date; the earlier is kept."
)
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _dated(command: _Command) -> _Command:
    """The options that every entry has."""
    for option in (CORRECT, REASON, UNTIL, SINCE):
        command = option(command)
    return command


@click.group("organisation", cls=SafGroup)
def organisation_group() -> None:
    """The registry: who uses the machine, since when, and through which accounts.

    Dates are civil days in the promise's time zone; each begins on a whole hour, so every hour of usage is on
    one side of it. Nothing is overwritten: what was said earlier is kept, with who said it and why.
    """


@organisation_group.command("add")
@click.argument("key")
@click.option("--name", metavar="TEXT", required=True, help="The name, as the trade register has it.")
@click.option(
    "--kvk", metavar="NUMBER", default="", help="KvK number: 8 digits; none outside the Netherlands."
)
@click.option("--category", type=click.Choice(CATEGORIES), required=True, help="What kind of organisation.")
@click.option("--sector", metavar="S", required=True, help="SBI section A to U, or one of registry.sectors.")
@click.option(
    "--municipality", metavar="CODE", default="", help="CBS code, GM0014; none outside the Netherlands."
)
@click.option("--hub", metavar="H", default="", help="One of registry.hubs.")
@_dated
def organisation_add(
    key: str, since: str | None, until: str | None, reason: str, correct: bool, **told: str
) -> None:
    """Register an organisation, or what it is from a date on. Writes to the ledger."""
    config = load_config()
    dates = _dates(config, since, until)
    entry = Organisation(organisation=key, **told, **dates)  # type: ignore[arg-type]
    _record(config, [entry], reason, correct=correct)


@organisation_group.command("link")
@click.argument("key")
@click.option("--account", metavar="A", required=True, help="The Slurm account; those below it follow it.")
@click.option("--fraction", metavar="F", default="1", show_default=True, help="Which part of its charge.")
@_dated
def organisation_link(
    key: str, account: str, fraction: str, since: str | None, until: str | None, reason: str, correct: bool
) -> None:
    """Say which part of an account's charge is for an organisation. Writes to the ledger.

    The fractions of an account add up to 1 at most; what no link takes is not regional.
    """
    config = load_config()
    dates = _dates(config, since, until)
    try:
        part = registry_sheet.fraction_of(fraction)
    except ValueError as error:
        raise click.UsageError(f"--fraction {error}") from error
    entry = Link(organisation=key, account=account, fraction=part, **dates)
    _record(config, [entry], reason, correct=correct)


@organisation_group.command("end")
@click.argument("key")
@click.option("--on", metavar="DATE", help="From the beginning of this day; else today.")
@click.option("--account", metavar="A", help="End only the link to this account.")
@REASON
def organisation_end(key: str, on: str | None, account: str | None, reason: str) -> None:
    """End an organisation with all its links, or one link. Writes to the ledger.

    An entry that begins on the same day or later is taken back wholly.
    """
    config = load_config()
    at = asked_day(config.promise.time_zone, "--on", on) if on else _today(config)
    with opened_ledger(config) as ledger:
        found = ledger.registry.known().ended(key, at)
    entries = [one for one in found if account in (None, getattr(one, "account", None))]
    if not entries:
        what = f"organisation {key}" if account is None else f"link of {key} to account {account}"
        raise LedgerError(f"no {what} lasts longer than that; see `saf organisation show {key}`")
    _record(config, entries, reason, correct=True)


@organisation_group.command("import")
@click.argument("file", type=click.File("rb"))
@REASON
@CORRECT
def organisation_import(file: io.BufferedReader, reason: str, correct: bool) -> None:
    """Take over a CSV of organisations, or of links: all of it, or nothing where a line is wrong.

    Columns as `export` writes them, in any order; comma, semicolon or tab; UTF-8 or Windows-1252. Lines that
    are known just so change nothing. Writes to the ledger.
    """
    config = load_config()
    table = registry_sheet.read_registry_sheet(file.read(), config.promise.time_zone)
    if table.faults:
        refuse(file.name, table.faults)
    if table.encoding != "UTF-8" and not chosen.quiet:
        output.say(f"{file.name} is read as {table.encoding}", err=True)
    entries = [entry for _, entry in table.entries]
    with opened_ledger(config) as ledger:
        done = _recorded(config, ledger, entries, reason, correct=correct)
    if done is None:
        return
    if done.problems:
        refuse(file.name, registry_sheet.faults_of(done.problems, table.entries))
    _tell(done, entries)


def refuse(file: str, faults: Sequence[Fault]) -> None:
    """Every fault with its place, and nothing was taken over."""
    if chosen.json:
        output.emit({"new": 0, "known": 0, "problems": [one._asdict() for one in faults]})
    for one in faults:
        column = f" column {one.column}:" if one.column else ""
        output.say(f"{file}:{one.line}:{column} {one.reason}", err=True)
    raise RefusedError(f"{file}: {count(len(faults), 'problem')}, nothing was taken over; correct the file")


@organisation_group.command("export")
@click.option("--links", is_flag=True, help="The links instead of the organisations.")
@click.option("-o", "--output", "file", type=click.Path(path_type=Path), help="Where to write; else stdout.")
def organisation_export(links: bool, file: Path | None) -> None:
    """Write the registry as CSV, as `import` takes it."""
    config = load_config()
    with opened_ledger(config) as ledger:
        known = ledger.registry.known()
    rows = registry_sheet.sheet_rows(known.links if links else known.organisations, config.promise.time_zone)
    if chosen.json:
        return output.emit(rows)
    columns = sum(registry_sheet.LINK if links else registry_sheet.ORGANISATION, ())
    cells = [[row[name] for name in columns] for row in rows]
    if file is None:
        return output.write_csv(sys.stdout, columns, cells)
    try:
        with file.open("w", encoding="utf-8", newline="") as opened:
            output.write_csv(opened, columns, cells)
    except OSError as error:
        raise LedgerError(f"{file} cannot be written: {error.strerror}") from error
    return None


@organisation_group.command("list")
@click.option("--on", metavar="DATE", help="Who is registered on this day; else today.")
@click.option("--all", "every", is_flag=True, help="Everybody there ever was, and will be.")
@click.option("--as-of", "then", metavar="DATE", help="As it was known at the beginning of this day.")
def organisation_list(on: str | None, every: bool, then: str | None) -> None:
    """Organisations with their accounts; those whose day is still to come are marked."""
    config = load_config()
    at = asked_day(config.promise.time_zone, "--on", on) if on else now()
    with opened_ledger(config) as ledger:
        known = ledger.registry.known(asked_day(config.promise.time_zone, "--as-of", then) if then else None)
        config = question.under_terms(config, ledger, at)
    first = at if on else FOREVER
    found = [one for one in known.organisations if every or (one.since <= first and at < one.until)]
    values = [_listed(config, known, one, at) for one in found]
    if chosen.json:
        output.emit(values)
    elif values or chosen.csv:
        output.table(list(values[0]) if values else (), [_cells(value.values()) for value in values])
    elif not chosen.quiet:
        click.echo("no organisation is registered; see `saf organisation add --help`", err=True)


def _listed(config: Config, known: Registry, one: Organisation, at: Instant) -> dict[str, object]:
    links = [
        link
        for link in known.links
        if link.organisation == one.organisation and link.since <= max(at, one.since) < link.until
    ]
    return {
        **_entry_value(config, one),
        "in_force": one.since <= at < one.until,
        "regional": one.municipality in config.registry.region,
        "accounts": [
            link.account if link.fraction == 1 else f"{link.account} {link.fraction:f}" for link in links
        ],
    }


def _entry_value(config: Config, one: RegistryEntry) -> dict[str, object]:
    """An entry with its dates as they are typed."""
    return dict(registry_sheet.sheet_rows([one], config.promise.time_zone)[0])


def _cells(values: Iterable[object]) -> list[object]:
    return [output.cell(one) for one in values]


@organisation_group.command("show")
@click.argument("key")
def organisation_show(key: str) -> None:
    """One organisation: what it was and is, its links, and everything that was ever said of it."""
    config = load_config()
    with opened_ledger(config) as ledger:
        known, history = ledger.registry.known(), ledger.registry.history(key)
    if not history:
        raise LedgerError(f"organisation {key} is not registered; see `saf organisation list --all`")
    links = [one for one in known.links if one.organisation == key]
    value = {
        "organisation": key,
        "entries": [_entry_value(config, one) for one in known.entries_of(key)],
        "links": [_entry_value(config, one) for one in links],
        "history": [_history_value(config, row) for row in history],
    }
    if chosen.json:
        return output.emit(value)
    return _print_shown(value)


def _history_value(config: Config, row: dict[str, Any]) -> dict[str, object]:
    """What was said once: when, by whom and why, and the entry as it was said."""
    zone = config.promise.time_zone
    dates = {name: None if row[name] == FOREVER else windows.civil_day(row[name], zone) for name in _DATES}
    said = {name: value for name, value in row.items() if value is not None and name not in _LEFT_OUT}
    if isinstance(fraction := said.get("fraction"), Decimal):
        said["fraction"] = output.number(fraction)
    taken_back = row["until"] <= row["since"]
    return {"recorded_at": output.when(row["recorded_at"]), **said, **dates, "taken_back": taken_back}


_DATES = ("since", "until")
_LEFT_OUT = ("recorded_at", "entry_id", *_DATES)


def _print_shown(value: dict[str, Any]) -> None:
    for name in ("entries", "links"):
        if rows := value[name]:
            output.table(list(rows[0]), [_cells(row.values()) for row in rows])
            click.echo()
    for row in value["history"]:
        what = f"account {row['account']}, fraction {row['fraction']}," if "account" in row else row["name"]
        dates = "taken back" if row["taken_back"] else f"{row['since']} .. {row['until'] or ''}"
        output.say(f"{row['recorded_at']} {row['actor']}: {what} {dates} ({row['reason']})")


def _dates(config: Config, since: str | None, until: str | None) -> dict[str, Instant]:
    return {
        "since": asked_day(config.promise.time_zone, "--since", since) if since else _today(config),
        "until": asked_day(config.promise.time_zone, "--until", until) if until else FOREVER,
    }


def _today(config: Config) -> Instant:
    return windows.instant("today", now(), config.promise.time_zone)


def _recorded(
    config: Config, ledger: Ledger, entries: Sequence[RegistryEntry], reason: str, *, correct: bool
) -> Recorded | None:
    """What became of the entries; None where they wait for a second person."""
    if not reason.strip():
        raise click.UsageError("--reason is empty; say why, for those who look at this later")
    accounts = ledger.accounting.parents()
    if not accounts and any(isinstance(one, Link) for one in entries):
        raise LedgerError("the ledger does not know the cluster's accounts yet; run `saf cycle` once")
    warn_of_names(ledger, reason)
    said, terms = {"at": now(), "actor": current_actor(), "reason": reason.strip()}, config.terms(accounts)
    new, _ = ledger.registry.check(entries, terms, correct=correct)
    present = ledger.registry.known()
    if config.approval.registry and any(effective(present, one) < now() for one in new):
        content = {"entries": entries_value(entries), "correct": correct}
        proposed(ledger, ProposalKind.REGISTRY, content, said)
        return None
    return ledger.registry.record(entries, terms, said, correct=correct)


def _record(config: Config, entries: Sequence[RegistryEntry], reason: str, *, correct: bool) -> None:
    """Write entries down and say so, or say what stands against them."""
    with opened_ledger(config) as ledger:
        done = _recorded(config, ledger, entries, reason, correct=correct)
    if done is None:
        return
    if done.problems:
        if chosen.json:
            problems = [{"column": one.field, "reason": one.reason} for one in done.problems]
            output.emit({"new": 0, "known": 0, "problems": problems})
        whole = "; ".join(f"{one.field}: {one.reason}" for one in done.problems)
        raise RefusedError(f"{entries[0].organisation}: {whole}; nothing was changed")
    _tell(done, entries)


def _tell(done: Recorded, entries: Sequence[RegistryEntry]) -> None:
    if chosen.json:
        output.emit({"new": done.new, "known": done.known, "problems": []})
    elif not chosen.quiet:
        names = sorted({one.organisation for one in entries})
        told = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        known = f", {done.known} known already" if done.known else ""
        output.say(f"recorded {count(done.new, 'entry', 'entries')}{known}: {told}", err=True)


COMMANDS = (organisation_group,)
