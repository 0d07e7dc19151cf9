"""Two regional accounts beside each other under root on a real Slurm: one decision, two rows."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.cluster.slurm import SlurmCluster, wait_until
from tests.end_to_end.conftest import BASELINE, Wrap, raw_shares, transactions
from tests.saf import RULES, Saf

NORTH = 15
ACCOUNTS = ["regional", "north"]
BOTH = RULES.replace('account_subtree = "regional"', 'account_subtree = ["regional", "north"]')


@pytest.fixture
def spread(slurm: SlurmCluster, eager: Saf) -> Iterator[Saf]:
    """saf that steers two accounts, with 25 and 15 shares, and wants more for them at once."""
    slurm.run("sacctmgr", "-i", "add", "account", "name=north", "cluster=loop", f"fairshare={NORTH}")
    wait_until(lambda: raw_shares(slurm, "north") == (NORTH, NORTH), "account north in slurmctld", 180)
    eager.configure("control", BOTH, account=ACCOUNTS)
    yield eager
    slurm.run("sacctmgr", "-i", "delete", "account", "name=north", "cluster=loop")


def in_force(slurm: SlurmCluster) -> list[int]:
    found = [raw_shares(slurm, account) for account in ACCOUNTS]
    assert all(stored == live for stored, live in found)
    return [live for _, live in found]


def in_ratio(rows: list[int]) -> bool:
    """Whether both are the same multiple of what the operator set, to within one RawShare."""
    factors = [((one - 1) / own, (one + 1) / own) for one, own in zip(rows, (BASELINE, NORTH), strict=True)]
    return max(low for low, _ in factors) <= min(high for _, high in factors)


def test_one_decision_writes_two_rows_and_slurms_log_has_exactly_these(
    slurm: SlurmCluster, spread: Saf
) -> None:
    tree = ("sacctmgr", "-n", "-P", "show", "assoc", "format=Cluster,Account,User,Share")
    before, rows = transactions(slurm), slurm.run(*tree).splitlines()
    decision = spread.json("cycle")["decision"]
    made = [line.rpartition("shares=")[2] for line in transactions(slurm)[len(before) :]]
    assert [change["account"] for change in decision["changes"]] == ACCOUNTS
    assert [str(change["raw_shares_after"]) for change in decision["changes"]] == made
    assert [str(one) for one in in_force(slurm)] == made
    assert in_ratio(in_force(slurm))
    history = spread.json("history")
    assert [(e["account"], e["status"]) for e in reversed(history)] == [(one, "applied") for one in ACCOUNTS]
    moved = [new for old, new in zip(rows, slurm.run(*tree).splitlines(), strict=True) if old != new]
    assert sorted(line.split("|")[1] for line in moved) == sorted(ACCOUNTS)
    said = spread.run("restore-baseline", "--yes").stdout
    assert all(account in said for account in ACCOUNTS)
    assert in_force(slurm) == [BASELINE, NORTH]


def test_killed_between_the_rows_of_one_decision_the_next_cycles_end_in_the_ratio(
    slurm: SlurmCluster, spread: Saf, wrap: Wrap
) -> None:
    wrap("sacctmgr", 'case "$*" in *modify*north*) kill -9 $PPID; exit 1;; esac; exec $REAL "$@"')
    spread.run("cycle", code=-signal.SIGKILL)
    assert [entry["status"] for entry in spread.json("history")] == ["planned", "applied"]
    assert in_force(slurm)[1] == NORTH
    spread.sections["slurm"].pop("directory")
    spread.configure()
    spread.run("cycle")
    assert "planned" not in {entry["status"] for entry in spread.json("history")}
    assert in_ratio(in_force(slurm))
    assert in_force(slurm)[1] > NORTH


def test_a_change_by_somebody_else_is_told_by_the_accounts_name(slurm: SlurmCluster, spread: Saf) -> None:
    spread.run("cycle")
    ours = in_force(slurm)[1]
    slurm.run(
        "sacctmgr", "-i", "modify", "account", "where", "name=north", "cluster=loop", "set", "fairshare=3"
    )
    wait_until(lambda: raw_shares(slurm, "north") == (3, 3), "RawShares 3 in slurmctld", 180)
    assert f"another user changed RawShares of north from {ours}" in spread.run("cycle").stdout
    assert in_ratio(in_force(slurm))


def test_an_account_below_another_parent_is_named(slurm: SlurmCluster, spread: Saf) -> None:
    before = transactions(slurm)
    spread.configure("control", account=["regional", "umcg"])
    assert "not all directly below the same account (umcg)" in spread.run("cycle").stdout
    assert spread.json("status", code=4)["holds"][0]["reason"] == "mixed_parents"
    assert transactions(slurm) == before


def test_an_account_below_another_is_steered_among_its_own_siblings(slurm: SlurmCluster, eager: Saf) -> None:
    found = raw_shares(slurm, "umcg")
    rules = RULES.replace('account_subtree = "regional"', 'account_subtree = "umcg"')
    eager.configure("promise", target_share=0.05)
    eager.configure("control", rules, account="umcg", slew=0.5)  # its level has few shares
    decision = eager.json("cycle")["decision"]
    assert decision["inputs"]["parent"] == "regional"
    (change,) = decision["changes"]
    assert raw_shares(slurm, "umcg") == (change["raw_shares_after"],) * 2 != found
    assert raw_shares(slurm) == (BASELINE, BASELINE)
    eager.run("restore-baseline", "--yes")
    assert raw_shares(slurm, "umcg") == found
