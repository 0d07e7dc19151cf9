"""Which nodes to keep free so that the connection stays within what is allowed. Pure.

With P the power that is expected and L what is allowed, N = ceil((P - L) / (p_busy - p_idle)) nodes must not
run jobs. One reservation keeps them free for the next quarters in a row in which N is above 0, with the
greatest N of these. The rule: nothing is killed. A reservation ignores running jobs, so they end by
themselves, and jobs that would not end before it begins do not start on its nodes. Another's reservation is
never touched: ours has our name, and the ledger has its beginning.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from math import ceil
from typing import NamedTuple

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.energy.allowed import AllowedEntry, least, quarters
from slurm_ai_factory.core.energy.meters import QUARTER
from slurm_ai_factory.core.records import FOREVER, Instant, Outage
from slurm_ai_factory.core.words import count

SAME_START_SECONDS = 120
"""How far the beginning of ours may be from what the ledger has: a late one begins when it is made."""

FLAGS = frozenset({"MAINT", "IGNORE_JOBS"})
"""Of our reservation: its time is charged to no account, and jobs that run stay."""


class GridMode(StrEnum):
    """What is done about a limit."""

    OFF = "off"
    PLAN = "plan"  #: say what would be done
    ADVISE = "advise"  #: record it as well
    ENFORCE = "enforce"  #: do it


class ActKind(StrEnum):
    """What is done to the reservation."""

    CREATE = "create"
    CHANGE = "change"
    END = "end"


class ActOutcome(StrEnum):
    """What became of an act."""

    ADVISED = "advised"
    PLANNED = "planned"
    APPLIED = "applied"
    FAILED = "failed"


class ReservedNow(NamedTuple):
    """A reservation as slurmctld has it."""

    name: str
    since: Instant
    until: Instant
    nodes: frozenset[str]
    flags: frozenset[str] = FLAGS


class NodeNow(NamedTuple):
    """A node as slurmctld has it."""

    name: str
    usable: bool  #: whether jobs may start on it, now or after it was woken
    busy_until: Instant = 0  #: when its last job ends at the latest; FOREVER where one has no limit
    tres: str = ""


class ReservationAct(NamedTuple):
    """What to do to our reservation; for an end, what it is."""

    kind: ActKind
    name: str
    since: Instant
    until: Instant
    nodes: tuple[str, ...]

    def achieved(self, reserved: ReservedNow | None) -> bool:
        """Whether slurmctld has what was wanted."""
        if self.kind is ActKind.END:
            return reserved is None
        return reserved is not None and (
            abs(reserved.since - self.since) <= SAME_START_SECONDS
            and (reserved.until, reserved.nodes) == (self.until, frozenset(self.nodes))
        )


class DoneAct(NamedTuple):
    """An act as the ledger has it, with what became of it."""

    act_id: int
    act: ReservationAct
    outcome: ActOutcome

    def owns(self, reserved: ReservedNow) -> bool:
        """Whether this act, the newest, left the reservation that slurmctld has now.

        A change that was begun may have moved the beginning, or not yet.
        """
        if self.outcome is ActOutcome.PLANNED and self.act.kind is ActKind.CHANGE:
            return True
        ended = self.act.kind is ActKind.END and self.outcome is ActOutcome.APPLIED
        return not ended and abs(reserved.since - self.act.since) <= SAME_START_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepingPolicy:
    """How nodes are kept free."""

    name: str  #: of the reservation
    busy_watts: Decimal  #: of a node that runs jobs
    idle_watts: Decimal
    ahead_seconds: int  #: how far ahead a limit is looked at


class LimitedStretch(NamedTuple):
    """Quarters in a row in which fewer nodes may run jobs."""

    since: Instant
    until: Instant
    nodes: int  #: that must not run jobs
    limit_kw: Fraction  #: the least that is allowed in them


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What is to be done, and why."""

    at: Instant
    reason: str  #: create, change, end, standing, no_limit, or one of HOLDING_REASONS
    sentence: str
    stretch: LimitedStretch | None = None  #: the next limit, or the present one
    expected_kw: Fraction | None = None  #: None where it is not known
    busy: tuple[str, ...] = ()  #: nodes to keep free with a job that may end after the beginning
    lacking: int = 0  #: nodes to keep free that there are not
    tres: Mapping[str, str] = field(default_factory=dict)  #: of each node to keep free
    act: ReservationAct | None = None

    @property
    def held(self) -> bool:
        """Whether nothing can be done although a limit may need it."""
        return self.reason in HOLDING_REASONS


