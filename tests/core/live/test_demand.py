"""Demand: every word of Slurm stands where the table here says; nothing is lost or counted twice."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slurm_ai_factory.core.live.demand import (
    BY_REASON,
    OF_REASON,
    OF_STATE,
    Demand,
    Pool,
    PoolDemand,
    Queued,
    Standing,
    demand,
    job_standing,
)
from slurm_ai_factory.core.records import STATES, Subject
from slurm_ai_factory.core.rules.classify import Beneficiary

NOW = 1_795_000_000
HORIZON = 48 * 3600
REGIONAL, OTHERS = Beneficiary.REGIONAL, Beneficiary.NON_REGIONAL

WORDS: dict[Standing, str] = {
    Standing.WAITING: "None Priority Resources SchedDefer",
    Standing.RUNNING: "RUNNING COMPLETING CONFIGURING POWER_UP_NODE RESIZING SIGNALING STAGE_OUT STOPPED",
    Standing.SUSPENDED: "SUSPENDED",
    Standing.HELD: "JobHeldAdmin JobHeldUser JobHoldMaxRequeue REQUEUE_HOLD SPECIAL_EXIT RESV_DEL_HOLD",
    Standing.DEPENDENT: "Dependency DependencyNeverSatisfied",
    Standing.LATER: "BeginTime Cleaning Prolog",
    Standing.LIMITED: "JobArrayTaskLimit",
    Standing.HELD_BY_LIMIT: """AccountingPolicy Licenses MaxPoweredUpNodes
        AssociationJobLimit AssociationResourceLimit
        AssociationTimeLimit AssocGrpCpuLimit AssocGrpGRES AssocGrpGRESMinutes AssocGrpBillingRunMinutes
        AssocMaxJobsLimit AssocMaxCpuPerJobLimit AssocMaxWallDurationPerJobLimit QOSUsageThreshold
        QOSJobLimit QOSGrpCpuLimit QOSGrpNodeLimit QOSMaxJobsPerUserLimit QOSMaxGRESPerUser QOSMinGRES
        MaxCpuPerAccount MaxGRESPerAccount MaxJobsPerAccount""",
    Standing.BLOCKED: """PartitionDown PartitionInactive PartitionNodeLimit PartitionTimeLimit PartitionConfig
        BadConstraints Constraints DeadLine InvalidAccount InvalidQOS AccountNotAllowed QOSNotAllowed
        MaxMemPerLimit""",
    Standing.RESERVED: "Reservation ReservationDeleted ReservationInvalid",
    Standing.UNAVAILABLE: """ReqNodeNotAvail NodeDown FrontEndDown PowerNotAvail PowerReserved
        MpiPortsBusy NvidiaImexChannels BlockMaxError BlockFreeAction
        BurstBufferResources BurstBufferStageIn BurstBufferOperation""",
    Standing.ELSEWHERE: "FedJobLock REQUEUE_FED REVOKED",
    Standing.FAILED: """SystemFailure JobLaunchFailure NonZeroExitCode RaisedSignal TimeLimit InactiveLimit
        OutOfMemory""",
}
ROWS = [(word, found) for found, words in WORDS.items() for word in words.split()]


def job(job_id: int = 1, **different: Any) -> Queued:
    """A regional job that waits for its turn; ``account`` and ``partition`` are the subject's."""
    account, partition = different.pop("account", "umcg"), different.pop("partition", "main")
    one = Queued(
        job_id=job_id, array_id=None, tasks=1, task_limit=None, het_id=None,
        subject=Subject("c", account, "jan", partition, "normal", "", ""), state="PENDING", reason="Priority",
        priority=100, eligible_at=NOW - 10, limit_seconds=3600, tres="billing=4,cpu=4,mem=1000,node=1",
    )  # fmt: skip
    return one._replace(**different)


def sides(subject: Subject) -> Beneficiary:
    return REGIONAL if subject.account == "umcg" else OTHERS


def found(*rows: Queued, resource: str = "cpu", usual: Mapping[str, float] | None = None) -> Demand:
    return demand(rows, sides, {resource: 1}, NOW, HORIZON, usual or {})


def waiting(*rows: Queued, resource: str = "cpu") -> PoolDemand:
    return found(*rows, resource=resource).sum(REGIONAL, Standing.WAITING)


# --- the table ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "expected"), ROWS)
def test_a_word_of_slurm_stands_here(word: str, expected: Standing) -> None:
    one = job(state=word) if word in STATES else job(reason=word)
    assert job_standing(one, NOW) is expected
    assert found(one).sum(REGIONAL, expected).jobs == 1
    assert (waiting(one).jobs == 1) == (expected is Standing.WAITING)


