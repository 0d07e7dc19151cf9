"""What `grid correct`, `meter correct` and `expertise correct` share: a further entry, with a reason.

Tested in tests/cli/test_grid.py, tests/cli/test_meter.py and tests/cli/test_expertise.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import asked_reason, usage_errors, warn_of_names
from slurm_ai_factory.cli.wiring import current_actor, load_config, now, opened_ledger
from slurm_ai_factory.ledger import Ledger

ENTRY = click.argument("entry", type=click.IntRange(1, 2**63 - 1))
"""The number of the entry to correct."""


def asked_correction(
    option: str, text: str | None, withdraw: bool, value_of: Callable[[str], Decimal]
) -> Decimal | None:
    """The value that an entry is to have; None takes it back. Raises UsageError."""
    if (text is None) != withdraw:
        raise click.UsageError(f"give either {option} or --withdraw")
    with usage_errors(option):
        return None if text is None else value_of(text)


def record_correction(
    entry: int,
    reason: str,
    correct: Callable[[Ledger, str, Mapping[str, Any]], int],
    relation: str = "replaces",
) -> None:
    """Record a correction by ``correct`` (ledger, reason, instant and actor), and say its number.

    ``relation`` is what the correction does to the entry, in the words of its list.
    """
    reason = asked_reason(reason)
    with opened_ledger(load_config()) as ledger:
        warn_of_names(ledger, reason)
        number = correct(ledger, reason, {"at": now(), "actor": current_actor()})
    output.reply(
        {"entry": number, relation: entry}, f"recorded entry {number}, which {relation} entry {entry}"
    )
