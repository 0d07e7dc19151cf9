"""`saf report`: the governance report, written to files and published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from slurm_ai_factory import question
from slurm_ai_factory import report as pages
from slurm_ai_factory.cli import arguments, output
from slurm_ai_factory.cli.approval import propose
from slurm_ai_factory.cli.new_file import checked_directory, write_text
from slurm_ai_factory.cli.options import SafCommand
from slurm_ai_factory.cli.wiring import current_actor, now, opened_books
from slurm_ai_factory.config import Config
from slurm_ai_factory.core.programme.approval import ProposalKind
from slurm_ai_factory.errors import SafError
from slurm_ai_factory.ledger import LONG, Ledger
from slurm_ai_factory.ledger.publishing import Published
from slurm_ai_factory.report import LANGUAGES, Report, gather

FORMATS = ("html", "csv", "json")

NOTE_CHARACTERS = 600
"""A longer response does not fit on the first page."""
NOTE_BYTES = 2**16
"""More of the file is not read."""


@click.command("report", cls=SafCommand)
@arguments.WINDOW
@click.option(
    "--language", "languages", type=click.Choice(LANGUAGES), multiple=True, default=LANGUAGES,
    help="Language of the HTML; repeatable. Default: all.",
)  # fmt: skip
@click.option(
    "--format", "formats", type=click.Choice(FORMATS), multiple=True, default=FORMATS,
    help="Format; repeatable. Default: all.",
)  # fmt: skip
@arguments.as_of_option(default="now")
@click.option(
    "--compare", metavar="T", help="List figures restated since this instant. Default: since the last report."
)
@click.option("-o", "--output", "directory", required=True, metavar="DIR", help="Write the files here.")
@click.option(
    "--note",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help=f"The facility's own response: plain text in UTF-8, at most {NOTE_CHARACTERS:,} characters.",
)
@click.option(
    "--publish",
    is_flag=True,
    help="Record in the ledger that this report was published. Writes to the ledger.",
)
def report_command(
    window: str | None,
    languages: tuple[str, ...],
    formats: tuple[str, ...],
    then: str,
    compare: str | None,
    directory: str,
    note: Path | None,
    publish: bool,
) -> None:
    """Write the governance report of a window, for readers outside the facility; it names no persons.

    The same --as-of gives the same files, byte for byte. After --publish, later reports list the figures
    restated since this one, and this report is made with the same response without --note.
    """
    if publish and compare:
        raise click.UsageError("--publish compares with the last published report; leave out --compare")
    response = None if note is None else _response(note)
    place = checked_directory(Path(directory))  # before anything is published
    with opened_books(LONG) as (config, ledger):
        known = arguments.asked_instant(config, then)
        where = arguments.asked_window(config, window, None, None, known)
        compared = arguments.asked_instant(config, compare) if compare else None
        arguments.check_known(ledger, known, compared)
        if publish:
            question.begin_terms(config, ledger, now(), current_actor())
        asked = question.ask(config, ledger, where, then=known)
        if response:
            arguments.warn_of_names(ledger, response)
        report = gather.gather_report(asked, compared, response)
        anew = gather.published_anew(asked, response) if publish else None
        proposal = anew and _publish(config, ledger, anew, report.note)
        name, fingerprint = report.measurement.window.name, pages.value(report)["fingerprint"]["sha256"]
        report = replace(report, head=ledger.publishing.head(name, known, fingerprint))
    files = [write_text(place, *file) for file in _files(config, report, languages, formats)]
    waiting = {} if proposal is None else {"proposal": proposal}
    value = {"files": files, "fingerprint": fingerprint, **waiting}
    sentences = [f"wrote {file}" for file in files]
    if publish and proposal is None:
        sentences.append(f"published the report of {name} as of {output.when(known)}")
    output.reply(value, *sentences)


def _response(file: Path) -> str:
    """The text of a response. Raises UsageError."""
    try:
        with file.open("rb") as opened:
            content = opened.read(NOTE_BYTES + 1)
        if len(content) > NOTE_BYTES:
            raise click.UsageError(
                f"--note: {file} is too long; write at most {NOTE_CHARACTERS:,} characters"
            )
        text = content.decode("utf-8").replace("\r\n", "\n").strip()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"--note: {file} is not text in UTF-8; save it as UTF-8") from error
    except OSError as error:
        raise SafError(f"cannot read {file}: {error.strerror}") from error
    if not 0 < len(text) <= NOTE_CHARACTERS:
        raise click.UsageError(
            f"--note: {file} has {len(text):,} characters; write at least 1 and at most {NOTE_CHARACTERS:,}"
        )
    return text


def _files(
    config: Config, report: Report, languages: tuple[str, ...], formats: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """(name, text) of each file."""
    window = report.measurement.window.name.replace(":", "-")
    name = f"{config.cluster.name}-{window}"
    if "html" in formats:
        for code in languages:
            yield f"{name}.{code}.html", pages.report_html(report, code, config.codes(()).municipalities)
    if "csv" in formats:
        yield f"{name}.csv", pages.as_csv(report)
    if "json" in formats:
        yield f"{name}.json", pages.report_json(report)


def _publish(config: Config, ledger: Ledger, report: Published, note: str | None) -> int | None:
    """Publish the report, or propose it if a second person must approve; then the proposal's number."""
    if not config.approval.publications:
        ledger.publishing.publish(report, at=now(), actor=current_actor())
        return None
    content = {
        "window": report.window, "as_of": report.as_of, "fingerprint": report.fingerprint, "note": note,
    }  # fmt: skip
    act = {"at": now(), "actor": current_actor(), "reason": ""}
    return propose(ledger, ProposalKind.PUBLICATION, content, act)
