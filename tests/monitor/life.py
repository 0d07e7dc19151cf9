"""The product on the model cluster: weeks of cycles in seconds, and what was to be seen after each.

Rule: cycles, ledger, board and collector are the product's own; only Slurm and the clock are the model's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import cast

from slurm_ai_factory import cycle
from slurm_ai_factory.config import Config, parse_config
from slurm_ai_factory.core.programme.joint import joint_term, joint_term_value
from slurm_ai_factory.core.programme.terms import Term, nothing_before
from slurm_ai_factory.core.records import Bound
from slurm_ai_factory.ledger import Ledger, open_ledger
from slurm_ai_factory.monitor.board import Board
from slurm_ai_factory.monitor.metrics import Exposition
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.steps import showing
from slurm_ai_factory.steps.site import Laps, Site
from tests.monitor.model import CLUSTER, START, Model

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
TARGET = 'instance="127.0.0.1:9810",job="saf"'

CONFIG = f"""
[cluster]
name = "{CLUSTER}"
[promise]
resource = "gres/gpu"
time_zone = "Europe/Amsterdam"
[slurm]
since = "2026-07-01"
[control]
mode = "enforce"
{{control}}
[daemon]
{{daemon}}
[privacy]
pseudonymise_after = "400d"
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
HOURLY = """
period = "1h"
ready_after = "3h"
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
        self.board.complete(showing.what_is_shown(site, report, self.board.shown), self.model.now)

    def live(self, beats: int, seconds: int) -> None:
        """So many cycles, so far apart; what each shows is kept, as OpenMetrics with its instant."""
        for _ in range(beats):
            self.beat(seconds)
            self.told.append(snapshot(self.board, self.model.now, self.watch))


def snapshot(board: Board, at: int, watch: Callable[[], float]) -> str:
    """What Prometheus would keep of a scrape at an instant: its own series and labels included."""
    began = watch()
    text = Exposition(board).text(OPENMETRICS)[1].decode()
    took = watch() - began
    lines = [line if line.startswith("#") else _labelled(line, at) for line in text.splitlines()[:-1]]
    return "\n".join(
        [*lines, "# TYPE up gauge", f"up{{{TARGET}}} 1 {at}", "# TYPE scrape_duration_seconds gauge",
         f"scrape_duration_seconds{{{TARGET}}} {took:.6f} {at}"]
    )  # fmt: skip


def _labelled(line: str, at: int) -> str:
    name, _, value = line.rpartition(" ")
    labelled = name.replace("{", f"{{{TARGET},", 1) if "{" in name else f"{name}{{{TARGET}}}"
    return f"{labelled} {value} {at}"


def held(told: list[str], since: int, until: int, step: int) -> list[str]:
    """The same with what scrapes between the cycles of an interval would have kept: the last cycle, still."""
    found = []
    for one, following in zip(told, [*told[1:], ""], strict=True):
        at = _instant(one)
        end = _instant(following) if following else until + 1
        instants = [at, *range(at + step, end, step)] if at >= since else [at]
        found += [
            one if instant == at else re.sub(rf" {at}$", f" {instant}", one, flags=re.M)
            for instant in instants
        ]
    return found


def _instant(told: str) -> int:
    return int(told.splitlines()[-1].split()[-1])


def configuration(control: str = "", daemon: str = HOURLY) -> Config:
    """The configuration of the model's site, with more in two of its sections."""
    return parse_config(CONFIG.format(control=control, daemon=daemon), "model")


@contextmanager
def living(url: str, watch: Callable[[], float], config: Config | None = None) -> Iterator[Life]:
    """The product on a new model, at the beginning of a quarter."""
    config = config or configuration()
    name = config.cluster.name
    model = Model(cluster=name)
    with open_ledger(url, name) as ledger:
        site = Site(config, cast("Slurm", model), ledger, lambda: model.now, _never_wait, "saf@model")
        yield Life(site, model, Board(name), watch)


def promise_more(config: Config, ledger: Ledger) -> None:
    """A floor for the national account and a cap for business, from the beginning of the model's time."""
    first = config.first_term(START, "saf@model")
    ledger.promise_terms.begin(first)
    for name, bound, share, key, accepted in (
        ("national", Bound.FLOOR, 0.4, "account_subtree", "national"),
        ("industry", Bound.CAP, 0.3, "category", "business"),
    ):
        new = replace(first, promise=name, bound=bound, share=share, who={key: (accepted,)}, since=START)
        assert ledger.promise_terms.record(new, nothing_before(new)) == ()


def jointly(config: Config, name: str) -> Term:
    """The same promise as a joint one of this name, from the beginning of the model's time."""
    first = config.first_term(START, "saf@model")
    named = replace(first, promise=name, since=START, source="agreement", reason="signed", label="unit")
    return joint_term(joint_term_value(named))


def _never_wait(_seconds: float) -> None:
    raise AssertionError("the model sets shares at once, so nothing is waited for")
