"""The control law: ``decide(policy, observed, last, now) -> Decision``. Pure.

Fair Tree between two sibling accounts is a relay on decayed usage: the region goes first while its usage u
is below its share sigma of the level, so sigma is a set-point for u and nothing else. The law drives a
reference usage u_ref with Slurm's own decay from the share the region is owed (``payback``), keeps it near u
(bounded credit: no monopoly after an absence, no punishment for soaking idle nodes) and sets sigma = u_ref.
Writes are bounded, slewed, and left out while they would not affect the order of jobs.
docs/decisions/0002-control-law.md derives it. Usage and shares: fair_tree.c, priority_multifactor.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import exp, fsum, log
from typing import NamedTuple

from slurm_ai_factory.core.control.contested import DecayedUsage, decayed_usage
from slurm_ai_factory.core.control.level import Refusal, SteeredLevel, find_level
from slurm_ai_factory.core.control.reasons import HOLDS, REASONS
from slurm_ai_factory.core.measure.share import expected_rate, hours_since
from slurm_ai_factory.core.records import (
    HOUR,
    Change,
    ControlState,
    Decision,
    Inputs,
    Instant,
    Measurement,
    Observed,
)

SET_POINT_TOLERANCE = 0.002

RIPPLE = 2.0
"""How many runs usage overshoots by: those that started before it had passed the share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The law's parameters; shares are parts of the level, times are seconds."""

    account: str | tuple[str, ...]  #: the account that holds the region, or all that hold it
    target_share: float
    margin: float = 0.01
    half_life_seconds: int
    period_seconds: int = 300  #: between two decisions
    recovery_seconds: int = 72 * HOUR  #: rolling windows: a deficit is repaid over at least this
    horizon_seconds: int = 48 * HOUR  #: calendar windows: the same
    horizon_fraction: float = 0.5  #: calendar windows: and over at least this part of what is left
    demand_seconds: int = 72 * HOUR  #: the recent past that shows what the region asks for
    modest: float = 0.95  #: demand of at most the goal / this is served at once
    capture: bool = True  #: whether demand is served while it is there, or deficits are paid back only
    owed_max: float = 0.9
    share_min: float = 0.05
    share_max: float = 0.9
    credit_max: float = 0.2  #: how far the set-point may lie above usage while a deficit is paid back
    debit_max: float = 0.015  #: how far it may lie below; farther where runs are large
    slew: float = 0.05  #: largest step of one write
    band: float = 0.03  #: smaller steps wait while they change no order
    writes_per_day: int = 24

    @property
    def accounts(self) -> tuple[str, ...]:
        """The steered accounts."""
        return (self.account,) if isinstance(self.account, str) else self.account

    @property
    def goal(self) -> float:
        """Target and margin: the share the law steers to."""
        return self.target_share + self.margin


class Owed(NamedTuple):
    """The share that the region must get from now on, by each of two rules."""

    payback: float
    capture: float

    @property
    def share(self) -> float:
        """The larger of the two."""
        return max(self.payback, self.capture)


def decide(
    policy: Policy,
    observed: Observed,
    last: ControlState | None,
    now: Instant,
    *,
    aim: float | None = None,
    elsewhere: float = 0.0,
) -> Decision:
    """The decision: at most one change of each steered account's RawShares, or none; with its reason.

    Where other promises are steered beside it, ``aim`` is the share of the level to go for instead of u_ref,
    and ``elsewhere`` the part of usage that counts for the promise and is none of the steered accounts'.
    """
    measurement = observed.measurement
    account: Inputs = {"account": ", ".join(policy.accounts)}
    noted = {**account, **observed.noted}
    own = last.baseline if last else {}
    level = find_level(policy.accounts, observed.associations, observed.waiting_rows, own)
    if not isinstance(level, Refusal) and not policy.half_life_seconds:
        level = Refusal("no_decay")
    if isinstance(level, Refusal):
        return _hold(level.reason, now, noted, last, level.accounts if len(policy.accounts) > 1 else ())
    if observed.holds:
        sentence = f"hold: {'; '.join(hold.sentence for hold in observed.holds)}"
        return Decision(at=now, reason=observed.holds[0].reason, sentence=sentence, inputs=noted, state=last)
    owed = Owed(payback(policy, measurement), capture(policy, observed) if policy.capture else 0.0)
    usage = level.usage_share
    policy = replace(policy, debit_max=debit(policy, observed, level.parent.usage_part))
    decayed = decayed_usage(observed, policy.goal, policy.half_life_seconds)
    owed_here, contested = level.of_whole(owed.share), level.of_whole(decayed.contested_share)
    moved = advance_u_ref(
        policy, last, level.share(level.present) + elsewhere, owed_here, decayed.turnover, now
    )
    repaid = level.of_whole(owed.payback)
    target, margin = level.of_whole(policy.target_share), level.of_whole(policy.margin)
    u_ref = near_usage(
        replace(policy, target_share=target, margin=margin), usage + elsewhere, contested, moved, repaid
    )
    writes = last.writes_last_day if last else 0
    wanted = min(policy.share_max, max(policy.share_min, u_ref if aim is None else aim))
    reason, rows = _step(policy, level, usage, wanted, writes)
    inputs = {
        **account,
        **_inputs(policy, measurement, level, owed, decayed, u_ref, wanted),
        **({"elsewhere_share": elsewhere} if elsewhere else {}),
        **observed.noted,
    }
    state = ControlState(at=now, u_ref=u_ref, writes_last_day=writes, baseline=own)
    if rows is None:
        return _hold(reason, now, inputs, state)
    changes = _changes(level, rows)
    sentence = f"{', '.join(change.step for change in changes)}: {REASONS[reason]}"
    return Decision(at=now, reason=reason, sentence=sentence, inputs=inputs, state=state, changes=changes)


