"""Every source of what Slurm says that there is, in one shape, for the tests that each of them has to pass.

A source is the product's client over something that answers: recorded answers of a version, the commands of a
live Slurm of a version, or pyslurm. A further one is one more function here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.slurm.library import LibrarySlurm
from slurm_ai_factory.slurm.rest import RestSlurm, Slurmrestd
from tests.cluster import versions
from tests.cluster.requirements import unavailable, without_rest
from tests.cluster.versions import BUILT, OWN, VERSIONS
from tests.slurm import scenarios
from tests.slurm.record import CLUSTER, RECORDED, Replay, library
from tests.slurm.scenarios import SPEED, Times


@dataclass(frozen=True)
class Source:
    """A client, and when what it tells of happened."""

    name: str
    slurm: Slurm
    times: Times

    def told(self) -> str:
        """The versions that were asked, as they say themselves."""
        version = self.slurm.priority_config().version
        if isinstance(self.slurm, LibrarySlurm):
            return f"{version}, pyslurm {self.slurm.library.versions().pyslurm}"
        if isinstance(self.slurm, RestSlurm):
            return f"{version}, API {self.slurm.rest.version()}"
        return version


@contextmanager
def recorded(scenario: str, version: str, scratch: Path) -> Iterator[Source]:  # noqa: ARG001
    directory = RECORDED / version / scenario
    commands = Replay(recorded=directory)
    slurm = library(commands, sys.executable) if version.startswith("pyslurm") else Slurm(CLUSTER, commands)
    yield Source(f"recorded {version}", slurm, Times.load(directory))


@contextmanager
def commands(scenario: str, version: str, scratch: Path) -> Iterator[Source]:
    with getattr(scenarios, scenario)(scratch / "cluster", version) as (cluster, times):
        yield Source(f"commands {version}", Slurm(CLUSTER, scenarios.inside(cluster)), times)


@contextmanager
def pyslurm(scenario: str, version: str, scratch: Path) -> Iterator[Source]:
    with getattr(scenarios, scenario)(scratch / "cluster", version) as (cluster, times):
        yield Source(
            f"pyslurm {version}", library(scenarios.inside(cluster), versions.pyslurm() or "python"), times
        )


@contextmanager
def slurmrestd(scenario: str, version: str, scratch: Path) -> Iterator[Source]:
    with getattr(scenarios, scenario)(scratch / "cluster", version, rest=True) as (cluster, times):
        inside = scenarios.inside(cluster)
        slurm = RestSlurm(CLUSTER, inside, Slurmrestd(cluster.rest_urls[version == OWN], CLUSTER, inside))
        yield Source(f"slurmrestd {version}", slurm, times)


KINDS = {"recorded": recorded, "commands": commands, "pyslurm": pyslurm, "slurmrestd": slurmrestd}


def params(scenario: str) -> list[object]:
    """One for each source there is or could be; what cannot be here is skipped with the reason."""
    found = [
        pytest.param(("recorded", path.name), id=f"recorded-{path.name}")
        for path in sorted(filter(Path.is_dir, RECORDED.iterdir()))
    ]
    found += [
        pytest.param(("commands", one), id=f"commands-{one}", marks=_live(scenario, one))
        for one in (*VERSIONS, BUILT)
    ]
    found += [
        pytest.param(
            ("slurmrestd", one), id=f"slurmrestd-{one}", marks=[*_live(scenario, one), no_slurmrestd(one)]
        )
        for one in VERSIONS
    ]
    marks = [*_live(scenario, BUILT), no_pyslurm()]
    return [*found, pytest.param(("pyslurm", BUILT), id=f"pyslurm-{BUILT}", marks=marks)]


def no_pyslurm() -> pytest.MarkDecorator:
    """Skips where there is no pyslurm."""
    reason = f"no Python here has pyslurm for Slurm {BUILT}; SAF_PYSLURM names one that has"
    return pytest.mark.skipif(versions.pyslurm() is None, reason=reason)


def no_slurmrestd(version: str) -> pytest.MarkDecorator:
    """Skips where this version has no slurmrestd."""
    reason = without_rest(version)
    return pytest.mark.skipif(reason is not None, reason=str(reason))


def _live(scenario: str, version: str) -> list[pytest.MarkDecorator]:
    reason = unavailable(SPEED, version)
    often = version == OWN and scenario == "queue"
    marks = [pytest.mark.slurm, pytest.mark.skipif(reason is not None, reason=str(reason))]
    return marks if often else [*marks, pytest.mark.every_version]


@contextmanager
def opened(request: pytest.FixtureRequest, scenario: str, scratch: Path) -> Iterator[Source]:
    """The source of a parameter."""
    kind, version = request.param
    scratch.chmod(0o755)
    with KINDS[kind](scenario, version, scratch) as source:
        yield source
