"""pyslurm's objects to values: what pyslurm 25.11 gets wrong is put right or refused, each with its case."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.live.demand import Queued, Standing, job_standing
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.core.records import FINISHED, PARENT_SHARES, Node, PriorityConfig, Rejected, Subject
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm import objects, parse

JOB: dict[str, Any] = {
    "id": 4, "array_id": None, "array_tasks_waiting": None, "array_tasks_parallel": None,
    "heterogeneous_id": None, "account": "astro", "user_name": "uucp", "partition": "main", "qos": "normal",
    "wckey": None, "reservation": None, "state": "PENDING", "state_reason": "Resources", "priority": 604,
    "eligible_time": 1795596547, "time_limit": 11,
    "tres": {"cpu": 6, "mem": 3000, "node": 3, "billing": 6, "gres/gpu": 3},
}  # fmt: skip
DIAGNOSTICS = {
    "request_time": 1795596600, "dbd_agent_queue_size": 2, "backfill_cycle_last_when": 1795596590,
    "backfill_last_depth": 9, "backfill_queue_length": 12,
}  # fmt: skip
SETTINGS = {
    "cluster_name": "loop", "version": "25.11.7", "priority_type": "priority/multifactor",
    "priority_decay_half_life": 600, "priority_calc_period": 60, "priority_weight_fair_share": 100000,
    "priority_weight_age": 1000, "priority_flags": ["MAX_TRES"],
    "accounting_storage_enforce": ["ASSOCIATIONS", "LIMITS", "SAFE"],
    "accounting_storage_tres": ["cpu", "gres/gpu"], "private_data": ["jobs"],
    "priority_usage_reset_period": None, "slurm_user_name": "slurm",
}  # fmt: skip
ASSOCIATION = {
    "cluster": "loop", "id": 8, "parent_account_id": 7, "account": "umcg", "user": "games", "partition": None,
    "shares": 2,
}  # fmt: skip
NODE = {"name": "n1", "effective_cpus": 4, "real_memory": 1000, "configured_gres": {"gpu": 2}}


def queued(**different: Any) -> Queued:
    (found,) = objects.queue_of_objects("loop", [JOB | different])
    assert isinstance(found, Queued), found
    return found


def test_a_job_is_told_as_squeue_would() -> None:
    assert queued() == Queued(
        job_id=4, array_id=None, tasks=1, task_limit=None, het_id=None,
        subject=Subject("loop", "astro", "uucp", "main", "normal", "", ""), state="PENDING",
        reason="Resources", priority=604, eligible_at=1795596547, limit_seconds=660,
        tres="billing=6,cpu=6,gres/gpu=3,mem=3000,node=3",
    )  # fmt: skip


@pytest.mark.parametrize("state", sorted(FINISHED))
def test_jobs_that_are_over_are_not_in_the_queue(state: str) -> None:
    """slurmctld tells of them for MinJobAge."""
    assert objects.queue_of_objects("loop", [JOB | {"state": state}]) == []


@pytest.mark.parametrize(
    ("state", "stands"),
    [("COMPLETING", Standing.RUNNING), ("STAGE_OUT", Standing.RUNNING), ("SUSPENDED", Standing.SUSPENDED)],
)
def test_jobs_that_hold_their_nodes_are(state: str, stands: Standing) -> None:
    assert job_standing(queued(state=state), 1795596600) is stands


@pytest.mark.parametrize(
    ("waiting", "parallel", "tasks"),
    [
        ("0-9", 3, (10, 3)),
        ("1,3,5-200:3", None, (68, None)),
        ("7", None, (1, None)),
        (None, 3, (1, None)),
    ],
)
def test_an_array_has_as_many_tasks_as_wait(
    waiting: str | None, parallel: int | None, tasks: tuple[int, int | None]
) -> None:
    """The last is a task that runs: pyslurm has its number, but none for the task 0."""
    found = queued(array_id=6, array_tasks_waiting=waiting, array_tasks_parallel=parallel)
    assert (found.tasks, found.task_limit) == tasks


@pytest.mark.parametrize("waiting", ["0xFFFE", "1,3,5,8,11,...", "", "1-", "1,,2", "1-3%2", 7])
def test_a_list_of_tasks_that_is_cut_off_or_a_map_is_refused(waiting: Any) -> None:
    (found,) = objects.queue_of_objects("loop", [JOB | {"array_id": 6, "array_tasks_waiting": waiting}])
    assert isinstance(found, Rejected)
    assert "list of tasks" in found.reason or "not text" in found.reason


def test_typed_and_untyped_gpus_are_both_told_and_never_one_sum() -> None:
    found = queued(tres={"cpu": 1, "gres/gpu": 4, "gres/gpu:a100": 4, "license/matlab": 1})
    assert found.tres == "cpu=1,gres/gpu=4,gres/gpu:a100=4,license/matlab=1"


def test_a_job_without_a_limit_or_an_eligible_time_has_none() -> None:
    found = queued(time_limit=None, eligible_time=None, priority=0)
    assert (found.limit_seconds, found.eligible_at, found.priority) == (None, None, 0)


@pytest.mark.parametrize(
    "different",
    [
        {"id": None}, {"id": True}, {"priority": "UNLIMITED"}, {"priority": None},
        {"time_limit": "PartitionLimit"}, {"time_limit": -1}, {"eligible_time": 1.5}, {"state": None},
        {"state": ""}, {"partition": None}, {"state_reason": None}, {"user_name": 8}, {"tres": {"cpu": 2.5}},
        {"tres": {"mem": "3000M"}}, {"tres": ["cpu"]}, {"id": 2**63},
    ],
)  # fmt: skip
def test_a_job_that_cannot_be_read_is_told_and_the_others_stand(different: dict[str, Any]) -> None:
    sound, odd = objects.queue_of_objects("loop", [JOB, JOB | different])
    assert sound == queued()
    assert isinstance(odd, Rejected)
    assert odd.line == json.dumps(JOB | different)


@pytest.mark.parametrize("answer", [None, "", {}, 0, [None], ["x"]])
def test_another_shape_is_an_error_and_no_empty_answer(answer: Any) -> None:
    for read in (lambda: objects.queue_of_objects("loop", answer),
                 lambda: objects.tree_of_objects("loop", answer),
                 lambda: objects.nodes_of_objects(answer), lambda: objects.diagnostics_of_objects(answer),
                 lambda: objects.priority_of_objects(answer)):  # fmt: skip
        with pytest.raises(SlurmError, match="cannot be read"):
            read()


def test_slurmctlds_health() -> None:
    assert objects.diagnostics_of_objects(DIAGNOSTICS) == Diagnostics(1795596600, 2, 1795596590, 9, 12)
    never = objects.diagnostics_of_objects(DIAGNOSTICS | {"backfill_cycle_last_when": 0})
    assert never.backfill_last_at is None


def test_the_configuration() -> None:
    assert objects.priority_of_objects(SETTINGS) == PriorityConfig(
        cluster="loop", version="25.11.7", priority_type="priority/multifactor", decay_half_life_seconds=600,
        calc_period_seconds=60, weight_fairshare=100000, weight_age=1000, flags=("MAX_TRES",),
        enforce=("associations", "limits", "safe"), tres=("cpu", "gres/gpu"), private_data=("jobs",),
        usage_reset="NONE", slurm_user="slurm",
    )  # fmt: skip
    assert (
        objects.priority_of_objects(SETTINGS | {"priority_decay_half_life": None}).decay_half_life_seconds
        == 0
    )


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_setting_that_is_not_told_is_an_error(name: str) -> None:
    with pytest.raises(SlurmError, match="pyslurm's settings"):
        objects.priority_of_objects({key: value for key, value in SETTINGS.items() if key != name})


def test_associations_are_the_rows_of_sacctmgr_and_of_this_cluster_alone() -> None:
    """pyslurm's filter knows of users only; what else it is told it leaves out without a word."""
    other = ASSOCIATION | {"cluster": "elsewhere", "shares": 9}
    top = ASSOCIATION | {"id": 7, "parent_account_id": 6, "user": None}
    assert objects.tree_of_objects("loop", [top, ASSOCIATION, other]) == [
        parse.AssociationRow(7, 6, 2, "umcg"), parse.AssociationRow(8, 7, 2, "umcg", "games"),
    ]  # fmt: skip


