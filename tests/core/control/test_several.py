"""Several steered promises: decided together, cut where they do not fit, and run against Fair Tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import fsum
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slurm_ai_factory.core import records
from slurm_ai_factory.core.control.controller import Policy, decide
from slurm_ai_factory.core.control.several import MOST, Guard, Steering, decide_all, fitted, left_by_cap
from slurm_ai_factory.core.tres import Resource

HALF_LIFE = 7 * records.DAY
LENGTH = 30 * records.DAY
SIZE = 1000.0
"""Of the machine, in the resource."""
CPU = Resource({"cpu": 1})
EVERY = 3
"""Hours between two decisions."""
NODES = 50
NODE = SIZE / NODES

shares = st.floats(0.05, 0.9)


@given(st.dictionaries(st.integers(0, 3), st.tuples(shares, shares), min_size=1))
def test_what_is_cut_fits_and_takes_from_what_is_above_the_floors_first(
    rows: dict[int, tuple[float, float]],
) -> None:
    wanted = {place: want for place, (want, _) in rows.items()}
    floors = {place: floor for place, (_, floor) in rows.items()}
    given_shares = fitted(wanted, floors)
    assert fsum(given_shares.values()) <= MOST + 1e-9
    assert all(0 < share <= wanted[place] + 1e-9 for place, share in given_shares.items())
    owed = {place: min(wanted[place], floors[place]) for place in rows}
    if fsum(owed.values()) <= MOST:
        assert all(share >= owed[place] - 1e-9 for place, share in given_shares.items())
    if fsum(wanted.values()) <= MOST:
        assert given_shares == wanted


@dataclass
class Machine:
    """A machine of NODES that starts a job wherever a node is free, of the account with the least usage for
    its shares among those that want more; jobs of one node take 2 to 10 hours."""

    raw_shares: dict[str, int]
    demand: Mapping[str, float]  #: of the machine, what each account can use at once
    usage: dict[str, float] = field(default_factory=dict)
    running: list[tuple[int, str]] = field(default_factory=list)  #: (hour in which it ends, account)
    delivered: list[dict[str, float]] = field(default_factory=list)  #: by hour
    waiting: list[dict[str, float]] = field(default_factory=list)
    random: Random = field(default_factory=lambda: Random(1))

    def hour(self) -> None:
        """An hour goes by."""
        now = len(self.delivered)
        self.running = [job for job in self.running if job[0] > now]
        held = Counter(account for _, account in self.running)
        while len(self.running) < NODES:
            wanting = [name for name, part in self.demand.items() if held[name] < part * NODES]
            if not wanting:
                break
            first = min(wanting, key=lambda name: self.usage.get(name, 0.0) / self.raw_shares[name])
            self.running.append((now + self.random.randint(2, 10), first))
            held[first] += 1
        kept = 0.5 ** (records.HOUR / HALF_LIFE)
        got = {name: held[name] * NODE * records.HOUR for name in self.demand}
        self.usage = {name: kept * self.usage.get(name, 0.0) + part for name, part in got.items()}
        self.delivered.append(got)
        # A queue is as long as the machine or empty, so that the law sees a steady backlog.
        wants = {name: got[name] < part * SIZE * records.HOUR for name, part in self.demand.items()}
        self.waiting.append({name: SIZE * records.HOUR * more for name, more in wants.items()})

    def associations(self) -> tuple[records.Association, ...]:
        root = records.Association(cluster="c", account="root", parent=None, raw_shares=1, raw_usage=0)
        rows = (
            records.Association(
                cluster="c",
                account=name,
                parent="root",
                raw_shares=shares,
                raw_usage=round(self.usage.get(name, 0.0)),
            )
            for name, shares in self.raw_shares.items()
        )
        return (root, *rows)


@dataclass(frozen=True)
class Of:
    """A promise to some accounts."""

    name: str
    bound: records.Bound
    share: float
    accounts: tuple[str, ...]
    elsewhere: tuple[str, ...] = ()  #: accounts that count for it, and that it does not steer

    @property
    def counted(self) -> tuple[str, ...]:
        return self.accounts + self.elsewhere

    def policy(self) -> Policy:
        return Policy(
            account=self.accounts,
            target_share=self.share,
            half_life_seconds=HALF_LIFE,
            period_seconds=EVERY * records.HOUR,
        )

    def measured(self, machine: Machine, now: int) -> records.Measurement:
        first = max(0, now // records.HOUR - LENGTH // records.HOUR)
        hours = tuple(
            records.Hour(
                n * records.HOUR,
                fsum(machine.delivered[n][name] for name in self.counted),
                fsum(machine.delivered[n].values()),
                fsum(machine.waiting[n][name] for name in self.counted),
                SIZE * records.HOUR,
                0.0,
                fsum(wait for name, wait in machine.waiting[n].items() if name not in self.counted),
            )
            for n in range(first, now // records.HOUR)
        )
        regional = round(fsum(hour.regional for hour in hours))
        return records.Measurement(
            promise=self.name, bound=self.bound, cluster="c",
            window=records.Window("w", first * records.HOUR, now, rolling=True), as_of=now, resource=CPU,
            target_share=self.share, regional_charge=regional,
            total_charge=round(fsum(hour.total for hour in hours)), unclassified_charge=0, capacity=None,
            waiting_charge=0, starved_charge=None, newest_record_at=now, hours=hours,
            regional_pending=round(hours[-1].regional_waiting) if hours else 0,
        )  # fmt: skip


def steered(
    machine: Machine,
    promises: Sequence[Of],
    days: int,
    guards: Sequence[Of] = (),
    baseline: Mapping[str, int] | None = None,
) -> list[records.Decision]:
    """So many days with decisions; those that changed something."""
    baseline = baseline or dict(machine.raw_shares)
    states: list[records.ControlState | None] = [None] * len(promises)
    changed: list[records.Decision] = []
    for _ in range(days * 24 // EVERY):
        for _ in range(EVERY):
            machine.hour()
        now = len(machine.delivered) * records.HOUR
        waiting = frozenset(name for name, wait in machine.waiting[-1].items() if wait)
        rows = [
            Steering(
                of.policy(),
                records.Observed(
                    measurement=of.measured(machine, now),
                    associations=machine.associations(),
                    regional_backlog=48 * fsum(machine.waiting[-1][name] for name in of.counted),
                    waiting_rows=waiting,
                ),
                state and replace(state, baseline=baseline),
            )
            for of, state in zip(promises, states, strict=True)
        ]
        guarded = [Guard(guard.measured(machine, now), 0.01) for guard in guards]
        decisions = decide_all(rows, guarded, now)
        states = [decision.state for decision in decisions]
        for decision in decisions:
            changed += [decision] if decision.changes else []
            for change in decision.changes:
                machine.raw_shares[change.account] = change.raw_shares_after
    return changed


def part(machine: Machine, *names: str, days: int = 20) -> float:
    """The share of some accounts in the last days."""
    rows = machine.delivered[-24 * days :]
    return fsum(row[name] for row in rows for name in names) / fsum(fsum(row.values()) for row in rows)


EU = Of("eu", records.Bound.FLOOR, 0.5, ("eu",))
REGION = Of("region", records.Bound.FLOOR, 0.25, ("regional",))
INDUSTRY = Of("industry", records.Bound.CAP, 0.2, ("firms",))
ALL = (REGION, EU, INDUSTRY)
EQUAL = {"regional": 2500, "eu": 2500, "firms": 2500, "other": 2500}


def test_two_floors_and_a_cap_hold_where_everybody_wants_the_machine() -> None:
    machine = Machine(dict(EQUAL), dict.fromkeys(EQUAL, 1.0))
    changed = steered(machine, ALL, 60)
    got = {name: part(machine, name) for name in EQUAL}
    assert 0.25 <= got["regional"] <= 0.275
    assert 0.5 <= got["eu"] <= 0.525
    assert got["firms"] <= 0.2
    assert got["other"] > 0.05, "the rest is not shut out"
    for of in ALL:
        assert sum(decision.promise == of.name for decision in changed) <= 3 * 60


def test_floors_that_do_not_fit_are_cut_in_proportion_and_a_cap_is_not_raised_as_if_it_were_one() -> None:
    machine = Machine(dict(EQUAL), dict.fromkeys(EQUAL, 1.0))
    floors = (replace(REGION, share=0.5), replace(EU, share=0.6))
    steered(machine, (*floors, INDUSTRY), 60)
    got = {name: part(machine, name) for name in EQUAL}
    assert got["eu"] / got["regional"] == pytest.approx(1.2, abs=0.1)
    assert got["eu"] + got["regional"] >= 0.85
    assert got["firms"] <= 0.1, "a cap does not take from floors that are short"


def test_what_a_floor_gets_below_the_row_of_a_cap_is_deducted() -> None:
    machine = Machine(dict(EQUAL), dict.fromkeys(EQUAL, 1.0))
    steered(machine, (REGION, replace(EU, elsewhere=("firms",)), INDUSTRY), 30)
    assert 0.5 <= part(machine, "eu", "firms") <= 0.525
    assert 0.25 <= part(machine, "regional") <= 0.275
    assert part(machine, "firms") <= 0.2


def test_a_floor_keeps_its_own_after_an_absence_also_where_a_part_of_it_is_below_the_row_of_a_cap() -> None:
    machine = Machine(dict(EQUAL), {**dict.fromkeys(EQUAL, 1.0), "eu": 0.1})
    promises = (REGION, replace(EU, elsewhere=("firms",)), INDUSTRY)
    steered(machine, promises, 15)
    assert part(machine, "eu", "firms", days=15) < 0.35
    machine.demand = dict.fromkeys(EQUAL, 1.0)
    steered(machine, promises, 30)
    assert part(machine, "eu", "firms", days=30) > 0.55, "it is paid back"
    assert part(machine, "eu", "firms", days=15) >= 0.5, "and does not fall below the floor after that"


def test_a_cap_holds_also_where_all_others_were_promised_something() -> None:
    machine = Machine(dict(EQUAL), {**dict.fromkeys(EQUAL, 1.0), "other": 0.0})
    steered(machine, ALL, 40)
    assert 0.17 <= part(machine, "firms") <= 0.2
    assert part(machine, "regional") >= 0.25
    assert part(machine, "eu") >= 0.5


def test_a_floor_gets_no_more_than_its_own_while_another_is_away() -> None:
    machine = Machine(dict(EQUAL), {**dict.fromkeys(EQUAL, 1.0), "regional": 0.0})
    steered(machine, ALL, 40)
    assert 0.5 <= part(machine, "eu") <= 0.535
    assert part(machine, "firms") <= 0.2
    assert part(machine, "other") > 0.25, "what a floor leaves is for those who were promised nothing"


def test_without_steering_the_same_machine_breaks_a_floor() -> None:
    machine = Machine(dict(EQUAL), dict.fromkeys(EQUAL, 1.0))
    steered(machine, (), 30)
    assert part(machine, "eu") < 0.3


def test_a_cap_uses_what_nobody_else_wants() -> None:
    machine = Machine(dict(EQUAL), {"regional": 0.3, "eu": 0.3, "firms": 1.0, "other": 0.0})
    steered(machine, (REGION, INDUSTRY), 40)
    assert part(machine, *EQUAL) == pytest.approx(1.0)
    assert fsum(machine.delivered[-1].values()) == pytest.approx(SIZE * records.HOUR), "no node is left idle"
    assert part(machine, "firms") == pytest.approx(0.4, abs=0.01)
    assert machine.raw_shares["firms"] < EQUAL["firms"]


def test_a_cap_lets_shares_return_to_what_the_operator_gave_and_no_further() -> None:
    own = {**EQUAL, "firms": 1000}
    machine = Machine({**own, "firms": 400}, {**dict.fromkeys(EQUAL, 1.0), "firms": 0.1})
    steered(machine, (INDUSTRY,), 20, baseline=own)
    assert machine.raw_shares == own


def test_no_raise_breaks_a_floor_that_is_not_steered() -> None:
    demand = dict.fromkeys(EQUAL, 1.0)
    start = {"regional": 1000, "eu": 5200, "firms": 2000, "other": 1800}
    free, bound = Machine(dict(start), demand), Machine(dict(start), demand)
    steered(free, (REGION,), 40)
    changed = steered(bound, (REGION,), 40, guards=(EU,))
    assert part(free, "regional") > 0.25
    assert part(free, "eu") < 0.5, "the raise takes it from the floor of the other"
    assert part(bound, "eu") >= 0.495, "a node is 2 % of this machine"
    assert part(bound, "regional") < part(free, "regional")
    assert len(changed) < 3 * 40


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 0.4), st.integers(2, 40), st.floats(0.1, 1.0))
def test_one_floor_is_decided_as_by_the_law_alone(share: float, hours: int, wants: float) -> None:
    of = replace(REGION, share=share)
    machine = Machine(dict(EQUAL), {**dict.fromkeys(EQUAL, 1.0), "regional": wants})
    for _ in range(hours):
        machine.hour()
    now = hours * records.HOUR
    observed = records.Observed(measurement=of.measured(machine, now), associations=machine.associations())
    last = records.ControlState(at=now - records.HOUR, u_ref=0.2, baseline=EQUAL)
    alone = decide(of.policy(), observed, last, now)
    assert decide_all([Steering(of.policy(), observed, last)], (), now) == (alone,)


def test_the_order_and_the_names_of_promises_change_nothing() -> None:
    ends = []
    for promises in (ALL, ALL[::-1], tuple(replace(of, name=f"x{of.name}") for of in ALL)):
        machine = Machine(dict(EQUAL), dict.fromkeys(EQUAL, 1.0))
        steered(machine, promises, 10)
        ends.append(machine.raw_shares)
    assert ends[0] == ends[1] == ends[2]


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_cap_leaves_less_where_more_was_used(used: float, more: float) -> None:
    def left(part: float) -> float:
        hours = tuple(
            records.Hour(n * records.HOUR, part * SIZE, SIZE, 0.0, SIZE)
            for n in range(LENGTH // records.HOUR)
        )
        machine_share = replace(
            INDUSTRY.measured(Machine({}, {}), 0),
            window=records.Window("w", 0, LENGTH, rolling=True), as_of=LENGTH, hours=hours,
            regional_charge=round(part * SIZE * len(hours)), total_charge=round(SIZE * len(hours)),
        )  # fmt: skip
        return left_by_cap(INDUSTRY.policy(), machine_share)

    low, high = sorted((used, more))
    assert left(high) <= left(low) + 1e-12
    assert 0.05 <= left(high) <= 1.0
