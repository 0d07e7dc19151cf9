"""A small chart of the share against the floor for a terminal. Pure: values in, lines of text out.

The rule: it has exactly the given width and height. Without block characters it uses ASCII.
Tested in tests/monitor/test_terminal.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from slurm_ai_factory.core.measure.outlook import Point, percent_text

BLOCKS = " ▁▂▃▄▅▆▇█"
LETTERS = " #"
"""Cells from empty to full, filled from the bottom."""
MARGIN = 8
"""Width of the scale, in columns."""
STEP, ROOM = 0.05, 0.025
"""The shares at the edges are multiples of STEP, at least ROOM away from everything drawn."""


class DrawnLine(NamedTuple):
    """A line of the chart, from the left: the scale, and a cell for each column."""

    scale: str
    cells: str


class Drawing(NamedTuple):
    """The lines from the top, and for each column whether its share is at or above the floor."""

    lines: list[DrawnLine]
    kept: list[bool]


def draw_course(
    course: Sequence[Point], floor: float, *, width: int, height: int, blocks: bool = True
) -> Drawing:
    """The course as a filled area; the floor is a line where the area does not reach it.

    >>> chart = draw_course([Point(0, 0.1), Point(9, 0.3)], 0.25, width=19, height=6, blocks=False)
    >>> for line in chart.lines:
    ...     print(line.scale + line.cells)
        35 %+
            |         #
        25 %+---------#
            |         #
            |         #
         5 %+##########
    >>> sum(chart.kept)
    1
    """
    fill, columns = BLOCKS if blocks else LETTERS, max(2, width - MARGIN - 1)
    low, high = _bounds(course, floor)
    levels = (len(fill) - 1) * height

    def level(share: float) -> int:
        return round(min(1.0, max(0.0, (share - low) / (high - low))) * levels)

    shares = _sampled(course, columns)
    filled = [0 if share is None else max(1, level(share)) for share in shares]
    at_floor = height - 1 - (level(floor) - 1) // (len(fill) - 1)
    labels = {0: percent_text(high), height - 1: percent_text(low), at_floor: percent_text(floor)}
    lines = []
    for row in range(height):
        ground = ("─" if blocks else "-") if row == at_floor else " "
        cells = "".join(_cell(fill, steps, height - 1 - row, ground) for steps in filled)
        label = labels.get(row, "")
        edge = ("┤" if blocks else "+") if label else ("│" if blocks else "|")
        lines.append(DrawnLine(f"{label:>{MARGIN}}{edge}", cells.rstrip()))
    return Drawing(lines, [share is not None and share >= floor for share in shares])


def _cell(fill: str, filled: int, above: int, ground: str) -> str:
    """The character of a column filled to ``filled`` steps, ``above`` rows above the lowest row."""
    steps = len(fill) - 1
    level = min(steps, max(0, filled - above * steps))
    return fill[level] if level else ground


def _bounds(course: Sequence[Point], floor: float) -> tuple[float, float]:
    """The shares at the lower and upper edge: multiples of STEP; the first 5 % of points do not count."""
    settled = [point.share for point in course[len(course) // 20 :]]
    lowest, highest = min([floor, *settled]) - ROOM, max([floor, *settled]) + ROOM
    return max(0.0, int(round(lowest / STEP, 6)) * STEP), min(1.0, ceil(round(highest / STEP, 6)) * STEP)


def _sampled(course: Sequence[Point], across: int) -> list[float | None]:
    """The share in each of ``across`` columns; None if the course has no points."""
    if not course:
        return [None] * across
    first, last = course[0].at, course[-1].at
    shares: list[float | None] = []
    index = 0
    for column in range(across):
        at = first + (last - first) * column / max(1, across - 1)
        while index + 1 < len(course) and course[index + 1].at <= at:
            index += 1
        shares.append(course[index].share)
    return shares
