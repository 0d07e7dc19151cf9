"""Prove a policy on history before it steers anything: `saf simulate`."""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from slurm_ai_factory import config as configuration
from slurm_ai_factory import cycle
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.options import SafCommand, chosen, load_config, now, opened_ledger
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.classify import Beneficiary, Rules
from slurm_ai_factory.core.controller import Policy
from slurm_ai_factory.core.records import HOUR, Instant, Subject
from slurm_ai_factory.errors import ConfigError, SafError

if TYPE_CHECKING:
    from slurm_ai_factory.simulation.evaluation import Result, Waits
    from slurm_ai_factory.simulation.replay import Progress, Trial
    from slurm_ai_factory.simulation.workload import User, Workload

JITTER = HOUR
"""How far a seed moves each submission of a log, at most: seconds."""

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
    "--capacity", type=click.IntRange(min=1), metavar="N", help="Size of the machine, in the resource."
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
        from slurm_ai_factory.simulation import policies
    if plot and plot.suffix not in FORMATS:
        raise click.UsageError(f"--plot: {plot} ends in none of {', '.join(FORMATS)}")
    began = time.monotonic()
    trial = _trial(**options)
    try:
        asked = [
            policies.named(name, trial.promise.target_share) for name in names or ("floor", "static:0.25")
        ]
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    results = _replayed(trial, asked)
    if plot:
        _plot(trial, results, plot)
    _print(trial, results, time.monotonic() - began)


@contextmanager
def _extra() -> Iterator[None]:
    """The model cluster is compiled code, and an extra."""
    try:
        yield
    except ImportError as error:
        raise SafError(
            f"{error.name} is missing; install it with: pip install 'slurm-ai-factory[simulate]'"
        ) from error


def _trial(
    source: str, regional: str | None, regional_column: str, capacity: int | None, resource: str,
    target: float | None, window: str | None, half_life: str, period: str, backfill: str, seed: int,
) -> Trial:  # fmt: skip
    from slurm_ai_factory.simulation.layout import REGION, Settings, one_pool
    from slurm_ai_factory.simulation.replay import Trial, promise_of

    config = _optional_config()
    workload, users, size = _workload(source, regional, regional_column, seed)
    wanted = target or (config.promise.target_share if config else 0.25)
    window = window or (config.promise.window if config else "rolling:30d")
    zone = config.promise.time_zone if config else ZoneInfo("Europe/Amsterdam")
    capacity = capacity or size
    if capacity is None:
        raise click.UsageError("--capacity is needed: how many of the resource the machine has")
    fits = workload.amount(resource)
    workload = workload.only((fits > 0) & (fits <= capacity))
    if not len(workload):
        raise click.UsageError(f"no job of {source} needs any {resource}, or none fits on {capacity}")
    seconds = _seconds("--half-life", half_life), _seconds("--period", period)
    _check_window(window, zone)
    return Trial(
        workload=workload, regional=users, layout=one_pool(workload, resource, capacity),
        settings=Settings(half_life=seconds[0], conservative=backfill == "conservative"),
        promise=promise_of(wanted, _margin(config), resource), window=window, zone=zone,
        control=_policy(config, REGION, wanted, *seconds), period=seconds[1],
    )  # fmt: skip


def _optional_config() -> Config | None:
    """The configuration, where there is one."""
    try:
        configuration.find(chosen.config)
    except ConfigError:
        return None
    return load_config()


def _margin(config: Config | None) -> float:
    return config.promise.margin if config else 0.01


def _policy(config: Config | None, account: str, target: float, half_life: int, period: int) -> Policy:
    """The control law as configured, or as it comes, for the model's account."""
    from dataclasses import replace

    policy = config.policy(half_life) if config else Policy(account=account, target_share=target,
                                                            half_life_seconds=half_life)  # fmt: skip
    return replace(policy, account=account, target_share=target, period_seconds=period)


