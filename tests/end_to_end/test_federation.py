"""A real federation of two clusters: each job is charged where it ran, and waited once.

FEDERATED_JOBS sets how many; `make federation` runs it with 200.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from tests.cluster.requirements import unavailable
from tests.cluster.slurm import SlurmCluster, wait_until
from tests.cluster.tree import plant
from tests.end_to_end.test_clusters import EACH, FILE
from tests.saf import Saf

pytestmark = pytest.mark.slurm

JOBS = int(os.environ.get("FEDERATED_JOBS", "8"))
CPUS = 4
"""Of a job: a whole node, so that jobs wait."""

Pair = dict[str, SlurmCluster]


class Row(NamedTuple):
    """A row of sacct -D."""

    job: int
    state: str
    eligible: int
    start: int | None
    cpu_seconds: int


@pytest.fixture(scope="module")
def federation(open_directory: Path) -> Iterator[Pair]:
    """Two clusters that know each other, without jobs."""
    if reason := unavailable():
        pytest.skip(reason)
    directory = open_directory / "fed"
    with (
        SlurmCluster(directory / "1", name="one", nodes=1, cpus_per_node=CPUS) as one,
        SlurmCluster(directory / "2", name="two", nodes=1, cpus_per_node=CPUS, beside=one) as two,
    ):
        pair = {"one": one, "two": two}
        for cluster in pair.values():
            plant(cluster)
        one.run("sacctmgr", "-i", "add", "federation", "fed", "clusters=one,two")
        wait_until(lambda: all(map(synced, pair.values())), "siblings that know each other", 180)
        yield pair


def synced(cluster: SlurmCluster) -> bool:
    return "Synced:Yes" in cluster.run("scontrol", "show", "federation")


@pytest.fixture
def factory(federation: Pair, ledger_url: str, tmp_path: Path) -> Saf:
    saf = Saf(tmp_path, federation["one"].env, ledger_url)
    text = FILE.format(url=ledger_url)
    for name, cluster in federation.items():
        text += EACH.format(name=name, conf=cluster.slurm_conf, timeout=20, directory="")
    saf.file.write_text(text)
    return saf


def rows(cluster: SlurmCluster) -> list[Row]:
    asked = ("-M", cluster.name, "-a", "-D", "-X", "-n", "-P", "-S", "now-1days", "-E", "now")
    fields = "JobIDRaw,State,Eligible,Start,CPUTimeRAW"
    env = cluster.env
    try:
        cluster.env = {**env, "SLURM_TIME_FORMAT": "%s"}
        printed = cluster.run("sacct", *asked, "-o", fields)
    finally:
        cluster.env = env
    cells = (line.split("|") for line in printed.splitlines())
    return [
        Row(int(job), state.split()[0], int(eligible), int(start) if start.isdigit() else None, int(seconds))
        for job, state, eligible, start, seconds in cells
    ]


def waiting(url: str) -> list[tuple[str, int]]:
    """(cluster, job) of all that waits, as the ledger has it."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(
            "SELECT c.name, r.job_id FROM runs r JOIN clusters c USING (cluster_id) "
            "WHERE r.eligible_at IS NOT NULL AND r.start_at IS NULL "
            "AND r.end_at IS NULL"
        ).fetchall()


@pytest.mark.timeout(900)
def test_no_charge_and_no_waiting_counts_twice(federation: Pair, factory: Saf, ledger_url: str) -> None:
    one, two = federation.values()
    first = {cluster.submit("mail", "umcg", seconds=3600, cpus=CPUS): cluster for cluster in (one, two)}
    running = ("squeue", "-h", "--local", "-t", "RUNNING", "-o", "%A")
    wait_until(lambda: all(each.run(*running).strip() for each in (one, two)), "no node to be free", 180)
    jobs = [
        cluster.submit("mail", "umcg", seconds=3, cpus=CPUS)
        for cluster, _ in zip([one, two] * JOBS, range(JOBS), strict=False)
    ]
    wait_until(
        lambda: one.read_until_now() | two.read_until_now() >= set(jobs),
        "an answer up to now with all jobs",
        180,
    )
    for name in federation:
        factory.run("-M", name, "cycle")
    origins = {1: "one", 2: "two"}
    queued = waiting(ledger_url)
    assert len({job for _, job in queued}) == len(queued), "a job waits on one cluster"
    assert all(origins[job >> 26] == cluster for cluster, job in queued), "on its origin"
    assert queued, "they wait for the first two to end"
    assert {job for _, job in queued} <= set(jobs)
    for job, cluster in first.items():
        cluster.cancel(job)
    wait_until(
        lambda: not any(cluster.run("squeue", "-h", "--local").strip() for cluster in federation.values()),
        "the end of all jobs", 180 + 8 * JOBS,
    )  # fmt: skip
    wait_until(
        lambda: sum(row.state == "COMPLETED" for each in federation.values() for row in rows(each)) == JOBS,
        "the end of all jobs in accounting",
        180,
    )
    for name in federation:
        factory.run("-M", name, "cycle")
    books = {name: rows(cluster) for name, cluster in federation.items()}
    ran = {
        name: [row for row in each if row.start and row.state != "REVOKED"] for name, each in books.items()
    }
    assert sorted(row.job for each in ran.values() for row in each) == sorted([*first, *jobs])
    assert all(ran.values()), "each cluster ran some"
    assert any(row.state == "REVOKED" for each in books.values() for row in each)
    shares = {row["cluster"]: row["answer"] for row in factory.json("share")["clusters"]}
    for name, each in ran.items():
        assert shares[name]["total_charge"] == sum(row.cpu_seconds for row in each)
        waited = sum((row.start or 0) - row.eligible for row in each)
        assert shares[name]["waiting_charge"] == CPUS * waited
    assert waiting(ledger_url) == []
