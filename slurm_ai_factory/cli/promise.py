"""`saf promise`: the terms of each promise."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from slurm_ai_factory import question
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.approval import proposed
from slurm_ai_factory.cli.arguments import asked_day, reason_option, usage_errors
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.options import SafGroup, chosen
from slurm_ai_factory.cli.wiring import current_actor, load_config, now, opened_ledger
from slurm_ai_factory.config import Config, checked, values
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme.approval import ProposalKind
from slurm_ai_factory.core.programme.terms import OF_REGION, PromiseTerms, Term
from slurm_ai_factory.core.records import FIRST, FOREVER, Bound, Instant
from slurm_ai_factory.core.rules import rule_check
from slurm_ai_factory.core.rules.classify import PROMISED_TO
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.errors import RefusedError
from slurm_ai_factory.ledger import Ledger

NAME = click.argument("name", default=FIRST, callback=lambda _context, _option, name: checked_name(name))
SOURCE = click.option("--source", metavar="DOC", required=True, help="The document with the agreement.")
REASON = reason_option("Why; recorded with the term.", required=True)
PROMISE_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
OF_FURTHER = {"who", "bound"}
"""Fields of a term that the promise to the region does not have: it is a floor, made to the region."""
AS_OF = click.option(
    "--as-of", "then", metavar="DATE", help="Use what the ledger knew at the start of this day."
)


def checked_name(name: str) -> str:
    """A promise's name, which is a word in texts, JSON and labels of metrics. Raises UsageError."""
    if not PROMISE_NAME.fullmatch(name):
        raise click.UsageError(
            f"{name!r} is no name of a promise; use up to 32 of a-z, 0-9 and -, a letter first"
        )
    return name


@click.group("promise", cls=SafGroup)
def promise_group() -> None:
    """Manage the terms of each promise: what was promised, since when, and by which document.

    The promise to the region is called region. Its first term comes from saf.toml; after that, the terms in
    the ledger count. Further promises are in the ledger alone. Each window is judged by the term at its
    start. Nothing is overwritten. Dates are civil days in the promise's time zone.
    """


@promise_group.command("set")
@NAME
@click.option("--since", metavar="DATE", required=True, help="The first day of the term.")
@click.option("--share", metavar="N", help="The share: 0.25.")
@click.option("--bound", metavar="B", help="floor, at least the share, or cap, at most the share.")
@click.option(
    "--who",
    metavar="KEY=NAMES",
    multiple=True,
    help=f"Whom a further promise is made to: {', '.join(PROMISED_TO)}; all that are given must hold.",
)
@click.option("--margin", metavar="N", help="How far above the floor the control steers.")
@click.option("--resource", metavar="R", help="cpu, gres/gpu, or 0.25*cpu+16*gres/gpu.")
@click.option("--label", metavar="TEXT", help="What people call one unit of the resource.")
@click.option("--window", metavar="KIND", help="month, quarter, half, year or rolling:30d.")
@click.option("--time-zone", metavar="ZONE", help="The time zone of the windows.")
@click.option(
    "--of",
    "share_of",
    metavar="WHAT",
    help="What the share is a part of: delivered, capacity or promise:NAME.",
)
@click.option("--unclassified-limit", metavar="N", help="As promise.unclassified_limit; `none` for no limit.")
@click.option(
    "--region", metavar="LIST", help="CBS codes separated by commas, or the name of a shipped list."
)
@click.option("--min-organisations", metavar="N", help="As report.min_organisations.")
@click.option("--expertise-share", metavar="N", help="The floor of the expertise hours.")
@SOURCE
@REASON
def promise_set(name: str, since: str, source: str, reason: str, **given: Any) -> None:
    """Record what is promised from a day on. Writes to the ledger.

    NAME is region unless given. A new NAME needs --share and --who, and takes the other values of region.
    Options left out stay as in the term of that day. The day must start a window, of the present kind and of
    the new one. Reports that a day in the past changes say so.
    """
    fields = {key: parsed_option(key, text) for key, text in given.items() if text not in (None, ())}
    _record(name, since, "--since", fields, source, reason)


