"""Workload logs as jobs: the Standard Workload Format, a CSV with a header, and what ``sacct -P`` prints.

Lines in, jobs out. A line that cannot be read raises ValueError with its number and what is wrong: a workload
with holes proves nothing. Records that cannot be replayed (steps, duplicates, an unknown run time) come out
as LeftOut, so that they can be reported.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias, TypeVar

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.records import Run
from slurm_ai_factory.simulation.workload import Job, LeftOut

SWF_COLUMNS = (
    "job", "submit", "wait", "run_time", "processors", "cpu_time", "memory", "requested_processors",
    "requested_time", "requested_memory", "status", "user", "group", "executable", "queue", "partition",
    "preceding_job", "think_time",
)  # fmt: skip
MINUTE = 60
CSV_COLUMNS = ("account", "user", "submit", "runtime_s")
SACCT_COLUMNS = ("Account", "Submit", "ElapsedRaw", "AllocTRES")
JOB_COLUMNS = ("JobIDRaw", "JobID", "job_id", "job")
"""Each names a job in one of the formats."""
UNSET = frozenset(("", "-1", "Unknown", "None", "UNLIMITED", "Partition_Limit"))
TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}
NO_START_TIME = frozenset(("", "-1", "unknown", "none", "n/a"))
MOST = 2**32
"""Slurm's own numbers and instants have 32 bits."""
LONGEST_LINE = 2**20
"""Characters; a longer line does not come from a log."""

STEP = LeftOut("steps, whose charge is in their jobs")
PARTIAL = LeftOut("partial executions (SWF status 2 to 4), whose charge is in their jobs")
AGAIN = LeftOut("the same job once more")
NO_RUN_TIME = LeftOut("run time unknown", charge=None)

Row: TypeAlias = Mapping[str, str]
T = TypeVar("T")


def read_jobs(lines: Iterable[str]) -> Iterator[Job | LeftOut]:
    """The jobs of a log, in the format its first line shows. Raises ValueError for an unreadable line."""
    return _each(lines, _jobs)


def _each(lines: Iterable[str], begun: Callable[[str], Callable[[str], T | None]]) -> Iterator[T]:
    """What the reader, made by ``begun`` from the first line, finds in each line; blank lines are skipped."""
    reader = None
    for number, line in enumerate(lines, 1):
        value = None
        with _telling(number, line):
            if text := _text(number, line):
                reader = reader or begun(text)
                value = reader(text)
        if value is not None:
            yield value
    if reader is None:
        raise ValueError("the file is empty")


def _text(number: int, line: str) -> str:
    """The line without its end, empty where it is blank."""
    if len(line) >= LONGEST_LINE:
        raise ValueError(f"longer than {LONGEST_LINE} characters; this is no log, or it is damaged")
    if wrong := re.search("[\0\ud800-\udfff]", line):
        what = "a NUL byte" if wrong[0] == "\0" else "a byte that is not UTF-8"
        raise ValueError(f"{what}; the file is damaged, or to be converted with iconv")
    text = (line.removeprefix("\ufeff") if number == 1 else line).rstrip("\r\n")
    return text if text.strip(" \t") else ""


class _telling:  # noqa: N801 - reads as a word
    """Adds the number and the beginning of a line to what is wrong with it."""

    def __init__(self, number: int, line: str) -> None:
        self.number, self.line = number, line

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError):
            shown = self.line[:160].strip()[:80]
            raise ValueError(f"line {self.number}: {str(error)[:160]}: {shown!r}") from error


def _jobs(header: str) -> Callable[[str], Job | LeftOut | None]:
    """The function that reads a line of the log with this first line."""
    row_of, convert = _format(header)
    seen: dict[tuple[str, str, int], int] = {}

    def job(line: str) -> Job | LeftOut | None:
        row = row_of(line)
        return None if row is None else _once(seen, row, convert(row))

    return job


def _format(first: str) -> tuple[Callable[[str], Row | None], Callable[[Row], Job | LeftOut]]:
    """The two functions that make a row of a line, and a job of a row."""
    if first.lstrip().startswith(";") or len(first.split()) == len(SWF_COLUMNS) or _NUMBERS.fullmatch(first):
        return _Swf().row, _of_swf
    if "|" in first or set(re.findall("[A-Za-z]+", first)).intersection(SACCT_COLUMNS):
        delimiter = re.search("[^A-Za-z]+", first)
        split = partial(str.split, sep=delimiter[0] if delimiter else "|")
        return _table(first, split, SACCT_COLUMNS), _of_sacct
    return _table(first, _cells, CSV_COLUMNS), _of_csv


