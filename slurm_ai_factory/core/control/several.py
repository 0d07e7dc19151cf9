"""Several promises on one level: the set-points of the steered ones, settled together. Pure.

The rule: each steered promise has the law to itself, and what the promises want is cut only where it does not
fit the level. A cap lowers shares and raises them no further than the operator had them. With one steered
floor and no other promise the decision is the law's own, bit for bit.
docs/decisions/0014-several-promises.md derives it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import fsum
from typing import NamedTuple

from slurm_ai_factory.core.control.controller import Policy, closing_shares, decide
from slurm_ai_factory.core.control.level import SERVED_ALIKE, Refusal, SteeredLevel, find_level
from slurm_ai_factory.core.control.reasons import REASONS
from slurm_ai_factory.core.measure.share import decayed_share, expected_rate, recent_share
from slurm_ai_factory.core.records import Bound, ControlState, Decision, Instant, Measurement, Observed

MOST = 0.95
"""What all steered accounts may have of the level; the rest keeps at least 5 %."""

LEAST = 1e-6

OF_CAP = {"lower": "cap", "raise": "cap_over", "follow": "cap_over"}
"""The reasons of a cap for what the law calls otherwise."""


class Steering(NamedTuple):
    """All that the decision about one steered promise rests on."""

    policy: Policy
    observed: Observed
    last: ControlState | None


class Guard(NamedTuple):
    """A floor that is not steered: no raise for another promise may break it."""

    measurement: Measurement
    margin: float


def decide_all(steered: Sequence[Steering], guards: Sequence[Guard], now: Instant) -> tuple[Decision, ...]:
    """One decision for each steered promise, in their order."""
    elsewhere = _elsewhere(steered)
    decisions = [
        decide(*steering, now, elsewhere=elsewhere.get(place, 0.0)) for place, steering in enumerate(steered)
    ]
    left = {
        place: left_by_cap(policy, observed.measurement)
        for place, (policy, observed, _) in enumerate(steered)
        if observed.measurement.bound is Bound.CAP
    }
    for place, aim in (_aims(steered, decisions, left, elsewhere) | _written_back(steered)).items():
        decisions[place] = _towards(steered[place], aim, elsewhere.get(place, 0.0), now)
    return tuple(
        guarded(_named(decisions[place], observed.measurement.promise, left.get(place)), policy, guards)
        for place, (policy, observed, _) in enumerate(steered)
    )


def _written_back(steered: Sequence[Steering]) -> dict[int, float]:
    """By place, the share that values to write back would give; none where nothing is to be written back."""
    aims = {}
    for place, steering in enumerate(steered):
        back_to = steering.observed.back_to
        if back_to and not isinstance(level := _level(steering, steering.policy.accounts), Refusal):
            aims[place] = level.share([back_to.get(row.account, row.raw_shares) for row in level.regional])
    return aims


def _towards(steering: Steering, aim: float, elsewhere: float, now: Instant) -> Decision:
    """The decision to go for a share: within the law's bounds, and without its band to write a value back."""
    policy, observed, last = steering
    if not observed.back_to:
        return decide(policy, observed, last, now, aim=aim, elsewhere=elsewhere)
    decision = decide(replace(policy, band=0.0), observed, last, now, aim=aim, elsewhere=elsewhere)
    return _called(decision, "reassert") if decision.changes else decision


def _called(decision: Decision, reason: str) -> Decision:
    """The decision with another reason."""
    sentence = decision.sentence.replace(REASONS[decision.reason], REASONS[reason])
    return replace(decision, reason=reason, sentence=sentence)


def fitted(wanted: Mapping[int, float], floors: Mapping[int, float], most: float = MOST) -> dict[int, float]:
    """Shares that add up to ``most`` at most: what is above the floors is cut in proportion, then the floors.

    >>> fitted({0: 0.5, 1: 0.25}, {0: 0.5, 1: 0.25})
    {0: 0.5, 1: 0.25}
    >>> {place: round(share, 3) for place, share in fitted({0: 0.9, 1: 0.3}, {0: 0.5, 1: 0.25}).items()}
    {0: 0.678, 1: 0.272}
    """
    if fsum(wanted.values()) <= most:
        return dict(wanted)
    owed = {place: min(share, floors[place]) for place, share in wanted.items()}
    least, above = fsum(owed.values()), fsum(wanted.values()) - fsum(owed.values())
    if least >= most:
        return {place: share * most / least for place, share in owed.items()}
    return {place: owed[place] + (wanted[place] - owed[place]) * (most - least) / above for place in wanted}


