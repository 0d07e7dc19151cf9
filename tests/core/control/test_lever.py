"""The steered accounts and the rules are about the same charge, or nothing is steered."""

from __future__ import annotations

import pytest

from slurm_ai_factory.core.control import lever
from slurm_ai_factory.core.measure.share import Group
from slurm_ai_factory.core.rules.classify import Beneficiary, Rule, Rules

TREE = {"root": None, "regio": "root", "umcg": "regio", "staff": "root"}
R, N, U = Beneficiary.REGIONAL, Beneficiary.NON_REGIONAL, Beneficiary.UNCLASSIFIED
STEERED = ("regio",)


def rule(beneficiary: Beneficiary | None, **names: str) -> Rule:
    conditions = {key: frozenset(name.split()) for key, name in names.items()}
    return Rule(name="-".join(names.values()), beneficiary=beneficiary, conditions=conditions)


def rules(*ordered: Rule) -> Rules:
    return Rules(ordered, TREE)


@pytest.mark.parametrize(
    "ordered",
    [
        [rule(R, account_subtree="regio")],
        [rule(R, account="regio"), rule(N, account="staff")],
        [rule(R, account="umcg")],
        [rule(N, account="regio"), rule(R, account_subtree="regio")],
    ],
    ids=["subtree", "account", "an account below it", "below it though not itself"],
)
def test_an_account_is_the_regions_when_a_rule_says_so_of_it_or_of_one_below(ordered: list[Rule]) -> None:
    assert lever.conflicts(rules(*ordered), STEERED, 0) == {}


@pytest.mark.parametrize(
    ("ordered", "said"),
    [
        ([rule(R, account="regional"), rule(N, account_subtree="regio staff")],
         "account regio is steered, but rule 'regio staff' calls it non_regional"),
        ([rule(R, account="regional")], "account regio is steered, but no rule calls it regional"),
    ],
    ids=["forgotten rule", "an account that no rule names"],
)  # fmt: skip
def test_a_steered_account_that_is_not_regional_is_a_hold(ordered: list[Rule], said: str) -> None:
    found = lever.lever_hold(rules(*ordered), lever.conflicts(rules(*ordered), STEERED, 0))
    assert found
    assert found.reason == "not_regional"
    assert found.sentence.startswith(f"{said}; set control.account")


@pytest.mark.parametrize("condition", ["partition", "qos", "user", "wckey", "reservation"])
def test_a_region_that_is_no_account_is_told_what_is_possible(condition: str) -> None:
    found = rules(rule(R, **{condition: "north"}))
    conflicts = lever.certain_conflicts(found, STEERED, 0)
    assert list(conflicts) == ["regio"]
    assert lever.lever_remedy(found) == (
        f"an account's RawShares cannot steer what the rules find by {condition}: the region is measured but "
        "not steered; stay in mode observe, or give the region an account of its own under root"
    )


def test_charge_tells_what_rules_about_users_find_in_a_steered_account() -> None:
    by_users = rules(rule(R, user="ann"))
    mostly = [Group(("regio",), R, 60), Group(("regio",), N, 40)]
    hardly = [Group(("regio",), R, 40), Group(("regio",), N, 60)]
    assert lever.conflicts(by_users, STEERED, 0, mostly) == {}
    assert list(lever.conflicts(by_users, STEERED, 0, hardly)) == ["regio"]
    assert list(lever.conflicts(by_users, STEERED, 0)) == ["regio"]


def test_without_tree_and_registry_only_what_is_certain_is_told() -> None:
    below = Rules((rule(R, account="umcg"),))
    registry = Rules((Rule(name="registry", beneficiary=None, conditions={}),))
    wrong = Rules((rule(N, account="regio"), rule(R, account="regional")))
    assert lever.certain_conflicts(below, STEERED, 0) == {}
    assert lever.certain_conflicts(registry, STEERED, 0) == {}
    assert list(lever.certain_conflicts(wrong, STEERED, 0)) == ["regio"]


def test_reach_is_what_of_the_charge_lies_on_which_side() -> None:
    found = lever.reach(
        [Group(("regio",), R, 60), Group(("regio",), N, 20), Group(("",), R, 20), Group(("",), U, 900)]
    )
    assert found == lever.Reach(inside_regional=60, inside_other=20, outside_regional=20)
    assert (found.outside_share, found.other_share) == (0.25, 0.25)
    assert found.sentences == [
        "25.0% of the regional charge is outside the steered accounts",
        "25.0% of the steered accounts' charge is not regional",
    ]
    assert lever.reach([]).sentences == []
    assert lever.reach([]).outside_share is None


def test_an_account_is_steered_with_all_that_lies_below_it() -> None:
    steered = lever.steered_account(rules(), STEERED)
    assert [steered(name) for name in ("regio", "umcg", "staff", "gone")] == ["regio", "regio", "", ""]
