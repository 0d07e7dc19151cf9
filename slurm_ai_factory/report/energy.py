"""The energy and water of a window, gathered from the ledger: runs, meters, closure, indicators, CO2.

The rule: readings that overlap the window are taken whole, so that a window is the sum of its parts, and
whatever has no reading is None and never 0. Tested in tests/cli/test_energy.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from slurm_ai_factory.config.sections import EnergySection
from slurm_ai_factory.config.values import shipped_indicators
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.energy import closure
from slurm_ai_factory.core.energy.closure import Closure, EmissionFactor, EnergySums, Indicator, Ratio
from slurm_ai_factory.core.energy.meters import Kind, Placement, Reading
from slurm_ai_factory.core.energy.runs import (
    MEASURED,
    EnergyPart,
    Fill,
    Presence,
    counted_fill,
    modelled_fill,
    nodes_of,
    plausible,
    presences,
    split_node,
)
from slurm_ai_factory.core.measure.share import SortedRun
from slurm_ai_factory.core.records import DAY, Instant, Interval, Run, Window
from slurm_ai_factory.ledger import Classified
from slurm_ai_factory.question import GroupKey, Question

OF_NODES = (Kind.E_NODE, Kind.E_GPU)
OF_LIMITS = (Kind.P_15MIN, Kind.W_POTABLE, Kind.W_SURFACE)
"""Kinds that the verdicts on grid and water rest on; the others are of energy."""
OF_BUILDING = tuple(kind for kind in Kind if kind not in OF_NODES)
IDLE = 0
"""The DBIndex of idle energy; no run has it."""
BASES = ("location", "market")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyAnswer:
    """What is known of the energy and water of a window; energy in joules, water in cubic metres."""

    window: Window
    until: Instant  #: how far the answer reaches
    metered: bool  #: whether there is any reading of energy, or of all water
    unread_seconds: int  #: of the window, which were never read from Slurm
    sums: EnergySums
    idle: Fraction | None  #: of nodes and GPUs that no placed run had; None where none has a meter
    closure: Closure
    amounts: Mapping[Kind, Fraction | None]  #: of the building; None unless readings cover the whole window
    indicators: Sequence[tuple[Indicator, Ratio]]
    emissions: Mapping[str, tuple[float | None, Sequence[EmissionFactor]]]  #: kilograms of CO2 by basis
    outliers: Sequence[str]  #: figures above what a node can draw, which are in no sum

    @property
    def recorded(self) -> bool:
        """Whether anything is known of the energy of runs; without any run it is 0, if that was read."""
        return bool(self.sums.qualities) or not (self.sums.unknown_seconds or self.unread_seconds)

    def scaled(self, kind: Kind, joules: Fraction) -> Fraction | None:
        """The part of an amount of the building that goes with a part of the energy of all runs."""
        amount, total = self.amounts[kind], self.sums.total
        return amount * joules / total if amount is not None and total else None


class EnergyFacts(NamedTuple):
    """What the ledger has for an answer, beside the runs, which are many."""

    readings: Mapping[Kind, Sequence[Reading]]
    placed: Mapping[int, Sequence[Placement]]  #: by JobIDRaw
    present: Sequence[Run]  #: the runs of these jobs
    ends: Mapping[Kind, Mapping[str, Instant]]  #: from when on meters are out of use
    reach: Instant  #: how far readings of the building go
    counted: Mapping[int, int]  #: DBIndex -> joules of Slurm's counter, where it is the job's own


def energy_recorded(ask: Question) -> bool:
    """Whether anything can be said of the energy of a window."""
    stated = bool(ask.config.energy.watts) or ask.config.energy.whole_nodes
    kinds = (kind for kind in Kind if kind not in OF_LIMITS)
    return stated or any(ask.ledger.meters.readings(kind, ask.window, ask.then) for kind in kinds)


def energy_of(ask: Question, key: GroupKey) -> EnergyAnswer:
    """The energy and water of a question's window, by group; all of one snapshot.

    Runs are read one by one: the memory that it takes does not grow with their number, only with that of
    the runs that are placed.
    """
    last = max(ask.window.since, min(ask.window.until, ask.read_until))
    window = Window("", ask.window.since, last)
    with ask.books() as books:
        known = _told(ask, books, window)
        return _answered(ask, known, books.runs_between(window.since, window.until), key, last)


def _answered(
    ask: Question, known: EnergyFacts, runs: Iterable[SortedRun], key: GroupKey, last: Instant
) -> EnergyAnswer:
    since, settings = ask.window.since, ask.config.energy
    until = max(since, min(last, known.reach))
    most = None if settings.node_watts_most is None else Fraction(settings.node_watts_most)
    usable, outliers = plausible([reading for kind in OF_NODES for reading in known.readings[kind]], most)
    parts, above = _parts(known, usable), set[int]()
    dc_readings = known.readings[Kind.E_DC]
    covered = closure.covered_intervals(known.readings[Kind.E_IT], since, until, known.ends[Kind.E_IT])
    cut = closure.cells(since, until, covered, (row.since for row in settings.watts))

    def fill(run: Run, at: Instant) -> Fill | None:
        counted = known.counted.get(run.db_index)
        if _is_above(run, counted, most):
            above.add(run.db_index)
            counted = None
        return counted_fill(run, counted) or modelled_fill(run, settings.watts, at, ask.read_until)

    sums = closure.add_up(runs, parts, fill, cut, key, ask.read_until)
    idle = parts.get(IDLE, []) if usable else None
    return EnergyAnswer(
        window=ask.window,
        until=until,
        metered=any(of for kind, of in known.readings.items() if kind not in OF_LIMITS),
        unread_seconds=ask.unread(),
        sums=sums,
        idle=None if idle is None else closure.amount_within(idle, [(since, until)]),
        closure=_closure_of(known, sums, idle, covered, (since, until), settings),
        amounts={kind: _whole(known.readings[kind], since, until, known.ends[kind]) for kind in OF_BUILDING},
        indicators=[
            (row, closure.indicator_value(row, known.readings, since, until, known.ends))
            for row in shipped_indicators()
        ],
        emissions={
            basis: closure.emitted(
                dc_readings, settings.emissions, basis, since, until, known.ends[Kind.E_DC]
            )
            for basis in BASES
        },
        outliers=[
            *(f"{reading.meter} at {windows.iso(reading.since)}" for reading in outliers),
            *(f"Slurm's counter of run {db_index}" for db_index in sorted(above)),
        ],
    )


def _closure_of(
    known: EnergyFacts,
    sums: EnergySums,
    idle: Sequence[EnergyPart] | None,
    covered: Sequence[Interval],
    interval: Interval,
    settings: EnergySection,
) -> Closure:
    """How far runs and idle nodes add up to E_IT; ``idle`` is None where no node or GPU has a meter."""
    it_joules = closure.amount_within(known.readings[Kind.E_IT], covered)
    closing = sums.closing + closure.amount_within(idle or (), covered)
    unknown = Fraction(sums.unknown_seconds) / sums.node_seconds if sums.node_seconds else 0
    return Closure(
        kappa=float(closing / it_joules) if it_joules and (idle is not None or sums.qualities) else None,
        covered_seconds=closure.seconds_of(covered),
        elapsed_seconds=interval[1] - interval[0],
        known_ratio=1 - float(unknown),
        least=float(settings.closure_least),
        most=float(settings.closure_most),
    )


def _reach(ask: Question, ends: Mapping[Kind, Mapping[str, Instant]]) -> Instant:
    """How far any answer reaches: readings of the building may come a day late, and it waits for them.

    It is the same for every window, so that windows add up.
    """
    last_day = Window("", ask.read_until - DAY, ask.read_until)
    covered = [
        closure.covered_intervals(
            ask.ledger.meters.readings(kind, last_day, ask.then), last_day.since, last_day.until, ends[kind]
        )
        for kind in (Kind.E_IT, Kind.E_DC)
    ]
    return min([ask.read_until, *(intervals[-1][1] for intervals in covered if intervals)])


def _told(ask: Question, books: Classified, window: Window) -> EnergyFacts:
    """The facts; readings of GPUs also where a reading of a node leaves the window."""
    book = ask.ledger.meters
    readings = {kind: book.readings(kind, window, ask.then) for kind in Kind}
    edges = [(reading.since, reading.until) for reading in readings[Kind.E_NODE]]
    since = min([window.since, *(first for first, _ in edges)])
    wide = Window("", since, max([window.until, *(last for _, last in edges)]))
    placed: dict[int, list[Placement]] = {}
    for placement in book.placements(window, ask.then):
        placed.setdefault(placement.job_id, []).append(placement)
    runs = books.runs_between(window.since, window.until) if placed else ()
    ends = book.ends(ask.then)
    return EnergyFacts(
        readings | {Kind.E_GPU: book.readings(Kind.E_GPU, wide, ask.then)},
        placed,
        [run for run, _ in runs if run.job_id in placed],
        ends,
        _reach(ask, ends),
        book.counted_joules(window, ask.then) if ask.config.energy.whole_nodes else {},
    )


def _is_above(run: Run, joules: int | None, most: Fraction | None) -> bool:
    """Whether Slurm counted more than the nodes of a run can draw in its time."""
    if joules is None or most is None or run.start_at is None or run.end_at is None:
        return False
    return joules > most * nodes_of(run) * (run.end_at - run.start_at)


def _parts(known: EnergyFacts, readings: Iterable[Reading]) -> dict[int, list[EnergyPart]]:
    """What meters of nodes and GPUs measured of each run, by DBIndex, and of IDLE."""
    present: dict[str, list[Presence]] = {}
    for run in known.present:
        for presence in presences(run, known.placed[run.job_id]):
            present.setdefault(presence.node, []).append(presence)
    nodes: dict[str, dict[Kind, list[Reading]]] = {}
    for reading in readings:
        of = nodes.setdefault(reading.meter.partition("/")[0], {kind: [] for kind in OF_NODES})
        of[reading.kind].append(reading)
    parts: dict[int, list[EnergyPart]] = {}
    for node, of in nodes.items():
        for part in split_node(of[Kind.E_NODE], of[Kind.E_GPU], present.get(node, ())):
            parts.setdefault(IDLE if part.run is None else part.run, []).append(part)
    return parts


def _whole(
    readings: Sequence[Reading], since: Instant, until: Instant, ends: Mapping[str, Instant]
) -> Fraction | None:
    """The amount over an interval; None unless every meter has readings for all of it."""
    span = [(since, until)]
    covered = closure.covered_intervals(readings, since, until, ends) == span
    return closure.amount_within(readings, span) if covered else None


def energy_value(answer: EnergyAnswer, groups: Sequence[Mapping[str, object]] = ()) -> dict[str, Any]:
    """The answer as JSON has it; null where nothing is recorded."""
    qualities, closed = answer.sums.qualities, answer.closure
    return {
        "window": answer.window.name,
        "since": windows.iso(answer.window.since),
        "until": windows.iso(answer.until),
        "run_joules": float(answer.sums.total) if answer.recorded else None,
        "quality_joules": {str(quality): float(joules) for quality, joules in qualities.items()},
        "run_node_seconds": float(answer.sums.node_seconds),
        "unknown_node_seconds": float(answer.sums.unknown_seconds),
        "idle_joules": plain(answer.idle),
        "coarse_runs": answer.sums.coarse_runs,
        "outliers": list(answer.outliers),
        "closure": closed.kappa,
        "closure_covered_seconds": closed.covered_seconds,
        "closure_least": closed.least,
        "closure_most": closed.most,
        "by_beneficiary": closed.holds,
        "why": closed.sentence,
        **building_values(answer),
        "groups": list(groups),
    }


def building_values(answer: EnergyAnswer) -> dict[str, Any]:
    """What meters of the building measured, indicators and CO2; null where nothing is recorded."""
    return {
        "building": {str(kind): plain(amount) for kind, amount in answer.amounts.items()},
        "indicators": [
            {
                "indicator": row.name, "value": ratio.value, "unit": row.unit,
                "formula": f"{row.numerator} / {row.denominator}", "edition": row.edition,
                "covered_seconds": ratio.covered_seconds,
            }
            for row, ratio in answer.indicators
        ],
        "emissions": [
            {"basis": basis, "kilograms": kilograms, "factors": [str(factor) for factor in used]}
            for basis, (kilograms, used) in answer.emissions.items()
        ],
    }  # fmt: skip


def group_values(answer: EnergyAnswer) -> list[dict[str, Any]]:
    """Whom the energy was for, the most first, with its part of the building's energy and water.

    None of them where closure does not hold.
    """
    rows = [
        {
            "name": group.names[0] or str(group.beneficiary),
            "beneficiary": str(group.beneficiary),
            "joules": float(joules),
            "building_joules": plain(answer.scaled(Kind.E_DC, joules)),
            "water_cubic_metres": plain(answer.scaled(Kind.W_IN, joules)),
            "measured_ratio": float(sum(of.get(word, Fraction(0)) for word in MEASURED) / joules),
        }
        for group, of in answer.sums.groups.items()
        if (joules := sum(of.values(), start=Fraction(0)))
    ]
    return sorted(rows, key=lambda row: -row["joules"]) if answer.closure.holds else []


def plain(amount: Fraction | None) -> float | None:
    """An amount as JSON has it."""
    return None if amount is None else float(amount)
