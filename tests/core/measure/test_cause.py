"""Why a floor was missed: one cause, from what was recorded; and the line between the two shortfalls."""

from __future__ import annotations

from dataclasses import replace
from math import isclose
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.measure.cause import MissCause, ModeSpan, cause_of, shortfall_bridge
from slurm_ai_factory.core.records import HOUR, Hour, Measurement, Window
from slurm_ai_factory.core.tres import Resource


def measured(*hours: tuple[float, float, float, float], **changed: Any) -> Measurement:
    """A window that is over, from (regional, total, waiting, capacity) of each hour; the floor is 25 %."""
    rows = tuple(Hour(HOUR * n, *hour) for n, hour in enumerate(hours))
    end = HOUR * len(rows)
    values: dict[str, Any] = {
        "cluster": "c", "window": Window("w", 0, end), "as_of": end, "resource": Resource({"cpu": 1}),
        "target_share": 0.25, "regional_charge": int(sum(hour.regional for hour in rows)),
        "total_charge": int(sum(hour.total for hour in rows)), "unclassified_charge": 0,
        "capacity": int(sum(hour.capacity for hour in rows)), "waiting_charge": 0,
        "starved_charge": share.starved(rows, 0.25), "newest_record_at": end, "hours": rows,
    }  # fmt: skip
    return Measurement(**values | changed)


WAITED = (10.0, 100.0, 50.0, 100.0)
NEARLY = (249.0, 1000.0, 500.0, 1000.0)
IDLE = (10.0, 100.0, 0.0, 100.0)
ENOUGH = (30.0, 100.0, 50.0, 100.0)
OFF, ON = ModeSpan("observe", 0, HOUR), ModeSpan("enforce", HOUR, 2 * HOUR)


@pytest.mark.parametrize(
    ("window", "modes", "decisions", "held", "cause"),
    [
        (measured(ENOUGH), [OFF], 1, {}, None),
        (measured(WAITED, as_of=0), [OFF], 1, {}, None),
        (measured(IDLE), [OFF], 1, {}, MissCause("demand", starved_charge=0.0)),
        (measured(WAITED, capacity=None, starved_charge=None), [OFF], 1, {}, MissCause("size_unknown")),
        (measured(WAITED, WAITED), [OFF, ON], 2, {}, MissCause("control_off", 0, HOUR, starved_charge=15.0)),
        (measured(IDLE, WAITED, WAITED), [OFF, ON], 3, {}, MissCause("waited", starved_charge=30.0)),
        (
            measured(WAITED, WAITED), [ModeSpan("advise", 0, 2 * HOUR)], 2, {},
            MissCause("control_off", 0, 2 * HOUR, starved_charge=30.0),
        ),
        (
            measured(IDLE, WAITED), [ON], 4, {"clock": 1, "read_failed": 1},
            MissCause("held", reason="clock", starved_charge=15.0),
        ),
        (measured(IDLE, WAITED), [ON], 4, {"clock": 1}, MissCause("waited", starved_charge=15.0)),
        (measured(IDLE, WAITED), [], 0, {}, MissCause("waited", starved_charge=15.0)),
        (measured(NEARLY), [ON], 1, {}, MissCause("slight", starved_charge=1.0)),
        (
            measured(WAITED, WAITED, WAITED, WAITED, WAITED),
            [OFF, ON, ModeSpan("observe", 3 * HOUR, 5 * HOUR)], 5, {},
            MissCause("control_off", 3 * HOUR, 5 * HOUR, starved_charge=30.0),
        ),
    ],
    ids=[
        "kept", "not over", "no demand", "no capacity", "off for half of it", "off before it", "advice only",
        "held half of the time", "held seldom", "nothing recorded of the control",
        "hardly short", "off twice",
    ],
)  # fmt: skip
def test_one_cause_that_was_recorded(
    window: Measurement, modes: list[ModeSpan], decisions: int, held: dict[str, int], cause: MissCause | None
) -> None:
    assert cause_of(window, modes, decisions, held, 0) == cause


@pytest.mark.parametrize(
    ("window", "decisions", "limited", "cause"),
    [
        (measured(IDLE, WAITED), 4, 2, MissCause("limited", starved_charge=15.0)),
        (measured(IDLE, WAITED), 4, 1, MissCause("control_off", 0, 2 * HOUR, starved_charge=15.0)),
        (measured(IDLE), 4, 4, MissCause("demand", starved_charge=0.0)),
        (measured(WAITED, capacity=None, starved_charge=None), 4, 4, MissCause("size_unknown")),
        (measured(ENOUGH), 4, 4, None),
    ],
)
def test_a_limit_of_slurm_is_the_cause_where_it_held_all_that_waited(
    window: Measurement, decisions: int, limited: int, cause: MissCause | None
) -> None:
    """Whatever the control did meanwhile: it cannot change a limit."""
    modes = [ModeSpan("observe", 0, 2 * HOUR)]
    assert cause_of(window, modes, decisions, {"clock": 4}, limited) == cause


HOURS = st.lists(
    st.tuples(*[st.integers(0, 10**6)] * 4).map(
        lambda hour: (
            float(hour[0]),
            float(hour[0] + hour[1]),
            float(hour[2]),
            float(hour[0] + hour[1] + hour[3]),
        )
    ),
    min_size=1,
    max_size=12,
)


@given(HOURS)
def test_the_two_shortfalls_are_one_line_of_arithmetic(
    hours: list[tuple[float, float, float, float]],
) -> None:
    window = measured(*hours)
    line = shortfall_bridge(window)
    if not window.shortfall_charge:
        assert line is None
        return
    assert line is not None
    assert min(line) >= -1e-6
    total = line.starved + line.unasked - line.ahead - line.idle
    assert isclose(total, window.shortfall_charge, rel_tol=1e-9, abs_tol=1e-3)


def test_without_capacity_there_is_no_line() -> None:
    assert shortfall_bridge(replace(measured(WAITED), capacity=None, starved_charge=None)) is None
