"""Which cells of a report's tables may be shown, so that no few organisations can be singled out.

The rule: from everything that is shown together, totals and earlier reports included, no adding and
subtracting gives a figure that rests on fewer than ``smallest`` organisations, but for what totals tell by
themselves. Readers are taken to know who is in which cell, and what a cell shows is the sum over its parts.
Cells are shown one after another, in the order given, each only if the rule still holds: so small cells stay
hidden, and with them whatever would give them away (what statistical offices call primary and complementary
suppression).

A sum follows from what is known exactly when it has no part along any direction that all known sums leave
open. So a cell gives a few organisations away exactly when, along such directions, it is a combination of
their parts (the syndrome of a linear code; MacWilliams and Sloane, The Theory of Error-Correcting Codes,
1977, ch. 1).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

PRIME = 2**61 - 1
"""Arithmetic is modulo this: a combination that exists exists here too, so at worst too much is hidden."""

LARGEST = 5
"""Larger values of ``smallest`` take too long to be sure of."""

Vector = tuple[int, ...]


class ChargePart(NamedTuple):
    """A piece of an organisation's charge that no figure takes apart; a corrected one is another part."""

    organisation: str
    where: Hashable = ""


PartSum = frozenset[ChargePart]
"""A figure that a reader knows: what these parts come to together."""


class TableCell(NamedTuple):
    """One cell: its table, its name, and whose parts add up to it."""

    table: str
    name: str
    members: PartSum


def organisations(members: Iterable[ChargePart]) -> set[str]:
    """Whom a sum rests on."""
    return {part.organisation for part in members}


def cells_shown(
    cells: Iterable[TableCell], totals: Iterable[PartSum], smallest: int, given: Iterable[PartSum] = ()
) -> set[tuple[str, str]]:
    """(table, name) of the cells that may be shown beside the totals, which are shown whatever they rest on.

    ``totals`` do not overlap; one of few organisations cannot be hidden, and is not taken apart any further.
    ``given`` are the sums of earlier reports.

    >>> sectors = {"care": "abcd", "energy": "fgh", "farms": "e"}
    >>> cells = [Cell("sector", name, frozenset(map(Part, whom))) for name, whom in sectors.items()]
    >>> sorted(shown(cells, [frozenset(map(Part, "abcdefgh"))], 3))
    [('sector', 'care')]
    """
    if not 1 <= smallest <= LARGEST:
        raise ValueError(f"wants a number of organisations from 1 to {LARGEST}")
    told, asked = [one for one in (*given, *totals) if one], list(cells)
    few = [total for total in totals if len(organisations(total)) < smallest]
    known = _Known([*told, *(cell.members for cell in asked)], smallest)
    for one in told:
        known.add(one)
    return {
        (cell.table, cell.name)
        for cell in asked
        if not any(cell.members & total and total - cell.members for total in few)
        and known.may_add(cell.members)
    }


def telling(
    totals: Iterable[PartSum], smallest: int, told: Sequence[PartSum], given: Sequence[PartSum]
) -> list[PartSum]:
    """The totals that give a few organisations away beside ``given``, and not beside other totals alone.

    ``told`` are the totals in ``given``. What is found cannot be hidden: its report must not be given out.
    """
    asked = [one for one in totals if one]
    by_all, by_totals = (_Known([*ones, *asked], smallest) for ones in (given, told))
    for known, ones in ((by_all, given), (by_totals, told)):
        for one in ones:
            known.add(one)
    found = []
    for total in asked:
        allowed = by_totals.told_of(total)
        if any(not any(few <= one for few in allowed) for one in by_all.told_of(total)):
            found.append(total)
        by_all.add(total)
        by_totals.add(total)
    return found


