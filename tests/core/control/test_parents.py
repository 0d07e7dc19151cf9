"""Steered accounts below an account: the level is a part of the machine, and the promise is of the whole.

A case is one of ``test_controller`` or ``test_level``, moved below an account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import assume, given

from slurm_ai_factory.core.control import controller
from slurm_ai_factory.core.control.controller import Policy, decide
from slurm_ai_factory.core.control.level import Refusal, SteeredLevel, find_level, sibling_shares
from slurm_ai_factory.core.control.reasons import HOLDS, REASONS
from slurm_ai_factory.core.records import HOUR, PARENT_SHARES, Association, ControlState, Decision
from tests.core.control.test_controller import (
    DAY,
    NOW,
    Case,
    _account,
    _measurement,
    _observed,
    _user,
    small_shares,
    usages,
)
from tests.core.control.test_level import siblings

POLICY = Policy(account="regional", target_share=0.25, half_life_seconds=7 * DAY)
LIMITS = {"parent", "parent_usage_part", "parent_shares_part"}


def below(case: Case, *beside: Association) -> Case:
    """The level of a case below ``national``; root's own users stay where they are, without usage."""
    rows = [
        replace(row, parent="national") if row.parent == "root" else replace(row, raw_usage=0)
        for row in case.observed.associations
        if row.user is None or row.account == "root"
    ]
    used = sum(row.raw_usage or 0 for row in rows if row.parent == "national")
    return case.beside((*rows, _account("national", "root", 60, used), *beside))


def without_root_users(case: Case) -> Case:
    return case.beside(row for row in case.observed.associations if row.user is None)


@given(siblings())
def test_below_an_account_that_has_the_whole_machine_every_decision_is_that_under_root(case: Case) -> None:
    """To the last bit: the part of such a level is 1."""
    case = without_root_users(case)
    assume(not isinstance(find_level(case.policy.accounts, case.observed.associations), Refusal))
    flat, nested = case.decision(), below(case).decision()
    assert not LIMITS & set(flat.inputs)
    assert {name: value for name, value in nested.inputs.items() if name not in LIMITS} == flat.inputs
    assert replace(nested, inputs=flat.inputs) == flat


@given(siblings(), usages, small_shares)
def test_the_set_point_is_what_the_whole_machine_owes_as_a_part_of_the_level(
    case: Case, elsewhere: int, shares: int
) -> None:
    nested = below(without_root_users(case), _account("eu", "root", shares, elsewhere))
    level = find_level(case.policy.accounts, nested.observed.associations)
    assert isinstance(level, SteeredLevel)
    decision, part = nested.decision(), level.parent.usage_part
    assert decision.inputs["parent_usage_part"] == part <= 1
    assert level.parent.shares_part == pytest.approx(60 / (60 + shares))
    u_ref, policy = decision.inputs["u_ref"], case.policy
    assert isinstance(u_ref, float)
    goal = policy.goal / part if part else 1.0
    highest = max(level.usage_share + policy.credit_max, goal)
    lowest = min(level.usage_share, goal) - controller.debit(policy, nested.observed, part)
    assert min(highest, lowest) - 1e-9 <= u_ref <= highest + 1e-9
    reachable = policy.goal <= policy.share_max * max(part, level.parent.shares_part)
    assert (decision.reason == "out_of_reach") == (not reachable)
    assert bool(decision.changes) <= reachable


TREE = (
    _account("root", None, 1, 100), _account("eu", "root", 40, 40), _account("national", "root", 60, 60),
    _account("regional", "national", 25, 20), _account("science", "national", 75, 40),
    _account("umcg", "regional", 1, 20),
)  # fmt: skip


def decided(*different: Association, policy: Policy = POLICY) -> Decision:
    rows = {(row.account, row.user): row for row in TREE} | {
        (row.account, row.user): row for row in different
    }
    last = ControlState(at=NOW - HOUR, u_ref=0.4)
    return decide(policy, _observed(_measurement([], [], left=DAY), *rows.values()), last, NOW)


def test_the_goal_of_the_whole_machine_is_a_larger_part_of_the_level() -> None:
    """The parent has 0.6 of the usage, so 0.26 of all is 0.433 of its level."""
    decision = decided()
    assert decision.inputs["parent"] == "national"
    assert decision.inputs["owed_share"] == pytest.approx(0.26)
    steps = 0.4 + (1 - 2 ** (-1 / (7 * 24))) * (0.26 / 0.6 - 0.4)
    assert decision.inputs["u_ref"] == pytest.approx(steps)


