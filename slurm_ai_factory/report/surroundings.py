"""Energy, grid and water in a report: what was measured, the verdicts, and who the energy was for.

The rule: what is not recorded is None and never 0. Energy by beneficiary is given only where the window
closes, and a line of a table only where the report shows the same line of the charge: charge and energy often
have one ratio. Beside that, energy follows the rule of all cells (docs/decisions/0007-small-cells.md).
Tested in tests/report/test_surroundings.py and, a second time, in tests/second.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any, NamedTuple, cast

from slurm_ai_factory import question
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.energy.allowed import TDTR_HOURS
from slurm_ai_factory.core.energy.grid import GridMeasurement, judge_grid
from slurm_ai_factory.core.energy.meters import Kind
from slurm_ai_factory.core.energy.water import WATERS, WaterMeasurement, judge_water
from slurm_ai_factory.core.measure.figures import number, part
from slurm_ai_factory.core.programme.suppression import held_together
from slurm_ai_factory.core.records import HOUR, Charge, Interval, Window
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.question import PLACES, HeldByGrid, Question, Reached, by_place
from slurm_ai_factory.report.energy import EnergyAnswer, building_values, energy_of, energy_recorded, plain
from slurm_ai_factory.report.given import Document, Given, ReadReached, Sums, connected, cut, known_before
from slurm_ai_factory.report.tables import Table, TableRow, WindowPiece, lines, members, tables, totals

ENERGY_TABLES = {"category": True}
"""The tables of energy -> whether the table is of the region only."""
QUALITY = "quality"
"""The place that says what energy rests on; the last one."""


class EnergyReported(NamedTuple):
    """The energy of a window as a report shows it; tables are in joules."""

    answer: EnergyAnswer
    beneficiaries: Mapping[Beneficiary, Charge]  #: joules; none where the window does not close
    tables: tuple[Table, ...]  #: none where the window does not close
    by_quality: bool  #: whether amounts by quality disclose nothing of a few


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Energy, grid and water of a window; None where nothing is recorded of it."""

    energy: EnergyReported | None
    grid: GridMeasurement | None
    limited_year_seconds: int  #: of the civil year, under limits of a time-duration right
    water: WaterMeasurement | None
    held: HeldByGrid | None


def surroundings_of(
    ask: Question, given: Sequence[Given], shown: Mapping[str, Collection[str]]
) -> Surroundings:
    """What is recorded of a window; ``given`` are the windows of earlier reports with their energy.

    ``shown``: the lines of each table of the charge that the report shows.
    """
    grid, year_seconds = question.measured_grid(ask.config, ask.ledger, ask.window, ask.known_at)
    water = question.measured_water(ask.config, ask.ledger, ask.window, ask.known_at)
    return Surroundings(
        energy=_energy(ask, given, shown),
        grid=grid if min(grid.unread, grid.unallowed) < grid.quarters else None,
        limited_year_seconds=year_seconds,
        water=water if water.evidence["readings"] else None,
        held=ask.held_by_grid(),
    )


def _energy(
    ask: Question, given: Sequence[Given], shown: Mapping[str, Collection[str]]
) -> EnergyReported | None:
    if not energy_recorded(ask):
        return None
    answer, smallest = energy_of(ask, by_place), ask.config.report.min_organisations
    if not (answer.metered or answer.sums.qualities):
        return None
    interval, own = (ask.window.since, ask.window.until), _used(answer)

    def read(piece: Interval) -> Sequence[Reached]:
        return own if piece == interval else energy_reached(ask.over(piece))

    by_quality = _qualities_shown(interval, read, given, smallest)
    if not answer.closure.holds:
        return EnergyReported(answer, {}, (), by_quality)
    known = known_before(interval, lambda piece: _whole(read(piece)), map(_of_wholes, given), sums_of_energy)
    every = tables(_whole(own), ENERGY_TABLES, smallest, known.pieces, known.sums)
    return EnergyReported(
        answer,
        {side: sum((each.charge for each in own if each.beneficiary is side), 0) for side in Beneficiary},
        tuple(_only(table, shown[table.name]) for table in every),
        by_quality,
    )


def energy_reached(ask: Question, _window: Window | None = None) -> list[Reached]:
    """Whom the energy of a window was for, in joules; what it rests on is one of the places."""
    return _used(energy_of(ask, by_place))


