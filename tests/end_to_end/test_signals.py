"""The live queue, the health gates and the preflight, on a real Slurm."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.slurm import SlurmCluster, wait_until
from tests.cluster.tree import Tree
from tests.end_to_end.conftest import BASELINE, Wrap, raw_shares, set_shares, transactions
from tests.saf import Saf

CPUS = 16
LIMITED = ("sacctmgr", "-i", "modify", "account", "where", "name=province", "cluster=loop", "set")


@pytest.fixture
def busy(slurm: SlurmCluster, slurm_tree: Tree) -> Iterator[SlurmCluster]:
    """A cluster that the others fill, with nothing of the region in its queue; emptied afterwards."""
    slurm.cancel_all()
    wait_until(lambda: not slurm.run("squeue", "-h").strip(), "an empty queue", 180)
    filling = slurm.submit(slurm_tree.national["astro"][0], "astro", seconds=600, cpus=CPUS)
    slurm.wait_for(filling, "RUNNING")
    yield slurm
    slurm.cancel_all()


def inputs(saf: Saf) -> dict[str, Any]:
    found: dict[str, Any] = saf.json("plan")["decision"]["inputs"]
    return found


def reasons(slurm: SlurmCluster, *jobs: int) -> list[str]:
    return [slurm.run("squeue", "-h", "-j", str(job), "-o", "%r").strip() for job in jobs]


def test_only_what_could_start_is_demand(busy: SlurmCluster, slurm_tree: Tree, saf: Saf) -> None:
    who = slurm_tree.regional["umcg"][0]
    busy.submit(slurm_tree.national["astro"][0], "astro", seconds=60, cpus=4)
    held = busy.submit(who, "umcg", seconds=60, cpus=2, extra=["--hold"])
    dependent = busy.submit(who, "umcg", seconds=60, cpus=2, extra=["-d", f"afterok:{held}"])
    assert reasons(busy, held, dependent) == ["JobHeldUser", "Dependency"]
    assert inputs(saf)["regional_demand"] == 0
    busy.submit(who, "umcg", seconds=60, cpus=3)
    assert inputs(saf)["regional_demand"] == 3
    busy.submit(who, "umcg", seconds=60, cpus=2, array="0-9%2")
    busy.submit(who, "umcg", seconds=60, array="1-200:2")
    found = inputs(saf)
    assert found["regional_demand"] == 3 + 2 * 2 + 100
    assert found["regional_running_now"] == found["jobs_of_unknown_standing"] == 0


def test_a_job_that_a_limit_holds_back_is_no_demand(busy: SlurmCluster, slurm_tree: Tree, saf: Saf) -> None:
    busy.run(*LIMITED, "GrpTRES=cpu=1")
    try:
        limited = busy.submit(slurm_tree.regional["province"][0], "province", seconds=60, cpus=2)
        wait_until(lambda: reasons(busy, limited) == ["AssocGrpCpuLimit"], "the limit to be told", 180)
        found = inputs(saf)
        assert (found["regional_demand"], found["regional_held_by_limit"]) == (0, 2)
    finally:
        busy.run(*LIMITED, "GrpTRES=cpu=-1")
    wait_until(lambda: reasons(busy, limited) != ["AssocGrpCpuLimit"], "the limit to be gone", 180)
    assert inputs(saf)["regional_demand"] == 2


def test_a_limit_of_the_region_is_reported_with_what_it_holds_back(
    busy: SlurmCluster, slurm_tree: Tree, saf: Saf
) -> None:
    region = [word.replace("name=province", "name=regional") for word in LIMITED]
    busy.run(*region, "GrpTRES=cpu=2")
    try:
        limited = busy.submit(slurm_tree.regional["umcg"][0], "umcg", seconds=60, cpus=3)
        wait_until(lambda: reasons(busy, limited) == ["AssocGrpCpuLimit"], "the limit to be told", 180)
        wait_until(lambda: limited in busy.read_until_now(), "an answer up to now with the job", 180)
        saf.json("cycle")
        (run,) = saf.json("explain", str(limited))["runs"]
        assert run["waits_for"] == "AssocGrpCpuLimit: GrpTRES (CPUs) of its association or one above"
        assert saf.json("explain", "--account", "umcg")["limits"] == ["GrpTRES=cpu=2 of account regional"]
        said = saf.json("doctor", code=5)
        bound = next(one for one in said["findings"] if one["check"] == "native_bounds")
        assert bound["level"] == "problem"
        assert "GrpTRES=cpu=2 on account regional caps the region at 12.5%" in bound["found"]
        assert bound["fix"].startswith("sacctmgr -i modify account where name=regional")
        assert "held by limit regional jobs that request 3 of" in " ".join(
            saf.run("status", code=3).stdout.split()
        )
    finally:
        busy.run(*region, "GrpTRES=cpu=-1")
    assert saf.json("explain", "--account", "umcg")["limits"] == []


def test_authority_is_known_when_both_sides_wait(busy: SlurmCluster, slurm_tree: Tree, saf: Saf) -> None:
    busy.submit(slurm_tree.regional["umcg"][0], "umcg", seconds=60)
    assert inputs(saf)["authority"] is None
    busy.submit(slurm_tree.national["astro"][0], "astro", seconds=60)
    terms = ("sprio", "-h", "-o", "%F")
    wait_until(lambda: len(set(busy.run(*terms).split())) > 1, "priorities that differ", 120)
    assert inputs(saf)["authority"] == 1.0, "nothing but fairshare has a weight here"


# --- health -------------------------------------------------------------------------------------------


@pytest.fixture
def incr_only(slurm: SlurmCluster) -> Iterator[None]:
    """A slurmctld whose priorities never go down."""
    before = slurm.slurm_conf.read_text()
    _reconfigure(slurm, f"{before}PriorityFlags=INCR_ONLY\n", "INCR_ONLY")
    yield
    _reconfigure(slurm, before, "")


def _reconfigure(slurm: SlurmCluster, conf: str, flags: str) -> None:
    slurm.slurm_conf.write_text(conf)
    slurm.run("scontrol", "reconfigure")
    wait_until(lambda: _flags(slurm) == flags, f"PriorityFlags={flags}", 120)


def _flags(slurm: SlurmCluster) -> str:
    lines = slurm.run("scontrol", "show", "config").splitlines()
    return next(line.partition("=")[2].strip() for line in lines if line.startswith("PriorityFlags"))


def test_a_setting_that_makes_writes_useless_holds(slurm: SlurmCluster, eager: Saf, incr_only: None) -> None:
    assert incr_only is None
    before = transactions(slurm)
    said = eager.run("cycle").stdout
    assert "hold: PriorityFlags has INCR_ONLY" in said
    assert transactions(slurm) == before
    assert raw_shares(slurm) == (BASELINE, BASELINE)
    assert eager.json("status", code=4)["holds"][0]["reason"] == "incr_only"
    assert not_ok(eager.json("doctor", code=5)).get("incr_only") == "problem"


def test_undelivered_accounting_holds_until_it_is_delivered(
    slurm: SlurmCluster, eager: Saf, wrap: Wrap
) -> None:
    before = transactions(slurm)
    wrap("sdiag", "$REAL | sed 's/DBD Agent queue size: 0/DBD Agent queue size: 4711/'")
    decision = eager.json("cycle")["decision"]
    assert (decision["reason"], decision["changes"]) == ("agent_queue", [])
    assert "slurmctld has 4711 messages that it could not deliver to slurmdbd" in decision["sentence"]
    assert decision["inputs"].keys() >= {"authority", "regional_demand", "regional_running_now"}
    assert transactions(slurm) == before
    wrap("sdiag", 'exec $REAL "$@"')
    assert eager.json("cycle")["outcomes"][0]["status"] == "applied"
    assert len(transactions(slurm)) == len(before) + 1


@pytest.mark.parametrize("command", ["squeue", "sprio", "sdiag"])
def test_a_signal_that_cannot_be_read_ends_the_cycle(
    slurm: SlurmCluster, eager: Saf, wrap: Wrap, command: str
) -> None:
    before = transactions(slurm)
    wrap(command, "echo half an answ; exit 1")
    assert f"{command} failed" in eager.run("cycle", code=1).stderr
    assert transactions(slurm) == before


def test_a_reason_that_nobody_knows_is_told(
    busy: SlurmCluster, slurm_tree: Tree, saf: Saf, wrap: Wrap
) -> None:
    busy.submit(slurm_tree.regional["umcg"][0], "umcg", seconds=60, cpus=2)
    wrap(
        "squeue",
        "$REAL \"$@\" | sed -E 's/(\\x1f[0-9a-f]{24})(Priority|Resources|None)\\x1f/\\1FluxMissing\\x1f/'",
    )
    said = saf.run("cycle").stdout
    assert "jobs are in the queue for reasons that are not known: FluxMissing" in said
    found = inputs(saf)
    assert (found["regional_demand"], found["jobs_of_unknown_standing"]) == (0, 1)
    assert "FluxMissing" in saf.run("doctor", code=5).stdout


# --- doctor -------------------------------------------------------------------------------------------


def not_ok(said: dict[str, Any]) -> dict[str, str]:
    return {one["check"]: one["level"] for one in said["findings"] if one["level"] != "ok"}


@pytest.fixture
def broken(slurm: SlurmCluster) -> Iterator[None]:
    """Jobs are free for fairshare, and somebody may change shares at the top; mended afterwards."""
    set_shares(slurm, BASELINE)
    slurm.cancel_all()
    slurm.run("sacctmgr", "-i", "modify", "qos", "where", "name=normal", "set", "UsageFactor=0")
    slurm.run("sacctmgr", "-i", "add", "coordinator", "account=root", "name=games")
    yield
    slurm.run("sacctmgr", "-i", "modify", "qos", "where", "name=normal", "set", "UsageFactor=1")
    for row, shares in (("account where name=national", 75), ("user where name=root account=root", 1)):
        slurm.run("sacctmgr", "-i", "modify", *row.split(), "cluster=loop", "set", f"fairshare={shares}")
    set_shares(slurm, BASELINE)


def test_doctor_finds_what_is_wrong_and_its_fixes_mend_it(
    slurm: SlurmCluster, saf: Saf, broken: None
) -> None:
    assert broken is None
    said = saf.json("doctor", code=5)
    assert not_ok(said) == {
        "usage_factor": "warning", "level_resolution": "warning", "coordinators": "warning",
    }  # fmt: skip
    acknowledged = {f"acknowledged_{part}" for part in ("by", "until", "reason")}
    assert said["findings"][0].keys() == {"check", "level", "found", "wanted", "fix"} | acknowledged
    fixes = [one["fix"] for one in said["findings"] if one["fix"]]
    shown = saf.run("doctor", code=5).stdout
    assert all(f"fix: {line}" in shown for fix in fixes for line in fix.splitlines())
    subprocess.run(["sh", "-e"], input="\n".join(fixes), env=slurm.env, check=True, text=True,
                   capture_output=True, timeout=60)  # fmt: skip
    wait_until(lambda: raw_shares(slurm) == (375, 375), "the rescaled shares in slurmctld", 120)
    assert not_ok(saf.json("doctor")) == {}
    assert saf.run("doctor", "-q").stdout == ""


def test_doctor_needs_slurm_to_say_anything(saf: Saf, wrap: Wrap) -> None:
    wrap("scontrol", "exit 1")
    assert "scontrol failed" in saf.run("doctor", code=1).stderr


def test_without_pyslurm_the_commands_answer_and_the_doctor_says_why(saf: Saf) -> None:
    saf.configure("slurm", source="pyslurm", python=str(saf.directory / "python"))
    why = f"there is no Python at {saf.directory / 'python'}; correct slurm.python"
    found = {one["check"]: one for one in saf.json("doctor", code=5)["findings"]}
    assert found["source"]["level"] == "warning"
    assert found["source"]["found"].endswith(f"associations, diagnostics, nodes, queue, settings: {why}")
    logged = saf.run("cycle").stderr
    assert f"reading queue through Slurm's commands instead of pyslurm: {why}" in logged


def test_doctor_tells_what_it_could_not_read(saf: Saf, wrap: Wrap) -> None:
    wrap("sacctmgr", 'case "$*" in *transactions*) exit 1;; esac; exec $REAL "$@"')
    found = {one["check"]: one for one in saf.json("doctor", code=5)["findings"]}
    assert found["foreign_writer"]["level"] == "warning"
    assert "not known: sacctmgr failed" in found["foreign_writer"]["found"]
