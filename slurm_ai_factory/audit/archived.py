"""Checks an archive of Parquet files: against the chain, against what was recorded, and against the ledger.

The rule: DuckDB opens a file only if it is byte for byte the one that was recorded, so it never meets a file
that was made to harm it. Needs ``duckdb`` from the optional extra ``archive``. Tested in
tests/cli/ledger/test_archive.py.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from slurm_ai_factory import question
from slurm_ai_factory.audit.parquet import MISSING
from slurm_ai_factory.audit.verification import Verified
from slurm_ai_factory.config import Config
from slurm_ai_factory.core.records import Charge, Window
from slurm_ai_factory.core.tres import Count
from slurm_ai_factory.errors import LedgerError, SafError
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.ledger.archives import TABLES, ArchivedFile, ArchivedMonth, Charges

DELIVERED = """
SELECT c.beneficiary, c.fraction, u.allocation_id, sum(u.delivered)
FROM read_parquet($usage, hive_partitioning = false) u
JOIN read_parquet($classifications, hive_partitioning = false) c
    ON c.subject = u.subject AND u.hour >= c.since AND u.hour < c.until
GROUP BY ALL
"""
COUNTS = "SELECT allocation_id, tres, count FROM read_parquet($allocations, hive_partitioning = false)"
ROWS = "SELECT count(*) FROM read_parquet($file, hive_partitioning = false)"
LIMITS = {
    "memory_limit": "1GB",
    "threads": 2,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}

PLACES = 16
"""Decimals of a charge: 10 of a count of TRES, and 6 of a fraction."""


class UnreadableArchiveError(SafError):
    """A file of an archive cannot be read; archive the month again."""


def files_of(directory: Path, cluster: str, month: str) -> dict[str, Path]:
    """The file of each table. Raises LedgerError for a cluster whose name cannot be that of a directory."""
    if not re.fullmatch(r"[\w-][\w.-]*", cluster, re.ASCII):
        raise LedgerError(f"cluster {cluster} cannot be archived: its name cannot be that of a directory")
    part = f"cluster={cluster}/month={month}"
    return {table: directory / table / part / f"{table}.parquet" for table in TABLES}


def damage(file: Path, recorded: ArchivedFile) -> str:
    """How a file differs from the one that was recorded; empty where it does not.

    The file is not read further than that one went.
    """
    try:
        number = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    with open(number, "rb") as opened:  # noqa: PTH123 a descriptor
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            return "is not a regular file"
        if status.st_size != recorded.bytes:
            return f"has {status.st_size} bytes instead of {recorded.bytes}"
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return "" if digest == recorded.sha256 else "was altered: its SHA-256 is not the recorded one"


def verify_archive(
    config: Config, ledger: Ledger, directory: Path, months: Iterable[str] | None = None
) -> Iterator[Verified]:
    """The checks of an archive below a directory: of some months, else of all that were archived.

    No file is opened where the records of archives differ from the chain. Raises LedgerError, SafError.
    """
    yield Verified("chain", *ledger.chain.walked())
    records = ledger.chain.rows_of("archives")
    first = f"record {records.first} was changed, so no file was opened; run saf ledger verify"
    yield Verified("records", records.rows, records.differing, first if records.differing else "")
    if records.differing:
        return
    recorded = ledger.archives.months()
    if unknown := sorted(set(months or ()) - recorded.keys()):
        raise LedgerError(
            f"{unknown[0]} was never archived; archive it: "
            f"saf ledger archive --month {unknown[0]} --to DIRECTORY"
        )
    cluster = ledger.accounting.cluster
    for name in sorted(months or recorded):
        yield from _month(config, ledger, recorded[name], files_of(directory, cluster, name))
    if months is None:
        known = {file for name in recorded for file in files_of(directory, cluster, name).values()}
        there = {
            file for table in TABLES for file in (directory / table / f"cluster={cluster}").rglob("*.parquet")
        }
        strange = sorted(there - known)
        first = f"{strange[0]} was never archived from this ledger; move it away" if strange else ""
        yield Verified("other files", len(there), len(strange), first)


def _month(
    config: Config, ledger: Ledger, month: ArchivedMonth, files: Mapping[str, Path]
) -> Iterator[Verified]:
    """The files of a month, then what they add up to, then the ledger as known when it was archived."""
    remedy = "copy it back from a backup, or archive the month again"
    damaged = {table: damage(files[table], month.files[table]) for table in TABLES}
    wrong = [f"{files[table]} {what}; {remedy}" for table, what in damaged.items() if what]
    yield Verified(f"{month.month} files", len(TABLES), len(wrong), wrong[0] if wrong else "")
    if wrong:
        return
    different = difference(month, files)
    yield Verified(f"{month.month} contents", len(TABLES), int(bool(different)), different)
    asked = question.ask(
        config, ledger, Window(month.month, month.since, month.until), then=month.as_of, moment=month.as_of
    ).over((month.since, month.until))
    wrong = []
    for tres, sides in month.charges.items():
        now = sum(
            (Fraction(group.delivered) for group in asked.groups(lambda *_: ("",), {tres: 1})), Fraction()
        )
        if now != sum(map(Fraction, sides.values())):
            wrong.append(f"the ledger's {tres} of {month.month} is {now} TRES-seconds; run saf ledger verify")
    yield Verified(f"{month.month} ledger", len(month.charges), len(wrong), wrong[0] if wrong else "")


def difference(month: ArchivedMonth, files: Mapping[str, Path]) -> str:
    """How the rows of a month's files differ from what is recorded of them; empty where they do not."""
    try:
        for table, file in files.items():
            with _opened() as connection:
                (rows,) = connection.execute(ROWS, {"file": str(file)}).fetchone() or (0,)
            if rows != month.files[table].rows:
                return f"{file} has {rows} rows instead of {month.files[table].rows}"
        charges = charges_of(files)
    except UnreadableArchiveError as error:
        return str(error)
    for tres in sorted(charges.keys() | month.charges.keys()):
        mine, theirs = charges.get(tres, {}), month.charges.get(tres, {})
        if mine != dict(theirs):
            return f"{tres} adds up to {_sides(mine)} in the files, and to {_sides(theirs)} in the ledger"
    return ""


