"""Commands for the promise's terms: promise set, end, list, show. Those that write say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from slurm_ai_factory import question
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.approval import proposed
from slurm_ai_factory.cli.measure import asked_day
from slurm_ai_factory.cli.options import SafGroup, chosen, current_actor, load_config, now, opened_ledger
from slurm_ai_factory.config import Config, checked, parse_resource, resource_name, values
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme.approval import ProposalKind
from slurm_ai_factory.core.programme.terms import PromiseTerms, Term
from slurm_ai_factory.core.records import FOREVER
from slurm_ai_factory.errors import RefusedError
from slurm_ai_factory.ledger import Ledger

SOURCE = click.option("--source", metavar="DOC", required=True, help="The document that says so.")
REASON = click.option("--reason", metavar="TEXT", required=True, help="Why; kept with the term.")
AS_OF = click.option("--as-of", "then", metavar="DATE", help="As it was known at the beginning of this day.")


@click.group("promise", cls=SafGroup)
def promise_group() -> None:
    """The terms of the promise: what was promised, since when, and by which document.

    The first term comes from saf.toml; from then on the terms in the ledger hold. Each window is judged by
    the term at its start. Nothing is overwritten. Dates are civil days in the promise's time zone.
    """


@promise_group.command("set")
@click.option("--since", metavar="DATE", required=True, help="From the beginning of this day on.")
@click.option("--share", metavar="N", help="The floor: 0.25.")
@click.option("--margin", metavar="N", help="How far above the floor the control steers.")
@click.option("--resource", metavar="R", help="cpu, gres/gpu, or 0.25*cpu+16*gres/gpu.")
@click.option("--label", metavar="TEXT", help="What people call one of the resource.")
@click.option("--window", metavar="KIND", help="month, quarter, half, year or rolling:30d.")
@click.option("--time-zone", metavar="ZONE", help="Civil time of the windows.")
@click.option("--of", "share_of", metavar="WHAT", help="What the share is a part of: delivered.")
@click.option("--unclassified-limit", metavar="N", help="As promise.unclassified_limit; `none` for no limit.")
@click.option("--region", metavar="LIST", help="CBS codes with commas between, or a list that is shipped.")
@click.option("--min-organisations", metavar="N", help="As report.min_organisations.")
@click.option("--expertise-share", metavar="N", help="The floor of the expertise hours.")
@SOURCE
@REASON
def promise_set(since: str, source: str, reason: str, **given: str | None) -> None:
    """Record what is promised from a day on. Writes to the ledger.

    What is not given stays as it is in the term in force on that day. The day must begin a window, of the
    kind before and of the new kind. A day in the past is told in every report that it changes.
    """
    said = {name: _read(name, text) for name, text in given.items() if text is not None}
    _record(since, "--since", said, source, reason)


@promise_group.command("end")
@click.option("--on", "since", metavar="DATE", required=True, help="From the beginning of this day on.")
@SOURCE
@REASON
def promise_end(since: str, source: str, reason: str) -> None:
    """Record that no promise holds from a day on. Writes to the ledger.

    Windows from that day on have no verdict, and nothing is steered. `saf promise set` makes a promise again.
    """
    _record(since, "--on", {"ended": True}, source, reason)


@promise_group.command("list")
@AS_OF
def promise_list(then: str | None) -> None:
    """Every term, in the order in which they begin."""
    config, ledger_terms, _ = _known(then)
    at = now()
    rows = [
        {**_value(config, ledger_terms, one), "in_force": ledger_terms.at(at) is one}
        for one in ledger_terms.terms
    ]
    if chosen.json:
        return output.emit(rows)
    columns = ("since", "until", "share", "resource", "window", "source", "recorded_at", "in_force", "ended")
    return output.table(columns, [[output.cell(row[name]) for name in columns] for row in rows])


@promise_group.command("show")
@click.option("--on", "day", metavar="DATE", help="The term in force on this day; else today.")
@AS_OF
def promise_show(day: str | None, then: str | None) -> None:
    """The term in force, whole, and everything that was ever recorded of the promise."""
    config, ledger_terms, history = _known(then)
    term = ledger_terms.at(asked_day(config.promise.time_zone, "--on", day) if day else now())
    value = _value(config, ledger_terms, term)
    told = [_value(config, ledger_terms, one) for one in history]
    if chosen.json:
        return output.emit({**value, "history": told})
    output.pairs({name: output.cell(one) for name, one in value.items()})
    click.echo()
    for one in told:
        output.say(_sentence(one))
    return None


def _sentence(row: dict[str, Any]) -> str:
    """A row of the history: when, by whom, what and why."""
    what = f"{row['share']:g} of {row['resource']} in each {row['window']}"
    told = "no promise" if row["ended"] else what
    since = row["since"] or "the beginning"
    return f"{row['recorded_at']} {row['actor']}: {told} since {since} ({row['source']}: {row['reason']})"


def _known(then: str | None) -> tuple[Config, PromiseTerms, list[Term]]:
    """The configuration under the term of now, and the terms and all rows as known now or then."""
    config = load_config()
    with opened_ledger(config) as ledger:
        config = question.under_terms(config, ledger, now())
        at = asked_day(config.promise.time_zone, "--as-of", then) if then else None
        rows = [one for one in ledger.promise_terms.rows() if at is None or one.recorded_at <= at]
        return config, question.terms_of(config, ledger, at), rows


def _value(config: Config, among: PromiseTerms, one: Term) -> dict[str, Any]:
    """A term as JSON has it: dates as they are typed, no end where there is none."""
    zone, until = config.promise.time_zone, among.until(one)
    return {
        **one.plain(),
        "since": windows.civil_day(one.since, zone) if one.since else None,
        "until": None if until == FOREVER else windows.civil_day(until, zone),
        "resource": resource_name(one.resource),
        "recorded_at": output.when(one.recorded_at or None),
        "retroactive": one.retroactive,
    }


def _record(since: str, option: str, said: dict[str, Any], source: str, reason: str) -> None:
    """Record a term that differs from the one in force then in what is said, or raise RefusedError."""
    if not (source.strip() and reason.strip()):
        raise click.UsageError("--source or --reason is empty; say which document and why")
    config = load_config()
    with opened_ledger(config) as ledger:
        new = _term(config, ledger, since, option, said, source=source.strip(), reason=reason.strip())
        checked(config.under(new))
        if config.approval.promise:
            who = {"at": now(), "actor": current_actor(), "reason": new.reason}
            return proposed(ledger, ProposalKind.PROMISE, new.plain(), who)
        if found := ledger.promise_terms.record(new, config.first_term(now(), current_actor())):
            raise RefusedError(f"{'; '.join(found)}; nothing was changed")
    if chosen.json:
        output.emit(_value(config.under(new), PromiseTerms((new,)), new))
    elif not chosen.quiet:
        output.say(_told(new), err=True)
    return None


def _term(config: Config, ledger: Ledger, since: str, option: str, said: dict[str, Any], **by: str) -> Term:
    """The whole term; the day is one of its own time zone."""
    present = question.terms_of(config, ledger)
    at = asked_day(values.as_zone(said.get("time_zone", present.at(now()).time_zone)), option, since)
    fields = {"ended": False} | said | by
    return replace(present.at(at), since=at, actor=current_actor(), recorded_at=now(), **fields)


def _told(new: Term) -> str:
    day = windows.civil_day(new.since, new.zone)
    what = "no promise holds" if new.ended else f"the promise is {output.percent(new.share)}"
    late = "; this is retroactive, and reports tell so" if new.retroactive else ""
    return f"since {day} {what} ({new.source}){late}"


def _read(name: str, text: str) -> Any:
    """What an option says, as the term has it."""
    try:
        return _READERS[name](text)
    except ValueError as error:
        raise click.UsageError(f"--{name.replace('_', '-')}: {error}") from error


def _ratio(text: str) -> float:
    try:
        return values.as_ratio(float(text.replace(",", ".")))
    except ValueError:
        raise ValueError(f"{text!r} is not a number between 0 and 1, such as 0.25") from None


def _region(text: str) -> tuple[str, ...]:
    codes = [one.strip() for one in text.split(",")]
    return tuple(sorted(values.as_region(codes if codes[0].startswith("GM") else text)))


def _few(text: str) -> int:
    return values.as_few(int(text) if text.isdecimal() else text)


_READERS: dict[str, Callable[[str], Any]] = {
    "share": _ratio,
    "margin": _ratio,
    "resource": parse_resource,
    "label": str,
    "window": values.as_window,
    "time_zone": lambda text: values.as_zone(text).key,
    "share_of": str,
    "unclassified_limit": lambda text: None if text == "none" else _ratio(text),
    "region": _region,
    "min_organisations": _few,
    "expertise_share": _ratio,
}

COMMANDS = (promise_group,)
