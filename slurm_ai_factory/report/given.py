"""What earlier reports told: which of them have to be looked at, and what they add up from.

The rule: windows are cut wherever one that was published begins or ends, so that a year and its quarters are
made of the same pieces. A piece that was corrected between two reports is another one in the second.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from slurm_ai_factory.core.records import Interval
from slurm_ai_factory.core.suppression import Sum
from slurm_ai_factory.report.tables import Piece, Reached

Read = Callable[[Interval], Sequence[Reached]]
"""Who got what in an interval, as a report knew it."""


class Earlier(NamedTuple):
    """A window that an earlier report told of."""

    interval: Interval
    document: dict[str, Any] | None  #: all that it said; None where it told the window's share alone
    read: Read


class Told(NamedTuple):
    """What a report is made of, and what its readers know already."""

    pieces: Sequence[Piece]
    given: Sequence[Sum]


def told_before(
    interval: Interval,
    read: Read,
    earlier: Iterable[Earlier],
    sums: Callable[[Sequence[Piece], dict[str, Any] | None], Iterable[Sum]],
) -> Told:
    """The pieces of an interval, and the ``sums`` that earlier windows told which can be set against it."""
    near = connected(interval, earlier)
    ends = [one.interval for one in near]
    given = [told for one in near for told in sums(_pieces(one.interval, ends, one.read), one.document)]
    return Told(_pieces(interval, ends, read), given)


def _pieces(interval: Interval, others: Collection[Interval], read: Read) -> list[Piece]:
    return [Piece(piece, read(piece)) for piece in cut(interval, others)]


def connected(first: Interval, others: Iterable[Earlier]) -> list[Earlier]:
    """Those that share time with the interval, or with one of them; others add nothing to what follows."""
    left, reached, found = list(others), [first], list[Earlier]()
    while more := [one for one in left if any(_overlap(one.interval, known) for known in reached)]:
        left = [one for one in left if one not in more]
        reached = [one.interval for one in more]
        found += more
    return found


def _overlap(one: Interval, other: Interval) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def cut(interval: Interval, others: Collection[Interval]) -> Sequence[Interval]:
    """The interval in pieces, cut wherever another begins or ends in it.

    >>> cut((0, 4), [(0, 1), (3, 9)]), cut((5, 6), [(0, 4)])
    ([(0, 1), (1, 3), (3, 4)], [(5, 6)])
    """
    ends = {at for one in others for at in one if interval[0] < at < interval[1]}
    return list(pairwise([interval[0], *sorted(ends), interval[1]]))