def test_every_row_of_the_table_is_tested() -> None:
    words = {word for word, _ in ROWS} | {"Nodes required for job are DOWN"}
    untested = [
        row for row in (*OF_STATE, *OF_REASON)
        if not any(word == row or (row.endswith("*") and word.startswith(row[:-1])) for word in words)
    ]  # fmt: skip
    assert untested == []


def test_every_state_of_a_job_that_is_not_over_is_known() -> None:
    over = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE",
            "OUT_OF_MEMORY", "LAUNCH_FAILED", "RECONFIG_FAIL"}  # fmt: skip
    assert STATES - over == (set(OF_STATE) & STATES) | BY_REASON


@pytest.mark.parametrize(("text", "expected"), [
    ("Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
     Standing.WAITING),
    ("Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_priority_partitions",
     Standing.WAITING),
    ("ReqNodeNotAvail, UnavailableNodes:n[1-4]", Standing.UNAVAILABLE),
    ("ReqNodeNotAvail,_May_be_reserved_for_other_job", Standing.HELD_BY_LIMIT),
    ("AssocGrpSomethingOfTomorrow", Standing.HELD_BY_LIMIT),
    ("Priorities", Standing.UNKNOWN),
    ("priority", Standing.UNKNOWN),
    ("", Standing.UNKNOWN),
    ("Assoc*", Standing.HELD_BY_LIMIT),
    ("*", Standing.UNKNOWN),
    ("PENDING", Standing.UNKNOWN),
])  # fmt: skip
def test_a_description_stands_where_its_first_words_do(text: str, expected: Standing) -> None:
    assert job_standing(job(reason=text), NOW) is expected


@pytest.mark.parametrize(("different", "expected"), [
    ({"priority": 0}, Standing.HELD),
    ({"priority": 0, "reason": "launch failed requeued held"}, Standing.HELD),
    ({"priority": 0, "reason": "Dependency"}, Standing.DEPENDENT),
    ({"eligible_at": None}, Standing.LATER),
    ({"eligible_at": NOW + 1}, Standing.LATER),
    ({"eligible_at": NOW}, Standing.WAITING),
    ({"eligible_at": None, "reason": "Dependency"}, Standing.DEPENDENT),
    ({"state": "REQUEUED"}, Standing.WAITING),
    ({"state": "RUNNING", "priority": 0, "eligible_at": None}, Standing.RUNNING),
    ({"state": "FROBNICATING"}, Standing.UNKNOWN),
])  # fmt: skip
def test_a_job_waits_only_where_slurm_would_look_at_it(different: dict[str, Any], expected: Standing) -> None:
    assert job_standing(job(**different), NOW) is expected


def test_what_is_not_known_is_told_with_its_jobs_and_is_no_demand() -> None:
    seen = found(job(1, reason="QuantumFlux"), job(2, reason="QuantumFlux", array_id=2, tasks=5),
                 job(3, state="FROBNICATING"))  # fmt: skip
    assert dict(seen.unknown) == {"QuantumFlux": 6, "FROBNICATING": 1}
    assert seen.sum(REGIONAL, Standing.UNKNOWN).jobs == 7
    assert seen.sum(REGIONAL, Standing.WAITING, Standing.RUNNING) == PoolDemand()
    assert seen.waiting_jobs == {}


# --- what a job counts --------------------------------------------------------------------------------


def test_demand_is_in_the_resource_that_is_asked_for() -> None:
    rows = job(1), job(2, tres="billing=20,cpu=2,gres/gpu=8,gres/gpu:a100=8,node=2"), job(3, tres="")
    assert waiting(*rows).amount == 6
    assert waiting(*rows, resource="gres/gpu").amount == 8
    assert waiting(*rows, resource="billing").amount == 24
    weighed = demand(rows, sides, {"cpu": Decimal("0.5"), "gres/gpu": 2}, NOW, HORIZON, {})
    assert weighed.sum(REGIONAL, Standing.WAITING).amount == 19


def test_waiting_for_gpus_is_another_pool_than_waiting_for_cpus() -> None:
    rows = job(1), job(2, tres="cpu=2,gres/gpu=8,gres/gpu:a100=8"), job(3, tres="cpu=1,gres/gpu=1"), \
        job(4, partition="main,debug"), job(5, partition="debug,main"), job(6, account="astro")  # fmt: skip
    pools = found(*rows).pools(REGIONAL, Standing.WAITING)
    assert {pool: one.jobs for pool, one in pools.items()} == {
        Pool("main", ""): 1, Pool("main", "gpu:a100"): 1, Pool("main", "gpu"): 1, Pool("debug,main", ""): 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "charge"), [(600, 2400), (None, 4 * HORIZON), (10**9, 4 * HORIZON), (0, 0)]
)
def test_a_backlog_is_no_longer_than_the_limit_and_the_horizon(limit: int | None, charge: int) -> None:
    assert waiting(job(limit_seconds=limit)).charge == charge


