"""The board as Prometheus families: one pass over one value, no Slurm call and no SQL at scrape time.

After a cycle that failed, and while one takes longer than a period, there is no measurement to show: its
families are left out and a hold is shown, so that a gap in a graph is a gap and never a zero. Labels are
bounded: cluster, window, resource, beneficiary, category, sector, account for steered rows only, and words
of this code. Ratios are 0 to 1, times are in seconds, resource-seconds are seconds times the resource of the
promise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from slurm_ai_factory import __version__
from slurm_ai_factory.core.control.reasons import HOLDS, REASONS
from slurm_ai_factory.core.escaped import for_terminal
from slurm_ai_factory.core.measure import judgement, outlook, share
from slurm_ai_factory.core.measure.share import Group
from slurm_ai_factory.core.records import Charge, Measurement, Verdict
from slurm_ai_factory.monitor.board import CAUSES, Board, Durations, Shown

OUTCOMES = ("complete", "failed", "standby")
STATUSES = ("observed", "advised", "applied", "failed", "planned")
MODES = ("observe", "advise", "enforce")
PHASES = ("read", "ask", "measure", "decide", "apply", "show")

MOST_GROUPS = 30
"""So many categories or sectors are told apart; the charge of smaller ones is added up as ``other``."""

Labels = Mapping[str, str]


class BoardCollector(Collector):
    """The board as metric families."""

    def __init__(self, board: Board) -> None:
        self.board = board

    def describe(self) -> list[Metric]:
        """Nothing to do at registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families, from one look at the board."""
        with self.board.lock:
            families = [*_always(self.board)]
            if self.board.shown is not None and not self.board.old:
                families += [*_of_measurement(self.board.shown), *_of_control(self.board.shown)]
        yield from map(_escaped, families)


def registry(board: Board) -> CollectorRegistry:
    """The board alone."""
    made = CollectorRegistry()
    made.register(BoardCollector(board))
    return made


class Exposition:
    """The board and the process it is in, as text for scrapes.

    The board's part is made when the board has changed, by whoever comes first: the daemon at the end of each
    cycle, for the formats that were asked for before. So a scrape in between only copies it.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.registry = registry(board)
        self.process = CollectorRegistry()
        ProcessCollector(registry=self.process)
        self.made: dict[str, tuple[int, bytes]] = {}

    def text(self, accept: str) -> tuple[str, bytes]:
        """(content type, text) for an Accept header."""
        encode, kind = choose_encoder(accept)
        version = self.board.version
        known, part = self.made.get(kind, (None, b""))
        if known != version:
            part = encode(self.registry).removesuffix(END)
            self.made[kind] = version, part
        return kind, part + encode(self.process)

    def renew(self) -> None:
        """Make the text anew for every format that was asked for before."""
        for kind in list(self.made):
            self.text(kind)


END = b"# EOF\n"
"""The end of OpenMetrics."""


def _always(board: Board) -> Iterator[Metric]:
    """What is known whether the last cycle went through or not."""
    cluster = {"cluster": board.cluster}
    yield InfoMetricFamily("saf_build", "Version of slurm_ai_factory.", value={"version": __version__})
    for name, doc, label, known, counts in (
        ("saf_cycles", "Cycles, by outcome.", "outcome", OUTCOMES, board.cycles),
        ("saf_decisions", "Decisions, by reason.", "reason", REASONS, board.decisions),
        ("saf_changes", "Changes of RawShares, by what became of them.", "status", STATUSES, board.changes),
    ):
        yield _counter(name, doc, cluster, label, known, counts)
    for name, doc, value in (
        ("saf_read_runs", "Runs that reads have listed, those read again included.", board.runs),
        ("saf_changed_runs", "Runs that reads found new or changed.", board.changed),
    ):
        family = CounterMetricFamily(name, doc, labels=list(cluster))
        family.add_metric(list(cluster.values()), value)
        yield family
    for name, doc, label, states, present in (
        (
            "saf_hold",
            "1 while the control does not steer for this reason.",
            "reason",
            sorted(HOLDS),
            board.hold(),
        ),
        ("saf_failure", "1 while the last cycle has failed for this.", "cause", CAUSES, board.cause),
    ):
        yield _states(name, doc, cluster, label, states, present)
    yield from _durations(board, cluster)
    yield from _instants(board, cluster)


