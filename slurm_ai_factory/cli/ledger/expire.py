"""`saf ledger expire`: delete old decisions that changed nothing, and show what is kept for good.

Tested in tests/cli/ledger/test_expire.py.
"""

from __future__ import annotations

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import asked_instant
from slurm_ai_factory.cli.options import SafCommand, chosen
from slurm_ai_factory.cli.wiring import current_actor, now, opened_books
from slurm_ai_factory.config import Config
from slurm_ai_factory.config.values import SHORTEST_RETENTION
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import ConfigError
from slurm_ai_factory.ledger import LONG

KEPT_FOR = {
    "chain": "every entry proves the one before it",
    "changes": "what saf wrote to Slurm",
    "decisions": "those with a change, of published reports, and of this window and the one before stay",
    "reads": "prove which hours were read, and that no run was changed since",
    "rejected_lines": "their texts go after privacy.withhold_lines_after; that they were there stays",
    "run_versions": "what earlier reports and the digests of reads were made of",
    "runs": "every charge",
}
"""The tables that grow, and why their rows are kept for good."""


@click.command("expire", cls=SafCommand)
@click.option(
    "--before", metavar="T",
    help="Decisions before this instant. Default: older than ledger.expire_decisions_after.",
)  # fmt: skip
@click.option(
    "--dry-run/--delete", default=True, show_default=True, help="Only show what may go, or delete it."
)
def expire_command(before: str | None, dry_run: bool) -> None:
    """Show what the ledger holds and how much of it may expire; with --delete, delete that. Irreversible.

    Only decisions that changed nothing expire, and none that a published report rests on. Their digests stay
    in the chain, and one recorded row lists which decisions went, so that `saf ledger verify` finds any other
    that is missing. A window whose decisions expired gets no report any more; its figures stay.
    """
    at = now()
    with opened_books(LONG) as (config, ledger):
        due = _due(config, before, at)
        if due is None and not dry_run:
            raise ConfigError(f"{config.file}: [ledger] expire_decisions_after is not set; give --before")
        going = ledger.expiries.expirable(due or 0)
        sizes = ledger.expiries.sizes()
        if not dry_run:
            ledger.expiries.expire(due or 0, at=at, actor=current_actor())
    tables = [
        {**size._asdict(), "oldest": output.when(size.oldest), "kept_for": KEPT_FOR[size.name]}
        for size in sizes
    ]
    rows = [list(table.values()) for table in tables]
    expiring = {**going._asdict(), "oldest": output.when(going.oldest)}
    value = {"before": output.when(due), "deleted": not dry_run, "expiring": expiring, "tables": tables}
    output.table(("table", "rows", "bytes", "oldest", "why it is kept"), rows, value)
    if not chosen.quiet:
        went = "deleted" if not dry_run else "may go with --delete:"
        since = f" before {output.when(due)}" if due else "; ledger.expire_decisions_after is not set"
        output.say(f"{went} {count(going.rows, 'decision')}, {going.bytes} bytes{since}", err=True)


def _due(config: Config, before: str | None, at: Instant) -> Instant | None:
    """The instant before which decisions may go; None where nothing asks for it.

    The current window and the one before stay: their reports are still to come.
    """
    kept = config.ledger.expire_decisions_after
    if before is None and kept is None:
        return None
    due = at - (kept or 0) if before is None else asked_instant(config, before)
    if due > at - SHORTEST_RETENTION:
        raise click.UsageError("--before must be at least 30 days ago")
    zone, name = config.promise.time_zone, config.promise.window
    current = windows.window(name, at, zone)
    return min(due, windows.window(name, current.since - 1, zone).since)
