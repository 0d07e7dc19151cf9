"""Organisations, rules and comments against the real Slurm: who a job was for, through all of the product."""

from __future__ import annotations

import subprocess

import pytest

from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.slurm.names import names_by_condition
from tests.cluster.slurm import SlurmCluster, wait_until
from tests.cluster.tree import Tree
from tests.saf import Saf

RULES = """
[[rule]]
name = "flood"
beneficiary = "non_regional"
account = "umcg"
comment = "flood-north"

[[rule]]
name = "registry"
beneficiary = "registry"

[[rule]]
name = "national"
beneficiary = "non_regional"
account_subtree = "national"
partition = "main"
"""
REASON = ("--since", "2020-01-01", "--reason", "the list of members")
UMCG = ("organisation", "add", "umcg", "--name", "UMCG", "--kvk", "01234567", "--category",
        "knowledge_institution", "--sector", "care", "--municipality", "GM0014", *REASON)  # fmt: skip


@pytest.fixture(scope="module")
def jobs(slurm: SlurmCluster, slurm_tree: Tree) -> dict[str, int]:
    """Jobs of one account: without a comment, with our word in it, and with a comment that would be a run."""
    user = slurm_tree.regional["umcg"][0]
    fields = f"loop 99999999 1 1 umcg {user} main normal - - 0 COMPLETED 1 1 1 9 8 00:00:00 cpu=1 cpu=1 -"
    forged = "\x1f".join(fields.split())
    comments = {"plain": "", "flood": "third try saf:flood-north", "forged": f"one\n{forged}\nsaf:late"}
    found = {
        name: slurm.submit(user, "umcg", seconds=1, extra=[f"--comment={text}"] if text else [])
        for name, text in comments.items()
    }
    for job in found.values():
        slurm.wait_for(job, "COMPLETED")
    return found


def test_a_job_is_who_its_comment_or_its_accounts_organisation_says(
    slurm: SlurmCluster, saf: Saf, jobs: dict[str, int]
) -> None:
    saf.configure(rules=RULES)
    wait_until(lambda: all(_read(saf, job) for job in jobs.values()), "sacct to tell of all jobs", 120)
    saf.run(*UMCG)
    saf.run("organisation", "link", "umcg", "--account", "umcg", *REASON)
    told = {name: saf.json("explain", str(job))["runs"][0] for name, job in jobs.items()}
    assert {name: run["rule"] for name, run in told.items()} == {
        "plain": "registry", "flood": "flood", "forged": "registry"
    }  # fmt: skip
    assert [told[name]["beneficiary"] for name in ("plain", "flood")] == ["regional", "non_regional"]
    assert told["flood"]["comment"] == "flood-north"
    assert saf.json("ledger", "status")["rejected_lines"] == 0
    assert "99999999" not in str(saf.json("explain", str(jobs["forged"])))
    assert (
        slurm.run("sacct", "-n", "-X", "-j", str(jobs["flood"]), "-o", "Comment%40").strip().endswith("north")
    )


def _read(saf: Saf, job: int) -> bool:
    """Whether a further cycle brings the job: sacct may tell of a short run only seconds after its end."""
    saf.run("cycle")
    argv = saf.argv("explain", str(job))
    return (
        subprocess.run(argv, env=saf.env, cwd=saf.directory, capture_output=True, timeout=60).returncode == 0
    )


def test_names_in_rules_are_compared_with_those_that_slurm_has(saf: Saf) -> None:
    rules = f'{RULES}[[rule]]\nname = "region"\nbeneficiary = "regional"\naccount_subtree = "regional"\n'
    saf.configure(rules=rules)
    saf.run("cycle")
    assert "valid, 4 rules" in saf.run("rules", "check").stderr
    saf.configure(rules=rules.replace('partition = "main"', 'partition = "debgu"'))
    done = saf.run("rules", "check", code=1)
    assert "partition 'debgu': no such partition is known; did you mean 'debug'?" in done.stderr
    saf.configure(rules=rules.replace('partition = "main"', 'partition = "debug"\nqos = "normal"'))
    assert "valid" in saf.run("rules", "check").stderr, "nobody has used it yet, but it is there"


def test_all_lists_of_names_are_whole(
    slurm: SlurmCluster, slurm_tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in slurm.env.items():
        monkeypatch.setenv(name, value)
    found, hidden = names_by_condition(Commands(), "loop")
    assert not hidden
    assert {*slurm_tree.regional, *slurm_tree.national, "root", "regional", "national"} <= found["account"]
    assert found["user"] >= {user for users in slurm_tree.regional.values() for user in users}
    assert found["partition"] == {"main", "debug"}
    assert found["qos"] == {"normal"}