def _durations(board: Board, cluster: Labels) -> Iterator[Metric]:
    whole = HistogramMetricFamily(
        "saf_cycle_duration_seconds", "Duration of complete cycles.", labels=list(cluster)
    )
    parts = HistogramMetricFamily(
        "saf_cycle_phase_duration_seconds",
        "Duration of the phases of complete cycles.",
        labels=[*cluster, "phase"],
    )
    for family, more, durations in (
        (whole, (), board.durations),
        *((parts, (phase,), board.phases.get(phase, Durations())) for phase in PHASES),
    ):
        family.add_metric([*cluster.values(), *more], durations.buckets(), durations.seconds)
    yield from (whole, parts)


def _instants(board: Board, cluster: Labels) -> Iterator[Metric]:
    shown, compared = board.shown, board.reconciled
    if board.overdue_since is not None:
        doc = "When the cycle under way began, while it takes longer than a period."
        yield _gauge("saf_overdue_since_timestamp_seconds", doc, cluster, board.overdue_since)
    if shown is not None:
        for name, doc, value in (
            ("saf_last_read_timestamp_seconds", "When accounting was last read completely.", shown.at),
            ("saf_watermark_timestamp_seconds", "Up to when accounting is known.", shown.measurement.as_of),
            (
                "saf_stale_after_seconds",
                "Age from which a read is stale: daemon.ready_after.",
                shown.stale_after,
            ),
            ("saf_period_seconds", "Time between two cycles: daemon.period.", shown.period),
        ):
            yield _gauge(name, doc, cluster, value)
    if compared is not None:
        doc = "When the ledger was last compared with sacct and sreport."
        yield _gauge("saf_reconciled_timestamp_seconds", doc, cluster, compared.at)
        doc = (
            "Differences with sacct and sreport that have no known cause, over the day compared last; "
            "TRES-seconds of all accounts and TRES."
        )
        unexplained = float(compared.unexplained)
        yield _gauge("saf_reconcile_unexplained_tres_seconds", doc, cluster, unexplained)


def _of_measurement(shown: Shown) -> Iterator[Metric]:
    m = shown.measurement
    labels = {"cluster": m.cluster, "window": m.window.name, "resource": m.resource}
    for name, doc, value in (*_ratios(shown), *_charged(m)):
        if value is not None:
            yield _gauge(name, doc, labels, float(value))
    doc = "1 for the verdict of the window."
    yield _states("saf_verdict", doc, labels, "verdict", list(Verdict), judgement.verdict(m))
    yield _charges(shown, labels)
    for label, groups in sorted(shown.groups.items()):
        yield _by_group(label, groups, labels)


def _ratios(shown: Shown) -> tuple[tuple[str, str, float | None], ...]:
    m, margin = shown.measurement, shown.margin
    return (
        ("saf_delivered_share_ratio", "Regional charge / all charge in the window.", m.delivered_share),
        ("saf_capacity_share_ratio", "Regional charge / capacity in the window.", m.capacity_share),
        ("saf_target_share_ratio", "The promised share.", m.target_share),
        ("saf_recent_share_ratio", "Regional charge / all charge in the last seven days of the window.",
         outlook.recent_share(m)),
        ("saf_required_share_ratio",
         "Share the region must get in what is left of the window; above 1 when out of reach.",
         share.required_share(m, margin)),
        ("saf_forecast_share_ratio",
         "Share at the end of the window if the rest of it is like the last seven days.",
         outlook.expected_share(m)),
        ("saf_unclassified_ratio", "Charge that no rule matched / all charge in the window.",
         outlook.unclassified_ratio(m)),
        ("saf_attainable", "1 when regional demand is enough for the required share, else 0.",
         share.attainable(m, margin)),
        ("saf_floor_at_risk", "1 when below the floor and what is left cannot mend it, else 0.",
         outlook.at_risk(m, margin)),
    )  # fmt: skip


