"""The model behind Slurm's commands is the model: what the product reads through them is what is there."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.slurm.commands import Commands
from tests.faults.modelled import Modelled


@pytest.fixture(scope="module")
def modelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Modelled]:
    site = Modelled(tmp_path_factory.mktemp("modelled"), seed=1)
    with site.serving():
        yield site


@pytest.fixture
def slurm(modelled: Modelled) -> Slurm:
    return Slurm("model", Commands(modelled.directory / "bin", timeout_seconds=20))


def test_every_read_of_a_cycle_gives_the_values_of_the_model(modelled: Modelled, slurm: Slurm) -> None:
    now = int(time.time())
    model = modelled._source
    still = model.model.now + 1
    object.__setattr__(model, "clock", lambda: still)  # the model stands still while both are asked
    assert slurm.priority_config() == model.priority_config()
    assert slurm.associations() == model.associations()
    assert list(slurm.runs(now - 30, now + 30)) == list(model.runs(now - 30, now + 30))
    assert slurm.events(now - 30, now) == model.events(now - 30, now)
    assert slurm.queue() == model.queue()
    assert slurm.priority_terms() == model.priority_terms()
    assert slurm.diagnostics() == model.diagnostics()
    assert slurm.reservations(now - 30, now) == []
    assert slurm.unreadable() == []
    assert slurm.rolled_up(now - 7200, now - 3600) is False
