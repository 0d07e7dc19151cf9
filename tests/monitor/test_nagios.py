"""The line of a monitoring plugin: one line, its exit code, and figures a grapher can read."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.control.reasons import HOLDS
from slurm_ai_factory.core.measure.assessment import assess
from slurm_ai_factory.core.records import HOUR, Bound, Further, Hour, Measurement, Verdict, Window
from slurm_ai_factory.language import language
from slurm_ai_factory.monitor.nagios import (
    ServiceCheck,
    ServiceState,
    performance_data,
    service_check,
    service_line,
)
from tests.core.measure.test_assessment import any_measurement, demand
from tests.monitor.examples import DAY, NOW, SINCE, measurement

MARGIN = 0.01
ENGLISH = language("en", ZoneInfo("Europe/Amsterdam"))
ROLLING = Window("rolling:30d", SINCE, NOW, rolling=True)
WANTED = tuple(Hour(SINCE + n * HOUR, 2.3e5, 1e6, 0.0, 1e6, 0.0, 1e6) for n in range(720))
"""Hours in which others waited for what a cap of 0.2 left to them."""
FIGURE = r"\w+=-?[\d.]+(%|s)(;[\d.]*:?){4}"
LINE = re.compile(rf"SAF (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+( \| {FIGURE}( {FIGURE})*)?")


def hold(reason: str) -> dict[str, Any]:
    return {"reason": reason, "since": "2027-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("m", "holds", "state", "words"),
    [
        (measurement(0.3), [], "OK", "above the promised 25"),
        (measurement(0.2, days=0, regional_charge=0, total_charge=0), [], "OK", "Nothing has been delivered"),
        (measurement(0.2, ended=True), [], "OK", "No promise holds"),
        (demand(0.2, 0.3), [], "WARNING", "of the rest of the window would mend it"),
        (demand(0.2, 0.0, days=3), [], "WARNING", "it takes"),
        (demand(0.2, 0.0), [], "CRITICAL", "more than regional jobs asked for"),
        (measurement(0.2, window=ROLLING, starved_charge=1e12), [], "CRITICAL", "regional jobs waited"),
        (measurement(0.2, window=ROLLING), [], "WARNING", "too little regional work"),
        (measurement(0.3, unread_seconds=DAY), [], "WARNING", "24 hours of the window were never read"),
        (
            measurement(0.3, days=90, unclassified_charge=10**8, unclassified_limit=0.01), [], "WARNING",
            "more is unclassified than",
        ),
        (measurement(0.3), [hold("paused")], "WARNING", "since 2027-01-01T00:00:00Z: an operator paused"),
        (measurement(0.3), [hold("write_failed")], "WARNING", "did not take effect"),
        (measurement(0.3), [hold("paused"), hold("stale")], "CRITICAL", "see whether the daemon runs"),
    ],
)  # fmt: skip
def test_the_state_is_that_of_the_worst_problem(
    m: Measurement, holds: list[dict[str, Any]], state: str, words: str
) -> None:
    reached, text = service_check([Further(m, MARGIN)], holds, ENGLISH)
    line = service_line(ServiceCheck(reached, text, performance_data(m, MARGIN, m.as_of + 60, 1800)))
    assert line.startswith(f"SAF {state} - ")
    assert words in line
    assert LINE.fullmatch(line), line


@pytest.mark.parametrize(
    ("share", "changes", "state"),
    [
        (0.6, {"bound": Bound.FLOOR, "target_share": 0.5}, "OK"),
        (0.4, {"bound": Bound.FLOOR, "target_share": 0.5, "window": ROLLING}, "WARNING"),
        (0.15, {}, "OK"),
        (0.23, {"hours": WANTED}, "WARNING"),
        (0.23, {"window": ROLLING}, "OK"),
        (0.23, {"window": ROLLING, "hours": WANTED}, "WARNING"),
        (0.23, {"share_of": "capacity", "capacity": None, "total_charge": 0}, "OK"),
    ],
    ids=["floor", "floor missed", "cap", "cap expected to be exceeded", "idle", "taken", "unknown capacity"],
)
def test_a_further_promise_at_risk_is_a_warning_with_its_name(
    share: float, changes: dict[str, Any], state: str
) -> None:
    capped: dict[str, Any] = {"promise": "industry", "bound": Bound.CAP, "target_share": 0.2}
    further = measurement(share, 30, **capped | changes)
    reached, text = service_check([Further(measurement(), MARGIN), Further(further, 0.0)], [], ENGLISH)
    assert reached.name == state
    assert ("promise industry is at risk" in text) == (state == "WARNING")


@given(any_measurement(), st.lists(st.sampled_from(sorted(HOLDS)).map(hold), max_size=2))
def test_ok_means_that_nothing_is_wrong(m: Measurement, holds: list[dict[str, Any]]) -> None:
    state, text = service_check([Further(m, MARGIN)], holds, ENGLISH)
    line = service_line(ServiceCheck(state, text, performance_data(m, MARGIN, m.as_of, 1800)))
    assert LINE.fullmatch(line), line
    known = assess(m, MARGIN)
    if state is ServiceState.OK:
        assert not holds
        assert not known.below
        assert m.ended or not m.unread_seconds
        assert known.verdict in (Verdict.MET, Verdict.OPEN)
    assert state is not ServiceState.UNKNOWN


@given(st.text())
def test_a_message_stays_on_its_line_and_out_of_the_figures(text: str) -> None:
    line = service_line(ServiceCheck(ServiceState.UNKNOWN, text, "share=1%;;;0;100"))
    assert line.count("|") == 1
    assert len(line.splitlines()) == 1


def test_the_figures_have_the_floor_and_the_limits() -> None:
    m = demand(0.2, 0.3, unclassified_limit=0.05)
    assert performance_data(m, MARGIN, m.as_of + 60, 1800) == (
        "share=20.0000%;25:;;0;100 required=29.0000%;;;0; unclassified=0.0000%;5;;0;100 age=60s;;1800;0;"
    )
    nothing = measurement(0.2, days=0, regional_charge=0, total_charge=0)
    assert performance_data(nothing, MARGIN, NOW, 1800).startswith("age=")
