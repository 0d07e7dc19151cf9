"""The control law: its invariants, for every policy, history, level and last state it could be given.

A case is what ``decide`` is called with. Levels keep the sum of RawShares below 2**31, as slurmctld needs
it, except where a test says that they do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import cycle
from math import isfinite, log
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from slurm_ai_factory.core.control import controller
from slurm_ai_factory.core.control.contested import decayed_usage
from slurm_ai_factory.core.control.controller import Policy, capture, decide, payback
from slurm_ai_factory.core.control.level import MAX_RAW_SHARES, SteeredLevel, find_level
from slurm_ai_factory.core.control.reasons import HOLDS, REASONS
from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.records import (
    HOUR,
    PARENT_SHARES,
    Association,
    ControlState,
    Decision,
    Hour,
    Measurement,
    Observed,
    Window,
)
from slurm_ai_factory.core.tres import Resource

DAY = 24 * HOUR
NOW = 400 * DAY
MOST = 2147483646
"""The most RawShares an association can have: one more means Fairshare=parent."""

RAISES = ("raise", "follow")
PRESENT = ("at_set_point", "same_order", "write_budget", "lower", *RAISES)
"""What a decision on a level that can be steered may be."""


class Case(NamedTuple):
    """The arguments of ``decide``."""

    policy: Policy
    observed: Observed
    last: ControlState | None
    now: int

    def decision(self) -> Decision:
        return decide(*self)

    def beside(self, associations: Iterable[Association]) -> Case:
        """The same with other associations."""
        return self._replace(observed=replace(self.observed, associations=tuple(associations)))

    def wanted(self) -> float:
        found = self.decision().inputs["share_wanted"]
        assert isinstance(found, float)
        return found

    def share(self, raw_shares: int | None = None) -> float:
        """The part of the level that the region's account has, or would have with other RawShares."""
        return self.level.share(self.level.present if raw_shares is None else (raw_shares,))

    @property
    def level(self) -> SteeredLevel:
        found = find_level(self.policy.accounts, self.observed.associations)
        assert isinstance(found, SteeredLevel)
        return found


def _highest(case: Case, usage: float) -> float:
    """The highest set-point: one step above usage, or farther where payback owes more."""
    policy = case.policy
    repaid = payback(policy, case.observed.measurement)
    ahead = min(policy.slew, policy.credit_max)
    return max(usage + ahead, min(usage + policy.credit_max, repaid), policy.goal)


def _lowest(case: Case, usage: float) -> float:
    """How low the reference may be for a usage: below what is followed of it by the debit."""
    policy, observed = case.policy, case.observed
    decayed = decayed_usage(observed, policy.goal, policy.half_life_seconds)
    return max(min(usage, policy.goal), usage - decayed.contested_share) - controller.debit(policy, observed)


def case_of(
    policy: Policy,
    observed: Observed,
    associations: Iterable[Association],
    last: ControlState | None,
    now: int,
) -> Case:
    """A case in which these associations were observed."""
    return Case(policy, observed, last, now).beside(associations)


def _account(name: str, parent: str | None = "root", shares: int = 25, usage: int | None = 0) -> Association:
    return Association(cluster="c", account=name, parent=parent, raw_shares=shares, raw_usage=usage)


def _user(account: str, user: str, shares: int = 1, usage: int | None = 0) -> Association:
    return replace(_account(account, None, shares, usage), user=user)


def _measurement(
    regional: list[float], total: list[float], *, left: int, rolling: bool = False
) -> Measurement:
    """A window with this hourly history up to NOW, and ``left`` seconds to go unless it rolls."""
    began = NOW - len(total) * HOUR
    hours = tuple(
        Hour(began + i * HOUR, got, all_, 0.0, 0.0)
        for i, (got, all_) in enumerate(zip(regional, total, strict=True))
    )
    return Measurement(
        cluster="c", window=Window("w", began, NOW if rolling else NOW + left, rolling), as_of=NOW,
        resource=Resource({"cpu": 1}), target_share=0.25, regional_charge=int(sum(regional)),
        total_charge=int(sum(total)), unclassified_charge=0, capacity=None, waiting_charge=0,
        starved_charge=None, newest_record_at=None, hours=hours,
    )  # fmt: skip


def _observed(measurement: Measurement, *associations: Association) -> Observed:
    return Observed(measurement=measurement, associations=associations)


def _waiting(measurement: Measurement, waiting: Sequence[float], backlog: float) -> Observed:
    """The same, with so much of the resource waiting in each hour, and a backlog now."""
    hours = tuple(
        hour._replace(regional_waiting=float(amount))
        for hour, amount in zip(measurement.hours, waiting, strict=True)
    )
    observed = _observed(replace(measurement, hours=hours))
    return replace(observed, regional_backlog=float(backlog))


