"""What is to be replayed: the options of `saf simulate` as a Trial, with its jobs."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from slurm_ai_factory import config as configuration
from slurm_ai_factory import cycle
from slurm_ai_factory.cli.options import chosen, load_config, now, opened_ledger
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.classify import Beneficiary, Rules
from slurm_ai_factory.core.controller import Policy
from slurm_ai_factory.core.records import HOUR, Instant, Subject
from slurm_ai_factory.errors import ConfigError, SafError
from slurm_ai_factory.simulation import formats, scenarios
from slurm_ai_factory.simulation.layout import REGION, Settings, one_pool
from slurm_ai_factory.simulation.replay import Trial, promise_of
from slurm_ai_factory.simulation.workload import User, Workload, gathered

JITTER = HOUR
"""How far a seed moves each submission of a log, at most: seconds."""


def trial_of(
    source: str, regional: str | None, regional_column: str, capacity: int | None, resource: str,
    target: float | None, window: str | None, half_life: str, period: str, backfill: str, seed: int,
) -> Trial:  # fmt: skip
    config = _optional_config()
    workload, users, size = _workload(source, regional, regional_column, seed)
    wanted = target or (config.promise.target_share if config else 0.25)
    window = window or (config.promise.window if config else "rolling:30d")
    zone = config.promise.time_zone if config else ZoneInfo("Europe/Amsterdam")
    capacity = capacity or size
    if capacity is None:
        raise click.UsageError("--capacity is needed: how many of the resource the machine has")
    if not users and regional:
        raise click.UsageError(f"no account that {regional} calls regional has a job in {source}")
    fits = workload.amount(resource)
    workload = workload.only((fits > 0) & (fits <= capacity))
    if not len(workload):
        raise click.UsageError(f"no job of {source} needs any {resource}, or none fits on {capacity}")
    if workload.submit[-1] - workload.submit[0] < HOUR:
        raise click.UsageError(f"all jobs of {source} were submitted within an hour; take a longer log")
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
        if window[:1].isdigit():
            raise ValueError(f"{window} is one window; say month, quarter, half, year or rolling:30d")
    except ValueError as error:
        raise click.UsageError(f"--window: {error}") from error


def _workload(
    source: str, regional: str | None, column: str, seed: int
) -> tuple[Workload, frozenset[User], int | None]:
    """The jobs, which users are regional, and the size of the machine where the source knows it."""
    if source.startswith("scenario:"):
        name = source.removeprefix("scenario:")
        if name not in scenarios.SCENARIOS:
            raise click.UsageError(f"no scenario {name!r}; there are {', '.join(scenarios.SCENARIOS)}")
        drawn, shape = scenarios.scenario(name, seed)
        return drawn, drawn.users_of(scenarios.REGIONAL), shape.cores
    found = _history(source) if source.startswith("ledger:") else _log(Path(source))
    if not len(found):
        raise click.UsageError(f"no job in {source} has run")
    workload = found.shifted(seed, JITTER) if seed else found
    if regional is None:
        return workload, _by_rules(workload), None
    with told(regional), Path(regional).open(encoding="utf-8") as lines:
        return workload, workload.users_of(formats.regional_accounts(lines, column)), None


@contextmanager
def told(file: str) -> Iterator[None]:
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
    opened = gzip.open if file.suffix == ".gz" else open
    with told(str(file)), opened(file, "rt", encoding="utf-8") as lines:
        return gathered(file.name, formats.read(lines))


def _history(source: str) -> Workload:
    """Ended runs of the ledger that were submitted in an interval."""
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
    return gathered(source, (formats.of_run(run) for run in runs if run.end_at is not None))


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
