"""`saf unclassified`: the charge of a window that no rule matches. Tested in tests/cli/test_questions.py."""

from __future__ import annotations

from collections.abc import Sequence

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import WINDOW, asked_question, warn_of_gaps
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.cli.wiring import opened_books
from slurm_ai_factory.core.measure import outlook, share
from slurm_ai_factory.core.records import Subject
from slurm_ai_factory.core.rules.classify import Beneficiary

NAMES = Subject._fields[1:8]
"""The fields of a subject that the table shows."""


@click.command("unclassified", cls=EachCommand)
@WINDOW
def unclassified_command(window: str | None) -> None:
    """List subjects that no rule matches, by charge."""
    with opened_books() as (config, ledger):
        asked = asked_question(config, ledger, window)
        groups, unread = asked.groups(lambda subject, _: subject[1:8]), asked.unread()
        promise = asked.config.promise_of()
    unclassified = [group for group in groups if group.beneficiary is Beneficiary.UNCLASSIFIED]
    _print(unclassified, promise.label or promise.resource.name)
    warn_of_gaps(unread, asked.window)
    if not unread and not unclassified and not chosen.quiet:
        output.say("every charge of the window is classified", err=True)


def _print(groups: Sequence[share.Group], resource: str) -> None:
    rows = [(*group.names, group.delivered) for group in groups]
    if chosen.json or chosen.csv:
        value = [dict(zip((*NAMES, "charge"), row, strict=True)) for row in rows]
        output.table((*NAMES, "charge"), rows, value)
    elif rows:
        charges = output.column([group.delivered for group in groups])
        hours = [(*group.names, charge) for group, charge in zip(groups, charges, strict=True)]
        output.table((*NAMES, f"{outlook.resource_unit(resource)}-hours"), hours)
