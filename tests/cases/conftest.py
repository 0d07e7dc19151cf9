"""The product on a cluster that is a few facts: its client, and its commands as processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.slurm.commands import Commands
from tests.cases import standin
from tests.cases.facts import facts
from tests.saf import Saf

Client = Callable[..., Slurm]
Told = Callable[..., tuple[dict[str, Any], dict[str, Any]]]


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """A client of a cluster that says this."""

    def make(**different: Any) -> Slurm:
        standin.install(tmp_path, facts(**different))
        return Slurm("loop", Commands(directory=tmp_path, timeout_seconds=30))

    return make


@pytest.fixture
def told(tmp_path: Path, ledger_url: str) -> Told:
    """What `saf cycle` and then `saf share` say of a cluster that says this."""

    def make(**different: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        standin.install(tmp_path, facts(**different))
        saf = Saf(tmp_path, os.environ, ledger_url)
        saf.configure("slurm", directory=str(tmp_path))
        return saf.json("cycle"), saf.json("share")

    return make
