"""Slurm's fairshare arithmetic: what was seen on real clusters, and what holds of any tree."""

from __future__ import annotations

from math import inf, isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.records import PARENT_SHARES
from slurm_ai_factory.simulation import fair_tree
from slurm_ai_factory.simulation.fair_tree import FairTreeNode
from tests.core.generated import used_trees

DAY = 86400.0


def user(key: str, raw_shares: int = 1) -> FairTreeNode:
    return FairTreeNode(key, raw_shares, user=True)


def test_accounts_that_tie_are_not_merged() -> None:
    """Seen on 22.05: two accounts without shares, each with a user that has used nothing and one that has."""
    accounts = (
        FairTreeNode("b", 0, children=(user("fu5"), user("fu6"))),
        FairTreeNode("a", 0, children=(user("fu3"), user("fu4"))),
    )
    root = FairTreeNode("root", children=accounts)
    usage = fair_tree.summed(root, {"fu3": 1.0, "fu4": 0.0, "fu5": 1.0, "fu6": 0.0})
    ranks = {key: 4 * factor for key, factor in fair_tree.fair_share(root, usage).items()}
    assert ranks == {"fu6": 4, "fu5": 3, "fu4": 3, "fu3": 1}


def test_the_roots_own_user_has_a_share_of_the_top_level() -> None:
    root = fair_tree.tree_of_rows(
        [
            ("root", None, None, 1),
            ("root", None, "root", 1),
            ("regional", "root", None, 25),
            ("other", "root", None, 74),
        ]
    )
    usage = fair_tree.summed(root, {})
    assert fair_tree.levels(root, usage)["regional"].norm_shares == 0.25
    assert fair_tree.levels(root, usage)["root/root"].norm_shares == 0.01


@pytest.mark.parametrize(("usage", "first"), [(0.2499, "a"), (0.2501, "b"), (0.9, "b")])
def test_two_accounts_are_a_relay_on_usage_that_switches_at_their_shares(usage: float, first: str) -> None:
    root = FairTreeNode(
        "root",
        children=(FairTreeNode("A", 25, children=(user("a"),)), FairTreeNode("B", 75, children=(user("b"),))),
    )
    factors = fair_tree.fair_share(root, fair_tree.summed(root, {"a": usage, "b": 1 - usage}))
    assert max(factors, key=lambda key: factors[key]) == first


def test_children_of_an_account_that_shares_as_its_parent_compete_a_level_higher() -> None:
    hidden = FairTreeNode("hidden", PARENT_SHARES, children=(user("x", 30), user("y", 20)))
    root = FairTreeNode("root", children=(hidden, user("z", 50)))
    found = fair_tree.levels(root, fair_tree.summed(root, {"x": 1.0, "z": 3.0}))
    assert {key: level.norm_shares for key, level in found.items()} == {"x": 0.3, "y": 0.2, "z": 0.5}
    assert found["x"].effectv_usage == 0.25
    assert found["y"].level_fs == inf


@given(used_trees(), st.integers(1, 900))
def test_ranks_do_not_depend_on_the_unit_of_usage(
    tree: tuple[FairTreeNode, dict[str, float]], unit: int
) -> None:
    root, usage = tree
    scaled = {key: value * 2.0**unit for key, value in usage.items()}
    assert fair_tree.fair_share(root, scaled) == fair_tree.fair_share(root, usage)


@given(used_trees())
def test_an_account_has_used_what_its_users_have(tree: tuple[FairTreeNode, dict[str, float]]) -> None:
    root, usage = tree
    assert usage[root.key] == sum(usage[leaf.key] for leaf in fair_tree.leaves(root))


@given(used_trees())
def test_every_user_has_a_factor_above_zero_and_the_first_has_one(
    tree: tuple[FairTreeNode, dict[str, float]],
) -> None:
    root, usage = tree
    users = [leaf.key for leaf in fair_tree.leaves(root)]
    factors = fair_tree.fair_share(root, usage)
    assert sorted(factors) == sorted(users)
    assert all(0 < factor <= 1 for factor in factors.values())
    assert not users or max(factors.values()) == 1


@given(used_trees())
def test_a_subtree_that_is_better_off_comes_nowhere_after_one_that_is_worse_off(
    tree: tuple[FairTreeNode, dict[str, float]],
) -> None:
    """They may share a rank: an account that ties with an empty one begins with the rank before it."""
    root, usage = tree
    factors, found = fair_tree.fair_share(root, usage), fair_tree.levels(root, usage)
    rivals = [rival for rival in fair_tree.competitors(root) if not rival.shares_as_parent]
    for one in rivals:
        for other in rivals:
            if found[one.key].level_fs > found[other.key].level_fs:
                best = [factors[leaf.key] for leaf in fair_tree.leaves(other)]
                assert all(factors[leaf.key] >= max(best, default=0) for leaf in fair_tree.leaves(one))


@given(used_trees())
def test_norm_shares_of_competitors_add_up_to_one(tree: tuple[FairTreeNode, dict[str, float]]) -> None:
    root, usage = tree
    found = fair_tree.levels(root, usage)
    top = [found[rival.key].norm_shares for rival in fair_tree.competitors(root) if rival.key in found]
    assert sum(top) == pytest.approx(1) or not any(top)


@given(st.floats(1, 30), st.floats(0, 100), st.floats(0, 100))
def test_usage_decays_as_much_in_two_passes_as_in_one(half_life: float, one: float, other: float) -> None:
    whole = fair_tree.decay((one + other) * DAY, half_life * DAY)
    parts = fair_tree.decay(one * DAY, half_life * DAY) * fair_tree.decay(other * DAY, half_life * DAY)
    assert isclose(whole, parts, rel_tol=1e-9)
    assert 0 < whole <= 1


def test_a_long_pass_counts_less_than_short_ones() -> None:
    """After a week without slurmctld, half of the week's usage is counted, where 72 % would be right."""
    week = 7 * DAY
    assert fair_tree.decay(week, week) == pytest.approx(0.5, abs=0.001)
    left = sum(300 * fair_tree.decay((n + 1) * 300, week) for n in range(7 * 288))
    assert left / week == pytest.approx(0.72, abs=0.003)


@pytest.mark.parametrize("rows", [[], [("a", "root", None, 1)], [("a", None, None, 1), ("b", None, None, 1)]])
def test_a_tree_has_one_root(rows: list[tuple[str, str | None, str | None, int]]) -> None:
    with pytest.raises(ValueError, match="root accounts instead of one"):
        fair_tree.tree_of_rows(rows)