def _changes(level: SteeredLevel, rows: Sequence[int]) -> tuple[Change, ...]:
    """One change for each account whose RawShares are not the wanted ones."""
    return tuple(
        Change(
            cluster=row.cluster, account=row.account, raw_shares_before=row.raw_shares, raw_shares_after=after
        )
        for row, after in zip(level.regional, rows, strict=True)
        if row.raw_shares != after
    )


def payback(policy: Policy, measurement: Measurement) -> float:
    """The share the region must get from now on, between the target and ``owed_max``.

    Rolling window of length W: the largest, over horizons h from ``recovery_seconds`` to W, of what makes
    the window that ends h from now reach the goal, its known past included. Calendar window: the goal plus
    today's deficit repaid over the larger of ``horizon_seconds`` and a part of what is left.
    """
    rate = expected_rate(measurement)
    if rate <= 0:
        return policy.goal
    least = policy.goal if measurement.window.rolling else policy.target_share
    return min(policy.owed_max, max((least, *closing_shares(policy, measurement, policy.goal, rate))))


def closing_shares(policy: Policy, measurement: Measurement, goal: float, rate: float) -> list[float]:
    """The shares from now on with which windows end at a goal, at this delivered rate.

    Calendar window: one. Rolling window: the deficit of its last n hours, for every n, repaid until those
    hours leave the window; one for each horizon of at least ``recovery_seconds``.
    """
    m = measurement
    if not m.window.rolling:
        horizon = max(policy.horizon_seconds, policy.horizon_fraction * (m.window.until - m.as_of))
        return [goal + (goal * float(m.total_charge) - float(m.regional_charge)) / (rate * horizon)]
    length = m.as_of - m.window.since
    deficits = accumulate(goal * hour.total - hour.regional for hour in reversed(m.hours))
    horizons = (length - n * HOUR for n in range(1, len(m.hours) + 1))
    return [
        goal + deficit / (rate * horizon)
        for deficit, horizon in zip(deficits, horizons, strict=True)
        if horizon >= policy.recovery_seconds
    ]


def capture(policy: Policy, observed: Observed) -> float:
    """What the region must get now so that its demand is served while it is there.

    While all that the region asked for in the window, delivered or waiting, is within the goal, it goes
    first: ``owed_max``. Else the part K of its demand that makes up the goal is served at all times:
    K x what it asked for lately / what was delivered lately. No more than the goal once the window has it:
    what is delivered beyond it is no deficit of any later window. 0 where nothing was delivered.
    """
    measurement = observed.measurement
    rate = expected_rate(measurement)
    asked = float(measurement.regional_charge) + observed.regional_backlog
    if rate <= 0:
        return 0.0
    goal = policy.goal * float(measurement.total_charge)
    most = policy.goal if measurement.regional_charge > goal else policy.owed_max
    if goal >= policy.modest * asked:
        return most
    since = max(measurement.window.since, measurement.as_of - policy.demand_seconds)
    lately = rate * max(HOUR, measurement.as_of - since)  # in a young window, since it began
    return min(most, goal / asked * asked_since(observed, since) / lately)


def asked_since(observed: Observed, since: Instant) -> float:
    """Resource-seconds that the region asked for since an instant: delivered, and added to the backlog.

    The backlog of then is estimated from that of now, in proportion to the amounts that waited.
    """
    recent = hours_since(observed.measurement, since)
    waiting, waited = (recent[at].regional_waiting for at in (-1, 0)) if recent else (0.0, 0.0)
    came = observed.regional_backlog * (1 - waited / waiting) if waiting else 0.0
    return max(0.0, fsum(hour.regional for hour in recent) + came)


def debit(policy: Policy, observed: Observed, part: float = 1.0) -> float:
    """How far the set-point may lie below usage: at least as far as usage ripples anyway.

    A run that ends is this part of the level's decayed usage: charge / (delivered rate x half-life / ln 2),
    where the level has this ``part`` of what is delivered.
    """
    usage = expected_rate(observed.measurement) * policy.half_life_seconds / log(2) * part
    ripple = RIPPLE * observed.run_charge / usage if usage > 0 else 0.0
    return max(policy.debit_max, min(policy.credit_max, ripple))


