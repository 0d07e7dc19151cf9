"""Who got it, by category, hub, sector and municipality, with what would single somebody out left out.

Rule: no sum or difference of what is shown, totals included, rests on fewer organisations than the promise's
term says. Where two columns of a basis of the null space of what is shown are parallel, some combination
rests on just these two; where one is zero, on one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from tests.second.measure import Groups, summed
from tests.second.who import REGIONAL, Answer

Member = tuple[str, str]
"""A side, and an organisation or the account of none."""


class Cell(NamedTuple):
    """A line of a table, with whom it is the sum of."""

    table: str
    name: str
    members: frozenset[Member]
    charge: Fraction

    @property
    def organisations(self) -> int:
        """How many organisations got it; one that is on two sides is one."""
        return len({whom for _, whom in self.members})


def member(account: str, answer: Answer) -> Member:
    return answer.side, answer.organisation or f"account {account}"


def tables(groups: Groups, names: Sequence[str], smallest: int, whole: Fraction) -> dict[str, Any]:
    """The tables as a report shows them; ``names``, the most important first."""
    got = {key: charge for key, charge in groups.items() if charge}
    cells = {name: _cells(got, name) for name in names}
    members = {member(*key) for key in got}
    totals = [frozenset(one for one in members if one[0] == side) for side in {side for side, _ in members}]
    shown = set(_shown([cell for name in names for cell in cells[name]], totals, smallest))
    return {name: _table(cells[name], shown, whole) for name in names}


def _cells(groups: Groups, table: str) -> list[Cell]:
    """The lines of a table, those of most organisations first; all but the hubs are of the region alone."""
    counted = {key: got for key, got in groups.items() if key[1].side == REGIONAL or table == "hub"}
    cells = []
    for name in {getattr(answer, table) for _, answer in counted}:
        own = {key: got for key, got in counted.items() if getattr(key[1], table) == name}
        cells.append(Cell(table, name, frozenset(member(*key) for key in own), summed(own.values())))
    return sorted(cells, key=lambda cell: (-len(cell.members), -cell.charge, cell.name))


def _shown(cells: Iterable[Cell], totals: Sequence[frozenset[Member]], smallest: int) -> Iterator[Cell]:
    """Cells that may be shown; totals are, and one of too few members is not taken apart any further."""
    assert smallest <= 3, "more than two columns are not compared"
    few = [one for one in totals if len(one) < smallest]
    columns = sorted(frozenset().union(*totals) - frozenset().union(*few))
    rows = [[Fraction(one in whole) for one in columns] for whole in totals]
    for cell in cells:
        row = [Fraction(one in cell.members) for one in columns]
        apart = any(cell.members & one and one - cell.members for one in few)
        if not apart and not _singles_out([*rows, row], len(columns), smallest):
            rows.append(row)
            yield cell


def _singles_out(rows: Iterable[Sequence[Fraction]], width: int, smallest: int) -> bool:
    """Whether some combination of the rows rests on fewer columns than ``smallest``."""
    known = _reduced(rows)
    free = [at for at in range(width) if at not in known]
    columns = [
        _scaled([-known[at][one] if at in known else Fraction(at == one) for one in free])
        for at in range(width)
    ]
    return (smallest > 1 and not all(map(any, columns))) or (smallest > 2 and len(set(columns)) < width)


def _reduced(rows: Iterable[Sequence[Fraction]]) -> dict[int, Sequence[Fraction]]:
    """The rows in reduced echelon form, by pivot column."""
    found: dict[int, Sequence[Fraction]] = {}
    for row in rows:
        for at, other in found.items():
            row = _less(row, row[at], other)
        if any(row):
            pivot, row = next(at for at, value in enumerate(row) if value), _scaled(row)
            found = {at: _less(other, other[pivot], row) for at, other in found.items()} | {pivot: row}
    return found


def _less(row: Sequence[Fraction], factor: Fraction, other: Sequence[Fraction]) -> list[Fraction]:
    return [a - factor * b for a, b in zip(row, other, strict=True)]


def _scaled(row: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """The row with 1 for its first value that is not 0."""
    first = next(filter(None, row), Fraction(1))
    return tuple(value / first for value in row)


def _table(cells: Sequence[Cell], shown: set[Cell], whole: Fraction) -> dict[str, Any]:
    """A table in the order of charge, and what is left out as one line."""
    total, hidden = summed(cell.charge for cell in cells), [cell for cell in cells if cell not in shown]

    def line(name: str, of: Sequence[Cell]) -> dict[str, Any]:
        got, count = summed(cell.charge for cell in of), sum(cell.organisations for cell in of)
        parts = {"part_of_table": got / total, "share": got / whole}
        return {"name": name, "organisations": count, "charge": got, **parts}

    rows = sorted((cell for cell in cells if cell in shown), key=lambda cell: (-cell.charge, cell.name))
    suppressed = {"rows": len(hidden), **line("", hidden)} if hidden else None
    return {"total": total, "rows": [line(cell.name, [cell]) for cell in rows], "suppressed": suppressed}
