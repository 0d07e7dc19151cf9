"""One daemon on three real clusters: two of one slurmdbd, and one of another, whose Slurm is a newer one.

What befalls one is nothing to the others.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from slurm_ai_factory.core.records import DAY, HOUR
from tests.cluster import versions
from tests.cluster.requirements import unavailable
from tests.cluster.slurm import SlurmCluster, wait_until
from tests.cluster.tree import plant
from tests.end_to_end.running import Running, running
from tests.saf import Saf

pytestmark = pytest.mark.slurm

NAMES = ("one", "two", "three")
NEWEST = versions.VERSIONS[-1]
LACKING = versions.missing(NEWEST)
"""Why the third cluster has this machine's own version; None where it has the newest."""
USERS = {"umcg": ("mail", "proxy"), "astro": ("uucp", "lp")}
"""Of the accounts in which there is work."""

PATIENCE = 30
"""Seconds after which a command of saf gives a cluster up."""
FILE = """
[promise]
window = "rolling:30d"
resource = "cpu"
[ledger]
url = "{url}"
[daemon]
period = "1s"
listen = "127.0.0.1:0"
[[rule]]
name = "region"
beneficiary = "regional"
account_subtree = "regional"
"""
EACH = """
[[cluster]]
name = "{name}"
[cluster.slurm]
conf = "{conf}"
timeout = "{timeout}s"
{directory}
"""

Three = dict[str, SlurmCluster]


@pytest.fixture(scope="module")
def clusters(open_directory: Path) -> Iterator[Three]:
    """Each with its tree, and with three jobs that ended."""
    if reason := unavailable():
        pytest.skip(reason)
    directory = open_directory / "three"
    with (
        SlurmCluster(directory / "1", name="one", nodes=1) as one,
        SlurmCluster(directory / "2", name="two", nodes=1, beside=one) as two,
        SlurmCluster(directory / "3", name="three", nodes=1, version=None if LACKING else NEWEST) as three,
    ):
        made = dict(zip(NAMES, (one, two, three), strict=True))
        for number, cluster in enumerate(made.values(), 1):
            tree = plant(cluster)
            assert (tree.regional["umcg"], tree.national["astro"]) == tuple(USERS.values())
            work(cluster, cpus=number)
        yield made


def work(cluster: SlurmCluster, cpus: int) -> None:
    """Jobs of both sides, until they are recorded as ended."""
    jobs = [cluster.submit(users[0], account, seconds=2, cpus=cpus) for account, users in USERS.items()]
    for job in jobs:
        cluster.wait_for(job, "COMPLETED")


@pytest.fixture
def factory(clusters: Three, ledger_url: str, tmp_path: Path) -> Saf:
    """One file for all of them."""
    saf = Saf(tmp_path, clusters["one"].env, ledger_url)
    text = FILE.format(url=ledger_url)
    for name, cluster in clusters.items():
        programs = f'directory = "{cluster.programs}"' if cluster.version else ""
        text += EACH.format(name=name, conf=cluster.slurm_conf, timeout=PATIENCE, directory=programs)
    saf.file.write_text(text)
    return saf


def cpu_seconds(cluster: SlurmCluster) -> int:
    """Of all jobs, as sacct of that cluster has them."""
    every = ("-M", cluster.name, "-a", "-D", "-X", "-S", "now-1days")
    printed = cluster.run("sacct", *every, "-n", "-P", "-o", "CPUTimeRAW")
    return sum(map(int, printed.split()))


def completed(daemon: Running) -> dict[str, float]:
    """Cluster -> complete cycles."""
    metrics = daemon.metrics()
    return {name: metrics[f"saf_cycles_total{{{name},complete}}"] for name in NAMES}


def more_cycles(daemon: Running, *names: str) -> None:
    before = completed(daemon)
    wait_until(
        lambda: all(completed(daemon)[name] > before[name] + 1 for name in names), f"cycles of {names}", 180,
        log=daemon.log,
    )  # fmt: skip


def test_two_are_of_one_slurmdbd_and_the_third_of_its_own(clusters: Three) -> None:
    asked = ("-n", "-P", "list", "cluster", "format=cluster")
    known = {name: set(cluster.run("sacctmgr", *asked).split()) for name, cluster in clusters.items()}
    assert known == {"one": {"one", "two"}, "two": {"one", "two"}, "three": {"three"}}


@pytest.mark.skipif(LACKING is not None, reason=str(LACKING))
def test_the_third_has_the_newest_slurm_and_the_others_an_older_one(clusters: Three) -> None:
    if versions.chosen() == NEWEST:
        pytest.skip("every cluster has the newest Slurm")
    printed = {name: cluster.run("sinfo", "-V").split()[1] for name, cluster in clusters.items()}
    assert printed["three"].startswith(f"{NEWEST}.")
    assert printed["one"] == printed["two"] < printed["three"]


