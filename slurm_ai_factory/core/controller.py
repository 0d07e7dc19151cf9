"""The control law: ``decide(policy, measurement, associations, last, now) -> Decision``. Pure.

Fair Tree between two sibling accounts is a relay on decayed usage: the region goes first while its usage u
is below its share sigma of the level, so sigma is a set-point for u and nothing else. The law drives a
reference usage u_ref with Slurm's own decay from the share the region is owed (``payback``), keeps it near u
(bounded credit: no monopoly after an absence, no punishment for soaking idle nodes) and sets sigma = u_ref.
Writes are bounded, slewed, and left out while they would not change who goes first.
docs/decisions/0002-control-law.md derives it. Usage and shares: fair_tree.c, priority_multifactor.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, log
from typing import NamedTuple

from slurm_ai_factory.core.records import (
    HOUR,
    PARENT_SHARES,
    Association,
    Change,
    ControlState,
    Decision,
    Hold,
    Instant,
    Measurement,
)
from slurm_ai_factory.core.share import expected_rate, hours_since

ROOT = "root"
MAX_RAW_SHARES = 2147483646
SET_POINT_TOLERANCE = 0.002

REASONS = {
    "raise": "the region is owed more than its shares will give",
    "follow": "usage ran ahead of the shares, which follow it so that soaking idle nodes is not punished",
    "lower": "the region is owed less than its shares would give",
    "at_set_point": "the shares already say what is wanted",
    "same_order": "a write would not change who goes first now",
    "write_budget": "the day's writes are used up",
    "no_account": "the steered account is not in the association tree",
    "not_top_level": "the steered account is not directly under root, so its parent caps it",
    "not_steerable": "the steered account has Fairshare=parent or 0",
    "mixed_level": "an account beside the steered one has Fairshare=parent",
    "no_competition": "no account beside the steered one has shares",
    "usage_unknown": "sshare does not tell the usage of every account on the level",
    "no_decay": "PriorityDecayHalfLife is 0 or priority/multifactor is not in use; usage must decay",
    "limits_not_enforced": "AccountingStorageEnforce has no limits, so Slurm does not charge every job",
    "incr_only": "PriorityFlags has INCR_ONLY, so no waiting job's priority can go down",
    "no_fairshare_weight": "PriorityWeightFairshare is 0, so shares do not order the queue",
    "agent_queue": "slurmctld could not deliver its accounting to slurmdbd",
    "scheduler_stalled": "jobs wait and Slurm's backfill does not run",
    "read_failed": "Slurm or the ledger could not be read completely",
    "standby": "another saf is active for the cluster",
    "restore_baseline": "the operator asked for the shares found before the first change",
}
"""Every reason a decision can have."""

HOLDS = frozenset(REASONS) - {"raise", "follow", "lower", "at_set_point", "same_order", "restore_baseline"}
"""Reasons that mean the control is not steering although it should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The law's parameters; shares are parts of the level, times are seconds."""

    account: str  #: the top-level account that holds the region
    target_share: float
    margin: float = 0.01
    half_life_seconds: int
    period_seconds: int = 300  #: between two decisions
    recovery_seconds: int = 72 * HOUR  #: rolling windows: a deficit is repaid over at least this
    horizon_seconds: int = 48 * HOUR  #: calendar windows: the same
    horizon_fraction: float = 0.5  #: calendar windows: and over at least this part of what is left
    demand_seconds: int = 120 * HOUR  #: the recent past that tells what the region asks for
    modest: float = 0.95  #: demand of at most the goal / this is served at once
    capture: bool = True  #: whether demand is served while it is there, or deficits are paid back only
    required_max: float = 0.9
    share_min: float = 0.05
    share_max: float = 0.9
    credit_max: float = 0.2  #: how far the set-point may lie above usage
    debit_max: float = 0.015  #: how far it may lie below
    slew: float = 0.05  #: largest step of one write
    band: float = 0.03  #: smaller steps wait while they change no order
    writes_per_day: int = 24

    @property
    def goal(self) -> float:
        """Target and margin: the share the law steers to."""
        return self.target_share + self.margin


@dataclass(frozen=True, slots=True)
class Level:
    """The steered account among its siblings."""

    regional: Association
    siblings: tuple[Association, ...]

    @property
    def competing_shares(self) -> int:
        """RawShares of all siblings, the root user's own included."""
        return sum(one.raw_shares for one in self.siblings)

    def share(self, raw_shares: int) -> float:
        """sigma: NormShares the steered account would have with these RawShares."""
        return raw_shares / (raw_shares + self.competing_shares)

    @property
    def usage_share(self) -> float:
        """u: decayed usage of the region in that of the level; its present share while nothing was used."""
        regional = self.regional.raw_usage or 0
        used = regional + sum(one.raw_usage or 0 for one in self.siblings)
        return regional / used if used else self.share(self.regional.raw_shares)