HOLDING_REASONS = frozenset({"no_profile", "no_power", "foreign", "paused", "unread"})
"""For these no node is kept free, although a limit may need it; docs/howto/grid.md has the remedies."""


def next_stretch(
    entries: Sequence[AllowedEntry], expected_kw: Fraction, policy: KeepingPolicy, now: Instant
) -> LimitedStretch | None:
    """The present or next quarters in a row in which less is allowed than is expected; None where none is."""
    node_kw = Fraction(policy.busy_watts - policy.idle_watts) / 1000
    begin, end = now - now % QUARTER, now + policy.ahead_seconds
    strictest = least(entries, begin, end)
    over = [
        (at, Fraction(strictest[at].allowed.max_kw))
        for at in quarters(begin, end)
        if at in strictest and strictest[at].allowed.max_kw < expected_kw
    ]
    row = [pair for place, pair in enumerate(over) if pair[0] == over[0][0] + place * QUARTER]
    if not row:
        return None
    limit = min(kw for _, kw in row)
    return LimitedStretch(row[0][0], row[-1][0] + QUARTER, ceil((expected_kw - limit) / node_kw), limit)


def chosen_nodes(
    nodes: Sequence[NodeNow], ours: Collection[str], taken: Collection[str], since: Instant, number: int
) -> list[NodeNow]:
    """The nodes to keep free: those that are free at the beginning, first those that are kept already.

    Nodes in another's reservation and nodes that cannot run jobs are left out.

    >>> nodes = [NodeNow("a", True, 50), NodeNow("b", True, 200), NodeNow("c", True), NodeNow("d", False)]
    >>> [node.name for node in chosen_nodes(nodes, {"a"}, (), 100, 2)]
    ['a', 'c']
    """
    able = [node for node in nodes if node.usable and node.name not in taken]
    order = sorted(
        able,
        key=lambda node: (
            node.busy_until if node.busy_until > since else 0,
            node.name not in ours,
            node.busy_until,
            node.name,
        ),
    )
    return order[:number]


def decide_keeping(
    policy: KeepingPolicy,
    entries: Sequence[AllowedEntry],
    expected_kw: Fraction | None,
    nodes: Sequence[NodeNow],
    reserved: Sequence[ReservedNow],
    last: DoneAct | None,
    now: Instant,
) -> Keeping:
    """What to do to our reservation now; ``last`` is the newest act that was tried on it."""
    ours = next((each for each in reserved if each.name == policy.name), None)
    if ours and not (last and last.owns(ours)):
        sentence = (
            f"a reservation {policy.name} is there that saf did not make, so nothing is done; end it, or "
            "choose another name in grid.reservation"
        )
        return Keeping(at=now, reason="foreign", sentence=sentence, expected_kw=expected_kw)
    if not entries:
        sentence = "no allowed power is recorded, so no limit is known; see `saf grid import`"
        return Keeping(at=now, reason="no_profile", sentence=sentence, expected_kw=expected_kw)
    if expected_kw is None:
        sentence = (
            "no reading of P_15MIN is recent enough to expect any power; import it, or set grid.expected"
        )
        return Keeping(at=now, reason="no_power", sentence=sentence)
    stretch = next_stretch(entries, expected_kw, policy, now)
    if stretch is None or (ours and ours.since <= now < stretch.since):
        return _without_limit(ours, expected_kw, now)
    others = {
        name
        for each in reserved
        if each.name != policy.name and each.since < stretch.until and each.until > stretch.since
        for name in each.nodes
    }
    begin = max(now, stretch.since)
    kept = chosen_nodes(nodes, ours.nodes if ours else (), others, begin, stretch.nodes)
    return _with_limit(policy, stretch, kept, ours, expected_kw, now)


def _without_limit(ours: ReservedNow | None, expected_kw: Fraction, now: Instant) -> Keeping:
    """Nothing is limited now: our reservation, if it is there, is ended."""
    expected = f"{float(expected_kw):.0f} kW are expected, which is allowed"
    if ours is None:
        return Keeping(at=now, reason="no_limit", sentence=f"{expected}; no node is kept free",
                       expected_kw=expected_kw)  # fmt: skip
    act = ReservationAct(ActKind.END, ours.name, ours.since, ours.until, tuple(sorted(ours.nodes)))
    return Keeping(at=now, reason="end", sentence=f"{expected} again: the reservation {ours.name} is ended",
                   expected_kw=expected_kw, act=act)  # fmt: skip