def whole_energy_reached(ask: Question, _window: Window | None = None) -> list[Reached]:
    """The same without what it rests on."""
    return _whole(energy_reached(ask))


def _used(answer: EnergyAnswer) -> list[Reached]:
    return [
        Reached(
            group.names[0],
            group.beneficiary,
            dict(zip((*PLACES, QUALITY), (*group.names[1:], str(quality)), strict=True)),
            cast("Charge", joules),  # a Fraction: it is only added and compared
        )
        for group, of in answer.sums.groups.items()
        for quality, joules in of.items()
        if joules
    ]


def _whole(reached: Iterable[Reached]) -> list[Reached]:
    """The same without what it rests on."""
    sums: dict[tuple[str, Beneficiary, tuple[tuple[str, str], ...]], Charge] = {}
    for each in reached:
        places = tuple((name, place) for name, place in each.places.items() if name != QUALITY)
        key = each.organisation, each.beneficiary, places
        sums[key] = sums.get(key, 0) + each.charge
    return [Reached(whom, side, dict(places), joules) for (whom, side, places), joules in sums.items()]


def _of_wholes(window: Given) -> Given:
    return window._replace(read=lambda interval: _whole(window.read(interval)))


def _only(table: Table, names: Collection[str]) -> Table:
    """The table with only these rows visible."""
    left = [row for row in table.rows if row.name not in names]
    if not left:
        return table
    left += [table.hidden] if table.hidden else []
    hidden = TableRow("", sum(row.organisations for row in left), sum((row.charge for row in left), start=0))
    rows = tuple(row for row in table.rows if row.name in names)
    return table._replace(
        rows=rows, hidden_names=table.hidden_names + len(table.rows) - len(rows), hidden=hidden
    )


def energy_told(document: Document | None) -> Mapping[str, Any] | None:
    """What a published report disclosed of energy; None where it disclosed nothing."""
    energy = (document or {}).get("surroundings", {}).get("energy")
    return energy if energy and energy["run_joules"] is not None else None


def sums_of_energy(pieces: Sequence[WindowPiece], window: Given) -> Sums:
    """The sums of energy that a published report disclosed."""
    energy = energy_told(window.document)
    if energy is None:
        return Sums()
    if not energy["beneficiaries"]:
        return Sums([members(pieces, None)])
    rows = {name: [row["name"] for row in energy["tables"][name]["rows"]] for name in ENERGY_TABLES}
    return Sums(totals(pieces), lines(pieces, ENERGY_TABLES, rows))


def _qualities_shown(interval: Interval, read: ReadReached, given: Iterable[Given], smallest: int) -> bool:
    """Whether amounts by quality may be shown: where they disclose no more than whole amounts do.

    In each piece of the windows that show them, enough organisations have energy of several qualities
    (``held_together``), and nothing was corrected between these reports.
    """
    by_word = [window for window in given if (energy_told(window.document) or {}).get("quality_joules")]
    near = [(window.interval, window.read) for window in connected(interval, by_word)]
    ends = [each for each, _ in near]
    pieces: dict[Interval, list[Sequence[Reached]]] = {}
    for whole, reader in ((interval, read), *near):
        for piece in cut(whole, ends):
            pieces.setdefault(piece, []).append(reader(piece))
    return all(
        held_together(_joined(versions[0]), smallest) and all(_same(versions[0], each) for each in versions)
        for versions in pieces.values()
    )


def _same(some: Sequence[Reached], others: Sequence[Reached]) -> bool:
    """Whether both are of the same organisations with the same energy."""
    first, second = (
        {(each.organisation, each.beneficiary, *each.places.values()): each.charge for each in reached}
        for reached in (some, others)
    )
    return first == second


def _joined(reached: Iterable[Reached]) -> Iterator[Collection[str]]:
    """The qualities, and those pairs of them that some organisation has in one part, once for each."""
    parts: dict[tuple[str, Beneficiary, tuple[str, ...]], set[str]] = {}
    for each in reached:
        *places, quality = each.places.values()
        parts.setdefault((each.organisation, each.beneficiary, tuple(places)), set()).add(quality)
    yield from ({quality} for qualities in parts.values() for quality in qualities)
    yield from {
        (whom, pair): pair
        for (whom, *_), qualities in parts.items()
        for pair in combinations(sorted(qualities), 2)
    }.values()


