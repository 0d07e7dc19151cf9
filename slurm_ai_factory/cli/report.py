"""Commands for those whom the promise was made to: report, statement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from slurm_ai_factory import question
from slurm_ai_factory import report as pages
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.approval import propose
from slurm_ai_factory.cli.measure import asked_instant, asked_window, check_known, tell_unread
from slurm_ai_factory.cli.options import SafCommand, chosen, current_actor, now, opened_books
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme import tariff
from slurm_ai_factory.core.programme.approval import ProposalKind
from slurm_ai_factory.core.programme.tariff import StatementLine
from slurm_ai_factory.core.records import Window
from slurm_ai_factory.errors import SafError
from slurm_ai_factory.ledger import LONG, Ledger
from slurm_ai_factory.ledger.publishing import Published
from slurm_ai_factory.report import LANGUAGES, Report, gather, statements
from slurm_ai_factory.report.statements import Statement

FORMATS = ("html", "csv", "json")


@click.command("report", cls=SafCommand)
@click.option("--window", metavar="W", help="2027Q1, 2027-03, 2027H1, 2027, rolling:30d or current.")
@click.option(
    "--language", "languages", type=click.Choice(LANGUAGES), multiple=True, default=LANGUAGES,
    help="Of the HTML; may be given more than once. Else all.",
)  # fmt: skip
@click.option(
    "--format", "formats", type=click.Choice(FORMATS), multiple=True, default=FORMATS,
    help="May be given more than once. Else all.",
)  # fmt: skip
@click.option(
    "--as-of", "then", metavar="T", default="now", help="As it was known at this instant; else now."
)
@click.option(
    "--compare", metavar="T", help="Tell what was restated since this instant; else since the last report."
)
@click.option("-o", "--output", "directory", required=True, metavar="DIR", help="Where the files go.")
@click.option(
    "--publish", is_flag=True, help="Note in the ledger that it is given out. Writes to the ledger."
)
def report_command(
    window: str | None,
    languages: tuple[str, ...],
    formats: tuple[str, ...],
    then: str,
    compare: str | None,
    directory: str,
    publish: bool,
) -> None:
    """The governance report of a window, for readers outside the facility: organisations, no persons.

    The same --as-of gives the same files, byte for byte. With --publish, later reports tell which figures
    were restated since this one.
    """
    if publish and compare:
        raise click.UsageError("--publish compares with the last published report; leave out --compare")
    with opened_books(LONG) as (config, ledger):
        known = asked_instant(config, then)
        where = asked_window(config, window, None, None, known)
        compared = asked_instant(config, compare) if compare else None
        check_known(ledger, known, compared)
        if publish:
            question.begin_terms(config, ledger, now(), current_actor())
        ask = question.ask(config, ledger, where, then=known)
        found = gather.gather_report(ask, compared)
        proposal = None
        if publish:
            published = gather.published_anew(ask)
            proposal = _publish(config, ledger, published)
        window, fingerprint = found.measurement.window.name, pages.value(found)["fingerprint"]["sha256"]
        found = replace(found, head=ledger.publishing.head(window, known, fingerprint))
    written = [_write(Path(directory), *file) for file in _files(config, found, languages, formats)]
    if chosen.json:
        waiting = {} if proposal is None else {"proposal": proposal}
        output.emit({"files": written, "fingerprint": fingerprint, **waiting})
    elif not chosen.quiet:
        click.echo("\n".join(f"wrote {file}" for file in written), err=True)


def _files(
    config: Config, found: Report, languages: tuple[str, ...], formats: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """(name, text) of each file."""
    window = found.measurement.window.name.replace(":", "-")
    name = f"{config.cluster.name}-{window}"
    if "html" in formats:
        for code in languages:
            yield f"{name}.{code}.html", pages.report_html(found, code, config.terms(()).municipalities)
    if "csv" in formats:
        yield f"{name}.csv", pages.as_csv(found)
    if "json" in formats:
        yield f"{name}.json", pages.report_json(found)


def _write(directory: Path, name: str, text: str) -> str:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise SafError(f"{directory / name} cannot be written: {error.strerror}") from error
    return str(directory / name)


def _publish(config: Config, ledger: Ledger, report: Published) -> int | None:
    """The number of the proposal to give the report out; None where no second person is asked and it is."""
    if not config.approval.publications:
        ledger.publishing.publish(report, at=now(), actor=current_actor())
        return None
    content = {"window": report.window, "as_of": report.as_of, "fingerprint": report.fingerprint}
    return propose(
        ledger, ProposalKind.PUBLICATION, content, {"at": now(), "actor": current_actor(), "reason": ""}
    )


@click.command("statement", cls=SafCommand)
@click.option("--organisation", metavar="O", required=True, help="Its key in the registry.")
@click.option("--window", metavar="W", help="2027Q1, 2027-03, 2027H1, 2027, rolling:30d or current.")
@click.option(
    "--as-of", "then", metavar="T", default="now", help="As it was known at this instant; else now."
)
def statement_command(organisation: str, window: str | None, then: str) -> None:
    """What an organisation got in a window, at the tariff, and its own part of the promise.

    The amounts show what access costs; nothing is invoiced by this.
    """
    with opened_books(LONG) as (config, ledger):
        known = asked_instant(config, then)
        where = asked_window(config, window, None, None, known)
        check_known(ledger, known)
        ask = question.ask(config, ledger, where, then=known)
        found = statements.gather_statement(ask, organisation)
    tell_unread(found.unread_seconds, found.window)
    if chosen.json:
        return output.emit(_value(found))
    if not chosen.csv:
        output.pairs(_heading(found))
        click.echo()
    columns = ("from", "to", "beneficiary", "resource", "hours", "price", f"amount {found.currency}")
    return output.table(columns, _rows(found))


def _heading(found: Statement) -> dict[str, object]:
    return {
        "organisation": f"{found.name} ({found.organisation})",
        "window": f"{found.window.name}  ({' .. '.join(_days(found, found.window))})",
        "as of": windows.iso(found.as_of),
        f"charge, {found.resource}-hours": output.hours(found.charge),
        "part of the region's charge": output.percent(found.part_of_regional),
        "part of what was promised": output.percent(found.part_of_promise),
        "expertise, hours": found.expertise_hours,
        f"total, {found.currency}": tariff.total(found.lines),
    }


def _days(found: Statement, span: Window | StatementLine) -> tuple[str, str]:
    """The civil days from which and up to which."""
    return windows.civil_day(span.since, found.zone), windows.civil_day(span.until, found.zone)


def _rows(found: Statement) -> list[tuple[object, ...]]:
    return [
        (*_days(found, one), one.beneficiary, one.resource, output.hours(one.charge), f"{one.price:f}",
         one.amount)
        for one in found.lines
    ]  # fmt: skip


def _value(found: Statement) -> dict[str, object]:
    """A statement as JSON; money is text, so that it stays exact."""
    return {
        "organisation": found.organisation,
        "name": found.name,
        "window": found.window.name,
        "since": windows.iso(found.window.since),
        "until": windows.iso(found.window.until),
        "as_of": windows.iso(found.as_of),
        "unread_seconds": found.unread_seconds,
        "resource": found.resource,
        "charge": output.number(found.charge),
        "part_of_regional": found.part_of_regional,
        "part_of_promise": found.part_of_promise,
        "expertise_hours": str(found.expertise_hours),
        "currency": found.currency,
        "lines": [
            {"since": windows.iso(one.since), "until": windows.iso(one.until),
             "beneficiary": str(one.beneficiary), "resource": one.resource,
             "charge": output.number(one.charge), "price": f"{one.price:f}", "amount": str(one.amount)}
            for one in found.lines
        ],
        "total": str(tariff.total(found.lines)),
    }  # fmt: skip


COMMANDS = (report_command, statement_command)
