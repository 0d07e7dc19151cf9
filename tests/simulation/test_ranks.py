"""Fair Tree compiled, beside the readable one."""

from __future__ import annotations

from hypothesis import given

from slurm_ai_factory.simulation import build, fair_tree
from slurm_ai_factory.simulation.arrays import State, TreeArrays
from slurm_ai_factory.simulation.fair_tree import FairTreeNode
from slurm_ai_factory.simulation.layout import ModelSettings, one_pool
from slurm_ai_factory.simulation.ranks import make_ranks
from slurm_ai_factory.simulation.workload import gathered
from tests.core.generated import used_trees

EMPTY = gathered("empty", [])
NOWHERE = one_pool(EMPTY, "cpu", 1)
NO_JOBS = build.jobs_of(EMPTY, build.two_sides((), frozenset()), NOWHERE, ModelSettings(), {}, 0)


def state(root: FairTreeNode, usage: dict[str, float]) -> tuple[TreeArrays, State, dict[str, int]]:
    tree, index = build.flattened(root)
    made = build.state_of(NO_JOBS, tree, NOWHERE, ModelSettings(), root, index)
    for key, node in index.items():
        made.usage[node] = usage[key]
    return tree, made, index


@given(used_trees())
def test_ranks_are_those_of_the_core_on_any_tree(case: tuple[FairTreeNode, dict[str, float]]) -> None:
    root, usage = case
    tree, made, index = state(root, usage)
    make_ranks(tree, made)
    expected = fair_tree.fair_share(root, usage)
    assert {key: made.fairshare[index[key]] for key in expected} == expected


@given(used_trees(), used_trees())
def test_ranks_made_again_are_those_made_anew(
    case: tuple[FairTreeNode, dict[str, float]], other: tuple[FairTreeNode, dict[str, float]]
) -> None:
    """Only accounts below which something moved are sorted again, from the order they were in."""
    root, usage = case
    tree, made, index = state(root, dict.fromkeys(usage, 0.0))
    make_ranks(tree, made)
    values = sorted(other[1].values())
    changed = {key: values[number % len(values)] for number, key in enumerate(usage)}
    usage = fair_tree.summed(root, {one.key: changed[one.key] for one in fair_tree.leaves(root)})
    for key, node in index.items():
        made.usage[node] = usage[key]
    made.moved[:] = True
    make_ranks(tree, made)
    expected = fair_tree.fair_share(root, usage)
    assert {key: made.fairshare[index[key]] for key in expected} == expected
