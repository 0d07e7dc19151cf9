"""Parquet files, written whole or not at all, in bounded memory.

Needs ``pyarrow`` from the optional extra ``archive``. Tested in tests/cli/ledger/test_archive.py and
tests/cli/ledger/test_export.py.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from slurm_ai_factory.core.rules.classify import DETAILS
from slurm_ai_factory.errors import SafError
from slurm_ai_factory.ledger.archives import ArchivedFile

MISSING = "Parquet needs pyarrow and duckdb; run in the checkout: pip install '.[archive]'"

ROWS_AT_ONCE = 65_536
"""Rows of Python that are converted at once."""

TEXT, WHOLE, INDEX, FRACTION, COUNT, CHARGE = "text", "whole", "index", "fraction", "count", "charge"
"""Types of columns. An instant is WHOLE, in seconds since the epoch; DBIndex does not fit that."""

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "runs": {
        "db_index": INDEX, "job_id": WHOLE, "subject": WHOLE, "account": TEXT, "partition": TEXT, "qos": TEXT,
        "state": TEXT, **dict.fromkeys(("submit_at", "eligible_at", "start_at", "end_at"), WHOLE),
        **dict.fromkeys(("elapsed_seconds", "suspended_seconds", "req_id", "alloc_id"), WHOLE),
        **dict.fromkeys(("energy_joules", "recorded_at", "missing_since", "superseded_at"), WHOLE),
    },
    "usage": dict.fromkeys(("hour", "subject", "allocation_id", "delivered", "waiting"), WHOLE),
    "classifications": {
        "subject": WHOLE, "account": TEXT, "partition": TEXT, "qos": TEXT, "part": WHOLE, "since": WHOLE,
        "until": WHOLE, "fraction": FRACTION, "beneficiary": TEXT, "rule": TEXT,
        **dict.fromkeys(DETAILS, TEXT), "access": TEXT, "promises": TEXT,
    },
    "allocations": {"allocation_id": WHOLE, "tres": TEXT, "count": COUNT},
}  # fmt: skip
"""Columns of each file of an archived month, with their types, in the order of its query."""

Writer = Callable[[Any], None]


def write_csv_blocks(file: Path, columns: Mapping[str, str], blocks: Iterable[bytes]) -> int:
    """Write blocks of CSV, each of whole rows, into a new file; how many rows. Raises SafError."""
    csv, schema = _pyarrow("csv"), _schema(columns)
    read = csv.ReadOptions(column_names=list(columns), use_threads=False)
    parse = csv.ParseOptions(newlines_in_values=True)
    convert = csv.ConvertOptions(
        column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    with _writer(file, schema) as write:
        count = 0
        for block in blocks:
            table = csv.read_csv(BytesIO(block), read, parse, convert)
            write(table)
            count += table.num_rows
    return count


def write_rows(file: Path, columns: Mapping[str, str], rows: Iterable[Sequence[object]]) -> int:
    """Write rows of values into a new file; how many. Raises SafError."""
    pa, schema, left = _pyarrow(), _schema(columns), iter(rows)
    with _writer(file, schema) as write:
        count = 0
        while batch := list(islice(left, ROWS_AT_ONCE)):
            columns_of = zip(zip(*batch, strict=True), schema.types, strict=True)
            write(
                pa.Table.from_arrays([pa.array(values, kind) for values, kind in columns_of], schema=schema)
            )
            count += len(batch)
    return count


def described(file: Path, rows: int) -> ArchivedFile:
    """A file as it is recorded."""
    with file.open("rb") as opened:
        return ArchivedFile(rows, file.stat().st_size, hashlib.file_digest(opened, "sha256").hexdigest())


def durable(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _writer(file: Path, schema: Any) -> Iterator[Writer]:
    """A function that adds a table to the file; at the end the file is on the disk. Raises SafError."""
    parquet = _pyarrow("parquet")
    try:
        with file.open("xb") as opened, parquet.ParquetWriter(opened, schema, compression="zstd") as writer:
            yield writer.write_table
    except _pyarrow().ArrowInvalid as error:
        raise SafError(
            f"a row of the ledger cannot be written to {file.name}: {error}; report this as a defect"
        ) from error
    durable(file)


def _schema(columns: Mapping[str, str]) -> Any:
    pa = _pyarrow()
    types = {
        TEXT: pa.string(), WHOLE: pa.int64(), INDEX: pa.decimal128(20, 0), FRACTION: pa.decimal128(7, 6),
        COUNT: pa.decimal128(29, 10), CHARGE: pa.decimal128(38, 16),
    }  # fmt: skip
    return pa.schema([(name, types[kind]) for name, kind in columns.items()])


def _pyarrow(module: str = "") -> Any:
    """pyarrow, or a module of it. Raises SafError where it is not installed."""
    try:
        import pyarrow
        from pyarrow import csv, parquet
    except ImportError:
        raise SafError(MISSING) from None
    return {"": pyarrow, "csv": csv, "parquet": parquet}[module]
