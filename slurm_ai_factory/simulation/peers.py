"""Other schedulers' rules for two sides, each as the question which side starts a job next.

``next_side`` is asked before each job that the scheduler looks at. A side's own jobs stay in the order of
their priorities. No rule takes back what runs, as none of Slurm's does; what that changes in a rule that
was made for a system that does is in docs/decisions/0017-peers.md, with the sources.

``f`` is the region's part of the machine (``peer_share``) and ``1 - f`` that of the others. Amounts are of
the promised resource, charges and credits are resource-seconds.
"""

from __future__ import annotations

from math import log
from typing import NamedTuple

from numba import njit

from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.simulation.arrays import (
    ALL,
    NOW,
    OTHERS_WAITING,
    REGIONAL,
    UP,
    WAITING,
    ModelRules,
    State,
)

NONE, GUARANTEE, KARMA, DMMF, KAI, FSTARGET, ONESIDED = range(7)

KINDS = {
    "guarantee": GUARANTEE, "karma": KARMA, "dmmf": DMMF, "kai": KAI, "fstarget": FSTARGET,
    "onesided": ONESIDED,
}  # fmt: skip
"""By the name of the policy; the others of ``policies`` order jobs by their priorities alone."""

(USED, USED_ALL, DECAYED, DECAYED_ALL, DECAYED_UP, CREDIT, OTHERS_CREDIT, BEFORE, BEFORE_ALL, SINCE) = range(
    10
)
"""Places in ``State.memory``: charge of the region and of all; both decayed, and what was up decayed; credits
of both sides; charge before the trailing window, and the hour in which that begins."""

REGION_NEXT, BY_PRIORITY, OTHERS_NEXT = 1, 0, -1


class Peer(NamedTuple):
    """A rule and its two numbers; ``extra`` is alpha of karma, k of kai and the seconds of onesided."""

    kind: int = NONE
    share: float = 0.0
    extra: float = 0.0


NO_PEER = Peer()


@njit(cache=True)
def remember(rules: ModelRules, state: State, seconds: int) -> None:
    """Add what the last ``seconds`` were, in which nothing changed, to what the rules remember."""
    memory, rates = state.memory, state.rates
    memory[USED] += rates[REGIONAL] * seconds
    memory[USED_ALL] += rates[ALL] * seconds
    left, gained = 1.0, float(seconds)
    if rules.half_life:
        left = 0.5 ** (seconds / rules.half_life)
        gained = (1.0 - left) * rules.half_life / log(2.0)
    memory[DECAYED] = memory[DECAYED] * left + rates[REGIONAL] * gained
    memory[DECAYED_ALL] = memory[DECAYED_ALL] * left + rates[ALL] * gained
    memory[DECAYED_UP] = memory[DECAYED_UP] * left + rates[UP] * gained
    if rules.peer == KARMA:
        _trade(rules, state, seconds)
    if rules.peer == ONESIDED:
        _move_window(rules, state)


@njit(cache=True)
def _trade(rules: ModelRules, state: State, seconds: int) -> None:
    """Credits of Karma: what is borrowed is paid for, to the other side as far as that had donated it."""
    rates, share = state.rates, rules.peer_share
    regional, others = rates[REGIONAL], rates[ALL] - rates[REGIONAL]
    own, theirs = rules.peer_extra * share * rates[UP], rules.peer_extra * (1.0 - share) * rates[UP]
    borrowed, lent = max(0.0, regional - own), max(0.0, own - regional - rates[WAITING])
    others_borrowed, others_lent = (
        max(0.0, others - theirs),
        max(0.0, theirs - others - rates[OTHERS_WAITING]),
    )
    free = (1.0 - rules.peer_extra) * rates[UP]
    state.memory[CREDIT] += seconds * (share * free - borrowed + min(lent, others_borrowed))
    state.memory[OTHERS_CREDIT] += seconds * (
        (1.0 - share) * free - others_borrowed + min(others_lent, borrowed)
    )


@njit(cache=True)
def _move_window(rules: ModelRules, state: State) -> None:
    """Let the trailing window begin at the whole hour before now less its length, as rolling windows do."""
    first = max(0, int(state.at[NOW] - rules.peer_extra) // HOUR)
    for hour in range(int(state.memory[SINCE]), first):
        state.memory[BEFORE] += state.hours[hour, REGIONAL]
        state.memory[BEFORE_ALL] += state.hours[hour, ALL]
    state.memory[SINCE] = first


@njit(cache=True)
def next_side(rules: ModelRules, state: State) -> int:
    """Whose job is looked at next, where both sides have one: REGION_NEXT, OTHERS_NEXT or BY_PRIORITY."""
    rates, memory, share = state.rates, state.memory, rules.peer_share
    regional, others, up = rates[REGIONAL], rates[ALL] - rates[REGIONAL], rates[UP]
    if rules.peer == GUARANTEE:
        owed = guaranteed(share, up, regional + rates[WAITING], others + rates[OTHERS_WAITING])
        return REGION_NEXT if regional < owed else OTHERS_NEXT
    if rules.peer == KARMA:
        own, theirs = regional - rules.peer_extra * share * up, others - rules.peer_extra * (1.0 - share) * up
        if (own < 0) != (theirs < 0):
            return REGION_NEXT if own < 0 else OTHERS_NEXT
        return _less(memory[OTHERS_CREDIT], memory[CREDIT])
    if rules.peer == DMMF:
        return _less(memory[USED] * (1.0 - share), (memory[USED_ALL] - memory[USED]) * share)
    if rules.peer == KAI:
        weight, others_weight = kai_weights(
            share, rules.peer_extra, memory[DECAYED], memory[DECAYED_ALL], memory[DECAYED_UP]
        )
        return _less(regional * others_weight, others * weight)
    if rules.peer == FSTARGET:
        return REGION_NEXT if memory[DECAYED] < share * memory[DECAYED_ALL] else BY_PRIORITY
    since = memory[USED_ALL] - memory[BEFORE_ALL]
    return REGION_NEXT if memory[USED] - memory[BEFORE] < share * since else BY_PRIORITY


@njit(cache=True)
def _less(regional: float, others: float) -> int:
    """The side with less goes first; where both have the same, priority decides."""
    return REGION_NEXT if regional < others else OTHERS_NEXT if others < regional else BY_PRIORITY


@njit(cache=True)
def guaranteed(share: float, up: float, demand: float, others_demand: float) -> float:
    """What a guarantee gives the region now: its demand, at most its part or what the others leave."""
    return min(demand, max(share * up, up - others_demand))


@njit(cache=True)
def kai_weights(
    share: float, k: float, decayed: float, decayed_all: float, decayed_up: float
) -> tuple[float, float]:
    """KAI's weights of both sides, max(0, s + k (s - U / T)); their parts s where neither has any left."""
    used = decayed / decayed_up if decayed_up else 0.0
    others_used = (decayed_all - decayed) / decayed_up if decayed_up else 0.0
    regional = max(0.0, share + k * (share - used))
    others = max(0.0, 1.0 - share + k * (1.0 - share - others_used))
    return (regional, others) if regional + others > 0 else (share, 1.0 - share)
