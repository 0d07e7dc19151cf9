"""Limits, licences and reservations as real Slurms print them, and lines that no Slurm prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from slurm_ai_factory.core.live.bounds import Licence, LimitedAssociation, LimitedQos, Withheld
from slurm_ai_factory.core.records import FOREVER, Rejected
from slurm_ai_factory.slurm import Slurm, limits
from tests.cluster.requirements import unavailable
from tests.cluster.slurm import SlurmCluster, wait_until
from tests.cluster.tree import plant
from tests.slurm.scenarios import inside, reason

ASSOCIATIONS = """\
1|0|||||||||||||normal
3|1|cpu=8,gres/gpu=1|cpu=10000,gres/gpu=500|cpu=6000|cpu=4,node=1|||10||10:00:00|3|||narrow,normal
26|3||gres/gpu=60||cpu=4,node=1||||||3|||narrow,normal
""".splitlines(keepends=True)
"""Of 22.05.8, where regional was given limits of every kind; the row below it inherits some."""


def test_associations_have_the_limits_that_are_set() -> None:
    root, regional, below = limits.association_limits(ASSOCIATIONS)
    assert root == LimitedAssociation(1, 0, "#ID 1", "", {}, ("normal",))
    assert regional == LimitedAssociation(
        3, 1, "#ID 3", "",
        {"GrpTRES": "cpu=8,gres/gpu=1", "GrpTRESMins": "cpu=10000,gres/gpu=500", "GrpTRESRunMins": "cpu=6000",
         "MaxTRES": "cpu=4,node=1", "GrpJobs": "10", "GrpWall": "10:00:00", "MaxJobs": "3"},
        ("narrow", "normal"),
    )  # fmt: skip
    assert isinstance(below, LimitedAssociation)
    assert (below.number, below.parent, below.limits["GrpTRESMins"]) == (26, 3, "gres/gpu=60")


def test_qos_have_their_limits_and_flags() -> None:
    lines = [
        "|||||||||normal\n",
        "Relative,NoDecay|cpu=30,gres/gpu=25|||||cpu=2|||wide\n",
        "DenyOnLimit|cpu=6|cpu=100|||cpu=2||||narrow|odd\n",
    ]
    assert list(limits.all_qos_limits(lines)) == [
        LimitedQos("normal", {}, relative=False, decays=True),
        LimitedQos(
            "wide", {"GrpTRES": "cpu=30,gres/gpu=25", "MaxTRESPA": "cpu=2"}, relative=True, decays=False
        ),
        LimitedQos(
            "narrow|odd",
            {"GrpTRES": "cpu=6", "GrpTRESMins": "cpu=100", "MaxTRESPU": "cpu=2"},
            relative=False,
            decays=True,
        ),
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["No licenses configured in Slurm.\n"], []),
        (["LicenseName=ansys@flex Total=10 Used=2 Free=8 Reserved=0 Remote=yes LastConsumed=0\n"],
         [Licence("ansys@flex", 10, 2)]),
        (["LicenseName=power Total=130000 Used=16000 Free=114000 Reserved=0 Remote=no Nodes=n[1-32] Mode=3\n",
          "LicenseName=power Total=40000 Used=8000 Free=32000 Reserved=0 Remote=no Nodes=n[1-8] Mode=3\n"],
         [Licence("power", 130000, 16000, 3), Licence("power", 40000, 8000, 3)]),
    ],
)  # fmt: skip
def test_licences_and_layers_of_hierarchical_resources_are_told(
    lines: list[str], expected: list[Licence]
) -> None:
    assert list(limits.licences(lines)) == expected


LESSON = (
    "ReservationName=lesson StartTime=1795864775 EndTime=1795868375 Duration=01:00:00 Nodes=n[1-2] NodeCnt=2 "
    "CoreCnt=8 Features=(null) PartitionName=(null) Flags=SPEC_NODES{} TRES=cpu=8 Users={} Groups={} "
    "Accounts={} Licenses=(null) State=ACTIVE BurstBuffer=(null)\n"
)


@pytest.mark.parametrize(
    ("line", "different"),
    [
        (LESSON.format("", "(null)", "(null)", "astro,umcg"), {"accounts": frozenset({"astro", "umcg"})}),
        (LESSON.format("", "jan", "(null)", "(null)"), {"users": frozenset({"jan"})}),
        (LESSON.format(",MAINT", "root", "(null)", "(null)"),
         {"users": frozenset({"root"}), "maintenance": True}),
        (LESSON.format("", "(null)", "staff", "(null)"), {"open_to_others": True}),
        (LESSON.format("", "(null)", "(null)", "(null)").replace("Users=", "QOS=urgent Users="),
         {"open_to_others": True}),
        (LESSON.format("", "(null)", "(null)", "-astro"),
         {"accounts": frozenset({"-astro"}), "open_to_others": True}),
        (LESSON.format("", "jan", "(null)", "(null)").replace("EndTime=1795868375", "EndTime=Unknown"),
         {"users": frozenset({"jan"}), "until": FOREVER}),
        (LESSON.format("", "jan", "(null)", "(null)").replace("TRES=cpu=8", "TRES=(null)"),
         {"users": frozenset({"jan"}), "cpus": None}),
        (LESSON.format("", "jan", "(null)", "(null)").replace("Nodes=n[1-2]", "Nodes=(null)"),
         {"users": frozenset({"jan"}), "nodes": frozenset()}),
    ],
)  # fmt: skip
def test_a_reservation_is_told_with_those_who_may_use_it(line: str, different: dict[str, object]) -> None:
    empty = frozenset[str]()
    nodes = frozenset({"n1", "n2"})
    expected = Withheld("lesson", 1795864775, 1795868375, nodes, 8, empty, empty,
                        open_to_others=False, maintenance=False)  # fmt: skip
    assert list(limits.withheld_nodes([line])) == [expected._replace(**different)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "rows",
    [
        list(limits.association_limits(["3|1|cpu=many||||||||||||normal\n", "3|1|cpu=1\n", "x|" * 14])),
        list(limits.all_qos_limits(["|cpu||||||||normal\n", "odd\n"])),
        list(limits.licences(["LicenseName=x Total=many Used=1\n", "LicenseName=x Used=1\n"])),
        list(limits.withheld_nodes([LESSON.format("", "", "", "").replace("n[1-2]", "n[1-")])),
    ],
)
def test_what_cannot_be_read_is_told(rows: list[object]) -> None:
    assert rows
    assert all(isinstance(row, Rejected) for row in rows)


VERSION = "26.05"
REASON = unavailable(1, VERSION)
POWER = """---
- resource: power
  mode: MODE_3
  layers:
    - nodes: ["n[1-2]"]
      count: 1000
    - nodes: ["n[3-4]"]
      count: 1000
    - nodes: ["n[1-4]"]
      count: 1500
