"""Who got it, by category, hub, sector and municipality, with what would single somebody out left out.

Rule: no sum or difference of what is shown, totals included, rests on fewer organisations than the promise's
terms say, at most three. Where two columns of a basis of the null space of what is shown are parallel, some
combination rests on just these two members; where one is zero, on one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from tests.second.who import REGIONAL, Answer

TABLES = ("category", "hub", "sector", "municipality")
"""The most important first; all but the hubs are of the region alone."""

Vector = list[Fraction]
Groups = Mapping[tuple[str, Answer], Fraction]


class Cell(NamedTuple):
    """A line of a table, and the members that it is the sum of: (side, organisation or account)."""

    table: str
    name: str
    members: frozenset[tuple[str, str]]
    charge: Fraction

    @property
    def organisations(self) -> int:
        """How many organisations got it; one that is on two sides is one."""
        return len({whom for _, whom in self.members})


def tables(groups: Groups, names: Sequence[str], smallest: int, whole: Fraction) -> dict[str, Any]:
    """The tables as a report shows them."""
    cells = {name: _cells(groups, name) for name in names}
    sides = {one.side for _, one in groups}
    totals = [
        frozenset(_member(*key) for key, got in groups.items() if got and key[1].side == side)
        for side in sides
    ]
    shown = set(_shown([cell for name in names for cell in cells[name]], totals, smallest))
    return {name: _table(cells[name], shown, whole) for name in names}


def _member(account: str, one: Answer) -> tuple[str, str]:
    return one.side, one.organisation or f"account {account}"


def _cells(groups: Groups, table: str) -> list[Cell]:
    """The lines of a table, those of most organisations first."""
    found: dict[str, list[tuple[tuple[str, str], Fraction]]] = {}
    for (account, one), charge in groups.items():
        if charge and (one.side == REGIONAL or table == "hub"):
            found.setdefault(getattr(one, table), []).append((_member(account, one), charge))
    cells = [
        Cell(
            table,
            name,
            frozenset(member for member, _ in ones),
            sum((got for _, got in ones), start=Fraction(0)),
        )
        for name, ones in found.items()
    ]
    return sorted(cells, key=lambda cell: (-len(cell.members), -cell.charge, cell.name))


def _shown(
    cells: Iterable[Cell], totals: Iterable[frozenset[tuple[str, str]]], smallest: int
) -> Iterator[Cell]:
    """Cells that may be shown; the totals are, and one of too few members is not taken apart."""
    assert smallest <= 3, "more than two columns are not compared here"
    few = [total for total in totals if len(total) < smallest]
    members = sorted({member for total in totals if len(total) >= smallest for member in total})
    rows = [_row(members, total) for total in totals]
    for cell in cells:
        apart = any(cell.members & total and total - cell.members for total in few)
        row = _row(members, cell.members)
        if not apart and not _singles_out([*rows, row], len(members), smallest):
            rows.append(row)
            yield cell


def _row(members: Sequence[tuple[str, str]], found: frozenset[tuple[str, str]]) -> Vector:
    return [Fraction(member in found) for member in members]


def _singles_out(rows: Iterable[Vector], width: int, smallest: int) -> bool:
    """Whether some combination of the rows rests on fewer columns than ``smallest``."""
    reduced = _reduced(rows)
    free = [column for column in range(width) if column not in reduced]
    columns = [
        _scaled(
            [-reduced[at][other] for other in free]
            if at in reduced
            else [Fraction(at == other) for other in free]
        )
        for at in range(width)
    ]
    alone = smallest > 1 and not all(map(any, columns))
    return alone or (smallest > 2 and len(set(columns)) < len(columns))


def _reduced(rows: Iterable[Vector]) -> dict[int, Vector]:
    """The rows in reduced echelon form, by pivot column."""
    found: dict[int, Vector] = {}
    for row in rows:
        for at, other in found.items():
            row = [a - row[at] * b for a, b in zip(row, other, strict=True)]
        if any(row):
            pivot = next(at for at, value in enumerate(row) if value)
            row = list(_scaled(row))
            found = {at: [a - o[pivot] * b for a, b in zip(o, row, strict=True)] for at, o in found.items()}
            found[pivot] = row
    return found


def _scaled(vector: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """The vector with 1 for its first value that is not 0."""
    first = next(filter(None, vector), Fraction(1))
    return tuple(value / first for value in vector)


def _table(cells: Iterable[Cell], shown: set[Cell], whole: Fraction) -> dict[str, Any]:
    """A table in the order of charge, and what is left out as one line."""
    total = sum((cell.charge for cell in cells), start=Fraction(0))
    rows = sorted((cell for cell in cells if cell in shown), key=lambda cell: (-cell.charge, cell.name))
    hidden = [cell for cell in cells if cell not in shown]
    count, charge = (
        sum(cell.organisations for cell in hidden),
        sum((cell.charge for cell in hidden), start=Fraction(0)),
    )
    suppressed = {"rows": len(hidden), **_line("", count, charge, total, whole)} if hidden else None
    lines = [_line(cell.name, cell.organisations, cell.charge, total, whole) for cell in rows]
    return {"total": total, "rows": lines, "suppressed": suppressed}


def _line(
    name: str, organisations: int, charge: Fraction, total: Fraction, whole: Fraction
) -> dict[str, Any]:
    return {
        "name": name,
        "organisations": organisations,
        "charge": charge,
        "part_of_table": charge / total if total else None,
        "share": charge / whole if whole else None,
    }
