"""A small drawing of the share against the floor for a terminal. Pure: values in, lines of text out.

The rule: it is as wide and high as it is told; where a terminal cannot print blocks it uses plain letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from slurm_ai_factory.core.measure.outlook import Point, short_percent

BLOCKS = " ▁▂▃▄▅▆▇█"
LETTERS = " #"
"""A cell filled from the bottom, step by step."""
MARGIN = 8
"""Columns that the scale takes."""
STEP, ROOM = 0.05, 0.025
"""Shares at the edges are multiples of STEP, and nothing drawn is nearer to one than ROOM."""


class DrawnLine(NamedTuple):
    """One line of the drawing, from the left: the scale, and a cell for each column."""

    scale: str
    cells: str


class Drawing(NamedTuple):
    """The lines from the top, and which columns have at least the floor."""

    lines: list[DrawnLine]
    kept: list[bool]


def draw_course(
    course: Sequence[Point], floor: float, *, width: int, height: int, blocks: bool = True
) -> Drawing:
    """The course as a filled area; the floor runs through where the area does not reach it.

    >>> found = drawing([Point(0, 0.1), Point(9, 0.3)], 0.25, width=19, height=6, blocks=False)
    >>> for line in found.lines:
    ...     print(line.scale + line.cells)
        35 %+
            |         #
        25 %+---------#
            |         #
            |         #
         5 %+##########
    >>> sum(found.kept)
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
    labels = {0: short_percent(high), height - 1: short_percent(low), at_floor: short_percent(floor)}
    lines = []
    for row in range(height):
        ground = ("─" if blocks else "-") if row == at_floor else " "
        cells = "".join(_cell(fill, one, height - 1 - row, ground) for one in filled)
        lines.append(DrawnLine(_scale(labels.get(row, ""), blocks=blocks), cells.rstrip()))
    return Drawing(lines, [share is not None and share >= floor for share in shares])


def _cell(fill: str, filled: int, above: int, ground: str) -> str:
    """What a column that is filled so far shows so many rows above the lowest."""
    steps = len(fill) - 1
    found = min(steps, max(0, filled - above * steps))
    return fill[found] if found else ground


def _scale(label: str, *, blocks: bool) -> str:
    edge = ("┤" if blocks else "+") if label else ("│" if blocks else "|")
    return f"{label:>{MARGIN}}{edge}"


def _bounds(course: Sequence[Point], floor: float) -> tuple[float, float]:
    """The shares at the lower and upper edge: round ones, with room around all but the wild start."""
    settled = [point.share for point in course[len(course) // 20 :]]
    lowest, highest = min([floor, *settled]), max([floor, *settled])
    return max(0.0, _round(lowest - ROOM, up=False)), min(1.0, _round(highest + ROOM, up=True))


def _round(share: float, *, up: bool) -> float:
    steps = round(share / STEP, 6)
    return (ceil(steps) if up else int(steps)) * STEP


def _sampled(course: Sequence[Point], across: int) -> list[float | None]:
    """The share in each column; None where there is nothing yet."""
    if not course:
        return [None] * across
    first, last = course[0].at, course[-1].at
    found: list[float | None] = []
    index = 0
    for column in range(across):
        at = first + (last - first) * column / max(1, across - 1)
        while index + 1 < len(course) and course[index + 1].at <= at:
            index += 1
        found.append(course[index].share)
    return found
