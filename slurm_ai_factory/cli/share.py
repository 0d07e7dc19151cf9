"""`saf share`: what was delivered to whom in a window, and the promise's verdict on it.

Tested in tests/cli/test_questions.py and tests/cli/test_organisation.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from slurm_ai_factory import question
from slurm_ai_factory.cli import arguments, output
from slurm_ai_factory.cli.clusters import EachCommand, JointRow
from slurm_ai_factory.cli.joint import joint_shares
from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.cli.wiring import opened_books
from slurm_ai_factory.core.measure import outlook, share
from slurm_ai_factory.core.records import FIRST, Further, Measurement, Subject
from slurm_ai_factory.question import HeldByGrid
from slurm_ai_factory.report.surroundings import held_value

KEYS = ("account", "category", "cluster", "hub", "municipality", "organisation", "partition", "sector")


def _joint(options: Mapping[str, Any]) -> list[JointRow] | None:
    """The joint promises, unless the options choose an interval, a resource or a promise of each cluster."""
    if options["since"] or options["resource"] or options["promise"] != FIRST:
        return None
    return joint_shares(options["window"], options["then"])


@click.command("share", cls=EachCommand, joint=_joint)
@arguments.WINDOW
@arguments.SINCE
@arguments.UNTIL
@click.option("--by", type=click.Choice(KEYS), help="Also break the charge down by this.")
@arguments.RESOURCE
@arguments.PROMISE
@arguments.as_of_option()
def share_command(
    window: str | None,
    since: str | None,
    until: str | None,
    by: str | None,
    resource: str | None,
    promise: str,
    then: str | None,
) -> None:
    """Show the delivered share of a window, and the promise's verdict on it.

    Without options that choose a window, promise or resource, it lists every promise. For several
    clusters, the joint promises follow the last one: see `saf joint`.
    """
    with opened_books() as (config, ledger):
        asked = arguments.asked_question(config, ledger, window, since, until, then, promise)
        own = arguments.asked_promise(asked.config, resource)
        if resource:
            arguments.check_tres(ledger, own.resource)
        measured, groups = asked.answer(group_key(by) if by else None, own)
        held = asked.held_by_grid() if resource is None else None
        chosen_one = any((window, since, resource, promise != FIRST))
        further = [] if chosen_one else asked.further()
    print_share(Further(measured, asked.config.promise.margin), groups, by, further, held)


def group_key(by: str) -> question.GroupKey:
    """The name of a subject's group: a field of the subject, or else of its classification."""
    if by in Subject._fields:
        return lambda subject, _: (str(getattr(subject, by)),)
    return lambda _, classification: (str(getattr(classification, by) or classification.beneficiary),)


def print_share(
    first: Further,
    groups: Sequence[share.Group],
    by: str | None,
    further: Sequence[Further],
    held: HeldByGrid | None = None,
) -> None:
    """Print it as JSON, CSV or text; ``further``: promises to list beside it."""
    m, margin = first
    if chosen.json:
        promises = output.promise_values((first, *further))
        value = {**output.share_value(m, margin, groups), "promises": promises}
        return output.emit({**value, "held_by_grid": held and held_value(held)})
    if not chosen.csv:
        row = {"held by grid": _held_text(held)} if held and held.charge else {}
        output.pairs({**output.share_text(m, margin), **row})
    if by:
        _print_groups(m, groups, by)
    elif chosen.csv:
        value = output.share_value(m, margin)
        flat = {name: cell for name, cell in value.items() if not isinstance(cell, list | dict)}
        output.table(list(flat), [list(flat.values())])
    if further and not chosen.csv:
        click.echo()
        for line in output.promise_lines((first, *further)):
            output.say(line)
    return None


def _held_text(held: HeldByGrid) -> str:
    """What waited for nodes kept free, and for how much of the window that is known."""
    known, elapsed = output.hours(held.known_seconds), output.hours(held.elapsed_seconds)
    part = f"; known for {known} of {elapsed} hours" if held.known_seconds < held.elapsed_seconds else ""
    return f"{output.hours(held.charge)} regional, neither waiting demand nor starved{part}"


def _print_groups(m: Measurement, groups: Sequence[share.Group], by: str) -> None:
    parts = [(g.name, g.beneficiary, g.delivered, output.part(g.delivered, m.total_charge)) for g in groups]
    if chosen.csv:
        return output.table((by, "beneficiary", "charge", "share"), parts)
    click.echo()
    charges = output.column([group.delivered for group in groups])
    rows = [
        (name, side, charge, output.percent(part))
        for (name, side, _, part), charge in zip(parts, charges, strict=True)
    ]
    return output.table((by, "beneficiary", f"{outlook.resource_unit(m.called)}-hours", "share"), rows)
