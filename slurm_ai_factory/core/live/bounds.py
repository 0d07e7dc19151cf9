"""Bounds that Slurm enforces on the steered side, whatever its shares: limits, licences, reservations. Pure.

Rule: a bound has a share only where it holds for every job of the side, however long it runs. Other limits
are listed without one. The share is of the whole machine: a side that a bound holds below its promise cannot
be brought there by shares while the machine is full. For each TRES Slurm takes the limit of the partition's
QOS first, then that of the job's QOS, and that of an association only where neither has one
(resource_limits.html); so what a QOS allows is added to what an association leaves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import fsum, inf
from typing import NamedTuple

from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.core.tres import Count, parse_tres

LimitTexts = Mapping[str, str]
"""A limit's name in sacctmgr -> its value there: ``{"GrpTRES": "cpu=8"}``; those that are set."""

Caps = Mapping[str, float]
"""TRES -> the most of it that may be held at once; a TRES without a bound is missing."""

HELD, SPENT = "GrpTRES", "GrpTRESMins"
"""The limits that bound a share: what may be held at once, and what usage may add up to."""
BOTH = (HELD, SPENT)


class LimitedAssociation(NamedTuple):
    """An association with its limits, and the QOS that its jobs may have."""

    number: int
    parent: int
    account: str
    user: str
    limits: LimitTexts
    qos: tuple[str, ...]


class LimitedQos(NamedTuple):
    """A QOS with its limits."""

    name: str
    limits: LimitTexts
    relative: bool  #: Flags=Relative: the limits are percentages of the cluster
    decays: bool  #: no Flags=NoDecay: its usage decays


class Licence(NamedTuple):
    """A licence, or a layer of a hierarchical resource (HRES), which is asked for in the same way."""

    name: str
    total: int
    used: int
    mode: int = 0  #: of an HRES; 0 for a licence


class Withheld(NamedTuple):
    """A reservation of nodes, and who may use it."""

    name: str
    since: Instant
    until: Instant
    nodes: frozenset[str]
    cpus: Count | None  #: reserved; None where Slurm does not say
    accounts: frozenset[str]
    users: frozenset[str]
    open_to_others: bool  #: whether it names groups, QOS or partitions, or who may not use it
    maintenance: bool  #: its nodes are no capacity


class NativeLimits(NamedTuple):
    """Everything that Slurm enforces beside priorities, as read at one time."""

    associations: Sequence[LimitedAssociation] = ()
    qos: Sequence[LimitedQos] = ()
    partition_qos: frozenset[str] = frozenset()  #: the QOS of partitions
    licences: Sequence[Licence] = ()
    reservations: Sequence[Withheld] = ()