class Owed(NamedTuple):
    """The share the region must get from now on, and the two grounds it has for that."""

    payback: float
    capture: float

    @property
    def share(self) -> float:
        """The larger one."""
        return max(self.payback, self.capture)


def decide(
    policy: Policy,
    measurement: Measurement,
    associations: Sequence[Association],
    last: ControlState | None,
    now: Instant,
) -> Decision:
    """What to do now: at most one change of the regional RawShares, or a hold; always with its reason."""
    level = find_level(policy, associations)
    if isinstance(level, str):
        return _hold(level, now, {"account": policy.account}, last)
    if measurement.holds:
        return _held(measurement.holds, now, {"account": policy.account}, last)
    owed = Owed(payback(policy, measurement), capture(policy, measurement) if policy.capture else 0.0)
    usage = level.usage_share
    u_ref = advance(policy, last, usage, level.share(level.regional.raw_shares), owed.share, now)
    writes = last.writes_last_day if last else 0
    wanted = min(policy.share_max, max(policy.share_min, u_ref))
    reason, raw_shares = _step(policy, level, usage, wanted, writes)
    inputs = _inputs(policy, measurement, level, owed, u_ref, wanted)
    state = ControlState(at=now, u_ref=u_ref, writes_last_day=writes)
    if raw_shares is None:
        return _hold(reason, now, inputs, state)
    change = Change(
        cluster=level.regional.cluster,
        account=policy.account,
        raw_shares_before=level.regional.raw_shares,
        raw_shares_after=raw_shares,
    )
    sentence = f"{policy.account} RawShares {change.raw_shares_before} -> {raw_shares}: {REASONS[reason]}"
    return Decision(at=now, reason=reason, sentence=sentence, inputs=inputs, state=state, changes=(change,))


def find_level(policy: Policy, associations: Sequence[Association]) -> Level | str:
    """The steered account among its siblings, or the reason why it cannot be steered."""
    regional = next((a for a in associations if a.account == policy.account and a.user is None), None)
    if regional is None:
        return "no_account"
    if regional.parent != ROOT:
        return "not_top_level"
    siblings = tuple(a for a in associations if _top_level(a) and a != regional)
    if any(one.raw_shares == PARENT_SHARES for one in siblings):
        return "mixed_level"
    return _refusal(policy, Level(regional, siblings)) or Level(regional, siblings)


def _top_level(association: Association) -> bool:
    """Accounts under root, and root's own users: slurmctld makes root/root with one share."""
    if association.user is None:
        return association.parent == ROOT
    return association.account == ROOT


def _refusal(policy: Policy, level: Level) -> str | None:
    if not level.regional.steerable:
        return "not_steerable"
    if not level.competing_shares:
        return "no_competition"
    if any(one.raw_usage is None for one in (level.regional, *level.siblings)):
        return "usage_unknown"
    return None if policy.half_life_seconds else "no_decay"


def payback(policy: Policy, measurement: Measurement) -> float:
    """The share the region must get from now on, between the target and ``required_max``.

    Rolling window of length W: the largest, over horizons h from ``recovery_seconds`` to W, of what makes
    the window that ends h from now reach the goal, its known past included. Calendar window: the goal plus
    today's deficit repaid over the larger of ``horizon_seconds`` and a part of what is left.
    """
    rate = expected_rate(measurement)
    if rate <= 0:
        return policy.goal
    repay = _rolling if measurement.window.rolling else _calendar
    owed = repay(policy, measurement, rate)
    return min(policy.required_max, max(policy.target_share, owed))


def _calendar(policy: Policy, measurement: Measurement, rate: float) -> float:
    left = measurement.window.until - measurement.as_of
    horizon = max(policy.horizon_seconds, policy.horizon_fraction * left)
    deficit = policy.goal * float(measurement.total_charge) - float(measurement.regional_charge)
    return policy.goal + deficit / (rate * horizon)


def _rolling(policy: Policy, measurement: Measurement, rate: float) -> float:
    """Deficit of the window's last n hours, for every n, each repaid until those hours leave the window."""
    length = measurement.as_of - measurement.window.since
    deficits = accumulate(policy.goal * hour.total - hour.regional for hour in reversed(measurement.hours))
    horizons = (length - n * HOUR for n in range(1, len(measurement.hours) + 1))
    owed = (
        policy.goal + deficit / (rate * horizon)
        for deficit, horizon in zip(deficits, horizons, strict=True)
        if horizon >= policy.recovery_seconds
    )
    return max(policy.goal, max(owed, default=policy.goal))


def capture(policy: Policy, measurement: Measurement) -> float:
    """What the region must get now so that its demand is served while it is there.

    While all that the region asked for in the window, delivered or waiting, is within the goal, it goes
    first: ``required_max``. Else the part K of its demand that makes up the goal is served at all times:
    K x what it asked for lately / what was delivered lately. 0 where nothing was delivered.
    """
    rate = expected_rate(measurement)
    asked = float(measurement.regional_charge) + measurement.regional_backlog
    if rate <= 0:
        return 0.0
    goal = policy.goal * float(measurement.total_charge)
    if goal >= policy.modest * asked:
        return policy.required_max
    lately = asked_since(measurement, measurement.as_of - policy.demand_seconds)
    return min(policy.required_max, goal / asked * lately / (rate * policy.demand_seconds))


