"""What is measured once a cycle for the board: groups that add up, phases, the day that is compared."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from slurm_ai_factory import question
from slurm_ai_factory.core.energy.meters import Kind, Reading
from slurm_ai_factory.core.measure.tally import Tallied, Tally
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.loop import Loop
from slurm_ai_factory.monitor.board import Board, Reconciled
from slurm_ai_factory.monitor.metrics import PHASES
from slurm_ai_factory.steps import showing
from slurm_ai_factory.steps.site import Laps, Site
from tests.monitor.life import Life, configuration, living, promise_more
from tests.monitor.model import DAY, START


def test_groups_add_up_to_the_measurement(life: Life) -> None:
    life.beat(24 * HOUR)
    shown = life.board.shown
    assert shown
    m = shown.measurement
    assert set(shown.groups) == {"category", "sector"}
    for groups in shown.groups.values():
        assert sum(group.delivered for group in groups) == m.total_charge
        regional = [group.delivered for group in groups if group.beneficiary is Beneficiary.REGIONAL]
        assert sum(regional) == m.regional_charge
        assert groups == sorted(groups, key=lambda group: (-group.delivered, group.name))
    names = {group.name for group in shown.groups["sector"]}
    assert names == {"agriculture", "health", "water", "non_regional", "unclassified"}


def test_a_cycle_shows_every_promise_as_of_its_own_read(life: Life) -> None:
    promise_more(life.site.config, life.site.ledger)
    life.beat(24 * HOUR)
    shown = life.board.shown
    assert shown
    assert [m.promise for m, _ in shown.promises] == ["region", "industry", "national"]
    assert {(m.as_of, m.total_charge) for m, _ in shown.promises} == {
        (shown.measurement.as_of, shown.measurement.total_charge)
    }
    accounts = {"industry": ("business",), "national": ("research",)}
    for m, _ in shown.further:
        mine = [g.delivered for g in shown.groups["category"] if g.name in accounts[m.promise]]
        assert m.regional_charge == sum(mine) > 0


def test_without_further_promises_the_ledger_is_not_asked_for_them(life: Life) -> None:
    life.beat(24 * HOUR)
    asked = question.ask(life.site.config, life.site.ledger)
    life.site.ledger.store.close()
    assert asked.further() == []
    assert life.site.ledger.store._connection is None


@pytest.mark.parametrize("window", ["month", "rolling:5d"])
def test_every_hour_is_counted_once_also_where_a_month_ends(ledger_url: str, window: str) -> None:
    """Hour by hour through midnight of 1 August in Amsterdam, and after an outage of five hours."""
    config = configuration()
    config = replace(config, promise=replace(config.promise, window=window))
    with living(ledger_url, time.perf_counter, config) as life:
        life.beat(30 * DAY + 18 * HOUR)
        began = tally_of(life)
        assert began.sums == Tallied()
        for seconds in (1800, *[HOUR] * 9, 5 * HOUR, HOUR):
            life.beat(seconds)
        shown = life.board.shown
        assert shown
        m, counted = shown.measurement, tally_of(life)
        assert began.until < START + 31 * DAY < counted.until == m.as_of - 1800
        asked = question.ask(life.site.config, life.site.ledger, read_until=m.as_of)
        exact = asked.over((began.until, counted.until)).measure()
        sums = counted.sums
        assert sums.regional == pytest.approx(float(exact.regional_charge))
        assert sums.unclassified == pytest.approx(float(exact.unclassified_charge))
        delivered = sums.regional + sums.non_regional + sums.unclassified
        assert delivered == pytest.approx(float(exact.total_charge))
        assert sums.capacity == pytest.approx(float(exact.capacity or 0))
        assert sums.starved == pytest.approx(exact.starved_charge)


def tally_of(life: Life) -> Tally:
    assert life.board.shown
    assert life.board.shown.tally
    return life.board.shown.tally


def test_phases_are_those_that_are_exported_and_fit_into_the_cycle(life: Life) -> None:
    life.beat(12 * HOUR)
    shown = life.board.shown
    assert shown
    assert set(shown.phases) == set(PHASES)
    inside = sum(seconds for phase, seconds in shown.phases.items() if phase != "show")
    assert 0 < inside <= shown.seconds


def test_a_phase_that_failed_is_not_counted() -> None:
    ticks = iter(range(10))
    laps = Laps(lambda: float(next(ticks)))
    with laps.phase("read"):
        pass
    with pytest.raises(ValueError, match="no"), laps.phase("read"):
        raise ValueError("no")
    assert laps.seconds == {"read": 1.0}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("now", "since", "until"),
    [
        ("2027-01-15T12:00", "2027-01-13T23:00", "2027-01-14T23:00"),
        ("2027-01-15T01:59", "2027-01-12T23:00", "2027-01-13T23:00"),
        ("2027-03-29T12:00", "2027-03-27T23:00", "2027-03-28T22:00"),
        ("2027-11-01T12:00", "2027-10-30T22:00", "2027-10-31T23:00"),
    ],
    ids=["noon", "before the rollup", "a day of 23 hours", "a day of 25 hours"],
)
def test_the_day_before_is_compared_once_it_is_rolled_up(now: str, since: str, until: str) -> None:
    promise = SimpleNamespace(time_zone=ZoneInfo("Europe/Amsterdam"))
    site = cast("Site", SimpleNamespace(config=SimpleNamespace(promise=promise)))
    assert showing.rolled_up_day(site, at(now)) == (at(since), at(until))


def test_books_are_compared_after_a_midnight_and_again_when_it_failed(life: Life) -> None:
    loop = Loop(
        config=configuration(),
        open_site=cast("Any", None),
        clock=lambda: life.model.now,
        stopwatch=time.monotonic,
    )
    board = loop.board

    def beat(site: Site) -> None:
        life.beat(6 * HOUR)
        loop._afterwards(site)

    beat(life.site)
    assert compared(board) is None, "the day before the daemon started is left to others"
    for _ in range(4):
        beat(life.site)
    first = compared(board)
    assert first
    assert first.unexplained == 0

    class Away:
        """A Slurm that does not answer; what its model does is not asked."""

        def rolled_up(self, _since: int, _until: int) -> bool:
            raise SlurmError("slurmdbd is away")

    for _ in range(4):
        beat(replace(life.site, slurm=cast("Any", Away())))
    assert compared(board) is first
    beat(life.site)
    last = compared(board)
    assert last
    assert last.since == first.since + 24 * HOUR


def test_meters_are_looked_at_every_cycle_and_energy_is_measured_once_a_day(life: Life) -> None:
    life.beat(6 * HOUR)
    book, now = life.site.ledger.meters, life.model.now
    assert showing.metered(life.site, now, None) is None, "there are no meters"
    today = Reading("hall", Kind.E_IT, START, now, Decimal(7), "kWh", "bms")
    book.append([("line 2", today)], at=now, actor="anna")
    first = showing.metered(life.site, now, None)
    assert first
    assert (first.newest, first.closure, first.closes) == ({"E_IT": now}, None, False)
    assert (first.runs, first.idle) == ({}, None), "no run has energy: that is not known, and not 0"
    later = replace(today, since=now, until=now + HOUR)
    book.append([("line 3", later)], at=now, actor="anna")
    again = showing.metered(life.site, now, first)
    assert again == first._replace(newest={"E_IT": now + HOUR})
    new_day = showing.metered(life.site, now + DAY, first)
    assert new_day
    assert new_day.measured_at == now + DAY
    assert showing.metered(life.site, now + 40 * DAY, first) is None, "no meter is in service"


def compared(board: Board) -> Reconciled | None:
    return board.reconciled
