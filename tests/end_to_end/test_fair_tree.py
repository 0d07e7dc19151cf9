"""The fairshare arithmetic against a real slurmctld, pass by pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from slurm_ai_factory.simulation import fair_tree
from tests.cluster.fixtures import needs_slurm
from tests.cluster.slurm import SlurmCluster, wait_until
from tests.cluster.tree import plant

SPEED = 30
PASSES = 10
HALF_LIFE = 600
HOUR = 3600
FIELDS = ("Account", "User", "RawShares", "NormShares", "RawUsage", "EffectvUsage", "FairShare", "LevelFS")
pytestmark = needs_slurm(SPEED)


class Row(NamedTuple):
    """A row of sshare, with the key of its association."""

    key: str
    account: str
    parent: str | None
    user: str | None
    shares: int
    norm: float
    usage: int
    effectv: float
    factor: float | None


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """A job of its own size in every account, so that none tie, which run for longer than the test."""
    with SlurmCluster(tmp_path_factory.mktemp("fair") / "cluster", nodes=8, speed=SPEED) as made:
        tree = plant(made)
        accounts = tree.regional | tree.national
        jobs = [
            made.submit(users[n % 2], account, seconds=10 * HOUR, cpus=1 + n)
            for n, (account, users) in enumerate(accounts.items())
        ]
        for job in jobs:
            made.wait_for(job, "RUNNING", timeout=180)
        yield made


def test_ranks_and_usage_are_slurms_own_in_every_pass(cluster: SlurmCluster) -> None:
    printed = cluster.run("squeue", "-h", "-t", "R", "-O", "Account:|,UserName:|,tres-alloc:|").splitlines()
    jobs = (line.rstrip("|").split("|") for line in printed)
    billing = {
        f"{account}/{user}": int(tres.rpartition("billing=")[2].split(",")[0]) for account, user, tres in jobs
    }
    wait_until(lambda: _used(cluster) >= billing.keys(), "every job in a pass", 180, interval=0.1)
    before = _after_a_pass(cluster, _rows(cluster))
    for _ in range(PASSES):
        rows = _after_a_pass(cluster, before)
        _same_ranks(rows)
        assert {row.key: row.usage for row in rows if row.user} == pytest.approx(
            _expected(before, rows, billing), rel=0.01, abs=3
        )
        before = rows


def _same_ranks(rows: list[Row]) -> None:
    root = fair_tree.tree_of_rows((row.account, row.parent, row.user, row.shares) for row in rows)
    usage = fair_tree.summed(root, {row.key: float(row.usage) for row in rows if row.user})
    levels = fair_tree.levels(root, usage)
    assert {row.key: row.norm for row in rows[1:]} == pytest.approx(
        {key: level.norm_shares for key, level in levels.items()}, abs=1e-5
    )
    assert {row.key: row.effectv for row in rows[1:]} == pytest.approx(
        {key: level.effectv_usage for key, level in levels.items()}, abs=1e-3
    )
    assert {row.key: row.factor for row in rows if row.user} == pytest.approx(
        fair_tree.fair_share(root, usage), abs=1e-5
    )


def _expected(before: list[Row], rows: list[Row], billing: dict[str, int]) -> dict[str, float]:
    """What the usage before becomes in the number and length of passes that fit best: some may be missed."""
    found = {row.key: row.usage for row in rows if row.user}
    then = {row.key: float(row.usage) for row in before if row.user}
    candidates = [
        _passed(then, billing, seconds, times) for seconds in range(20, 150) for times in range(1, 7)
    ]
    return min(candidates, key=lambda one: sum(abs(one[key] - usage) for key, usage in found.items()))


def _passed(usage: dict[str, float], billing: dict[str, int], seconds: int, times: int) -> dict[str, float]:
    """Usage after so many passes, so far apart; all of a pass decays as if used at its beginning."""
    left = fair_tree.decay(seconds, HALF_LIFE)
    new = {key: seconds * left * billing.get(key, 0) for key in usage}
    for _ in range(times):
        usage = {key: used * left + new[key] for key, used in usage.items()}
    return usage


def _after_a_pass(cluster: SlurmCluster, before: list[Row]) -> list[Row]:
    """The associations, once slurmctld has been through them: one that is half done is seen, too."""
    found: list[Row] = []

    def passed() -> bool:
        found[:] = _rows(cluster)
        return found != before and found == _rows(cluster)

    wait_until(passed, "a pass of the decay thread", 180, interval=0.05)
    return found


def _used(cluster: SlurmCluster) -> set[str]:
    return {row.key for row in _rows(cluster) if row.usage}


def _rows(cluster: SlurmCluster) -> list[Row]:
    path: list[str] = []
    rows: list[Row] = []
    for line in cluster.run("sshare", "-a", "-P", "-h", "-o", ",".join(FIELDS)).splitlines():
        indented, user, shares, norm, usage, effectv, factor, _ = line.split("|")
        account = indented.lstrip(" ")
        depth = len(indented) - len(account)
        if not user:
            path[depth:] = [account]
        rows.append(
            Row(
                key=f"{account}/{user}" if user else account, account=account,
                parent=path[depth - 1] if depth and not user else None, user=user or None,
                shares=int(shares or 1), norm=float(norm or 1), usage=int(usage), effectv=float(effectv or 1),
                factor=float(factor) if factor else None,
            )
        )  # fmt: skip
    return rows
