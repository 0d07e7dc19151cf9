"""How the answers of `saf simulate` are shown: two tables with sentences, CSV, or the values of JSON.

Tested in tests/cli/test_simulate.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any, NamedTuple

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.core.words import count
from slurm_ai_factory.simulation.evaluation import PolicyResult, of_own_machine, partial_windows
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


def _comparison_value(trial: Trial, rows: Sequence[Value], took: Value) -> Value:
    """The answer as JSON has it, with the seconds it took."""
    promise = trial.promise
    return {
        "workload": workload_facts(trial),
        "left_out": left_out_value(trial),
        "resource": promise.resource.name,
        "capacity": trial.layout.total,
        "target_share": promise.target_share,
        "window": trial.window,
        "partial_windows": partial_windows(trial),
        "policies": rows,
        **took,
    }


def left_out_value(trial: Trial) -> list[Value]:
    """What the workload has that is not replayed."""
    return [
        {"cause": group.cause, "jobs": group.records, "charge": group.of(trial.promise.resource.name)}
        for group in trial.workload.left_out
    ]


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


def workload_facts(trial: Trial) -> dict[str, float | int]:
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


def show_comparison(trial: Trial, rows: Sequence[Value], took: Value) -> None:
    """Print an answer as the options ask for it."""
    if chosen.json:
        return output.emit(_comparison_value(trial, rows, took))
    flat = [flat_value(row) for row in rows]
    if chosen.csv:
        return output.table(list(flat[0]), [list(row.values()) for row in flat])
    if not chosen.quiet:
        facts = workload_facts(trial)
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
    if left_out := partial_windows(trial):
        none = "" if rows[0]["min_window_share"] is not None else "; there is no whole one, so none is judged"
        click.echo(f"{count(left_out, 'partial window')} at the ends of the workload left out{none}")
    for row in rows:
        region, others = (row[f"wait_of_own_machine_{side}"] for side in SIDES)
        if region is not None and others is not None:
            click.echo(SENTENCE.format(policy=row["policy"], region=region, others=others))


Draws = Mapping[tuple[str, int], Sequence[Value]]
"""The rows of each draw, by workload and seed."""


def show_sweep(trials: Mapping[str, Trial], draws: Draws, seconds: float) -> None:
    """Print a sweep as the options ask for it: means and spreads, or with --json and --csv every draw."""
    if chosen.json:
        return output.emit(_sweep_value(trials, draws, seconds))
    if chosen.csv:
        flat = [
            {"workload": source, "seed": seed, **flat_value(row)}
            for (source, seed), rows in draws.items()
            for row in rows
        ]
        return output.table(list(flat[0]), [list(row.values()) for row in flat])
    averages = {source: _averages(source, draws) for source in trials}
    for columns in (DELIVERED, WAITED):
        titles = ("workload", "policy", *(title for title, _, _ in columns))
        output.table(titles, [
            (source, policy, *_spread_cells(figures, columns))
            for source, policies in averages.items() for policy, figures in policies.items()
        ])  # fmt: skip
        click.echo()
    if not chosen.quiet:
        trial = next(iter(trials.values()))
        click.echo(f"means of {len(draws) // len(trials)} draws, with their standard deviations")
        click.echo(
            LEGEND.format(resource=trial.promise.resource, own=100 * trial.promise.target_share).strip()
        )
    return None


def _sweep_value(trials: Mapping[str, Trial], draws: Draws, seconds: float) -> Value:
    return {
        "workloads": [
            {
                "workload": source,
                "policies": [
                    {
                        "policy": policy,
                        "mean": {name: spread.mean for name, spread in figures.items()},
                        "standard_deviation": {name: spread.deviation for name, spread in figures.items()},
                    }
                    for policy, figures in _averages(source, draws).items()
                ],
            }
            for source in trials
        ],
        "draws": [
            {"workload": source, "seed": seed, "policies": rows} for (source, seed), rows in draws.items()
        ],
        "wall_seconds": seconds,
    }


class Spread(NamedTuple):
    """A figure over draws; None where it is not known of each of them."""

    mean: float | None
    deviation: float | None  #: standard deviation of the sample; None of a single draw


def _averages(source: str, draws: Draws) -> dict[str, dict[str, Spread]]:
    """The figures of a workload's policies over its draws."""
    by_policy: dict[str, list[dict[str, Any]]] = {}
    for (workload, _), rows in draws.items():
        for row in rows if workload == source else ():
            by_policy.setdefault(str(row["policy"]), []).append(flat_value(row))
    return {
        policy: {name: _spread([row[name] for row in rows]) for name in rows[0] if name != "policy"}
        for policy, rows in by_policy.items()
    }


def _spread(figures: Sequence[float | None]) -> Spread:
    known = [figure for figure in figures if figure is not None]
    if len(known) < len(figures):
        return Spread(None, None)
    return Spread(mean(known), stdev(known) if len(known) > 1 else None)


def _spread_cells(figures: Mapping[str, Spread], columns: Sequence[Column]) -> list[str | None]:
    """Means with their spreads, as 25.9 % ± 0.2 %."""
    spreads = [(figures[key], write) for _, key, write in columns]
    return [
        None
        if average is None
        else f"{write(average)} ± {write(deviation)}"
        if deviation is not None
        else write(average)
        for (average, deviation), write in spreads
    ]


def _cells(row: Mapping[str, Any], columns: Sequence[Column]) -> list[object]:
    """A row of a table; a figure that is not known is an empty cell."""
    return [row["policy"], *(None if row[key] is None else write(row[key]) for _, key, write in columns)]


def flat_value(value: Value) -> dict[str, Any]:
    """A value as one row: the keys of an inner dict are joined to its own."""
    row: dict[str, Any] = {}
    for name, cell in value.items():
        row |= (
            {f"{name}_{key}": item for key, item in cell.items()} if isinstance(cell, dict) else {name: cell}
        )
    return row