@pytest.mark.parametrize(
    ("usual", "charge"), [({"jan": 600.2}, 2400), ({"jan": 1e9}, 14400), ({"eva": 1}, 14400)]
)
def test_a_backlog_is_no_longer_than_its_users_runs_usually_are(usual: dict[str, float], charge: int) -> None:
    assert found(job(), usual=usual).sum(REGIONAL, Standing.WAITING).charge == charge


def test_a_job_in_several_partitions_that_is_listed_for_each_is_counted_once() -> None:
    assert waiting(job(1, partition="debug"), job(1, partition="main"), job(2)).jobs == 2


def test_a_job_is_for_nobody_while_it_depends_on_where_it_starts() -> None:
    def by_partition(subject: Subject) -> Beneficiary:
        return REGIONAL if subject.partition.startswith("r") else OTHERS

    rows = job(1, partition="r1,r2"), job(2, partition="r1,n1"), job(3, partition="n1,n2")
    seen = demand(rows, by_partition, {"cpu": 1}, NOW, HORIZON, {})
    assert seen.waiting_jobs == {1: REGIONAL, 2: Beneficiary.UNCLASSIFIED, 3: OTHERS}


@pytest.mark.parametrize(("rows", "starting", "limited"), [
    ([job(7, array_id=7, tasks=10)], 10, 0),
    ([job(7, array_id=7, tasks=10, task_limit=3)], 3, 7),
    ([job(7, array_id=7, tasks=2, task_limit=3)], 2, 0),
    ([job(7, array_id=7, tasks=10, task_limit=3), job(8, array_id=7, state="RUNNING", reason="None")], 2, 8),
    ([job(8, array_id=7, state="SUSPENDED"), job(7, array_id=7, tasks=10, task_limit=1)], 0, 10),
    ([job(7, array_id=7, tasks=10, task_limit=3), job(9, array_id=7)], 3, 8),
    ([job(7, array_id=7, tasks=10, task_limit=3), job(9, array_id=6, state="RUNNING")], 3, 7),
])  # fmt: skip
def test_an_array_waits_with_the_tasks_its_limit_lets_start(
    rows: list[Queued], starting: int, limited: int
) -> None:
    seen = found(*rows)
    assert seen.sum(REGIONAL, Standing.WAITING)[:2] == (starting, 4 * starting)
    assert seen.sum(REGIONAL, Standing.LIMITED).jobs == limited
    assert bool(seen.waiting_jobs) == bool(starting)


def test_components_of_a_heterogeneous_job_wait_together_or_not_at_all() -> None:
    parts = job(12, het_id=12), job(13, het_id=12, account="astro", tres="cpu=1,gres/gpu=2")
    seen = found(*parts)
    assert (seen.sum(REGIONAL, Standing.WAITING).amount, seen.sum(OTHERS, Standing.WAITING).amount) == (4, 1)
    blocked = found(parts[0], parts[1]._replace(reason="AssocGrpGRES"))
    assert blocked.sum(REGIONAL, Standing.WAITING) == PoolDemand()
    assert blocked.sum(REGIONAL, Standing.HELD_BY_LIMIT).amount == 4


def test_running_is_told_apart_from_suspended() -> None:
    rows = [
        job(n, state=state) for n, state in enumerate(("RUNNING", "COMPLETING", "SUSPENDED", "RUNNING"), 1)
    ]
    seen = found(*rows)
    assert seen.sum(REGIONAL, Standing.RUNNING).amount == 12
    assert seen.sum(REGIONAL, Standing.RUNNING, Standing.SUSPENDED).amount == 16


def test_an_empty_queue_has_no_demand() -> None:
    assert found() == Demand({}, {}, {})


# --- properties ---------------------------------------------------------------------------------------

WORD = st.sampled_from([word for word, _ in ROWS if word not in STATES] + ["Nonsense", ""])