@promise_group.command("end")
@NAME
@click.option("--on", "since", metavar="DATE", required=True, help="The first day without a promise.")
@SOURCE
@REASON
def promise_end(name: str, since: str, source: str, reason: str) -> None:
    """End a promise from a day on: region unless NAME is given. Writes to the ledger.

    Windows from that day on have no verdict. Without the promise to the region, nothing is steered.
    `saf promise set` makes a promise again.
    """
    _record(name, since, "--on", {"ended": True}, source, reason)


@promise_group.command("list", cls=EachCommand)
@AS_OF
def promise_list(then: str | None) -> None:
    """List every term of every promise, the first promise first, in order of its start."""
    config = load_config()
    with opened_ledger(config) as ledger:
        at = _then(question.under_terms(config, ledger, now()), then)
        known = {FIRST: question.terms_of(config, ledger, at), **ledger.promise_terms.further(at)}
    rows = [
        {**_value(terms, term), "in_force": terms.at(now()) is term}
        for terms in known.values()
        for term in terms.terms
        if term.since or not term.ended
    ]
    columns = ("promise", "since", "until", "bound", "share", "share_of", "who", "resource", "window",
               "source", "recorded_at", "in_force", "ended")  # fmt: skip
    cells = [
        [output.cell(_who(row["who"]) if name == "who" else row[name]) for name in columns] for row in rows
    ]
    output.table(columns, cells, rows)


@promise_group.command("show", cls=EachCommand)
@NAME
@click.option("--on", "day", metavar="DATE", help="The term of this day. Default: today.")
@AS_OF
def promise_show(name: str, day: str | None, then: str | None) -> None:
    """Show the current term of a promise in full, and everything ever recorded of it."""
    config = load_config()
    with opened_ledger(config) as ledger:
        config = question.under_terms(config, ledger, now())
        at = _then(config, then)
        terms = question.terms_of(config, ledger, at, name)
        recorded = [term for term in ledger.promise_terms.rows(name) if at is None or term.recorded_at <= at]
    term = terms.at(asked_day(terms.at(now()).zone, "--on", day) if day else now())
    value = _value(terms, term)
    rows = [_value(terms, entry) for entry in recorded]
    if chosen.json:
        return output.emit({**value, "history": rows})
    output.pairs({key: output.cell(cell) for key, cell in {**value, "who": _who(value["who"])}.items()})
    click.echo()
    for row in rows:
        promised = f"{row['bound']} of {row['share']:g} of {row['resource']} in each {row['window']}"
        what = "no promise" if row["ended"] else promised
        since = row["since"] or "the beginning"
        document = f"{row['source']}: {row['reason']}"
        output.say(f"{row['recorded_at']} {row['actor']}: {what} since {since} ({document})")
    return None


def _then(config: Config, day: str | None) -> Instant | None:
    return asked_day(config.promise.time_zone, "--as-of", day) if day else None


def _who(whom: dict[str, list[str]]) -> str:
    """The conditions as they are typed."""
    return " ".join(f"{key}={','.join(names)}" for key, names in whom.items())


def _value(among: PromiseTerms, term: Term) -> dict[str, Any]:
    """A term as JSON: dates as users type them, no end if there is none."""
    until = among.until(term)
    return {
        **term.plain(),
        "bound": term.bound.value,
        "who": term.whom(),
        "since": windows.civil_day(term.since, term.zone) if term.since else None,
        "until": None if until == FOREVER else windows.civil_day(until, term.zone),
        "resource": term.resource.name,
        "recorded_at": output.when(term.recorded_at or None),
        "retroactive": term.retroactive,
    }


def stated(source: str, reason: str) -> dict[str, str]:
    """Document and reason without spaces around them, by the names of the options. Raises UsageError."""
    if not (source.strip() and reason.strip()):
        raise click.UsageError("--source or --reason is empty; give the document and say why")
    return {"source": source.strip(), "reason": reason.strip()}


