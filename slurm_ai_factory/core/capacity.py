"""Capacity: how much of a resource was up, hour by hour, from the cluster's own events.

Slurm records the size of the whole cluster whenever it changes, and for each node the times in which it was
down or drained (cluster events). Capacity is size minus outages, clipped to the interval asked for. Where no
size is known the answer is None, never zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.charge import hour_of
from slurm_ai_factory.core.records import HOUR, Charge, Instant, Outage, Size


def by_hour(
    sizes: Sequence[Size],
    outages: Iterable[Outage],
    weights: Mapping[str, tres.Count],
    since: Instant,
    until: Instant,
) -> dict[Instant, Charge] | None:
    """Resource-seconds that were up in each hour of [since, until); None when no size is known in it.

    >>> whole = [Size(0, None, "cpu=16")]
    >>> by_hour(whole, [Outage("n1", 3000, 4200, "DOWN", "cpu=4")], {"cpu": 1}, 0, 7200)
    {0: 55200, 3600: 55200}
    >>> by_hour([], [], {"cpu": 1}, 0, 7200) is None
    True
    """
    hours: defaultdict[Instant, Charge] = defaultdict(int)
    for since_, until_, text in sizes:
        _add(hours, tres.weigh(tres.parse(text), weights), *_clip(since_, until_, since, until))
    if not hours:
        return None
    for node in _by_node(outages):
        for since_, until_, text in node:
            _add(hours, -tres.weigh(tres.parse(text), weights), *_clip(since_, until_, since, until))
    return {hour: max(0, charge) for hour, charge in sorted(hours.items())}


def _clip(since_: Instant, until_: Instant | None, since: Instant, until: Instant) -> tuple[Instant, Instant]:
    return max(since_, since), until if until_ is None else min(until_, until)


def _add(hours: defaultdict[Instant, Charge], count: tres.Count, start: Instant, end: Instant) -> None:
    """Whole hours, less what of the first and the last is outside."""
    if start >= end:
        return
    first, last, a_whole = hour_of(start), hour_of(end - 1), count * HOUR
    for hour in range(first, last + 1, HOUR):
        hours[hour] += a_whole
    hours[first] -= count * (start - first)
    hours[last] -= count * (last + HOUR - end)


def _by_node(outages: Iterable[Outage]) -> Iterator[list[tuple[Instant, Instant | None, str]]]:
    """Each node's outages with overlaps removed: a node cannot be missing twice at once."""
    nodes: dict[str, list[Outage]] = {}
    for outage in outages:
        nodes.setdefault(outage.node, []).append(outage)
    for ones in nodes.values():
        yield list(_disjoint(sorted(ones, key=lambda one: one.since)))


def _disjoint(outages: Iterable[Outage]) -> Iterator[tuple[Instant, Instant | None, str]]:
    reached: Instant | None = 0
    for one in outages:
        if reached is None:
            return
        since = max(one.since, reached)
        if one.until is None or one.until > since:
            yield since, one.until, one.tres
            reached = one.until
