"""Who got it, by category, sector, municipality and hub, with the small cells left out.

The rule: a table adds up to a total that is published elsewhere. What may not be shown is one line, all of it
together, so that a reader can add a table up and cannot take it apart, this report beside all those before it
(``core.suppression``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from slurm_ai_factory.core.programme.suppression import (
    ChargePart,
    PartSum,
    TableCell,
    cells_shown,
    organisations,
)
from slurm_ai_factory.core.records import Charge, Interval
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.question import Reached


class WindowPiece(NamedTuple):
    """A part of a window that no other published window cuts, and who got what in it."""

    interval: Interval
    reached: Sequence[Reached]


class TableRow(NamedTuple):
    """A line of a table."""

    name: str
    organisations: int  #: without the accounts that no rule matches
    charge: Charge


class Table(NamedTuple):
    """One table: what is shown, and what is left out taken together."""

    name: str
    total: Charge
    rows: tuple[TableRow, ...]
    hidden_names: int  #: how many lines are left out
    hidden: TableRow | None


def tables(
    reached: Sequence[Reached],
    names: Mapping[str, bool],
    smallest: int,
    pieces: Sequence[WindowPiece] = (),
    given: Collection[PartSum] = (),
) -> tuple[Table, ...]:
    """The tables, the most important first; ``names`` says of each whether it is of the region only.

    ``pieces`` are what makes up the window where others cut it, ``given`` what earlier reports told.
    """
    pieces = pieces or [WindowPiece((0, 0), reached)]
    cells = [cell for name, regional in names.items() for cell in _cells(reached, pieces, name, regional)]
    visible = cells_shown((cell for cell, _ in cells), totals(pieces), smallest, given)
    return tuple(_table(name, [one for one in cells if one[0].table == name], visible) for name in names)


def totals(pieces: Sequence[WindowPiece]) -> list[PartSum]:
    """What each side got: told by every report, of its own window."""
    return [members(pieces, side) for side in Beneficiary]


def lines(
    pieces: Sequence[WindowPiece], names: Mapping[str, bool], rows: Mapping[str, Iterable[str]]
) -> list[PartSum]:
    """What these rows of the tables told."""
    return [_line(pieces, name, regional, row) for name, regional in names.items() for row in rows[name]]


def members(
    pieces: Iterable[WindowPiece], side: Beneficiary | None, table: str = "", row: str | None = None
) -> PartSum:
    """What adds up to a figure, of a side or of all; an organisation that got nothing has no part in it."""
    return frozenset(
        ChargePart(
            one.organisation, (piece.interval, one.beneficiary, tuple(sorted(one.places.items())), one.charge)
        )
        for piece in pieces
        for one in piece.reached
        if one.charge
        and side in (None, one.beneficiary)
        and (row is None or one.places.get(table, "") == row)
    )


def _line(pieces: Iterable[WindowPiece], name: str, regional: bool, row: str) -> PartSum:
    return members(pieces, Beneficiary.REGIONAL if regional else None, name, row)


def _cells(
    reached: Iterable[Reached], pieces: Sequence[WindowPiece], name: str, regional: bool
) -> list[tuple[TableCell, TableRow]]:
    """The cells of a table with their lines, those with most organisations first."""
    groups: dict[str, list[Reached]] = {}
    for one in reached:
        if one.charge and (one.beneficiary is Beneficiary.REGIONAL or not regional):
            groups.setdefault(one.places.get(name, ""), []).append(one)
    cells = [
        (TableCell(name, key, _line(pieces, name, regional, key)), _row(key, ones))
        for key, ones in groups.items()
    ]
    return sorted(cells, key=lambda one: (-len(organisations(one[0].members)), -one[1].charge, one[1].name))


def _row(name: str, ones: Sequence[Reached]) -> TableRow:
    known = {one.organisation for one in ones if one.beneficiary is not Beneficiary.UNCLASSIFIED}
    return TableRow(name, len(known), sum((one.charge for one in ones), start=0))


def _table(name: str, cells: Sequence[tuple[TableCell, TableRow]], visible: set[tuple[str, str]]) -> Table:
    rows = [row for cell, row in cells if (cell.table, cell.name) in visible]
    left_out = [row for cell, row in cells if (cell.table, cell.name) not in visible]
    hidden = TableRow("", sum(r.organisations for r in left_out), sum((r.charge for r in left_out), start=0))
    return Table(
        name=name,
        total=sum((row.charge for _, row in cells), start=0),
        rows=tuple(sorted(rows, key=lambda row: (-row.charge, row.name))),
        hidden_names=len(left_out),
        hidden=hidden if left_out else None,
    )
