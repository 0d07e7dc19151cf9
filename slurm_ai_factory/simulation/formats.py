"""Workload logs as jobs: the Standard Workload Format, a CSV with a header, and what ``sacct -P`` prints.

Lines in, jobs out. A line that cannot be read raises ValueError with its number and what was wrong: a
workload with holes proves nothing. Jobs that never ran are told with a run time of 0, and left out later.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.records import Run
from slurm_ai_factory.simulation.workload import Job

SWF_FIELDS = 18
MINUTE = 60
CSV_COLUMNS = ("account", "user", "submit", "runtime_s")
SACCT_COLUMNS = ("Account", "Submit", "ElapsedRaw", "AllocTRES")
UNSET = frozenset(("", "-1", "Unknown", "None", "UNLIMITED", "Partition_Limit"))


def read(lines: Iterable[str]) -> Iterator[Job]:
    """The jobs of a log, whose format its first line tells. Raises ValueError where it cannot be read."""
    given = iter(lines)
    first = next(given, "")
    whole = chain([first], given)
    if first.startswith(";") or len(first.split()) == SWF_FIELDS:
        return _swf(whole)
    if "|" in first or "\x1f" in first:
        return _table(whole, "|" if "|" in first else "\x1f", SACCT_COLUMNS, _of_sacct)
    return _table(whole, ",", CSV_COLUMNS, _of_csv)


def _swf(lines: Iterable[str]) -> Iterator[Job]:
    """Feitelson's Standard Workload Format 2.2: 18 numbers a line, comments after a semicolon.

    The group is taken for the account. Times count from UnixStartTime, where the header has it.
    """
    began = 0
    for number, line in enumerate(lines, 1):
        with _telling(number, line):
            if line.startswith(";"):
                name, _, value = line.lstrip("; ").partition(":")
                began = int(value) if name.strip() == "UnixStartTime" else began
            elif line.strip():
                yield _of_swf([float(word) for word in line.split()], began)


def _of_swf(row: list[float], began: int) -> Job:
    if len(row) != SWF_FIELDS:
        raise ValueError(f"{len(row)} numbers instead of {SWF_FIELDS}")
    processors = row[4] if row[4] > 0 else row[7]
    return Job(
        account=str(int(row[12])), user=str(int(row[11])), submit=began + int(row[1]),
        runtime=max(0, int(row[3])), limit=max(0, int(row[8])), cpus=max(0, int(processors)),
        partition=str(int(row[15])),
    )  # fmt: skip


class _telling:  # noqa: N801 - reads as a word
    """Adds the number and the beginning of a line to what is wrong with it."""

    def __init__(self, number: int, line: object) -> None:
        self.number, self.line = number, str(line)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError | KeyError | OverflowError | csv.Error):
            raise ValueError(f"line {self.number}: {error}: {self.line.strip()[:80]!r}") from error


def _table(
    lines: Iterable[str],
    delimiter: str,
    wanted: tuple[str, ...],
    convert: Callable[[Mapping[str, str]], Job],
) -> Iterator[Job]:
    """A table whose first line names the columns; a quote means something in a CSV only."""
    table = csv.DictReader(
        lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    )
    with _telling(1, ""):
        names = table.fieldnames or ()
    if missing := [column for column in wanted if column not in names]:
        raise ValueError(f"line 1: no column {missing[0]!r}; wanted are {', '.join(wanted)}")
    while True:
        with _telling(table.line_num + 1, ""):
            row = next(table, None)
        if row is None:
            return
        with _telling(table.line_num, delimiter.join(str(value) for value in row.values())):
            if None in row or None in row.values():
                raise ValueError(f"not the {len(names)} columns of the first line")
            yield convert(row)


def _of_csv(row: Mapping[str, str]) -> Job:
    """Times in seconds; columns that are not there or empty count as 0."""
    return Job(
        account=row["account"], user=row["user"], submit=int(row["submit"]), runtime=_count(row["runtime_s"]),
        limit=_count(row.get("timelimit_s")), cpus=_count(row.get("cpus")), gpus=_count(row.get("gpus")),
        nodes=_count(row.get("nodes")), partition=row.get("partition") or "",
    )  # fmt: skip


def _of_sacct(row: Mapping[str, str]) -> Job:
    """One allocation as sacct -X tells it; instants as seconds since the epoch or as ISO 8601 in UTC."""
    counts = tres.parse(row["AllocTRES"])
    return Job(
        account=row["Account"], user=row.get("User") or "", submit=_instant(row["Submit"]),
        runtime=_count(row["ElapsedRaw"]), limit=_count(row.get("TimelimitRaw")) * MINUTE,
        cpus=int(counts.get("cpu", 0)), gpus=int(counts.get("gres/gpu", 0)),
        nodes=int(counts.get("node", 0)), partition=row.get("Partition") or "",
    )  # fmt: skip


def of_run(run: Run) -> Job:
    """An ended run of the ledger. Time limits are not kept there: each is taken to be what the run took."""
    counts = tres.parse(run.alloc_tres)
    submitted = (at for at in (run.eligible_at, run.submit_at, run.start_at) if at is not None)
    return Job(
        account=run.subject.account, user=run.subject.user, submit=next(submitted, 0),
        runtime=run.elapsed_seconds if run.start_at is not None else 0, limit=0,
        cpus=int(counts.get("cpu", 0)), gpus=int(counts.get("gres/gpu", 0)),
        nodes=int(counts.get("node", 0)), partition=run.subject.partition,
    )  # fmt: skip


def _count(text: str | None) -> int:
    """A number of seconds or of things, 0 where there is none."""
    count = 0 if text is None or text in UNSET else int(float(text))
    if count < 0:
        raise ValueError(f"{text} is less than nothing")
    return count


def _instant(text: str) -> int:
    return int(text) if text.isdigit() else int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def regional_accounts(lines: Iterable[str], column: str = "regional") -> frozenset[str]:
    """The accounts that a CSV of (account, regional) calls regional. Raises ValueError for anything else."""
    table = csv.DictReader(lines)
    if missing := [name for name in ("account", column) if name not in (table.fieldnames or ())]:
        raise ValueError(f"line 1: no column {missing[0]!r}")
    found = set()
    for row in table:
        with _telling(table.line_num, row):
            if _truth(row[column]):
                found.add(row["account"])
    return frozenset(found)


def _truth(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}
    if text.strip().lower() not in words:
        raise ValueError(f"{text!r} is neither true nor false")
    return words[text.strip().lower()]