@pytest.mark.parametrize(
    ("reason", "different"),
    [
        ("out_of_reach", [_account("eu", "root", 160, 160)]),
        ("mixed_level", [_account("national", "root", PARENT_SHARES, 60)]),
        ("mixed_level", [_user("national", "jan", PARENT_SHARES, 1)]),
        ("usage_unknown", [_account("national", "root", 60, None)]),
        ("usage_unknown", [_account("eu", "root", 40, None)]),
        ("usage_unknown", [_user("national", "jan", 1, None)]),
        ("no_competition", [_account("science", "national", 0, 40)]),
        ("not_top_level", [_account("national", "gone", 60, 60)]),
        ("not_top_level", [_account("national", "umcg", 60, 60)]),
    ],
)
def test_a_level_below_an_account_that_cannot_be_steered_is_held_for_its_reason(
    reason: str, different: list[Association]
) -> None:
    decision = decided(*different)
    assert (decision.reason, decision.changes) == (reason, ())
    assert reason in HOLDS
    assert REASONS[reason] in decision.sentence


@pytest.mark.parametrize(
    "different",
    [
        [_account("eu", "root", 60, 540)],  # its usage is low, but its shares would give it enough
        [_account("eu", "root", 540, 40)],  # its shares are few, but it has the usage of idle nodes
    ],
)
def test_a_level_that_can_be_large_enough_is_steered(different: list[Association]) -> None:
    assert decided(*different).reason in {"raise", "lower", "follow", "at_set_point", "same_order"}


def test_the_shares_of_a_deep_level_are_those_of_all_accounts_above_it() -> None:
    """Accounts below one with Fairshare=parent are on its level; its users have no shares of their own."""
    rows = (
        *TREE, _account("open", "root", PARENT_SHARES, 0), _account("open1", "open", 20, 0),
        _user("open", "jan", PARENT_SHARES), _account("other", "regional", 3, 0),
    )  # fmt: skip
    level = find_level(["umcg"], rows)
    assert isinstance(level, SteeredLevel)
    assert (level.parent.account, level.parent.usage_part) == ("regional", 0.2)
    assert level.parent.shares_part == pytest.approx(60 / 120 * 25 / 100)


def test_users_beside_the_steered_account_compete_with_it_and_are_not_named() -> None:
    rows = (*TREE, _user("national", "jan", 100, 300), _user("national", "els", 100, 1))
    waiting = frozenset({"national", "national/jan", "regional", "science"})
    level = find_level(["regional"], rows, waiting)
    assert isinstance(level, SteeredLevel)
    assert level.sibling_shares == sibling_shares(["regional"], rows) == 275
    assert {row.key for row in level.others} == {"science", "national/jan", "national/els"}
    assert level.counted == (["regional"], ["national"])
    assert level.competing_shares == pytest.approx(341 / 300 * 100)


def test_siblings_are_those_of_the_accounts_own_level() -> None:
    assert sibling_shares(["regional"], TREE) == 75
    assert sibling_shares(["regional", "eu"], TREE) is None
    assert sibling_shares(["gone"], TREE) is None


# --- what it leads to ---------------------------------------------------------------------------------


class Machine(NamedTuple):
    """Three accounts that each want the whole machine, which Fair Tree gives to one after the other."""

    shares: dict[str, int]
    usage: dict[str, float]

    @property
    def first(self) -> str:
        """The account that Fair Tree ranks first: of the lower LevelFS at the top, and then below it."""
        national = self.usage["regional"] + self.usage["science"]
        if self.usage["eu"] / self.shares["eu"] < national / self.shares["national"]:
            return "eu"
        return min(("regional", "science"), key=lambda name: self.usage[name] / self.shares[name])

    def rows(self) -> Sequence[Association]:
        used = {name: round(amount) for name, amount in self.usage.items()}
        return (
            _account("root", None, 1, sum(used.values())),
            _account("eu", "root", self.shares["eu"], used["eu"]),
            _account("national", "root", self.shares["national"], used["regional"] + used["science"]),
            *(_account(name, "national", self.shares[name], used[name]) for name in ("regional", "science")),
        )  # fmt: skip


@pytest.mark.parametrize("national", [4000, 6000, 9000])
def test_the_region_gets_its_share_of_the_whole_machine_whatever_its_parent_gets(national: int) -> None:
    """Thirty days of ten-minute turns and hourly decisions, with a half-life of a day."""
    machine = Machine(
        {"eu": 10000 - national, "national": national, "regional": 2500, "science": 7500},
        dict.fromkeys(("eu", "regional", "science"), 1.0),
    )
    policy, state = replace(POLICY, half_life_seconds=DAY), None
    got: list[float] = []
    for hour in range(30 * 24):
        for _ in range(6):
            first = machine.first
            for name in machine.usage:
                machine.usage[name] *= 2 ** (-600 / DAY)
            machine.usage[first] += 600.0
            got.append(600.0 if first == "regional" else 0.0)
        hours = [sum(got[6 * n : 6 * n + 6]) for n in range(hour + 1)]
        measured = _measurement(hours, [3600.0] * len(hours), left=0, rolling=True)
        observed = replace(_observed(measured, *machine.rows()), regional_backlog=float(DAY))
        decision = decide(policy, observed, state, NOW + hour * HOUR)
        state = decision.state
        for change in decision.changes:
            machine.shares[change.account] = change.raw_shares_after
    lately = got[6 * 24 * 10 :]
    assert sum(lately) / (600.0 * len(lately)) == pytest.approx(policy.goal, abs=0.012)