def _seconds(option: str, text: str) -> int:
    try:
        return windows.duration(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from error


def _check_window(window: str, zone: ZoneInfo) -> None:
    try:
        windows.window(window, now(), zone)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _workload(
    source: str, regional: str | None, column: str, seed: int
) -> tuple[Workload, frozenset[User], int | None]:
    """The jobs, which users are regional, and the size of the machine where the source knows it."""
    from slurm_ai_factory.simulation import formats, scenarios

    if source.startswith("scenario:"):
        name = source.removeprefix("scenario:")
        if name not in scenarios.SCENARIOS:
            raise click.UsageError(f"no scenario {name!r}; there are {', '.join(scenarios.SCENARIOS)}")
        drawn, shape = scenarios.scenario(name, seed)
        return drawn, drawn.users_of(scenarios.REGIONAL), shape.cores
    found = _history(source) if source.startswith("ledger:") else _log(Path(source))
    workload = found.shifted(seed, JITTER) if seed else found
    if regional is None:
        return workload, _by_rules(workload), None
    with _told(regional), Path(regional).open(encoding="utf-8") as lines:
        return workload, workload.users_of(formats.regional_accounts(lines, column)), None


@contextmanager
def _told(file: str) -> Iterator[None]:
    """What is wrong with a file, in one sentence."""
    try:
        yield
    except OSError as error:
        raise SafError(f"{file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SafError(f"{file}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    except ValueError as error:
        raise SafError(f"{file}: {error}") from error


def _log(file: Path) -> Workload:
    from slurm_ai_factory.simulation import formats, workload

    opened = gzip.open if file.suffix == ".gz" else open
    with _told(str(file)), opened(file, "rt", encoding="utf-8") as lines:
        return workload.gathered(file.name, formats.read(lines))


def _history(source: str) -> Workload:
    """Ended runs of the ledger that were submitted in an interval."""
    from slurm_ai_factory.simulation import formats, workload

    config = load_config()
    first, dots, last = source.removeprefix("ledger:").partition("..")
    try:
        since, until = (windows.instant(text, now(), config.promise.time_zone) for text in (first, last))
    except ValueError as error:
        raise click.UsageError(f"--workload ledger:SINCE..UNTIL: {error}") from error
    if not dots or since >= until:
        raise click.UsageError("--workload ledger:SINCE..UNTIL: the end is not after the start")
    with opened_ledger(config) as ledger:
        runs = ledger.accounting.runs_between(since, until)
    return workload.gathered(source, (formats.of_run(run) for run in runs if run.end_at is not None))


def _by_rules(workload: Workload) -> frozenset[User]:
    """The users that the configured rules call regional, with the accounts the ledger knows."""
    config = load_config()
    with opened_ledger(config) as ledger:
        rules = cycle.rules_of(config, ledger)
    first = int(workload.submit[0])
    return frozenset(user for user in workload.users if _regional(rules, config.cluster.name, user, first))


def _regional(rules: Rules, cluster: str, user: User, at: Instant) -> bool:
    """Whether most of a user's charge is regional when the workload begins."""
    subject = Subject(cluster, *user, *[""] * (len(Subject._fields) - 3))
    return rules.mostly(subject, at).beneficiary is Beneficiary.REGIONAL


def _replayed(trial: Trial, asked: list[Any]) -> list[Result]:
    """Each policy's row; on a terminal with a bar over all of them."""
    from slurm_ai_factory.simulation.evaluation import evaluate
    from slurm_ai_factory.simulation.replay import replay

    span = int(trial.workload.submit[-1] - trial.workload.submit[0]) or 1
    hidden = chosen.quiet or not sys.stderr.isatty()
    with click.progressbar(
        length=span * len(asked), label="simulating", file=sys.stderr, hidden=hidden
    ) as bar:
        results = []
        for number, policy in enumerate(asked):
            results.append(evaluate(trial, replay(trial, policy, _bar(bar, trial, number * span))))
            bar.update((number + 1) * span - bar.pos)
    return results


def _bar(bar: Any, trial: Trial, done: int) -> Progress:
    began = int(trial.workload.submit[0])
    return lambda at: bar.update(max(0, done + at - began - bar.pos))


def _print(trial: Trial, results: list[Result], seconds: float) -> None:
    if chosen.json:
        output.emit(_json(trial, results, seconds))
        return
    if not chosen.quiet and not chosen.csv:
        click.echo(_headline(trial))
    output.table(COLUMNS, [_row(result) for result in results])
    if not chosen.quiet and not chosen.csv:
        click.echo("\n" + LEGEND.format(resource=trial.promise.resource))


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


def _row(result: Result) -> list[str]:
    return [
        result.policy, f"{100 * result.delivered_share:.1f} %", f"{100 * result.min_window_share:.1f} %",
        f"{100 * result.violation_ratio:.1f} %", f"{100 * result.starved_ratio:.1f} %",
        f"{result.shortfall_charge / HOUR:.0f}", f"{result.attributable_shortfall_charge / HOUR:.0f}",
        f"{100 * result.utilisation:.1f} %", f"{result.regional.mean_seconds / HOUR:.1f}",
        f"{result.non_regional.mean_seconds / HOUR:.1f}", f"{result.regional.bounded_slowdown:.1f}",
        f"{result.non_regional.bounded_slowdown:.1f}", f"{result.writes_per_day:.2f}",
    ]  # fmt: skip


def _json(trial: Trial, results: list[Result], seconds: float) -> dict[str, object]:
    return {
        "workload": _facts(trial),
        "resource": trial.promise.resource,
        "capacity": trial.layout.total,
        "target_share": trial.promise.target_share,
        "window": trial.window,
        "policies": [_policy_json(result) for result in results],
        "wall_seconds": seconds,
    }


def _policy_json(result: Result) -> dict[str, object]:
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


def _sides(result: Result, name: str) -> dict[str, float]:
    sides: dict[str, Waits] = {"regional": result.regional, "non_regional": result.non_regional}
    return {side: getattr(waits, name) for side, waits in sides.items()}


def _plot(trial: Trial, results: list[Result], file: Path) -> None:
    with _extra():
        from slurm_ai_factory.cli.plot import draw
    with _told(str(file)):
        draw(trial.promise.target_share, trial.window, results, file)


COMMANDS = (simulate_command,)