_NUMBERS = re.compile(r"[-+.\d\s]+")


def _once(seen: dict[tuple[str, str, int], int], row: Row, job: Job | LeftOut) -> Job | LeftOut:
    """The job, or AGAIN for a duplicate. Raises ValueError for a duplicate with other figures.

    slurmdbd's own key of a run is its job and its submission: a requeued or resized job has several.
    """
    name = next((row[column] for column in JOB_COLUMNS if row.get(column, "") not in UNSET), None)
    if name is None or isinstance(job, LeftOut):
        return job
    key = row.get("Cluster", ""), name, job.submit
    if key not in seen:
        seen[key] = hash(job)
        return job
    if seen[key] != hash(job):
        raise ValueError(f"job {name} is listed twice with the same submission but other figures; remove one")
    return AGAIN


class _Swf:
    """Feitelson's Standard Workload Format 2.2: 18 numbers a line, comments after a semicolon."""

    began = ""

    def row(self, line: str) -> Row | None:
        """A job's numbers, and UnixStartTime where the header has it."""
        if not line.lstrip().startswith(";"):
            return {**_row(SWF_COLUMNS, line.split()), "UnixStartTime": self.began}
        name, _, value = line.lstrip("; \t").partition(":")
        if name.strip() == "UnixStartTime":
            unknown = value.strip().lower() in NO_START_TIME
            self.began = "" if unknown else str(_whole("UnixStartTime", value))
        return None


def _of_swf(row: Row) -> Job | LeftOut:
    """A job of a row of SWF: its group is the account, -1 is unknown, times count from UnixStartTime or 0."""
    job = Job(
        account=_number_or_unknown(row, "group"), user=_number_or_unknown(row, "user"),
        submit=_within("submit", _count(row, "UnixStartTime") + _count(row, "submit")),
        runtime=_count(row, "run_time"), limit=_count(row, "requested_time"),
        cpus=_count(row, "processors") or _count(row, "requested_processors"),
        partition=_number_or_unknown(row, "partition"),
    )  # fmt: skip
    if row["status"] in ("2", "3", "4"):
        return PARTIAL
    if row["run_time"] in UNSET:
        return NO_RUN_TIME
    return job.left_out("submission unknown") if row["submit"] in UNSET else job


def _number_or_unknown(row: Row, column: str) -> str:
    return row[column] if row[column] in UNSET else str(_whole(column, row[column]))


def _table(
    header: str, split: Callable[[str], list[str]], wanted: tuple[str, ...]
) -> Callable[[str], Row | None]:
    """The function that makes a row of a line by the header's names; it skips the header of a joined log."""
    names = [name.strip() for name in split(header)]
    if missing := [column for column in wanted if column not in names]:
        raise ValueError(f"no column {missing[0]!r}; the columns {', '.join(wanted)} are required")
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise ValueError(f"column {twice[0]!r} is there twice")
    return lambda line: None if line == header else _row(names, split(line))


