"""The last cycle as Prometheus families: one pass over one value, no Slurm call and no SQL at scrape time.

After a cycle that failed there is no measurement to show: its families are left out and a hold is shown,
so that a gap in a graph is a gap and never a zero. Labels are bounded: cluster, window, resource,
beneficiary, account for steered rows only, reason, status.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from slurm_ai_factory import __version__
from slurm_ai_factory.core import share
from slurm_ai_factory.core.controller import HOLDS
from slurm_ai_factory.core.records import Decision, Instant, Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a completed cycle has to show."""

    at: Instant
    mode: str
    seconds: float
    measurement: Measurement
    margin: float
    decision: Decision
    raw_shares: tuple[str, int] | None  #: of the steered account, after the cycle
    statuses: tuple[str, ...]
    rejected: int
    unknown_states: int
    runs: int


@dataclass(slots=True)
class Board:
    """The last cycle's outcome, handed from the daemon's loop to its web threads."""

    cluster: str
    shown: Shown | None = None
    failure: str = ""
    failed: str = ""  #: how the last cycle failed: failed, standby; empty when it went through
    finished_at: Instant | None = None  #: of the last complete cycle
    cycles: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    lock: Lock = field(default_factory=Lock)

    def complete(self, shown: Shown) -> None:
        """A cycle went through."""
        with self.lock:
            self.shown, self.failed, self.failure = shown, "", ""
            self.finished_at = shown.at
            self.cycles["complete"] += 1
            self.changes.update(shown.statuses)
            self.rejected += shown.rejected

    def fail(self, outcome: str, message: str) -> None:
        """A cycle ended without a measurement: outcome is failed or standby."""
        with self.lock:
            self.failed, self.failure = outcome, message
            self.cycles[outcome] += 1


class CycleCollector(Collector):
    """The board as metric families."""

    def __init__(self, board: Board) -> None:
        self.board = board

    def describe(self) -> list[Metric]:
        """Nothing to do at registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families, from one look at the board."""
        with self.board.lock:
            build = {"version": __version__}
            families: list[Metric] = [
                InfoMetricFamily("saf_build", "Version of slurm_ai_factory.", value=build),
                self._cycles(),
                self._changes(),
                self._holds(),
            ]
            if self.board.shown is not None and not self.board.failed:
                families += [*_of_measurement(self.board.shown), *_of_control(self.board.shown)]
            if self.board.finished_at is not None:
                families.append(
                    _gauge("saf_last_read_timestamp_seconds", "When accounting was last read completely.",
                           {"cluster": self.board.cluster}, self.board.finished_at)
                )  # fmt: skip
        yield from families

    def _cycles(self) -> Metric:
        family = CounterMetricFamily("saf_cycles", "Cycles by outcome.", labels=["cluster", "outcome"])
        for outcome in ("complete", "failed", "standby"):
            family.add_metric([self.board.cluster, outcome], self.board.cycles[outcome])
        return family

    def _changes(self) -> Metric:
        family = CounterMetricFamily(
            "saf_changes", "Changes of RawShares by what became of them.", labels=["cluster", "status"]
        )
        for status in ("observed", "advised", "applied", "failed", "planned"):
            family.add_metric([self.board.cluster, status], self.board.changes[status])
        return family

    def _holds(self) -> Metric:
        family = GaugeMetricFamily(
            "saf_hold", "1 while the control does not steer for this reason.", labels=["cluster", "reason"]
        )
        reason = {"failed": "read_failed", "standby": "standby"}.get(self.board.failed)
        if reason is None and self.board.shown is not None:
            reason = self.board.shown.decision.reason
        for known in sorted(HOLDS):
            family.add_metric([self.board.cluster, known], float(known == reason))
        return family


def registry(board: Board) -> CollectorRegistry:
    """A registry with the board alone."""
    made = CollectorRegistry()
    made.register(CycleCollector(board))
    return made


def _of_measurement(shown: Shown) -> Iterator[Metric]:
    m = shown.measurement
    labels = {"cluster": m.cluster, "window": m.window.name, "resource": m.resource}
    ratios = {
        "saf_delivered_share_ratio": ("Regional charge / all charge in the window.", m.delivered_share),
        "saf_capacity_share_ratio": ("Regional charge / capacity in the window.", m.capacity_share),
        "saf_target_share_ratio": ("The promised share.", m.target_share),
        "saf_required_share_ratio": (
            "Share the region must get in what is left of the window.",
            share.required_share(m, shown.margin),
        ),
        "saf_capacity_resource_seconds": ("Capacity that was up in the window.", m.capacity),
        "saf_waiting_resource_seconds": ("Regional demand that waited in the window.", m.waiting_charge),
        "saf_starved_resource_seconds": (
            "Waiting regional demand that the region could have received below the floor.",
            m.starved_charge,
        ),
    }
    for name, (doc, value) in ratios.items():
        if value is not None:
            yield _gauge(name, doc, labels, float(value))
    yield _charges(m, labels)


def _charges(m: Measurement, labels: dict[str, str]) -> Metric:
    family = GaugeMetricFamily(
        "saf_delivered_resource_seconds",
        "Charge in the window by beneficiary; in shares, unclassified counts as non-regional.",
        labels=[*labels, "beneficiary"],
    )
    others = m.total_charge - m.regional_charge - m.unclassified_charge
    parts = {"regional": m.regional_charge, "non_regional": others, "unclassified": m.unclassified_charge}
    for beneficiary, value in parts.items():
        family.add_metric([*labels.values(), beneficiary], float(value))
    return family


def _of_control(shown: Shown) -> Iterator[Metric]:
    cluster = {"cluster": shown.measurement.cluster}
    mode = GaugeMetricFamily("saf_mode", "1 for the mode in force.", labels=["cluster", "mode"])
    for known in ("observe", "advise", "enforce"):
        mode.add_metric([*cluster.values(), known], float(known == shown.mode))
    yield mode
    yield _gauge("saf_cycle_duration_seconds", "Duration of the last cycle.", cluster, shown.seconds)
    yield _gauge("saf_rejected_lines", "Lines of the last read that are no runs.", cluster, shown.rejected)
    yield _gauge(
        "saf_unknown_states", "States of runs in the last read that are not known; the runs are counted.",
        cluster, shown.unknown_states,
    )  # fmt: skip
    if shown.raw_shares is not None:
        account, raw_shares = shown.raw_shares
        labels = {**cluster, "account": account}
        yield _gauge("saf_raw_shares", "RawShares in force after the cycle.", labels, raw_shares)
    for name, key, doc in (
        ("saf_usage_share_ratio", "usage_share", "Decayed usage of the region in that of its level."),
        ("saf_set_point_ratio", "share_wanted", "Share of the level that the control wants."),
        ("saf_share_ratio", "share", "Share of the level that the RawShares in force give."),
    ):
        value = shown.decision.inputs.get(key)
        if isinstance(value, float | int):
            yield _gauge(name, doc, cluster, value)


def _gauge(name: str, doc: str, labels: dict[str, str], value: float) -> Metric:
    family = GaugeMetricFamily(name, doc, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family
