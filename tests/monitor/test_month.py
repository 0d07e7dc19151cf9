"""A real Prometheus over a month: every rule and panel at three instants, against the definition."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from deploy.grafana import generate
from slurm_ai_factory.core.records import DAY, HOUR
from tests.monitor import month
from tests.monitor import prometheus as real
from tests.monitor.month import INSTANTS, SIDES, Moment, regional, starved, total
from tests.monitor.prometheus import Prometheus
from tests.monitor.sheet import Sheet, substituted
from tests.monitor.test_prometheus import expressions, panels

Expected = Callable[[Moment], list[float]]


def day_share(m: Moment) -> float:
    """The region's part of what was delivered in the 24 hours before an instant."""
    return total(m.now - DAY, m.now, regional) / total(m.now - DAY, m.now, *SIDES.values())


def only(phase: int, *values: float) -> Callable[[int], list[float]]:
    """The values of an alert that fires in one of the three phases."""
    return lambda now: list(values) if INSTANTS.index(now) == phase else []


def both(of: Callable[[Moment], float | None]) -> Callable[[int], list[float]]:
    """The value of each cluster, where it has one."""

    def known(now: int) -> list[float]:
        found = (of(Moment(cluster, now)) for cluster in ("cal", "roll"))
        return [value for value in found if value is not None]

    return known


RULES: dict[str, Callable[[int], list[float]]] = {
    "saf:delivered_share:ratio1d": both(day_share),
    "saf:starved:resource_seconds1d": both(lambda m: total(m.now - DAY, m.now, starved)),
    "saf:cycle_age:seconds": both(lambda m: (30, 2400, 60)[m.phase]),
    "SafFloorAtRisk": lambda _: [1],
    "SafFloorMissedWhileJobsWait": both(lambda m: m.share if m.rolls and m.phase != 1 else None),
    "SafForecastBelowFloor": only(0, 0.24),
    "SafUnreadHours": only(1, 7200, 7200),
    "SafUnclassified": both(lambda m: m.in_window(SIDES["unclassified"]) / m.in_window(*SIDES.values())),
    "SafUnknownAccounts": only(2, 2, 2),
    "SafPromiseAtRisk": only(0, 1, 1),
    "SafCapExceeded": only(1, 1, 1),
    "SafJointAtRisk": only(0, 1),
    "SafJointForecastBelowFloor": only(1, 0.24),
    "SafJointUnmeasured": only(2, 0),
    "SafHolds": only(0, 1),
    "SafClock": only(1, 1),
    "SafRights": only(2, 1),
    "SafContradiction": only(1, 1),
    "SafLeverApart": only(1, 0.2, 0.2),
    "SafPaused": only(2, 1),
    "SafNoAuthority": both(lambda m: (None, 0.6, 0)[m.phase]),
    "SafForeignChange": only(1, 1, 1),
    "SafTwoWriters": only(2, 2),
    "SafSwitchLeftRaised": only(1, 1, 1),
    "SafWriteFailed": lambda _: [1.5, 1.5],
    "SafDown": only(2, 0, 0),
    "SafBlind": only(1, 1, 1),
    "SafLedgerDown": only(0, 1, 1),
    "SafCannotWork": only(2, 1, 1),
    "SafStale": only(1, 2400, 2400),
    "SafReconcileDiffers": only(2, -3600, -3600),
    "SafUnreadableLines": only(1, 3, 3),
    "SafMeterSilent": only(1, 3 * DAY, 3 * DAY),
    "SafClosureOutOfRange": only(2, 0.5, 0.5),
    "SafUnitFailed": only(2, 1),
    "SafTimerLate": only(2, 4 * DAY + 8 * HOUR + 1200),
    "SafRetentionOverdue": only(1, 1, 1),
    "SafPromiseContradicted": only(0, 1, 1),
    "SafGridLimitNear": only(1, 9.6e5, 9.6e5),
    "SafGridExceeded": only(2, 1800, 1800),
    "SafGridHolds": only(1, 1, 1),
    "SafWaterUsed": only(2, 1.5, 1.5, 1.5, 1.5),
}
"""Of both clusters, without the time that an alert has to last."""

