"""The boards as Prometheus families: one pass over each; a scrape runs no Slurm command and no SQL.

After a failed cycle, and while a cycle takes longer than a period, the measurement is out of date: its
families are left out and a hold is shown, so that a gap in a graph is a gap and never a zero. Labels are
bounded: cluster, window, resource, beneficiary, category, sector, the names of these, account (steered
accounts only), object and name (of the one switch), promise (each is in the ledger, with its document), and
words of this code. Ratios are 0 to 1, times are in seconds, resource-seconds are seconds times the resource
of the promise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

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
from slurm_ai_factory.core.measure.assessment import assess
from slurm_ai_factory.core.measure.figures import FIGURES, Figure
from slurm_ai_factory.core.measure.share import Group
from slurm_ai_factory.core.measure.tally import Tally
from slurm_ai_factory.core.records import (
    FLOOR_VERDICTS,
    VERDICTS,
    ChangeStatus,
    Further,
    LeverKind,
    Measurement,
    Mode,
)
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.core.rules.organisations import SBI_SECTIONS
from slurm_ai_factory.monitor.board import CAUSES, Board, Durations, Metered, Shown
from slurm_ai_factory.monitor.grid import grid_families
from slurm_ai_factory.monitor.joint import JointBoard, JointShown

OUTCOMES = ("complete", "failed", "standby")
PHASES = ("keep", "read", "ask", "measure", "decide", "apply", "show")

WATERMARK = FIGURES["as_of"]
"""The one figure of a measurement that is also shown after a failed cycle."""

MOST_GROUPS = 30
"""Categories or sectors with a series of their own; the charge of smaller ones is added up as ``other``."""

OF_RESOURCE = ("cluster", "resource")

OF_PROMISE = ("cluster", "promise", "bound", "share_of", "window", "resource")

Families = tuple[tuple[str, str, Mapping[tuple[str, ...], str]], ...]
"""Name, HELP, and the figure by the value of the label ``part``, if the family has one."""

PROMISED: Families = (
    ("saf_promise_share_ratio", "Charge that counts for the promise / what its share is a part of.",
     {(): "delivered_share"}),
    ("saf_promise_target_ratio", "Promised share: at least this of a floor, at most this of a cap.",
     {(): "target_share"}),
    ("saf_promise_at_risk",
     "1 if the share is below the floor or above the cap, and the window rolls or cannot end within it.",
     {(): "at_risk"}),
    ("saf_promise_charge_resource_seconds",
     "Charge in the window that counts for the promise (mine), and what its share is a part of (all).",
     {("mine",): "regional_charge", ("all",): "total_charge"}),
)  # fmt: skip
"""Families of every promise."""

OF_JOINT = ("promise", "window")
"""A joint promise is of no single cluster: always a floor of what they deliver, in its own unit."""

JOINT: Families = (
    ("saf_joint_share_ratio", "Regional charge / all charge of the clusters of a joint promise.",
     {(): "delivered_share"}),
    ("saf_joint_target_ratio", "Promised regional share of a joint promise.", {(): "target_share"}),
    ("saf_joint_at_risk",
     "1 if the share of a joint promise is below its floor, and the window rolls or cannot mend it.",
     {(): "at_risk"}),
    ("saf_joint_charge_resource_seconds",
     "Charge in the window in the unit of a joint promise: regional (mine), and of all (all).",
     {("mine",): "regional_charge", ("all",): "total_charge"}),
    ("saf_joint_required_share_ratio",
     "Share the region must get in the rest of the window to end at floor and margin; only below the floor.",
     {(): "required_share"}),
    ("saf_joint_forecast_share_ratio",
     "Share at the end of the window if the rest of it is like the last seven days.",
     {(): "expected_share"}),
    ("saf_joint_recent_share_ratio",
     "Regional charge / all charge in the last seven days of the window of a joint promise.",
     {(): "recent_share"}),
    ("saf_joint_unread_seconds",
     "Time in the window that no read of accounting covers on one of the clusters.",
     {(): "unread_seconds"}),
    ("saf_joint_watermark_timestamp_seconds",
     "Accounting of all clusters of a joint promise is complete up to this time.", {(): "as_of"}),
)  # fmt: skip
"""Families of every joint promise."""

COUNTED = {
    "waiting": "Regional demand that waited in the hours since the daemon started.",
    "starved": "Waiting regional demand that the region could have received in the hours since the daemon "
    "started while they were below the floor.",
    "capacity": "Capacity that was up in the hours since the daemon started.",
}
"""Counters of a tally beside the delivered charge: its sums, each with HELP."""

Labels = Mapping[str, str]


class BoardCollector(Collector):
    """The boards of all clusters as metric families, each family once, and the joint promises."""

    def __init__(self, *boards: Board, joint: JointBoard | None = None) -> None:
        self.boards, self.joint = boards, joint

    def describe(self) -> list[Metric]:
        """Nothing: registration collects no metrics."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families, from one look at each board."""
        yield InfoMetricFamily("saf_build", "Version of slurm_ai_factory.", value={"version": __version__})
        families: dict[str, Metric] = {}
        for board in self.boards:
            for family in _of_board(board):
                known = families.setdefault(family.name, family)
                if known is not family:
                    known.samples += family.samples
        yield from map(_escaped, families.values())
        if self.joint is not None:
            yield from map(_escaped, _of_joint(self.joint.current()))