"""


@pytest.mark.slurm
@pytest.mark.every_version
@pytest.mark.skipif(REASON is not None, reason=str(REASON))
def test_a_job_waits_for_licences_and_for_hierarchical_resources_by_these_reasons(tmp_path: Path) -> None:
    """If a later release has a reason of its own for the second, this test fails, and saf may use it."""
    tmp_path.chmod(0o755)
    with SlurmCluster(tmp_path / "cluster", version=VERSION, options={"Licenses": "ansys:2"}) as cluster:
        user = plant(cluster).regional["umcg"][0]
        (cluster.slurm_conf.parent / "resources.yaml").write_text(POWER)
        cluster.run("scontrol", "reconfigure")
        slurm = Slurm(cluster.name, inside(cluster))
        wait_until(lambda: len(slurm.native_limits().licences) == 4, "the layers of power", 180)
        assert slurm.native_limits().licences == [
            Licence("ansys", 2, 0), Licence("power", 1000, 0, 3), Licence("power", 1000, 0, 3),
            Licence("power", 1500, 0, 3),
        ]  # fmt: skip

        def submitted(licences: str) -> int:
            return cluster.submit(user, "umcg", seconds=300, extra=["-L", licences])

        for licences, expected in (("ansys:2", "Licenses"), ("power:900", "Resources")):
            cluster.wait_for(submitted(licences), "RUNNING")
            second = submitted(licences)
            wait_until(lambda: reason(cluster, second).strip() == expected, f"{second} to wait", 90)  # noqa: B023
            cluster.run("scancel", str(second))
        assert [row.used for row in slurm.native_limits().licences] == [2, 900, 0, 900]
