"""Known defects of Slurm's versions: each row speaks on its evidence, on its versions, and on no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from slurm_ai_factory.core.live.demand import Queued
from slurm_ai_factory.core.records import Run
from slurm_ai_factory.doctor import defects
from slurm_ai_factory.doctor.facts import OK, Facts, Recent
from tests.core.live.test_health import NOW
from tests.doctor.test_checks import DAY, GOOD, HET

SINCE = NOW - DAY


def run(number: int, **different: Any) -> Run:
    parts: dict[str, Any] = {"job_id": number, "job_label": str(number), "alloc_tres": "billing=1,cpu=1"}
    return HET._replace(**parts | different)


def queued(number: int, state: str = "RUNNING") -> Queued:
    return Queued(number, None, 1, None, None, HET.subject, state, "None", 1, NOW, None, "cpu=1")


def recent(runs: Sequence[Run], *queue: Queued) -> Recent:
    return Recent(queue, runs, SINCE, NOW)


HUNDRED = [run(number) for number in range(1, 101)]
OPEN = run(8, end_at=None, state="RUNNING")
TWICE = [run(9, state="REQUEUED", submit_at=NOW - 1900), run(9, end_at=None, state="RUNNING")]
LICENSED = run(9, state="REQUEUED", submit_at=NOW - 1900, alloc_tres="billing=1,cpu=1,license/ansys=2")
GAP = recent(HUNDRED[:40] + HUNDRED[60:])
TPU = {"weights": {"gres/tpu": 1}}
NAMED = {"reservations_named": True}
TASK = {"configuration": {"AcctGatherEnergyType": "acct_gather_energy/gpu"}}

CASES: dict[str, tuple[str, str, Recent, dict[str, Any], str]] = {
    "lost_transactions": ("26.05.2", "26.05.3", GAP, {}, "20 of the 100 job numbers"),
    "quick_runaways": ("25.11.4", "25.11.5", recent([OPEN]), {}, "1 job without an end"),
    "false_runaways": ("25.11.2", "25.11.3", recent([OPEN, *TWICE], queued(9)), {},
                    "1 requeued job to spare"),
    "reservation_ids": ("24.11.5", "24.11.6", recent([]), NAMED, "names a reservation"),
    "added_tres": ("25.11.5", "25.11.6", recent([]), TPU, "lacks gres/tpu"),
    "lost_licences": ("25.11.6", "25.11.7", recent([LICENSED, run(9)]), {}, "1 requeued job had licences"),
    "expedited": ("26.05.5", "25.05.4", recent([], queued(7, "EXPEDITING")), {}, "1 job in state EXPEDITING"),
    "nodes_alloc": (
        "26.05.1", "26.05.2", recent([]), {"configuration": {"MetricsType": "metrics/openmetrics"}},
        "MetricsType",
    ),
    "energy": ("24.11.3", "25.05.0", recent([run(7)]), TASK, "1 of 1 finished run"),
    "het_billing": ("26.05.5", "24.11.5", recent([HET]), {}, "1 part of heterogeneous jobs"),
    "suspended_gpus": (
        "26.05.5", "", recent([run(7, suspended_seconds=5, alloc_tres="billing=1,cpu=1,gres/gpu=1")]), {},
        "1 run with GPUs was suspended",
    ),
}  # fmt: skip


def names(version: str, seen: Recent, different: dict[str, Any]) -> dict[str, str]:
    facts: Facts = replace(GOOD, priority=replace(GOOD.priority, version=version), **different)
    return {defect.name: evidence for defect, evidence in defects.at_work(facts, seen)}


def test_every_defect_has_a_case() -> None:
    assert list(CASES) == [defect.name for defect in defects.DEFECTS]


@pytest.mark.parametrize("name", CASES)
def test_a_defect_is_found_by_its_evidence_on_its_versions(name: str) -> None:
    bad, fixed, seen, different, says = CASES[name]
    assert says in names(bad, seen, different)[name]
    assert not fixed or name not in names(fixed, seen, different)
    assert name not in names(bad, recent(HUNDRED), {})


def test_a_healthy_slurm_has_none() -> None:
    """A full day, in which a few numbers were used up by refused jobs and by tasks that still wait."""
    seen = recent([one for one in HUNDRED if one.job_id not in (3, 40, 41)], queued(40, "PENDING"))
    assert names("26.05.5", seen, {}) == {}
    assert defects.known_defects_check.look(replace(GOOD, recent=seen)).level == OK


@pytest.mark.parametrize(
    "seen",
    [
        recent([OPEN], queued(8)),
        recent([OPEN._replace(start_at=NOW + 1)]),
        recent([run(9, state="REQUEUED", submit_at=NOW - 1900), OPEN._replace(job_id=9)], queued(9)),
    ],
)
def test_a_job_that_slurmctld_has_is_no_runaway(seen: Recent) -> None:
    assert names("25.11.2", seen, {}) == {}


def test_a_requeued_job_leaves_no_gap() -> None:
    """It has a new Submit: the numbers between its own and today's are not lost."""
    old = [run(5, state="REQUEUED", submit_at=SINCE - 9), run(5)]
    assert (
        names("22.05.8", recent([*old, *(one._replace(job_id=one.job_id + 900) for one in HUNDRED)]), {})
        == {}
    )


@pytest.mark.parametrize(("version", "heed"), [("22.05.8", True), ("25.11.6", False), ("26.05.0", False)])
def test_the_advice_to_add_a_tres_names_the_defect(version: str, heed: bool) -> None:
    assert bool(defects.adding_tres(version)) == heed
