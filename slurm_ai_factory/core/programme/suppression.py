"""Which cells of a report's tables may be shown, so that no few organisations can be singled out.

The rule: from everything that is shown together, totals and earlier reports included, no adding and
subtracting gives a figure that rests on fewer than ``smallest`` organisations, except what totals reveal by
themselves. Readers are assumed to know who is in which cell; a cell shows the sum over its parts. Cells are
added one after another, in the given order, each only if the rule still holds: so small cells stay hidden,
and so does every cell that would reveal them (statistical offices call this primary and complementary
suppression).

A sum follows from the known sums exactly when it has no part along any direction that all known sums leave
open. So a cell reveals a few organisations exactly when, along such directions, it is a combination of
their parts (the syndrome of a linear code; MacWilliams and Sloane, The Theory of Error-Correcting Codes,
1977, ch. 1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from itertools import combinations, islice
from typing import NamedTuple

PRIME = 2**61 - 1
"""Arithmetic is modulo this: a combination that exists exists here too, so at worst too much is hidden."""

LARGEST = 5
"""Larger values of ``smallest`` take too long to be sure of."""

Vector = tuple[int, ...]


class ChargePart(NamedTuple):
    """A piece of an organisation's charge that no figure splits; a corrected piece is another part."""

    organisation: str
    where: Hashable = ""


PartSum = frozenset[ChargePart]
"""A figure that a reader knows: the sum of these parts."""


class TableCell(NamedTuple):
    """One cell: its table, its name, and whose parts add up to it."""

    table: str
    name: str
    members: PartSum


def organisations(members: Iterable[ChargePart]) -> set[str]:
    """The organisations that a sum rests on."""
    return {part.organisation for part in members}


def cells_shown(
    cells: Iterable[TableCell], totals: Iterable[PartSum], smallest: int, given: Iterable[PartSum] = ()
) -> set[tuple[str, str]]:
    """(table, name) of the cells that may be shown beside the totals, which are always shown.

    ``totals`` do not overlap; a total of few organisations cannot be hidden, and is not split any further.
    ``given`` are the sums of earlier reports. Raises ValueError for a ``smallest`` outside 1 to LARGEST.

    >>> sectors = {"care": "abcd", "energy": "fgh", "farms": "e"}
    >>> cells = [TableCell("sector", name, frozenset(map(ChargePart, who))) for name, who in sectors.items()]
    >>> sorted(cells_shown(cells, [frozenset(map(ChargePart, "abcdefgh"))], 3))
    [('sector', 'care')]
    """
    if not 1 <= smallest <= LARGEST:
        raise ValueError(f"wants a number of organisations from 1 to {LARGEST}")
    public, asked = [total for total in (*given, *totals) if total], list(cells)
    few = [total for total in totals if len(organisations(total)) < smallest]
    known = _Known([*public, *(cell.members for cell in asked)], smallest)
    for total in public:
        known.add(total)
    return {
        (cell.table, cell.name)
        for cell in asked
        if not any(cell.members & total and total - cell.members for total in few)
        and known.may_add(cell.members)
    }


def telling(
    totals: Iterable[PartSum], smallest: int, given_totals: Sequence[PartSum], given: Sequence[PartSum]
) -> list[PartSum]:
    """The totals that reveal a few organisations beside ``given``, and not beside other totals alone.

    ``given_totals`` are the totals in ``given``. A revealing total cannot be hidden: its report must not be
    published.
    """
    asked = [total for total in totals if total]
    by_all, by_totals = (_Known([*public, *asked], smallest) for public in (given, given_totals))
    for known, public in ((by_all, given), (by_totals, given_totals)):
        for total in public:
            known.add(total)
    revealing = []
    for total in asked:
        allowed = by_totals.revealed_by(total)
        if any(not any(few <= names for few in allowed) for names in by_all.revealed_by(total)):
            revealing.append(total)
        by_all.add(total)
        by_totals.add(total)
    return revealing