def charges_of(files: Mapping[str, Path]) -> Charges:
    """What a month's files add up to: seconds in DuckDB, then multiplied exactly. Raises SafError."""
    names = {table: str(file) for table, file in files.items()}
    with _opened() as connection:
        of_usage = {table: names[table] for table in ("usage", "classifications")}
        seconds = connection.execute(DELIVERED, of_usage).fetchall()
        counted = connection.execute(COUNTS, {"allocations": names["allocations"]}).fetchall()
    counts: dict[int, list[tuple[str, Fraction]]] = {}
    for allocation, tres, count in counted:
        counts.setdefault(allocation, []).append((tres, Fraction(count)))
    charges: dict[str, dict[str, Fraction]] = {}
    for side, fraction, allocation, delivered in seconds:
        for tres, count in counts.get(allocation, ()):
            sides = charges.setdefault(tres, {})
            sides[side] = sides.get(side, Fraction()) + Fraction(fraction) * delivered * count
    return {
        tres: {side: exact_text(charge) for side, charge in sides.items() if charge}
        for tres, sides in charges.items()
    }


def weighed(charges: Charges, weights: Mapping[str, Count]) -> dict[str, Fraction]:
    """The charge of each beneficiary in a resource, in resource-seconds."""
    sums: dict[str, Fraction] = {}
    for tres, weight in weights.items():
        for side, charge in charges.get(tres, {}).items():
            sums[side] = sums.get(side, Fraction()) + Fraction(charge) * Fraction(weight)
    return {side: charge for side, charge in sums.items() if charge}


@contextmanager
def _opened() -> Iterator[Any]:
    """DuckDB, in memory. Raises SafError where it is not installed, or cannot read a file."""
    duckdb = _duckdb()
    try:
        with duckdb.connect(":memory:", config=LIMITS) as connection:
            yield connection
    except (duckdb.Error, TypeError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise UnreadableArchiveError(f"a file cannot be read as one of an archive: {why}") from error


def _sides(charges: Mapping[str, str]) -> str:
    return ", ".join(f"{side} {charge}" for side, charge in sorted(charges.items())) or "0"


def exact_text(charge: Charge | Fraction) -> str:
    """A charge as it is recorded: a decimal number with all of its digits.

    >>> exact_text(Fraction(5, 2)), exact_text(1200), exact_text(Fraction(1, 10))
    ('2.5', '1200', '0.1')
    """
    whole, rest = divmod(int(Fraction(charge) * 10**PLACES), 10**PLACES)
    return f"{whole}.{rest:0{PLACES}}".rstrip("0").rstrip(".")


def _duckdb() -> Any:
    """DuckDB. Raises SafError where it is not installed."""
    try:
        import duckdb
    except ImportError:
        raise SafError(MISSING) from None
    return duckdb
