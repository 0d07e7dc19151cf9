"""What is said of a measurement: no surface says more, and no two sentences contradict each other."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.measure.assessment import FloorSide, assess
from slurm_ai_factory.core.measure.figures import FIGURES, share_value
from slurm_ai_factory.core.measure.forecast import forecast_of
from slurm_ai_factory.core.records import HOUR, Hour, Measurement, Verdict, Window
from tests.monitor.examples import DAY, NOW, SINCE, measurement

MARGIN = 0.01
ROLLING = Window("rolling:30d", SINCE, NOW, rolling=True)


@st.composite
def any_measurement(draw: st.DrawFn) -> Measurement:
    """Any share, any demand, any side of the floor by as little as a second, any stage of any window."""
    days = draw(st.integers(0, 90))
    busy, size = 100 * HOUR, 100.0 * HOUR
    early, late, waiting = (draw(st.integers(0, busy)) for _ in range(3))
    turn = draw(st.integers(0, days)) * 24
    hours = tuple(
        Hour(SINCE + n * HOUR, float(late if n >= turn else early), size, float(waiting), size)
        for n in range(days * 24)
    )
    regional = sum(int(hour.regional) for hour in hours)
    total = busy * len(hours)
    beside = draw(st.sampled_from((None, -1, 0, 1)))  # seconds off the floor
    changes: dict[str, Any] = {
        "regional_charge": regional if beside is None or not total else total // 4 + beside,
        "total_charge": total,
        "unread_seconds": draw(st.sampled_from((0, 0, 0, DAY))),
        "ended": draw(st.sampled_from((False, False, False, True))),
        "starved_charge": draw(st.none() | st.sampled_from((0.0, 1e12))),
        "unclassified_charge": draw(st.sampled_from((0, total // 3))),
        "unclassified_limit": draw(st.sampled_from((None, 0.05))),
        "regional_running": draw(st.integers(0, 200)),
        "regional_pending": draw(st.integers(0, 200)),
        "hours": hours,
    }
    if draw(st.booleans()):
        changes["window"] = Window("rolling:90d", SINCE, SINCE + days * DAY, rolling=True)
    return measurement(0.25, days, **changes)


@given(any_measurement(), st.sampled_from((0.0, 0.01, 0.1)))
def test_no_two_things_that_are_said_contradict_each_other(m: Measurement, margin: float) -> None:
    known = assess(m, margin)
    if not known.below:
        assert (known.required_share, known.attainable, known.at_risk) == (None, None, False)
        assert known.verdict not in (Verdict.MISSED_DEMAND, Verdict.MISSED_STARVED)
    else:
        assert known.verdict is not Verdict.MET
        assert m.delivered_share is not None
        assert m.delivered_share <= m.target_share
    if known.floor_side is FloorSide.ABOVE:
        assert m.delivered_share is not None
        assert m.delivered_share >= m.target_share
    if known.attainable is False:
        assert known.required_share is not None
        assert known.expected_share is None or known.expected_share < m.target_share
        assert known.verdict is Verdict.OPEN
    if m.window.rolling:
        assert (known.required_share, known.attainable, known.expected_share) == (None, None, None)
    if known.attainable:
        assert not known.at_risk
    if m.ended:
        assert (known.floor_side, known.expected_share) == (None, None)


@given(any_measurement())
def test_figures_say_what_is_said_and_no_more(m: Measurement) -> None:
    known, values = assess(m, MARGIN), share_value(m, MARGIN)
    for key in ("required_share", "attainable"):
        assert values[key] == getattr(known, key)
    assert (values["verdict"], values["verdict_reason"]) == (known.verdict, known.reason)
    assert values["floor_side"] == known.floor_side
    assert FIGURES["at_risk"].of(m, MARGIN) == known.at_risk
    assert FIGURES["expected_share"].of(m, MARGIN) == known.expected_share
    assert not {"required_share", "attainable"} & values["forecast"].keys(), "said in one place"


def demand(share: float, waiting: float, days: int = 30, **changes: Any) -> Measurement:
    """A quarter in which this part of the machine was used by the region, and this part waited for."""
    m = measurement(share, days)
    hours = tuple(hour._replace(regional_waiting=waiting * hour.total) for hour in m.hours)
    return replace(m, hours=hours, **changes)


def test_a_quiet_night_does_not_put_a_quarter_out_of_reach() -> None:
    """The queue of one instant used to speak for the 60 days to come."""
    quiet = demand(0.2, 0.2, regional_running=0, regional_pending=0)
    assert assess(quiet, MARGIN).attainable is True
    assert not assess(quiet, MARGIN).at_risk
    full = demand(0.2, 0.0, regional_running=0, regional_pending=10**6)
    assert assess(full, MARGIN).attainable is False
    assert assess(full, MARGIN).at_risk


def test_far_above_the_floor_nothing_is_required_and_nothing_out_of_reach() -> None:
    known = assess(demand(0.315, 0.0, regional_running=0, regional_pending=0), MARGIN)
    assert (known.floor_side, known.required_share, known.attainable) == (FloorSide.ABOVE, None, None)


@pytest.mark.parametrize(
    ("m", "risk"),
    [
        (demand(0.3, 0.0), False),
        (demand(0.2, 0.1), False),
        (demand(0.2, 0.0), True),
        (demand(0.2, 0.0, days=6), False),
        (measurement(0.2, window=ROLLING), True),
        (measurement(0.3, window=ROLLING), False),
        (measurement(0.2, days=0, regional_charge=0, total_charge=0), False),
    ],
    ids=["above", "within reach", "too little demand", "demand not known yet", "rolls below",
         "rolls above", "nothing delivered"],
)  # fmt: skip
def test_the_floor_is_at_risk_when_below_and_not_to_be_mended(m: Measurement, risk: bool) -> None:
    assert assess(m, MARGIN).at_risk is risk


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_the_side_of_the_floor_is_exact(seconds: int) -> None:
    """As floats all three are the floor."""
    m = measurement(0.25, 90, regional_charge=10**18 // 4 + seconds, total_charge=Decimal(10**18))
    assert m.delivered_share == 0.25
    side = (FloorSide.BELOW, FloorSide.AT, FloorSide.ABOVE)[seconds + 1]
    assert assess(m, MARGIN).floor_side is side
    assert (assess(m, MARGIN).verdict is Verdict.MET) is (seconds >= 0)


def test_out_of_reach_is_the_floor_and_not_the_margin_above_it() -> None:
    """Or else 25.4 % would be expected of a floor of 25 % that is called out of reach."""
    hours = tuple(
        Hour(SINCE + n * HOUR, share * 100.0 * HOUR, 100.0 * HOUR, 0.0, 100.0 * HOUR)
        for n, share in enumerate([0.2] * 20 * 24 + [0.27] * 10 * 24)
    )
    m = measurement(0.2, hours=hours, regional_charge=round(sum(hour.regional for hour in hours)))
    ahead, known = forecast_of(m), assess(m, 0.05)
    assert ahead.highest_share is not None
    assert known.required_share is not None
    assert known.required_share > ahead.highest_share
    assert known.expected_share is not None
    assert known.expected_share > m.target_share
    assert known.attainable is True


def test_what_arithmetic_rules_out_is_out_of_reach_whatever_the_demand() -> None:
    """One unread hour leaves the demand unknown; it used to leave the risk unsaid, too."""
    lost = measurement(0.1, 85, unread_seconds=HOUR)
    known = assess(lost, MARGIN)
    assert forecast_of(lost).attainable_share is None
    assert (known.attainable, known.at_risk) == (False, True)


def test_where_only_the_margin_is_out_of_reach_the_floor_is_what_is_required() -> None:
    """More than all of the rest cannot be called the way to mend it."""
    late = demand(0.24, 1.0, days=85)
    known = assess(late, 0.05)
    assert known.attainable is True
    assert known.required_share is not None
    assert 0.25 < known.required_share <= 1