class Exposition:
    """The metrics of the boards and of this process, as text for scrapes.

    The text of the boards is encoded again only when one has changed: by the daemon at the end of each
    cycle, in the formats that scrapes have asked for. A scrape between two cycles copies it.
    """

    def __init__(self, *boards: Board, joint: JointBoard | None = None) -> None:
        self.changing: tuple[Board | JointBoard, ...] = (*boards, *([joint] if joint else []))
        self.registry = CollectorRegistry()
        self.registry.register(BoardCollector(*boards, joint=joint))
        self.process = CollectorRegistry()
        ProcessCollector(registry=self.process)
        self.made: dict[str, tuple[list[int], bytes]] = {}

    def text(self, accept: str) -> tuple[str, bytes]:
        """(content type, text) for an Accept header."""
        encode, kind = choose_encoder(accept)
        versions = [board.version for board in self.changing]
        known, part = self.made.get(kind, (None, b""))
        if known != versions:
            part = encode(self.registry).removesuffix(END)
            self.made[kind] = versions, part
        return kind, part + encode(self.process)

    def renew(self) -> None:
        """Encode the boards again in every format that a scrape has asked for."""
        for kind in list(self.made):
            self.text(kind)


END = b"# EOF\n"
"""The end of OpenMetrics."""


def _of_board(board: Board) -> list[Metric]:
    """All families of a cluster, from one look at its board."""
    with board.lock:
        families, shown = [*_always(board)], board.shown
        if shown is not None and not board.old:
            families += [*_of_measurement(shown), *_of_promises(shown.promises), *_of_control(shown)]
            if shown.grid is not None:
                families += grid_families(shown.grid, board.cluster, shown.measurement.resource.name)
    return families


