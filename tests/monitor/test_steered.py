"""Several promises in the cycle: each steered one has its decisions, and the others guard their floors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from slurm_ai_factory import cycle, question
from slurm_ai_factory.config import parse_config
from slurm_ai_factory.core.records import DAY, HOUR, Bound
from slurm_ai_factory.errors import ConfigError
from slurm_ai_factory.steps.summary import cycle_sentence
from slurm_ai_factory.steps.values import CycleReport
from tests.monitor.life import CONFIG, HOURLY, Life, living
from tests.monitor.test_release import OWN


@contextmanager
def promised(url: str, control: str, share: float, who: str = "national") -> Iterator[Life]:
    """A second promise from the first hour on: to the national account, unless another is named."""
    config = parse_config(CONFIG.format(control=control, daemon=HOURLY), "model")
    with living(url, time.perf_counter, config) as life:
        question.begin_terms(config, life.site.ledger, life.model.now, "saf@model")
        book = life.site.ledger.promise_terms
        (first,) = book.rows()
        since = question.promised_window(config, life.model.now).since
        new = replace(
            first, promise="eu", bound=Bound.FLOOR, share=share, since=since, who={"account_subtree": (who,)},
            region=(), source="contract", reason="why", recorded_at=life.model.now,
        )  # fmt: skip
        assert book.record(new, config.term_before(new, life.model.now, "saf@model")) == ()
        yield life


def report(life: Life, days: int = 1) -> CycleReport:
    """The last cycle of some days."""
    for _ in range(days * 4 - 1):
        life.beat(6 * HOUR)
    life.model.advance(6 * HOUR)
    return cycle.run(life.site, life.watch)


def test_each_steered_promise_has_decisions_and_a_state_of_its_own(ledger_url: str) -> None:
    with promised(ledger_url, 'promises = { eu = "national" }', 0.5) as life:
        found = report(life, 3)
        (beside,) = found.beside
        assert (found.decision.promise, beside.promise) == ("region", "eu")
        assert beside.inputs["account"] == "national"
        measured = found.gathered.beside[0].measurement
        assert measured.regional_charge + found.gathered.measurement.regional_charge < measured.total_charge
        assert beside.inputs["regional_charge"] == measured.regional_charge
        control, now = life.site.ledger.control, life.model.now
        assert control.last_state(now, "eu") != control.last_state(now)
        assert {row["promise"] for row in control.decisions(10)} == {"region", "eu"}
        assert control.last_decision() == control.decisions(1, "region")[0]
        assert "; promise eu: " in cycle_sentence(found)
        changed = {row["account"] for row in control.history(100) if row["promise"] == "eu"}
        assert changed <= {"national"}


@pytest.mark.parametrize(("share", "held"), [(0.5, False), (0.74, True)])
def test_a_promise_that_is_not_steered_holds_a_raise_that_would_break_its_floor(
    ledger_url: str, share: float, held: bool
) -> None:
    with promised(ledger_url, "", share) as life:
        life.model.raw_shares["regional"] = OWN
        reasons = {report(life).decision.reason for _ in range(4)}
        assert ("guards" in reasons) is held


def test_an_account_that_does_not_count_for_its_promise_is_not_steered(ledger_url: str) -> None:
    with promised(ledger_url, 'promises = { eu = "national" }', 0.5, who="regional") as life:
        (beside,) = report(life).beside
        assert (beside.reason, beside.changes) == ("not_of_promise", ())
        assert "control.promises steers national for promise eu" in beside.sentence


def test_an_account_is_steered_for_one_promise() -> None:
    with pytest.raises(ConfigError, match="steers regional for two promises"):
        parse_config(CONFIG.format(control='promises = { eu = "regional" }', daemon=HOURLY), "model")


def test_nothing_is_steered_for_a_promise_that_has_ended(ledger_url: str) -> None:
    with promised(ledger_url, 'promises = { eu = "national" }', 0.5) as life:
        book, now = life.site.ledger.promise_terms, life.model.now
        last = book.rows("eu")[-1]
        report(life)
        assert book.record(replace(last, ended=True, since=last.since, recorded_at=now + DAY)) == ()
        found = report(life)
        assert (found.beside, found.gathered.further) == ((), ())