class NativeBound(NamedTuple):
    """One bound on the steered side."""

    where: str  #: "account regional"
    limit: str  #: "GrpTRES=gres/gpu=8"
    share: float | None = (
        None  #: the most of the machine that it leaves the side; None where that is not certain
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a bound is measured against."""

    size: Mapping[str, Count]
    nodes: Mapping[str, Mapping[str, Count]]  #: by name
    weights: Mapping[str, Count]  #: of the promise's resource
    window_seconds: int
    memory_seconds: float | None  #: in which usage is forgotten, inf for never; None where it is reset

    def share(self, caps: Caps) -> float | None:
        """The most of the resource that such caps leave, as a share; None where they bound none of it.

        >>> machine = Machine(size={"cpu": 8, "gres/gpu": 4}, nodes={}, weights={"gres/gpu": 1},
        ...                   window_seconds=1, memory_seconds=inf)
        >>> machine.share({"gres/gpu": 1}), machine.share({"cpu": 1}), machine.share({"gres/gpu": 9})
        (0.25, None, 1.0)
        """
        sizes = {name: float(self.size.get(name, 0)) for name in self.weights}
        most = {name: self._most(name, caps) for name in sizes}
        if not all(sizes.values()) or not any(cap < inf for cap in most.values()):
            return None
        left, whole = (
            fsum(float(self.weights[name]) * count for name, count in counts.items())
            for counts in ({name: min(size, most[name]) for name, size in sizes.items()}, sizes)
        )
        return left / whole

    def _most(self, name: str, caps: Caps) -> float:
        """The most of a TRES: by a cap of its own, of its kind, or of nodes, the largest ones."""
        own = min(caps.get(name, inf), caps.get(name.partition(":")[0], inf))
        if "node" not in caps or name == "node" or not self.nodes:
            return own
        counts = sorted((float(node.get(name, 0)) for node in self.nodes.values()), reverse=True)
        return min(own, sum(counts[: int(caps["node"])]))

    def scaled(self, row: LimitedQos, name: str) -> Caps:
        """A limit of a QOS in counts of its TRES; without end where it is a percentage of minutes."""
        caps = limit_counts(row.limits, name)
        if not row.relative:
            return caps
        if name != HELD:
            return dict.fromkeys(caps, inf)
        return {key: count * float(self.size.get(key, inf)) / 100 for key, count in caps.items()}

    def held(self, spent: Caps, *, decays: bool = True) -> Caps:
        """What may be held on average over the window where usage may add up to ``spent`` TRES-minutes.

        A side that begins without usage may spend all of it, and then as much as is forgotten.
        """
        memory = self.memory_seconds if decays else inf
        if memory is None:
            return {}
        return {
            name: 60 * minutes * (1 / self.window_seconds + 1 / memory) for name, minutes in spent.items()
        }


def bounds_on(
    accounts: Collection[str], limits: NativeLimits, machine: Machine, at: Instant, qos: str = ""
) -> list[NativeBound]:
    """Every bound on the jobs of these accounts and those below, or on those of a QOS, at an instant.

    None where the parents of associations go in a circle: then nothing about them is certain.
    """
    names = {row.number: row for row in limits.associations}
    if not all(_ends(row, names) for row in limits.associations):
        return []
    below: dict[int, list[LimitedAssociation]] = defaultdict(list)
    for row in limits.associations:
        below[row.parent].append(row)
    tops = [row for row in limits.associations if row.account in accounts and not row.user]
    side = list(_all_below(tops, below))
    of_side = {qos} if qos else {name for row in side if row.user for name in row.qos}
    rows = [row for row in limits.qos if row.name in of_side]
    of_partitions = [row for row in limits.qos if row.name in limits.partition_qos - of_side]
    over = {name: _any_sum(machine.scaled(row, name) for row in (*rows, *of_partitions)) for name in BOTH}
    bounds = list(_of_accounts(tops, below, machine, over))
    for row in {above.number: above for top in tops for above in _above(top, names)}.values():
        bounds += _each_limit(f"account {row.account}", row.limits, machine, over)
    certain = of_side == {row.name for row in rows}
    bounds += _of_qos(rows, of_partitions, machine, certain=certain)
    return bounds + list(_of_reservations(limits.reservations, side, names, machine, at))


def _ends(row: LimitedAssociation, names: Mapping[int, LimitedAssociation]) -> bool:
    """Whether the way up from an association ends."""
    passed = {row.number}
    while (parent := names.get(row.parent)) is not None:
        if parent.number in passed:
            return False
        passed.add(parent.number)
        row = parent
    return True


def _all_below(
    rows: Iterable[LimitedAssociation], below: Mapping[int, Sequence[LimitedAssociation]]
) -> Iterator[LimitedAssociation]:
    for row in rows:
        yield row
        yield from _all_below(below.get(row.number, ()), below)


def _above(row: LimitedAssociation, names: Mapping[int, LimitedAssociation]) -> Iterator[LimitedAssociation]:
    while (parent := names.get(row.parent)) is not None:
        yield parent
        row = parent


def limit_counts(limits: LimitTexts, name: str) -> Caps:
    """The counts of a limit, 0 included; empty where it is not set. Raises ValueError."""
    entries = limits.get(name, "").split(",") if limits.get(name) else []
    names = (entry.partition("=")[0] for entry in entries)
    return {key: float(parse_tres(entry).get(key, 0)) for key, entry in zip(names, entries, strict=True)}


def _least(left: Caps, right: Caps) -> Caps:
    """Both bounds at once."""
    return {name: min(left.get(name, inf), right.get(name, inf)) for name in left.keys() | right.keys()}


def _any_sum(parts: Iterable[Caps]) -> Caps:
    """What the parts that have a cap have together."""
    total: dict[str, float] = defaultdict(float)
    for part in parts:
        for name, count in part.items():
            total[name] += count
    return total


def _sum(parts: Sequence[Caps]) -> Caps:
    """What all parts have together: bounded only where each of them is."""
    if not parts:
        return {}
    names = reduce(lambda some, more: some & more.keys(), parts, set(parts[0]))
    return {name: sum(part[name] for part in parts) for name in names}


def _of_rows(
    rows: Iterable[LimitedAssociation], name: str, below: Mapping[int, Sequence[LimitedAssociation]]
) -> Caps:
    """What associations may have together, each by its own limit and by those of all below it."""
    each = [
        _least(limit_counts(row.limits, name), _of_rows(below.get(row.number, ()), name, below))
        for row in rows
    ]
    return _sum(each)


def _of_accounts(
    tops: Sequence[LimitedAssociation],
    below: Mapping[int, Sequence[LimitedAssociation]],
    machine: Machine,
    over: Mapping[str, Caps],
) -> Iterator[NativeBound]:
    """The limits of the steered accounts, each its own where it is the only one, and those below together."""
    alone = len(tops) == 1
    for top in tops:
        for bound in _each_limit(f"account {top.account}", top.limits, machine, over):
            yield bound if alone else bound._replace(share=None)
    parts = [row for top in tops for row in below.get(top.number, ())] if alone else tops
    place = f"what is below {tops[0].account}" if alone else "the steered accounts"
    for name in BOTH:
        caps = _of_rows(parts, name, below)
        share = _share(caps, name, machine, over)
        if share is not None:
            yield NativeBound(f"{place} together", f"{name}={caps_text(caps)}", share)


def _share(caps: Caps, name: str, machine: Machine, over: Mapping[str, Caps]) -> float | None:
    """The share that a limit of associations leaves, beside what QOS allow of the same TRES."""
    wide = {key: count + over[name].get(key, 0) for key, count in caps.items()}
    return machine.share(machine.held(wide) if name == SPENT else wide)


def caps_text(caps: Caps) -> str:
    """Caps as sacctmgr takes them; memory is in MiB there too."""
    return ",".join(f"{name}={count:.0f}" for name, count in sorted(caps.items()))


def _each_limit(
    where: str, limits: LimitTexts, machine: Machine, over: Mapping[str, Caps]
) -> Iterator[NativeBound]:
    """The limits of an association, those that bound a share with it."""
    for name, text in limits.items():
        share = _share(limit_counts(limits, name), name, machine, over) if name in BOTH else None
        yield NativeBound(where, f"{name}={text}", share)


def _of_qos(
    rows: Sequence[LimitedQos], of_partitions: Sequence[LimitedQos], machine: Machine, *, certain: bool
) -> Iterator[NativeBound]:
    """The limits of the QOS that jobs of the side may have, and what all of these leave together.

    ``certain`` says whether each of them was read.
    """
    for row in rows:
        unit = " % of the cluster" if row.relative else ""
        yield from (
            NativeBound(f"QOS {row.name}", f"{name}={text}{unit}") for name, text in row.limits.items()
        )
    each = {row.name: _of_one_qos(row, machine) for row in rows}
    wider = _any_sum(_of_one_qos(row, machine) for row in of_partitions)
    caps = {name: count + wider.get(name, 0) for name, count in _sum(list(each.values())).items()}
    share = machine.share(caps)
    if certain and share is not None:
        yield NativeBound(f"QOS {', '.join(each)}", f"{HELD} or {SPENT}", share)


def _of_one_qos(row: LimitedQos, machine: Machine) -> Caps:
    spent = machine.held(machine.scaled(row, SPENT), decays=row.decays)
    return _least(machine.scaled(row, HELD), spent)


def _of_reservations(
    reservations: Iterable[Withheld],
    side: Sequence[LimitedAssociation],
    names: Mapping[int, LimitedAssociation],
    machine: Machine,
    at: Instant,
) -> Iterator[NativeBound]:
    """The reservations that now keep whole nodes from the side, and what they leave together."""
    accounts = {row.account for row in side} | {above.account for row in side for above in _above(row, names)}
    users = {row.user for row in side} - {""}
    rows = [
        row
        for row in reservations
        if row.since <= at < row.until
        and not (row.open_to_others or row.maintenance)
        and accounts.isdisjoint(row.accounts)
        and users.isdisjoint(row.users)
        and _whole(row, machine)
    ]
    nodes = {name for row in rows for name in row.nodes}
    kept = _any_sum(
        {name: float(machine.nodes[node].get(name, 0)) for name in machine.weights} for node in nodes
    )
    share = machine.share({name: float(machine.size.get(name, 0)) - count for name, count in kept.items()})
    if share is not None:
        place = ", ".join(sorted(row.name for row in rows))
        yield NativeBound(f"reservation {place}", f"nodes={len(nodes)}", share)


def _whole(row: Withheld, machine: Machine) -> bool:
    """Whether a reservation has all of its nodes, which are known, and not only some of their CPUs."""
    if not row.nodes or row.cpus is None or not row.nodes <= machine.nodes.keys():
        return False
    return row.cpus >= sum(machine.nodes[name].get("cpu", 0) for name in row.nodes)


def binding(bounds: Iterable[NativeBound], promised: float) -> list[NativeBound]:
    """The bounds that leave the side less than it is promised, the tightest first."""
    rows = [row for row in bounds if row.share is not None and row.share < promised]
    return sorted(rows, key=lambda row: row.share or 0.0)