def test_shares_of_the_parent_are_told_by_their_number() -> None:
    (row,) = objects.tree_of_objects(
        "loop", [ASSOCIATION | {"parent_account_id": 0, "shares": PARENT_SHARES}]
    )
    assert isinstance(row, parse.AssociationRow)
    (found,) = parse.parse_associations("loop", [row], {})
    assert (found.raw_shares, found.steerable) == (PARENT_SHARES, False)


@pytest.mark.parametrize("shares", [None, "UNLIMITED", "parent", -1, 1.5])
def test_shares_that_are_no_number_spoil_the_tree(shares: Any) -> None:
    with pytest.raises(SlurmError, match="pyslurm's associations"):
        objects.tree_of_objects("loop", [ASSOCIATION | {"shares": shares}])


@pytest.mark.parametrize(
    ("gres", "tres"),
    [
        ({}, "cpu=4,mem=1000,node=1"),
        ({"gpu": 2}, "cpu=4,gres/gpu=2,mem=1000,node=1"),
        ({"gpu:a100": 2, "gpu:h100": 1}, "cpu=4,gres/gpu=3,gres/gpu:a100=2,gres/gpu:h100=1,mem=1000,node=1"),
    ],
)
def test_a_node_has_each_kind_of_gpu_and_all_of_them(gres: dict[str, int], tres: str) -> None:
    assert objects.nodes_of_objects([NODE | {"configured_gres": gres}]) == [Node("n1", tres)]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner),
)


@given(st.sampled_from((JOB, SETTINGS, DIAGNOSTICS, ASSOCIATION, NODE)), st.data())
def test_anything_in_the_place_of_a_value_is_read_or_an_error(
    one: dict[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(one)))
    odd = data.draw(ANYTHING)
    said = json.loads(json.dumps(one | {name: odd}))
    try:
        if one is JOB:
            objects.queue_of_objects("loop", [said])
        elif one is SETTINGS:
            objects.priority_of_objects(said)
        elif one is DIAGNOSTICS:
            objects.diagnostics_of_objects(said)
        elif one is ASSOCIATION:
            objects.tree_of_objects("loop", [said])
        else:
            objects.nodes_of_objects([said])
    except SlurmError as error:
        assert str(error).startswith("pyslurm's")  # noqa: PT017
