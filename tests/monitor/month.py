"""A month by definition: what each series is at each instant, of a quarter that turns and a rolling window.

Rule: every value is a plain function of the hour, so that the right answer of an expression can be computed
from the definition alone. Both daemons restart once; the cluster with the quarter has a second one later on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf, isnan, nan

from slurm_ai_factory.core.records import DAY, HOUR


def at(text: str) -> int:
    """An instant in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


BEGIN, END = at("2027-03-15T00:00"), at("2027-04-15T00:00")
TURN = at("2027-03-31T22:00")
"""1 April in Amsterdam."""
QUARTER = at("2026-12-31T23:00")
NEXT_TURN = at("2027-06-30T22:00")
RESTART = at("2027-04-04T06:30")
PHASES = (at("2027-03-28T00:00"), at("2027-04-03T00:00"))
"""Where the second and the third phase begin."""
INSTANTS = (at("2027-03-25T12:00"), at("2027-04-01T04:00"), at("2027-04-04T12:00"))
"""One in each phase: within the quarter; six hours after its turn; soon after the restart."""
OTHER = 'instance="b",job="saf"'
HOLDS = {"roll": ("no_decay", "clock", "blind"), "cal": ("standby", "answers_differ", "paused")}
CAUSES = ("ledger", "slurm", "machine")
FOUND = {
    "floor": ("open", "met", "missed_demand", "missed_starved"),
    "cap": ("open", "kept", "exceeded_idle", "exceeded"),
}
EXCEEDED = ("kept", "exceeded", "exceeded_idle")
"""The verdict on the cap."""
MODES = ("observe", "advise", "enforce")


def regional(hour: int) -> int:
    """Resources that the region holds in an hour."""
    return 20 + hour % 24


def others(hour: int) -> int:
    """Resources that others hold."""
    return 80 + hour % 7


def unsorted(_hour: int) -> int:
    """Resources whose user no rule knows."""
    return 2


def starved(hour: int) -> int:
    """Regional resources that wait although the region could have them."""
    return 6 if hour % 3 == 1 else 0


def capacity(_hour: int) -> int:
    """Resources that are up."""
    return 150


SIDES = {"regional": regional, "non_regional": others, "unclassified": unsorted}


