"""How the answers of `saf simulate` are shown: two tables with sentences, CSV, or the values of JSON.

Tested in tests/cli/test_simulate.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.simulation.evaluation import PolicyResult, of_own_machine
from slurm_ai_factory.simulation.replay import Trial

LEGEND = """
short by, to blame, inversions: {resource}-hours; wait: mean hours; slowdown: mean, bounded at 10 s
wait/own, slowdown/own: parts of what a side has on a machine of its own (the region {own:g} % of this one)
"""
SENTENCE = (
    "{policy}: the region waits {region:.2f} of what it would on a machine of its own; "
    "the others {others:.2f}"
)

SIDES = ("regional", "non_regional")

Value = Mapping[str, object]


def _hours(charge: float) -> str | None:
    return output.hours(charge, 0)


def _digits(number: int, unit: int = 1) -> Callable[[float], str]:
    return lambda figure: f"{figure / unit:.{number}f}"


Column = tuple[str, str, Callable[[float], str | None]]
"""(title, key of a flat value, how a figure is written)"""

DELIVERED: tuple[Column, ...] = (
    ("share", "delivered_share", output.percent),
    ("worst window", "min_window_share", output.percent),
    ("missed", "violation_ratio", output.percent),
    ("starved", "starved_ratio", output.percent),
    ("short by", "shortfall_charge", _hours),
    ("to blame", "attributable_shortfall_charge", _hours),
    ("inversions", "inversion_charge", _hours),
    ("used", "utilisation", output.percent),
    ("writes/day", "writes_per_day", _digits(2)),
)
WAITED: tuple[Column, ...] = (
    ("wait", "wait_mean_seconds_regional", _digits(1, HOUR)),
    ("others wait", "wait_mean_seconds_non_regional", _digits(1, HOUR)),
    ("slowdown", "bounded_slowdown_mean_regional", _digits(1)),
    ("others' slowdown", "bounded_slowdown_mean_non_regional", _digits(1)),
    ("wait/own", "wait_of_own_machine_regional", _digits(2)),
    ("others' wait/own", "wait_of_own_machine_non_regional", _digits(2)),
    ("slowdown/own", "slowdown_of_own_machine_regional", _digits(2)),
    ("others' slowdown/own", "slowdown_of_own_machine_non_regional", _digits(2)),
)


def value(trial: Trial, rows: Sequence[Value], seconds: float) -> Value:
    """The answer as JSON has it; ``seconds`` is what it took."""
    promise = trial.promise
    return {
        "workload": _facts(trial),
        "left_out": [
            {"cause": group.cause, "jobs": group.records, "charge": group.of(promise.resource.name)}
            for group in trial.workload.left_out
        ],
        "resource": promise.resource.name,
        "capacity": trial.layout.total,
        "target_share": promise.target_share,
        "window": trial.window,
        "policies": rows,
        "wall_seconds": seconds,
    }


def row(result: PolicyResult, alone: PolicyResult) -> Value:
    """A policy in JSON, beside both sides alone on machines of their own."""
    own = [
        of_own_machine(result.regional, alone.regional),
        of_own_machine(result.non_regional, alone.non_regional),
    ]
    return {
        "policy": result.policy,
        "delivered_share": result.delivered_share,
        "min_window_share": result.min_window_share,
        "violation_ratio": result.violation_ratio,
        "starved_ratio": result.starved_ratio,
        "shortfall_charge": result.shortfall_charge,
        "attributable_shortfall_charge": result.attributable_shortfall_charge,
        "inversion_charge": result.inversion_charge,
        "utilisation": result.utilisation,
        "wait_mean_seconds": _sides(result, "mean_seconds"),
        "wait_p95_seconds": _sides(result, "p95_seconds"),
        "bounded_slowdown_mean": _sides(result, "bounded_slowdown"),
        "wait_of_own_machine": dict(zip(SIDES, (side.wait for side in own), strict=True)),
        "slowdown_of_own_machine": dict(zip(SIDES, (side.slowdown for side in own), strict=True)),
        "writes_per_day": result.writes_per_day,
    }


def _sides(result: PolicyResult, name: str) -> dict[str, float]:
    return {side: getattr(getattr(result, side), name) for side in SIDES}


def _facts(trial: Trial) -> dict[str, float | int]:
    """The workload: its size, span in days, load and regional part (ratios)."""
    work = trial.workload
    charge = trial.layout.weight * work.runtime
    span = max(1, int(work.submit[-1] - work.submit[0]))
    return {
        "jobs": len(work),
        "span_days": span / (24 * HOUR),
        "offered_load": float(charge.sum() / (trial.layout.total * span)),
        "regional_demand_share": float((charge * trial.side).sum() / charge.sum()),
    }


def show(trial: Trial, rows: Sequence[Value], seconds: float) -> None:
    """Print an answer as the options ask for it."""
    if chosen.json:
        return output.emit(value(trial, rows, seconds))
    flat = [_flat(row) for row in rows]
    if chosen.csv:
        return output.table(list(flat[0]), [list(row.values()) for row in flat])
    if not chosen.quiet:
        facts = _facts(trial)
        click.echo(
            f"{facts['jobs']} jobs in {facts['span_days']:.0f} days on {trial.layout.total:.0f} "
            f"{trial.promise.resource}, which they would fill to {100 * facts['offered_load']:.0f} %; "
            f"{100 * facts['regional_demand_share']:.1f} % of it is regional; "
            f"promised {100 * trial.promise.target_share:g} % in {trial.window}\n"
        )
    for number, columns in enumerate((DELIVERED, WAITED)):
        click.echo("\n" * bool(number), nl=False)
        output.table(("policy", *(title for title, _, _ in columns)), [_cells(row, columns) for row in flat])
    if not chosen.quiet:
        _explain(trial, flat)
    return None


def _explain(trial: Trial, rows: Sequence[Mapping[str, Any]]) -> None:
    """The legend, and what each policy means for both sides where they wait on machines of their own."""
    click.echo(LEGEND.format(resource=trial.promise.resource, own=100 * trial.promise.target_share))
    for row in rows:
        region, others = (row[f"wait_of_own_machine_{side}"] for side in SIDES)
        if region is not None and others is not None:
            click.echo(SENTENCE.format(policy=row["policy"], region=region, others=others))


def _cells(row: Mapping[str, Any], columns: Sequence[Column]) -> list[object]:
    """A row of a table; a figure that is not known is an empty cell."""
    return [row["policy"], *(None if row[key] is None else write(row[key]) for _, key, write in columns)]


def _flat(value: Value) -> dict[str, Any]:
    """A value as one row: the keys of an inner dict are joined to its own."""
    row: dict[str, Any] = {}
    for name, cell in value.items():
        row |= (
            {f"{name}_{key}": item for key, item in cell.items()} if isinstance(cell, dict) else {name: cell}
        )
    return row
