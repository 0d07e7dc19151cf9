"""The record of a real GPU over four known jobs, one row a second.

One H100 80GB HBM3, driver 580.159.04, recorded 2026-11-27 with NVML: power in W, and the energy counter in J
since the driver was loaded (nvmlDeviceGetTotalEnergyConsumption). Job A computes matrix products, B copies, C
does both as two processes at once, D computes for two seconds.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from slurm_ai_factory.core.energy.meters import Kind, Placement, Reading
from slurm_ai_factory.core.energy.samples import Sample, Series, from_series

NODE = "n1"
GPU = "n1/0"
TOTAL_JOULES = 60_493
JOBS = {"A": 1, "B": 2, "C": 3, "D": 4}
SECOND_OF_C = 5
"""The job of the second process of C."""


class Told(NamedTuple):
    """What the record says of a job."""

    since: int
    until: int
    joules: float  #: the difference of the counter


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a file of the record."""
    with (Path(__file__).parent / f"h100_{name}.csv").open() as file:
        return list(csv.DictReader(file))


def column(name: str) -> list[Sample]:
    """A column of the samples, at whole seconds."""
    return [(round(float(row["at_s"])), row[name]) for row in rows("samples")]


def told() -> dict[str, Told]:
    """The jobs by name."""
    return {
        row["job"]: Told(
            round(float(row["start_s"])), round(float(row["end_s"])), float(row["counter_difference_j"])
        )
        for row in rows("jobs")
    }


def readings(name: str, unit: str, kind: Kind = Kind.E_GPU) -> list[Reading]:
    """The readings that a column gives."""
    found, skipped = from_series(Series(GPU, column(name)), kind, unit, 1, "nvml")
    assert not skipped
    return found


def placements() -> list[Placement]:
    """Where the jobs ran; C as two jobs on the same GPU."""
    jobs = told()
    placed = [Placement(JOBS[name], NODE, ("0",), job.since, job.until) for name, job in jobs.items()]
    return [*placed, Placement(SECOND_OF_C, NODE, ("0",), jobs["C"].since, jobs["C"].until)]
