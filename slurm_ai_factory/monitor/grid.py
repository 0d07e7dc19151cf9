"""The metrics of grid and water: power in watts, energy in joules, time in seconds, water in cubic metres.

What is not known is left out and never 0. Tested in tests/monitor/test_grid.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from slurm_ai_factory.core.energy.grid import GridMeasurement, judge_grid
from slurm_ai_factory.core.energy.keeping import HOLDING_REASONS, Keeping
from slurm_ai_factory.core.energy.meters import JOULES, QUARTER, WATTS
from slurm_ai_factory.core.energy.water import WATERS, WaterMeasurement, judge_water
from slurm_ai_factory.core.records import VERDICTS, Bound, Verdict

FOUND = tuple(verdict for verdict in VERDICTS[Bound.CAP] if verdict is not Verdict.EXCEEDED_IDLE)
"""The verdicts on grid and water."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridShown:
    """Grid and water of the promise's window, and what is kept free."""

    grid: GridMeasurement
    water: WaterMeasurement
    limited_year_seconds: int  #: of the year, under limits of a time-duration right
    keeping: Keeping | None  #: None where grid.mode is off
    reserved: int  #: nodes of our reservation
    held: float | None  #: of the resource, wanted by regional jobs that wait for it


def grid_families(shown: GridShown, cluster: str, resource: str) -> Iterator[Metric]:
    grid, water = shown.grid, shown.water
    window = {"cluster": cluster, "window": grid.window.name}
    for name, doc, value in (
        ("saf_grid_power_watts", "Power of the connection in the newest quarter of an hour that was read.",
         _watts(grid.newest_kw)),
        ("saf_grid_allowed_watts", "Power that was allowed in that quarter of an hour.",
         _watts(grid.newest_allowed_kw)),
        ("saf_grid_peak_watts", "Highest power of a quarter of an hour in the window.", _watts(grid.peak_kw)),
        ("saf_grid_exceeded_seconds", "Quarters of an hour of the window above what was allowed.",
         grid.exceeded * QUARTER if grid.compared else None),
        ("saf_grid_excess_joules", "Energy above what was allowed in the window.",
         float(grid.excess_kwh * JOULES["kWh"]) if grid.compared else None),
        ("saf_grid_unread_seconds", "Quarters of an hour of the window without a reading of each meter.",
         grid.unread * QUARTER),
        ("saf_grid_unallowed_seconds", "Quarters of an hour of the window without a row of allowed power.",
         grid.unallowed * QUARTER),
        ("saf_grid_limited_seconds", "Time of the window under a limit of a time-duration right.",
         grid.limited_seconds),
        ("saf_grid_limited_year_seconds", "The same of the civil year in which the window ends.",
         shown.limited_year_seconds),
    ):  # fmt: skip
        if value is not None:
            yield _family(name, doc, window, {"": value})
    for name, doc, verdict in (
        ("saf_grid_verdict", "1 for the verdict on the grid.", judge_grid(grid).verdict),
        ("saf_water_verdict", "1 for the verdict on water.", judge_water(water).verdict),
    ):
        yield _family(name, doc, window, {word: word == verdict for word in FOUND}, "verdict")
    used = {str(kind): float(volume) for kind in WATERS if (volume := water.used(kind)) is not None}
    if used:
        doc = "Water that meters of the process measured in the window, by kind."
        yield _family("saf_water_used_cubic_metres", doc, window, used, "kind")
    yield from _of_keeping(shown, cluster, resource)


def _of_keeping(shown: GridShown, cluster: str, resource: str) -> Iterator[Metric]:
    """What is kept free, where grid.mode is not off."""
    keeping = shown.keeping
    if keeping is None:
        return
    of = {"cluster": cluster}
    nodes = "Nodes that a limit needs free of jobs, and nodes that the reservation keeps free."
    wanted = {"needed": keeping.stretch.nodes if keeping.stretch else 0, "reserved": shown.reserved}
    yield _family("saf_grid_nodes", nodes, of, wanted, "state")
    hold = "1 if no node can be kept free for this reason."
    reasons = {word: word == keeping.reason for word in sorted(HOLDING_REASONS)}
    yield _family("saf_grid_hold", hold, of, reasons, "reason")
    if (expected := _watts(keeping.expected_kw)) is not None:
        yield _family("saf_grid_expected_watts", "Power that is expected without acting.", of, {"": expected})
    if shown.held is not None:
        doc = "Amount of the resource requested by regional jobs that wait for nodes kept free."
        labels = {**of, "resource": resource}
        yield _family("saf_queue_held_by_grid_resources", doc, labels, {"": shown.held})


def _watts(kilowatts: Fraction | None) -> float | None:
    return None if kilowatts is None else float(kilowatts * WATTS["kW"])


def _family(
    name: str, doc: str, labels: Mapping[str, str], values: Mapping[str, float], *more: str
) -> Metric:
    """A gauge with a series for each value of its last label; without one, of the one value."""
    family = GaugeMetricFamily(name, doc, labels=[*labels, *more])
    for word, value in values.items():
        family.add_metric([*labels.values(), *([word] if more else [])], float(value))
    return family