def _beside(observed: Observed, waiting: Sequence[float], before: int) -> Observed:
    """The same with others who waited for these amounts, one hour after the other and again from the first,
    and so many of its first hours once more before the window.
    """
    measured, others = observed.measurement, cycle([*waiting, 0.0])
    hours = tuple(hour._replace(others_waiting=float(next(others))) for hour in measured.hours)
    first = [hour._replace(at=hour.at - before * HOUR) for hour in hours[:before]]
    earlier = tuple(first) if len(first) == before else ()
    return replace(observed, measurement=replace(measured, hours=hours), earlier=earlier)


# --- generated cases ----------------------------------------------------------------------------------


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    target = draw(st.floats(0.02, 0.6))
    margin = draw(st.floats(0.001, 0.1))
    return Policy(
        account="regional", target_share=target, margin=margin,
        half_life_seconds=draw(st.integers(60, 90 * DAY)), period_seconds=draw(st.integers(60, DAY)),
        recovery_seconds=draw(st.integers(HOUR, 10 * DAY)),
        horizon_seconds=draw(st.integers(HOUR, 10 * DAY)), share_min=draw(st.floats(0.01, target)),
        share_max=draw(st.floats(target + margin + 0.01, 0.95)), credit_max=draw(st.floats(0.01, 0.5)),
        debit_max=draw(st.floats(0.001, 0.3)), slew=draw(st.floats(0.005, 0.3)),
        band=draw(st.floats(0.001, 0.1)), writes_per_day=draw(st.integers(1, 50)),
    )  # fmt: skip


@st.composite
def observations(draw: st.DrawFn, *, rolling: bool | None = None) -> Observed:
    amounts = st.one_of(st.just(0), st.integers(0, 10**4), st.integers(0, 10**12))
    pairs = draw(st.lists(st.tuples(amounts, st.floats(0, 1)), max_size=30))
    repeat = draw(st.sampled_from((1, 1, 8)))
    total = [float(amount) for amount, _ in pairs] * repeat
    regional = [float(int(amount * part)) for amount, part in pairs] * repeat
    if rolling is None:
        rolling = draw(st.booleans())
    measured = _measurement(regional, total, left=draw(st.integers(-DAY, 200 * DAY)), rolling=rolling)
    waiting = draw(st.lists(amounts, min_size=len(total), max_size=len(total)))
    backlog = draw(amounts) if waiting and waiting[-1] else 0
    observed = replace(_waiting(measured, waiting, backlog), run_charge=float(draw(amounts)))
    return _beside(observed, draw(st.lists(amounts, max_size=3)), draw(st.integers(0, 5)))


def measurements() -> st.SearchStrategy[Measurement]:
    return observations().map(lambda observed: observed.measurement)


small_shares = st.integers(1, 10_000)
large_shares = st.sampled_from((1, 2, 10**6, 10**9)) | st.integers(1, 10**9)
usages = st.one_of(st.just(0), st.integers(0, 10**6), st.integers(0, 2**63))


@st.composite
def levels(draw: st.DrawFn, shares: st.SearchStrategy[int] = small_shares) -> tuple[Association, ...]:
    """A tree that can be steered: the region, root's user, one or two accounts, and what lies below."""
    others = [_account("others", "root", draw(shares), draw(usages))]
    if draw(st.booleans()):
        others.append(_account("industry", "root", draw(st.just(0) | small_shares), draw(usages)))
    tree = [
        replace(_account("root", None, 1), raw_usage=draw(usages)),
        _user("root", "root", draw(st.integers(0, 1)), draw(usages)),
        _account("regional", "root", draw(shares), draw(usages)),
        _user("regional", "jan", draw(st.just(PARENT_SHARES) | small_shares), None),
        _account("umcg", "regional", draw(small_shares), draw(usages)),
        *others,
        _user("others", "eva", draw(small_shares), None),
    ]
    return tuple(draw(st.permutations(tree)))


states = st.none() | st.builds(
    ControlState,
    at=st.integers(NOW - 400 * DAY, NOW + HOUR),
    u_ref=st.floats(0, 1),
    writes_last_day=st.integers(0, 60),
)
any_cases = st.builds(
    case_of, policies(), observations(), levels(small_shares | large_shares), states, st.just(NOW)
)
cases = st.builds(case_of, policies(), observations(), levels(), states, st.just(NOW))
fine_cases = st.builds(
    case_of, policies(), observations(), levels(st.integers(10**5, 10**6)), states, st.just(NOW)
)
"""Levels with so many RawShares that rounding to whole ones does not show."""


# --- total, deterministic, within its bounds ----------------------------------------------------------


@given(any_cases)
def test_any_case_has_one_decision_of_finite_numbers(case: Case) -> None:
    decision = case.decision()
    assert decision == case.decision()
    assert decision.reason in PRESENT
    assert REASONS[decision.reason] in decision.sentence
    assert all(isfinite(v) for v in decision.inputs.values() if isinstance(v, int | float))
    assert decision.state is not None
    assert isfinite(decision.state.u_ref)
    assert (decision.at, decision.state.at) == (NOW, NOW)
    assert decision.state.writes_last_day == (case.last.writes_last_day if case.last else 0)


