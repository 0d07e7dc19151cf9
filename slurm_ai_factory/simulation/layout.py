"""Size and settings of the model cluster. Tested in tests/simulation/test_engine.py."""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm

import numpy as np

from slurm_ai_factory.core.records import DAY
from slurm_ai_factory.simulation.arrays import Floats, Ints
from slurm_ai_factory.simulation.workload import Workload, component_weights

NAME = "model"
REGION, OTHERS = "regional", "national"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """How the model cluster is configured, in slurm.conf's words; times in seconds."""

    half_life: int = 7 * DAY  #: PriorityDecayHalfLife; 0: usage does not decay
    calc_period: int = 300  #: PriorityCalcPeriod
    weight_fairshare: float = 100_000
    weight_age: float = 1_000
    weight_job_size: float = 0
    max_age: int = 7 * DAY  #: PriorityMaxAge
    interval: int = 30  #: bf_interval
    depth: int = 500  #: bf_max_job_test
    conservative: bool = False  #: else EASY: one reservation a pool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOutage:
    """Part of a pool that is not up for a while; nothing that runs there is killed."""

    pool: int
    since: int
    until: int
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The size of the cluster: pools of nodes that are alike, and which job goes where."""

    capacity: Ints  #: [pool, component]
    need: Ints  #: [job, component]
    pool: Ints  #: of each job
    weight: Floats  #: of each job: the promised resource
    total: float  #: the promised resource, all pools
    outages: tuple[ModelOutage, ...] = ()


def one_pool(workload: Workload, resource: str, capacity: int) -> Layout:
    """All jobs in one pool of one resource, which is also the promised one.

    A pool has whole numbers, so the pool of a weighted sum is counted in the largest unit of which all
    weights are multiples.
    """
    weights = component_weights(resource)
    unit = lcm(*(weight.as_integer_ratio()[1] for weight in weights))
    need = workload.counts @ np.array([int(weight * unit) for weight in weights], np.int64)
    return Layout(
        capacity=np.array([[capacity * unit]], np.int64), need=need.reshape(-1, 1),
        pool=np.zeros(len(need), np.int64), weight=need / unit, total=float(capacity),
    )  # fmt: skip


def partitioned(layout: Layout, side: Ints, part: float) -> Layout:
    """The one pool cut in two: ``part`` of it for the region alone, the rest for the others alone."""
    own = np.round(layout.capacity * part).astype(np.int64)
    capacity = np.concatenate([layout.capacity - own, own])
    return Layout(
        capacity=capacity, need=np.minimum(layout.need, capacity[side]), pool=side.copy(),
        weight=layout.weight, total=layout.total,
    )  # fmt: skip
