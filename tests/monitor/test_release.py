"""`saf release`: shares go back to the operator's own when no daemon steers any more, and only then."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from slurm_ai_factory.cli import release
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.errors import ClockError, SafError
from slurm_ai_factory.steps import applying
from slurm_ai_factory.steps.applying import Outcome
from slurm_ai_factory.steps.site import Site
from tests.monitor.life import Life, configuration, living

BEATS = 30
OWN = 100
"""RawShares that the operator gave the region: fewer than the promise needs."""


def _steered(life: Life) -> int:
    """The region's RawShares once it was steered."""
    life.model.raw_shares["regional"] = OWN
    for _ in range(BEATS):
        life.beat(6 * HOUR)
        if life.model.raw_shares["regional"] != OWN:
            return life.model.raw_shares["regional"]
    raise AssertionError("the region was never steered")


def _released(site: Site, since: int) -> tuple[Outcome, ...]:
    """What the command does once it holds the lock."""
    with site.ledger.store.holding("writing", site.ledger.control.cluster_id):
        return release.released(site, since)


def test_the_baseline_comes_back_when_no_cycle_was_completed_for_the_lease(ledger_url: str) -> None:
    with living(ledger_url, time.monotonic, configuration('lease = "1d"')) as life:
        steered, last = _steered(life), life.model.now
        life.model.advance(24 * HOUR)
        assert applying.cycle_overdue(life.site) is None
        life.model.advance(HOUR)
        since = applying.cycle_overdue(life.site)
        assert since == last
        (outcome,) = _released(life.site, since)
        assert (outcome.change.raw_shares_before, str(outcome.status)) == (steered, "applied")
        assert life.model.raw_shares["regional"] == OWN
        decision = life.site.ledger.control.decisions(1)[0]
        assert "because no cycle was completed since" in decision["sentence"]
        assert _released(life.site, since) == ()
        life.beat(HOUR)
        assert life.site.ledger.control.last_decision() != decision


def test_nothing_is_released_while_the_clocks_disagree(ledger_url: str) -> None:
    with living(ledger_url, time.monotonic, configuration('lease = "1d"')) as life:
        _steered(life)
        ahead = replace(life.site, clock=lambda: life.model.now + 48 * HOUR)
        with pytest.raises(ClockError):
            applying.cycle_overdue(ahead)


def test_nothing_is_released_without_a_lease_or_to_a_part_that_is_not_known(ledger_url: str) -> None:
    with living(ledger_url, time.monotonic) as life:
        steered = _steered(life)
        life.model.advance(100 * 24 * HOUR)
        assert applying.cycle_overdue(life.site) is None
        control = life.site.ledger.control
        (baseline,) = control.baselines().values()
        control.drop_baseline("regional")
        control.keep_baseline("regional", baseline._replace(sibling_shares=None), life.model.now)
        with pytest.raises(SafError, match="recorded without its level"):
            _released(life.site, life.model.now)
        assert life.model.raw_shares["regional"] == steered
