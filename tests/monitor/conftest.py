"""What the tests of what is seen have in common: one life on the model, one daemon, one Prometheus."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.monitor.board import Board
from tests import browser
from tests.cluster.slurm import wait_until
from tests.conftest import new_ledger
from tests.docs.markdown import ROOT
from tests.monitor import prometheus as real
from tests.monitor.life import Life, held, living, promise_more
from tests.monitor.model import DAY
from tests.monitor.prometheus import Prometheus

PICTURES = Path(os.environ.get("PICTURES", ROOT / "build" / "seen"))
"""Where the pictures are left for people to look at."""

AUTHORITY = "saf_authority_ratio"
LISTENING = re.compile(r"listening on port (\d+)")


@dataclass(frozen=True)
class Lived:
    """Two weeks on the model: what every scrape would have kept, and the board at the end."""

    told: list[str]
    board: Board
    now: int


@dataclass(frozen=True)
class Served:
    """A daemon that runs, and where it listens."""

    process: subprocess.Popen[bytes]
    address: str
    log: Path


@pytest.fixture
def life(ledger_url: str) -> Iterator[Life]:
    with living(ledger_url, time.perf_counter) as found:
        yield found


@pytest.fixture(scope="session")
def lived(postgresql: str) -> Iterator[Lived]:
    with new_ledger(postgresql) as url, living(url, time.perf_counter) as life:
        promise_more(life.site.config, life.site.ledger)
        life.live(9 * 4, 6 * HOUR)
        life.live(3 * 8, 3 * HOUR)
        life.live(24, HOUR)
        told = held(life.told, life.model.now - DAY, life.model.now, 150)
        yield Lived(told, life.board, life.model.now)


@pytest.fixture(scope="session")
def daemon(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The product's daemon on the model cluster, in a process of its own."""
    log = tmp_path_factory.mktemp("daemon") / "log"
    with new_ledger(postgresql) as url, log.open("wb") as stderr:
        argv = [sys.executable, "-m", "tests.monitor.daemon", url, "1s"]
        process = subprocess.Popen(argv, stderr=stderr, cwd=ROOT)
        try:
            wait_until(lambda: bool(LISTENING.search(log.read_text())), "the daemon", 180, log=log)
            found = LISTENING.search(log.read_text())
            assert found
            yield Served(process, f"127.0.0.1:{found[1]}", log)
        finally:
            process.terminate()
            process.wait(timeout=180)


@pytest.fixture(scope="session")
def scraping(daemon: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A real Prometheus that scrapes the daemon; a day of the model was compared, and shares moved."""
    _skip(real.unavailable())
    with real.prometheus(tmp_path_factory.mktemp("live"), [daemon.address]) as found:
        moved = 'increase(saf_changes_total{status="applied"}[1m]) > 0'
        for expr in ("saf_reconciled_timestamp_seconds", moved, "saf:delivered_share:ratio1d", AUTHORITY):
            wait_until(partial(found.knows, expr), expr, 180, log=daemon.log)
        yield found


@pytest.fixture(scope="session")
def remembering(lived: Lived, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A real Prometheus with two weeks of the model as its history."""
    _skip(real.unavailable())
    with real.prometheus(tmp_path_factory.mktemp("history"), told=lived.told) as found:
        yield found


@pytest.fixture(scope="session")
def pictures() -> Path:
    """The folder for pictures."""
    _skip(browser.unavailable())
    PICTURES.mkdir(parents=True, exist_ok=True)
    return PICTURES


def _skip(reason: str | None) -> None:
    if reason is not None:
        pytest.skip(reason)
