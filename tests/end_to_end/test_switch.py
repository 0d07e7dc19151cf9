"""A QOS and a partition as levers on a real Slurm, whose clock runs sixty times too fast."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.fixtures import needs_slurm
from tests.cluster.slurm import SlurmCluster, wait_until
from tests.cluster.tree import Tree, plant
from tests.saf import Saf

SPEED, HOUR = 60, 3600
RAISED = 1000
GOAL = 0.26
BY_QOS = """
[[rule]]
name = "region"
beneficiary = "regional"
qos = "regional"

[[rule]]
name = "others"
beneficiary = "non_regional"
account_subtree = "national"
"""
pytestmark = [pytest.mark.alone, *needs_slurm(SPEED)]


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SlurmCluster, Tree]]:
    """A cluster that orders jobs by QOS, and where the region's account has next to no shares."""
    options = {
        "PriorityWeightFairshare": "1000",
        "PriorityWeightQOS": "100000",
        "PriorityWeightPartition": "1",
    }
    directory = tmp_path_factory.mktemp("switch") / "cluster"
    with SlurmCluster(directory, speed=SPEED, half_life="02:00:00", options=options) as cluster:
        tree = plant(cluster)
        change = ("sacctmgr", "-i", "modify", "account", "where", "name=regional", "cluster=loop", "set")
        cluster.run("sacctmgr", "-i", "add", "qos", "regional")
        cluster.run(*change, "fairshare=3", "qos+=regional", "defaultqos=regional")
        yield cluster, tree


@pytest.fixture
def switched(fast: tuple[SlurmCluster, Tree], ledger_url: str, tmp_path: Path) -> Saf:
    """saf in mode enforce, with the QOS as its lever."""
    saf = Saf(tmp_path, fast[0].env, ledger_url)
    saf.configure("promise", window="rolling:6h", target_share=GOAL - 0.01)
    saf.configure("slurm", timeout="60m", overlap_daily="6h")
    saf.configure(
        "control", BY_QOS, mode="enforce", lever="qos", qos="regional", raised=RAISED, recovery="36m",
        writes_per_day=2880,
    )  # fmt: skip
    saf.configure("daemon", period="1m")
    return saf


def priority(cluster: SlurmCluster) -> int:
    rows = cluster.run("sacctmgr", "-n", "-P", "show", "qos", "format=Name,Priority").splitlines()
    return int(dict(row.split("|") for row in rows)["regional"])


def factor(cluster: SlurmCluster) -> int:
    shown = cluster.run("scontrol", "-o", "show", "partition", "debug").split()
    return int(dict(pair.partition("=")[::2] for pair in shown)["PriorityJobFactor"])


def changed(saf: Saf) -> dict[str, Any]:
    """The first decision of the next cycles that changes something."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        decision = saf.json("cycle")["decision"]
        if decision["changes"]:
            return dict(decision)
    raise AssertionError(f"no change: {decision}")


def test_a_qos_is_raised_read_back_told_of_when_others_set_it_and_restored(
    fast: tuple[SlurmCluster, Tree], switched: Saf
) -> None:
    """Others have the whole machine, so the region is owed more with every minute."""
    cluster, tree = fast
    cluster.submit(tree.national["astro"][0], "astro", seconds=10 * HOUR, cpus=16)
    decision = changed(switched)
    assert (decision["reason"], priority(cluster)) == ("switch_on", RAISED)
    assert decision["changes"][0]["command"][-1] == f"priority={RAISED}"
    cluster.run("sacctmgr", "-i", "modify", "qos", "where", "name=regional", "set", "priority=7")
    assert (
        f"another user changed Priority of regional from {RAISED} to 7 (by root at "
        in switched.run("cycle").stdout
    )
    assert priority(cluster) == RAISED
    assert {(entry["object"], entry["attribute"], entry["status"]) for entry in switched.json("history")} == {
        ("qos", "Priority", "applied"),
        ("qos", "Priority", "foreign"),
    }
    assert (
        f"qos regional, a switch: last raised, to Priority {RAISED}" in switched.run("status", code=3).stdout
    )
    restored = switched.run("restore-baseline", "--yes")
    assert f"# qos regional Priority {RAISED} -> 0" in restored.stderr
    assert priority(cluster) == 0
    switched.configure("control", qos="gone")
    assert "Slurm has no qos gone" in switched.run("cycle").stdout


def test_a_partition_is_raised_again_after_slurmctld_forgot_it(
    fast: tuple[SlurmCluster, Tree], switched: Saf
) -> None:
    cluster, _ = fast
    rules = BY_QOS.replace('qos = "regional"', 'partition = "debug"')
    switched.configure("control", rules, lever="partition", partition="debug")
    found = factor(cluster)
    assert (changed(switched)["reason"], factor(cluster)) == ("switch_on", RAISED)
    cluster.kill("slurmctld")
    cluster.restart("slurmctld")
    wait_until(lambda: factor(cluster) == found, "the factor of slurm.conf", 180)
    assert f"another user changed PriorityJobFactor of debug from {RAISED}" in switched.run("cycle").stdout
    assert factor(cluster) == RAISED
    assert "slurmctld forgets what is set" in switched.run("doctor", code=5).stdout
    switched.run("restore-baseline", "--yes")
    assert factor(cluster) == found
    switched.configure("control", partition="main")
    assert "of the charge in partition main is not regional" in switched.run("cycle").stdout
