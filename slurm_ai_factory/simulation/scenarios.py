"""Synthetic workloads with a seed: what both sides ask for, day by day, and the shape of their jobs.

Jobs arrive as a Poisson process whose rate follows what a side asks for; run times are log-normal, time
limits generous, as users set them. A side whose backlog is full stops submitting, as people do, so that a
machine that is asked for too much has a queue of bounded length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import cos, pi
from zoneinfo import ZoneInfo

import numpy as np

from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.simulation.workload import Job, Workload, gathered

ZONE = ZoneInfo("Europe/Amsterdam")
"""Of the users of the scenarios: without a configuration, their calendar windows begin at midnight there."""

BEGIN = 1_767_222_000
"""2026-01-01 00:00 in ZONE: a quarter begins."""

REGIONAL = frozenset(f"r{number}" for number in range(4))
"""The accounts of the region."""

OTHERS = tuple(f"n{number}" for number in range(8))
USERS = 3
SIGMA = 1.0
"""Spread of the logarithm of run times."""

Load = Callable[[float], float]
"""What a side asks for on a day, as a part of the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A facility and its users."""

    regional: Load
    others: Load
    days: int = 200
    cores: int = 512
    mean_hours: float = 8.0
    widths: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    backlog: int = 300


def _always(load: float) -> Load:
    return lambda _: load


def _away(load: float, low: float, days: float, of: float) -> Load:
    """``low`` in the last ``days`` of every ``of`` days."""
    return lambda day: low if day % of >= of - days else load


SATURATED = Scenario(regional=_always(0.6), others=_always(1.2))

SCENARIOS: Mapping[str, Scenario] = {
    "saturated": SATURATED,
    "holiday": replace(SATURATED, others=_away(1.2, 0.3, 15, 60)),
    "burst": replace(SATURATED, regional=_away(0.66, 0.0, 12, 24)),
    "season": replace(
        SATURATED, regional=lambda day: 0.35 * (1 - cos(2 * pi * day / 90)), others=_always(0.9)
    ),
    "late": replace(SATURATED, days=182, regional=lambda day: 0.05 if day % 90 < 45 else 0.6),
    "early": replace(SATURATED, days=182, regional=lambda day: 0.6 if day % 90 < 45 else 0.05),
    "long": replace(SATURATED, mean_hours=30.0),
    "huge": replace(SATURATED, widths=(64, 128, 256)),
    "tiny": replace(SATURATED, mean_hours=0.25, days=40, backlog=2000),
}
"""Both sides want more than there is; the others away 15 of 60 days; the region coming and going; the region
with a season; the region asking late or early in each of two quarters; long, huge and tiny jobs."""


def scenario(name: str, seed: int) -> tuple[Workload, Scenario]:
    """A draw of a scenario. Raises KeyError for an unknown name."""
    scene = SCENARIOS[name]
    return drawn(name, scene, sorted(REGIONAL), OTHERS, seed), scene


def drawn(name: str, scene: Scenario, regional: Sequence[str], others: Sequence[str], seed: int) -> Workload:
    """A draw of a scenario with these accounts; an account that is listed twice has twice the work."""
    chance = np.random.default_rng(seed)
    jobs = [*_jobs(scene, scene.regional, regional, chance), *_jobs(scene, scene.others, others, chance)]
    return replace(gathered(name, jobs), backlog=scene.backlog)


def _jobs(scene: Scenario, load: Load, accounts: Sequence[str], chance: np.random.Generator) -> Iterator[Job]:
    """One side's jobs: first their number by hour, then their shapes."""
    # jobs per hour that fill the machine
    work = scene.cores * 1.0 / (np.mean(scene.widths) * scene.mean_hours)
    rates = np.array([max(0.0, load(hour / 24)) for hour in range(24 * scene.days)]) * work
    submit = np.repeat(np.arange(len(rates)) * HOUR, chance.poisson(rates))
    submit += chance.integers(0, HOUR, len(submit))
    count = len(submit)
    runtime = chance.lognormal(np.log(scene.mean_hours * HOUR) - SIGMA**2 / 2, SIGMA, count)
    limit = np.ceil(runtime * chance.uniform(1, 4, count) / HOUR) * HOUR
    columns = zip(
        chance.choice(accounts, count), chance.integers(0, USERS, count), submit, runtime, limit,
        chance.choice(scene.widths, count), strict=True,
    )  # fmt: skip
    for account, user, at, ran, most, width in columns:
        yield Job(
            str(account), f"{account}u{user}", BEGIN + int(at), max(60, int(ran)), int(most), int(width)
        )
