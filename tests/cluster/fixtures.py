"""The pytest fixtures of a started and planted cluster; a conftest.py or a test module imports them.

Rule: where no real Slurm can run, tests are skipped with the reason and never pass by imitation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.requirements import unavailable
from tests.cluster.slurm import SlurmCluster
from tests.cluster.tree import Tree, plant

__all__ = ["needs_slurm", "planted", "slurm", "slurm_tree"]


def needs_slurm(speed: int) -> list[pytest.MarkDecorator]:
    """The marks of tests on a cluster of their own, whose clock runs so many times too fast."""
    reason = unavailable(speed)
    return [pytest.mark.slurm, pytest.mark.skipif(reason is not None, reason=str(reason))]


@pytest.fixture(scope="session")
def planted(open_directory: Path) -> Iterator[tuple[SlurmCluster, Tree]]:
    """One cluster for the whole run, at the machine's own speed."""
    reason = unavailable()
    if reason is not None:
        pytest.skip(reason)
    with SlurmCluster(open_directory / "slurm") as cluster:
        yield cluster, plant(cluster)


@pytest.fixture(scope="session")
def slurm(planted: tuple[SlurmCluster, Tree]) -> SlurmCluster:
    """The cluster, started and planted."""
    return planted[0]


@pytest.fixture(scope="session")
def slurm_tree(planted: tuple[SlurmCluster, Tree]) -> Tree:
    """The accounts and users of the cluster."""
    return planted[1]
