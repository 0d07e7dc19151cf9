"""The product on the model cluster: weeks of cycles in seconds, and what was to be seen after each.

Rule: cycles, ledger, board and collector are the product's own; only Slurm and the clock are the model's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import cast

from prometheus_client.openmetrics.exposition import generate_latest

from slurm_ai_factory import cycle, showing
from slurm_ai_factory.board import Board
from slurm_ai_factory.config import Config, parse
from slurm_ai_factory.cycle import Laps, Site
from slurm_ai_factory.ledger import open_ledger
from slurm_ai_factory.metrics import registry
from slurm_ai_factory.slurm import Slurm
from tests.seen.model import CLUSTER, START, Model

CONFIG = f"""
[cluster]
name = "{CLUSTER}"
[promise]
resource = "gres/gpu"
[slurm]
since = "2026-07-01"
[control]
mode = "enforce"
[daemon]
period = "1h"
ready_after = "3h"
listen = "127.0.0.1:0"
[[rule]]
name = "business"
beneficiary = "regional"
account = "reg-business"
category = "business"
sector = "agriculture"
[[rule]]
name = "knowledge"
beneficiary = "regional"
account = "reg-knowledge"
category = "knowledge_institution"
sector = "health"
[[rule]]
name = "government"
beneficiary = "regional"
account = "reg-government"
category = "government"
sector = "water"
[[rule]]
name = "national"
beneficiary = "non_regional"
account = ["astro", "climate"]
category = "research"
"""


@dataclass
class Life:
    """A site on the model, and its board."""

    site: Site
    model: Model
    board: Board
    watch: Callable[[], float]
    told: list[str] = field(default_factory=list)

    def beat(self, seconds: int) -> None:
        """Time passes, and a cycle goes through."""
        self.model.advance(seconds)
        site = replace(self.site, laps=Laps(self.watch))
        report = cycle.run(site, self.watch)
        self.board.complete(showing.shown(site, report))

    def live(self, beats: int, seconds: int) -> None:
        """So many cycles, so far apart; what each shows is kept, as OpenMetrics with its instant."""
        for _ in range(beats):
            self.beat(seconds)
            self.told.append(snapshot(self.board, self.model.now))


def snapshot(board: Board, at: int) -> str:
    """What a scrape at an instant would get, with the instant on every line."""
    text: str = generate_latest(registry(board)).decode()  # type: ignore[no-untyped-call]
    lines = text.splitlines()
    return "\n".join(line if line.startswith("#") else f"{line} {at}" for line in lines if line != "# EOF")


def configuration(more: str = "") -> Config:
    """The configuration of the model's site."""
    return parse(CONFIG + more, "model")


@contextmanager
def living(url: str, watch: Callable[[], float], config: Config | None = None) -> Iterator[Life]:
    """The product on a new model, at the beginning of a quarter."""
    model = Model()
    config = config or configuration()
    with open_ledger(url, CLUSTER) as ledger:
        site = Site(config, cast("Slurm", model), ledger, lambda: model.now, _never_wait, "saf@model")
        yield Life(site, model, Board(CLUSTER), watch)


def _never_wait(_seconds: float) -> None:
    raise AssertionError("the model sets shares at once, so nothing is waited for")


__all__ = ["START", "Life", "configuration", "living", "snapshot"]