def total(since: int, until: int, *each: Callable[[int], int]) -> int:
    """Resource-seconds of whole hours."""
    hours = range((since - BEGIN) // HOUR, (until - BEGIN) // HOUR)
    return HOUR * sum(one(hour) for one in each for hour in hours)


def ratio(part: float, whole: float) -> float:
    """Not a number at the turn of the quarter, of which nothing has been delivered yet."""
    return part / whole if whole else nan


@dataclass(frozen=True)
class Moment:
    """A cluster at an instant."""

    cluster: str  #: cal or roll
    now: int

    @property
    def phase(self) -> int:
        """0, 1 or 2."""
        return sum(self.now >= begin for begin in PHASES)

    @property
    def rolls(self) -> bool:
        """Whether the window is a rolling one."""
        return self.cluster == "roll"

    @property
    def window(self) -> tuple[str, int, int]:
        """Its name, start and end."""
        if self.rolls:
            return "rolling:30d", self.now - 30 * DAY, self.now
        return ("2027Q2", TURN, NEXT_TURN) if self.now >= TURN else ("2027Q1", QUARTER, TURN)

    @property
    def target(self) -> float:
        """The floor: missed by the rolling window, and kept by the quarter."""
        return 0.3 if self.rolls else 0.25

    def in_window(self, *each: Callable[[int], int]) -> int:
        """Resource-seconds in the window up to now."""
        return total(self.window[1], self.now, *each)

    @property
    def share(self) -> float:
        """Regional / all, in the window."""
        return ratio(self.in_window(regional), self.in_window(*SIDES.values()))

    @property
    def recent(self) -> float:
        """The same of the last seven days of the window."""
        since = max(self.window[1], self.now - 7 * DAY)
        return ratio(total(since, self.now, regional), total(since, self.now, *SIDES.values()))

    @property
    def started(self) -> int:
        """Hour in which the daemon started."""
        return RESTART // HOUR * HOUR if self.now >= RESTART else BEGIN

    def counted(self, per_hour: float) -> float:
        """A counter that grows evenly from the start of the daemon."""
        return per_hour * (self.now - self.started) / HOUR


def gauges(m: Moment) -> Iterator[tuple[str, str, float | None]]:
    """(name, labels, value) of each sample of a scrape; None where there is none."""
    window, since, until = m.window
    resource = 'resource="cpu"'
    of_window = f'window="{window}",{resource}'
    for name, value in (
        ("saf_window_start_timestamp_seconds", since), ("saf_window_end_timestamp_seconds", until),
        ("saf_target_share_ratio", m.target), ("saf_delivered_share_ratio", m.share),
        ("saf_capacity_share_ratio", ratio(m.in_window(regional), m.in_window(capacity))),
        ("saf_recent_share_ratio", m.recent),
        ("saf_forecast_share_ratio", None if m.rolls else (0.24, 0.26, 0.27)[m.phase]),
        ("saf_required_share_ratio", None if m.rolls else (None, 0.6, 1.1)[m.phase]),
        ("saf_attainable", None if m.rolls else (None, 1, 0)[m.phase]),
        ("saf_floor_at_risk", int(m.rolls and m.share < m.target)),
        ("saf_unread_seconds", (0, 7200, 0)[m.phase]),
        ("saf_unclassified_ratio", ratio(m.in_window(unsorted), m.in_window(*SIDES.values()))),
        ("saf_window_starved_resource_seconds", m.in_window(starved)),
        ("saf_window_shortfall_resource_seconds",
         max(0, m.target * m.in_window(*SIDES.values()) - m.in_window(regional))),
    ):  # fmt: skip
        yield name, of_window, value
    for side, hourly in SIDES.items():
        yield (
            "saf_window_delivered_resource_seconds",
            f'{of_window},beneficiary="{side}"',
            m.in_window(hourly),
        )
    for label, names in (("category", ("business", "government")), ("sector", ("Education", "Construction"))):
        for part, name in zip((0.75, 0.25), names, strict=True):
            labels = f'{of_window},beneficiary="regional",{label}="{name[0]}",name="{name}"'
            yield f"saf_{label}_delivered_resource_seconds", labels, part * m.in_window(regional)
    verdict = "open" if not m.rolls else "missed_starved"
    for word in FOUND["floor"]:
        yield "saf_verdict", f'{of_window},verdict="{word}"', int(word == verdict)
    yield from promised(m, of_window, verdict)
    yield "saf_resource_info", f'{resource},name="cores"', 1
    yield "saf_regional_running_resources", resource, regional((m.now - BEGIN) // HOUR)
    yield "saf_regional_pending_resources", resource, (40, 0, 50)[m.phase]
    yield "saf_queue_demand_resources", f'{resource},beneficiary="regional"', 30 + m.phase
    yield from counters(m, resource)
    yield from grid(m, f'window="{window}"', resource)
    yield from states(m)


def grid(m: Moment, of_window: str, resource: str) -> Iterator[tuple[str, str, float]]:
    """A connection that comes near its limit and then exceeds it; water is used in the last phase."""
    for name, value in (
        ("saf_grid_power_watts", (8e5, 9.6e5, 1.1e6)[m.phase]), ("saf_grid_allowed_watts", 1e6),
        ("saf_grid_exceeded_seconds", (0, 0, 1800)[m.phase]), ("saf_grid_unread_seconds", 900 * m.phase),
        ("saf_grid_limited_year_seconds", 7200), ("saf_grid_excess_joules", (0, 0, 9e7)[m.phase]),
    ):  # fmt: skip
        yield name, of_window, value
    for name, number in (("saf_grid_verdict", m.phase), ("saf_water_verdict", 2 - m.phase)):
        for place, word in enumerate(("open", "kept", "exceeded")):
            yield name, f'{of_window},verdict="{word}"', int(place == number)
    for kind in ("W_POTABLE", "W_SURFACE"):
        yield "saf_water_used_cubic_metres", f'{of_window},kind="{kind}"', (0, 0, 1.5)[m.phase]
    yield "saf_grid_nodes", 'state="needed"', 2 * m.phase
    yield "saf_grid_nodes", 'state="reserved"', m.phase
    yield "saf_grid_hold", 'reason="foreign"', int(m.phase == 1)
    yield "saf_grid_hold", 'reason="no_power"', 0
    yield "saf_grid_expected_watts", "", 1.2e6
    yield "saf_queue_held_by_grid_resources", resource, 5 * m.phase


def promised(m: Moment, of_window: str, verdict: str) -> Iterator[tuple[str, str, float]]:
    """The promise to the region, and two others: a cap that is exceeded for a while, and a floor."""
    at_risk = int(m.rolls and m.share < m.target)
    for name, bound, target, share, risk, found in (
        ("region", "floor", m.target, m.share, at_risk, verdict),
        ("industry", "cap", 0.2, (0.1, 0.3, 0.2)[m.phase], int(m.phase == 1), EXCEEDED[m.phase]),
        ("national", "floor", 0.5, 0.6, int(m.phase == 0), "open"),
    ):
        labels = f'{of_window},promise="{name}",bound="{bound}",share_of="delivered"'
        yield "saf_promise_share_ratio", labels, share
        yield "saf_promise_target_ratio", labels, target
        yield "saf_promise_at_risk", labels, risk
        for word in FOUND[bound]:
            yield "saf_promise_verdict", f'{labels},verdict="{word}"', int(word == found)


def joint(m: Moment) -> Iterator[tuple[str, str, float]]:
    """A joint promise that is at risk, then expected below its floor, and then not measured."""
    own = f'{_daemon(m)},promise="both"'
    yield "saf_joint_measured", own, int(m.phase < 2)
    if m.phase < 2:
        labels = f'{own},window="{m.window[0]}"'
        for name, value in (
            ("saf_joint_target_ratio", 0.25), ("saf_joint_share_ratio", (0.2, 0.26)[m.phase]),
            ("saf_joint_forecast_share_ratio", (0.21, 0.24)[m.phase]),
            ("saf_joint_at_risk", (1, 0)[m.phase]),
        ):  # fmt: skip
            yield name, labels, value
        for word in FOUND["floor"]:
            yield "saf_joint_verdict", f'{labels},verdict="{word}"', int(word == "open")


def counters(m: Moment, resource: str) -> Iterator[tuple[str, str, float]]:
    """What grows until the daemon ends."""
    for side, hourly in SIDES.items():
        labels = f'{resource},beneficiary="{side}"'
        yield "saf_delivered_resource_seconds_total", labels, total(m.started, m.now, hourly)
    yield "saf_starved_resource_seconds_total", resource, total(m.started, m.now, starved)
    for name, labels, per_hour in (
        ("saf_changes_total", 'status="applied"', 0.5), ("saf_changes_total", 'status="failed"', 0.25),
        ("saf_decisions_total", 'reason="raise"', 1), ("saf_decisions_total", 'reason="same_order"', 11),
        ("saf_cycles_total", 'outcome="complete"', 12), ("saf_read_runs_total", "", 600),
        ("saf_changed_runs_total", "", 240), ("process_cpu_seconds_total", "", 36),
    ):  # fmt: skip
        yield name, labels, m.counted(per_hour)
    for le in (0.3, 1.0, inf):
        bound = "+Inf" if le == inf else str(le)
        share = {0.3: 0.5, 1.0: 1.0, inf: 1.0}[le]
        yield "saf_cycle_duration_seconds_bucket", f'le="{bound}"', m.counted(12 * share)
        yield "saf_cycle_phase_duration_seconds_bucket", f'le="{bound}",phase="read"', m.counted(12 * share)


def states(m: Moment) -> Iterator[tuple[str, str, float | None]]:
    """What is as it is."""
    for hold in {*HOLDS["cal"], *HOLDS["roll"]}:
        yield "saf_hold", f'reason="{hold}"', int(hold == HOLDS[m.cluster][m.phase])
    for cause in ("slurm", "ledger", "configuration", "machine", "defect"):
        yield "saf_failure", f'cause="{cause}"', int(cause == CAUSES[m.phase])
    for mode in MODES:
        yield "saf_mode", f'mode="{mode}"', int(mode == MODES[m.phase])
    for name, value in (
        ("saf_last_cycle_timestamp_seconds", m.now - (30, 2400, 60)[m.phase]),
        ("saf_watermark_timestamp_seconds", m.now - 60), ("saf_stale_after_seconds", 1800),
        ("saf_period_seconds", 300), ("saf_read_lag_seconds", 2 + m.phase),
        ("saf_newest_record_timestamp_seconds", m.now - 90), ("saf_unknown_states", m.phase),
        ("saf_unreadable_lines", (0, 3, 0)[m.phase]), ("saf_unknown_accounts", (0, 0, 2)[m.phase]),
        ("saf_foreign_change", (0, 1, 0)[m.phase]), ("saf_retention_overdue", (0, 1, 0)[m.phase]),
        ("saf_promise_contradicted", (1, 0, 0)[m.phase]), ("saf_authority_ratio", (0.9, 0.6, 0.8)[m.phase]),
        ("saf_priority_weight_fairshare", (1000, 1000, 0)[m.phase]),
        ("saf_regional_outside_ratio", (0.02, 0.2, 0.03)[m.phase]), ("saf_steered_other_ratio", 0.05),
        ("saf_reconcile_unexplained_tres_seconds", (0, 0, -3600)[m.phase]),
        ("up", (1, 1, 0)[m.phase]), ("scrape_duration_seconds", 0.25),
        ("process_resident_memory_bytes", 2**26),
    ):  # fmt: skip
        yield name, "", value
    for name, value in (("saf_raw_shares", 30 + m.phase), ("saf_raw_shares_wanted", 33 + m.phase)):
        yield name, 'account="ra"', value
        yield name, 'account="rb"', value + 10
    yield "saf_meter_read_until_timestamp_seconds", 'kind="E_IT"', m.now - (60, 3 * DAY, 60)[m.phase]
    for name, value in (
        ("saf_energy_closure_ratio", (0.98, 0.97, 0.5)[m.phase]), ("saf_energy_closes", (1, 1, 0)[m.phase]),
    ):  # fmt: skip
        yield name, 'window="w"', value
    switch = 'object="qos",name="regional"'
    yield "saf_switch_raised", switch, (1, 1 if m.now < TURN else None, 0)[m.phase]
    for name, value in (
        ("saf_switch_usage_ratio", 0.31), ("saf_switch_set_point_ratio", 0.27),
        ("saf_switch_hysteresis_ratio", 0.01),
    ):  # fmt: skip
        yield name, switch, value
    for name, value in (
        ("saf_usage_share_ratio", 0.31), ("saf_set_point_ratio", 0.29), ("saf_share_ratio", 0.28),
    ):  # fmt: skip
        yield name, 'account="ra, rb"', value + m.phase / 100


def scrape(now: int) -> Iterator[tuple[str, str, float]]:
    """(name, labels, value) of all that Prometheus has of an instant."""
    for cluster in ("cal", "roll"):
        m = Moment(cluster, now)
        for name, labels, value in gauges(m):
            own = f'cluster="{cluster}"' if name.startswith("saf") else ""
            if value is not None and not isnan(value):
                yield name, ",".join(filter(None, (_daemon(m), own, labels))), value
        yield "saf_build_info", f'{_daemon(m)},version="1.0"', 1
    yield from joint(Moment("cal", now))
    if now >= PHASES[0]:
        yield "saf_mode", f'{OTHER},cluster="cal",mode="enforce"', 1
    unit = 'instance="host:9100",job="node"'
    failed = int(now >= PHASES[1])
    yield "node_systemd_unit_state", f'{unit},name="saf-backup.service",state="failed"', failed
    yield "node_systemd_timer_last_trigger_seconds", f'{unit},name="saf-backup.timer"', at("2027-03-31T03:40")


def _daemon(m: Moment) -> str:
    return f'instance="{m.cluster}:9810",job="saf"'


def told() -> list[str]:
    """The month as OpenMetrics: a scrape an hour, and one a minute before each of the instants."""
    dense = {instant - minute * 60 for instant in INSTANTS for minute in range(1, 6)}
    first, *rest = sorted({*range(BEGIN, END + 1, HOUR), *dense})
    return [_text([first]), _text(rest)]


def _text(instants: list[int]) -> str:
    samples: dict[str, list[str]] = {}
    for now in instants:
        for name, labels, value in scrape(now):
            samples.setdefault(name, []).append(f"{name}{{{labels}}} {value!r} {now}")
    return "\n".join(line for name, lines in samples.items() for line in (f"# TYPE {name} gauge", *lines))