def surroundings_value(surroundings: Surroundings) -> dict[str, Any]:
    """Energy, grid and water as plain values; None where nothing is recorded, or a figure is not shown."""
    grid, water, held = surroundings.grid, surroundings.water, surroundings.held
    return {
        "energy": surroundings.energy and _energy_reported(surroundings.energy),
        "grid": grid and grid_value(grid, surroundings.limited_year_seconds),
        "water": water and water_value(water),
        "held_by_grid": held and held_value(held),
    }


def held_value(held: HeldByGrid) -> dict[str, Any]:
    """What waited for nodes kept free, as JSON: resource-seconds, and the seconds of which it is known."""
    return held._asdict() | {"charge": number(held.charge)}


def _energy_reported(reported: EnergyReported) -> dict[str, Any]:
    answer = reported.answer
    closed, sums = answer.closure, answer.sums
    total = sums.total if answer.recorded else None
    known = 1 - Fraction(sums.unknown_seconds) / sums.node_seconds if sums.node_seconds else Fraction(1)
    amounts = {str(quality): float(joules) for quality, joules in sums.qualities.items()}
    return {
        "until": windows.iso(answer.until),
        "run_joules": plain(total),
        "qualities": list(amounts),
        "quality_joules": amounts if reported.by_quality and total is not None else None,
        "known_percent": int(100 * known),
        "idle_joules": plain(answer.idle),
        "outliers": len(answer.outliers),
        "closure": closed.kappa,
        "closure_reason": closed.reason,
        "closure_covered_seconds": closed.covered_seconds,
        "closure_elapsed_seconds": closed.elapsed_seconds,
        "closure_least": closed.least,
        "closure_most": closed.most,
        **building_values(answer),
        "beneficiaries": [
            {"name": str(side), **_scaled(answer, joules)} for side, joules in reported.beneficiaries.items()
        ],
        "tables": {table.name: _energy_table(answer, table) for table in reported.tables},
    }


def _energy_table(answer: EnergyAnswer, table: Table) -> dict[str, Any]:
    hidden = table.hidden
    return {
        "total": float(table.total),
        "rows": [_energy_row(answer, row, table) for row in table.rows],
        "suppressed": hidden and {"rows": table.hidden_names} | _energy_row(answer, hidden, table),
    }


def _energy_row(answer: EnergyAnswer, row: TableRow, table: Table) -> dict[str, Any]:
    return {
        "name": row.name,
        "organisations": row.organisations,
        "part_of_table": part(row.charge, table.total),
        **_scaled(answer, row.charge),
    }


def _scaled(answer: EnergyAnswer, joules: Charge) -> dict[str, Any]:
    """Energy of runs, and the energy and water of the building that go with it."""
    exact = Fraction(joules)
    return {
        "joules": float(exact),
        "building_joules": plain(answer.scaled(Kind.E_DC, exact)),
        "water_cubic_metres": plain(answer.scaled(Kind.W_IN, exact)),
    }


def grid_value(m: GridMeasurement, year_seconds: int) -> dict[str, Any]:
    """The connection in a window as JSON, with its verdict; null where nothing was read or compared."""
    judged = judge_grid(m)
    return {
        "verdict": judged.verdict.value,
        "reason": judged.reason,
        "quarters": m.quarters,
        "unread": m.unread,
        "unallowed": m.unallowed,
        "exceeded": m.exceeded if m.compared else None,
        "excess_kwh": plain(m.excess_kwh) if m.compared else None,
        "peak_kw": plain(m.peak_kw),
        "limited_hours": m.limited_seconds / HOUR,
        "limited_hours_of_year": year_seconds / HOUR,
        "limited_hours_allowed": TDTR_HOURS,
        "evidence": m.evidence,
    }


def water_value(m: WaterMeasurement) -> dict[str, Any]:
    """The water of a window as JSON, with its verdict; null where nothing was read."""
    judged = judge_water(m)
    return {
        "verdict": judged.verdict.value,
        "reason": judged.reason,
        **{kind.value.lower(): plain(m.used(kind)) for kind in WATERS},
        "meters": [
            {**use._asdict(), "kind": use.kind.value, "cubic_metres": plain(use.cubic_metres)}
            for use in m.meters
        ],
        "evidence": m.evidence,
    }
