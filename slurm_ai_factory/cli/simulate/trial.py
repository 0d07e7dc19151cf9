"""The options of `saf simulate` as a Trial with its jobs. Tested in tests/cli/test_simulate.py."""

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
from slurm_ai_factory.cli.arguments import usage_errors
from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.cli.wiring import load_config, now, opened_ledger
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.control.controller import Policy
from slurm_ai_factory.core.records import DAY, HOUR, Subject
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import ConfigError, SafError
from slurm_ai_factory.simulation import formats, scenarios
from slurm_ai_factory.simulation.draws import redrawn
from slurm_ai_factory.simulation.layout import REGION, ModelSettings, one_pool
from slurm_ai_factory.simulation.replay import Trial, promise_of
from slurm_ai_factory.simulation.workload import LeftOut, User, Workload, component_weights, gathered

LONGEST_SPAN = 30 * 366 * DAY
"""Seconds; a log that spans more has a wrong instant."""


SCENARIO = "scenario:"


def trial_of(
    source: str, regional: str | frozenset[str] | None, regional_column: str, capacity: int | None,
    resource: str, target: float | None, window: str | None, half_life: str, period: str, backfill: str,
    seed: int = 0,
) -> Trial:  # fmt: skip
    """The trial that the options of `saf simulate` describe. Raises UsageError, SafError.

    ``regional`` is a file, or the accounts themselves.
    """
    config = _optional_config()
    with usage_errors("--resource"):
        component_weights(resource)
    workload, users, size = _workload(source, regional, regional_column, resource)
    wanted = target or (config.promise.target_share if config else 0.25)
    window = window or (config.promise.window if config else "rolling:30d")
    zone = config.promise.time_zone if config else zone_of(source)
    capacity = capacity or size
    if capacity is None:
        raise click.UsageError("--capacity is needed: the size of the machine, in the resource")
    if not users and isinstance(regional, str):
        raise click.UsageError(f"no account that {regional} calls regional has a job in {source}")
    workload = _fitting(source, workload, resource, capacity)
    with usage_errors("--half-life"):
        half_life_seconds = windows.duration(half_life)
    with usage_errors("--period"):
        period_seconds = windows.duration(period)
    with usage_errors("--window"):
        windows.window(window, now(), zone)
        if window[:1].isdigit():
            raise ValueError(f"{window} is a single window; give month, quarter, half, year or rolling:30d")
    policy = Policy(account=REGION, target_share=wanted, half_life_seconds=half_life_seconds)
    if config:
        policy = config.policy(half_life_seconds)
    trial = Trial(
        workload=workload, regional=users, layout=one_pool(workload, resource, capacity),
        settings=ModelSettings(half_life=half_life_seconds, conservative=backfill == "conservative"),
        promise=promise_of(wanted, config.promise.margin if config else 0.01, resource), window=window,
        zone=zone, period=period_seconds,
        control=replace(policy, account=REGION, target_share=wanted, period_seconds=period_seconds),
    )  # fmt: skip
    return redrawn(trial, scenario_of(source), seed) if seed else trial


def scenario_of(source: str) -> str:
    """The name of the scenario that a workload is; empty for a log."""
    return source.removeprefix(SCENARIO) if source.startswith(SCENARIO) else ""


def zone_of(source: str) -> ZoneInfo:
    """The time zone of a workload where none is configured: a scenario's own, and UTC for a log."""
    return scenarios.ZONE if scenario_of(source) else ZoneInfo("UTC")


def _fitting(source: str, workload: Workload, resource: str, capacity: int) -> Workload:
    """The jobs that fit on the machine; those left out are reported. Raises UsageError."""
    for name in Resource.parse(resource).weights:
        if not workload.amount(name).any():
            raise click.UsageError(f"no job of {source} needs any {name}; give the resource that it has")
    needing = workload.without(workload.amount(resource) == 0, f"no {resource}")
    large = needing.amount(resource) > capacity
    fitting = needing.without(large, f"larger than the machine ({capacity} {resource})")
    _report(fitting.left_out[len(workload.left_out) :], resource)
    if not len(fitting):
        raise click.UsageError(f"no job of {source} fits on {capacity} {resource}; give the --capacity")
    first, last = int(fitting.submit[0]), int(fitting.submit[-1])
    if last - first < HOUR:
        raise click.UsageError(f"all jobs of {source} were submitted within an hour; use a longer log")
    if last - first > LONGEST_SPAN:
        span = f"from {windows.iso(first)} to {windows.iso(last)}"
        raise click.UsageError(
            f"{source} has submissions {span}; correct the wrong one, or use a part of the log"
        )
    return fitting


