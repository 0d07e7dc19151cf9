"""Which cells of a report's tables may be shown, so that no few organisations can be singled out.

The rule: from everything that is shown together, totals included, no adding and subtracting gives a figure
that rests on fewer than ``smallest`` organisations. Readers are taken to know who is in which cell, and what
a cell shows is the sum over its members. Cells are shown one after another, in the order given, each only if
the rule still holds: so small cells stay hidden, and with them whatever would give them away (what
statistical offices call primary and complementary suppression).

A linear combination of shown cells that rests on few members exists exactly when as many columns of the
parity-check matrix of the shown cells are linearly dependent (the minimum distance of a linear code;
MacWilliams and Sloane, The Theory of Error-Correcting Codes, 1977, ch. 1, theorem 10).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

PRIME = 2**61 - 1
"""Arithmetic is modulo this: a combination that exists exists here too, so at worst too much is hidden."""

LARGEST = 5
"""Larger values of ``smallest`` take too long to be sure of."""

Vector = tuple[int, ...]


class Cell(NamedTuple):
    """One cell: its table, its name, and whose figures add up to it."""

    table: str
    name: str
    members: frozenset[str]


def shown(cells: Iterable[Cell], totals: Iterable[frozenset[str]], smallest: int) -> set[tuple[str, str]]:
    """(table, name) of the cells that may be shown beside the totals, which are shown whatever they rest on.

    ``totals`` do not overlap. A total of few members cannot be hidden; it is not taken apart any further.

    >>> care, farms = Cell("sector", "care", frozenset("abcd")), Cell("sector", "farms", frozenset("e"))
    >>> energy = Cell("sector", "energy", frozenset("fgh"))
    >>> sorted(shown([care, energy, farms], [frozenset("abcdefgh")], 3))
    [('sector', 'care')]
    """
    if not 1 <= smallest <= LARGEST:
        raise ValueError(f"wants a number of organisations from 1 to {LARGEST}")
    known = [total for total in totals if total]
    few = [total for total in known if len(total) < smallest]
    members = sorted(frozenset().union(*known) - frozenset().union(*few))
    rows = _Rows(members, smallest)
    for total in known:
        rows.add(total)
    return {
        (cell.table, cell.name)
        for cell in cells
        if not any(cell.members & total and total - cell.members for total in few) and rows.add(cell.members)
    }


class _Rows:
    """What is shown, as rows over the members, in reduced echelon form."""

    def __init__(self, members: Sequence[str], smallest: int) -> None:
        self.column = {member: index for index, member in enumerate(members)}
        self.most = smallest - 1
        self.rows: dict[int, list[int]] = {}  # by pivot column

    def add(self, members: frozenset[str]) -> bool:
        """Whether this sum may be shown too; it is taken up if so."""
        row = [0] * len(self.column)
        for member in members & self.column.keys():
            row[self.column[member]] = 1
        for index, other in self.rows.items():
            row = _less(row, row[index], other)
        if not any(row):
            return True  # it follows from what is shown
        pivot = next(index for index, value in enumerate(row) if value)
        row = [value * pow(row[pivot], -1, PRIME) % PRIME for value in row]
        more = {index: _less(other, other[pivot], row) for index, other in self.rows.items()}
        more[pivot] = row
        if _dependent(list(self._parity(more)), self.most):
            return False
        self.rows = more
        return True

    def _parity(self, rows: dict[int, list[int]]) -> Iterable[Vector]:
        """The columns of the parity-check matrix, each mapped to as many numbers as may be dependent."""
        free = [index for index in range(len(self.column)) if index not in rows]
        for index in range(len(self.column)):
            entries = (
                [(at, -rows[index][other]) for at, other in enumerate(free)]
                if index in rows
                else [(free.index(index), 1)]
            )
            yield tuple(
                sum(value * _mixed(at, part) for at, value in entries) % PRIME for part in range(self.most)
            )


def _less(row: Sequence[int], factor: int, other: Sequence[int]) -> list[int]:
    """row - factor x other."""
    return [(a - factor * b) % PRIME for a, b in zip(row, other, strict=True)] if factor else list(row)


@cache
def _mixed(at: int, part: int) -> int:
    """A number without pattern for each place, the same on every machine."""
    return pow(at * 7919 + part * 104729 + 17, 65537, PRIME)


def _dependent(columns: Sequence[Vector], most: int) -> bool:
    """Whether some of the columns, at most so many, are linearly dependent.

    >>> _dependent([(1, 2), (2, 4), (0, 1)], 2), _dependent([(1, 2), (2, 4), (0, 1)], 1)
    (True, False)
    """
    if most < 1:
        return False
    if not all(map(any, columns)):
        return True
    return most > 1 and any(
        _dependent([_across(other, column) for other in columns[index + 1 :]], most - 1)
        for index, column in enumerate(columns)
    )


def _across(vector: Vector, direction: Vector) -> Vector:
    """The vector without its part along a direction: zero where the two are parallel."""
    pivot = next(index for index, value in enumerate(direction) if value)
    a, b = direction[pivot], vector[pivot]
    return tuple((x * a - y * b) % PRIME for x, y in zip(vector, direction, strict=True))
