"""What a fault did, from what Slurm and the ledger say afterwards, and the table of all of them.

Rule: nothing of the product is asked what it did; runs are compared as sacct prints them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

FIELDS = "DBIndex,JobIDRaw,State,Start,End,ElapsedRaw,AllocTRES"
PAGE = """\
# Faults

`make faults` writes this page. It runs a real Slurm 22.05 on loopback with a live mix of jobs of 1 to 8
seconds, of regional and of national accounts; a dedicated PostgreSQL; `saf run` in mode `enforce` with a
period of {period} s, `slurm.timeout` {timeout} s and `ledger.timeout` {ledger} s; and an operator who sets
other RawShares every {every} s, so that there is always something to write. `make freeze` tests a leader
that is frozen in the middle of a write.

After each fault the test waits for the next complete cycle. It then compares every finished run with
`sacct -a -D -X`: number, state, start, end, seconds and TRES. A run is *lost* if `sacct` lists it and the
ledger does not have it, or has it differently, within {settle} s; it is *doubled* if the ledger has it and
`sacct` does not, or if the ledger charges it for longer. `saf ledger verify` must find nothing, every write
by `saf` that slurmdbd recorded must be in the ledger's history, and no change may stay `planned`.

*Back* is the time from the end of the fault to the next complete cycle. *Reported* is the time from its
beginning to its first mention in the log or the metrics. *Writes meanwhile* counts the writes by `saf` in
slurmdbd between that mention and the end of the fault, where none is allowed.

A line that appears twice counts once. Two faults go unnoticed by design: a missing half of `squeue`,
because half of the running jobs may have ended since the query of `sacct`; and a missing part of `sprio`,
which no decision uses.

| fault | n | lost | doubled | back (s) | reported (s) | reported how | writes meanwhile | held |
|---|---|---|---|---|---|---|---|---|
{rows}

{failed} of {tried} did not hold{colon}
{reasons}"""


SAME_MOMENT = 2
"""Seconds, of which slurmdbd's log has whole ones, between the last look at the shares and a write."""


class Run(NamedTuple):
    """A run that is over: everything that it is charged by."""

    job: str
    state: str
    start: str
    end: str
    elapsed: int
    tres: frozenset[str]


class Written(NamedTuple):
    """One change of the region's RawShares in slurmdbd's log."""

    at: int
    by_saf: bool
    raw_shares: int


class Told(NamedTuple):
    """The first word of a fault, and how long after its beginning."""

    seconds: float
    how: str


class Result(NamedTuple):
    """What one fault did, once."""

    fault: str
    lost: int = 0
    doubled: int = 0
    back: float | None = None  #: seconds
    told: Told | None = None
    said: str = ""  #: what was seen of it, beside what was told
    writes: int | None = None  #: while none may be made; None where they may
    broken: tuple[str, ...] = ()  #: what did not hold


def printed(answer: str) -> tuple[dict[int, Run], set[int]]:
    """sacct's answer of FIELDS: runs that are over by DBIndex, and every DBIndex.

    >>> over, known = printed("7|12|CANCELLED by 0|100|160|60|cpu=1\\n8|13|RUNNING|100|Unknown|60|cpu=1")
    >>> over[7].state, over[7].elapsed, sorted(over), sorted(known)
    ('CANCELLED', 60, [7], [7, 8])
    """
    rows = [line.split("|") for line in answer.splitlines()]
    over = {
        int(index): Run(job, state.split()[0], start, end, int(elapsed), frozenset(tres.split(",")))
        for index, job, state, start, end, elapsed, tres in rows
        if start.isdigit() and end.isdigit()
    }
    return over, {int(row[0]) for row in rows}


def lost(told: Mapping[int, Run], kept: Mapping[int, Run]) -> list[int]:
    """Runs that sacct has and the ledger has not, or otherwise."""
    return [index for index, run in told.items() if kept.get(index) != run]


def doubled(kept: Mapping[int, Run], told: Mapping[int, Run], known: Iterable[int]) -> list[int]:
    """Runs that the ledger has and sacct does not know, or charges for less long."""
    there = set(known)
    return [
        index
        for index, run in kept.items()
        if index not in there or (index in told and run.elapsed > told[index].elapsed)
    ]