@given(cases)
def test_a_decision_has_a_change_exactly_when_its_reason_is_to_raise_or_to_lower(case: Case) -> None:
    decision = case.decision()
    assert bool(decision.changes) == (decision.reason in ("lower", *RAISES))
    for change in decision.changes:
        upwards = change.raw_shares_after > change.raw_shares_before
        assert change.raw_shares_after != change.raw_shares_before
        assert upwards == (decision.reason in RAISES)
        assert upwards == (case.wanted() > case.share(change.raw_shares_before))


@given(cases)
def test_only_the_steered_account_of_its_own_cluster_is_changed_and_only_once(case: Case) -> None:
    changes = case.decision().changes
    assert len(changes) <= 1
    for change in changes:
        assert (change.cluster, change.account) == ("c", "regional")
        assert change.raw_shares_before == case.level.present[0]


@given(
    st.builds(case_of, policies(), observations(), levels(small_shares | large_shares), states, st.just(NOW))
)
def test_raw_shares_stay_numbers_that_slurm_takes_and_can_add_up(case: Case) -> None:
    for change in case.decision().changes:
        assert 1 <= change.raw_shares_after <= MOST
        assert change.raw_shares_after + case.level.sibling_shares < 2**31


@pytest.mark.parametrize("present", [1, 2**30, MOST])
@pytest.mark.parametrize("siblings", [[2**31 - 2], [2**31 - 3], [2**30] * 2, [MOST] * 3])
@pytest.mark.parametrize("u_ref", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("usage", [0, 1, 10**9])
def test_a_level_with_more_shares_than_slurm_can_add_up_never_gets_an_impossible_number(
    present: int, siblings: list[int], u_ref: float, usage: int
) -> None:
    tree = [_account("regional", shares=present, usage=usage)]
    tree += [_account(f"other{i}", shares=shares, usage=1) for i, shares in enumerate(siblings)]
    policy = Policy(account="regional", target_share=0.25, half_life_seconds=DAY)
    last = ControlState(at=NOW, u_ref=u_ref)
    for change in decide(policy, _observed(_measurement([], [], left=DAY), *tree), last, NOW).changes:
        assert 1 <= change.raw_shares_after <= MOST
        assert change.raw_shares_after <= max(present, MOST - sum(siblings))


@given(
    st.builds(case_of, policies(), observations(), levels(small_shares | large_shares), states, st.just(NOW))
)
def test_one_write_moves_the_share_of_the_level_by_no_more_than_the_slew(case: Case) -> None:
    for change in case.decision().changes:
        step = case.share(change.raw_shares_after) - case.share(change.raw_shares_before)
        assert abs(step) <= case.policy.slew + 1e-6


@given(cases, st.integers(0, 100))
def test_no_write_is_decided_once_the_budget_of_the_day_is_used_up(case: Case, more: int) -> None:
    spent = ControlState(at=NOW, u_ref=0.5, writes_last_day=case.policy.writes_per_day + more)
    decision = case._replace(last=spent).decision()
    assert not decision.changes
    left = case._replace(last=replace(spent, writes_last_day=case.policy.writes_per_day - 1)).decision()
    assert (decision.reason == "write_budget") == bool(left.changes)


@given(cases)
def test_the_wanted_share_is_near_usage_and_within_the_limits(case: Case) -> None:
    """The credit never takes it below the goal: what was promised may always be owed."""
    policy, usage = case.policy, case.level.usage_share
    lowest = _lowest(case, usage)
    highest = _highest(case, usage)
    limits = policy.share_min, policy.share_max
    low, high = (min(limits[1], max(limits[0], bound)) for bound in (lowest, highest))
    assert low - 1e-12 <= case.wanted() <= high + 1e-12


@given(policies(), measurements())
def test_what_is_owed_lies_between_the_target_and_the_most_that_may_be_required(
    policy: Policy, measurement: Measurement
) -> None:
    assert policy.target_share <= payback(policy, measurement) <= policy.owed_max


# --- monotone -----------------------------------------------------------------------------------------


@given(policies(), measurements(), st.data())
def test_more_delivered_to_the_region_never_raises_what_it_is_paid_back(
    policy: Policy, before: Measurement, data: st.DataObject
) -> None:
    assume(before.hours)
    after = _with_more(before, data.draw(st.integers(0, len(before.hours) - 1)), data)
    assert payback(policy, after) <= payback(policy, before) + 1e-12


@given(policies(), observations(), st.data())
def test_more_delivered_long_ago_never_raises_what_demand_of_now_is_given(
    policy: Policy, observed: Observed, data: st.DataObject
) -> None:
    """Of late it may: the goal is dealt out over the window as the demand came."""
    before = observed.measurement
    assume(len(before.hours) > 1)
    index = data.draw(st.integers(0, len(before.hours) - 2))
    policy = replace(policy, demand_seconds=(len(before.hours) - 1 - index) * HOUR)
    after = replace(observed, measurement=_with_more(before, index, data))
    assert capture(policy, after) <= capture(policy, observed) + 1e-12


def _with_more(before: Measurement, index: int, data: st.DataObject) -> Measurement:
    """More of what was delivered in one hour went to the region."""
    hour = before.hours[index]
    more = data.draw(st.integers(0, int(hour.total - hour.regional)))
    hours = list(before.hours)
    hours[index] = hour._replace(regional=hour.regional + more)
    return replace(before, hours=tuple(hours), regional_charge=before.regional_charge + more)


@given(policies(), measurements(), st.floats(0, 0.3), st.floats(0, 0.1))
def test_a_higher_target_or_margin_never_lowers_what_is_owed(
    policy: Policy, measurement: Measurement, target: float, margin: float
) -> None:
    higher = replace(policy, target_share=policy.target_share + target, margin=policy.margin + margin)
    assert payback(higher, measurement) >= payback(policy, measurement) - 1e-12


# --- demand that comes and goes -----------------------------------------------------------------------


@given(policies(), observations())
def test_a_region_that_asks_for_no_more_than_the_goal_goes_first(policy: Policy, observed: Observed) -> None:
    measured = observed.measurement
    assume(share.expected_rate(measured) > 0)
    asked = float(measured.regional_charge) + observed.regional_backlog
    modest = asked <= policy.goal * float(measured.total_charge)
    assert not modest or capture(policy, observed) == policy.owed_max


@given(policies(), observations(), st.floats(1.0, 100.0), st.floats(1.1, 10.0))
def test_more_of_the_same_demand_gives_it_no_more(
    policy: Policy, observed: Observed, factor: float, waiting: float
) -> None:
    """Padding every job alike leaves what is given to it as it was, while the window lacks the goal."""
    goal = 0.99 * policy.goal * float(observed.measurement.total_charge)
    short = min(1.0, goal / factor / max(1.0, float(observed.measurement.regional_charge)))
    before = replace(_padded(observed, short), regional_backlog=waiting * goal)
    after = _padded(before, factor)
    assert capture(policy, after) == pytest.approx(capture(policy, before), rel=1e-6)


def _padded(observed: Observed, factor: float) -> Observed:
    """The region asked for this many times as much, and got as many times as much."""
    before = observed.measurement
    hours = tuple(
        hour._replace(regional=hour.regional * factor, regional_waiting=hour.regional_waiting * factor)
        for hour in before.hours
    )
    charge = Decimal(float(before.regional_charge) * factor)
    measured = replace(before, hours=hours, regional_charge=charge)
    return replace(observed, measurement=measured, regional_backlog=observed.regional_backlog * factor)


def test_the_goal_is_dealt_out_as_demand_comes() -> None:
    """Off for twenty days, then on and asking for all of the machine: 0.78 of that makes the goal's 0.26."""
    on, off = [0.52 * HOUR] * (10 * 24), [0.0] * (20 * 24)
    everything = [1.0 * HOUR] * (30 * 24)
    waits = [0.48 * HOUR * (n + 1) for n in range(len(on))]
    measured = _measurement([*off, *on], everything, left=0, rolling=True)
    observed = _waiting(measured, [*[0.0] * len(off), *waits], 0.48 * 10 * DAY)
    policy = replace(POLICY, target_share=0.25, margin=0.01, demand_seconds=5 * DAY)
    assert capture(policy, observed) == pytest.approx(0.78, abs=0.01)


def test_a_young_window_deals_out_since_it_began() -> None:
    """Two days old, and the region asks for half of the machine all the while: it gets the goal of that."""
    regional, everything = [0.3 * HOUR] * 48, [1.0 * HOUR] * 48
    observed = _waiting(
        _measurement(regional, everything, left=88 * DAY),
        [0.2 * HOUR * n for n in range(48)],
        0.2 * 2 * DAY,
    )
    policy = replace(POLICY, target_share=0.25, margin=0.01, demand_seconds=5 * DAY)
    assert capture(policy, observed) == pytest.approx(0.26, abs=0.01)


@given(policies(), observations())
def test_once_the_window_has_the_goal_no_demand_is_given_more(policy: Policy, observed: Observed) -> None:
    measured = observed.measurement
    assume(measured.regional_charge > policy.goal * float(measured.total_charge))
    assert capture(policy, observed) <= policy.goal


def test_a_region_that_asked_for_nothing_yet_goes_first_when_it_comes() -> None:
    observed = _observed(_measurement([0.0] * 24, [float(HOUR)] * 24, left=DAY))
    assert capture(POLICY, observed) == POLICY.owed_max
    assert capture(POLICY, _observed(_measurement([0.0] * 24, [0.0] * 24, left=DAY))) == 0.0


@given(cases, st.floats(0, 1))
def test_a_higher_reference_never_wants_a_lower_share(case: Case, u_ref: float) -> None:
    last = ControlState(at=NOW - HOUR, u_ref=u_ref)
    higher = replace(last, u_ref=u_ref + (1 - u_ref) / 2)
    assert case._replace(last=higher).wanted() >= case._replace(last=last).wanted() - 1e-12


# --- invariant ----------------------------------------------------------------------------------------


@given(cases, st.integers(1, 10**6))
def test_usage_may_be_counted_in_any_unit(case: Case, factor: int) -> None:
    rows = (
        replace(one, raw_usage=None if one.raw_usage is None else one.raw_usage * factor)
        for one in case.observed.associations
    )
    assert case.beside(rows).decision() == case.decision()


@given(fine_cases, st.integers(2, 500))
def test_the_shares_of_a_level_may_be_counted_in_any_unit_up_to_rounding(case: Case, factor: int) -> None:
    rows = tuple(
        replace(one, raw_shares=one.raw_shares * factor) if one.raw_shares < PARENT_SHARES else one
        for one in case.observed.associations
    )
    scaled = case.beside(rows)
    assert scaled.wanted() == pytest.approx(case.wanted(), abs=1e-12)
    one, other = case.decision().changes, scaled.decision().changes
    assert bool(one) == bool(other)
    for small, large in zip(one, other, strict=True):
        at_most = large.raw_shares_after + scaled.level.sibling_shares >= MAX_RAW_SHARES
        assert at_most or abs(large.raw_shares_after / factor - small.raw_shares_after) <= 1.5


@given(cases, st.integers(-NOW, NOW))
def test_a_case_may_lie_anywhere_in_time(case: Case, shift: int) -> None:
    m = case.observed.measurement
    moved = replace(
        m,
        as_of=m.as_of + shift,
        window=m.window._replace(since=m.window.since + shift, until=m.window.until + shift),
        hours=tuple(hour._replace(at=hour.at + shift) for hour in m.hours),
    )
    last = replace(case.last, at=case.last.at + shift) if case.last else None
    earlier = tuple(hour._replace(at=hour.at + shift) for hour in case.observed.earlier)
    shifted = replace(case.observed, measurement=moved, earlier=earlier)
    before, after = case.decision(), Case(case.policy, shifted, last, NOW + shift).decision()
    assert (after.reason, after.changes) == (before.reason, before.changes)
    assert after.state == (before.state and replace(before.state, at=NOW + shift))


@given(cases, st.randoms())
def test_the_order_of_the_associations_does_not_matter(case: Case, random: Any) -> None:
    rows = list(case.observed.associations)
    random.shuffle(rows)
    assert case.beside(rows).decision() == case.decision()


@given(cases, st.integers(0, 10**6), st.integers(1, 10**6))
def test_what_lies_below_the_level_and_who_is_beside_the_region_by_name_does_not_matter(
    case: Case, usage: int, shares: int
) -> None:
    rows = tuple(
        replace(one, account={"others": "x", "industry": "a"}.get(one.account, one.account))
        for one in case.observed.associations
    )
    below = (_account("new", "umcg", shares, usage), _user("umcg", "new", shares, None))
    found, wanted = case.beside((*rows, *below)).decision(), case.decision()
    named = {"other_accounts_counted": None}
    assert replace(found, inputs={**found.inputs, **named}) == replace(
        wanted, inputs={**wanted.inputs, **named}
    )


@given(
    policies(), st.floats(0, 1), st.floats(0, 1), st.floats(1, 100), st.integers(0, 30 * DAY),
    st.integers(0, 30 * DAY),
)  # fmt: skip
def test_the_reference_moves_the_same_in_one_step_as_in_two(
    policy: Policy, start: float, owed: float, turnover: float, first: int, second: int
) -> None:
    def advanced(u_ref: float, since: int, until: int) -> float:
        last = ControlState(at=since, u_ref=u_ref)
        return controller.advance_u_ref(policy, last, 0.5, owed, turnover, until)

    halfway = advanced(start, 0, first)
    assert advanced(halfway, first, first + second) == pytest.approx(
        advanced(start, 0, first + second), abs=1e-9
    )


def test_the_reference_goes_half_of_the_way_in_a_half_life() -> None:
    policy = Policy(account="r", target_share=0.25, half_life_seconds=DAY)
    last = ControlState(at=0, u_ref=0.2)
    assert controller.advance_u_ref(policy, last, 0.3, 0.6, 1.0, DAY) == pytest.approx(0.4)
    assert controller.advance_u_ref(policy, last, 0.3, 0.6, 1.0, 2 * DAY) == pytest.approx(0.5)
    assert controller.advance_u_ref(policy, last, 0.3, 0.6, 2.0, DAY) == pytest.approx(0.5)
    assert controller.advance_u_ref(policy, last, 0.3, 0.6, 1.0, 0) == 0.2
    assert controller.advance_u_ref(policy, last, 0.3, 0.6, 1.0, -DAY) == 0.2


@given(cases)
def test_taking_over_begins_at_the_share_that_is_found(case: Case) -> None:
    """Kept near usage as ever: nothing else may make the first step."""
    level = case.level
    found = case._replace(last=None).decision().state
    assert found is not None
    share, usage = case.share(), level.usage_share
    assert found.u_ref == min(_highest(case, usage), max(_lowest(case, usage), share))
    assert found.writes_last_day == 0


# --- settles ------------------------------------------------------------------------------------------


def _applied(case: Case, decision: Decision) -> Case:
    """The case right after a decision was carried out: no time has passed."""
    assert decision.state is not None
    state = replace(decision.state, writes_last_day=0)
    for change in decision.changes:
        rows = (
            replace(one, raw_shares=change.raw_shares_after) if one in case.level.regional else one
            for one in case.observed.associations
        )
        case = case.beside(rows)
    return case._replace(last=state)


@given(cases)
def test_carrying_a_decision_out_leads_straight_to_a_set_point_and_stays_there(case: Case) -> None:
    reasons = []
    case = case._replace(last=case.last and replace(case.last, writes_last_day=0))
    for _ in range(400):
        decision = case.decision()
        if not decision.changes:
            break
        reasons.append(decision.reason)
        case = _applied(case, decision)
    assert not decision.changes
    assert reasons.count("lower") in (0, len(reasons))
    assert _applied(case, decision).decision().reason == decision.reason


@given(fine_cases)
def test_where_it_settles_is_the_wanted_share_or_within_a_band_of_it(case: Case) -> None:
    case = case._replace(last=case.last and replace(case.last, writes_last_day=0))
    for _ in range(400):
        decision = case.decision()
        if not decision.changes:
            break
        case = _applied(case, decision)
    gap = abs(case.share() - case.wanted())
    allowed = {"at_set_point": controller.SET_POINT_TOLERANCE, "same_order": case.policy.band}
    (rows,) = case.level.present
    one_more = case.level.share((rows + 1,)) - case.level.share((rows,))
    full = rows + case.level.sibling_shares >= MAX_RAW_SHARES
    assert full or gap < allowed[decision.reason] + 2 * one_more


# --- refusals -----------------------------------------------------------------------------------------

LEVEL = (
    _account("root", None, 1, 100),
    _user("root", "root", 1, 0),
    _account("regional", shares=25, usage=20),
    _account("others", shares=75, usage=80),
    _account("umcg", "regional", 1, 20),
)
POLICY = Policy(account="regional", target_share=0.25, half_life_seconds=7 * DAY)


def _level(**difference: Association | None) -> tuple[Association, ...]:
    """LEVEL with accounts replaced (by account; ``root_user`` is root's own user), or left out."""
    named = {("root_user" if one.user else one.account): one for one in LEVEL}
    return tuple(one for one in {**named, **difference}.values() if one)


@pytest.mark.parametrize(
    ("reason", "difference"),
    [
        ("no_account", {"regional": None}),
        ("no_account", {"regional": _user("regional", "jan", 25, 20)}),
        ("not_top_level", {"regional": _account("regional", "gone", 25, 20)}),
        ("not_top_level", {"regional": _account("regional", None, 25, 20)}),
        ("not_steerable", {"regional": _account("regional", shares=PARENT_SHARES, usage=20)}),
        ("not_steerable", {"regional": _account("regional", shares=0, usage=20)}),
        ("mixed_level", {"others": _account("others", shares=PARENT_SHARES, usage=80)}),
        ("mixed_level", {"root_user": _user("root", "root", PARENT_SHARES, 0)}),
        ("no_competition", {"others": None, "root_user": None}),
        ("no_competition", {"others": _account("others", shares=0, usage=80), "root_user": None}),
        ("no_competition", {"others": _account("others", shares=0), "root_user": _user("root", "root", 0)}),
        ("usage_unknown", {"regional": _account("regional", shares=25, usage=None)}),
        ("usage_unknown", {"others": _account("others", shares=75, usage=None)}),
        ("usage_unknown", {"root_user": _user("root", "root", 1, None)}),
    ],
)
def test_a_level_that_cannot_be_steered_is_held_for_its_reason(
    reason: str, difference: dict[str, Association | None]
) -> None:
    last = ControlState(at=NOW - HOUR, u_ref=0.4, writes_last_day=3)
    decision = decide(POLICY, _observed(_measurement([], [], left=DAY), *_level(**difference)), last, NOW)
    assert (decision.reason, decision.changes, decision.state) == (reason, (), last)
    assert reason in HOLDS
    assert REASONS[reason] in decision.sentence


def test_usage_that_does_not_decay_is_not_steered_by() -> None:
    policy = replace(POLICY, half_life_seconds=0)
    decision = decide(policy, _observed(_measurement([], [], left=DAY), *LEVEL), None, NOW)
    assert (decision.reason, decision.changes) == ("no_decay", ())


def test_the_usage_of_accounts_below_the_level_need_not_be_known() -> None:
    tree = _level(umcg=_account("umcg", "regional", 1, None), root=_account("root", None, 1, None))
    assert (
        decide(POLICY, _observed(_measurement([], [], left=DAY), *tree), None, NOW).reason == "at_set_point"
    )


def test_every_reason_to_hold_is_one_of_the_reasons() -> None:
    assert set(REASONS) > HOLDS
    assert not HOLDS & set(RAISES)


# --- what it is for -----------------------------------------------------------------------------------


def _steady(share: float, hours: int = 30 * 24) -> tuple[list[float], list[float]]:
    return [share * 1000.0] * hours, [1000.0] * hours


@given(st.floats(0.26, 1.0), st.integers(100, 60 * 24))
def test_a_rolling_window_with_a_steady_past_at_the_goal_or_above_owes_the_goal(
    share: float, hours: int
) -> None:
    measurement = _measurement(*_steady(share, hours), left=0, rolling=True)
    assert payback(POLICY, measurement) == pytest.approx(POLICY.goal, abs=1e-9)


@given(st.floats(0.0, 0.25), st.integers(100, 60 * 24))
def test_a_rolling_window_with_a_steady_past_below_the_goal_owes_more(share: float, hours: int) -> None:
    measurement = _measurement(*_steady(share, hours), left=0, rolling=True)
    assert payback(POLICY, measurement) > POLICY.goal


@pytest.mark.parametrize(("share", "owed"), [(0.20, 0.80), (0.25, 0.35), (0.10, 0.9)])
def test_a_rolling_window_repays_what_stays_in_it_before_the_recovery_time_is_over(
    share: float, owed: float
) -> None:
    """Of 30 days at this share, 27 are still in the window after the 3 days of recovery."""
    measurement = _measurement(*_steady(share), left=0, rolling=True)
    assert payback(POLICY, measurement) == pytest.approx(owed)


def test_a_deficit_that_leaves_the_rolling_window_soon_must_be_made_up_for_before() -> None:
    """The surplus is oldest: what is left when it has gone must be at the goal by itself."""
    surplus_first = _measurement([1000.0] * 240 + [0.0] * 480, [1000.0] * 720, left=0, rolling=True)
    surplus_last = _measurement([0.0] * 480 + [1000.0] * 240, [1000.0] * 720, left=0, rolling=True)
    assert payback(POLICY, surplus_first) > POLICY.goal
    assert payback(POLICY, surplus_last) == pytest.approx(POLICY.goal)


@pytest.mark.parametrize(
    ("share", "left", "owed"),
    [
        (0.26, 60 * DAY, 0.26),
        (0.16, 60 * DAY, 0.26 + 0.1 * 30 / 30),
        (0.16, 20 * DAY, 0.26 + 0.1 * 30 / 10),
        (0.16, 3 * DAY, 0.9),
        (0.16, 0, 0.9),
        (0.255, 60 * DAY, 0.26 + 0.005),
        (0.90, 60 * DAY, 0.25),
    ],
)
def test_a_calendar_window_owes_the_goal_and_its_deficit_over_half_of_what_is_left(
    share: float, left: int, owed: float
) -> None:
    measurement = _measurement(*_steady(share), left=left)
    assert payback(POLICY, measurement) == pytest.approx(min(0.9, owed))


def test_before_anything_was_delivered_the_goal_is_owed() -> None:
    for rolling in (False, True):
        assert payback(POLICY, _measurement([], [], left=DAY, rolling=rolling)) == POLICY.goal
        assert payback(POLICY, _measurement([0.0], [0.0], left=DAY, rolling=rolling)) == POLICY.goal


def _tree(regional_usage: int, shares: int = 2500) -> tuple[Association, ...]:
    return (
        _user("root", "root", 1, 0),
        _account("regional", shares=shares, usage=regional_usage),
        _account("others", shares=7499, usage=1000 - regional_usage),
    )


@pytest.mark.parametrize("rolling", [False, True])
def test_a_region_in_deficit_is_raised_within_the_bounds_until_the_deficit_is_answered(rolling: bool) -> None:
    """The region got 20 % all month: after some days the law has raised its share well above the promise."""
    measurement = _measurement(*_steady(0.2), left=30 * DAY, rolling=rolling)
    case = Case(POLICY, _observed(measurement, *_tree(220)), ControlState(at=NOW, u_ref=0.25), NOW)
    shares = [case.share(2500)]
    for _ in range(20):
        case = case._replace(now=case.now + 6 * HOUR)
        decision = case.decision()
        assert decision.reason in ("raise", "at_set_point", "same_order")
        case = _applied(case, decision)
        shares.append(case.share())
    assert shares == sorted(shares)
    assert 0.27 < shares[-1] <= POLICY.share_max


def test_a_region_that_soaked_idle_nodes_is_not_starved_for_it() -> None:
    """Usage is far above its share: the shares follow in steps of the slew, up to a band below usage."""
    case = Case(POLICY, _observed(_measurement(*_steady(0.6), left=30 * DAY), *_tree(600)), None, NOW)
    assert case.decision().reason == "follow"
    for _ in range(10):
        case = _applied(case, case.decision())
    assert case.wanted() == pytest.approx(0.6 - POLICY.debit_max)
    share = case.share()
    assert 0.6 - POLICY.debit_max - POLICY.band < share <= 0.6


@pytest.mark.parametrize(
    ("runs_of_usage", "debit"), [(0.0, 0.015), (0.005, 0.015), (0.02, 0.04), (0.5, POLICY.credit_max)]
)
def test_the_shares_do_not_follow_what_usage_ripples_by_where_runs_are_large(
    runs_of_usage: float, debit: float
) -> None:
    """A run of 2 % of all decayed usage makes usage ripple by about 4 %."""
    measured = _measurement(*_steady(0.6), left=30 * DAY)
    usage = share.expected_rate(measured) * POLICY.half_life_seconds / log(2)
    observed = replace(_observed(measured, *_tree(600)), run_charge=runs_of_usage * usage)
    assert controller.debit(POLICY, observed) == pytest.approx(debit)
    assert controller.debit(replace(POLICY, debit_max=0.3), observed) == 0.3
    decision = Case(POLICY, observed, None, NOW).decision()
    assert decision.inputs["u_ref"] == pytest.approx(0.6 - debit)
    assert decision.inputs["debit"] == pytest.approx(debit)


def test_a_region_that_was_absent_gets_a_bounded_credit() -> None:
    case = Case(POLICY, _observed(_measurement(*_steady(0.0), left=30 * DAY), *_tree(0)), None, NOW)
    for _ in range(200):
        case = _applied(case._replace(now=case.now + DAY), case.decision())
    wanted = case.wanted()
    assert wanted == pytest.approx(POLICY.goal)


def test_a_small_step_waits_while_it_changes_no_order() -> None:
    """Usage 0.10 lies below both shares, 0.25 and 0.26: the region goes first either way."""
    measurement = _measurement([], [], left=DAY)
    state = ControlState(at=NOW, u_ref=0.26)
    held = decide(POLICY, _observed(measurement, *_tree(100)), state, NOW)
    assert (held.reason, held.changes) == ("same_order", ())
    between = decide(POLICY, _observed(measurement, *_tree(255)), state, NOW)
    assert between.changes
    policy = replace(POLICY, margin=0.04)
    large = decide(policy, _observed(measurement, *_tree(100)), replace(state, u_ref=0.29), NOW)
    assert large.changes


@pytest.mark.parametrize(
    ("usage", "u_ref", "days", "waits"),
    [
        (200, 0.26, 0.60, True),
        (200, 0.26, 0.70, False),
        (200, 0.24, 0.50, True),
        (200, 0.24, 0.60, False),
        (300, 0.26, 1.40, True),
        (300, 0.26, 1.50, False),
        (250, 0.26, 0.001, False),
        (255, 0.26, 0.001, False),
    ],
)
def test_a_small_step_waits_as_long_as_usage_stays_on_one_side_until_the_next_decision(
    usage: int, u_ref: float, days: float, waits: bool
) -> None:
    """The share is 0.25 and the half-life 7 days; usage may rise to all or fall to nothing meanwhile."""
    policy = replace(POLICY, period_seconds=int(days * DAY), debit_max=0.2)
    last = ControlState(at=NOW, u_ref=u_ref)
    decision = decide(policy, _observed(_measurement([], [], left=DAY), *_tree(usage)), last, NOW)
    assert (decision.reason == "same_order") == waits
    assert bool(decision.changes) != waits


@given(st.integers(60, DAY), st.integers(0, 1000), st.floats(0.2, 0.4))
def test_a_step_that_could_change_the_order_before_the_next_decision_does_not_wait(
    period: int, usage: int, u_ref: float
) -> None:
    policy = replace(POLICY, period_seconds=period, credit_max=1.0, debit_max=0.99)
    observed = _observed(_measurement([], [], left=DAY), *_tree(usage))
    case = Case(policy, observed, ControlState(at=NOW, u_ref=u_ref), NOW)
    share, wanted, u = case.share(2500), case.wanted(), usage / 1000
    drift = 1 - 0.5 ** (period / policy.half_life_seconds)
    lowest, highest = u - drift * u, u + drift * (1 - u)
    if case.decision().reason == "same_order":
        assert highest < min(share, wanted) or lowest > max(share, wanted)
        assert abs(share - wanted) < policy.band


def test_a_decision_tells_what_it_rests_on() -> None:
    measurement = _measurement(*_steady(0.2), left=30 * DAY)
    decision = decide(
        POLICY, _observed(measurement, *_tree(220)), ControlState(at=NOW - DAY, u_ref=0.25), NOW
    )
    inputs = decision.inputs
    assert (inputs["account"], inputs["window"], inputs["as_of"]) == ("regional", "w", NOW)
    assert inputs["target_share"] == 0.25
    assert inputs["delivered_share"] == pytest.approx(0.2)
    assert inputs["usage_share"] == pytest.approx(0.22)
    assert inputs["share"] == pytest.approx(0.25, abs=1e-4)
    assert (inputs["raw_shares"], inputs["competing_shares"]) == (2500, 7500)
    gain = 1 - 0.5 ** (1 / 7)
    owed = POLICY.owed_max
    assert inputs["payback_share"] == payback(POLICY, measurement) < owed
    assert inputs["capture_share"] == inputs["owed_share"] == owed
    assert inputs["u_ref"] == pytest.approx(0.25 + gain * (owed - 0.25))


@example(PARENT_SHARES)
@example(0)
@given(st.integers(0, PARENT_SHARES))
def test_only_a_number_that_competes_is_steerable(shares: int) -> None:
    assert _account("a", shares=shares).steerable == (shares not in (0, PARENT_SHARES))