@st.composite
def queues(draw: st.DrawFn) -> list[Queued]:
    rows = []
    for number in range(1, draw(st.integers(0, 12)) + 1):
        array = draw(st.none() | st.integers(1, 3))
        state = draw(st.sampled_from(["PENDING", "PENDING", "RUNNING", "SUSPENDED", "REQUEUED", "ODD"]))
        rows.append(
            job(
                number, array_id=array, account=draw(st.sampled_from(["umcg", "astro"])), state=state,
                tasks=draw(st.integers(1, 5)) if array and state == "PENDING" else 1,
                task_limit=draw(st.none() | st.integers(1, 4)) if array else None,
                het_id=None if array else draw(st.none() | st.integers(50, 52)), reason=draw(WORD),
                priority=draw(st.integers(0, 2)), eligible_at=draw(st.none() | st.integers(NOW - 1, NOW + 1)),
                tres=f"cpu={draw(st.integers(0, 9))}", partition=draw(st.sampled_from(["main", "debug"])),
            )
        )  # fmt: skip
    return rows


@given(queues())
def test_every_task_stands_in_exactly_one_place(rows: list[Queued]) -> None:
    seen = found(*rows)
    assert sum(one.jobs for one in seen.cells.values()) == sum(one.tasks for one in rows)
    assert sum(one.amount for one in seen.cells.values()) == sum(
        one.tasks * int(one.tres.partition("=")[2] or 0) for one in rows
    )
    unknown = sum(one.jobs for (_, where, _), one in seen.cells.items() if where is Standing.UNKNOWN)
    assert sum(seen.unknown.values()) == unknown


@given(queues(), st.randoms(use_true_random=False))
def test_listing_jobs_twice_changes_nothing(rows: list[Queued], random: Random) -> None:
    assert found(*rows, *random.sample(rows, len(rows) // 2)) == found(*rows)


@given(queues())
def test_no_array_starts_more_tasks_than_it_may(rows: list[Queued]) -> None:
    limits = {one.array_id: one.task_limit for one in rows if one.array_id and one.task_limit}
    for array, limit in limits.items():
        assert limit is not None
        tasks = [one for one in rows if one.array_id == array]
        seen = found(*tasks)
        running = sum(one.state in ("RUNNING", "SUSPENDED") for one in tasks)
        starting = seen.sum(REGIONAL, Standing.WAITING).jobs + seen.sum(OTHERS, Standing.WAITING).jobs
        assert starting <= max(0, limit - running)


@given(queues(), st.integers(1, 12))
def test_a_hold_never_adds_demand(rows: list[Queued], which: int) -> None:
    held = [one._replace(priority=0) if one.job_id == which else one for one in rows]
    before, after = (
        sum(seen.sum(who, Standing.WAITING).jobs for who in (REGIONAL, OTHERS))
        for seen in (found(*rows), found(*held))
    )
    assert after <= before


@given(st.text(max_size=40), st.text(max_size=40))
@example("None", "")
@example("TimeLimit", "Priority")
def test_any_words_are_placed_and_only_known_ones_are_demand(state: str, reason: str) -> None:
    one = job(state=state, reason=reason)
    place = job_standing(one, NOW)
    assert isinstance(place, Standing)
    if place is Standing.WAITING:
        assert state in BY_REASON
        assert any(reason.replace("_", " ").strip().startswith(word) for word in
                   ("None", "Priority", "Resources", "SchedDefer", "Nodes required"))  # fmt: skip


@pytest.mark.parametrize(
    ("different", "limited", "expected"),
    [
        ({"reason": "ReqNodeNotAvail, May be reserved for other job"}, True, Standing.HELD_BY_GRID),
        ({"reason": "ReqNodeNotAvail,_Reserved_for_maintenance"}, True, Standing.HELD_BY_GRID),
        ({"reason": "ReqNodeNotAvail, May be reserved for other job"}, False, Standing.HELD_BY_LIMIT),
        ({"reason": "ReqNodeNotAvail, UnavailableNodes:n1"}, True, Standing.UNAVAILABLE),
        ({"reason": "ReqNodeNotAvail, Reserved for maintenance", "priority": 0}, True, Standing.UNAVAILABLE),
        ({"reason": "Resources"}, True, Standing.WAITING),
        ({"state": "RUNNING", "reason": "None"}, True, Standing.RUNNING),
    ],
)
def test_a_job_is_held_by_the_grid_only_while_our_reservation_is_the_only_one(
    different: dict[str, Any], limited: bool, expected: Standing
) -> None:
    """It is no demand then: nothing but the limit keeps it from its nodes."""
    held = demand([job(**different)], sides, {"cpu": 1}, NOW, HORIZON, {}, limited=limited)
    assert held.sum(REGIONAL, expected) == PoolDemand(1, 4, 4 * 3600)
    assert bool(held.waiting_jobs) == (expected is Standing.WAITING)
