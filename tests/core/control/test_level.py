"""Several regional accounts beside the others under root: what is written, and what it leads to.

A case is one of ``test_controller``, with the region spread over two to four accounts.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from slurm_ai_factory.core.control import controller
from slurm_ai_factory.core.control.controller import Policy, decide
from slurm_ai_factory.core.control.level import LEAST_COMPETING, SteeredLevel, find_level
from slurm_ai_factory.core.control.reasons import HOLDS, REASONS
from slurm_ai_factory.core.records import PARENT_SHARES, Association, Change, ControlState, Decision
from slurm_ai_factory.simulation import fair_tree
from tests.core.control.test_controller import (
    DAY,
    MOST,
    NOW,
    Case,
    _account,
    _highest,
    _lowest,
    _measurement,
    _observed,
    _user,
    case_of,
    large_shares,
    observations,
    policies,
    small_shares,
    usages,
)

NAMES = ("ra", "rb", "rc", "rd")
WRITES = ("raise", "follow", "lower", "ratio")


@st.composite
def siblings(
    draw: st.DrawFn,
    shares: st.SearchStrategy[int] = small_shares,
    used: st.SearchStrategy[int] = usages,
    *,
    root_user: bool = True,
) -> Case:
    """Two to four regional accounts and one to three others under root; any of them idle, any waiting."""
    regional = [_account(name, "root", draw(shares), draw(used)) for name in NAMES[: draw(st.integers(2, 4))]]
    others = [_account(f"n{n}", "root", draw(shares), draw(used)) for n in range(draw(st.integers(1, 3)))]
    root_usage = draw(usages) if root_user else 0
    below = [_user("ra", "jan", draw(small_shares), None), _account("umcg", "ra", draw(small_shares), 5)]
    root = [_account("root", None, 1, 5), _user("root", "root", draw(st.integers(0, 1)), root_usage)]
    names = [one.account for one in (*regional, *others)]
    waiting = draw(st.none() | st.frozensets(st.sampled_from(names)))
    policy = replace(draw(policies()), account=tuple(one.account for one in regional))
    policy = replace(policy, writes_per_day=max(policy.writes_per_day, len(regional)))
    observed = replace(draw(observations()), waiting_rows=waiting)
    own = draw(st.dictionaries(st.sampled_from(policy.accounts), shares))
    last = ControlState(at=NOW - draw(st.integers(0, 90 * DAY)), u_ref=draw(st.floats(0, 1)), baseline=own)
    tree = tuple(draw(st.permutations([*regional, *others, *below, *root])))
    return case_of(policy, observed, tree, last, NOW)


cases = siblings()
fine_cases = siblings(st.integers(10**5, 10**6), root_user=False)
"""So many RawShares that rounding to whole ones does not show."""


def level_of(case: Case) -> SteeredLevel:
    own = case.last.baseline if case.last else {}
    found = find_level(case.policy.accounts, case.observed.associations, case.observed.waiting_rows, own)
    assert isinstance(found, SteeredLevel)
    return found


def with_changes(case: Case, changes: tuple[Change, ...]) -> Case:
    """The case after these changes and no others came into force."""
    after = {one.account: one.raw_shares_after for one in changes}
    rows = tuple(
        one if one.user else replace(one, raw_shares=after.get(one.account, one.raw_shares))
        for one in case.observed.associations
    )
    return case.beside(rows)


def lived(case: Case, decision: Decision) -> Case:
    """Right after a decision was carried out: no time has passed, and what was found first is kept."""
    assert decision.state
    assert case.last
    found = {one.account: one.raw_shares_before for one in decision.changes}
    state = replace(decision.state, writes_last_day=0, baseline=found | dict(case.last.baseline))
    return with_changes(case, decision.changes)._replace(last=state)


def settled(case: Case) -> tuple[Case, Decision]:
    """Carry out one decision after the other until one changes nothing, on days with no writes yet."""
    assert case.last
    case = case._replace(last=replace(case.last, writes_last_day=0))
    for _ in range(400):
        decision = case.decision()
        if not decision.changes:
            return case, decision
        case = lived(case, decision)
    raise AssertionError("it does not settle")


# --- what is written ----------------------------------------------------------------------------------


@given(siblings(small_shares | large_shares))
def test_only_steered_rows_are_written_each_once_and_with_numbers_that_slurm_can_add_up(case: Case) -> None:
    decision = case.decision()
    assert decision == case.decision()
    assert bool(decision.changes) == (decision.reason in WRITES)
    names = [one.account for one in decision.changes]
    assert len(set(names)) == len(names) <= len(case.policy.accounts)
    assert set(names) <= set(case.policy.accounts)
    level = level_of(case)
    before = dict(zip(case.policy.accounts, level.present, strict=True))
    for change in decision.changes:
        assert change.raw_shares_before == before[change.account] != change.raw_shares_after
        assert 1 <= change.raw_shares_after <= MOST
        assert f"{change.account} RawShares {change.raw_shares_before} -> " in decision.sentence
    after = level_of(with_changes(case, decision.changes))
    assert sum(after.present) <= max(sum(level.present), MOST - level.sibling_shares)
    assert REASONS[decision.reason] in decision.sentence


@given(siblings(small_shares | large_shares))
def test_what_is_written_is_in_the_operators_ratio(case: Case) -> None:
    """Idle accounts too: every row is the same multiple of its own, to within one RawShare."""
    decision = case.decision()
    assert not decision.changes or level_of(lived(case, decision)).in_ratio


@given(siblings(small_shares | large_shares))
def test_one_step_moves_the_regions_share_by_no_more_than_the_slew_and_one_raw_share_each(case: Case) -> None:
    level = level_of(case)
    rows = level_of(with_changes(case, case.decision().changes)).present
    assume(sum(rows) + level.sibling_shares < MOST // 2)  # 31 bits come before the slew
    room = max(level.share([one + 1 for one in rows]) - level.share(rows), 0.0)
    assert abs(level.share(rows) - level.share(level.present)) <= case.policy.slew + room + 1e-6


@given(cases, st.integers(0, 60))
def test_every_row_is_a_write_and_a_step_is_made_whole_or_not_at_all(case: Case, spent: int) -> None:
    assert case.last
    free = case._replace(
        policy=replace(case.policy, writes_per_day=10**6), last=replace(case.last, writes_last_day=spent)
    ).decision()
    bound = case._replace(last=replace(case.last, writes_last_day=spent)).decision()
    fits = spent + len(free.changes) <= case.policy.writes_per_day
    assert bound.changes == (free.changes if fits else ())
    assert (bound.reason == "write_budget") == bool(free.changes and not fits)


@given(cases)
def test_the_wanted_share_is_near_usage_and_within_the_limits(case: Case) -> None:
    policy, usage = case.policy, level_of(case).usage_share
    bounds = _lowest(case, usage), _highest(case, usage)
    low, high = (min(policy.share_max, max(policy.share_min, one)) for one in bounds)
    assert low - 1e-12 <= case.wanted() <= high + 1e-12


# --- what it leads to ---------------------------------------------------------------------------------


@given(cases)
def test_carrying_decisions_out_leads_to_a_set_point_in_ratio_and_stays_there(case: Case) -> None:
    case, decision = settled(case)
    assert decision.reason in ("at_set_point", "same_order")
    assert level_of(case).in_ratio
    assert case._replace(
        last=decision.state and replace(decision.state, writes_last_day=0)
    ).decision().reason == (decision.reason)


@given(fine_cases)
def test_where_it_settles_is_the_wanted_share_or_within_a_band_of_it(case: Case) -> None:
    case, decision = settled(case)
    gap = abs(level_of(case).share(level_of(case).present) - case.wanted())
    allowed = {"at_set_point": controller.SET_POINT_TOLERANCE, "same_order": case.policy.band}
    assert gap < allowed[decision.reason]


@given(fine_cases)
def test_every_interrupted_prefix_of_a_decision_heals_by_the_next_ones(case: Case) -> None:
    """Any of the rows in force and the others not: what is found next leads to where it would have led."""
    decision = case.decision()
    assume(len(decision.changes) > 1)
    assert case.last
    for done in range(len(decision.changes)):
        begun = decision.changes[: done + 1]
        found = {one.account: one.raw_shares_before for one in begun} | dict(case.last.baseline)
        state = replace(
            case.last, at=NOW, u_ref=decision.state.u_ref if decision.state else 0, baseline=found
        )
        for in_force in (decision.changes[:done], begun):
            healed, last = settled(with_changes(case, in_force)._replace(last=state))
            level = level_of(healed)
            assert level.in_ratio
            allowed = {"at_set_point": controller.SET_POINT_TOLERANCE, "same_order": case.policy.band}
            assert abs(level.share(level.present) - healed.wanted()) < allowed[last.reason]


@given(siblings(st.integers(10**6, 10**7), st.integers(10**3, 10**6), root_user=False), st.floats(0.05, 0.9))
def test_at_the_set_point_the_regions_level_fs_is_that_of_the_others_that_are_busy(
    case: Case, share: float
) -> None:
    """s_R / U_R = S_sat / U_sat at u = the wanted share: the two sides go by turns there and nowhere else."""
    level = level_of(case)
    assume(level.competing_shares > 1.001 * LEAST_COMPETING * level.sibling_shares)
    rows = level.rows(share, 1.0)
    assume(all(1000 < one < 10**8 for one in rows))
    busy = [{one.account for one in side if one.account in names} for side, names in zip(
        (level.regional, level.siblings), level.counted, strict=True)]  # fmt: skip
    shares = dict(zip([one.account for one in level.regional], rows, strict=True))
    shares |= {one.account: one.raw_shares for one in level.siblings}
    usage = {one.account: one.raw_usage or 0 for one in (*level.regional, *level.siblings)}
    u = level.usage_share
    grown = share / u, (1 - share) / (1 - u)  # each side's usage, when the region's part has become this
    ours, theirs = (
        sum(shares[name] for name in names) / (factor * sum(usage[name] for name in names))
        for names, factor in zip(busy, grown, strict=True)
    )
    assert ours == pytest.approx(theirs, rel=0.01)


# --- invariant ----------------------------------------------------------------------------------------


@given(cases, st.integers(1, 10**6))
def test_usage_may_be_counted_in_any_unit(case: Case, factor: int) -> None:
    rows = tuple(
        replace(one, raw_usage=None if one.raw_usage is None else one.raw_usage * factor)
        for one in case.observed.associations
    )
    one, other = case.decision(), case.beside(rows).decision()
    assert (one.reason, one.changes) == (other.reason, other.changes)


@given(cases)
def test_the_order_of_the_rows_and_the_names_do_not_matter(case: Case) -> None:
    rows = tuple(reversed(case.observed.associations))
    assert case.beside(rows).decision() == case.decision()
    turned = case._replace(policy=replace(case.policy, account=case.policy.accounts[::-1])).decision()
    assert {one.account: one for one in turned.changes} == {
        one.account: one for one in case.decision().changes
    }


# --- whom it counts -----------------------------------------------------------------------------------

POLICY = Policy(account=("ra", "rb"), target_share=0.25, half_life_seconds=7 * DAY)


def flat(*rows: tuple[str, int, int], waiting: frozenset[str] | None = None) -> SteeredLevel:
    """A level of (account, RawShares, usage); accounts of the region begin with r."""
    tree = [_account(name, shares=shares, usage=usage) for name, shares, usage in rows]
    found = find_level([name for name, *_ in rows if name[0] == "r"], tree, waiting)
    assert isinstance(found, SteeredLevel)
    return found


@pytest.mark.parametrize(
    ("level", "share"),
    [
        (flat(("ra", 10, 10), ("rb", 15, 15), ("n", 75, 75)), 0.25),
        (flat(("ra", 10, 0), ("rb", 15, 15), ("n", 75, 75)), 15 / 90),
        (flat(("ra", 10, 10), ("rb", 15, 15), ("n", 40, 75), ("m", 35, 0)), 25 / 65),
        (flat(("ra", 10, 0), ("rb", 15, 0), ("n", 75, 0)), 0.25),
        (
            flat(
                ("ra", 10, 10),
                ("rb", 15, 15),
                ("n", 40, 40),
                ("m", 20, 10),
                ("o", 15, 15),
                waiting=frozenset({"ra", "rb", "n", "o"}),
            ),
            0.25 * 0.9 / 0.8,
        ),
    ],
)
def test_the_share_of_a_level_is_what_the_busy_accounts_settle_at(level: SteeredLevel, share: float) -> None:
    """10 and 15 against 75: 25 %; with the first idle 15/90; a limited one leaves what it does not take."""
    tolerance = 0.011 if level.waiting else 1e-9  # a limited account's part is that of now, not of the end
    assert level.share(level.present) == pytest.approx(share, abs=tolerance)


def test_however_few_of_the_others_take_part_a_tenth_of_their_shares_counts() -> None:
    few = flat(("r", 25, 25), ("n", 1, 75), ("m", 99, 0))
    more = flat(("r", 25, 25), ("n", 20, 75), ("m", 80, 0))
    assert few.counted == more.counted == (["r"], ["n"])
    assert (few.competing_shares, more.competing_shares) == (10, 20)


def test_an_account_that_waits_counts_and_one_that_had_much_and_left_does_not() -> None:
    rows = ("ra", 10, 10), ("rb", 15, 15), ("n", 40, 60), ("m", 35, 50)
    assert flat(*rows).counted == (["ra", "rb"], ["m", "n"])
    assert flat(*rows, waiting=frozenset({"rb", "m"})).counted == (["rb"], ["m"])
    assert flat(*rows, waiting=frozenset()).counted == (["ra", "rb"], ["m", "n"])


def test_an_account_that_comes_back_is_counted_when_it_has_caught_up() -> None:
    waiting = frozenset({"ra", "rb", "n"})
    away = flat(("ra", 10, 1), ("rb", 10, 20), ("n", 75, 75), waiting=waiting)
    back = flat(("ra", 10, 14), ("rb", 10, 16), ("n", 75, 75), waiting=waiting)
    assert (away.counted[0], back.counted[0]) == (["rb"], ["ra", "rb"])


def test_idle_accounts_keep_their_ratio_and_the_others_make_up_for_them() -> None:
    level = flat(("ra", 1000, 0), ("rb", 1500, 1500), ("n", 7500, 7500))
    rows = level.rows(0.25, 1.0)
    assert rows == (1667, 2500)


def test_nothing_is_rounded_away() -> None:
    """The ratio is the baseline's, however coarse the rows in force have become."""
    own = {"ra": 1000, "rb": 1}
    tree = [
        _account("ra", shares=20, usage=5),
        _account("rb", shares=1, usage=5),
        _account("n", shares=30, usage=5),
    ]
    small = find_level(("ra", "rb"), tree, None, own)
    assert isinstance(small, SteeredLevel)
    assert small.in_ratio
    assert small.rows(0.01, 1.0)[1] == 1
    tree[-1] = _account("n", shares=10**6, usage=5)
    large = find_level(("ra", "rb"), tree, None, own)
    assert isinstance(large, SteeredLevel)
    assert large.rows(0.5, 1.0)[0] == pytest.approx(1000 * large.rows(0.5, 1.0)[1], rel=0.01)


