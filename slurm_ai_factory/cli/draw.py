"""A small drawing of the share against the floor for a terminal. Pure: values in, lines of text out.

The rule: it is as wide and high as it is told, and where a terminal cannot print dots it uses plain letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from slurm_ai_factory.core.outlook import Point, percent

BASE = 0x2800
BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The dots of a Braille cell, by column and row (Unicode, block Braille Patterns)."""
MARGIN = 8
"""Columns that the scale takes."""
STEP, ROOM = 0.05, 0.025
"""Shares at the edges are multiples of STEP, and no line is nearer to one than ROOM."""


def drawing(
    course: Sequence[Point], floor: float, *, width: int, height: int, dots: bool = True
) -> list[tuple[str, str]]:
    """(scale, drawing) of each line, from the top; the floor runs through where the course is not.

    >>> for scale, line in drawing([Point(0, 0.1), Point(9, 0.3)], 0.25, width=18, height=4, dots=False):
    ...     print(scale + line)
        35 %+         *
        25 %+----------
            |
         5 %+*********
    """
    columns, (low, high) = max(2, width - MARGIN), _bounds(course, floor)
    fine = 4 if dots else 1

    def row(share: float) -> int:
        part = min(1.0, max(0.0, (share - low) / (high - low)))
        return min(height * fine - 1, int((1 - part) * height * fine))

    rows = [None if share is None else row(share) for share in _sampled(course, columns * (2 if dots else 1))]
    draw = _dotted if dots else _lettered
    labels = {0: percent(high), height - 1: percent(low), row(floor) // fine: percent(floor)}
    lines = []
    for number, cells in enumerate(draw(rows, row(floor), columns, height)):
        label = labels.get(number, "")
        edge = ("┤" if dots else "+") if label else ("│" if dots else "|")
        lines.append((f"{label:>{MARGIN}}{edge}", cells.rstrip()))
    return lines


def _bounds(course: Sequence[Point], floor: float) -> tuple[float, float]:
    """The shares at the lower and upper edge: round ones, with room around everything after the wild start."""
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


def _dotted(rows: Sequence[int | None], floor: int, columns: int, height: int) -> list[str]:
    """Two dots across and four down in each cell; the floor has every third."""
    cells = [[0] * columns for _ in range(height)]
    for column in range(0, 2 * columns, 3):
        cells[floor // 4][column // 2] |= BITS[column % 2][floor % 4]
    before: int | None = None
    for column, row in enumerate(rows):
        if row is None:
            continue
        first, last = sorted((row, row if before is None else before))
        for each in range(first, last + 1):
            cells[each // 4][column // 2] |= BITS[column % 2][each % 4]
        before = row
    return ["".join(chr(BASE + cell) if cell else " " for cell in line) for line in cells]


def _lettered(rows: Sequence[int | None], floor: int, columns: int, height: int) -> list[str]:
    return [
        "".join("*" if rows[column] == row else "-" if row == floor else " " for column in range(columns))
        for row in range(height)
    ]