def advance_u_ref(
    policy: Policy, last: ControlState | None, share: float, owed: float, turnover: float, now: Instant
) -> float:
    """u_ref, moved towards the owed share as fast as Slurm's decay moves usage: ``turnover`` times as fast as
    usage that has long been there.

    Without a last state it starts at the present share, so that the first decision makes no jump.
    """
    start = last.u_ref if last else share
    seconds = max(0, now - last.at) if last else 0
    gain = 1.0 - exp(-turnover * seconds * log(2) / policy.half_life_seconds)
    return start + gain * (owed - start)


def near_usage(policy: Policy, usage: float, contested: float, moved: float, repaid: float) -> float:
    """u_ref, kept near usage.

    It follows usage up, but not the contested part of what lies above the goal. To go first the region needs
    no more than one step above usage; only a deficit, which is paid back at the share ``repaid``, gives it
    more credit. The bounds on credit never take it below the goal: the region may always be owed the promise,
    also after an absence.
    """
    ahead = min(policy.slew, policy.credit_max)
    highest = max(usage + ahead, min(usage + policy.credit_max, repaid), policy.goal)
    followed = max(min(usage, policy.goal), usage - contested)
    return min(highest, max(followed - policy.debit_max, moved))


def _step(
    policy: Policy, level: SteeredLevel, usage: float, wanted: float, writes: int
) -> tuple[str, tuple[int, ...] | None]:
    """(reason, RawShares of the steered accounts to set, or None for no change)."""
    if not level.reaches(policy.goal, policy.share_max):
        return "out_of_reach", None
    share, kept = level.share(level.present), level.in_ratio
    gap = wanted - share
    rows = level.rows(share + min(policy.slew, max(-policy.slew, gap)), policy.slew)
    changed = sum(after != before for before, after in zip(level.present, rows, strict=True))
    close = abs(gap) < policy.band and _same_side(policy, usage, share, wanted)
    if not changed or (kept and abs(gap) < SET_POINT_TOLERANCE):
        return "at_set_point", None
    if kept and close:
        return "same_order", None
    if writes + changed > policy.writes_per_day:
        return "write_budget", None
    if close or abs(gap) < SET_POINT_TOLERANCE:
        return "ratio", rows
    if gap < 0:
        return "lower", rows
    return ("follow" if wanted < usage else "raise"), rows


def _same_side(policy: Policy, usage: float, share: float, wanted: float) -> bool:
    """Whether both shares give the same order until the next decision, however usage moves until then."""
    drift = 1.0 - exp(-policy.period_seconds * log(2) / policy.half_life_seconds)
    low, high = sorted((share, wanted))
    return usage + drift * (1 - usage) < low or usage - drift * usage > high


def measured_inputs(policy: Policy, measurement: Measurement, owed: Owed) -> Inputs:
    """What a decision with any lever rests on."""
    return {
        "window": measurement.window.name,
        "as_of": measurement.as_of,
        "resource": measurement.resource.name,
        "target_share": policy.target_share,
        "margin": policy.margin,
        "delivered_share": measurement.delivered_share,
        "regional_charge": float(measurement.regional_charge),
        "total_charge": float(measurement.total_charge),
        "payback_share": owed.payback,
        "capture_share": owed.capture,
        "owed_share": owed.share,
    }


def _inputs(
    policy: Policy,
    measurement: Measurement,
    level: SteeredLevel,
    owed: Owed,
    decayed: DecayedUsage,
    u_ref: float,
    wanted: float,
) -> Inputs:
    return {
        **measured_inputs(policy, measurement, owed),
        "usage_share": level.usage_share,
        "contested_share": decayed.contested_share,
        "usage_turnover": decayed.turnover,
        "debit": policy.debit_max,
        "u_ref": u_ref,
        "share": level.share(level.present),
        "share_wanted": wanted,
        "raw_shares": sum(level.present),
        "competing_shares": level.sibling_shares,
        "half_life_seconds": policy.half_life_seconds,
        **_counted(level),
        **level.limits,
    }


def _counted(level: SteeredLevel) -> Inputs:
    """The accounts that count for each side, and the effective shares of the others."""
    regional, others = level.counted
    return {
        "regional_accounts_counted": ", ".join(regional),
        "other_accounts_counted": ", ".join(others),
        "effective_competing_shares": level.competing_shares,
    }


def _hold(
    reason: str, now: Instant, inputs: Inputs, state: ControlState | None, accounts: Sequence[str] = ()
) -> Decision:
    word = "hold" if reason in HOLDS else "no change"
    which = f" ({', '.join(accounts)})" if accounts else ""
    sentence = f"{word}: {REASONS[reason]}{which}"
    return Decision(at=now, reason=reason, sentence=sentence, inputs=inputs, state=state)