def tres_seconds(run: Run) -> int:
    """The TRES-seconds of a run, of all TRES that are counted.

    >>> tres_seconds(Run("12", "COMPLETED", "100", "160", 60, frozenset({"cpu=2", "node=1", "mem=5M"})))
    180
    """
    counts = (one.partition("=")[2] for one in run.tres)
    return run.elapsed * sum(int(count) for count in counts if count.isdigit())


def outside(made: Sequence[Written], share: Callable[[int], float], slew: float, most: float) -> int:
    """Writes by saf that move the share by more than the slew, or above the most.

    A write may start from the value before an operator's of the same moment: Slurm cannot compare and set.
    """
    found = 0
    for number, one in enumerate(made):
        starts = [prior.raw_shares for prior in _starts(made, number)]
        unit = share(one.raw_shares + 1) - share(one.raw_shares)
        near = any(abs(share(one.raw_shares) - share(start)) <= slew + unit for start in starts)
        found += one.by_saf and bool(starts) and not (near and share(one.raw_shares) <= most + unit)
    return found


def interleaved(made: Sequence[Written], changes: Sequence[tuple[int, int]]) -> int:
    """Writes by saf of which no change in the ledger starts from the value that was there: two writers.

    ``changes`` are (before, after), oldest first, and a change is one write.
    """
    found, left = 0, Counter(changes)
    for number, one in enumerate(made):
        starts = [prior.raw_shares for prior in _starts(made, number)]
        if one.by_saf and starts:
            match = next((start for start in starts if left[start, one.raw_shares]), None)
            found += match is None
            left[match if match is not None else -1, one.raw_shares] -= 1
    return found


def _starts(made: Sequence[Written], number: int) -> Sequence[Written]:
    """What a write may have started from: what was there, and what an operator replaced meanwhile."""
    first = number - 1
    while first > 0 and not made[first].by_saf and made[number].at - made[first].at <= SAME_MOMENT:
        first -= 1
    return made[max(first, 0) : number]


def unrecorded(made: Iterable[str], recorded: Iterable[str]) -> list[str]:
    """RawShares that slurmdbd says were written and that no change in the ledger asked for."""
    return sorted((Counter(made) - Counter(recorded)).elements())


def lines(results: Sequence[Result]) -> Iterator[tuple[str, ...]]:
    """The table: one row for each fault, whatever its number of times."""
    for fault in dict.fromkeys(one.fault for one in results):
        of = [one for one in results if one.fault == fault]
        told = [one.told for one in of if one.told]
        held = sum(not one.broken for one in of)
        yield (
            fault,
            str(len(of)),
            str(sum(one.lost for one in of)),
            str(sum(one.doubled for one in of)),
            _span(one.back for one in of),
            _span(one.seconds for one in told),
            "; ".join(dict.fromkeys([*(one.said for one in of if one.said), *(one.how for one in told)]))
            or "-",
            str(sum(one.writes or 0 for one in of))
            if any(one.writes is not None for one in of)
            else "allowed",
            "yes" if held == len(of) else f"{held} of {len(of)}",
        )


def _span(values: Iterable[float | None]) -> str:
    """One figure, or the least and the most of several.

    >>> _span([1.25, None, 3.0]), _span([2.0]), _span([])
    ('1.2-3.0', '2.0', '-')
    """
    ends = sorted({f"{one:.1f}" for one in values if one is not None}, key=float)
    return "-".join(dict.fromkeys([*ends[:1], *ends[-1:]])) or "-"


def page(results: Sequence[Result], **facts: object) -> str:
    broken = [(one.fault, reason) for one in results for reason in one.broken]
    return PAGE.format(
        rows="\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in lines(results)),
        failed=sum(bool(one.broken) for one in results), tried=len(results), colon=":" if broken else ".",
        reasons="".join(f"\n- {fault}: {reason}" for fault, reason in broken), **facts,
    ).rstrip() + "\n"  # fmt: skip
