"""Who got it, by category, hub, sector and municipality, with what would single somebody out left out.

Rule: a cell is shown if it adds no sum or difference that rests on too few organisations to what is known:
the totals, the cells that are shown already, and what earlier reports told. It adds one where, less what is
known, it is a combination of the parts of so few; arithmetic is exact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any, NamedTuple

from tests.second.measure import NONE, Groups, summed
from tests.second.who import FIRST, REGIONAL, UNCLASSIFIED, WHOLE, Answer


class Part(NamedTuple):
    """What an organisation, or an account of none, got on a side and at places; another where corrected."""

    whom: str
    side: str
    category: str
    sector: str
    municipality: str
    hub: str
    charge: Fraction
    size: str = ""
    stage: str = ""
    access: str = ""
    grant: str = ""
    role: str = ""
    promises: str = ""


Sum = frozenset[Part]
"""A figure, as the parts that it is the sum of."""
Vector = Mapping[Part, Fraction]


class Cell(NamedTuple):
    """A line of a table."""

    table: str
    name: str
    members: Sum

    @property
    def charge(self) -> Fraction:
        return summed(one.charge for one in self.members)

    @property
    def organisations(self) -> int:
        """How many organisations got it; what is unclassified is nobody's."""
        return len({one.whom for one in self.members if one.side != UNCLASSIFIED})


def member(account: str, answer: Answer) -> str:
    return answer.organisation or f"account {account}"


Recorded = Callable[[str, Answer], Mapping[str, str]]
"""Account and answer -> what is recorded beside the places."""


def nothing(_account: str, _answer: Answer) -> Mapping[str, str]:
    return {}


def parts(groups: Groups, recorded: Recorded = nothing) -> Sum:
    """All that somebody got something of."""
    got: dict[Part, Fraction] = defaultdict(Fraction)
    for (account, one), charge in groups.items():
        whom = member(account, one)
        places = (one.category, one.sector, one.municipality, one.hub)
        got[Part(whom, one.side, *places, NONE, promises=one.promises, **recorded(account, one))] += charge
    return frozenset(part._replace(charge=charge) for part, charge in got.items() if charge)


def of_side(got: Sum, side: str) -> Sum:
    return frozenset(one for one in got if one.side == side)


def counting(got: Sum, *names: str) -> Sum:
    """What counts for every one of these promises."""
    return frozenset(
        one
        for one in got
        if all(one.side == REGIONAL if name == FIRST else name in one.promises.split() for name in names)
    )


def of_promise(got: Sum, name: str, share_of: str) -> list[Sum]:
    """What a promise tells: its own charge and, where it is a part of another one's, all of that."""
    base = share_of.partition("promise:")[2]
    found = [counting(got, name, base), counting(got, base)] if base else [counting(got, name)]
    alike = lasting(got)
    return [alike(one) for one in found if one]


def told(got: Sum, said: Mapping[str, Any]) -> list[Sum]:
    """What a report with these tables told: its totals and their rows."""
    rows = [_line(got, name, row["name"]) for name, table in said.items() for row in table["rows"]]
    alike = lasting(got)
    return [alike(one) for one in (*_totals(got), *rows)]


def lasting(got: Sum) -> Callable[[Sum], Sum]:
    """The parts without what may be recorded of an organisation later: the same after that."""
    accesses: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in got:
        accesses[one.whom, one.side].add(one.access)

    def alike(members: Sum) -> Sum:
        several = ((one, len(accesses[one.whom, one.side]) > 1) for one in members)
        return frozenset(
            one._replace(size="", stage="", grant="", access=one.access if more else "")
            for one, more in several
        )

    return alike


def tables(
    got: Sum, names: Sequence[str], smallest: int, whole: Fraction, before: Collection[Sum] = ()
) -> dict[str, Any]:
    """The tables as a report shows them; ``names``, the most important first; ``before`` was told earlier."""
    alike = lasting(got)
    cells = {
        name: [cell._replace(members=alike(cell.members)) for cell in _cells(got, name)] for name in names
    }
    every, totals = [cell for name in names for cell in cells[name]], [alike(one) for one in _totals(got)]
    shown = set(showable(every, totals, smallest, before))
    return {name: _table(cells[name], shown, whole) for name in names}


def _totals(got: Sum) -> list[Sum]:
    return [of_side(got, side) for side in sorted({one.side for one in got})]


def _line(got: Sum, table: str, name: str) -> Sum:
    """All but the hubs are of the region alone."""
    counted = got if table == "hub" else of_side(got, REGIONAL)
    return frozenset(one for one in counted if getattr(one, table) == name)


def _cells(got: Sum, table: str) -> list[Cell]:
    """The lines of a table, those of most organisations first."""
    lines = (Cell(table, name, _line(got, table, name)) for name in {getattr(one, table) for one in got})
    return sorted(filter(lambda one: one.members, lines), key=_rank)


def _rank(cell: Cell) -> tuple[int, Fraction, str]:
    return -len({one.whom for one in cell.members}), -cell.charge, cell.name


def showable(
    cells: Sequence[Cell], totals: Sequence[Sum], smallest: int, before: Collection[Sum]
) -> Iterator[Cell]:
    """Cells that may be shown; totals are, and one of too few is not taken apart any further."""
    few = [one for one in totals if len({part.whom for part in one}) < smallest]
    known: dict[Part, Vector] = {}
    for one in (*before, *totals):
        _learn(known, dict.fromkeys(one, WHOLE))
    asked = frozenset().union(*before, *totals, *(cell.members for cell in cells))
    for cell in cells:
        apart = any(cell.members & one and one - cell.members for one in few)
        if not apart and not _singles_out(cell.members, asked, known, smallest - 1):
            _learn(known, dict.fromkeys(cell.members, WHOLE))
            yield cell


def _singles_out(members: Sum, asked: Sum, known: Mapping[Part, Vector], most: int) -> bool:
    """Whether a sum, less what is known, is something of at most so many organisations."""
    added = _less_known(dict.fromkeys(members, WHOLE), known)
    own: dict[str, list[Vector]] = defaultdict(list)
    for part in sorted(asked):
        own[part.whom].append(_less_known({part: WHOLE}, known))
    several = combinations(own.values(), min(most, len(own)))
    return bool(added) and any(_follows(added, [one for each in few for one in each]) for few in several)


def _follows(row: Vector, others: Iterable[Vector]) -> bool:
    span: dict[Part, Vector] = {}
    for one in others:
        _learn(span, one)
    return not _less_known(row, span)


def _learn(known: dict[Part, Vector], row: Vector) -> None:
    """Add what is new of a row: 1 at its key, where those added later are 0."""
    if left := _less_known(row, known):
        pivot, first = next(iter(left.items()))
        known[pivot] = {part: value / first for part, value in left.items()}


def _less_known(row: Vector, known: Mapping[Part, Vector]) -> Vector:
    """What of a row does not follow from what is known."""
    left = dict(row)
    for pivot, other in known.items():
        if factor := left.get(pivot):
            for part, value in other.items():
                left[part] = left.get(part, NONE) - factor * value
    return {part: value for part, value in left.items() if value}


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