def test_figures_of_each_are_those_of_its_sacct(factory: Saf, clusters: Three) -> None:
    for name in NAMES:
        factory.run("-M", name, "cycle")
    shares = {row["cluster"]: row["answer"] for row in factory.json("share")["clusters"]}
    books = {name: cpu_seconds(cluster) for name, cluster in clusters.items()}
    assert {name: share["total_charge"] for name, share in shares.items()} == books
    assert len(set(books.values())) == len(NAMES), "each has work of its own"
    assert all(0 < share["regional_charge"] < HOUR for share in shares.values())


def test_a_joint_promise_adds_them_up_by_their_weights(factory: Saf, clusters: Three) -> None:
    for name in NAMES:
        factory.run("-M", name, "cycle")
    yesterday = datetime.fromtimestamp(time.time() - DAY, UTC).date().isoformat()
    dated = ("--since", yesterday, "--source", "agreement", "--reason", "signed")
    factory.run("joint", "set", "all-three", "--share", "0.25", *dated)
    weights = {"one": 1, "two": 2.5, "three": 40}
    for name, weight in weights.items():
        factory.run("joint", "weigh", "all-three", name, f"{weight}*cpu", *dated)
    (joint,) = factory.json("share")["joint"]
    share, books = joint["answer"], {name: cpu_seconds(cluster) for name, cluster in clusters.items()}
    assert share["total_charge"] == sum(weights[name] * books[name] for name in NAMES)
    assert {m["cluster"]: m["total_charge"] / weights[m["cluster"]] for m in share["members"]} == books
    assert 0 < share["regional_charge"] < share["total_charge"]
    with running(factory) as daemon:
        charge = "saf_joint_charge_resource_seconds{{{},all-three,rolling:30d}}".format
        wait_until(lambda: charge("all") in daemon.metrics(), "the joint promise", 180, log=daemon.log)
        metrics = daemon.metrics()
        assert metrics[charge("all")] == share["total_charge"]
        assert metrics[charge("mine")] == share["regional_charge"]
        assert metrics["saf_joint_measured{all-three}"] == 1
        assert "all-three <small>one, three, two</small>" in daemon.get("/?lang=en")[1]


@pytest.mark.timeout(1200)
def test_one_is_killed_one_hangs_and_the_other_goes_on(factory: Saf, clusters: Three) -> None:
    with running(factory) as daemon:
        more_cycles(daemon, *NAMES)
        assert daemon.get("/readyz")[0] == 200
        page = daemon.get("/")[1]
        assert all(f'<a href="cluster/{name}">{name}</a>' in page for name in NAMES)
        assert all(daemon.get(f"/cluster/{name}")[0] == 200 for name in NAMES)
        clusters["two"].kill("slurmctld")
        clusters["three"].pause("slurmctld")
        try:
            daemon.says("two: no cycle: ", timeout=180)
            hung = completed(daemon)["three"]
            more_cycles(daemon, "one")
            daemon.says("three: no cycle: ", timeout=180)
            assert completed(daemon)["three"] <= hung + 1, "the cycle under way may have ended"
            more_cycles(daemon, "one")
            metrics = daemon.metrics()
            assert [metrics[f"saf_hold{{{name},read_failed}}"] for name in NAMES] == [0, 1, 1]
            assert [f"saf_verdict{{{name}" in " ".join(metrics) for name in NAMES] == [True, False, False]
            assert daemon.get("/healthz")[0] == 200
            text = daemon.get("/readyz")[1]
            assert [line.partition(":")[0] for line in text.splitlines()] == list(NAMES)
            work(clusters["one"], cpus=1)
        finally:
            clusters["three"].resume("slurmctld")
            clusters["two"].restart("slurmctld")
        more_cycles(daemon, *NAMES)
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(timeout=180) == 0
    for row in factory.json("share")["clusters"]:
        assert row["answer"]["total_charge"] == cpu_seconds(clusters[row["cluster"]]), row["cluster"]


def test_a_reload_is_of_each_cluster(factory: Saf) -> None:
    with running(factory) as daemon:
        more_cycles(daemon, *NAMES)
        text = factory.file.read_text()
        factory.file.write_text(f"{text}[cluster.control]\nshare_max = 7\n")
        daemon.process.send_signal(signal.SIGHUP)
        assert "one: configuration reloaded, mode observe" in daemon.says("one: configuration reloaded")
        daemon.says("two: configuration reloaded")
        said = daemon.says("configuration not reloaded; the current one stays: cluster three: ")
        assert "[control] share_max = 7" in said
        more_cycles(daemon, *NAMES)
        factory.file.write_text(text.replace('"three"', '"four"'))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.says("the names of clusters and daemon.listen are for a restart")
        more_cycles(daemon, *NAMES)
        assert daemon.count("configuration reloaded") == 2
