"""Options that several commands share, and what their texts mean. Tested in tests/cli/test_questions.py."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click

from slurm_ai_factory import question
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.wiring import now
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.measure.share import Promise
from slurm_ai_factory.core.records import FIRST, Instant, Window
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.question import Question

_Command = TypeVar("_Command", bound=Callable[..., Any])

MOST_BYTES = 256 * 2**20
"""Of an imported file; it is in memory as a whole."""

WINDOW = click.option(
    "--window", metavar="W", help="2027Q1, 2027-03, 2027H1, 2027, rolling:30d or current (the default)."
)
SINCE = click.option("-S", "--since", metavar="T", help="Start of an interval, instead of --window.")
UNTIL = click.option("-E", "--until", metavar="T", help="With -S: end of the interval. Default: now.")
PROMISE = click.option(
    "--promise", metavar="NAME", default=FIRST, show_default=True, help="Ask about this promise."
)
RESOURCE = click.option(
    "--resource", metavar="R", help="Measure this resource: cpu, gres/gpu, or 0.25*cpu+16*gres/gpu."
)


def as_of_option(**attributes: Any) -> Callable[[_Command], _Command]:
    """The option `--as-of`, whose value is named ``then``."""
    text = "Use what the ledger knew at this instant, before later corrections."
    text += "" if attributes.get("required") else " Default: now."
    return click.option("--as-of", "then", metavar="T", help=text, **attributes)


def reason_option(
    text: str = "Why; recorded with the entry.", **attributes: Any
) -> Callable[[_Command], _Command]:
    """The option `--reason`."""
    return click.option("--reason", metavar="TEXT", help=text, **attributes)


def asked_reason(reason: str) -> str:
    """The reason without surrounding blanks. Raises UsageError if nothing is left."""
    if not reason.strip():
        raise click.UsageError("--reason is empty; say why, for those who read the entry later")
    return reason.strip()


@contextmanager
def usage_errors(option: str = "") -> Iterator[None]:
    """Turn a ValueError about a typed value into a UsageError that names the option."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}" if option else str(error)) from error


def asked_window(
    config: Config, window: str | None, since: str | None, until: str | None, at: Instant | None = None
) -> Window:
    """The window that the options mean at an instant, or now; without options, the promise's own.

    Raises UsageError.
    """
    zone, moment = config.promise.time_zone, now() if at is None else at
    named = config.promise.window if window in (None, "current") else window
    with usage_errors():
        if (since or until) and (window or not since):
            raise ValueError("give either --window, or -S with or without -E")
        if since:
            first = windows.instant(since, moment, zone)
            asked = windows.span(first, windows.instant(until or "now", moment, zone))
        else:
            asked = windows.window(str(named), moment, zone)
        if asked.since > moment:
            late = "in the future" if asked.since > now() else f"after --as-of {windows.iso(moment)}"
            raise ValueError(f"{asked.name} begins at {windows.iso(asked.since)}, which is {late}")
    return asked


def asked_instant(config: Config, text: str) -> Instant:
    """The instant that an option means. Raises UsageError."""
    with usage_errors():
        return windows.instant(text, now(), config.promise.time_zone)


def asked_start(config: Config, text: str) -> Instant:
    """The instant at which -S lets Slurm's history begin. Raises UsageError."""
    first = asked_instant(config, text)
    with usage_errors("-S"):
        windows.asked_of_slurm(first)
        if first >= now():
            raise ValueError(f"{windows.iso(first)} is in the future; give an instant that has passed")
    return first


def asked_future(config: Config, option: str, text: str) -> Instant:
    """The instant that an option means, which is yet to come. Raises UsageError."""
    instant = asked_instant(config, text)
    if instant <= now():
        raise click.UsageError(f"{option} is {output.when(instant)}, which is past; give a later instant")
    return instant


def asked_day(zone: ZoneInfo, option: str, text: str) -> Instant:
    """The start of the day that an option means. Raises UsageError."""
    with usage_errors(option):
        return windows.day(text, zone)


def asked_promise(config: Config, resource: str | None) -> Promise:
    """The promise, in the given resource. Raises UsageError."""
    with usage_errors():
        return config.promise_of(None if resource is None else Resource.parse(resource))


def content_of(file: io.BufferedReader) -> bytes:
    """The bytes of an imported file. Raises UsageError."""
    content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise click.UsageError(f"{file.name} has more than {MOST_BYTES >> 20} MiB; import it in parts")
    return content


def check_tres(ledger: Ledger, resource: Resource) -> None:
    """Raise UsageError for a TRES that the ledger has never seen: every figure of it would be 0."""
    known = ledger.accounting.tres()
    if unknown := sorted(resource.weights.keys() - known):
        there = ", ".join(sorted(known)) or "none yet"
        raise click.UsageError(f"the ledger has no {', '.join(unknown)}; its TRES are {there}")


def check_known(ledger: Ledger, *instants: Instant | None) -> None:
    """Raise UsageError for an instant in the future. A ledger of a model cluster has its own clock."""
    moment = now()
    future = [at for at in instants if at is not None and at > moment]
    if future and (ledger.accounting.watermark() or 0) <= moment:
        raise click.UsageError(f"{windows.iso(future[0])} is in the future; give an instant that has passed")


def asked_question(
    config: Config,
    ledger: Ledger,
    window: str | None,
    since: str | None = None,
    until: str | None = None,
    then: str | None = None,
    promise: str = FIRST,
) -> Question:
    """The question that the options mean. Raises UsageError, LedgerError."""
    known = asked_instant(config, then) if then else None
    if promise != FIRST:
        config = config.under(question.terms_of(config, ledger, known, promise).at(now()))
    where = asked_window(config, window, since, until, known)
    check_known(ledger, known)
    return question.ask(config, ledger, where, promise=promise, then=known, moment=now())


def warn_of_gaps(seconds: int, window: Window) -> None:
    """Say that figures cover only a part of the window, where so many seconds of it were never read."""
    if seconds:
        hours, since = output.hours(seconds), output.when(window.since)
        output.say(f"{hours} hours of {window.name} were never read: saf backfill -S {since}", err=True)


def warn_of_names(ledger: Ledger, *texts: str) -> None:
    """Warn where a text that is about to be recorded has the name of a Slurm user as a word."""
    for name in ledger.persons.mentioned("\n".join(texts)):
        output.say(
            f"warning: the recorded text names {name}, a user of Slurm; write texts without names of persons",
            err=True,
        )
