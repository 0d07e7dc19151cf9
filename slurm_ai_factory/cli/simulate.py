"""Prove a policy on history before it steers anything: `saf simulate`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slurm_ai_factory.cli import compiled, output
from slurm_ai_factory.cli.options import SafCommand, chosen
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.errors import SafError

if TYPE_CHECKING:
    from slurm_ai_factory.simulation.evaluation import PolicyResult, Waits
    from slurm_ai_factory.simulation.replay import OnReplayed, Trial

FORMATS = (".png", ".svg", ".pdf")

LEGEND = "short by, to blame: {resource}-hours; wait: mean hours; slowdown: mean, bounded at 10 s"

COLUMNS = ("policy", "share", "worst window", "missed", "starved", "short by", "to blame", "used",
           "wait", "others wait", "slowdown", "others' slowdown", "writes/day")  # fmt: skip


@click.command("simulate", cls=SafCommand)
@click.option(
    "--workload",
    "source",
    metavar="FILE",
    required=True,
    help="SWF, CSV or sacct -P output (also .gz), scenario:NAME, or ledger:SINCE..UNTIL.",
)
@click.option(
    "--regional", metavar="FILE", help="CSV with columns account,regional; else the configured rules."
)
@click.option(
    "--regional-column",
    metavar="NAME",
    default="regional",
    show_default=True,
    help="Its column that says true or false.",
)
@click.option(
    "--capacity", type=click.IntRange(1, 2**32), metavar="N", help="Size of the machine, in the resource."
)
@click.option(
    "--resource",
    type=click.Choice(["cpu", "gpu", "node"]),
    default="cpu",
    show_default=True,
    help="What jobs need, and what was promised.",
)
@click.option(
    "--policy",
    "names",
    metavar="P",
    multiple=True,
    help="floor, static:0.25, reset:quarter, partition:0.25 or oracle; may be given again.",
)
@click.option(
    "--target",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="F",
    help="The promised share; else the configured one, else 0.25.",
)
@click.option("--window", metavar="W", help="rolling:30d, month, quarter, half, year; else as configured.")
@click.option("--half-life", metavar="T", default="7d", show_default=True, help="PriorityDecayHalfLife.")
@click.option("--period", metavar="T", default="30m", show_default=True, help="Between two decisions.")
@click.option(
    "--backfill",
    type=click.Choice(["easy", "conservative"]),
    default="easy",
    show_default=True,
    help="How the model cluster fills holes.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Another draw of a scenario; of a log, each submission moved by up to an hour; 0: as it is.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw the share of each window for each policy (.png, .svg or .pdf).",
)
def simulate_command(names: tuple[str, ...], plot: Path | None, **options: Any) -> None:
    """Replay a workload on a model cluster under several policies, and compare them.

    The policy `floor` is the control law itself. Nothing is read from Slurm and nothing is written to it.
    """
    with _extra():
        from slurm_ai_factory.cli.trial import trial_of
        from slurm_ai_factory.simulation import policies
    if plot and plot.suffix not in FORMATS:
        raise click.UsageError(f"--plot: {plot} ends in none of {', '.join(FORMATS)}")
    if plot and not plot.parent.is_dir():
        raise click.UsageError(f"--plot: there is no directory {plot.parent}")
    began = time.monotonic()
    trial = trial_of(**options)
    try:
        asked = [
            policies.named(name, trial.promise.target_share) for name in names or ("floor", "static:0.25")
        ]
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    results = _replayed(trial, asked)
    _print(trial, results, time.monotonic() - began)
    if plot:
        _plot(trial, results, plot)


@contextmanager
def _extra() -> Iterator[None]:
    """The model cluster is compiled code, and an extra."""
    compiled.keep_compiled()
    try:
        yield
    except ImportError as error:
        raise SafError(f"{error.name} is missing; run in the checkout: pip install '.[simulate]'") from error


def _replayed(trial: Trial, asked: list[Any]) -> list[PolicyResult]:
    """Each policy's row; on a terminal with a bar over all of them."""
    from slurm_ai_factory.simulation.evaluation import evaluate
    from slurm_ai_factory.simulation.replay import replay

    span = int(trial.workload.submit[-1] - trial.workload.submit[0]) or 1
    with output.bar(span * len(asked), "simulating") as bar:
        results = []
        for number, policy in enumerate(asked):
            results.append(evaluate(trial, replay(trial, policy, _bar(bar, trial, number * span))))
            bar.update((number + 1) * span - bar.pos)
    return results


def _bar(bar: Any, trial: Trial, done: int) -> OnReplayed:
    began = int(trial.workload.submit[0])
    return lambda at: bar.update(max(0, done + at - began - bar.pos))


