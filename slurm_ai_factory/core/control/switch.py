"""A lever with two values, for a region that is a QOS or a partition: ``decide_switch``. Pure.

No account holds such a region, so Slurm keeps no usage by which it would limit itself: while its jobs go
first, they go first without end. So the set-point of the control law becomes a switch with hysteresis: the
value is raised while the region's decayed charge is below the set-point, and what was found is put back while
it is above. The charge is that of the ledger's own hours, decayed as Slurm decays usage.
docs/decisions/0016-levers.md derives it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from slurm_ai_factory.core.control.contested import decayed_usage
from slurm_ai_factory.core.control.controller import (
    Owed,
    Policy,
    advance_u_ref,
    capture,
    debit,
    measured_inputs,
    near_usage,
    payback,
)
from slurm_ai_factory.core.control.reasons import REASONS
from slurm_ai_factory.core.measure.share import decayed_share
from slurm_ai_factory.core.records import (
    Change,
    ControlState,
    Decision,
    Hold,
    Inputs,
    Instant,
    LeverKind,
    Observed,
)

WEIGHTS = {LeverKind.QOS: "PriorityWeightQOS", LeverKind.PARTITION: "PriorityWeightPartition"}


class Switch(NamedTuple):
    """A switch as it is configured."""

    lever: LeverKind  #: not an account
    name: str
    raised: int  #: the value while the region goes first
    hysteresis: float  #: of usage, on either side of the set-point


class Position(NamedTuple):
    """Where a switch is, and the usage that moves it."""

    value: int
    lowered: int  #: the value that was found before the first change
    usage: float  #: u: the region's part of the decayed charge


def decide_switch(
    policy: Policy, switch: Switch, observed: Observed, last: ControlState | None, now: Instant
) -> Decision:
    """The decision: the other value of the switch, or none; with its reason."""
    noted: Inputs = {"object": switch.lever, "name": switch.name, **observed.noted}
    position = _position(policy, switch, observed, last)
    if isinstance(position, Hold):
        sentence = f"hold: {position.sentence}"
        return Decision(at=now, reason=position.reason, sentence=sentence, inputs=noted, state=last)
    measurement, usage = observed.measurement, position.usage
    owed = Owed(payback(policy, measurement), capture(policy, observed) if policy.capture else 0.0)
    policy = replace(policy, debit_max=debit(policy, observed) + switch.hysteresis)
    decayed = decayed_usage(observed, policy.goal, policy.half_life_seconds)
    moved = advance_u_ref(policy, last, usage, owed.share, decayed.turnover, now)
    u_ref = near_usage(policy, usage, decayed.contested_share, moved, owed.payback)
    state = replace(last, at=now, u_ref=u_ref) if last else ControlState(at=now, u_ref=u_ref)
    reason, value = _wanted(switch, position, u_ref)
    if (back := observed.back_to.get(switch.name)) in (position.lowered, switch.raised):
        reason, value = "reassert", back
    if value != position.value and state.writes_last_day >= policy.writes_per_day:
        reason, value = "write_budget", position.value
    inputs: Inputs = {
        **measured_inputs(policy, measurement, owed), "usage_share": usage, "debit": policy.debit_max,
        "u_ref": u_ref, "hysteresis": switch.hysteresis, "value": position.value, "raised": switch.raised,
        "lowered": position.lowered, "half_life_seconds": policy.half_life_seconds, **noted,
    }  # fmt: skip
    sentence, changes = f"no change: {REASONS[reason]}", tuple[Change, ...]()
    if value != position.value:
        change = Change(
            cluster=measurement.cluster, account=switch.name, raw_shares_before=position.value,
            raw_shares_after=value, lever=switch.lever,
        )  # fmt: skip
        changes, sentence = (change,), f"{change.step}: {REASONS[reason]}"
    return Decision(at=now, reason=reason, sentence=sentence, inputs=inputs, state=state, changes=changes)


def _position(
    policy: Policy, switch: Switch, observed: Observed, last: ControlState | None
) -> Position | Hold:
    """The position of the switch, or why nothing may be steered now."""
    lever, name, present = switch.lever, switch.name, observed.switch
    usage = decayed_share(observed.measurement, policy.half_life_seconds)
    if present is None:
        return Hold("no_switch", f"Slurm has no {lever} {name}; correct control.{lever}")
    if usage is None:
        reason = "nothing_delivered" if policy.half_life_seconds else "no_decay"
        return Hold(reason, REASONS[reason])
    if not present.weight:
        return Hold("no_switch_weight", f"{WEIGHTS[lever]} is 0, so {lever} {name} does not order the queue")
    lowered = (last.baseline if last else {}).get(name, present.value)
    if lowered >= switch.raised:
        return Hold(
            "no_room",
            f"{lever} {name} had {lever.attribute} {lowered} before the first change, and control.raised is "
            f"{switch.raised}; configure a higher one",
        )
    return next(iter(observed.holds), Position(present.value, lowered, usage))


def _wanted(switch: Switch, position: Position, u_ref: float) -> tuple[str, int]:
    """(reason, value to have). Within the hysteresis a value that is neither of the two is lowered."""
    if position.usage < u_ref - switch.hysteresis:
        raised = True
    elif position.usage > u_ref + switch.hysteresis:
        raised = False
    else:
        raised = position.value == switch.raised
    value = switch.raised if raised else position.lowered
    if value == position.value:
        return "switch_stays", value
    return ("switch_on" if raised else "switch_off"), value