def _record(name: str, since: str, option: str, fields: dict[str, Any], source: str, reason: str) -> None:
    """Record a term with the given fields; the others stay as on that day. Raises RefusedError."""
    why = stated(source, reason)
    config = load_config()
    with opened_ledger(config) as ledger:
        term = _term(config, ledger, name, since, option, fields | why)
        checked(config.under(term))
        accounts, rules = ledger.accounting.parents().keys(), question.rules_at(config, ledger)
        unknown = rule_check.unknown_promised(rules, term.conditions, accounts, config.codes(accounts))
        if unknown:  # likely mistyped
            raise RefusedError(f"{'; '.join(unknown)}; nothing was changed")
        if config.approval.promise:
            act = {"at": now(), "actor": current_actor(), "reason": term.reason}
            return proposed(ledger, ProposalKind.PROMISE, term.plain(), act)
        if name != FIRST:
            question.begin_terms(config, ledger, now(), current_actor())  # which it has to fit beside
        before = config.term_before(term, now(), current_actor())
        if problems := ledger.promise_terms.record(term, before):
            raise RefusedError(f"{'; '.join(problems)}; nothing was changed")
    day = windows.civil_day(term.since, term.zone)
    promised = f"the {term.bound} of promise {term.promise} is {output.percent(term.share)}"
    what = f"there is no promise {term.promise}" if term.ended else promised
    late = "; this is retroactive, and reports say so" if term.retroactive else ""
    return output.reply(_value(PromiseTerms((term,)), term), f"since {day} {what} ({term.source}){late}")


def _term(config: Config, ledger: Ledger, name: str, since: str, option: str, fields: dict[str, Any]) -> Term:
    """The whole term; its first day is a day in its own time zone."""
    known = {FIRST: question.terms_of(config, ledger), **ledger.promise_terms.further()}
    if name not in known and fields.get("ended"):
        raise click.UsageError(f"there is no promise {name}, only {', '.join(known)}")
    if name not in known and not {"share", "who"} <= fields.keys():
        there = ", ".join(known)
        raise click.UsageError(
            f"there is no promise {name} yet, only {there}; a new one needs --share and --who"
        )
    foreign = fields.keys() & (OF_FURTHER if name == FIRST else {"region", *OF_REGION})
    if foreign:
        options = ", ".join(f"--{key.replace('_', '-')}" for key in sorted(foreign))
        raise click.UsageError(f"promise {name} cannot have {options}; leave it out")
    terms = known.get(name, known[FIRST])
    of_region = {"region": (), "unclassified_limit": None, **dict.fromkeys(OF_REGION)}
    new = {} if name in known else {"promise": name, **of_region}
    zone = values.as_zone(fields.get("time_zone", terms.at(now()).time_zone))
    at = asked_day(zone, option, since)
    changes = {"ended": False, **new, **fields}
    return replace(terms.at(at), since=at, actor=current_actor(), recorded_at=now(), **changes)


def parsed_option(name: str, text: Any) -> Any:
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


def _whom(typed: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    who = {}
    for key, _, names in (text.partition("=") for text in typed):
        accepted = tuple(sorted({name.strip() for name in names.split(",")} - {""}))
        if key not in PROMISED_TO:
            raise ValueError(f"{key}={names} is none of {'=NAME, '.join(PROMISED_TO)}=NAME")
        if key in who:
            raise ValueError(
                f"{key} is given twice; write all its names after one {key}=, with commas between"
            )
        if not accepted:
            raise ValueError(f"{key} has no name; write {key}=NAME")
        if not all(map(str.isprintable, accepted)):
            raise ValueError(f"a name of {key} has characters that cannot be printed; write it as in Slurm")
        who[key] = accepted
    return who


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "share": _ratio,
    "bound": Bound,
    "who": _whom,
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
