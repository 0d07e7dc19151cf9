"""`saf promise`: the terms of the promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from slurm_ai_factory import question
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.approval import proposed
from slurm_ai_factory.cli.arguments import asked_day, reason_option, usage_errors
from slurm_ai_factory.cli.options import SafGroup, chosen
from slurm_ai_factory.cli.wiring import current_actor, load_config, now, opened_ledger
from slurm_ai_factory.config import Config, checked, values
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme.approval import ProposalKind
from slurm_ai_factory.core.programme.terms import PromiseTerms, Term
from slurm_ai_factory.core.records import FOREVER
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.errors import RefusedError
from slurm_ai_factory.ledger import Ledger

SOURCE = click.option("--source", metavar="DOC", required=True, help="The document with the agreement.")
REASON = reason_option("Why; recorded with the term.", required=True)
AS_OF = click.option(
    "--as-of", "then", metavar="DATE", help="Use what the ledger knew at the start of this day."
)


@click.group("promise", cls=SafGroup)
def promise_group() -> None:
    """Manage the terms of the promise: what was promised, since when, and by which document.

    The first term comes from saf.toml; after that, the terms in the ledger count. Each window is judged by
    the term at its start. Nothing is overwritten. Dates are civil days in the promise's time zone.
    """


@promise_group.command("set")
@click.option("--since", metavar="DATE", required=True, help="The first day of the term.")
@click.option("--share", metavar="N", help="The floor: 0.25.")
@click.option("--margin", metavar="N", help="How far above the floor the control steers.")
@click.option("--resource", metavar="R", help="cpu, gres/gpu, or 0.25*cpu+16*gres/gpu.")
@click.option("--label", metavar="TEXT", help="What people call one unit of the resource.")
@click.option("--window", metavar="KIND", help="month, quarter, half, year or rolling:30d.")
@click.option("--time-zone", metavar="ZONE", help="The time zone of the windows.")
@click.option("--of", "share_of", metavar="WHAT", help="What the share is a part of: delivered.")
@click.option("--unclassified-limit", metavar="N", help="As promise.unclassified_limit; `none` for no limit.")
@click.option(
    "--region", metavar="LIST", help="CBS codes separated by commas, or the name of a shipped list."
)
@click.option("--min-organisations", metavar="N", help="As report.min_organisations.")
@click.option("--expertise-share", metavar="N", help="The floor of the expertise hours.")
@SOURCE
@REASON
def promise_set(since: str, source: str, reason: str, **given: str | None) -> None:
    """Record what is promised from a day on. Writes to the ledger.

    Options left out stay as in the term of that day. The day must start a window, of the present kind and of
    the new one. Reports that a day in the past changes say so.
    """
    fields = {name: _parsed(name, text) for name, text in given.items() if text is not None}
    _record(since, "--since", fields, source, reason)


@promise_group.command("end")
@click.option("--on", "since", metavar="DATE", required=True, help="The first day without a promise.")
@SOURCE
@REASON
def promise_end(since: str, source: str, reason: str) -> None:
    """End the promise from a day on. Writes to the ledger.

    Windows from that day on have no verdict, and nothing is steered. `saf promise set` makes a promise again.
    """
    _record(since, "--on", {"ended": True}, source, reason)


@promise_group.command("list")
@AS_OF
def promise_list(then: str | None) -> None:
    """List every term in order of its start."""
    config, terms, _ = _known(then)
    present = terms.at(now())
    rows = [{**_value(config, terms, term), "in_force": present is term} for term in terms.terms]
    columns = ("since", "until", "share", "resource", "window", "source", "recorded_at", "in_force", "ended")
    output.table(columns, [[output.cell(row[name]) for name in columns] for row in rows], rows)


@promise_group.command("show")
@click.option("--on", "day", metavar="DATE", help="The term of this day. Default: today.")
@AS_OF
def promise_show(day: str | None, then: str | None) -> None:
    """Show the current term in full, and everything ever recorded of the promise."""
    config, terms, history = _known(then)
    term = terms.at(asked_day(config.promise.time_zone, "--on", day) if day else now())
    value = _value(config, terms, term)
    rows = [_value(config, terms, recorded) for recorded in history]
    if chosen.json:
        return output.emit({**value, "history": rows})
    output.pairs({name: output.cell(cell) for name, cell in value.items()})
    click.echo()
    for row in rows:
        promised = f"{row['share']:g} of {row['resource']} in each {row['window']}"
        what = "no promise" if row["ended"] else promised
        since = row["since"] or "the beginning"
        document = f"{row['source']}: {row['reason']}"
        output.say(f"{row['recorded_at']} {row['actor']}: {what} since {since} ({document})")
    return None


def _known(then: str | None) -> tuple[Config, PromiseTerms, list[Term]]:
    """The configuration under the current term; the terms, and all recorded ones, as known now or then."""
    config = load_config()
    with opened_ledger(config) as ledger:
        config = question.under_terms(config, ledger, now())
        at = asked_day(config.promise.time_zone, "--as-of", then) if then else None
        history = [term for term in ledger.promise_terms.rows() if at is None or term.recorded_at <= at]
        return config, question.terms_of(config, ledger, at), history


def _value(config: Config, among: PromiseTerms, term: Term) -> dict[str, Any]:
    """A term as JSON: dates as users type them, no end if there is none."""
    zone, until = config.promise.time_zone, among.until(term)
    return {
        **term.plain(),
        "since": windows.civil_day(term.since, zone) if term.since else None,
        "until": None if until == FOREVER else windows.civil_day(until, zone),
        "resource": term.resource.name,
        "recorded_at": output.when(term.recorded_at or None),
        "retroactive": term.retroactive,
    }


def _record(since: str, option: str, fields: dict[str, Any], source: str, reason: str) -> None:
    """Record a term with the given fields; the others stay as on that day. Raises RefusedError."""
    source, reason = source.strip(), reason.strip()
    if not (source and reason):
        raise click.UsageError("--source or --reason is empty; give the document and say why")
    config = load_config()
    with opened_ledger(config) as ledger:
        term = _term(config, ledger, since, option, fields | {"source": source, "reason": reason})
        checked(config.under(term))
        if config.approval.promise:
            act = {"at": now(), "actor": current_actor(), "reason": reason}
            return proposed(ledger, ProposalKind.PROMISE, term.plain(), act)
        if problems := ledger.promise_terms.record(term, config.first_term(now(), current_actor())):
            raise RefusedError(f"{'; '.join(problems)}; nothing was changed")
    return output.reply(_value(config.under(term), PromiseTerms((term,)), term), _sentence(term))


def _term(config: Config, ledger: Ledger, since: str, option: str, fields: dict[str, Any]) -> Term:
    """The whole term; its first day is a day in its own time zone."""
    terms = question.terms_of(config, ledger)
    zone = values.as_zone(fields.get("time_zone", terms.at(now()).time_zone))
    at = asked_day(zone, option, since)
    changes = {"ended": False} | fields
    return replace(terms.at(at), since=at, actor=current_actor(), recorded_at=now(), **changes)


def _sentence(term: Term) -> str:
    day = windows.civil_day(term.since, term.zone)
    what = "there is no promise" if term.ended else f"the promise is {output.percent(term.share)}"
    late = "; this is retroactive, and reports say so" if term.retroactive else ""
    return f"since {day} {what} ({term.source}){late}"


def _parsed(name: str, text: str) -> Any:
    """An option's value in the type of the term's field. Raises UsageError."""
    with usage_errors(f"--{name.replace('_', '-')}"):
        return _PARSERS[name](text)


def _ratio(text: str) -> float:
    try:
        return values.as_ratio(float(text.replace(",", ".")))
    except ValueError:
        raise ValueError(f"{text!r} is not a number between 0 and 1, such as 0.25") from None


def _region(text: str) -> tuple[str, ...]:
    codes = [code.strip() for code in text.split(",")]
    return tuple(sorted(values.as_region(codes if codes[0].startswith("GM") else text)))


_PARSERS: dict[str, Callable[[str], Any]] = {
    "share": _ratio,
    "margin": _ratio,
    "resource": Resource.parse,
    "label": str,
    "window": values.as_window,
    "time_zone": lambda text: values.as_zone(text).key,
    "share_of": str,
    "unclassified_limit": lambda text: None if text == "none" else _ratio(text),
    "region": _region,
    "min_organisations": lambda text: values.as_few(int(text) if text.isdecimal() else text),
    "expertise_share": _ratio,
}
