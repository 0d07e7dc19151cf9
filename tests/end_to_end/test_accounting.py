"""The ledger against the real sacct: every run counted once, to the second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.cluster.slurm import SlurmCluster, wait_until
from tests.cluster.tree import Tree
from tests.saf import RULES, Saf

RESOURCES = ("cpu", "billing", "node", "mem")
FIELDS = "Account,State,Start,ElapsedRaw,AllocTRES"


@pytest.fixture(scope="module")
def running(slurm: SlurmCluster, slurm_tree: Tree) -> Iterator[int]:
    """A day's oddities: an array, a requeued, a cancelled, a het job ...; yields the one that still runs."""
    region, nation = slurm_tree.regional["umcg"][0], slurm_tree.national["astro"][0]
    short = slurm.submit(region, "umcg", seconds=2)
    alone = slurm.submit(nation, "astro", seconds=2, cpus=2, extra=["--exclusive"])
    array = slurm.submit(region, "umcg", seconds=1, array="1-3")
    het = slurm.submit(nation, "astro", seconds=2, extra=["-n1", ":", "-n2"])
    requeued = slurm.submit(nation, "astro", seconds=600)
    cancelled = slurm.submit(region, "umcg", seconds=600)
    suspended = slurm.submit(region, "umcg", seconds=600)
    never = slurm.submit(nation, "astro", seconds=60, extra=["--begin=now+1hour"])
    for job in (requeued, cancelled, suspended):
        slurm.wait_for(job, "RUNNING")
    slurm.run("scontrol", "suspend", str(suspended))
    wait_until(lambda: _elapsed(slurm, cancelled) >= 2, "two seconds of run time", 120)
    slurm.requeue(requeued)
    slurm.cancel(cancelled)
    slurm.cancel(never)
    slurm.run("scontrol", "resume", str(suspended))
    slurm.cancel(suspended)
    for job in (short, alone, array, het):
        slurm.wait_for(job, "COMPLETED")
    for job in (cancelled, suspended):
        slurm.wait_for(job, "CANCELLED")
    wait_until(lambda: "REQUEUED" in _rows(slurm, "State"), "the requeued run in accounting", 120)
    slurm.cancel(requeued)
    # sacct tells of a requeued run only once it would have been eligible
    wait_until(lambda: _rows(slurm, "JobID").count(str(requeued)) == 2, "both runs of the requeued job", 120)
    lasting = slurm.submit(region, "umcg", seconds=600)
    wait_until(lambda: "RUNNING" in slurm.recorded_states(lasting), "the lasting run in accounting", 120)
    yield lasting
    slurm.cancel(lasting)
    slurm.wait_for(lasting, "CANCELLED")


@pytest.mark.usefixtures("running")
def test_every_account_has_what_sacct_says_to_the_second(slurm: SlurmCluster, saf: Saf) -> None:
    saf.run("cycle")
    for resource in RESOURCES:
        found = saf.json("share", "--by", "account", "--resource", resource)
        charges = {group["name"]: group["charge"] for group in found["groups"]}
        expected = _expected(slurm, resource, int(slurm.run("date", "-d", found["as_of"], "+%s")))
        assert charges == expected
        assert found["total_charge"] == sum(expected.values())


@pytest.mark.usefixtures("running")
def test_the_oddities_are_all_there(slurm: SlurmCluster) -> None:
    states = {line.split()[0] for line in _rows(slurm, "State")}
    assert {"COMPLETED", "CANCELLED", "REQUEUED", "RUNNING"} <= states
    assert any("+" in job for job in _rows(slurm, "JobID"))
    assert any("_" in job for job in _rows(slurm, "JobID"))
    assert any(seconds != "00:00:00" for seconds in _rows(slurm, "Suspended"))


@pytest.mark.usefixtures("running")
def test_reading_again_changes_nothing(saf: Saf) -> None:
    saf.run("cycle")
    first = saf.json("ledger", "status")
    again = saf.json("cycle")
    second = saf.json("ledger", "status")
    assert again["changed"] == 0
    assert again["runs"] == first["runs"] == second["runs"]
    assert second["superseded"] == first["superseded"] == 0


def test_a_run_that_ends_is_restated_and_its_open_version_kept(
    slurm: SlurmCluster, slurm_tree: Tree, saf: Saf
) -> None:
    job = slurm.submit(slurm_tree.regional["province"][0], "province", seconds=600)
    wait_until(lambda: "RUNNING" in slurm.recorded_states(job), "the run in accounting", 120)
    saf.run("cycle")
    before = saf.json("ledger", "status")
    slurm.cancel(job)
    slurm.wait_for(job, "CANCELLED")
    saf.run("cycle")
    after = saf.json("ledger", "status")
    assert after["runs"] == before["runs"]
    assert after["superseded"] == before["superseded"] + 1
    explained = saf.json("explain", str(job))["runs"]
    assert [run["state"] for run in explained] == ["CANCELLED"]
    assert explained[0]["elapsed_seconds"] == _elapsed(slurm, job)


def test_explain_names_the_rule_and_the_sum(saf: Saf, running: int) -> None:
    saf.run("cycle")
    run = saf.json("explain", str(running))["runs"][0]
    assert (run["beneficiary"], run["rule"], run["account"]) == ("regional", "region", "umcg")
    assert run["charge"] == f"1 cpu x {run['elapsed_seconds']} s = {run['elapsed_seconds']}"


@pytest.mark.usefixtures("running")
def test_what_no_rule_knows_is_unclassified_and_counted_as_not_regional(saf: Saf) -> None:
    only_region = '[[rule]]\nname = "region"\nbeneficiary = "regional"\naccount = "umcg"\n'
    saf.configure(rules=only_region)
    saf.run("cycle")
    found = saf.json("share")
    charges = {row["account"] for row in saf.json("unclassified")}
    assert charges == {"astro", *charges}
    assert found["unclassified_charge"] == found["total_charge"] - found["regional_charge"] > 0
    saf.configure(rules=RULES)
    assert saf.json("share")["unclassified_charge"] == 0, "a new rule classifies history too"


def _expected(slurm: SlurmCluster, resource: str, as_of: int) -> dict[str, int]:
    """TRES-seconds by account, from nothing but sacct: what ended as told, what runs up to ``as_of``."""
    charges: Counter[str] = Counter()
    for line in _rows(slurm, FIELDS):
        account, state, start, elapsed, alloc = line.split("|")
        seconds = as_of - int(start) if state == "RUNNING" else int(elapsed)
        counts = dict(entry.split("=") for entry in alloc.split(",") if entry)
        charges[account] += seconds * int(counts.get(resource, "0").rstrip("M"))
    return {account: charge for account, charge in charges.items() if charge}


def _rows(slurm: SlurmCluster, fields: str) -> list[str]:
    """Every run sacct knows, requeued ones included."""
    env = {"TZ": "UTC", "SLURM_TIME_FORMAT": "%s"}
    slurm_env = [f"{key}={value}" for key, value in env.items()]
    return slurm.run(
        "env", *slurm_env, "sacct", "-a", "-D", "-X", "-P", "-n", "--noconvert",
        "-S", "now-1days", "-E", "now", "-o", fields,
    ).splitlines()  # fmt: skip


def _elapsed(slurm: SlurmCluster, job: int) -> int:
    """Seconds the job's last run has had; 0 while accounting knows nothing of it yet."""
    runs = slurm.run("sacct", "-X", "-n", "-P", "-j", str(job), "-o", "ElapsedRaw").split()
    return int(runs[-1]) if runs else 0
