"""Who got it, by category, sector, municipality and hub, with the small cells left out.

The rule: a table adds up to a total that is published elsewhere. What may not be shown is one line, all of it
together, so that a reader can add a table up and cannot take it apart (``core.suppression``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from slurm_ai_factory.core.classify import Beneficiary
from slurm_ai_factory.core.records import Charge
from slurm_ai_factory.core.suppression import Cell, shown


class Reached(NamedTuple):
    """What one organisation got for one beneficiary, and where it belongs."""

    organisation: str  #: its key, or the account where no organisation is known
    beneficiary: Beneficiary
    places: Mapping[str, str]  #: its category, sector, municipality and hub; "" where that is not known
    charge: Charge


class Row(NamedTuple):
    """A line of a table."""

    name: str
    organisations: int
    charge: Charge


class Table(NamedTuple):
    """One table: what is shown, and what is left out taken together."""

    name: str
    total: Charge
    rows: tuple[Row, ...]
    hidden_names: int  #: how many lines are left out
    hidden: Row | None


def tables(reached: Sequence[Reached], names: Mapping[str, bool], smallest: int) -> tuple[Table, ...]:
    """The tables, the most important first; ``names`` says of each whether it is of the region only."""
    counted = [one for one in reached if one.charge]
    cells = [cell for name, regional in names.items() for cell in _cells(counted, name, regional)]
    totals = [frozenset(_member(one) for one in counted if one.beneficiary is side) for side in Beneficiary]
    visible = shown((cell for cell, _ in cells), totals, smallest)
    return tuple(_table(name, [one for one in cells if one[0].table == name], visible) for name in names)


def _member(one: Reached) -> str:
    return f"{one.beneficiary} {one.organisation}"


def _cells(reached: Iterable[Reached], name: str, regional: bool) -> list[tuple[Cell, Charge]]:
    """The cells of a table, those with most organisations first."""
    groups: dict[str, list[Reached]] = {}
    for one in reached:
        if one.beneficiary is Beneficiary.REGIONAL or not regional:
            groups.setdefault(one.places.get(name, ""), []).append(one)
    cells = [
        (Cell(name, key, frozenset(map(_member, ones))), sum((one.charge for one in ones), start=0))
        for key, ones in groups.items()
    ]
    return sorted(cells, key=lambda one: (-len(one[0].members), -one[1], one[0].name))


def _table(name: str, cells: Sequence[tuple[Cell, Charge]], visible: set[tuple[str, str]]) -> Table:
    rows = [(_row(*one), (one[0].table, one[0].name) in visible) for one in cells]
    left_out = [row for row, show in rows if not show]
    hidden = Row("", sum(r.organisations for r in left_out), sum((r.charge for r in left_out), start=0))
    return Table(
        name=name,
        total=sum((row.charge for row, _ in rows), start=0),
        rows=tuple(sorted((row for row, show in rows if show), key=lambda row: (-row.charge, row.name))),
        hidden_names=len(left_out),
        hidden=hidden if left_out else None,
    )


def _row(cell: Cell, charge: Charge) -> Row:
    return Row(cell.name, len({member.partition(" ")[2] for member in cell.members}), charge)
