"""A small AI facility for demonstrations. Tested in tests/simulation/test_slurm.py.

It has named accounts of both sides, GPU nodes, and an eventful week. The region is away at first, so the
promise is missed for want of demand; then it comes with more work than its share and is owed what it missed;
later the others are away for some hours, and it soaks what is idle. The week repeats itself. All of it
follows from the seed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from slurm_ai_factory.core.records import DAY, HOUR
from slurm_ai_factory.simulation.cluster import ModelCluster
from slurm_ai_factory.simulation.layout import OTHERS, REGION, Layout, ModelSettings, one_pool
from slurm_ai_factory.simulation.scenarios import BEGIN, Scenario, drawn
from slurm_ai_factory.simulation.workload import Workload

REGIONAL_ACCOUNTS = ("umcg", "umcg", "ruggroningen", "ruggroningen", "smeworks", "province")
OTHER_ACCOUNTS = ("astro", "astro", "climate", "climate", "industry")
"""Each as often as it has parts of its side's work."""

NODES, CPUS, GPUS = 64, 64, 4
SIZE = f"billing={NODES * GPUS},cpu={NODES * CPUS},gres/gpu={NODES * GPUS},node={NODES}"

HISTORY = 2 * DAY
"""What is over before the first hour of the first week."""

WEEK = 168
COMES, LEAVES = 8, 120
"""Hours of the week in which the region comes and leaves."""
OTHERS_LEAVE, OTHERS_COME = 76, 86

SHARES = {REGION: 25, OTHERS: 75}
SETTINGS = ModelSettings(half_life=6 * HOUR)
"""Everything goes faster than at a real site by about the same factor: decay, jobs, and a window of days."""


class Facility(NamedTuple):
    """The cluster at the beginning of its first week, and what it is made of."""

    model: ModelCluster
    workload: Workload
    layout: Layout


def facility(seconds: int, seed: int = 7) -> Facility:
    """A facility with work for so long; its history is behind it already."""
    scenario = Scenario(
        regional=lambda day: 0.4 if COMES <= _hour(day) < LEAVES else 0.02,
        others=lambda day: 0.1 if OTHERS_LEAVE <= _hour(day) < OTHERS_COME else 1.0,
        days=2 + (HISTORY + seconds) // DAY, cores=NODES,
        mean_hours=1.2, widths=(1, 1, 2, 4), backlog=40,
    )  # fmt: skip
    nodes = drawn("facility", scenario, REGIONAL_ACCOUNTS, OTHER_ACCOUNTS, seed)
    width = nodes.counts[:, :1]
    workload = replace(nodes, counts=width * np.array([CPUS, GPUS, 1]), partitions=("gpu",))
    layout = one_pool(workload, "gres/gpu", NODES * GPUS)
    regional = workload.users_of(frozenset(REGIONAL_ACCOUNTS))
    model = ModelCluster(workload, regional, layout, SETTINGS, SHARES)
    model.advance(BEGIN + HISTORY)
    return Facility(model, workload, layout)


def _hour(day: float) -> float:
    """Hour of the week; below 0 before the first one."""
    hour = (day * DAY - HISTORY) / HOUR
    return hour % WEEK if hour >= 0 else hour
