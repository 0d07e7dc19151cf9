"""Capacity: how much of a resource was up, hour by hour, from the cluster's own events.

Slurm records the size of the whole cluster whenever it changes, and for each node the times in which it was
down, drained or switched off to save power (cluster events). Capacity is size minus outages, clipped to the
interval; a node that is switched off to save power starts when a job wants it, so it is not out. Where no
size is known the answer is None, never zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.charge import hour_of
from slurm_ai_factory.core.records import HOUR, Charge, Instant, Outage, Size

SAVING = frozenset((
    "POWERED_DOWN", "POWERING_DOWN", "POWERING_UP", "POWER_DOWN", "POWER_UP", "CLOUD",
))  # fmt: skip
SAVING_SUFFIXES = frozenset("~#%!")
"""Powered off, powering up, powering down, to be powered off."""

AVAILABLE = frozenset((
    "ALLOCATED", "MIXED", "IDLE", "COMPLETING", "RESERVED", "PLANNED", "UNDRAIN", "RESUME", "CANCEL_REBOOT",
    "DYNAMIC_NORM", "BLOCKED", "PERFCTRS", "EXTERNAL",
))  # fmt: skip
AVAILABLE_SUFFIXES = frozenset("-")
"""Words and suffixes that mean neither saving power nor an outage; every other one means one of them."""


def is_out(state: str) -> bool:
    """Whether a node's event in this state, as sacctmgr prints it, is an outage.

    It is not where the node saves power and no other word means an outage. An event with unknown words, or
    with none about power, is what Slurm records events for: an outage. The words are those of 22.05 to 26.05
    (slurm_protocol_defs.c: node_state_string, node_state_flag_string).

    >>> [is_out(s) for s in ("IDLE~", "IDLE+CLOUD+POWERED_DOWN", "DOWN~", "IDLE*", "NEW+POWER_UP", "")]
    [False, False, True, True, True, True]
    """
    saves = False
    for part in state.split("+"):
        word = part.rstrip("~#%!*$@^-")
        suffixes = set(part[len(word) :])
        if word not in SAVING | AVAILABLE or suffixes - SAVING_SUFFIXES - AVAILABLE_SUFFIXES:
            return True
        saves = saves or word in SAVING or bool(suffixes & SAVING_SUFFIXES)
    return not saves


def capacity_by_hour(
    sizes: Sequence[Size],
    outages: Iterable[Outage],
    weights: Mapping[str, tres.Count],
    since: Instant,
    until: Instant,
) -> dict[Instant, Charge] | None:
    """Resource-seconds that were up in each hour of [since, until); None when no size is known in it.

    >>> whole = [Size(0, None, "cpu=16")]
    >>> capacity_by_hour(whole, [Outage("n1", 3000, 4200, "DOWN", "cpu=4")], {"cpu": 1}, 0, 7200)
    {0: 55200, 3600: 55200}
    >>> capacity_by_hour([], [], {"cpu": 1}, 0, 7200) is None
    True
    """
    hours: defaultdict[Instant, Charge] = defaultdict(int)
    for since_, until_, text in sizes:
        _add(hours, tres.weigh(tres.parse_tres(text), weights), *_clip(since_, until_, since, until))
    if not hours:
        return None
    nodes: defaultdict[str, list[Outage]] = defaultdict(list)
    for outage in outages:
        if is_out(outage.state):
            nodes[outage.node].append(outage)
    for node in nodes.values():
        for since_, until_, text in _disjoint(sorted(node, key=lambda outage: outage.since)):
            _add(hours, -tres.weigh(tres.parse_tres(text), weights), *_clip(since_, until_, since, until))
    return {hour: max(0, charge) for hour, charge in sorted(hours.items())}


def _clip(since_: Instant, until_: Instant | None, since: Instant, until: Instant) -> tuple[Instant, Instant]:
    return max(since_, since), until if until_ is None else min(until_, until)


def _add(hours: defaultdict[Instant, Charge], count: tres.Count, start: Instant, end: Instant) -> None:
    """Add ``count`` for [start, end): whole hours, less the parts of the first and the last outside it."""
    if start >= end:
        return
    first, last, a_whole = hour_of(start), hour_of(end - 1), count * HOUR
    for hour in range(first, last + 1, HOUR):
        hours[hour] += a_whole
    hours[first] -= count * (start - first)
    hours[last] -= count * (last + HOUR - end)


def _disjoint(outages: Iterable[Outage]) -> Iterator[tuple[Instant, Instant | None, str]]:
    """One node's outages without overlaps: a node cannot be out twice at once."""
    reached: Instant | None = 0
    for outage in outages:
        if reached is None:
            return
        since = max(outage.since, reached)
        if outage.until is None or outage.until > since:
            yield since, outage.until, outage.tres
            reached = outage.until