def _charged(m: Measurement) -> tuple[tuple[str, str, Charge | float | None], ...]:
    return (
        ("saf_capacity_resource_seconds", "Capacity that was up in the window.", m.capacity),
        ("saf_unread_seconds", "Of the window, what no read of accounting covered.", m.unread_seconds),
        ("saf_waiting_resource_seconds", "Regional demand that waited in the window.", m.waiting_charge),
        ("saf_starved_resource_seconds",
         "Waiting regional demand that the region could have received below the floor, in the window.",
         m.starved_charge),
        ("saf_shortfall_resource_seconds",
         "What the region would have had to get more, of the same total, to be at the floor.",
         m.shortfall_charge),
        ("saf_window_start_timestamp_seconds", "Start of the window.", m.window.since),
        ("saf_window_end_timestamp_seconds", "End of the window; of a rolling one, now.", m.window.until),
    )  # fmt: skip


def _charges(shown: Shown, labels: Labels) -> Metric:
    m = shown.measurement
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


def _by_group(label: str, groups: Iterable[Group], labels: Labels) -> Metric:
    """The largest by name; the rest as ``other``; what has no name has its beneficiary's."""
    family = GaugeMetricFamily(
        f"saf_{label}_delivered_resource_seconds",
        f"Charge in the window by beneficiary and {label} of the rule; without one, the beneficiary.",
        labels=[*labels, "beneficiary", label],
    )
    sums: dict[tuple[str, str], float] = {}
    for number, group in enumerate(groups):
        key = str(group.beneficiary), group.name if number < MOST_GROUPS else "other"
        sums[key] = sums.get(key, 0.0) + float(group.delivered)
    for key, value in sums.items():
        family.add_metric([*labels.values(), *key], value)
    return family


def _of_control(shown: Shown) -> Iterator[Metric]:
    m = shown.measurement
    cluster = {"cluster": m.cluster}
    yield _states("saf_mode", "1 for the mode in force.", cluster, "mode", MODES, shown.mode)
    for name, doc, value in (
        ("saf_read_lag_seconds", "Age of the newest accounting, when the last cycle ended.",
         shown.at + shown.seconds - m.as_of),
        ("saf_newest_record_timestamp_seconds", "The newest instant that accounting told of a run.",
         m.newest_record_at),
        ("saf_unknown_states", "States of runs in the last read that are not known; the runs are counted.",
         shown.unknown_states),
        ("saf_unreadable_lines", "Different lines of Slurm that could not be read, in the last day.",
         shown.unreadable),
        ("saf_proposals_waiting", "Proposals that wait for a second person's approval.", shown.proposals),
        ("saf_unknown_accounts", "Accounts that rules name and the cluster does not have.",
         len(shown.unknown_accounts)),
        ("saf_foreign_change", "1 while RawShares are in force that somebody else set, else 0.",
         bool(shown.foreign)),
        ("saf_retention_overdue",
         "1 when names and texts that [privacy] lets go should have gone and have not, else 0.",
         shown.retention_overdue),
        ("saf_priority_weight_fairshare", "PriorityWeightFairShare; with 0, shares have no effect.",
         shown.weight_fairshare),
        ("saf_authority_ratio", "How far fairshare, and nothing else, decides who goes first.",
         shown.authority),
        ("saf_regional_outside_ratio",
         "Regional charge of the window outside the steered accounts / all regional charge.",
         shown.reach.outside_share),
        ("saf_steered_other_ratio",
         "Charge of the steered accounts in the window that is not regional / all of theirs.",
         shown.reach.other_share),
        ("saf_promise_contradicted",
         "1 while saf.toml says otherwise than the promise's term in force, else 0.",
         bool(shown.contradiction)),
        ("saf_queue_unknown_jobs", "Jobs in the queue for reasons that are not known; no demand.",
         shown.queue_unknown),
    ):  # fmt: skip
        if value is not None:
            yield _gauge(name, doc, cluster, float(value))
    yield from _shares(shown, cluster)
    yield from _demand(shown, {**cluster, "resource": m.resource})