def _row(names: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    if len(cells) != len(names):
        raise ValueError(f"{len(cells)} columns instead of {len(names)}")
    return dict(zip(names, cells, strict=True))


def _cells(line: str) -> list[str]:
    """The cells of a line of CSV, read alone: an open quote would swallow the next lines."""
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise ValueError(f"not a line of CSV ({error})") from error


def _of_csv(row: Row) -> Job | LeftOut:
    """A job of a row of CSV: spans in seconds; missing or empty counts and limits are 0."""
    job = Job(
        account=row["account"], user=row["user"], submit=_instant("submit", row["submit"]),
        runtime=_count(row, "runtime_s"), limit=_count(row, "timelimit_s"), cpus=_count(row, "cpus"),
        gpus=_count(row, "gpus"), nodes=_count(row, "nodes"), partition=row.get("partition", ""),
    )  # fmt: skip
    return NO_RUN_TIME if row["runtime_s"].strip() in UNSET else job


def _of_sacct(row: Row) -> Job | LeftOut:
    """An allocation, as ``sacct -X`` prints it. Without -X sacct also prints steps, which are left out."""
    names = [row[column] for column in JOB_COLUMNS if column in row]
    if any("." in name for name in names):
        return STEP
    if not names and not row.get("User"):
        raise ValueError("this may be a step: JobID and User are missing; add JobID to the fields of sacct")
    cpus, gpus, nodes = _counts(row["AllocTRES"])
    job = Job(
        account=row["Account"], user=row.get("User", ""), submit=_instant("Submit", row["Submit"]),
        runtime=_count(row, "ElapsedRaw"), limit=min(MOST, _count(row, "TimelimitRaw") * MINUTE),
        cpus=cpus, gpus=gpus, nodes=nodes, partition=row.get("Partition", ""),
    )  # fmt: skip
    if row["ElapsedRaw"].strip() in UNSET:
        return NO_RUN_TIME
    return job.left_out("ran, but has no Start") if job.runtime and row.get("Start", "0") in UNSET else job


def of_run(run: Run) -> Job | LeftOut:
    """A run of the ledger. The ledger has no time limits: each limit is the run's own time.

    Raises ValueError for numbers that no cluster has.
    """
    cpus, gpus, nodes = _counts(run.alloc_tres)
    submitted = (at for at in (run.eligible_at, run.submit_at, run.start_at) if at is not None)
    job = Job(
        account=run.subject.account, user=run.subject.user, submit=next(submitted, 0),
        runtime=run.elapsed_seconds if run.start_at is not None else 0, limit=0,
        cpus=cpus, gpus=gpus, nodes=nodes, partition=run.subject.partition,
    )  # fmt: skip
    return job if run.end_at is not None else job.left_out("still running")


def _counts(alloc_tres: str) -> list[int]:
    """CPUs, GPUs and nodes. GPUs are the total, or the sum of the types where only types are listed."""
    counts = tres.parse_tres(alloc_tres)
    typed = sum(count for name, count in counts.items() if name.startswith("gres/gpu:"))
    gpus = counts.get("gres/gpu", typed)
    counted = {"cpu": counts.get("cpu", 0), "gres/gpu": gpus, "node": counts.get("node", 0)}
    return [_within(name, count) for name, count in counted.items()]


def _count(row: Row, column: str) -> int:
    """A number of seconds or of things, 0 where there is none."""
    text = row.get(column, "").strip()
    return 0 if text in UNSET else _whole(column, text)


def _whole(column: str, text: str) -> int:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{column} is not a number") from None
    return _within(column, number)


def _within(column: str, number: float | tres.Count) -> int:
    if not 0 <= number <= MOST:  # NaN is not, either
        raise ValueError(f"{column} is not between 0 and {MOST}")
    return int(number)


def _instant(column: str, text: str) -> int:
    """Seconds since the epoch, or ISO 8601, which is in UTC where it has no offset."""
    try:
        if set("T:").intersection(text):
            at = datetime.fromisoformat(text)
            seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        else:
            seconds = float(text)
    except ValueError:
        raise ValueError(f"{column} is neither seconds since the epoch nor ISO 8601") from None
    return _within(column, seconds)


def regional_accounts(lines: Iterable[str], column: str = "regional") -> frozenset[str]:
    """The accounts that a CSV of (account, regional) calls regional. Raises ValueError for anything else."""
    return frozenset(account for account, regional in _each(lines, partial(_sides, column)) if regional)


def promise_accounts(lines: Iterable[str], names: Collection[str]) -> dict[str, frozenset[str]]:
    """The promises to each account, from a CSV of (account, promise); an account may have several rows.

    Raises ValueError for a promise that is not one of ``names``, and for anything else that is no such table.
    """
    accounts: dict[str, frozenset[str]] = {}
    for account, promise in _each(lines, partial(_promised, names)):
        accounts[account] = accounts.get(account, frozenset()) | {promise}
    return accounts


def _promised(names: Collection[str], header: str) -> Callable[[str], tuple[str, str] | None]:
    """The function that reads (account, promise) from a line below this header."""
    row_of = _table(header, _cells, ("account", "promise"))

    def promised(line: str) -> tuple[str, str] | None:
        if (row := row_of(line)) is None:
            return None
        if (name := row["promise"].strip()) not in names:
            raise ValueError(f"no --promise is named {name!r}; there are {', '.join(names)}")
        return row["account"], name

    return promised


def _sides(column: str, header: str) -> Callable[[str], tuple[str, bool] | None]:
    """The function that reads (account, whether it is regional) from a line below this header."""
    row_of = _table(header, _cells, ("account", column))
    seen: dict[str, bool] = {}

    def side(line: str) -> tuple[str, bool] | None:
        if (row := row_of(line)) is None:
            return None
        account, text = row["account"], row[column]
        if (regional := TRUTH.get(text.strip().lower())) is None:
            raise ValueError(f"{text!r} is neither true nor false")
        if seen.setdefault(account, regional) != regional:
            raise ValueError(f"account {account} is on the other side in an earlier line")
        return account, regional

    return side
