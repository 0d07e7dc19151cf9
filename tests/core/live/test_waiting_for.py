"""Each reason of each version of Slurm has a place and a meaning; a limit goes by its name in sacctmgr."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from slurm_ai_factory.core.live.demand import Standing, reason_standing
from slurm_ai_factory.core.live.waiting_for import MEANING, reason_meaning

with Path(__file__).with_name("reasons.csv").open(encoding="ascii") as opened:
    REASONS = list(csv.DictReader(opened))
"""Every text of job_state_reason.c (of job_reason_string in 22.05), and the versions that have it."""

VERSIONS = ("22.05", "24.11", "25.11", "26.05")
SETTINGS = {
    "GrpTRES", "GrpTRESMins", "GrpTRESRunMins", "GrpJobs", "GrpSubmitJobs", "GrpWall", "MaxTRESPerJob",
    "MaxTRESPerNode", "MaxTRESMinsPerJob", "MaxTRESPerUser", "MaxTRESPerAccount", "MaxTRESRunMinsPerUser",
    "MaxTRESRunMinsPerAccount", "MaxJobs", "MaxJobsPerUser", "MaxJobsPerAccount", "MaxSubmitJobs",
    "MaxSubmitJobsPerUser", "MaxSubmitJobsPerAccount", "MaxWallDurationPerJob", "MinTRESPerJob",
    "UsageThreshold",
}  # fmt: skip
"""What sacctmgr calls them (sacctmgr.1)."""
UNNAMED = {
    "AccountingPolicy", "AssociationJobLimit", "AssociationResourceLimit", "AssociationTimeLimit", "Licenses",
    "MaxPoweredUpNodes", "QOSJobLimit", "QOSResourceLimit", "QOSTimeLimit",
}  # fmt: skip


def test_the_list_has_the_reasons_of_four_versions() -> None:
    counts = {name: sum(row[name] == "yes" for row in REASONS) for name in VERSIONS}
    assert counts == {"22.05": 197, "24.11": 216, "25.11": 216, "26.05": 216}


@pytest.mark.parametrize("version", VERSIONS)
def test_no_reason_of_a_version_is_unknown(version: str) -> None:
    unknown = [
        row["reason"]
        for row in REASONS
        if row[version] and reason_standing(row["reason"]) is Standing.UNKNOWN
    ]
    assert unknown == []


@pytest.mark.parametrize("version", VERSIONS)
def test_demand_is_what_lacks_nothing_but_its_turn_or_nodes(version: str) -> None:
    demand = {
        row["reason"]
        for row in REASONS
        if row[version] and reason_standing(row["reason"]) is Standing.WAITING
    }
    assert demand == {"None", "Priority", "Resources", "SchedDefer"}


def test_each_limit_goes_by_its_name_in_sacctmgr() -> None:
    limits = {
        row["reason"] for row in REASONS if reason_standing(row["reason"]) is Standing.HELD_BY_LIMIT
    } - UNNAMED
    meanings = {reason: reason_meaning(reason) for reason in limits}
    assert {text.split()[0] for text in meanings.values()} == SETTINGS
    for reason, text in meanings.items():
        assert text.endswith("of its association or one above" if reason[0] == "A" else "of its QOS"), reason
    assert all(reason_meaning(reason) != MEANING[Standing.HELD_BY_LIMIT] for reason in UNNAMED)


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("QOSGrpGRES", "GrpTRES (GRES) of its QOS"),
        ("AssocGrpCPUMinutesLimit", "GrpTRESMins (CPUs) of its association or one above"),
        ("AssocMaxSubmitJobLimit", "MaxSubmitJobs of its association or one above"),
        ("QOSMinCpuNotSatisfied", "MinTRESPerJob (CPUs) of its QOS"),
        ("MaxMemoryRunMinsPerUser", "MaxTRESRunMinsPerUser (memory) of its QOS"),
        ("AssocGrpSomethingOfTomorrow", MEANING[Standing.HELD_BY_LIMIT]),
        ("ReqNodeNotAvail, UnavailableNodes:n1", MEANING[Standing.UNAVAILABLE]),
        ("QuantumFlux", MEANING[Standing.UNKNOWN]),
    ],
)
def test_a_reason_is_told_in_words(reason: str, meaning: str) -> None:
    assert reason_meaning(reason) == meaning


def test_each_standing_has_a_meaning() -> None:
    assert set(MEANING) == set(Standing)