def test_a_row_that_somebody_set_goes_back_into_the_ratio_although_the_share_is_right() -> None:
    own = {"ra": 1000, "rb": 1500}
    tree = [_account("ra", shares=1500, usage=100), _account("rb", shares=1000, usage=150),
            _account("n", shares=7500, usage=750)]  # fmt: skip
    last = ControlState(at=NOW, u_ref=0.25, baseline=own)
    decision = decide(POLICY, _observed(_measurement([], [], left=DAY), *tree), last, NOW)
    assert decision.reason == "ratio"
    assert [one.raw_shares_after for one in decision.changes] == [1000, 1500]


# --- refusals -----------------------------------------------------------------------------------------

LEVEL = (
    _account("root", None, 1, 100), _user("root", "root", 1, 0), _account("ra", shares=10, usage=10),
    _account("rb", shares=15, usage=10), _account("n", shares=75, usage=80), _account("umcg", "n", 1, 20),
)  # fmt: skip


@pytest.mark.parametrize(
    ("accounts", "different", "reason", "named"),
    [
        (("ra", "rx", "ry"), None, "no_account", "rx, ry"),
        (("ra", "umcg"), None, "mixed_parents", "umcg"),
        (("ra", "rb"), _account("rb", "ra", 15, 10), "mixed_parents", "rb"),
        (("ra", "rb"), _account("rb", shares=0, usage=10), "not_steerable", "rb"),
        (("ra", "rb"), _account("rb", shares=PARENT_SHARES, usage=10), "not_steerable", "rb"),
        (("ra", "rb"), _account("n", shares=PARENT_SHARES, usage=10), "mixed_level", "n"),
        (("ra", "rb"), _account("rb", shares=15, usage=None), "usage_unknown", "rb"),
        (("ra", "rb", "n"), _user("root", "root", 0, 0), "no_competition", "ra, rb, n"),
    ],
)
def test_what_cannot_be_steered_is_held_for_its_reason_and_named(
    accounts: tuple[str, ...], different: Association | None, reason: str, named: str
) -> None:
    rows = {(one.account, one.user): one for one in LEVEL}
    if different:
        rows[different.account, different.user] = different
    last = ControlState(at=NOW, u_ref=0.4)
    policy = replace(POLICY, account=accounts)
    decision = decide(policy, _observed(_measurement([], [], left=DAY), *rows.values()), last, NOW)
    assert (decision.reason, decision.changes, decision.state) == (reason, (), last)
    assert reason in HOLDS
    assert decision.sentence == f"hold: {REASONS[reason]} ({named})"


