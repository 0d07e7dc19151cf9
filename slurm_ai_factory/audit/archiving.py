"""Archives months of the ledger as Parquet, each month whole or not at all.

The rule: a month is recorded only once its files are on the disk under their names, and add up to what the
ledger has. A month that was archived is left alone, unless the ledger or its files changed. Tested in
tests/cli/ledger/test_archive.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from slurm_ai_factory import question
from slurm_ai_factory.audit import archived, parquet
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import Instant, Window
from slurm_ai_factory.errors import LedgerError, SafError
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.ledger.archives import TABLES, ArchivedMonth
from slurm_ai_factory.question import Question

BELOW = 4
"""A file is below that many folders of the archive: its month, cluster and table, and the archive itself."""


class Archiving(NamedTuple):
    """What became of a month."""

    month: str
    status: str  #: archived, copied (as recorded, because no file was there), repaired or unchanged
    as_of: Instant
    runs: int  #: with all their versions
    bytes: int


def months_before(config: Config, ledger: Ledger, before: Instant) -> list[Window]:
    """The months that end by an instant, from the first one that was read from its beginning on.

    Oldest first. Raises LedgerError.
    """
    zone, end, months = config.promise.time_zone, min(before, question.watermark(ledger)), list[Window]()
    never_read = ledger.accounting.gaps(0, end)[:1]
    first = begun = never_read[0][1] if never_read and never_read[0][0] == 0 else 0
    while (month := windows.window("month", first, zone)).until <= end:
        if month.since >= begun:
            months.append(month)
        first = month.until
    return months


def archive_month(
    config: Config, ledger: Ledger, month: Window, directory: Path, *, at: Instant, actor: str
) -> Archiving:
    """Archive a month below a directory, and record it. Raises LedgerError, SafError.

    Without a change since it was archived last, nothing is written.
    """
    question.watermark(ledger)
    with ledger.store.holding("archiving", ledger.archives.cluster_id):
        asked = question.ask(config, ledger, month, then=ledger.archives.known_up_to(), moment=at)
        asked = asked.over((month.since, month.until))  # the whole month, whatever its terms
        _check_closed(asked, month.name)
        before = ledger.archives.months().get(month.name)
        files = archived.files_of(directory, ledger.accounting.cluster, month.name)
        intact = before is not None and not any(
            archived.damage(files[name], before.files[name]) for name in TABLES
        )
        if before and intact and before.rules == asked.rules.digest and not ledger.archives.changed(before):
            return _archiving(before, "unchanged")
        status = "repaired" if any(map(Path.exists, files.values())) else "copied"
        with _parts(files) as parts:
            made = _written(asked, month.name, parts)
            if before and made.files == before.files and intact:
                return _archiving(before, "unchanged")
            for name in TABLES:
                parts[name].replace(files[name])
                for folder in files[name].parents[:BELOW]:
                    parquet.durable(folder)
        if before and made.files == before.files:
            return _archiving(before, status)
        ledger.archives.record(made, at=at, actor=actor)
        return _archiving(made, "archived")


def _archiving(month: ArchivedMonth, status: str) -> Archiving:
    size = sum(file.bytes for file in month.files.values())
    return Archiving(month.month, status, month.as_of, month.files["runs"].rows, size)


def _check_closed(asked: Question, month: str) -> None:
    """Raise LedgerError unless the month is over and all of it was read."""
    if asked.moment < asked.window.until or asked.read_until < asked.window.until:
        raise LedgerError(
            f"{month} is not over, or not read to its end; archive it after the next cycle that reads it"
        )
    if gaps := asked.ledger.accounting.gaps(asked.window.since, asked.window.until, asked.then):
        raise LedgerError(
            f"{month} was not read completely; read the rest first: saf backfill -S {windows.iso(gaps[0][0])}"
        )


@contextmanager
def _parts(files: Mapping[str, Path]) -> Iterator[Mapping[str, Path]]:
    """Where to write each file before it has its name; nothing is left of them. Raises SafError."""
    parts = {name: file.with_name(f".{file.name}.part") for name, file in files.items()}
    try:
        try:
            for part in parts.values():
                part.parent.mkdir(parents=True, exist_ok=True)
                part.unlink(missing_ok=True)
            yield parts
        finally:
            for part in filter(Path.exists, parts.values()):
                part.unlink()
    except OSError as error:
        where = files[TABLES[0]].parents[BELOW - 1]
        raise SafError(
            f"cannot write the archive in {where}: {error.strerror or error}; then run it again"
        ) from error


def _written(asked: Question, name: str, parts: Mapping[str, Path]) -> ArchivedMonth:
    """The files of a month in their places, and what they add up to. Raises LedgerError."""
    ledger, interval = asked.ledger, (asked.window.since, asked.window.until)
    with asked.books() as books:
        values = ledger.archives.prepare(books, interval, asked.read_until)
        files = {
            table: parquet.described(
                parts[table],
                parquet.write_csv_blocks(
                    parts[table], parquet.COLUMNS[table], ledger.archives.rows(table, values)
                ),
            )
            for table in TABLES
        }
        charges = archived.charges_of(parts)
        weights = asked.config.promise.resource.weights
        own = {
            str(group.beneficiary): Fraction(group.delivered)
            for group in asked.groups(lambda *_: ("",), weights)
        }
    if own != archived.weighed(charges, weights):
        raise LedgerError(
            f"{name} was not archived: its files and the ledger have different charges; run saf ledger verify"
        )
    return ArchivedMonth(name, *interval, asked.known_at, asked.rules.digest, files, charges)
