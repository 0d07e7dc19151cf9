"""`saf person`: what the ledger holds of one user of Slurm, for the data-protection officer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import asked_instant, asked_reason, reason_option, warn_of_names
from slurm_ai_factory.cli.options import SafGroup
from slurm_ai_factory.cli.wiring import current_actor, load_config, now, opened_ledger
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import LONG, Ledger
from slurm_ai_factory.ledger.persons import Act, Held, HeldBack

REASON = reason_option("Why, without the name; recorded with the act.", required=True)

FATES = {
    "pseudonym": "gets a pseudonym",
    "withheld": "is withheld",
    "staff": "stays until privacy.withhold_staff_after",
    "kept": "stays",
}
"""Held.fate -> what `saf person forget` does, for people."""


@click.group("person", cls=SafGroup)
def person_group() -> None:
    """Show, export or forget what the ledger holds of a user of Slurm, or hold the name.

    Each act is recorded with who did it, when and why, but without the name.
    """


@person_group.command("show")
@click.argument("name")
@REASON
def person_show(name: str, reason: str) -> None:
    """Show where the ledger has a user's name, and what `forget` would do there.

    Runs under the user's pseudonym are included while the key exists. Writes to the ledger: the act.
    """
    with opened_ledger(load_config(), LONG) as ledger:
        ledger.persons.note("show", name, _act(ledger, name, reason))
        held, acts = ledger.persons.held(name), ledger.persons.acts(name)
        pseudonym = ledger.privacy.known_pseudonym(name)
    places = [_held_value(place) for place in held]
    value = {"user": name, "pseudonym": pseudonym, "found": places, "acts": list(map(_act_value, acts))}
    rows = [
        (*list(cells.values())[:-1], FATES[place.fate]) for place, cells in zip(held, places, strict=True)
    ]
    columns = ("table", "column", "rows", "first", "last", "forgetting")
    output.table(columns, rows, value, f"the ledger has the name {name} nowhere; check how Slurm writes it")


@person_group.command("export")
@click.argument("name")
@REASON
def person_export(name: str, reason: str) -> None:
    """Export every row that has a user's name, as JSON. Writes to the ledger: the act.

    Instants are seconds since the epoch. Texts may name others too: read them before you pass them on.
    """
    with opened_ledger(load_config(), LONG) as ledger:
        ledger.persons.note("export", name, _act(ledger, name, reason))
        with ledger.store.snapshot():
            output.emit_rows({"table": table, "row": row} for table, row in ledger.persons.rows(name))


@person_group.command("forget")
@click.argument("name")
@REASON
def person_forget(name: str, reason: str) -> None:
    """Replace a user's name with a pseudonym, also in whatever Slurm lists later. Irreversible.

    All runs, open ones included, and their versions get the pseudonym; texts and lines that name the user are
    withheld. No total, figure or fingerprint changes. Refused if a rule names the user or a hold covers it.
    Writes to the ledger.
    """
    config = load_config()
    with opened_ledger(config, LONG) as ledger:
        gone = ledger.persons.forget(name, config.users_of_rules, _act(ledger, name, reason))
        left = [place for place in ledger.persons.held(name) if place.fate in ("staff", "kept")]
    value = {
        "runs": gone.runs,
        "texts": gone.texts,
        "lines": gone.lines,
        "left": list(map(_held_value, left)),
    }
    texts = f"{count(gone.texts, 'text')} and {count(gone.lines, 'line')} withheld"
    remaining = (
        f"{place.table}.{place.column}: {count(place.rows, 'row')} with the name {FATES[place.fate]}"
        for place in left
    )
    output.reply(value, f"forgot {name}: {count(gone.runs, 'run')} under a pseudonym, {texts}", *remaining)


@person_group.command("hold")
@click.argument("name", required=False)
@click.option("--until", metavar="WHEN", help="When the hold ends: 2029-01-31; now ends it.")
@reason_option("The legal reason, without the name; recorded with the act.")
def person_hold(name: str | None, until: str | None, reason: str | None) -> None:
    """Keep a user's name longer than `privacy.pseudonymise_after`; without NAME, list the holds.

    For a legal reason, such as a dispute about a charge. Writes to the ledger.
    """
    config = load_config()
    with opened_ledger(config) as ledger:
        if name is None and until is None and reason is None:
            holds = [_act_value(hold) | {"in_force": hold.until > now()} for hold in ledger.persons.holds()]
            return output.listing(holds, "there are no holds")
        if name is None or until is None or reason is None:
            raise click.UsageError("give NAME, --until and a --reason")
        if name not in ledger.accounting.names()["user"]:
            raise LedgerError(f"the ledger has no user {name}; check the name, or it already has a pseudonym")
        last = asked_instant(config, until)
        ledger.persons.note("hold", name, _act(ledger, name, reason), last)
    return output.reply({"until": output.when(last)}, f"the name {name} stays until {output.when(last)}")


def _act(ledger: Ledger, name: str, reason: str) -> Mapping[str, Any]:
    """at, actor and reason. Raises UsageError if the name is a pseudonym or occurs in the reason."""
    if name.startswith("~"):
        raise click.UsageError(f"{name} is a pseudonym; give the name of the user")
    reason = asked_reason(reason)
    if name.casefold() in reason.casefold():
        raise click.UsageError("--reason has the name, which would be recorded; say why without it")
    warn_of_names(ledger, reason)
    return {"at": now(), "actor": current_actor(), "reason": reason}


def _held_value(place: Held) -> dict[str, object]:
    return {**place._asdict(), "first": output.when(place.first), "last": output.when(place.last)}


def _act_value(act: Act | HeldBack) -> dict[str, object]:
    return {**act._asdict(), "until": output.when(act.until), "at": output.when(act.at)}
