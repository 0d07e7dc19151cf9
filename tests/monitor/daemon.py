"""python -m tests.monitor.daemon LEDGER_URL PERIOD: `saf run` on the model cluster, half a day a cycle.

Rule: it is the product's own daemon with its own web server; only Slurm and the clock are the model's. It
wants more for the region at once, step by step, and jobs of both sides wait, so that there is all to see.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from slurm_ai_factory.config import Clusters, Config
from slurm_ai_factory.core.energy.meters import Kind, Reading
from slurm_ai_factory.core.programme.joint import JointWeight
from slurm_ai_factory.core.records import HOUR, PriorityConfig
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.daemon import Daemon
from slurm_ai_factory.ledger import open_ledger
from slurm_ai_factory.ledger.joint import JointBook
from slurm_ai_factory.ledger.meters import Meters
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.steps.site import Site
from tests.monitor.life import configuration, jointly, promise_more
from tests.monitor.model import CLUSTER, START, Model

EAGER = """
share_min = 0.32
slew = 0.002
writes_per_day = 1000
"""
WATTS = """
[[energy.watts]]
tres = "gres/gpu"
watts = 500
since = 2020-01-01
source = "data sheet"
"""
EACH_CYCLE = 12 * HOUR
ACTOR = "saf@model"


@dataclass
class Passing(Model):
    """As a cycle begins, which asks for the priorities first, time passes, also on the meter of the hall."""

    meters: Meters | None = None
    joint: JointBook | None = None

    def priority_config(self) -> PriorityConfig:
        since = self.now
        self.advance(EACH_CYCLE)
        if self.meters:
            hall = Reading("hall", Kind.E_IT, since, self.now, Decimal(300), "kWh", "bms")
            self.meters.append([("hall", hall)], at=self.now, actor=ACTOR)
        if self.joint and not self.joint.weights():  # it has TRES from its first read on
            self.joint.weigh(self.weight())
        return Model.priority_config(self)

    def weight(self) -> JointWeight:
        """What the one cluster counts in a joint promise."""
        nodes = Resource.parse("4*node")
        return JointWeight("both", self.cluster, START, nodes, "agreement", "signed", ACTOR, self.now)


def main(url: str, period: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    model = Passing(busy=2.0)

    @contextmanager
    def site(config: Config) -> Iterator[Site]:
        with open_ledger(url, CLUSTER) as ledger:
            promise_more(config, ledger)
            model.meters, model.joint = ledger.meters, ledger.joint
            assert ledger.joint.record(jointly(config, "both")) == ()
            yield Site(config, cast("Slurm", model), ledger, lambda: model.now, time.sleep, ACTOR)

    def load() -> Clusters:
        daemon = f'period = "{period}"\nlisten = "127.0.0.1:0"\n{WATTS}'
        return {CLUSTER: configuration(control=EAGER, daemon=daemon)}

    Daemon(load=load, open_site=site, clock=lambda: model.now, stopwatch=time.monotonic).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
