"""`saf simulate`: compare policies on a workload before one steers anything.

Tested in tests/cli/test_simulate.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import usage_errors
from slurm_ai_factory.cli.new_file import replaced_file
from slurm_ai_factory.cli.options import SafCommand
from slurm_ai_factory.cli.simulate import compiled
from slurm_ai_factory.errors import SafError

if TYPE_CHECKING:
    from slurm_ai_factory.simulation.policies import Named
    from slurm_ai_factory.simulation.replay import Replayed, Trial

ResultT = TypeVar("ResultT")
FORMATS = (".png", ".svg", ".pdf")


@click.command("simulate", cls=SafCommand)
@click.option(
    "--workload",
    "sources",
    metavar="FILE",
    required=True,
    multiple=True,
    help="SWF, CSV or sacct -P output (also .gz), scenario:NAME, or ledger:SINCE..UNTIL; "
    "repeatable with --draws.",
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
@click.option("--promise", "promises", metavar="NAME=BOUND:SHARE[:OF]", multiple=True,
              help="One of several promises: region=floor:0.25, industry=cap:0.2; repeatable.")  # fmt: skip
@click.option("--accounts", metavar="FILE",
              help="CSV with columns account,promise, for --promise; accounts may repeat.")  # fmt: skip
@click.option(
    "--capacity", type=click.IntRange(1, 2**32), metavar="N", help="Size of the machine, in the resource."
)
@click.option(
    "--resource",
    metavar="R",
    default="cpu",
    show_default=True,
    help="The resource of jobs and of the promise: cpu, gres/gpu, node or 0.25*cpu+16*gres/gpu.",
)
@click.option(
    "--policy",
    "names",
    metavar="P",
    multiple=True,
    help="floor, switch:0.1, static:0.25, reset:quarter, partition:0.25, oracle, guarantee:0.25, "
    "karma:0.25,0.5, dmmf:0.25, kai:0.25,1, fstarget:0.25 or onesided:0.25,30d; repeatable.",
)
@click.option(
    "--target",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="F",
    help="The promised share. Default: as configured, else 0.25.",
)
@click.option(
    "--window",
    metavar="W",
    help="rolling:30d, month, quarter, half or year. Default: as configured. Without a configuration, the "
    "windows of a log begin in UTC.",
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
@click.option("--padding", type=click.FloatRange(1, 1000, min_open=True), metavar="N",
              help="Add a row for each policy: regional jobs ask for N times their limits.")  # fmt: skip
@click.option("--draws", type=click.IntRange(1, 10_000), metavar="N",
              help="Replay draws 1 to N of each workload on many processes; print means.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1, 1024), metavar="N",
              help="Processes for --draws on this machine. Default: one per core.")  # fmt: skip
@click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler that has the workers for --draws.")
@click.option("--slurm", type=click.IntRange(1, 1024), metavar="N",
              help="Submit N jobs to Slurm as the workers for --draws.")  # fmt: skip
@click.option("--slurm-options", metavar="OPTIONS", default="",
              help="Options of sbatch for them, such as '--partition=short --time=1:00:00'.")  # fmt: skip
def simulate_command(
    sources: tuple[str, ...], names: tuple[str, ...], padding: float | None, plot: Path | None,
    draws: int | None, seed: int, promises: tuple[str, ...], accounts: str | None, **options: Any,
) -> None:  # fmt: skip
    """Replay a workload on a model cluster under several policies and compare them.

    The policy `floor` is the control law itself. With --promise, several promises share the machine; then
    --accounts takes the place of --regional, and the policies are `floor` and `static`, the promised shares.
    Reads nothing from Slurm and writes nothing to it, except that --slurm submits jobs.
    """
    places = {name: options.pop(name) for name in ("workers", "scheduler", "slurm", "slurm_options")}
    _check(len(sources), bool(draws), places, bool(seed or plot))
    if plot and plot.suffix not in FORMATS:
        raise click.UsageError(f"--plot: {plot} ends in none of {', '.join(FORMATS)}")
    if plot and not plot.parent.is_dir():
        raise click.UsageError(f"--plot: there is no directory {plot.parent}")
    _check_promises(promises, accounts, {
        "--regional": options["regional"], "--target": options["target"], "--draws": draws,
        "--padding": padding, "--plot": plot,
    })  # fmt: skip
    with _extra():
        from slurm_ai_factory.cli.simulate.trial import trial_of
        from slurm_ai_factory.simulation import policies
    if promises:
        return _judge_promises(sources[0], promises, names, accounts=accounts, seed=seed, **options)
    trials = {source: trial_of(source, seed=seed, **options) for source in sources}
    trial = trials[sources[0]]
    with usage_errors():
        asked = policies.asked(names or ("floor", "static:0.25"), trial.promise.target_share, padding)
    if draws is None:
        return _compare(trial, asked, plot)
    with _extra():
        from slurm_ai_factory.cli.simulate import comparison, sweep
    with sweep.workforce(**places) as client:
        comparison.compare(client, trials, asked, draws)
    return None


def _check(workloads: int, sweeps: bool, places: Mapping[str, object], single: bool) -> None:
    """Raise UsageError for options that do not go together."""
    given = [f"--{name.replace('_', '-')}" for name, value in places.items() if value]
    if len(set(given) - {"--slurm-options"}) > 1:
        raise click.UsageError(f"{', '.join(given)}: give one of them")
    if "--slurm-options" in given and "--slurm" not in given:
        raise click.UsageError("--slurm-options needs --slurm")
    if given and not sweeps:
        raise click.UsageError(f"{given[0]} needs --draws")
    if workloads > 1 and not sweeps:
        raise click.UsageError("several --workload need --draws")
    if sweeps and single:
        raise click.UsageError("--draws goes with neither --seed nor --plot")


def _check_promises(promises: Sequence[str], accounts: str | None, others: Mapping[str, object]) -> None:
    """Raise UsageError where --promise and --accounts do not go together, or with ``others`` given."""
    if bool(promises) != bool(accounts):
        raise click.UsageError("--promise and --accounts need each other")
    if promises and (wrong := next((name for name, value in others.items() if value), None)):
        raise click.UsageError(f"--promise does not go with {wrong}")


@contextmanager
def _extra() -> Iterator[None]:
    """Imports of the extra `simulate`. Raises SafError if a package is missing."""
    compiled.keep_compiled()
    try:
        yield
    except ImportError as error:
        raise SafError(f"{error.name} is missing; run in the checkout: pip install '.[simulate]'") from error


def _compare(trial: Trial, asked: Sequence[Named], plot: Path | None) -> None:
    """Replay and show one trial."""
    from slurm_ai_factory.cli.simulate import shown
    from slurm_ai_factory.cli.simulate.trial import file_errors
    from slurm_ai_factory.simulation.evaluation import evaluate
    from slurm_ai_factory.simulation.policies import own_machines

    began, target = time.monotonic(), trial.promise.target_share
    own = own_machines(target)
    replayed = _replayed(trial, dict.fromkeys((*asked, own)), evaluate)
    results = {policy: result for policy, (result, _) in replayed.items()}
    rows = [shown.row(results[policy], results[own]) for policy in asked]
    seconds = {policy.name: seconds for policy, (_, seconds) in replayed.items()}
    shown.show_comparison(trial, rows, {"replay_seconds": seconds, "wall_seconds": time.monotonic() - began})
    if plot:
        with _extra():
            from slurm_ai_factory.cli.simulate.plot import plot_windows
        with file_errors(str(plot)), replaced_file(plot) as part:
            plot_windows(target, trial.window, [results[policy] for policy in asked], part)


def _judge_promises(source: str, given: Sequence[str], names: Sequence[str], **options: Any) -> None:
    """Replay and show one trial of several promises."""
    from slurm_ai_factory.cli.simulate import several
    from slurm_ai_factory.simulation.verdicts import outcomes, utilisation

    began = time.monotonic()
    trial = several.several_trial(source, given, **options)
    asked = several.asked_policies(names, trial.promise.target_share)
    replayed = _replayed(trial, asked, lambda trial, lived: (utilisation(lived), outcomes(trial, lived)))
    judged = [several.Judged(policy.name, *result) for policy, (result, _) in replayed.items()]
    seconds = {policy.name: seconds for policy, (_, seconds) in replayed.items()}
    several.show_promises(
        trial, judged, {"replay_seconds": seconds, "wall_seconds": time.monotonic() - began}
    )


def _replayed(
    trial: Trial, wanted: Collection[Named], judge: Callable[[Trial, Replayed], ResultT]
) -> dict[Named, tuple[ResultT, float]]:
    """The result of each policy and the seconds it took; on a terminal with a progress bar over all."""
    from slurm_ai_factory.simulation.replay import replay

    began = int(trial.workload.submit[0])
    span = int(trial.workload.submit[-1]) - began or 1
    with output.bar(span * len(wanted), "simulating") as bar:

        def progress(at: int) -> None:
            bar.update(max(0, len(results) * span + at - began - bar.pos))

        results: dict[Named, tuple[ResultT, float]] = {}
        for policy in wanted:
            before = time.monotonic()
            result = judge(trial, replay(trial, policy, progress))
            results[policy] = result, time.monotonic() - before
            bar.update(len(results) * span - bar.pos)
    return results