def test_the_order_that_shares_give_is_slurms_own() -> None:
    """Below the set-point every busy regional account is before every other in Fair Tree, above it behind."""
    for share, first in ((0.30, True), (0.20, False)):
        level = flat(("ra", 1000, 1000), ("rb", 1500, 1500), ("n", 4000, 4000), ("m", 3500, 3500))
        rows = level.rows(share, 1.0)
        parts: list[tuple[str, str | None, str | None, int]] = [("root", None, None, 1)]
        parts += [
            (name, "root", None, one)
            for name, one in zip(("ra", "rb", "n", "m"), (*rows, 4000, 3500), strict=True)
        ]
        parts += [(name, None, "u", 1) for name in ("ra", "rb", "n", "m")]
        usage = {"ra/u": 1000.0, "rb/u": 1500.0, "n/u": 4000.0, "m/u": 3500.0}
        root = fair_tree.tree_of_rows(parts)
        ranks = fair_tree.fair_share(root, fair_tree.summed(root, usage))
        regional, others = ([ranks[f"{name}/u"] for name in names] for names in (("ra", "rb"), ("n", "m")))
        assert (min(regional) > max(others)) == first
        assert (max(regional) < min(others)) != first


def test_steps_to_a_far_set_point_go_one_way() -> None:
    tree = (_account("ra", shares=1000, usage=300), _account("rb", shares=1500, usage=300),
            _account("n", shares=7500, usage=400), _user("root", "root", 1, 0))  # fmt: skip
    case = case_of(
        POLICY, _observed(_measurement([], [], left=DAY)), tree, ControlState(at=NOW, u_ref=0.6), NOW
    )
    shares = [level_of(case).share(level_of(case).present)]
    for _ in range(20):
        case = lived(case, case.decision())
        shares.append(level_of(case).share(level_of(case).present))
    assert all(0 <= after - before <= POLICY.slew + 1e-4 for before, after in pairwise(shares))
    assert 0.6 - POLICY.band < shares[-1] <= 0.6
