"""Which nodes are kept free: the number, the choice, and what is done whatever was interrupted before."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.energy.allowed import AllowedEntry
from slurm_ai_factory.core.energy.keeping import (
    ActKind,
    ActOutcome,
    DoneAct,
    Keeping,
    KeepingPolicy,
    NodeNow,
    ReservationAct,
    ReservedNow,
    decide_keeping,
)
from slurm_ai_factory.core.energy.meters import QUARTER
from slurm_ai_factory.core.records import FOREVER
from tests.core.energy.test_allowed import entry, row

POLICY = KeepingPolicy(
    name="saf-grid", busy_watts=Decimal(1000), idle_watts=Decimal(500), ahead_seconds=40 * QUARTER
)
NODES = [NodeNow(f"n{number}", True) for number in range(1, 6)]
CONTRACT = entry(1, row(-100, 1000, 9))
LIMIT = entry(2, row(8, 12, 4))


def decided(
    *entries: AllowedEntry,
    expected: int | None = 5,
    nodes: list[NodeNow] = NODES,
    reserved: tuple[ReservedNow, ...] = (),
    last: DoneAct | None = None,
    now: int = 0,
) -> Keeping:
    kw = None if expected is None else Fraction(expected)
    return decide_keeping(POLICY, entries, kw, nodes, reserved, last, now)


def ours(*names: str, since: int = 8 * QUARTER, until: int = 12 * QUARTER) -> ReservedNow:
    return ReservedNow("saf-grid", since, until, frozenset(names))


def made(reserved: ReservedNow, outcome: ActOutcome = ActOutcome.APPLIED) -> DoneAct:
    nodes = tuple(sorted(reserved.nodes))
    return DoneAct(
        1, ReservationAct(ActKind.CREATE, "saf-grid", reserved.since, reserved.until, nodes), outcome
    )


def test_nodes_are_kept_free_for_the_limit() -> None:
    """1 kW too much, and a node saves half a kW."""
    keeping = decided(CONTRACT, LIMIT)
    assert keeping.act == ReservationAct(ActKind.CREATE, "saf-grid", 8 * QUARTER, 12 * QUARTER, ("n1", "n2"))
    assert "4 kW are allowed in 1970-01-01T02:00:00Z..1970-01-01T03:00:00Z" in keeping.sentence


@given(st.integers(0, 12), st.integers(1, 8))
def test_the_free_nodes_save_enough_and_one_fewer_would_not(expected: int, limit: int) -> None:
    stretch = decided(CONTRACT, entry(2, row(8, 12, limit)), expected=expected).stretch
    if expected <= limit:
        assert stretch is None or expected > 9
    else:
        assert stretch is not None
        assert stretch.limit_kw <= limit
        assert (
            expected - stretch.limit_kw
            <= Fraction(stretch.nodes, 2)
            < expected - stretch.limit_kw + Fraction(1, 2)
        )


@pytest.mark.parametrize(
    ("entries", "reason"), [([], "no_profile"), ([CONTRACT, LIMIT], "no_power")], ids=str
)
def test_what_is_not_known_is_a_hold_and_ends_nothing(entries: list[AllowedEntry], reason: str) -> None:
    keeping = decided(*entries, expected=None, reserved=(ours("n1"),), last=made(ours("n1")))
    assert (keeping.reason, keeping.held, keeping.act) == (reason, True, None)


def test_the_choice_avoids_jobs_others_reservations_and_broken_nodes() -> None:
    begin = 8 * QUARTER
    nodes = [NodeNow("n1", True, FOREVER), NodeNow("n2", True, begin), NodeNow("n3", True),
             NodeNow("n4", False), NodeNow("n5", True)]  # fmt: skip
    theirs = ReservedNow("theirs", begin + QUARTER, FOREVER, frozenset({"n5"}))
    later = ReservedNow("later", 12 * QUARTER, FOREVER, frozenset({"n3"}))
    keeping = decided(CONTRACT, LIMIT, nodes=nodes, reserved=(theirs, later))
    assert keeping.act
    assert (keeping.act.nodes, keeping.busy, keeping.lacking) == (("n2", "n3"), (), 0)
    more = decided(CONTRACT, LIMIT, expected=6, nodes=nodes, reserved=(theirs, later))
    assert more.act
    assert (more.act.nodes, more.busy, more.lacking) == (("n1", "n2", "n3"), ("n1",), 1)
    assert (
        "1 node may still run a job then, which is not killed; 1 node more would be needed" in more.sentence
    )


STANDING = ours("n3", "n4")


@pytest.mark.parametrize(
    ("reserved", "last", "now", "kind"),
    [
        (STANDING, made(STANDING), 0, None),
        (STANDING, made(STANDING), 10 * QUARTER, None),
        (ours("n3"), made(ours("n3")), 0, ActKind.CHANGE),
        (ours("n3", "n4", "n5"), made(STANDING), 10 * QUARTER, ActKind.CHANGE),
        (ours("n3", "n4", until=13 * QUARTER), made(STANDING), 0, ActKind.CHANGE),
        (ours("n3", "n4", since=9 * QUARTER), made(ours("n3", since=9 * QUARTER)), 0, ActKind.CHANGE),
        (ours("n3", since=0), made(ours("n3", since=0)), QUARTER, ActKind.END),
        (None, made(STANDING), 0, ActKind.CREATE),
        (STANDING, made(STANDING, ActOutcome.PLANNED), 0, None),
        (STANDING, made(STANDING, ActOutcome.FAILED), 0, None),
    ],
)
def test_the_present_reservation_is_compared_with_the_wanted_one(
    reserved: ReservedNow | None, last: DoneAct, now: int, kind: ActKind | None
) -> None:
    keeping = decided(CONTRACT, LIMIT, reserved=(reserved,) if reserved else (), last=last, now=now)
    assert (keeping.act and keeping.act.kind) == kind


@pytest.mark.parametrize(
    "last",
    [
        None,
        made(ours("n1", since=QUARTER)),
        DoneAct(
            2, ReservationAct(ActKind.END, "saf-grid", 8 * QUARTER, 12 * QUARTER, ("n1",)), ActOutcome.APPLIED
        ),
    ],
)
@pytest.mark.parametrize("entries", [[], [CONTRACT], [CONTRACT, LIMIT]])
def test_anothers_reservation_of_our_name_is_never_touched(
    entries: list[AllowedEntry], last: DoneAct | None
) -> None:
    keeping = decided(*entries, reserved=(ours("n1"),), last=last)
    assert (keeping.reason, keeping.act) == ("foreign", None)


def test_a_limit_that_is_gone_ends_ours() -> None:
    keeping = decided(CONTRACT, reserved=(STANDING,), last=made(STANDING))
    assert keeping.act
    assert (keeping.act.kind, keeping.reason) == (ActKind.END, "end")


class World:
    """A Slurm and a ledger in which any act may be cut off at any point."""

    def __init__(self) -> None:
        self.reserved: ReservedNow | None = None
        self.last: DoneAct | None = None

    def cycle(self, entries: list[AllowedEntry], now: int, until: int) -> Keeping:
        """One cycle that ends after this many steps: plan, write, settle; expired reservations go first."""
        if self.reserved and self.reserved.until <= now:
            self.reserved = None
        if self.last and self.last.outcome is ActOutcome.PLANNED:
            self._settle()
        keeping = decided(
            *entries, reserved=(self.reserved,) if self.reserved else (), last=self.last, now=now
        )
        act = keeping.act
        if act and until > 0:
            self.last = DoneAct(1, act, ActOutcome.PLANNED)
            if until > 1:
                ended = act.kind is ActKind.END
                wanted = ReservedNow(act.name, act.since, act.until, frozenset(act.nodes))
                self.reserved = None if ended else wanted
            if until > 2:
                self._settle()
        return keeping

    def _settle(self) -> None:
        assert self.last
        achieved = self.last.act.achieved(self.reserved)
        act = self.last.act
        if self.reserved and act.kind is not ActKind.END and self.last.owns(self.reserved):
            act = act._replace(since=self.reserved.since, until=self.reserved.until)
        self.last = DoneAct(2, act, ActOutcome.APPLIED if achieved else ActOutcome.FAILED)


STEPS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 12), st.integers(0, 9), st.integers(0, 3)), max_size=8
)


@given(STEPS)
def test_after_any_interrupted_cycles_a_whole_one_has_what_is_wanted(
    steps: list[tuple[int, int, int, int]],
) -> None:
    """Limits come and go between cycles that are cut off; two whole ones mend it."""
    world, now = World(), 0
    entries = [CONTRACT]
    for begin, length, kw, until in steps:
        entries = [CONTRACT, entry(2, row(begin, begin + length, kw))]
        assert world.cycle(entries, now, until).reason != "foreign"
        now += QUARTER
    for _ in range(2):
        keeping = world.cycle(entries, now, 3)
    assert not keeping.held
    settled = world.cycle(entries, now, 3)
    assert settled.act is None
    assert (world.reserved is None) == (settled.stretch is None)
    if world.reserved and settled.stretch:
        assert len(world.reserved.nodes) == min(settled.stretch.nodes, len(NODES))
        assert world.reserved.until == settled.stretch.until


def test_power_and_limits_are_exact() -> None:
    """0.1 kW above the limit needs a node, and none at the limit."""
    limit = entry(2, replace(row(8, 12, 0), max_kw=Decimal("4.9")))
    assert decided(CONTRACT, limit).stretch
    assert decided(CONTRACT, entry(2, row(8, 12, 5))).stretch is None
