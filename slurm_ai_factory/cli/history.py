"""`saf history`: the changes of RawShares, and the decisions. Tested in tests/end_to_end/test_control.py."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.wiring import load_config, opened_ledger
from slurm_ai_factory.core.control.foreign import ForeignChange
from slurm_ai_factory.ledger import Ledger

MOST_LINES = 1_000_000

FOREIGN = "foreign"
"""The status of an entry about a value that another user set."""


@click.command("history", cls=EachCommand)
@click.option(
    "--limit", default=50, show_default=True, metavar="N", type=click.IntRange(1, MOST_LINES),
    help="Print at most so many, newest first.",
)  # fmt: skip
@click.option("--decisions", is_flag=True, help="List every decision, also those that changed nothing.")
def history_command(limit: int, decisions: bool) -> None:
    """List changes with their decisions: who, when, why, before, after, read back.

    An entry with status foreign is a value that another user set: when saf saw it and, if Slurm
    logged that, who set it.

    With --decisions, list what was decided and why, also in mode observe, where nothing is changed.
    """
    with opened_ledger(load_config()) as ledger:
        if decisions:
            columns, value = ("at", "promise", "mode", "reason", "sentence"), decided(ledger, limit)
            rows = [[row[name] for name in columns] for row in value]
            return output.table(columns, rows, value, "there are no decisions yet")
        entries = latest(ledger, limit, foreign=True)
    return print_history(entries)


def decided(ledger: Ledger, limit: int) -> list[dict[str, Any]]:
    """The latest decisions under their JSON keys, newest first."""
    return [
        {**row, "at": output.when(row["at"]), "inputs": output.inputs(row["inputs"])}
        for row in ledger.control.decisions(limit)
    ]


def latest(ledger: Ledger, limit: int, *, foreign: bool = False) -> list[dict[str, Any]]:
    """The latest changes under their JSON keys, newest first; with ``foreign``, those by others too."""
    entries = ledger.control.history(limit)
    if foreign:
        others = map(_of_others, ledger.control.foreign_changes(limit))
        entries = sorted([*entries, *others], key=itemgetter("at"), reverse=True)[:limit]
    for entry in entries:
        entry["at"], entry["settled_at"] = output.when(entry["at"]), output.when(entry["settled_at"])
        entry["inputs"] = output.inputs(entry["inputs"])
    return entries


def _of_others(change: ForeignChange) -> dict[str, Any]:
    """What another user changed, under the keys of a change of saf's own."""
    return {
        "promise": "", "at": change.seen_at, "mode": "", "reason": "foreign_change",
        "sentence": change.sentence, "actor": change.changer.user or "not recorded", "object": change.lever,
        "attribute": change.lever.attribute, "account": change.account, "raw_shares_before": change.ours,
        "raw_shares_after": change.theirs, "status": FOREIGN, "settled_at": change.changer.at,
        "raw_shares_read": change.theirs, "note": change.changer.unknown, "inputs": {},
    }  # fmt: skip


def print_history(entries: Sequence[dict[str, Any]]) -> None:
    """Print them as JSON, CSV or text."""
    columns = ("at", "actor", "mode", "account", "before", "after", "read", "status", "reason", "note")
    rows = [
        (e["at"], e["actor"], e["mode"], e["account"], e["raw_shares_before"], e["raw_shares_after"],
         e["raw_shares_read"], e["status"], e["reason"], e["note"])
        for e in entries
    ]  # fmt: skip
    output.table(columns, rows, entries, "there are no changes; --decisions lists what was decided")
