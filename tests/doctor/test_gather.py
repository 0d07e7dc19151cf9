"""Reads that only some checks need go side by side, each ends by itself; what the ledger says of margins."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from threading import Barrier, Event

import pytest

from slurm_ai_factory import question
from slurm_ai_factory.core.records import DAY, HOUR, Run
from slurm_ai_factory.doctor.gather import side_by_side, steered_margins
from slurm_ai_factory.errors import SlurmError
from tests.monitor.life import Life, configuration, living, promise_more

DEADLINE = 30


def test_every_read_goes_beside_the_others() -> None:
    together = Barrier(14)
    facts, unread = side_by_side({str(n): lambda: together.wait(timeout=DEADLINE) for n in range(14)})
    assert sorted(facts.values()) == list(range(14))
    assert unread == {}


def test_a_read_that_hangs_or_fails_takes_no_other_with_it() -> None:
    others = Event()

    def hangs() -> None:
        assert others.wait(timeout=DEADLINE), "the others wait for this one"
        raise SlurmError("no complete answer within 60 s")

    def refused() -> None:
        raise SlurmError("sacctmgr failed")

    def answers() -> int:
        others.set()
        return 3

    facts, unread = side_by_side({"first": hangs, "second": refused, "third": answers})
    assert facts == {"first": None, "second": None, "third": 3}
    assert unread == {"first": "no complete answer within 60 s", "second": "sacctmgr failed"}


def test_a_defect_is_no_read_that_failed() -> None:
    with pytest.raises(ZeroDivisionError):
        side_by_side({"one": lambda: 1 / 0, "other": lambda: 1})


def _usual_run(ended: list[Run], now: int) -> float:
    """The mean GPU seconds of the runs that ended in the seven days up to today, each weighted by its own."""
    until = now - now % DAY
    charges = [
        run.elapsed_seconds * _gpus(run) for run in ended if until - 7 * DAY <= (run.end_at or 0) < until
    ]
    return sum(charge**2 for charge in charges) / sum(charges)


def _delivered(life: Life, seconds: int) -> int:
    """The GPU seconds of the last so many seconds."""
    now = life.model.now
    runs = [*life.model.ended, *(run for _, run in life.model.running)]
    return sum(
        _gpus(run) * max(0, min(run.end_at or now, now) - max(run.start_at or now, now - seconds))
        for run in runs
    )


def _gpus(run: Run) -> int:
    return int(re.search(r"gres/gpu=(\d+)", run.alloc_tres)[1])  # type: ignore[index]


@pytest.mark.parametrize(
    ("window", "lived", "length"),
    [
        pytest.param("quarter", 8 * DAY, 92 * DAY, id="a calendar window, at its beginning"),
        pytest.param("month", 31 * DAY + 6 * HOUR, 31 * DAY, id="six hours into the next month"),
        pytest.param("rolling:30d", 9 * DAY, 30 * DAY, id="a rolling window, longer than anything known"),
        pytest.param("rolling:4d", 9 * DAY, 4 * DAY, id="a rolling window, shorter than seven days"),
    ],
)
def test_the_ripple_is_of_a_whole_window_at_the_rate_of_the_last_days(
    ledger_url: str, window: str, lived: int, length: int
) -> None:
    config = configuration()
    config = replace(config, promise=replace(config.promise, window=window))
    with living(ledger_url, time.perf_counter, config) as life:
        life.beat(lived)
        (margin,) = steered_margins(question.ask(config, life.site.ledger))
        known = min(7 * DAY, length)
        whole = _delivered(life, known) / known * length
        assert (margin.promise, margin.margin, margin.window_seconds) == ("region", 0.01, length)
        assert margin.ripple == pytest.approx(2 * _usual_run(life.model.ended, life.model.now) / whole)


def test_every_steered_promise_has_a_margin_and_no_other_one(ledger_url: str) -> None:
    config = configuration('promises = { national = "national" }')
    with living(ledger_url, time.perf_counter, config) as life:
        promise_more(config, life.site.ledger)
        life.beat(DAY)
        young = steered_margins(question.ask(config, life.site.ledger))
        assert [(margin.promise, margin.ripple) for margin in young] == [("region", None), ("national", None)]
        life.beat(7 * DAY)
        region, national = steered_margins(question.ask(config, life.site.ledger))
        assert region.ripple == national.ripple
        assert region.ripple
        assert (region.room, national.room) == pytest.approx((0.65, 0.5))