def held_together(groups: Iterable[Collection[str]], smallest: int) -> bool:
    """Whether names are joined by groups so that without fewer than ``smallest`` of these they still all are.

    If each organisation's charge is split by such names, sums by name reveal nothing more of few of them
    than sums over whole organisations do: a combination without parts of the other organisations has the
    same factor for every name. Two names are joined by each group that has both.

    >>> held_together(["ab", "ab", "bc", "bc", "a"], 2), held_together(["ab", "ab", "bc"], 2)
    (True, False)
    """
    listed = [sorted(set(group)) for group in groups]
    pairs = Counter(pair for group in listed for pair in combinations(group, 2))
    names = {name for group in listed for name in group}
    reached = set(sorted(names)[:1])
    while (
        more := {
            name for pair, times in pairs.items() if times >= smallest and reached & {*pair} for name in pair
        }
        - reached
    ):
        reached |= more
    return reached == names


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
        """Directions that decide whether a sum is of at most so many organisations: more than their parts."""
        numbers = _mixed()
        count = min(len(parts), self.enough + len(sums))
        self.open = [list(islice(numbers, len(parts))) for _ in range(count)]

    def may_add(self, members: PartSum) -> bool:
        """Whether this sum may be known too; if so, it is added."""
        if next(self.revealed_by(members), None) is not None:
            return False
        self.add(members)
        return True

    def revealed_by(self, members: PartSum) -> Iterator[frozenset[str]]:
        """Each few organisations of which a figure would follow if this sum were known too."""
        along = self._along(members)
        if any(along):
            looked_at = self.open[: self.enough]
            blocks = [[tuple(way[at] for way in looked_at) for at in block] for block in self.blocks]
            for few in _spanned(tuple(along[: self.enough]), blocks, self.most):
                yield frozenset(self.names[index] for index in few)

    def add(self, members: PartSum) -> None:
        """Make this sum known: no direction with a part along it is open any more."""
        along = self._along(members)
        at = next((index for index, value in enumerate(along) if value), None)
        if at is None:
            return  # it follows from what is known
        pivot, inverse = self.open.pop(at), pow(along.pop(at), -1, PRIME)
        self.open = [_less(way, value * inverse, pivot) for way, value in zip(self.open, along, strict=True)]

    def _along(self, members: PartSum) -> list[int]:
        columns = [self.column[part] for part in members]
        return [sum(way[at] for at in columns) % PRIME for way in self.open]


def _spanned(vector: Vector, blocks: Sequence[Sequence[Vector]], most: int) -> Iterator[tuple[int, ...]]:
    """The blocks, at most so many together, of whose vectors this one, which is not zero, is a combination.

    >>> list(_spanned((1, 1), [[(1, 0)], [(0, 1)]], 2)), list(_spanned((1, 1), [[(1, 0)], [(0, 1)]], 1))
    ([(0, 1)], [])
    """
    for index, block in enumerate(blocks if most else ()):
        if most == len(block) == 1:
            # Whether the vector, which is not zero, is a multiple of the block's only one.
            at = next(place for place, value in enumerate(vector) if value)
            only = block[0]
            if only[at] and not any(
                (a * only[at] - b * vector[at]) % PRIME for a, b in zip(vector, only, strict=True)
            ):
                yield (index,)
            continue
        basis = _basis(block)
        left = _across(vector, basis)
        if not any(left):
            yield (index,)
        elif most > 1:
            after = index + 1
            rest = [[_across(each, basis) for each in other] for other in blocks[after:]]
            yield from ((index, *(after + at for at in more)) for more in _spanned(left, rest, most - 1))


def _basis(vectors: Iterable[Vector]) -> list[tuple[int, Vector]]:
    """Vectors that span the same, each with the place where it is 1 and those after it are 0."""
    basis: list[tuple[int, Vector]] = []
    for vector in vectors:
        left = _across(vector, basis)
        pivot = next((at for at, value in enumerate(left) if value), None)
        if pivot is not None:
            inverse = pow(left[pivot], -1, PRIME)
            basis.append((pivot, tuple(value * inverse % PRIME for value in left)))
    return basis


def _across(vector: Vector, basis: Iterable[tuple[int, Vector]]) -> Vector:
    """The vector without its part along a basis: zero where it is a combination of that."""
    left: Sequence[int] = vector
    for pivot, direction in basis:
        left = _less(left, left[pivot], direction)
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
