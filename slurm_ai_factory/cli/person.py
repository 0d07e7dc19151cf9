"""Commands for the data-protection officer, about one person: a user of Slurm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.measure import asked_instant
from slurm_ai_factory.cli.naming import warn_of_names
from slurm_ai_factory.cli.options import SafGroup, chosen, current_actor, load_config, now, opened_ledger
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import LONG, Ledger
from slurm_ai_factory.ledger.persons import Act, Held, HeldBack

REASON = click.option(
    "--reason", metavar="TEXT", required=True, help="Why, without the name; kept with the entry."
)

FATES = {
    "pseudonym": "gets a pseudonym",
    "withheld": "is withheld",
    "staff": "stays until privacy.withhold_staff_after",
    "kept": "stays",
}
"""What forgetting does, for people."""


@click.group("person", cls=SafGroup)
def person_group() -> None:
    """What the ledger holds of a user of Slurm: show, give out, forget, hold back from forgetting.

    Each is noted with who did it, when and why, and without the name.
    """


@person_group.command("show")
@click.argument("name")
@REASON
def person_show(name: str, reason: str) -> None:
    """Where the ledger holds a user or has the name in a text, and what forgetting would do to it.

    Runs under the user's pseudonym are told too, as long as the key is there. Writes to the ledger: the act.
    """
    with opened_ledger(load_config(), LONG) as ledger:
        ledger.persons.note("show", name, _said(ledger, name, reason))
        found, acts = ledger.persons.held(name), ledger.persons.acts(name)
        pseudonym = ledger.privacy.known_pseudonym(name)
    if chosen.json:
        return output.emit(
            {"user": name, "pseudonym": pseudonym, "found": [_held_value(one) for one in found],
             "acts": [_act_value(one) for one in acts]}
        )  # fmt: skip
    rows = [(*tuple(_held_value(one).values())[:-1], FATES[one.fate]) for one in found]
    return output.table(("table", "column", "rows", "first", "last", "forgetting"), rows)


@person_group.command("export")
@click.argument("name")
@REASON
def person_export(name: str, reason: str) -> None:
    """Every row that holds a user or has the name in a text, as JSON. Writes to the ledger: the act.

    Instants are seconds since the epoch. A text may name others too: read it before you give it out.
    """
    with opened_ledger(load_config(), LONG) as ledger:
        ledger.persons.note("export", name, _said(ledger, name, reason))
        with ledger.store.snapshot():
            output.emit_rows({"table": table, "row": row} for table, row in ledger.persons.rows(name))


@person_group.command("forget")
@click.argument("name")
@REASON
def person_forget(name: str, reason: str) -> None:
    """Put a pseudonym in place of a user, now and in whatever Slurm tells later. It cannot be undone.

    All runs, open ones included, and their versions get the pseudonym; texts and lines that name the user are
    withheld. No total, figure or fingerprint changes. A user that a rule names, or that is held, is refused.
    Writes to the ledger.
    """
    config = load_config()
    with opened_ledger(config, LONG) as ledger:
        gone = ledger.persons.forget(name, config.users_of_rules, _said(ledger, name, reason))
        left = [one for one in ledger.persons.held(name) if one.fate in ("staff", "kept")]
    if chosen.json:
        value = {"runs": gone.runs, "texts": gone.texts, "lines": gone.lines}
        return output.emit(value | {"left": [_held_value(one) for one in left]})
    if not chosen.quiet:
        texts = f"{count(gone.texts, 'text')} and {count(gone.lines, 'line')} withheld"
        output.say(f"{name} is forgotten: {count(gone.runs, 'run')} under a pseudonym, {texts}", err=True)
        for one in left:
            where = f"{one.table}.{one.column}"
            output.say(f"{where}: {count(one.rows, 'row')} with the name {FATES[one.fate]}", err=True)
    return None


@person_group.command("hold")
@click.argument("name", required=False)
@click.option("--until", metavar="WHEN", help="Up to when the name stays: 2029-01-31; now ends a hold.")
@click.option("--reason", metavar="TEXT", help="The legal reason, without the name; kept with the entry.")
def person_hold(name: str | None, until: str | None, reason: str | None) -> None:
    """Keep a user's name longer than `privacy.pseudonymise_after` says; without NAME, list the holds.

    For a legal reason, such as a dispute about a charge. Writes to the ledger.
    """
    config = load_config()
    with opened_ledger(config) as ledger:
        if name is None and until is None and reason is None:
            return _list(ledger)
        if name is None or until is None or reason is None:
            raise click.UsageError("give NAME, --until and a --reason")
        if name not in ledger.accounting.names()["user"]:
            raise LedgerError(f"the ledger has no user {name}; check the name, or it has a pseudonym already")
        last = asked_instant(config, until)
        ledger.persons.note("hold", name, _said(ledger, name, reason), last)
    if chosen.json:
        output.emit({"until": output.when(last)})
    elif not chosen.quiet:
        output.say(f"the name {name} stays until {output.when(last)}", err=True)
    return None


def _said(ledger: Ledger, name: str, reason: str) -> Mapping[str, Any]:
    """Raises UsageError where the name is a pseudonym, or the reason has it or is empty."""
    if name.startswith("~"):
        raise click.UsageError(f"{name} is a pseudonym; give the name of the user")
    if not reason.strip():
        raise click.UsageError("--reason is empty; say why, for those who look at this later")
    if name.casefold() in reason.casefold():
        raise click.UsageError("--reason has the name in it, which would keep it; say why without it")
    warn_of_names(ledger, reason)
    return {"at": now(), "actor": current_actor(), "reason": reason.strip()}


def _list(ledger: Ledger) -> None:
    output.listing([_hold_value(one) for one in ledger.persons.holds()], "nobody is held")


def _hold_value(one: HeldBack) -> dict[str, object]:
    dates = {"until": output.when(one.until), "at": output.when(one.at)}
    return {**one._asdict(), **dates, "in_force": one.until > now()}


def _held_value(one: Held) -> dict[str, object]:
    return {**one._asdict(), "first": output.when(one.first), "last": output.when(one.last)}


def _act_value(one: Act) -> dict[str, object]:
    return {**one._asdict(), "until": output.when(one.until), "at": output.when(one.at)}


COMMANDS = (person_group,)
