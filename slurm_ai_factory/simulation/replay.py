"""One workload under one policy: the model cluster, and the production controller where that steers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from zoneinfo import ZoneInfo

import numpy as np

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.control.controller import Policy, decide
from slurm_ai_factory.core.control.several import Guard, Steering, decide_all
from slurm_ai_factory.core.control.switch import Switch, decide_switch
from slurm_ai_factory.core.measure.share import Promise
from slurm_ai_factory.core.records import DAY, FIRST, Bound, ControlState, Decision, LeverKind, SwitchNow
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.simulation import peers, policies
from slurm_ai_factory.simulation.arrays import Ints
from slurm_ai_factory.simulation.bookkeeping import Books
from slurm_ai_factory.simulation.cluster import ModelCluster
from slurm_ai_factory.simulation.commitments import Commitments, Sight
from slurm_ai_factory.simulation.layout import NAME, Layout, ModelSettings, partitioned
from slurm_ai_factory.simulation.workload import User, Workload

FAVOUR = 1e9
"""Priority that puts every regional job before every other."""

SWITCH = Switch(LeverKind.QOS, "regional", 1, 0.01)
"""The switch of the policy ``switch``: raised, every regional job is before every other."""

OnReplayed = Callable[[int], object]

Deciding = Callable[[Mapping[str, int]], Sequence[Decision]]
"""The decisions of now, given how many writes each promise had in the last day."""


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
    commitments: Commitments | None = None  #: several promises beside each other, instead of the one

    def sight(self, promise: Promise) -> Sight | None:
        """What one of several promises is about; None of the only one."""
        work = self.workload
        return self.commitments.sight(promise, work.users, work.user) if self.commitments else None

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
    if policy.kind == "floor" and trial.commitments:
        writes = _steered(trial, cluster, progress, _several(trial, cluster, trial.commitments))
    elif policy.kind in ("floor", "switch"):
        switched = policy.kind == "switch"
        writes = _steered(trial, cluster, progress, _one_promise(trial, cluster, switched), switched)
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
    shares, placed = policies.raw_shares(policy.share), None
    if trial.commitments:
        placed = trial.commitments.placed(workload.users)
        shares = trial.commitments.raw_shares(placed.rows)
    return ModelCluster(
        workload, trial.regional, layout, settings, shares,
        favour=FAVOUR if policy.kind == "oracle" else 0.0, stops=trial.faults.stopped,
        siblings=trial.siblings, peer=peer, placed=placed,
    )  # fmt: skip


def _with_resets(trial: Trial, period: str, cluster: ModelCluster, progress: OnReplayed) -> None:
    """Reset all usage whenever a period of civil time is over (PriorityUsageResetPeriod)."""
    while cluster.now < cluster.until:
        over = windows.window(period, cluster.now, trial.zone).until
        cluster.advance(min(cluster.now + DAY, over, cluster.until))
        if cluster.now == over:
            cluster.reset_usage()
        progress(cluster.now)


def _steered(
    trial: Trial, cluster: ModelCluster, progress: OnReplayed, decided: Deciding, switched: bool = False
) -> list[Decision]:
    """The decisions with changes of the production controller, which decides every ``period`` seconds."""
    chance = np.random.default_rng(trial.faults.seed)
    writes: list[Decision] = []
    while cluster.now < cluster.until:
        cluster.advance(min(cluster.now + trial.period, cluster.until))
        passed = cluster.now - cluster.began
        # The daemon does not run, or slurmctld does not answer: a failed read changes nothing.
        if any(since <= passed < until for since, until in (*trial.faults.asleep, *trial.faults.stopped)):
            continue
        day = takewhile(lambda decision: decision.at > cluster.now - DAY, reversed(writes))
        count = Counter(decision.promise for decision in day for _ in decision.changes)
        for decision in decided(count):
            writes += [decision] if decision.changes else []
            for change in decision.changes:
                if chance.random() < trial.faults.lost_writes:
                    continue
                if switched:
                    cluster.favour(FAVOUR * change.raw_shares_after)
                else:
                    cluster.set_raw_shares(change.account, change.raw_shares_after)
        progress(cluster.now)
    return writes


def _one_promise(trial: Trial, cluster: ModelCluster, switched: bool) -> Deciding:
    """The law of the shares, or of the switch, about the region."""
    books = Books(cluster, trial.promise, trial.window, trial.zone, trial.control.horizon_seconds)
    control = replace(trial.control, account=cluster.regional or trial.control.account)
    own = {SWITCH.name: 0} if switched else {row.account: row.raw_shares for row in cluster.associations()}
    state: ControlState | None = None

    def decided(writes: Mapping[str, int]) -> tuple[Decision]:
        nonlocal state
        last = state and replace(state, writes_last_day=writes[FIRST], baseline=own)
        observed, now = books.observed(), cluster.now
        if switched:
            present = replace(observed, switch=SwitchNow(int(cluster.favoured), 1))
            decision = decide_switch(control, SWITCH, present, last, now)
        else:
            decision = decide(control, observed, last, now)
        state = decision.state
        return (decision,)

    return decided


def _several(trial: Trial, cluster: ModelCluster, commitments: Commitments) -> Deciding:
    """The law about all promises together: those with a row are steered, floors without one are guards."""
    books = {
        promise.name: Books(
            cluster, promise, trial.window, trial.zone, trial.control.horizon_seconds, trial.sight(promise)
        )
        for promise in commitments.promises
    }
    steered = [promise for promise in commitments.steerable if promise.name in cluster.accounts]
    guards = [
        promise for promise in commitments.promises if promise not in steered and promise.bound is Bound.FLOOR
    ]
    policies = [
        replace(trial.control, account=promise.name, target_share=promise.target_share, margin=promise.margin)
        for promise in steered
    ]
    own = {row.account: row.raw_shares for row in cluster.associations()}
    states: list[ControlState | None] = [None] * len(steered)

    def decided(writes: Mapping[str, int]) -> tuple[Decision, ...]:
        rows = [
            Steering(
                policy,
                books[promise.name].observed(),
                state and replace(state, writes_last_day=writes[promise.name], baseline=own),
            )
            for promise, policy, state in zip(steered, policies, states, strict=True)
        ]
        guarded = [Guard(books[promise.name].measurement(), promise.margin) for promise in guards]
        decisions = decide_all(rows, guarded, cluster.now)
        states[:] = [decision.state for decision in decisions]
        return decisions

    return decided


def promise_of(target: float, margin: float, resource: str) -> Promise:
    """A promise on the model cluster."""
    return Promise(cluster=NAME, target_share=target, margin=margin, resource=Resource.parse(resource))
