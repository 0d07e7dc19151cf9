"""Commands on the ledger for auditors and data-protection officers: fingerprint, verify, pseudonymise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from slurm_ai_factory import question
from slurm_ai_factory.audit import signing, verification
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.audit import FINDINGS
from slurm_ai_factory.cli.measure import asked_instant, asked_window, check_known
from slurm_ai_factory.cli.options import (
    SafCommand,
    chosen,
    current_actor,
    load_config,
    now,
    opened_books,
    opened_ledger,
)
from slurm_ai_factory.cli.setup import ledger_group
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme.retention import Due
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.errors import ConfigError, LedgerError
from slurm_ai_factory.ledger import LONG, Ledger
from slurm_ai_factory.ledger.audits import Audit
from slurm_ai_factory.ledger.publishing import PARTS, part_name
from slurm_ai_factory.report import gather

NAMES = tuple(map(part_name, PARTS))

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@ledger_group.command("fingerprint", cls=SafCommand)
@click.option("--window", metavar="W", help="2027Q1, 2027-03, 2027H1, 2027, rolling:30d or current.")
@click.option("--as-of", "then", metavar="T", required=True, help="As it was known at this instant.")
@click.option("--from", "first", metavar="W", help="From the beginning of this earlier window on.")
@click.option("--rows", type=click.Choice(NAMES), help="Print the rows of this part instead of digests.")
def fingerprint_command(window: str | None, then: str, first: str | None, rows: str | None) -> None:
    """The fingerprint of the rows that a report rests on, part by part.

    A report's own is over all windows of its chart over time: give the earliest with --from. With --rows, the
    rows of one part as they are hashed: pipe them into sha256sum.
    """
    if rows and (chosen.json or sys.stdout.isatty()):
        raise click.UsageError(
            "--rows prints rows as they are hashed: pipe them into sha256sum, without --json"
        )
    with opened_books(LONG) as (config, ledger):
        known = asked_instant(config, then)
        last = asked_window(config, window, None, None, known)
        begins = asked_window(config, first, None, None, known) if first else last
        check_known(ledger, known)
        ask = question.ask(config, ledger, last, then=known)
        interval = gather.interval_of(ask, begins)
        if rows:
            for row in ledger.publishing.rows(f"fingerprint_{rows}", interval):
                sys.stdout.buffer.write(row)
            return None
        found = ledger.publishing.fingerprint(interval)
    if chosen.json:
        return output.emit([part._asdict() for part in found])
    return output.table(("part", "rows", "sha256"), found)


@ledger_group.command("verify", cls=SafCommand)
@click.option("--repair", is_flag=True, help="Make everything derived again where it differs. Writes.")
@click.option("--head", metavar="HEX", help="A copy of a head of the chain, from a report or a log.")
@click.option("--signature", metavar="TEXT", help="With --head: the signature that came with it.")
@click.option("--public-key", type=FILE, metavar="FILE", help="With --signature: whose it must be, in PEM.")
def verify_command(repair: bool, head: str | None, signature: str | None, public_key: Path | None) -> None:
    """Walk the chain, and compare everything derived and every published report with the facts.

    Every row that was recorded must be as its entry in the chain says; with --head, the chain must still have
    that entry, so that nothing recorded before it was changed or cut off.

    Works out anew, from runs, rules and the registry: counts of TRES, the override of each run, answers of
    rules, usage and sums by hour; and every published report, which must say what it said. With --repair,
    what is derived is made again; facts are never changed. Exit code 5 when anything differs.
    """
    if (signature is None) != (public_key is None) or (signature and not head):
        raise click.UsageError("a signature is checked with all of --head, --signature and --public-key")
    with opened_books(LONG) as (config, ledger):
        if head and signature and public_key:
            _check_signature(ledger, head, signature, public_key)
        found = _verified(config, ledger, head)
        if repair and any(one.differing for one in found if one.check in verification.DERIVED):
            ledger.derived.remake()
            found = _verified(config, ledger, head)
        findings = sum(one.differing for one in found)
        result = {"checks": [one._asdict() for one in found]}
        ledger.audits.keep(Audit("verify", now(), None, None, findings), result, current_actor())
    _print(found)
    if findings:
        sys.exit(FINDINGS)


def _check_signature(ledger: Ledger, head: str, signature: str, public_key: Path) -> None:
    """Raise LedgerError unless the head is the ledger's and the signature is its."""
    found = ledger.chain.find(head)
    if found is None or not signing.is_signed(public_key, found.entry, found.hash, signature):
        raise LedgerError(
            f"the owner of {public_key} did not sign this head of this ledger; compare both with the copy"
        )