def left_by_cap(policy: Policy, measurement: Measurement) -> float:
    """The share that a cap leaves from now on, ``share_min`` at least: what ends the window below the cap.

    Rolling window: the least over the same horizons as the payback of a floor. The margin is kept below it.
    """
    rate, cap = expected_rate(measurement), policy.target_share - policy.margin
    if rate <= 0:
        return policy.target_share
    share = min(closing_shares(policy, measurement, cap, rate), default=cap)
    return min(1.0, max(policy.share_min, share))


def _elsewhere(steered: Sequence[Steering]) -> dict[int, float]:
    """By place, what ``got_elsewhere`` finds; nothing where a floor is steered alone."""
    if len(steered) == 1 and steered[0].observed.measurement.bound is not Bound.CAP:
        return {}
    return {
        place: got_elsewhere(steering, level)
        for place, steering in enumerate(steered)
        if not isinstance(level := _level(steering, steering.policy.accounts), Refusal)
    }


def got_elsewhere(steering: Steering, level: SteeredLevel) -> float:
    """The part of decayed usage that counts for a promise and is none of its steered accounts'.

    Promises cross: an account of two is steered for one of them, and counts for both.
    """
    observed = steering.observed
    whole = replace(observed.measurement, hours=(*observed.earlier, *observed.measurement.hours))
    share = decayed_share(whole, steering.policy.half_life_seconds)
    return 0.0 if share is None else max(0.0, share - level.usage_share)


def _aims(
    steered: Sequence[Steering],
    decisions: Sequence[Decision],
    left: Mapping[int, float],
    elsewhere: Mapping[int, float],
) -> dict[int, float]:
    """By place, the share to decide on instead of the law's own: none where a floor is steered alone.

    ``left`` has what each cap leaves. A cap that leaves more than the operator's RawShares give does not
    bind: it gets these, and belongs to the rest. A difference of less than the margin waits: each write moves
    the shares of all others, and theirs its own.
    """
    levels = {
        place: level
        for place, steering in enumerate(steered)
        if "share_wanted" in decisions[place].inputs
        and not isinstance(level := _level(steering, steering.policy.accounts), Refusal)
    }
    caps = levels.keys() & left.keys()
    if not levels or (len(levels) == 1 and not caps):
        return {}
    wanted = {
        place: max(
            steered[place].policy.share_min,
            (left[place] if place in caps else float(decisions[place].inputs["share_wanted"] or 0.0))
            - elsewhere[place],
        )
        for place in levels
    }
    own = {place: levels[place].share(levels[place].ratio) for place in caps}
    loose = {place: own[place] for place in caps if wanted[place] >= own[place]}
    floors = {
        place: 0.0 if place in caps else max(0.0, steered[place].policy.target_share - elsewhere[place])
        for place in levels.keys() - loose.keys()
    }
    names = [name for place in floors for name in steered[place].policy.accounts]
    beside = _level(steered[min(floors)], names) if floors else Refusal("no_account")
    if isinstance(beside, Refusal):
        return loose
    effective = _effective({place: wanted[place] for place in floors}, floors, caps, levels, beside)
    aims = {place: min(own.get(place, 1.0), levels[place].part(effective[place])) for place in floors}
    return loose | {
        place: _held(levels[place], aim, steered[place].policy.margin) for place, aim in aims.items()
    }


