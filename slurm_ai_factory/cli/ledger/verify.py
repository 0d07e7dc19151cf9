"""`saf ledger verify`: check the chain, and everything derived or published against the facts."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from slurm_ai_factory.audit import signing, verification
from slurm_ai_factory.audit.verification import Verified
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.wiring import current_actor, now, opened_books
from slurm_ai_factory.config import Config
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import LONG, Ledger
from slurm_ai_factory.ledger.audits import Audit

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("verify", cls=EachCommand)
@click.option("--repair", is_flag=True, help="Derive again whatever differs. Writes to the ledger.")
@click.option("--head", metavar="HEX", help="A copy of a head of the chain, from a report or a log.")
@click.option("--signature", metavar="TEXT", help="With --head: the signature printed with it.")
@click.option("--public-key", type=FILE, metavar="FILE", help="With --signature: the signer's key, in PEM.")
def verify_command(repair: bool, head: str | None, signature: str | None, public_key: Path | None) -> None:
    """Check the chain, and compare everything derived and every published report with the facts.

    Every recorded row must match its entry in the chain. With --head, the chain must still have that entry,
    so that nothing recorded before it was changed or removed.

    These are computed again from runs, rules and the registry: TRES counts, the override of each run,
    classifications, usage and sums by hour, and every published report. With --repair, derived values are
    replaced where they differ; facts never change. Exit code 5: something differs.
    """
    if (signature is None) != (public_key is None) or (signature and not head):
        raise click.UsageError("to check a signature, give all of --head, --signature and --public-key")
    with opened_books(LONG) as (config, ledger):
        if head and signature and public_key:
            entry = ledger.chain.find(head)
            if entry is None or not signing.is_head_signed(public_key, entry.entry, entry.hash, signature):
                wrong = f"the owner of {public_key} did not sign this head of this ledger"
                raise LedgerError(f"{wrong}; compare both with the copy")
        checks = _verified(config, ledger, head)
        if repair and any(check.differing for check in checks if check.check in verification.DERIVED):
            ledger.derived.remake()
            checks = _verified(config, ledger, head)
        findings = sum(check.differing for check in checks)
        value = {"checks": [check._asdict() for check in checks]}
        ledger.audits.keep(Audit("verify", now(), None, None, findings), value, current_actor())
    output.table(("check", "compared", "differing", "first"), checks, value)
    if findings:
        sys.exit(output.FINDINGS)


def _verified(config: Config, ledger: Ledger, head: str | None) -> list[Verified]:
    """Every check; on a terminal with a progress bar over the seconds of history."""
    hours = verification.intervals_to_compare(ledger)
    with output.bar(sum(until - since for since, until in hours), "comparing") as bar:
        return list(
            verification.verify(config, ledger, hours, lambda part: bar.update(part[1] - part[0]), head)
        )
