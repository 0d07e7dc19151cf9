"""`saf ledger pseudonymise`: apply the retention periods of [privacy].

Tested in tests/cli/ledger/test_pseudonymise.py.
"""

from __future__ import annotations

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import asked_instant
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.wiring import current_actor, load_config, now, opened_ledger
from slurm_ai_factory.config import Config
from slurm_ai_factory.core.programme.retention import Due
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import ConfigError
from slurm_ai_factory.ledger import LONG


@click.command("pseudonymise", cls=EachCommand)
@click.option(
    "--before", metavar="T",
    help="Users of runs that ended, and lines last seen, before this instant. Default: as in [privacy].",
)  # fmt: skip
def pseudonymise_command(before: str | None) -> None:
    """Remove names and texts whose retention in [privacy] has ended. Writes to the ledger; irreversible.

    Users of old runs get pseudonyms; unparsable lines, names of staff and texts are withheld. No total and no
    fingerprint changes. Users whom a rule names or a hold covers keep their names.
    """
    config, at = load_config(), now()
    due = _due(config, before, at)
    with opened_ledger(config, LONG) as ledger:
        keep = config.users_of_rules | ledger.persons.held_back(at)
        gone = ledger.privacy.retain(due, keep, at=at, actor=current_actor())
    runs = f"pseudonymised {count(gone.runs, 'run')} of {count(gone.users, 'user')}"
    texts = f"{count(gone.lines, 'line')}, {gone.staff} names of staff, {count(gone.texts, 'text')}"
    sentence = f"{runs}; withheld {texts}" if any(gone) else "nothing to do"
    output.reply({"before": output.when(due.users), **gone._asdict()}, sentence)


def _due(config: Config, before: str | None, at: Instant) -> Due:
    """The instants before which data goes: as [privacy] says; for users and lines, ``before`` if given."""
    retention = config.privacy.retention()
    if before is None and not retention.asked:
        raise ConfigError(f"{config.file}: [privacy] pseudonymise_after is not set; set it, or give --before")
    due = retention.due(at)
    if before is None:
        return due
    until = asked_instant(config, before)
    if until > at - config.slurm.overlap_daily:
        raise click.UsageError(
            "--before must be older than slurm.overlap_daily; newer runs are re-read from Slurm, user names "
            "included"
        )
    return due._replace(users=until, lines=until)