def _effective(
    wanted: Mapping[int, float],
    floors: Mapping[int, float],
    caps: Collection[int],
    levels: Mapping[int, SteeredLevel],
    beside: SteeredLevel,
) -> dict[int, float]:
    """The effective shares that give each promise its share among those that take part now.

    A promise claims its share. While it has much less usage than that, it is away or goes first anyway, and
    claims only what it uses; the others need to fit only beside that. With S the effective shares of the
    rest, each is to have S x share / (1 - sum of the claims). What the rest does not use is for the floors;
    caps do not get it, so theirs are fewer by as much.
    """
    shares, used = fitted(wanted, floors), {place: levels[place].usage_share for place in wanted}
    away = {place: used[place] for place, share in shares.items() if used[place] < SERVED_ALIKE * share}
    here = {place: share for place, share in wanted.items() if place not in away}
    claims = fitted(here, floors, MOST - fsum(away.values()))
    left = 1.0 - fsum(claims.values()) - fsum(away.values())
    unused = left - (1.0 - beside.usage_share)
    spare = unused if unused > (1.0 - SERVED_ALIKE) * left else 0.0
    kept = fsum(share for place, share in claims.items() if place not in caps)
    of_cap = kept / (kept + spare) if kept else 1.0
    each = beside.competing_shares / left
    return {
        place: each * share * (of_cap if place in caps else 1.0) for place, share in (shares | claims).items()
    }


def _held(level: SteeredLevel, aim: float, margin: float) -> float:
    """The aim; the present share where that differs by less than ``margin``."""
    present = level.share(level.present)
    return present if abs(aim - present) < margin else aim


def _level(steering: Steering, accounts: Sequence[str]) -> SteeredLevel | Refusal:
    observed, own = steering.observed, steering.last.baseline if steering.last else {}
    return find_level(accounts, observed.associations, observed.waiting_rows, own)


def _named(decision: Decision, promise: str, left: float | None) -> Decision:
    """The decision with its promise; a cap's also with what the cap leaves, and what that means."""
    decision = replace(decision, promise=promise)
    if left is None:
        return decision
    of_floors = ("payback_share", "capture_share", "owed_share")
    inputs = {name: value for name, value in decision.inputs.items() if name not in of_floors}
    inputs["left_by_cap"] = left
    return replace(_called(decision, OF_CAP.get(decision.reason, decision.reason)), inputs=inputs)


def guarded(decision: Decision, policy: Policy, guards: Sequence[Guard]) -> Decision:
    """The decision, or a hold where its raise would break a floor that is not steered.

    Usage follows the raise, so the others keep (1 - the usage it leads to) / (1 - usage) of what they get
    now.
    """
    raised = sum(change.raw_shares_after - change.raw_shares_before for change in decision.changes)
    if raised <= 0:
        return decision
    usage = float(decision.inputs["usage_share"] or 0.0)
    kept = (1.0 - min(1.0, _led_to(decision, policy))) / (1.0 - min(usage, 1 - LEAST))
    for guard in guards:
        m, end = guard.measurement, _end_of(guard.measurement, kept)
        if end is not None and m.regional_pending and end < m.target_share + guard.margin:
            goal = m.target_share + guard.margin
            sentence = (
                f"hold: {REASONS['guards']}: promise {m.promise} would end at {end:.1%}, and its floor with "
                f"the margin is {goal:.1%}"
            )
            return replace(decision, reason="guards", sentence=sentence, changes=())
    return decision


def _led_to(decision: Decision, policy: Policy) -> float:
    """The usage that a raise leads to: the new share, or that at which a switch is put back."""
    inputs = {name: float(value) for name, value in decision.inputs.items() if isinstance(value, float | int)}
    if "hysteresis" in inputs:
        return inputs["u_ref"] + inputs["hysteresis"]
    return min(inputs["share_wanted"], inputs["share"] + policy.slew)


def _end_of(m: Measurement, kept: float) -> float | None:
    """The share with which the window ends if the recent share goes on times ``kept``, in a rolling window
    the share that it comes to; None where nothing was delivered lately."""
    recent, rate = recent_share(m), expected_rate(m)
    if recent is None or m.window.rolling:
        return None if recent is None else recent * kept
    rest = rate * max(0, m.window.until - m.as_of)
    return (float(m.regional_charge) + recent * kept * rest) / (float(m.total_charge) + rest)