def _always(board: Board) -> Iterator[Metric]:
    """What is known whether the last cycle completed or not."""
    cluster = {"cluster": board.cluster}
    for name, doc, label, known, counts in (
        ("saf_cycles", "Cycles, by outcome.", "outcome", OUTCOMES, board.cycles),
        ("saf_decisions", "Decisions, by reason.", "reason", REASONS, board.decisions),
        ("saf_changes", "Changes of RawShares, by status.", "status", list(ChangeStatus), board.changes),
    ):
        # every known value from the start, so that the first increase is seen
        counters = {value: counts.get(value, 0) for value in (*known, *counts)}
        yield _labelled(CounterMetricFamily(name, doc, labels=[*cluster, label]), cluster, counters)
    for name, doc, value in (
        ("saf_read_runs", "Runs listed by sacct, counted again each time they are read again.", board.runs),
        ("saf_changed_runs", "Runs that a read found to be new or changed.", board.changed),
    ):
        yield _single(CounterMetricFamily(name, doc, labels=list(cluster)), cluster, value)
    for name, doc, label, states, present in (
        ("saf_hold", "1 if the control is on hold for this reason.", "reason", sorted(HOLDS), board.hold()),
        ("saf_failure", "1 if the last cycle failed with this cause.", "cause", CAUSES, board.cause),
    ):
        yield _states(name, doc, cluster, label, states, present)
    if board.shown is not None and board.shown.raised is not None:
        counters = {"raised": board.switched[True], "lowered": board.switched[False]}
        family = CounterMetricFamily(
            "saf_switch_changes", "Changes of the switch that Slurm confirmed, by new position.",
            labels=[*cluster, "position"],
        )  # fmt: skip
        yield _labelled(family, cluster, counters)
    yield from _durations(board, cluster)
    yield from _instants(board, cluster)
    if board.metered is not None:
        yield from _of_meters(board.metered, cluster)


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
    gauges: list[tuple[str, str, float | None]] = [
        ("saf_overdue_since_timestamp_seconds",
         "Start of the running cycle, if it takes longer than a period.", board.overdue_since)
    ]  # fmt: skip
    if shown is not None:
        yield from _figures(shown.measurement, shown.margin, [WATERMARK])
        gauges += [
            ("saf_last_read_timestamp_seconds", "Time of the last complete read of accounting.", shown.at),
            ("saf_last_cycle_timestamp_seconds",
             "Time at which the last complete cycle ended, by the clock of this host.", board.ended_at),
            ("saf_stale_after_seconds", "Age above which a read is stale: daemon.ready_after.",
             shown.stale_after),
            ("saf_period_seconds", "Time between two cycles: daemon.period.", shown.period),
        ]  # fmt: skip
    if compared is not None:
        gauges += [
            ("saf_reconciled_timestamp_seconds",
             "Time of the last comparison of the ledger with sacct and sreport.", compared.at),
            ("saf_reconcile_unexplained_tres_seconds",
             "Unexplained differences with sacct and sreport on the last day compared, in TRES-seconds of "
             "all accounts and TRES.", float(compared.unexplained)),
        ]  # fmt: skip
    yield from _gauges(gauges, cluster)


def _of_meters(metered: Metered, cluster: Labels) -> Iterator[Metric]:
    """Energy in joules, water in cubic metres; once a day, as long as there are meters."""
    window = {**cluster, "window": metered.window}
    for name, doc, labels, label, values in (
        ("saf_meter_read_until_timestamp_seconds",
         "End of the newest reading, of the meter of this kind that is silent longest.", cluster, "kind",
         metered.newest),
        ("saf_window_run_energy_joules", "Energy of the runs of the window, by what it rests on.", window,
         "quality", metered.runs),
        ("saf_window_building_energy_joules", "Energy of the building in the window, by kind of meter.",
         window, "kind", metered.building),
        ("saf_window_water_cubic_metres", "Water of the building in the window, by kind of meter.",
         window, "kind", metered.water),
    ):  # fmt: skip
        if values:
            yield _labelled(GaugeMetricFamily(name, doc, labels=[*labels, label]), labels, values)
    yield from _gauges((
        ("saf_window_idle_energy_joules", "Energy of nodes and GPUs in the window that no run had.",
         metered.idle),
        ("saf_energy_closure_ratio", "Energy of runs and idle nodes / E_IT, in the window.",
         metered.closure),
        ("saf_energy_closes", "1 if closure allows figures by beneficiary, else 0.", metered.closes),
    ), window)  # fmt: skip


def _of_measurement(shown: Shown) -> Iterator[Metric]:
    m = shown.measurement
    yield from _figures(m, shown.margin, (figure for figure in FIGURES.values() if figure is not WATERMARK))
    labels = {"cluster": m.cluster, "window": m.window.name, "resource": m.resource.name}
    for label, groups in sorted(shown.groups.items()):
        yield _by_group(label, groups, labels)
    called = InfoMetricFamily("saf_resource", "What people call the promise's resource.", labels=OF_RESOURCE)
    called.add_metric([m.cluster, m.resource.name], {"name": m.called})
    yield called
    if shown.tally is not None:
        yield from _counted(shown.tally, m)