def _with_limit(
    policy: KeepingPolicy,
    stretch: LimitedStretch,
    kept: Sequence[NodeNow],
    ours: ReservedNow | None,
    expected_kw: Fraction,
    now: Instant,
) -> Keeping:
    since = ours.since if ours and ours.since <= now else max(now, stretch.since)
    names = tuple(sorted(node.name for node in kept))
    kind = ActKind.CHANGE if ours else ActKind.CREATE
    wanted = ReservationAct(kind, policy.name, since, stretch.until, names)
    act = wanted if names and not wanted.achieved(ours) else None
    busy = tuple(node.name for node in kept if node.busy_until > max(now, stretch.since))
    lacking = stretch.nodes - len(names)
    return Keeping(
        at=now, reason=kind.value if act else "standing", sentence=_why(stretch, expected_kw, busy, lacking),
        stretch=stretch, expected_kw=expected_kw, busy=busy, lacking=lacking,
        tres={node.name: node.tres for node in kept}, act=act,
    )  # fmt: skip


def _why(stretch: LimitedStretch, expected_kw: Fraction, busy: Sequence[str], lacking: int) -> str:
    """The limit and what it needs, in one sentence."""
    span = f"{windows.iso(stretch.since)}..{windows.iso(stretch.until)}"
    sentence = (
        f"{float(stretch.limit_kw):.0f} kW are allowed in {span} and {float(expected_kw):.0f} kW expected: "
        f"{count(stretch.nodes, 'node')} must be free of jobs"
    )
    if busy:
        sentence += f"; {count(len(busy), 'node')} may still run a job then, which is not killed"
    if lacking:
        sentence += f"; {count(lacking, 'node')} more would be needed than can be kept free"
    return sentence


def keeping_inputs(keeping: Keeping) -> dict[str, object]:
    """What an act rests on, as the ledger keeps it."""
    stretch = keeping.stretch
    return {
        "expected_kw": None if keeping.expected_kw is None else float(keeping.expected_kw),
        "limit_kw": float(stretch.limit_kw) if stretch else None,
        "nodes_needed": stretch.nodes if stretch else 0,
        "nodes_busy": len(keeping.busy),
        "nodes_lacking": keeping.lacking,
        "tres": dict(keeping.tres),
    }


def busy_by_node(rows: Sequence[tuple[Instant | None, Sequence[str]]]) -> dict[str, Instant]:
    """When the last job of each node ends at the latest, by rows of (end, nodes); None is never.

    >>> busy_by_node([(9, ["a", "b"]), (None, ["b"])]) == {"a": 9, "b": FOREVER}
    True
    """
    ends: dict[str, Instant] = {}
    for end, names in rows:
        for name in names:
            ends[name] = max(ends.get(name, 0), FOREVER if end is None else end)
    return ends


class Applied(NamedTuple):
    """An act that slurmctld confirmed."""

    at: Instant
    act: ReservationAct
    tres: Mapping[str, str]  #: of each node, at the time of the act


def kept_free(acts: Sequence[Applied]) -> list[Outage]:
    """When each node was kept free, as outages: while it was reserved, it was no capacity.

    ``acts`` are those of one reservation in their order: each lasts until the next one, or until its end.

    >>> create = ReservationAct(ActKind.CREATE, "r", 100, 200, ("a", "b"))
    >>> change = create._replace(kind=ActKind.CHANGE, until=300, nodes=("b",))
    >>> tres = {"a": "cpu=4", "b": "cpu=4"}
    >>> acts = [Applied(50, create, tres), Applied(150, change, tres)]
    >>> [(outage.node, outage.since, outage.until) for outage in kept_free(acts)]
    [('a', 100, 150), ('b', 100, 150), ('b', 150, 300)]
    """
    free = []
    for number, (at, act, tres) in enumerate(acts):
        following = acts[number + 1].at if number + 1 < len(acts) else act.until
        since, until = max(at, act.since), min(act.until, following)
        if act.kind is not ActKind.END and since < until:
            free += [Outage(node, since, until, "KEPT_FREE", tres.get(node, "")) for node in act.nodes]
    return free
