"""`saf ledger head`: the head of the chain, signed if a key is configured.

Tested in tests/cli/ledger/test_verify.py.
"""

from __future__ import annotations

import click

from slurm_ai_factory.audit import signing
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.wiring import load_config, opened_ledger
from slurm_ai_factory.core import windows
from slurm_ai_factory.errors import LedgerError


@click.command("head", cls=EachCommand)
def head_command() -> None:
    """Show the head of the chain: a hash over everything ever recorded.

    Keep copies out of reach of the database's owner. Later, `saf ledger verify --head HEX` checks that
    nothing recorded before was changed.
    """
    config = load_config()
    with opened_ledger(config) as ledger:
        head = ledger.chain.head()
    if head is None:
        raise LedgerError("the ledger is empty; run `saf cycle` once")
    value = {"entry": head.entry, "head": head.hash, "recorded": windows.iso(head.at)}
    if key := config.ledger.signing_key:
        value["signature"] = signing.head_signature(key, head.entry, head.hash)
    output.show(value)