def _counted(tally: Tally, m: Measurement) -> Iterator[Metric]:
    """The charge of hours since the daemon started; neither a window's turn nor a correction lowers it."""
    sums, of = tally.sums._asdict(), {"cluster": m.cluster, "resource": tally.resource}
    delivered = CounterMetricFamily(
        "saf_delivered_resource_seconds",
        "Charge in the hours since the daemon started, by beneficiary.",
        labels=[*OF_RESOURCE, "beneficiary"],
    )
    yield _labelled(delivered, of, {side: sums[side] for side in Beneficiary})
    for key, doc in COUNTED.items():
        if key == "waiting" or m.capacity is not None:
            family = CounterMetricFamily(f"saf_{key}_resource_seconds", doc, labels=OF_RESOURCE)
            yield _single(family, of, sums[key])


def _figures(m: Measurement, margin: float, figures: Iterable[Figure]) -> Iterator[Metric]:
    """The figures that have a metric and a value; those of one metric are one family."""
    values = {"cluster": m.cluster, "window": m.window.name, "resource": m.resource.name}
    families: dict[str, GaugeMetricFamily] = {}
    for figure in figures:
        value = figure.of(m, margin) if figure.metric else None
        if value is None:
            continue
        family = families.setdefault(
            figure.metric, GaugeMetricFamily(figure.metric, figure.meaning, labels=figure.labels)
        )
        known = values | {"beneficiary": figure.beneficiary}
        if figure.key == "verdict":
            _labelled(family, values, {verdict: verdict == value for verdict in FLOOR_VERDICTS})
        else:
            _single(family, {label: known[label] for label in figure.labels}, value)
    yield from families.values()


def _of_promises(promises: Sequence[Further]) -> Iterator[Metric]:
    """What is shown of each promise, the first included; nothing of what is not known."""
    yield from _of_each(PROMISED, promises, OF_PROMISE)
    yield _verdicts(
        "saf_promise_verdict", "1 for the verdict on the promise, 0 for the others of its bound.",
        promises, OF_PROMISE,
    )  # fmt: skip


def _of_joint(joint: Sequence[JointShown]) -> Iterator[Metric]:
    """What is shown of each joint promise, and whether it was measured; nothing of what is not known."""
    if not joint:
        return
    measured = {each.name: each.measured is not None for each in joint}
    family = GaugeMetricFamily(
        "saf_joint_measured", "1 if the joint promise was measured lately, else 0.", labels=["promise"]
    )
    yield _labelled(family, {}, measured)
    promises = [each.measured for each in joint if each.measured is not None]
    yield from _of_each(JOINT, promises, OF_JOINT)
    if promises:
        yield _verdicts(
            "saf_joint_verdict", "1 for the verdict on the joint promise, 0 for the others.",
            promises, OF_JOINT,
        )  # fmt: skip


def _of_each(families: Families, promises: Sequence[Further], named: Sequence[str]) -> Iterator[Metric]:
    """These families with the series of each promise, by the labels named."""
    for name, doc, figures in families:
        parts = ["part"] if () not in figures else []
        family = GaugeMetricFamily(name, doc, labels=[*named, *parts])
        for part, key in figures.items():
            for m, margin in promises:
                value = FIGURES[key].of(m, margin)
                if value is not None:
                    _single(family, _promise_labels(m, named) | dict(zip(parts, part, strict=True)), value)
        if family.samples:
            yield family


def _verdicts(name: str, doc: str, promises: Sequence[Further], named: Sequence[str]) -> Metric:
    """The verdict on each promise among those of its bound."""
    family = GaugeMetricFamily(name, doc, labels=[*named, "verdict"])
    for m, margin in promises:
        known = assess(m, margin).verdict
        labels = _promise_labels(m, named)
        _labelled(family, labels, {verdict: verdict == known for verdict in VERDICTS[m.bound]})
    return family


