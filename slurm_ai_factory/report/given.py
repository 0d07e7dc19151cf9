"""Earlier reports: which of them can be compared with a report, and the sums that they disclosed.

The rule: windows are cut wherever a published window begins or ends, so that a year and its quarters consist
of the same pieces. A piece that was corrected between two reports is a different piece in the second.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from slurm_ai_factory.core.programme.suppression import PartSum
from slurm_ai_factory.core.records import Interval
from slurm_ai_factory.core.rules.classify import Beneficiary, PromisedTo
from slurm_ai_factory.question import Reached
from slurm_ai_factory.report.tables import WindowPiece, lines, members, promised_sum, tables, totals

ReadReached = Callable[[Interval], Sequence[Reached]]
"""Interval -> who got what in it, as a report knew it."""

Document = Mapping[str, Any]
"""The content of a report; empty where it was not kept."""


class Given(NamedTuple):
    """A window in an earlier report."""

    interval: Interval
    document: Document | None  #: None if the report had only the share of the window
    read: ReadReached
    promised: Collection[PromisedTo] = ()  #: whose charge the figures of its further promises disclosed


class Sums(NamedTuple):
    """The sums that a report disclosed."""

    totals: Sequence[PartSum] = ()  #: never suppressed
    lines: Sequence[PartSum] = ()


class Known(NamedTuple):
    """The pieces of a window, and the sums that its readers know already."""

    pieces: Sequence[WindowPiece]
    sums: Sequence[PartSum]
    totals: Sequence[PartSum]  #: those of the sums that are never suppressed


def known_before(
    interval: Interval,
    read: ReadReached,
    given: Iterable[Given],
    sums: Callable[[Sequence[WindowPiece], Given], Sums],
) -> Known:
    """The pieces of an interval, and the ``sums`` of earlier reports that can be compared with it."""
    near = connected(interval, given)
    ends = [window.interval for window in near]
    disclosed = [sums(_pieces(window.interval, ends, window.read), window) for window in near]
    totals = [total for sums_of in disclosed for total in sums_of.totals]
    lines = [line for sums_of in disclosed for line in sums_of.lines]
    return Known(_pieces(interval, ends, read), [*totals, *lines], totals)


def _pieces(interval: Interval, others: Collection[Interval], read: ReadReached) -> list[WindowPiece]:
    return [WindowPiece(piece, read(piece)) for piece in cut(interval, others)]


def connected(first: Interval, others: Iterable[Given]) -> list[Given]:
    """The windows that overlap the interval, or another such window; the others disclose nothing about it."""
    left, reached, overlapping = list(others), [first], list[Given]()

    def overlaps(interval: Interval) -> bool:
        return any(interval[0] < until and since < interval[1] for since, until in reached)

    while more := [window for window in left if overlaps(window.interval)]:
        left = [window for window in left if window not in more]
        reached = [window.interval for window in more]
        overlapping += more
    return overlapping


def cut(interval: Interval, others: Collection[Interval]) -> list[Interval]:
    """The pieces of an interval, cut wherever another one begins or ends in it.

    >>> cut((0, 4), [(0, 1), (3, 9)]), cut((5, 6), [(0, 4)])
    ([(0, 1), (1, 3), (3, 4)], [(5, 6)])
    """
    ends = {at for other in others for at in other if interval[0] < at < interval[1]}
    return list(pairwise([interval[0], *sorted(ends), interval[1]]))


def sums_of_charge(
    names: Mapping[str, bool], smallest: int, pieces: Sequence[WindowPiece], window: Given
) -> Sums:
    """The sums of charge that a report disclosed; if its tables were not kept, by the rule for one report."""
    document = window.document
    if document is None:
        return Sums([members(pieces, Beneficiary.REGIONAL), members(pieces, None)])
    if kept := document.get("tables"):
        rows = {name: _names(kept, name) for name in names}
    else:
        whole = [reached for piece in pieces for reached in piece.reached]
        rows = {table.name: [row.name for row in table.rows] for table in tables(whole, names, smallest)}
    promised = (promised_sum(pieces, who) for who in window.promised)
    return Sums(totals(pieces), [*lines(pieces, names, rows), *promised])


def sums_of_hours(names: Mapping[str, bool], pieces: Sequence[WindowPiece], window: Given) -> Sums:
    """The sums of hours of the expertise centre that a report disclosed of its own window."""
    document = window.document
    if document is None:
        return Sums()
    kept = document.get("expertise")
    rows = {name: _names(kept or {}, name) for name in names}
    return Sums(totals(pieces), lines(pieces, names, rows))


def _names(kept: Mapping[str, Any], table: str) -> list[str]:
    """The rows that a table of a report had; none where the report did not have the table."""
    return [row["name"] for row in kept[table]["rows"]] if table in kept else []


def sums_of_unmet(pieces: Sequence[WindowPiece], window: Given) -> Sums:
    """The unmet hours that a report disclosed; reports that were not kept always had them."""
    document = window.document
    hidden = document is None or (document and document["expertise"]["unmet_hours"] is None)
    return Sums() if hidden else Sums(lines=[members(pieces, Beneficiary.REGIONAL)])