def asked_since(measurement: Measurement, since: Instant) -> float:
    """Resource-seconds the region asked for since an instant: delivered, and what has come to wait.

    What waited then is taken to be to the backlog of now as the amounts of the resource that waited.
    """
    recent = hours_since(measurement, since)
    waiting, waited = (recent[at].regional_waiting for at in (-1, 0)) if recent else (0.0, 0.0)
    came = measurement.regional_backlog * (1 - waited / waiting) if waiting else 0.0
    return max(0.0, sum(hour.regional for hour in recent) + came)


def advance(
    policy: Policy,
    last: ControlState | None,
    usage: float,
    share: float,
    owed: float,
    now: Instant,
) -> float:
    """u_ref: moved towards what is owed as Slurm's decay would move usage, kept near usage.

    Without a last state it starts at the present share, so that taking over is without a jump. The credit
    never takes it below the goal: the region may always be owed what was promised, also after an absence.
    """
    start = last.u_ref if last else share
    seconds = max(0, now - last.at) if last else 0
    gain = 1.0 - exp(-seconds * log(2) / policy.half_life_seconds)
    moved = start + gain * (owed - start)
    highest = max(usage + policy.credit_max, policy.goal)
    return min(highest, max(usage - policy.debit_max, moved))


def _step(policy: Policy, level: Level, usage: float, wanted: float, writes: int) -> tuple[str, int | None]:
    """(reason, RawShares to set or None to hold)."""
    present = level.regional.raw_shares
    share = level.share(present)
    gap = wanted - share
    raw_shares = _raw_shares(level, share + min(policy.slew, max(-policy.slew, gap)), policy.slew)
    if abs(gap) < SET_POINT_TOLERANCE or raw_shares == present:
        return "at_set_point", None
    if abs(gap) < policy.band and _same_side(policy, usage, share, wanted):
        return "same_order", None
    if writes >= policy.writes_per_day:
        return "write_budget", None
    if raw_shares < present:
        return "lower", raw_shares
    return ("follow" if wanted < usage else "raise"), raw_shares


def _same_side(policy: Policy, usage: float, share: float, wanted: float) -> bool:
    """Whether both shares give the same order until the next decision, however usage moves until then."""
    drift = 1.0 - exp(-policy.period_seconds * log(2) / policy.half_life_seconds)
    low, high = sorted((share, wanted))
    return usage + drift * (1 - usage) < low or usage - drift * usage > high


def _raw_shares(level: Level, share: float, slew: float) -> int:
    """The RawShares nearest to a share of the level, no further from the present ones than ``slew``."""
    present = level.regional.raw_shares
    nearest = round(level.competing_shares * share / (1.0 - share))
    most = max(present, MAX_RAW_SHARES - level.competing_shares)  # slurmctld adds up a level in 31 bits
    raw_shares = min(most, max(1, nearest))
    if abs(level.share(raw_shares) - level.share(present)) > slew + 1e-9:
        raw_shares += 1 if raw_shares < present else -1
    return raw_shares


def _inputs(
    policy: Policy,
    measurement: Measurement,
    level: Level,
    owed: Owed,
    u_ref: float,
    wanted: float,
) -> dict[str, float | int | str | None]:
    return {
        "account": policy.account,
        "window": measurement.window.name,
        "as_of": measurement.as_of,
        "resource": measurement.resource,
        "target_share": policy.target_share,
        "margin": policy.margin,
        "delivered_share": measurement.delivered_share,
        "regional_charge": float(measurement.regional_charge),
        "total_charge": float(measurement.total_charge),
        "payback_share": owed.payback,
        "capture_share": owed.capture,
        "required_share": owed.share,
        "usage_share": level.usage_share,
        "u_ref": u_ref,
        "share": level.share(level.regional.raw_shares),
        "share_wanted": wanted,
        "raw_shares": level.regional.raw_shares,
        "competing_shares": level.competing_shares,
        "half_life_seconds": policy.half_life_seconds,
    }


def _held(
    holds: Sequence[Hold],
    now: Instant,
    inputs: dict[str, float | int | str | None],
    state: ControlState | None,
) -> Decision:
    """A hold that was found before: the first one's reason, and what all of them say."""
    sentence = f"hold: {'; '.join(one.sentence for one in holds)}"
    return Decision(at=now, reason=holds[0].reason, sentence=sentence, inputs=inputs, state=state)


def _hold(
    reason: str,
    now: Instant,
    inputs: dict[str, float | int | str | None],
    state: ControlState | None,
) -> Decision:
    word = "hold" if reason in HOLDS else "nothing to change"
    sentence = f"{word}: {REASONS[reason]}"
    return Decision(at=now, reason=reason, sentence=sentence, inputs=inputs, state=state)