def _verified(config: Config, ledger: Ledger, head: str | None) -> list[verification.Verified]:
    hours = verification.intervals_to_compare(ledger)
    with _bar(sum(until - since for since, until in hours)) as progress:
        return list(verification.verify(config, ledger, hours, progress, head))


def _print(found: list[verification.Verified]) -> None:
    if chosen.json:
        output.emit({"checks": [one._asdict() for one in found]})
    else:
        output.table(("check", "compared", "differing", "first"), found)


@ledger_group.command("head", cls=SafCommand)
def head_command() -> None:
    """The head of the chain: a hash over everything that was ever recorded.

    Keep copies where the owner of the database has no hand. `saf ledger verify --head HEX` tells later
    whether the ledger still is what it was.
    """
    config = load_config()
    with opened_ledger(config) as ledger:
        head = ledger.chain.head()
    if head is None:
        raise LedgerError("nothing has been recorded yet; run `saf cycle` once")
    told = {"entry": head.entry, "head": head.hash, "recorded": windows.iso(head.at)}
    if config.ledger.signing_key:
        told["signature"] = signing.signature(config.ledger.signing_key, head.entry, head.hash)
    output.emit(told) if chosen.json else output.pairs(told)


@contextmanager
def _bar(length: int) -> Iterator[verification.OnCompared]:
    """A bar over so many seconds of history, on a terminal."""
    with output.bar(length, "comparing") as bar:
        yield lambda part: bar.update(part[1] - part[0])


@ledger_group.command("pseudonymise", cls=SafCommand)
@click.option(
    "--before",
    metavar="T",
    help="Runs that ended, and lines last met, before this instant; else as [privacy] says.",
)
def pseudonymise_command(before: str | None) -> None:
    """Let go of names and texts that [privacy] keeps no longer. Writes to the ledger, and cannot be undone.

    Users of old runs get pseudonyms; unreadable lines, names of staff and texts are withheld. No total and no
    fingerprint changes. Users that rules name, or that are held, keep their names.
    """
    config, at = load_config(), now()
    due = _due(config, before, at)
    with opened_ledger(config, LONG) as ledger:
        keep = config.users_of_rules | ledger.persons.held_back(at)
        gone = ledger.privacy.retain(due, keep, at=at, actor=current_actor())
    if chosen.json:
        output.emit({"before": output.when(due.users), **gone._asdict()})
    elif not chosen.quiet:
        runs = f"pseudonymised {gone.runs} runs of {gone.users} users"
        withheld = f"withheld {gone.lines} lines, {gone.staff} names of staff, {gone.texts} texts"
        click.echo(f"{runs}; {withheld}" if any(gone) else "nothing to do", err=True)


def _due(config: Config, before: str | None, at: Instant) -> Due:
    """What is to go: as [privacy] says, users and lines before an instant where one is given."""
    kept = config.privacy.retention()
    if before is None and not kept.asked:
        raise ConfigError(f"{config.file}: [privacy] pseudonymise_after is not set; set it, or give --before")
    due = kept.due(at)
    if before is None:
        return due
    until = asked_instant(config, before)
    if until > at - config.slurm.overlap_daily:
        raise click.UsageError("runs as young as that are read again, and their users with them")
    return due._replace(users=until, lines=until)


COMMANDS: tuple[click.Command, ...] = ()
"""They belong to `saf ledger`."""