def _shares(shown: Shown, labels: Labels) -> Iterator[Metric]:
    """The lever: what is wanted of it and what is in force; ratios are of all steered accounts together."""
    for name, doc, rows in (
        ("saf_raw_shares", "RawShares in force after the cycle.",
         [(one.account, one.raw_shares) for one in shown.steered]),
        ("saf_raw_shares_wanted", "RawShares that the last decision asks for.",
         [(one.account, one.wanted) for one in shown.steered]),
    ):  # fmt: skip
        family = GaugeMetricFamily(name, doc, labels=[*labels, "account"])
        for account, shares in rows:
            if shares is not None:
                family.add_metric([*labels.values(), account], shares)
        if family.samples:
            yield family
    region = {**labels, "account": ", ".join(one.account for one in shown.steered)}
    inputs = shown.decision.inputs
    for name, doc, value in (
        ("saf_usage_share_ratio", "Decayed usage of the region in that of its level: EffectvUsage.",
         inputs.get("usage_share")),
        ("saf_set_point_ratio", "Share of the level that the control wants.", inputs.get("share_wanted")),
        ("saf_share_ratio", "Share of the level that the RawShares in force give: NormShares.",
         inputs.get("share")),
    ):  # fmt: skip
        if isinstance(value, float | int):
            yield _gauge(name, doc, region, value)


def _demand(shown: Shown, labels: Labels) -> Iterator[Metric]:
    """What regional runs hold and wait for, as accounting has it; and the live queue where it is read."""
    m = shown.measurement
    doc = "Of the resource, allocated to regional runs now."
    yield _gauge("saf_regional_running_resources", doc, labels, float(m.regional_running))
    doc = "Of the resource, wanted by eligible regional runs now."
    yield _gauge("saf_regional_pending_resources", doc, labels, float(m.regional_pending))
    if shown.demand is not None:
        doc = "Of the resource, wanted by jobs in the live queue that could start, by beneficiary."
        family = GaugeMetricFamily("saf_queue_demand_resources", doc, labels=[*labels, "beneficiary"])
        for beneficiary, value in sorted(shown.demand.items()):
            family.add_metric([*labels.values(), beneficiary], value)
        yield family


def _escaped(family: Metric) -> Metric:
    """The family with labels in which nothing is hidden: names of accounts and categories can be anything."""
    family.samples = [
        one._replace(labels={key: for_terminal(value) for key, value in one.labels.items()})
        for one in family.samples
    ]
    return family


def _gauge(name: str, doc: str, labels: Labels, value: float) -> Metric:
    family = GaugeMetricFamily(name, doc, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def _counter(
    name: str, doc: str, labels: Labels, label: str, known: Iterable[str], counts: Mapping[str, int]
) -> Metric:
    """Every known value of the label from the start, so that the first increase is seen."""
    family = CounterMetricFamily(name, doc, labels=[*labels, label])
    for each in dict.fromkeys([*known, *counts]):
        family.add_metric([*labels.values(), each], counts.get(each, 0))
    return family


def _states(
    name: str, doc: str, labels: Labels, label: str, known: Iterable[str], present: str | None
) -> Metric:
    """A state set: one series a state, 1 for the present one."""
    family = GaugeMetricFamily(name, doc, labels=[*labels, label])
    for each in known:
        family.add_metric([*labels.values(), str(each)], float(each == present))
    return family
