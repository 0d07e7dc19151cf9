"""What is to be replayed: the options of `saf simulate` as a Trial, with its jobs."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from slurm_ai_factory import config as configuration
from slurm_ai_factory import question
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.options import chosen, load_config, now, opened_ledger
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.control.controller import Policy
from slurm_ai_factory.core.records import DAY, HOUR, Instant, Subject
from slurm_ai_factory.core.rules.classify import Beneficiary, Rules
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import ConfigError, SafError
from slurm_ai_factory.simulation import formats, scenarios
from slurm_ai_factory.simulation.layout import REGION, ModelSettings, one_pool
from slurm_ai_factory.simulation.replay import Trial, promise_of
from slurm_ai_factory.simulation.workload import LeftOut, User, Workload, gathered

JITTER = HOUR
"""How far a seed moves each submission of a log, at most: seconds."""
LONGEST_SPAN = 30 * 366 * DAY
"""Seconds: a log that spans more has an instant that is wrong."""


def trial_of(
    source: str, regional: str | None, regional_column: str, capacity: int | None, resource: str,
    target: float | None, window: str | None, half_life: str, period: str, backfill: str, seed: int,
) -> Trial:  # fmt: skip
    config = _optional_config()
    workload, users, size = _workload(source, regional, regional_column, seed, resource)
    wanted = target or (config.promise.target_share if config else 0.25)
    window = window or (config.promise.window if config else "rolling:30d")
    zone = config.promise.time_zone if config else ZoneInfo("Europe/Amsterdam")
    capacity = capacity or size
    if capacity is None:
        raise click.UsageError("--capacity is needed: how many of the resource the machine has")
    if not users and regional:
        raise click.UsageError(f"no account that {regional} calls regional has a job in {source}")
    workload = _fitting(source, workload, resource, capacity)
    seconds = _seconds("--half-life", half_life), _seconds("--period", period)
    _check_window(window, zone)
    return Trial(
        workload=workload, regional=users, layout=one_pool(workload, resource, capacity),
        settings=ModelSettings(half_life=seconds[0], conservative=backfill == "conservative"),
        promise=promise_of(wanted, _margin(config), resource), window=window, zone=zone,
        control=_policy(config, REGION, wanted, *seconds), period=seconds[1],
    )  # fmt: skip


def _fitting(source: str, workload: Workload, resource: str, capacity: int) -> Workload:
    """The jobs that the machine can run."""
    needing = workload.without(workload.amount(resource) == 0, f"no {resource}")
    large = needing.amount(resource) > capacity
    fitting = needing.without(large, f"larger than the machine ({capacity} {resource})")
    _tell(fitting.left_out[len(workload.left_out) :], resource)
    if not len(fitting):
        raise click.UsageError(f"no job of {source} needs any {resource}, or none fits on {capacity}")
    first, last = int(fitting.submit[0]), int(fitting.submit[-1])
    if last - first < HOUR:
        raise click.UsageError(f"all jobs of {source} were submitted within an hour; take a longer log")
    if last - first > LONGEST_SPAN:
        span = f"from {windows.iso(first)} to {windows.iso(last)}"
        raise click.UsageError(
            f"{source} has submissions {span}; correct the wrong one, or take a part of the log"
        )
    return fitting


def _tell(left_out: Iterable[LeftOut], resource: str) -> None:
    """What of a log is not replayed, and why."""
    for one in left_out:
        charge = output.hours(one.of(resource))
        known = "charge unknown" if charge is None else f"{charge} {resource}-hours"
        click.echo(f"saf: left out {count(one.records, 'record')}, {known}: {one.cause}", err=True)


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
    source: str, regional: str | None, column: str, seed: int, resource: str
) -> tuple[Workload, frozenset[User], int | None]:
    """The jobs, which users are regional, and the size of the machine where the source knows it."""
    if source.startswith("scenario:"):
        name = source.removeprefix("scenario:")
        if name not in scenarios.SCENARIOS:
            raise click.UsageError(f"no scenario {name!r}; there are {', '.join(scenarios.SCENARIOS)}")
        drawn, shape = scenarios.scenario(name, seed)
        return drawn, drawn.users_of(scenarios.REGIONAL), shape.cores
    found = _history(source) if source.startswith("ledger:") else _log(Path(source))
    _tell(found.left_out, resource)
    if not len(found):
        raise click.UsageError(f"no job in {source} has run")
    workload = found.shifted(seed, JITTER) if seed else found
    if regional is None:
        return workload, _by_rules(workload), None
    with _lines(Path(regional)) as lines:
        return workload, workload.users_of(formats.regional_accounts(lines, column)), None


@contextmanager
def file_problem(file: str) -> Iterator[None]:
    """What is wrong with a file, in one sentence."""
    try:
        yield
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise SafError(f"{file}: the compressed file is damaged ({error}); copy it again") from error
    except OSError as error:
        raise SafError(f"{file}: {error.strerror or error}") from error
    except ValueError as error:
        raise SafError(f"{file}: {error}") from error


@contextmanager
def _lines(file: Path) -> Iterator[Iterator[str]]:
    """The lines of a text, compressed or not; a byte that is not UTF-8 is left to the reader to refuse."""
    with file_problem(str(file)), file.open("rb") as raw:
        packed = file.suffix == ".gz" or raw.peek(2).startswith(b"\x1f\x8b")
        plain = gzip.GzipFile(fileobj=raw) if packed else raw
        text = io.TextIOWrapper(plain, encoding="utf-8", errors="surrogateescape")
        yield iter(partial(text.readline, formats.LONGEST_LINE), "")


def _log(file: Path) -> Workload:
    with _lines(file) as lines:
        return gathered(file.name, formats.read_jobs(lines))


def _history(source: str) -> Workload:
    """Ended runs of the ledger that were delivered in an interval."""
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
    with file_problem(source):
        return gathered(source, map(formats.of_run, runs))


def _by_rules(workload: Workload) -> frozenset[User]:
    """The users that the configured rules call regional, with the accounts the ledger knows."""
    config = load_config()
    with opened_ledger(config) as ledger:
        rules = question.rules_at(config, ledger)
    first = int(workload.submit[0])
    return frozenset(user for user in workload.users if _regional(rules, config.cluster.name, user, first))


def _regional(rules: Rules, cluster: str, user: User, at: Instant) -> bool:
    """Whether most of a user's charge is regional when the workload begins."""
    subject = Subject(cluster, *user, *[""] * (len(Subject._fields) - 3))
    return rules.mostly(subject, at).beneficiary is Beneficiary.REGIONAL