ROLLS = [-1.0]


def calendar(*of_phases: float) -> Expected:
    """What a quarter has in each phase; a rolling window has the word for that."""
    return lambda m: ROLLS if m.rolls else [of_phases[m.phase]]


def phases(*values: float) -> Expected:
    """A value in each phase."""
    return lambda m: [values[m.phase]]


def jointly(*of_phases: float) -> Expected:
    """What the joint promise has while it is measured, whichever cluster is chosen."""
    return lambda m: list(of_phases[m.phase : m.phase + 1])


def states(all_: int) -> Expected:
    """A state set of so many, one of which is present."""
    return lambda _: [1.0] + [0.0] * (all_ - 1)


TARGET: Expected = lambda m: [m.target]  # noqa: E731
DELIVERED: Expected = lambda m: [m.share]  # noqa: E731
FORECAST: Expected = lambda m: [] if m.rolls else [(0.24, 0.26, 0.27)[m.phase]]  # noqa: E731
RECENT: Expected = lambda m: [m.recent]  # noqa: E731
PARTS: Expected = lambda m: [0.75 * m.share, 0.25 * m.share]  # noqa: E731

PROMISE: dict[str, Expected] = {
    "Share of the region: at the floor": lambda m: [] if m.rolls else [m.share],
    "Share of the region: below the floor": lambda m: [m.share] if m.rolls else [],
    "Against the floor": lambda m: [100 * (m.share - m.target)],
    "Verdict": lambda m: [4.0 if m.rolls else 1.0],
    "Floor at risk": lambda m: [float(m.rolls)],
    "Within reach": calendar(-2, 1, 0),
    "Expected at the end": calendar(0.24, 0.26, 0.27),
    "Required from now on": calendar(-2, 0.6, 1.1),
    "Rest of the window": lambda m: ROLLS if m.rolls else [m.window[2] - m.now + 60],
    "Last seven days": RECENT,
    "Of capacity": lambda m: [m.in_window(regional) / m.in_window(month.capacity)],
    "Unclassified": lambda m: [m.in_window(SIDES["unclassified"]) / m.in_window(*SIDES.values())],
    "Resource: {{name}}": phases(1, 1, 1),
    "Share in the window up to each moment, and the floor: share of the region": DELIVERED,
    "Share in the window up to each moment, and the floor: floor": TARGET,
    "Share in the window up to each moment, and the floor: expected at the end": FORECAST,
    "Share of the last 24 hours, and of the last 7 days: last 24 hours, all of the cluster":
        lambda m: [day_share(m)],
    "Share of the last 24 hours, and of the last 7 days: last seven days of the window": RECENT,
    "Share of the last 24 hours, and of the last 7 days: floor": TARGET,
    "What the region missed, in resource-hours: starved in the window":
        lambda m: [m.in_window(starved) / HOUR],
    "What the region missed, in resource-hours: short of the promise":
        lambda m: [max(0.0, m.target * m.in_window(*SIDES.values()) - m.in_window(regional)) / HOUR],
    "What the region missed, in resource-hours: starved in the last 24 hours":
        lambda m: [total(m.now - DAY, m.now, starved) / HOUR],
    "Promises: promised": lambda m: [m.target, 0.2, 0.5],
    "Promises: delivered": lambda m: [m.share, (0.1, 0.3, 0.2)[m.phase], 0.6],
    "Promises: verdict": lambda m: [6.0 if m.rolls else 1.0, (3.0, 7.0, 5.0)[m.phase], 1.0],
    "Joint promises: promised": jointly(0.25, 0.25),
    "Joint promises: delivered": jointly(0.2, 0.26),
    "Joint promises: expected": jointly(0.21, 0.24),
    "Joint promises: verdict": jointly(1.0, 1.0),
    "By category, of all charge: {{name}}": PARTS,
    "By sector, of all charge: {{name}}": PARTS,
}  # fmt: skip
MODE: Expected = lambda m: [3.0 if m.phase and not m.rolls else m.phase + 1]  # noqa: E731
SHARES: Expected = lambda m: [70 + 2 * m.phase]  # noqa: E731
WANTED: Expected = lambda m: [76 + 2 * m.phase]  # noqa: E731
CONTROL: dict[str, Expected] = {
    "Mode": MODE,
    "Holds": phases(1, 1, 1),
    "RawShares now": SHARES,
    "RawShares wanted": WANTED,
    "Applied in 24 h": phases(12, 12, 12),
    "Others changed shares": phases(0, 1, 0),
    "EffectvUsage of the region against its set-point: EffectvUsage": phases(0.31, 0.32, 0.33),
    "EffectvUsage of the region against its set-point: set-point": phases(0.29, 0.30, 0.31),
    "EffectvUsage of the region against its set-point: NormShares": phases(0.28, 0.29, 0.30),
    "EffectvUsage of the region against its set-point: floor": TARGET,
    "Switch": lambda m: [[1.0], [], [0.0]][m.phase],
    "Usage that moves the switch: part of the decayed charge": phases(0.31, 0.31, 0.31),
    "Usage that moves the switch: set-point": phases(0.27, 0.27, 0.27),
    "Usage that moves the switch: raised below this": phases(0.26, 0.26, 0.26),
    "Usage that moves the switch: lowered above this": phases(0.28, 0.28, 0.28),
    "RawShares, current and wanted: current": SHARES,
    "RawShares, current and wanted: wanted": WANTED,
    "Regional resources, running and waiting: running":
        lambda m: [20 + (m.now - month.BEGIN) // HOUR % 24],
    "Regional resources, running and waiting: waiting, by accounting": phases(40, 0, 50),
    "Regional resources, running and waiting: waiting and could start, in the live queue":
        phases(30, 31, 32),
    "Decisions in six hours, by reason: {{reason}}": lambda _: [6, 66],
    "Changes of RawShares since the start, by status: {{status}}":
        lambda m: [of * (m.now - m.started) / HOUR for of in (0.5, 0.25)],
    "Holds: {{reason}}": states(6),
    "Authority of shares": phases(0.9, 0.6, 0.8),
    "Unknown accounts in rules": phases(0, 0, 2),
}  # fmt: skip
POWER = "Power of the connection, and what is allowed"
GRID: dict[str, Expected] = {
    "Grid": phases(1, 2, 3),
    "Water": phases(3, 2, 1),
    "Exceeded": phases(0, 0, 1800),
    "Not read": phases(0, 900, 1800),
    "Limited this year": phases(7200, 7200, 7200),
    "On hold": phases(0, 1, 0),
    f"{POWER}: power": phases(8e5, 9.6e5, 1.1e6),
    f"{POWER}: allowed": phases(1e6, 1e6, 1e6),
    f"{POWER}: expected": phases(1.2e6, 1.2e6, 1.2e6),
    "Nodes kept free: needed": phases(0, 2, 4),
    "Nodes kept free: reserved": phases(0, 1, 2),
    "Regional jobs that wait for nodes kept free: resources requested": phases(0, 5, 10),
    "Energy above what was allowed: in the window": phases(0, 0, 9e7),
    "Drinking water and surface water of the process: {{kind}}": lambda m: 2 * [(0.0, 0.0, 1.5)[m.phase]],
}
SERVICE: dict[str, Expected] = {
    "Answers": phases(1, 1, 0),
    "Last cycle failed for": phases(2, 1, 4),
    "Last complete cycle": phases(30, 2400, 60),
    "Lag of the last read": phases(2, 3, 4),
    "Ledger differs by": phases(0, 0, -3600),
    "Version: {{version}}": phases(1, 1, 1),
    "Age of the last complete cycle: age": phases(30, 2400, 60),
    "Age of the last complete cycle: stale above this": phases(1800, 1800, 1800),
    "Age of the last complete cycle: period": phases(300, 300, 300),
    "Duration of cycles, 95th percentile of six hours, by phase: whole cycle": phases(0.93, 0.93, 0.93),
    "Duration of cycles, 95th percentile of six hours, by phase: {{phase}}": phases(0.93, 0.93, 0.93),
    "Cycles an hour, by outcome: {{outcome}}": phases(12, 12, 12),
    "Runs read in an hour: listed by sacct": phases(600, 600, 600),
    "Runs read in an hour: new or changed": phases(240, 240, 240),
    "Failures, by cause: {{cause}}": states(5),
    "Unparsable lines, last day": phases(0, 3, 0),
    "Unknown states": phases(0, 1, 2),
    "Newest record": phases(30, 30, 30),
    "Duration of a scrape: seconds": phases(0.25, 0.25, 0.25),
    "Memory of the daemon: resident": phases(2**26, 2**26, 2**26),
    "Processor time of the daemon: of one core": phases(0.01, 0.01, 0.01),
}
DECIDED: Expected = lambda _: [1 / 12]  # noqa: E731
"""An hour has one decision that asked for a change; the annotation counts those of five minutes."""


def expected() -> Iterator[tuple[str, Expected]]:
    """(where, values) of every query, as ``panels`` names them."""
    for uid, queries in (
        ("saf-promise", PROMISE),
        ("saf-control", CONTROL),
        ("saf-grid", GRID),
        ("saf-service", SERVICE),
    ):
        yield f"{uid}: Decisions", DECIDED
        for name, values in queries.items():
            title, colon, _ = name.partition(": ")
            yield f"{uid}: {name if colon else f'{title}: {title}'}", values


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has kept the month."""
    if reason := real.unavailable():
        pytest.skip(reason)
    with real.prometheus(tmp_path_factory.mktemp("month"), told=month.told()) as found:
        yield found


def values(kept: Prometheus, expr: str, now: int) -> list[float]:
    return sorted(float(series["value"][1]) for series in kept.query(expr, now))


def test_every_rule_and_every_query_of_a_panel_is_here() -> None:
    assert [*RULES] == [name for name, _ in expressions()]
    assert sorted(where for where, _ in expected()) == sorted(where for where, _ in panels())


@pytest.mark.parametrize("name", RULES)
def test_a_rule_has_the_value_of_the_definition(kept: Prometheus, name: str) -> None:
    expr = dict(expressions())[name]
    for now in INSTANTS:
        assert values(kept, expr, now) == pytest.approx(sorted(RULES[name](now))), now


@pytest.mark.parametrize("where", dict(expected()))
def test_a_panel_has_the_value_of_the_definition(kept: Prometheus, where: str) -> None:
    expr, of = dict(panels())[where], dict(expected())[where]
    for m in (Moment(cluster, now) for now in INSTANTS for cluster in ("cal", "roll")):
        asked = substituted(expr, {"cluster": m.cluster, "window": m.window[0]})
        assert values(kept, asked, m.now) == pytest.approx(sorted(of(m))), m


def test_the_board_of_a_rolling_window_says_that_it_has_no_end(kept: Prometheus) -> None:
    """Where a quarter has the rest of it; and nothing is left empty, or shown as -0 or as -100 %."""
    board = generate.dashboard("saf-promise")
    for cluster, words in (("roll", 4), ("cal", 0)):
        m = Moment(cluster, INSTANTS[1])
        variables = {"cluster": cluster, "window": m.window[0]}
        drawn = Sheet(kept, variables, m.now - 3 * DAY, m.now, 1920).page(board)
        assert drawn.count("rolls on, has no end") == words
        assert not re.search(r'class="none"|>-0\b|>-100%', drawn)


def test_the_two_windows_differ_and_every_alert_fires_at_one_of_the_instants() -> None:
    assert all(Moment("roll", now).share != pytest.approx(Moment("cal", now).share) for now in INSTANTS)
    assert [name for name, of in RULES.items() if not any(map(of, INSTANTS))] == []
