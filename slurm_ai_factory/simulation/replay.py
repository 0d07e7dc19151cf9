"""One workload under one policy: the model cluster, and the production controller where that steers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.control.controller import Policy, decide
from slurm_ai_factory.core.control.switch import Switch, decide_switch
from slurm_ai_factory.core.measure.share import Promise
from slurm_ai_factory.core.records import DAY, ControlState, Decision, LeverKind, SwitchNow
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.simulation import peers, policies
from slurm_ai_factory.simulation.arrays import Ints
from slurm_ai_factory.simulation.bookkeeping import Books
from slurm_ai_factory.simulation.cluster import ModelCluster
from slurm_ai_factory.simulation.layout import NAME, Layout, ModelSettings, partitioned
from slurm_ai_factory.simulation.workload import User, Workload

FAVOUR = 1e9
"""Priority that puts every regional job before every other."""

SWITCH = Switch(LeverKind.QOS, "regional", 1, 0.01)
"""The switch of the policy ``switch``: raised, every regional job is before every other."""

OnReplayed = Callable[[int], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """The faults of a trial; spans are in seconds since the beginning."""

    asleep: tuple[tuple[int, int], ...] = ()  #: the daemon does not run
    stopped: tuple[tuple[int, int], ...] = ()  #: slurmctld does not run
    lost_writes: float = 0.0  #: part of the daemon's writes that never reach slurmctld
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Everything but the policy: the work, the cluster and the promise."""

    workload: Workload
    regional: frozenset[User]
    layout: Layout
    settings: ModelSettings
    promise: Promise
    window: str
    zone: ZoneInfo
    control: Policy
    period: int = 1800  #: seconds between two decisions
    siblings: bool = False  #: whether the accounts of both sides are beside each other under root
    faults: Faults = Faults()

    @property
    def side(self) -> Ints:
        """1 for each regional job."""
        sides = np.array([user in self.regional for user in self.workload.users], np.int64)
        return sides[self.workload.user]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A model cluster at the end of the workload, and the decisions with changes."""

    policy: str
    cluster: ModelCluster
    writes: tuple[Decision, ...] = ()


def replay(trial: Trial, policy: policies.Named, progress: OnReplayed = lambda _: None) -> Replayed:
    """Run the cluster from the first submission to the last; ``progress`` gets each instant reached."""
    cluster = _cluster(trial, policy)
    writes: list[Decision] = []
    if policy.kind in ("floor", "switch"):
        writes = _steered(trial, cluster, progress, policy.kind == "switch")
    elif policy.kind == "reset":
        _with_resets(trial, policy.period, cluster, progress)
    else:
        while cluster.now < cluster.until:
            cluster.advance(min(cluster.now + DAY, cluster.until))
            progress(cluster.now)
    return Replayed(policy=policy.name, cluster=cluster, writes=tuple(writes))


def _cluster(trial: Trial, policy: policies.Named) -> ModelCluster:
    workload, layout, settings = trial.workload, trial.layout, trial.settings
    if policy.padding != 1:
        limit = np.where(trial.side == 1, workload.limit * policy.padding, workload.limit)
        workload = replace(workload, limit=limit.astype(np.int64))
    if policy.kind == "partition":
        layout = partitioned(layout, trial.side, policy.share)
    if policy.kind == "reset":
        settings = replace(settings, half_life=0)
    if policy.kind == "fstarget":  # first come first served
        settings = replace(settings, weight_fairshare=0, weight_age=0)
    peer = peers.Peer(peers.KINDS.get(policy.kind, peers.NONE), policy.share, policy.extra)
    return ModelCluster(
        workload, trial.regional, layout, settings, policies.raw_shares(policy.share),
        favour=FAVOUR if policy.kind == "oracle" else 0.0, stops=trial.faults.stopped,
        siblings=trial.siblings, peer=peer,
    )  # fmt: skip


def _with_resets(trial: Trial, period: str, cluster: ModelCluster, progress: OnReplayed) -> None:
    """Reset all usage whenever a period of civil time is over (PriorityUsageResetPeriod)."""
    while cluster.now < cluster.until:
        over = windows.window(period, cluster.now, trial.zone).until
        cluster.advance(min(cluster.now + DAY, over, cluster.until))
        if cluster.now == over:
            cluster.reset_usage()
        progress(cluster.now)


def _steered(trial: Trial, cluster: ModelCluster, progress: OnReplayed, switched: bool) -> list[Decision]:
    """The decisions with changes of the production controller, which decides every ``period`` seconds."""
    books = Books(cluster, trial.promise, trial.window, trial.zone, trial.control.horizon_seconds)
    chance = np.random.default_rng(trial.faults.seed)
    control = replace(trial.control, account=cluster.regional or trial.control.account)
    own = {SWITCH.name: 0} if switched else {row.account: row.raw_shares for row in cluster.associations()}
    state: ControlState | None = None
    writes: list[Decision] = []
    while cluster.now < cluster.until:
        cluster.advance(min(cluster.now + trial.period, cluster.until))
        passed = cluster.now - cluster.began
        # The daemon does not run, or slurmctld does not answer: a failed read changes nothing.
        if any(since <= passed < until for since, until in (*trial.faults.asleep, *trial.faults.stopped)):
            continue
        day = [decision for decision in writes[-100:] if decision.at > cluster.now - DAY]
        count = sum(len(decision.changes) for decision in day)
        last = state and replace(state, writes_last_day=count, baseline=own)
        decision = _decision(control, books, last, switched)
        state = decision.state
        if decision.changes:
            writes.append(decision)
            for change in decision.changes:
                if chance.random() < trial.faults.lost_writes:
                    continue
                if switched:
                    cluster.favour(FAVOUR * change.raw_shares_after)
                else:
                    cluster.set_raw_shares(change.account, change.raw_shares_after)
        progress(cluster.now)
    return writes


def _decision(control: Policy, books: Books, last: ControlState | None, switched: bool) -> Decision:
    """That of the shares, or of the switch."""
    observed, now = books.observed(), books.cluster.now
    if not switched:
        return decide(control, observed, last, now)
    present = SwitchNow(int(books.cluster.favoured), 1)
    return decide_switch(control, SWITCH, replace(observed, switch=present), last, now)


def promise_of(target: float, margin: float, resource: str) -> Promise:
    """A promise on the model cluster."""
    return Promise(cluster=NAME, target_share=target, margin=margin, resource=Resource.parse(resource))
