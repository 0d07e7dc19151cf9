"""`saf simulate`: compare policies on a workload before one steers anything.

Tested in tests/cli/test_simulate.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import usage_errors
from slurm_ai_factory.cli.options import SafCommand, chosen
from slurm_ai_factory.cli.simulate import compiled
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.errors import SafError

if TYPE_CHECKING:
    from slurm_ai_factory.simulation.evaluation import PolicyResult, Waits
    from slurm_ai_factory.simulation.replay import Trial

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
    "--regional", metavar="FILE", help="CSV with columns account,regional. Default: the configured rules."
)
@click.option(
    "--regional-column",
    metavar="NAME",
    default="regional",
    show_default=True,
    help="The column of --regional that is true or false.",
)
@click.option(
    "--capacity", type=click.IntRange(1, 2**32), metavar="N", help="Size of the machine, in the resource."
)
@click.option(
    "--resource",
    type=click.Choice(["cpu", "gpu", "node"]),
    default="cpu",
    show_default=True,
    help="The resource of jobs and of the promise.",
)
@click.option(
    "--policy",
    "names",
    metavar="P",
    multiple=True,
    help="floor, switch:0.1, static:0.25, reset:quarter, partition:0.25 or oracle; repeatable.",
)
@click.option(
    "--target",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="F",
    help="The promised share. Default: as configured, else 0.25.",
)
@click.option(
    "--window", metavar="W", help="rolling:30d, month, quarter, half or year. Default: as configured."
)
@click.option("--half-life", metavar="T", default="7d", show_default=True, help="PriorityDecayHalfLife.")
@click.option("--period", metavar="T", default="30m", show_default=True, help="Time between two decisions.")
@click.option(
    "--backfill",
    type=click.Choice(["easy", "conservative"]),
    default="easy",
    show_default=True,
    help="Backfill of the model cluster.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Seed of a scenario. For a log: moves each submission by up to an hour; 0 moves none.",
)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Draw each policy's share by window (.png, .svg or .pdf).")  # fmt: skip
def simulate_command(names: tuple[str, ...], plot: Path | None, **options: Any) -> None:
    """Replay a workload on a model cluster under several policies and compare them.

    The policy `floor` is the control law itself. Reads nothing from Slurm and writes nothing to it.
    """
    with _extra():
        from slurm_ai_factory.cli.simulate.trial import file_errors, trial_of
        from slurm_ai_factory.simulation import policies
    if plot and plot.suffix not in FORMATS:
        raise click.UsageError(f"--plot: {plot} ends in none of {', '.join(FORMATS)}")
    if plot and not plot.parent.is_dir():
        raise click.UsageError(f"--plot: there is no directory {plot.parent}")
    began = time.monotonic()
    trial = trial_of(**options)
    with usage_errors():
        asked = [
            policies.named(name, trial.promise.target_share) for name in names or ("floor", "static:0.25")
        ]
    results = _replayed(trial, asked)
    _print(trial, results, time.monotonic() - began)
    if plot:
        with _extra():
            from slurm_ai_factory.cli.simulate.plot import plot_windows
        with file_errors(str(plot)):
            plot_windows(trial.promise.target_share, trial.window, results, plot)


@contextmanager
def _extra() -> Iterator[None]:
    """Imports of the extra `simulate`. Raises SafError if a package is missing."""
    compiled.keep_compiled()
    try:
        yield
    except ImportError as error:
        raise SafError(f"{error.name} is missing; run in the checkout: pip install '.[simulate]'") from error


def _replayed(trial: Trial, asked: list[Any]) -> list[PolicyResult]:
    """The result of each policy; on a terminal with a progress bar over all of them."""
    from slurm_ai_factory.simulation.evaluation import evaluate
    from slurm_ai_factory.simulation.replay import replay

    began = int(trial.workload.submit[0])
    span = int(trial.workload.submit[-1]) - began or 1
    with output.bar(span * len(asked), "simulating") as bar:

        def progress(at: int) -> None:
            bar.update(max(0, len(results) * span + at - began - bar.pos))

        results: list[PolicyResult] = []
        for policy in asked:
            results.append(evaluate(trial, replay(trial, policy, progress)))
            bar.update(len(results) * span - bar.pos)
    return results


def _print(trial: Trial, results: list[PolicyResult], seconds: float) -> None:
    if chosen.json:
        return output.emit(_value(trial, results, seconds))
    if chosen.csv:
        rows = [_flat(_policy_value(result)) for result in results]
        return output.table(list(rows[0]), [list(row.values()) for row in rows])
    if not chosen.quiet:
        facts = _facts(trial)
        click.echo(
            f"{facts['jobs']} jobs in {facts['span_days']:.0f} days on {trial.layout.total:.0f} "
            f"{trial.promise.resource}, which they would fill to {100 * facts['offered_load']:.0f} %; "
            f"{100 * facts['regional_demand_share']:.1f} % of it is regional; "
            f"promised {100 * trial.promise.target_share:g} % in {trial.window}\n"
        )
    output.table(COLUMNS, [_row(result) for result in results])
    if not chosen.quiet:
        click.echo("\n" + LEGEND.format(resource=trial.promise.resource))
    return None


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


def _row(result: PolicyResult) -> list[str]:
    return [
        result.policy, f"{100 * result.delivered_share:.1f} %", f"{100 * result.min_window_share:.1f} %",
        f"{100 * result.violation_ratio:.1f} %", f"{100 * result.starved_ratio:.1f} %",
        f"{result.shortfall_charge / HOUR:.0f}", f"{result.attributable_shortfall_charge / HOUR:.0f}",
        f"{100 * result.utilisation:.1f} %", f"{result.regional.mean_seconds / HOUR:.1f}",
        f"{result.non_regional.mean_seconds / HOUR:.1f}", f"{result.regional.bounded_slowdown:.1f}",
        f"{result.non_regional.bounded_slowdown:.1f}", f"{result.writes_per_day:.2f}",
    ]  # fmt: skip


def _value(trial: Trial, results: list[PolicyResult], seconds: float) -> dict[str, object]:
    return {
        "workload": _facts(trial),
        "left_out": [
            {"cause": group.cause, "jobs": group.records, "charge": group.of(trial.promise.resource.name)}
            for group in trial.workload.left_out
        ],
        "resource": trial.promise.resource.name,
        "capacity": trial.layout.total,
        "target_share": trial.promise.target_share,
        "window": trial.window,
        "policies": [_policy_value(result) for result in results],
        "wall_seconds": seconds,
    }


def _policy_value(result: PolicyResult) -> dict[str, object]:
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
    """A value for a CSV row: the keys of an inner dict are joined to its own."""
    row: dict[str, object] = {}
    for name, cell in value.items():
        row |= (
            {f"{name}_{key}": item for key, item in cell.items()} if isinstance(cell, dict) else {name: cell}
        )
    return row


def _sides(result: PolicyResult, name: str) -> dict[str, float]:
    sides: dict[str, Waits] = {"regional": result.regional, "non_regional": result.non_regional}
    return {side: getattr(waits, name) for side, waits in sides.items()}