def _report(left_out: Iterable[LeftOut], resource: str) -> None:
    """Print what a log has that is not replayed, and why."""
    for group in left_out:
        charge = output.hours(group.of(resource))
        amount = "charge unknown" if charge is None else f"{charge} {resource}-hours"
        output.say(f"saf: left out {count(group.records, 'record')}, {amount}: {group.cause}", err=True)


def _optional_config() -> Config | None:
    """The configuration, if there is one."""
    try:
        configuration.find(chosen.config)
    except ConfigError:
        return None
    return load_config()


def _workload(
    source: str, regional: str | frozenset[str] | None, column: str, resource: str
) -> tuple[Workload, frozenset[User], int | None]:
    """The jobs, the regional users, and the size of the machine if the source knows it."""
    if name := scenario_of(source):
        if name not in scenarios.SCENARIOS:
            raise click.UsageError(f"no scenario {name!r}; there are {', '.join(scenarios.SCENARIOS)}")
        workload, shape = scenarios.scenario(name, 0)
        return workload, workload.users_of(scenarios.REGIONAL), shape.cores
    if source.startswith("ledger:"):
        workload = _history(source)
    else:
        with log_lines(Path(source)) as lines:
            workload = gathered(Path(source).name, formats.read_jobs(lines))
    _report(workload.left_out, resource)
    if not len(workload):
        raise click.UsageError(f"no job in {source} has run")
    if regional is None:
        return workload, _by_rules(workload), None
    if isinstance(regional, frozenset):
        return workload, workload.users_of(regional), None
    with log_lines(Path(regional)) as lines:
        return workload, workload.users_of(formats.regional_accounts(lines, column)), None


@contextmanager
def file_errors(file: str) -> Iterator[None]:
    """Turn errors of a file's system or content into a SafError that names the file."""
    try:
        yield
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise SafError(f"{file}: the compressed file is damaged ({error}); copy it again") from error
    except OSError as error:
        raise SafError(f"{file}: {error.strerror or error}") from error
    except ValueError as error:
        raise SafError(f"{file}: {error}") from error


@contextmanager
def log_lines(file: Path) -> Iterator[Iterator[str]]:
    """The lines of a text file, compressed or not; invalid UTF-8 is kept for the reader to refuse."""
    with file_errors(str(file)), file.open("rb") as raw:
        packed = file.suffix == ".gz" or raw.peek(2).startswith(b"\x1f\x8b")
        plain = gzip.GzipFile(fileobj=raw) if packed else raw
        text = io.TextIOWrapper(plain, encoding="utf-8", errors="surrogateescape")
        yield iter(partial(text.readline, formats.LONGEST_LINE), "")


def _history(source: str) -> Workload:
    """Ended runs of the ledger that used the machine in an interval."""
    config = load_config()
    first, dots, last = source.removeprefix("ledger:").partition("..")
    with usage_errors("--workload ledger:SINCE..UNTIL"):
        since, until = (windows.instant(text, now(), config.promise.time_zone) for text in (first, last))
    if not dots or since >= until:
        raise click.UsageError("--workload ledger:SINCE..UNTIL: the end is not after the start")
    with opened_ledger(config) as ledger:
        runs = ledger.accounting.runs_between(since, until)
    with file_errors(source):
        return gathered(source, map(formats.of_run, runs))


def _by_rules(workload: Workload) -> frozenset[User]:
    """The users whose charge is mostly regional by the configured rules when the workload starts."""
    config = load_config()
    with opened_ledger(config) as ledger:
        rules = question.rules_at(config, ledger)
    at, cluster = int(workload.submit[0]), config.cluster.name
    unknown = [""] * (len(Subject._fields) - 3)
    return frozenset(
        user
        for user in workload.users
        if rules.mostly(Subject(cluster, *user, *unknown), at).beneficiary is Beneficiary.REGIONAL
    )
