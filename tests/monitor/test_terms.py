"""A cycle measures and steers by the promise's term, and says where saf.toml contradicts it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from slurm_ai_factory import cycle, question
from slurm_ai_factory.config import Config, parse_config
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.errors import ConfigError
from slurm_ai_factory.monitor.metrics import Exposition
from slurm_ai_factory.steps.summary import cycle_sentence
from slurm_ai_factory.steps.values import CycleReport
from tests.monitor.life import CONFIG, HOURLY, Life
from tests.monitor.model import CLUSTER


def report(life: Life) -> CycleReport:
    """Some hours later, a cycle."""
    life.beat(6 * HOUR)
    return cycle.run(life.site, life.watch)


def file(keys: str, control: str = "") -> Config:
    """The model's file with more keys of the promise."""
    text = CONFIG.format(control=control, daemon=HOURLY).replace("[promise]", f"[promise]\n{keys}")
    return parse_config(text, "model")


def contradicted(life: Life) -> float | None:
    """What the metric says."""
    found = re.search(
        rf'^saf_promise_contradicted{{cluster="{CLUSTER}"}} (.+)$',
        Exposition(life.board).text("")[1].decode(),
        re.MULTILINE,
    )
    return float(found[1]) if found else None


def promise(life: Life, **said: Any) -> None:
    """Record a term from the beginning of the present window on."""
    book, now = life.site.ledger.promise_terms, life.model.now
    present = book.known()
    assert present is not None
    since = question.promised_window(life.site.config, now).since
    new = replace(present.at(now), since=since, recorded_at=now, source="contract", reason="why", **said)
    assert book.record(new) == ()


def test_the_first_cycle_records_what_the_file_says_and_later_ones_nothing(life: Life) -> None:
    for _ in range(2):
        life.beat(6 * HOUR)
        (first,) = life.site.ledger.promise_terms.rows()
        assert (first.since, first.source, first.reason, first.actor) == (0, "model", "first", "saf@model")
        assert first == life.site.config.first_term(first.recorded_at, "saf@model")


def test_a_file_that_contradicts_the_term_changes_nothing_and_is_told(life: Life) -> None:
    life.beat(6 * HOUR)
    life.site = replace(life.site, config=file("target_share = 0.4"))
    found = report(life)
    assert found.gathered.measurement.target_share == 0.25
    assert "model contradicts the promise's current term (since the beginning): promise.target_share" in (
        cycle_sentence(found)
    )
    life.beat(HOUR)
    assert contradicted(life) == 1
    life.site = replace(life.site, config=file(""))
    life.beat(HOUR)
    assert contradicted(life) == 0


def test_a_cycle_measures_and_steers_by_the_term_in_force(life: Life) -> None:
    life.beat(6 * HOUR)
    promise(life, share=0.4, margin=0.05, resource=Resource({"node": 1}))
    found = report(life)
    assert found.gathered.measurement.target_share == 0.4
    assert found.gathered.measurement.resource.name == "node"
    policy = found.gathered.config.policy(3600)
    assert (policy.target_share, policy.margin) == (0.4, 0.05)
    assert "promised 40%" in cycle_sentence(found)


def test_nothing_is_steered_once_the_promise_has_ended(life: Life) -> None:
    life.beat(6 * HOUR)
    promise(life, ended=True)
    found = report(life)
    assert (found.decision.reason, found.decision.changes) == ("promise_ended", ())
    assert "(contract): why" in found.decision.sentence


def test_a_control_that_has_no_room_for_the_term_decides_nothing(life: Life) -> None:
    life.beat(6 * HOUR)
    promise(life, share=0.4)
    life.site = replace(life.site, config=file("", control="share_max = 0.3"))
    with pytest.raises(ConfigError, match="share_max leaves no room"):
        report(life)
