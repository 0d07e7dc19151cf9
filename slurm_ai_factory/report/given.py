"""What earlier reports told: which of them can be set against a report, and which sums they told.

The rule: windows are cut wherever one that was published begins or ends, so that a year and its quarters are
made of the same pieces. A piece that was corrected between two reports is another one in the second.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from slurm_ai_factory.core.programme.suppression import PartSum
from slurm_ai_factory.core.records import Interval
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.question import Reached
from slurm_ai_factory.report.tables import WindowPiece, lines, members, tables, totals

ReadReached = Callable[[Interval], Sequence[Reached]]
"""Who got what in an interval, as a report knew it."""

Document = Mapping[str, Any]
"""All that a report said of its own window; empty where that was not kept."""


class Given(NamedTuple):
    """A window that an earlier report told of."""

    interval: Interval
    document: Document | None  #: None where only the window's share was told
    read: ReadReached


class Sums(NamedTuple):
    """What a report told."""

    totals: Sequence[PartSum] = ()  #: whatever they rest on
    lines: Sequence[PartSum] = ()


class Known(NamedTuple):
    """What a window is made of, and what its readers know already."""

    pieces: Sequence[WindowPiece]
    sums: Sequence[PartSum]
    totals: Sequence[PartSum]  #: those of the sums that are shown whatever they rest on


def known_before(
    interval: Interval,
    read: ReadReached,
    given: Iterable[Given],
    sums: Callable[[Sequence[WindowPiece], Document | None], Sums],
) -> Known:
    """What an interval is made of, and the ``sums`` of earlier reports that can be set against it."""
    near = connected(interval, given)
    ends = [one.interval for one in near]
    told = [sums(_pieces(one.interval, ends, one.read), one.document) for one in near]
    totals, lines = ([one for found in told for one in found[at]] for at in range(2))
    return Known(_pieces(interval, ends, read), [*totals, *lines], totals)


def _pieces(interval: Interval, others: Collection[Interval], read: ReadReached) -> list[WindowPiece]:
    return [WindowPiece(piece, read(piece)) for piece in cut(interval, others)]


def connected(first: Interval, others: Iterable[Given]) -> list[Given]:
    """Those that share time with the interval, or with one of them; others add nothing to what follows."""
    left, reached, found = list(others), [first], list[Given]()
    while more := [one for one in left if any(_overlap(one.interval, known) for known in reached)]:
        left = [one for one in left if one not in more]
        reached = [one.interval for one in more]
        found += more
    return found


def _overlap(one: Interval, other: Interval) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def cut(interval: Interval, others: Collection[Interval]) -> list[Interval]:
    """The interval in pieces, cut wherever another begins or ends in it.

    >>> cut((0, 4), [(0, 1), (3, 9)]), cut((5, 6), [(0, 4)])
    ([(0, 1), (1, 3), (3, 4)], [(5, 6)])
    """
    ends = {at for one in others for at in one if interval[0] < at < interval[1]}
    return list(pairwise([interval[0], *sorted(ends), interval[1]]))


def sums_of_charge(
    names: Mapping[str, bool], smallest: int, pieces: Sequence[WindowPiece], document: Document | None
) -> Sums:
    """What a report told of a window's charge; where its tables were not kept, by the rule for one report."""
    if document is None:
        return Sums([members(pieces, Beneficiary.REGIONAL), members(pieces, None)])
    if said := document.get("tables"):
        rows = {name: [row["name"] for row in said[name]["rows"]] for name in names}
    else:
        whole = [one for piece in pieces for one in piece.reached]
        rows = {one.name: [row.name for row in one.rows] for one in tables(whole, names, smallest)}
    return Sums(totals(pieces), lines(pieces, names, rows))


def sums_of_hours(
    names: Mapping[str, bool], pieces: Sequence[WindowPiece], document: Document | None
) -> Sums:
    """What a report told of the hours of the expertise centre in its own window."""
    if document is None:
        return Sums()
    said = document.get("expertise")
    rows = {name: [row["name"] for row in said[name]["rows"]] if said else () for name in names}
    return Sums(totals(pieces), lines(pieces, names, rows))


def sums_of_unmet(pieces: Sequence[WindowPiece], document: Document | None) -> Sums:
    """What a report told of the hours that the region did not get; it always did before it kept itself."""
    hidden = document is None or (document and document["expertise"]["unmet_hours"] is None)
    return Sums() if hidden else Sums(lines=[members(pieces, Beneficiary.REGIONAL)])