class _Known:
    """What a reader knows, as some of the directions that it leaves open, at random."""

    def __init__(self, sums: Sequence[PartSum], smallest: int) -> None:
        parts = sorted(frozenset().union(*sums), key=repr)
        self.column = {part: index for index, part in enumerate(parts)}
        self.names = sorted(organisations(parts))
        self.blocks = [
            [self.column[part] for part in parts if part.organisation == name] for name in self.names
        ]
        self.most = smallest - 1
        largest = max(map(len, self.blocks), default=0)
        self.enough = self.most * largest + 1
        """Directions that tell whether a sum is one of so many organisations: more than these have parts."""
        numbers = _mixed()
        count = min(len(parts), self.enough + len(sums))
        self.open = [list(islice(numbers, len(parts))) for _ in range(count)]

    def may_add(self, members: PartSum) -> bool:
        """Whether this sum may be known too; it is from now on if so."""
        if next(self.told_of(members), None) is not None:
            return False
        self.add(members)
        return True

    def told_of(self, members: PartSum) -> Iterator[frozenset[str]]:
        """The few organisations of whom a figure would follow if this sum were known too."""
        along = self._along(members)
        if any(along):
            looked_at = self.open[: self.enough]
            blocks = [[tuple(one[at] for one in looked_at) for at in block] for block in self.blocks]
            for few in _spanned(tuple(along[: self.enough]), blocks, self.most):
                yield frozenset(self.names[index] for index in few)

    def add(self, members: PartSum) -> None:
        """This sum is known: no direction with a part along it is open any more."""
        along = self._along(members)
        at = next((index for index, value in enumerate(along) if value), None)
        if at is None:
            return  # it follows from what is known
        pivot, inverse = self.open.pop(at), pow(along.pop(at), -1, PRIME)
        self.open = [_less(one, value * inverse, pivot) for one, value in zip(self.open, along, strict=True)]

    def _along(self, members: PartSum) -> list[int]:
        columns = [self.column[part] for part in members]
        return [sum(one[at] for at in columns) % PRIME for one in self.open]


def _spanned(
    vector: Vector, blocks: Sequence[Sequence[Vector]], most: int, first: int = 0
) -> Iterator[tuple[int, ...]]:
    """The blocks, at most so many together, of whose vectors this one, which is not zero, is a combination.

    >>> list(_spanned((1, 1), [[(1, 0)], [(0, 1)]], 2)), list(_spanned((1, 1), [[(1, 0)], [(0, 1)]], 1))
    ([(0, 1)], [])
    """
    for index in range(first, len(blocks) if most else 0):
        block = blocks[index]
        if most == len(block) == 1:
            if _parallel(vector, block[0]):
                yield (index,)
            continue
        basis = _basis(block)
        left = _across(vector, basis)
        if not any(left):
            yield (index,)
        elif most > 1:
            rest = [[_across(one, basis) for one in other] for other in blocks]
            yield from ((index, *more) for more in _spanned(left, rest, most - 1, index + 1))


def _parallel(vector: Vector, other: Vector) -> bool:
    """Whether a vector, which is not zero, is a multiple of another."""
    at = next(index for index, value in enumerate(vector) if value)
    return bool(other[at]) and all(
        (a * other[at] - b * vector[at]) % PRIME == 0 for a, b in zip(vector, other, strict=True)
    )


def _basis(vectors: Iterable[Vector]) -> list[tuple[int, Vector]]:
    """Vectors that span the same, each with the place where it is 1 and those after it are 0."""
    found: list[tuple[int, Vector]] = []
    for vector in vectors:
        left = _across(vector, found)
        pivot = next((at for at, value in enumerate(left) if value), None)
        if pivot is not None:
            inverse = pow(left[pivot], -1, PRIME)
            found.append((pivot, tuple(value * inverse % PRIME for value in left)))
    return found


def _across(vector: Vector, basis: Iterable[tuple[int, Vector]]) -> Vector:
    """The vector without its part along a basis: zero where it is a combination of that."""
    left: Sequence[int] = vector
    for pivot, one in basis:
        left = _less(left, left[pivot], one)
    return tuple(left)


def _less(row: Sequence[int], factor: int, other: Sequence[int]) -> list[int]:
    """row - factor x other."""
    factor %= PRIME
    return [(a - factor * b) % PRIME for a, b in zip(row, other, strict=True)] if factor else list(row)


def _mixed() -> Iterator[int]:
    """Numbers without pattern, the same on every machine (splitmix64; Steele, Lea and Flood 2014)."""
    state, whole = 0, 2**64 - 1
    while True:
        state = (state + 0x9E3779B97F4A7C15) & whole
        value = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & whole
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & whole
        yield (value ^ (value >> 31)) % PRIME
