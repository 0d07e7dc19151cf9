"""Commands that tell what was delivered: share, unclassified."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import click

from slurm_ai_factory import question
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.options import SafCommand, chosen, now, opened_books
from slurm_ai_factory.config import Config, parse_resource
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.measure.share import Promise
from slurm_ai_factory.core.records import Instant, Measurement, Subject, Window
from slurm_ai_factory.core.rules.classify import Beneficiary, Classification
from slurm_ai_factory.ledger import Ledger

KEYS = ("account", "category", "cluster", "hub", "municipality", "organisation", "partition", "sector")


def asked_window(
    config: Config, window: str | None, since: str | None, until: str | None, at: Instant | None = None
) -> Window:
    """The window the options mean, at this instant or now; `current` and no option mean the promise's own."""
    zone, moment = config.promise.time_zone, now() if at is None else at
    named = config.promise.window if window in (None, "current") else window
    try:
        if (since or until) and (window or not since):
            raise ValueError("give either --window, or -S with or without -E")
        if since:
            first = windows.instant(since, moment, zone)
            found = windows.span(first, windows.instant(until or "now", moment, zone))
        else:
            found = windows.window(str(named), moment, zone)
        if found.since > moment:
            raise ValueError(f"{found.name} begins at {windows.iso(found.since)}, which is in the future")
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return found


def check_known(ledger: Ledger, *instants: Instant | None) -> None:
    """Raise UsageError for an instant to come. A ledger on a model's clock has a now that is not ours."""
    moment = now()
    future = [at for at in instants if at is not None and at > moment]
    if future and (ledger.accounting.watermark() or 0) <= moment:
        raise click.UsageError(f"{windows.iso(future[0])} is in the future; nothing is known of it")


def asked_instant(config: Config, text: str) -> Instant:
    """The instant an option means."""
    try:
        return windows.instant(text, now(), config.promise.time_zone)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def asked_day(zone: ZoneInfo, option: str, text: str) -> Instant:
    """The beginning of the day that an option means."""
    try:
        return windows.day(text, zone)
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from error


def asked_promise(config: Config, resource: str | None) -> Promise:
    """The promise in the resource asked for."""
    try:
        return config.promise_of(None if resource is None else parse_resource(resource))
    except ValueError as error:
        raise click.UsageError(str(error)) from error


@click.command("share", cls=SafCommand)
@click.option("--window", metavar="W", help="2027Q1, 2027-03, 2027H1, 2027, rolling:30d or current.")
@click.option("-S", "--since", metavar="T", help="Instead of a window: from this instant on.")
@click.option("-E", "--until", metavar="T", help="With -S: up to this instant; else now.")
@click.option("--by", type=click.Choice(KEYS), help="Also by one of these.")
@click.option("--resource", metavar="R", help="In this resource: cpu, gres/gpu, or 0.25*cpu+16*gres/gpu.")
@click.option(
    "--as-of", "then", metavar="T", help="As it was known at this instant, before later corrections."
)
def share_command(
    window: str | None,
    since: str | None,
    until: str | None,
    by: str | None,
    resource: str | None,
    then: str | None,
) -> None:
    """The measurement: who got what in a window, and what the promise says of it."""
    with opened_books() as (config, ledger):
        known = asked_instant(config, then) if then else None
        where = asked_window(config, window, since, until, known)
        check_known(ledger, known)
        asked = question.ask(config, ledger, where, then=known, moment=now())
        promise = asked_promise(asked.config, resource)
        if resource is not None:
            _check_counted(ledger, promise)
        measured, groups = asked.answer(*([group_name(by)] if by else []), promise=promise)
    print_share(measured, asked.config.promise.margin, groups[0] if by else [], by)


def _check_counted(ledger: Ledger, promise: Promise) -> None:
    """Whether anything was ever charged or there in this resource: else every answer would be 0."""
    known = ledger.accounting.tres()
    if unknown := sorted(set(promise.weights) - known):
        there = ", ".join(sorted(known)) or "none yet"
        raise click.UsageError(f"nothing in the ledger is in {', '.join(unknown)}; its TRES are {there}")


def group_name(by: str) -> question.GroupName:
    """The name of a subject's group: what Slurm says of it, or what its rule does."""
    if by in Subject._fields:
        return lambda subject, _: str(getattr(subject, by))
    return lambda _, found: str(getattr(found, by) or found.beneficiary)


def print_share(m: Measurement, margin: float, groups: Sequence[share.Group], by: str | None) -> None:
    """Print it as JSON, CSV or text."""
    if chosen.json:
        return output.emit(output.share_value(m, margin, groups))
    if not chosen.csv:
        output.pairs(output.share_text(m, margin))
    if by:
        _print_groups(m, groups, by)
    elif chosen.csv:
        value = output.share_value(m, margin)
        flat = {name: cell for name, cell in value.items() if not isinstance(cell, list | dict)}
        output.table(list(flat), [list(flat.values())])
    return None


def _print_groups(m: Measurement, groups: Sequence[share.Group], by: str) -> None:
    parts = [(g.name, g.beneficiary, g.delivered, output.part(g.delivered, m.total_charge)) for g in groups]
    if chosen.csv:
        return output.table((by, "beneficiary", "charge", "share"), parts)
    click.echo()
    charges = output.column([g.delivered for g in groups])
    rows = [
        (name, side, charge, output.percent(part))
        for (name, side, _, part), charge in zip(parts, charges, strict=True)
    ]
    return output.table((by, "beneficiary", f"{m.called}-hours", "share"), rows)


@click.command("unclassified", cls=SafCommand)
@click.option("--window", metavar="W", help="2027Q1, 2027-03, rolling:30d, ... or current.")
def unclassified_command(window: str | None) -> None:
    """Subjects that no rule matched, by charge."""
    with opened_books() as (config, ledger):
        asked = question.ask(config, ledger, asked_window(config, window, None, None), moment=now())
        groups, unread, promise = asked.groups(_all_of_it), asked.unread(), asked.config.promise_of()
    found = [g for g in groups if g.beneficiary is Beneficiary.UNCLASSIFIED]
    _print_unclassified(found, promise.label or promise.resource)
    tell_unread(unread, asked.window)
    if not unread and not found and not chosen.quiet:
        click.echo("every charge of the window is classified", err=True)


def tell_unread(seconds: int, where: Window) -> None:
    """That figures are of a part of the window only."""
    if seconds:
        hours, since = output.hours(seconds), output.when(where.since)
        click.echo(f"{hours} hours of {where.name} were never read: saf backfill -S {since}", err=True)


def _all_of_it(subject: Subject, _: Classification) -> str:
    """All that Slurm says of a subject."""
    return share.together(subject[1:8])


def _print_unclassified(groups: Sequence[share.Group], resource: str) -> None:
    names = Subject._fields[1:8]
    rows = [(*group.names, group.delivered) for group in groups]
    if chosen.json:
        output.emit([dict(zip((*names, "charge"), row, strict=True)) for row in rows])
    elif chosen.csv:
        output.table((*names, "charge"), rows)
    elif rows:
        charges = output.column([group.delivered for group in groups])
        hours = [(*group.names, charge) for group, charge in zip(groups, charges, strict=True)]
        output.table((*names, f"{resource}-hours"), hours)


COMMANDS = (share_command, unclassified_command)