def _promise_labels(m: Measurement, named: Sequence[str]) -> dict[str, str]:
    values = (m.cluster, m.promise, m.bound, m.share_of, m.window.name, m.resource.name)
    labels = dict(zip(OF_PROMISE, values, strict=True))
    return {name: labels[name] for name in named}


def _by_group(label: str, groups: Iterable[Group], labels: Labels) -> Metric:
    """The largest groups by name, the rest as ``other``; a group without a name has its beneficiary's."""
    family = GaugeMetricFamily(
        f"saf_{label}_delivered_resource_seconds",
        f"Charge in the window by beneficiary and {label} of the rule; by beneficiary if it has none.",
        labels=[*labels, "beneficiary", label, "name"],
    )
    sums: dict[tuple[str, str, str], float] = {}
    for number, group in enumerate(groups):
        name = group.name if number < MOST_GROUPS else "other"
        key = str(group.beneficiary), name, group_name(label, name, group.beneficiary)
        sums[key] = sums.get(key, 0.0) + float(group.delivered)
    for key, value in sums.items():
        family.add_metric([*labels.values(), *key], value)
    return family


def group_name(label: str, name: str, beneficiary: str) -> str:
    """What people call a category or a sector.

    >>> group_name("sector", "J", "regional"), group_name("category", "knowledge_institution", "regional")
    ('Information and communication', 'knowledge institution')
    >>> group_name("sector", "regional", "regional")
    'not recorded'
    """
    if name == beneficiary:
        return "not recorded"
    return SBI_SECTIONS.get(name, name.replace("_", " ")) if label == "sector" else name.replace("_", " ")


def _of_control(shown: Shown) -> Iterator[Metric]:
    cluster = {"cluster": shown.measurement.cluster}
    yield _states("saf_mode", "1 for the current mode.", cluster, "mode", Mode, shown.mode)
    yield from _gauges((
        ("saf_read_lag_seconds", "Age of the newest accounting at the end of the last cycle.",
         shown.at + shown.seconds - shown.measurement.as_of),
        ("saf_unknown_states", "Unknown job states in the last read; their runs are counted.",
         shown.unknown_states),
        ("saf_unreadable_lines", "Distinct lines of Slurm output that could not be parsed in the last day.",
         shown.unreadable),
        ("saf_proposals_waiting", "Proposals waiting for a second person's approval.", shown.proposals),
        ("saf_unknown_accounts", "Accounts named in rules that the cluster does not have.",
         len(shown.unknown_accounts)),
        ("saf_foreign_change", "1 if another user set the current RawShares, else 0.", shown.foreign),
        ("saf_retention_overdue", "1 if names or texts are kept longer than [privacy] allows, else 0.",
         shown.retention_overdue),
        ("saf_priority_weight_fairshare", "PriorityWeightFairShare; if 0, shares have no effect.",
         shown.weight_fairshare),
        ("saf_authority_ratio", "How far fairshare alone decides which job starts first.",
         shown.authority),
        ("saf_regional_outside_ratio",
         "Regional charge outside the steered accounts / all regional charge in the window.",
         shown.reach.outside_share),
        ("saf_steered_other_ratio",
         "Non-regional charge of the steered accounts / all their charge in the window.",
         shown.reach.other_share),
        ("saf_promise_contradicted", "1 if saf.toml contradicts the current term of the promise, else 0.",
         bool(shown.contradiction)),
        ("saf_queue_unknown_jobs", "Jobs pending for an unknown reason; not counted as demand.",
         shown.queue_unknown),
    ), cluster)  # fmt: skip
    yield from _shares(shown, cluster)
    yield from _switch(shown, cluster)
    if shown.demand is not None:
        family = GaugeMetricFamily(
            "saf_queue_demand_resources",
            "Amount of the resource requested by queued jobs that could start, by beneficiary.",
            labels=["cluster", "resource", "beneficiary"],
        )
        yield _labelled(family, {**cluster, "resource": shown.measurement.resource.name}, shown.demand)