def _print(trial: Trial, results: list[PolicyResult], seconds: float) -> None:
    if chosen.json:
        return output.emit(_json(trial, results, seconds))
    if chosen.csv:
        rows = [_flat(_policy_json(result)) for result in results]
        return output.table(list(rows[0]), [list(row.values()) for row in rows])
    if not chosen.quiet:
        click.echo(_headline(trial))
    output.table(COLUMNS, [_row(result) for result in results])
    if not chosen.quiet:
        click.echo("\n" + LEGEND.format(resource=trial.promise.resource))
    return None


def _facts(trial: Trial) -> dict[str, float | int]:
    """What the workload is: how much, how long, how much of it regional."""
    work = trial.workload
    charge = trial.layout.weight * work.runtime
    span = max(1, int(work.submit[-1] - work.submit[0]))
    return {
        "jobs": len(work),
        "span_days": span / (24 * HOUR),
        "offered_load": float(charge.sum() / (trial.layout.total * span)),
        "regional_demand_share": float((charge * trial.side).sum() / charge.sum()),
    }


def _headline(trial: Trial) -> str:
    facts = _facts(trial)
    return (
        f"{facts['jobs']} jobs in {facts['span_days']:.0f} days on {trial.layout.total:.0f} "
        f"{trial.promise.resource}, which they would fill to {100 * facts['offered_load']:.0f} %; "
        f"{100 * facts['regional_demand_share']:.1f} % of it is regional; "
        f"promised {100 * trial.promise.target_share:g} % in {trial.window}\n"
    )


def _row(result: PolicyResult) -> list[str]:
    return [
        result.policy, f"{100 * result.delivered_share:.1f} %", f"{100 * result.min_window_share:.1f} %",
        f"{100 * result.violation_ratio:.1f} %", f"{100 * result.starved_ratio:.1f} %",
        f"{result.shortfall_charge / HOUR:.0f}", f"{result.attributable_shortfall_charge / HOUR:.0f}",
        f"{100 * result.utilisation:.1f} %", f"{result.regional.mean_seconds / HOUR:.1f}",
        f"{result.non_regional.mean_seconds / HOUR:.1f}", f"{result.regional.bounded_slowdown:.1f}",
        f"{result.non_regional.bounded_slowdown:.1f}", f"{result.writes_per_day:.2f}",
    ]  # fmt: skip


def _json(trial: Trial, results: list[PolicyResult], seconds: float) -> dict[str, object]:
    return {
        "workload": _facts(trial),
        "left_out": [
            {"cause": one.cause, "jobs": one.records, "charge": one.of(trial.promise.resource)}
            for one in trial.workload.left_out
        ],
        "resource": trial.promise.resource,
        "capacity": trial.layout.total,
        "target_share": trial.promise.target_share,
        "window": trial.window,
        "policies": [_policy_json(result) for result in results],
        "wall_seconds": seconds,
    }


def _policy_json(result: PolicyResult) -> dict[str, object]:
    return {
        "policy": result.policy,
        "delivered_share": result.delivered_share,
        "min_window_share": result.min_window_share,
        "violation_ratio": result.violation_ratio,
        "starved_ratio": result.starved_ratio,
        "shortfall_charge": result.shortfall_charge,
        "attributable_shortfall_charge": result.attributable_shortfall_charge,
        "utilisation": result.utilisation,
        "wait_mean_seconds": _sides(result, "mean_seconds"),
        "wait_p95_seconds": _sides(result, "p95_seconds"),
        "bounded_slowdown_mean": _sides(result, "bounded_slowdown"),
        "writes_per_day": result.writes_per_day,
    }


def _flat(value: Mapping[str, object]) -> dict[str, object]:
    """Values with one key each, as a row has them."""
    row: dict[str, object] = {}
    for name, cell in value.items():
        row |= {f"{name}_{key}": one for key, one in cell.items()} if isinstance(cell, dict) else {name: cell}
    return row


def _sides(result: PolicyResult, name: str) -> dict[str, float]:
    sides: dict[str, Waits] = {"regional": result.regional, "non_regional": result.non_regional}
    return {side: getattr(waits, name) for side, waits in sides.items()}


def _plot(trial: Trial, results: list[PolicyResult], file: Path) -> None:
    with _extra():
        from slurm_ai_factory.cli.plot import plot_windows
        from slurm_ai_factory.cli.trial import file_problem
    with file_problem(str(file)):
        plot_windows(trial.promise.target_share, trial.window, results, file)


COMMANDS = (simulate_command,)
