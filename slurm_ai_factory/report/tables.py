"""Charge by category, sector, municipality and hub, with small cells suppressed.

The rule: a table adds up to a total that is published elsewhere. All suppressed cells are one row, so that a
reader can add the table up but cannot derive a suppressed cell, also not with all earlier reports
(``core.programme.suppression``). Tested in tests/report/test_report.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from slurm_ai_factory.core import canonical
from slurm_ai_factory.core.programme.suppression import (
    ChargePart,
    PartSum,
    TableCell,
    cells_shown,
    organisations,
)
from slurm_ai_factory.core.records import Charge, Interval
from slurm_ai_factory.core.rules.classify import Beneficiary, PromisedTo
from slurm_ai_factory.question import Reached

PROMISED = "yes"
"""The value of the place of a promise's conditions where a charge meets them."""

LATER = frozenset({"size", "stage", "access", "grant"})
"""Places that may be recorded after a report: a charge is the same part before and after."""


class WindowPiece(NamedTuple):
    """A part of a window that no published window cuts, and who got what in it."""

    interval: Interval
    reached: Sequence[Reached]


class TableRow(NamedTuple):
    """A row of a table."""

    name: str
    organisations: int  #: without unclassified accounts
    charge: Charge


class Table(NamedTuple):
    """A table: its visible rows, and all suppressed rows together."""

    name: str
    total: Charge
    rows: tuple[TableRow, ...]
    hidden_names: int  #: number of suppressed rows
    hidden: TableRow | None


def tables(
    reached: Sequence[Reached],
    names: Mapping[str, bool],
    smallest: int,
    pieces: Sequence[WindowPiece] = (),
    given: Collection[PartSum] = (),
) -> tuple[Table, ...]:
    """The tables in the order of ``names``: name -> whether the table is of the region only.

    ``pieces`` are those of the window where other windows cut it; ``given`` are the sums that earlier reports
    disclosed.
    """
    pieces = pieces or [WindowPiece((0, 0), reached)]
    cells = [cell for name, regional in names.items() for cell in _cells(reached, pieces, name, regional)]
    visible = cells_shown((cell for cell, _ in cells if cell.members), totals(pieces), smallest, given)
    return tuple(_table(name, [pair for pair in cells if pair[0].table == name], visible) for name in names)


def whole_table(reached: Sequence[Reached], name: str) -> Table:
    """A table of the region with every row visible."""
    cells = _cells(reached, [WindowPiece((0, 0), reached)], name, True)
    return _table(name, cells, {(cell.table, cell.name) for cell, _ in cells})


def totals(pieces: Sequence[WindowPiece]) -> list[PartSum]:
    """The total of each beneficiary, which every report discloses of its own window."""
    return [members(pieces, side) for side in Beneficiary]


def lines(
    pieces: Sequence[WindowPiece], names: Mapping[str, bool], rows: Mapping[str, Iterable[str]]
) -> list[PartSum]:
    """The sums that these rows of the tables disclosed."""
    return [_line(pieces, name, regional, row) for name, regional in names.items() for row in rows[name]]


def members(
    pieces: Iterable[WindowPiece], side: Beneficiary | None, table: str = "", row: str | None = None
) -> PartSum:
    """The parts of a figure, of a beneficiary or of all; without organisations that got nothing."""
    parts: set[ChargePart] = set()
    for piece in pieces:
        modes = {(each.organisation, each.beneficiary, each.places.get("access")) for each in piece.reached}
        several = {key for key, count in Counter(mode[:2] for mode in modes).items() if count > 1}
        parts |= {
            ChargePart(
                reached.organisation,
                (piece.interval, reached.beneficiary, _where(reached, several), reached.charge),
            )
            for reached in piece.reached
            if reached.charge
            and side in (None, reached.beneficiary)
            and (row is None or reached.places.get(table, "") == row)
        }
    return frozenset(parts)


def promised_place(who: PromisedTo) -> str:
    """The name of the place of conditions of a promise."""
    return canonical.canonical_text(who)


def promised_sum(pieces: Iterable[WindowPiece], who: PromisedTo) -> PartSum:
    """The parts of the charge that meets conditions of a promise."""
    return members(pieces, None, promised_place(who), PROMISED)


def _where(reached: Reached, several: Collection[tuple[str, Beneficiary]]) -> tuple[tuple[str, str], ...]:
    """What distinguishes a part from others of its organisation, also when more is recorded of that."""
    apart = LATER - {"access"} if (reached.organisation, reached.beneficiary) in several else LATER
    return tuple(sorted((name, place) for name, place in reached.places.items() if name not in apart))


def _line(pieces: Iterable[WindowPiece], name: str, regional: bool, row: str) -> PartSum:
    return members(pieces, Beneficiary.REGIONAL if regional else None, name, row)


def _cells(
    reached: Iterable[Reached], pieces: Sequence[WindowPiece], name: str, regional: bool
) -> list[tuple[TableCell, TableRow]]:
    """The cells of a table with their rows, those with most organisations first."""
    groups: dict[str, list[Reached]] = {}
    for each in reached:
        if each.charge and (each.beneficiary is Beneficiary.REGIONAL or not regional):
            groups.setdefault(each.places.get(name, ""), []).append(each)
    cells = []
    for key, group in groups.items():
        known = {each.organisation for each in group if each.beneficiary is not Beneficiary.UNCLASSIFIED}
        row = TableRow(key, len(known), sum((each.charge for each in group), start=0))
        cells.append((TableCell(name, key, _line(pieces, name, regional, key)), row))
    return sorted(
        cells, key=lambda pair: (-len(organisations(pair[0].members)), -pair[1].charge, pair[1].name)
    )


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