def _shares(shown: Shown, labels: Labels) -> Iterator[Metric]:
    """RawShares of each steered account, current and wanted; ratios are of all steered accounts together.

    None of it with a switch, which has no RawShares and no level.
    """
    if shown.lever is not LeverKind.ACCOUNT:
        return
    for name, doc, rows in (
        ("saf_raw_shares", "RawShares after the cycle.",
         {row.account: row.raw_shares for row in shown.steered}),
        ("saf_raw_shares_wanted", "RawShares that the last decision asks for.",
         {row.account: row.wanted for row in shown.steered}),
    ):  # fmt: skip
        known = {account: shares for account, shares in rows.items() if shares is not None}
        if known:
            yield _labelled(GaugeMetricFamily(name, doc, labels=[*labels, "account"]), labels, known)
    region = {**labels, "account": ", ".join(row.account for row in shown.steered)}
    inputs = shown.decision.inputs
    for name, doc, value in (
        ("saf_usage_share_ratio", "EffectvUsage: decayed usage of the region / decayed usage of its level.",
         inputs.get("usage_share")),
        ("saf_set_point_ratio", "Share of its level that the control wants for the region.",
         inputs.get("share_wanted")),
        ("saf_share_ratio", "NormShares: share of its level that the current RawShares give the region.",
         inputs.get("share")),
    ):  # fmt: skip
        if isinstance(value, float | int):
            yield from _gauges([(name, doc, value)], region)


def _switch(shown: Shown, labels: Labels) -> Iterator[Metric]:
    """Where the switch is, and the usage that moves it; nothing where accounts are steered."""
    if shown.raised is None:
        return
    row, inputs = shown.steered[0], shown.decision.inputs
    usage, u_ref, hysteresis = (
        value if isinstance(value := inputs.get(name), float | int) else None
        for name in ("usage_share", "u_ref", "hysteresis")
    )
    yield from _gauges((
        ("saf_switch_raised", "1 if the switch is raised, so that the region's jobs go first, else 0.",
         shown.switch_raised),
        ("saf_switch_value", "Priority of the QOS, or PriorityJobFactor of the partition, after the cycle.",
         row.raw_shares),
        ("saf_switch_value_wanted", "The value that the last decision asks for.", row.wanted),
        ("saf_switch_usage_ratio", "The region's part of the decayed charge, which moves the switch.", usage),
        ("saf_switch_set_point_ratio", "The part of the decayed charge that the region is to have.", u_ref),
        ("saf_switch_hysteresis_ratio", "How far usage passes the set-point before the switch changes.",
         hysteresis),
    ), {**labels, "object": str(shown.lever), "name": row.account})  # fmt: skip


def _escaped(family: Metric) -> Metric:
    """The family with escaped labels: names of accounts and categories can contain anything."""
    family.samples = [
        sample._replace(labels={key: for_terminal(value) for key, value in sample.labels.items()})
        for sample in family.samples
    ]
    return family


def _gauges(rows: Iterable[tuple[str, str, float | None]], labels: Labels) -> Iterator[Metric]:
    """Gauges of one series each, from (name, HELP, value); without those whose value is not known."""
    for name, doc, value in rows:
        if value is not None:
            yield _single(GaugeMetricFamily(name, doc, labels=list(labels)), labels, value)


def _single(family: CounterMetricFamily | GaugeMetricFamily, labels: Labels, value: float) -> Metric:
    """The family with a series for these labels; adding 0.0 turns -0.0 into 0.0."""
    family.add_metric(list(labels.values()), float(value) + 0.0)
    return family


def _labelled(
    family: CounterMetricFamily | GaugeMetricFamily, labels: Labels, values: Mapping[str, float]
) -> Metric:
    """The family with a series for each value of its last label."""
    for label, value in values.items():
        family.add_metric([*labels.values(), str(label)], float(value) + 0.0)
    return family


def _states(
    name: str, doc: str, labels: Labels, label: str, known: Iterable[str], present: str | None
) -> Metric:
    """A state set: one series a state, 1 for the present one."""
    family = GaugeMetricFamily(name, doc, labels=[*labels, label])
    return _labelled(family, labels, {state: state == present for state in known})
