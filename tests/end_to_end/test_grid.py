"""A limit on a real Slurm whose clock runs sixty times too fast: a quarter of an hour is fifteen seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm_ai_factory.core.energy.meters import QUARTER
from slurm_ai_factory.core.windows import iso
from tests.cluster.fixtures import needs_slurm
from tests.cluster.slurm import SlurmCluster, wait_until
from tests.cluster.tree import Tree, plant
from tests.end_to_end.running import running
from tests.saf import Saf

SPEED, MINUTE = 60, 60
NAME = "saf-grid"
pytestmark = [pytest.mark.alone, *needs_slurm(SPEED)]


@pytest.fixture(scope="module")
def fast(open_directory: Path) -> Iterator[tuple[SlurmCluster, Tree]]:
    with SlurmCluster(open_directory / "grid", speed=SPEED) as cluster:
        yield cluster, plant(cluster)


@pytest.fixture
def limited(fast: tuple[SlurmCluster, Tree], ledger_url: str, tmp_path: Path) -> Saf:
    """saf in mode enforce for the grid alone; four nodes of 1 kW, of which an idle one takes half."""
    saf = Saf(tmp_path, fast[0].env, ledger_url)
    saf.configure("slurm", timeout="60m", overlap_daily="6h")
    saf.configure("daemon", period="1m")
    saf.configure("grid", mode="enforce", node_busy=1000, node_idle=500, expected=4000, ahead="4h")
    assert "no allowed power is recorded" in saf.run("cycle").stdout
    return saf


def allow(saf: Saf, *rows: tuple[int, int, float]) -> None:
    """Import these rows of (since, until, kW)."""
    told = iso(rows[0][0] - 10 * QUARTER)
    lines = [f"{iso(since)},{iso(until)},{kw},redispatch,order-7,{told}" for since, until, kw in rows]
    file = saf.directory / "grid.csv"
    file.write_text("\n".join(["since,until,max_kw,kind,reference,told_at", *lines, ""]))
    saf.run("grid", "import", str(file))


def reserved(cluster: SlurmCluster) -> dict[str, str]:
    """Each reservation with the number of its nodes."""
    lines = cluster.run("scontrol", "-o", "show", "reservation").splitlines()
    pairs = [dict(word.partition("=")[::2] for word in line.split()) for line in lines if "NodeCnt" in line]
    return {pair["ReservationName"]: pair["NodeCnt"] for pair in pairs}


def quarter(cluster: SlurmCluster, ahead: int) -> int:
    """The beginning of a quarter, so many after the present one."""
    now = int(cluster.now())
    return now - now % QUARTER + ahead * QUARTER


def test_nodes_are_free_in_time_no_job_is_killed_and_the_reservation_ends(
    fast: tuple[SlurmCluster, Tree], limited: Saf
) -> None:
    """The daemon is killed while its reservation stands; the next one takes it up, and changes it."""
    cluster, tree = fast
    user = tree.national["astro"][0]
    plan = "scontrol", "create", "reservation", "ReservationName=theirs", "StartTime=now+1day"
    cluster.run(*plan, "Duration=60", "Nodes=n4", "Users=root", "Flags=MAINT")
    long = cluster.submit(user, "astro", seconds=600 * MINUTE, cpus=4)
    short = [cluster.submit(user, "astro", seconds=10 * MINUTE, cpus=4) for _ in range(2)]
    cluster.wait_for(long, "RUNNING")
    since = quarter(cluster, 4)
    until = since + 2 * QUARTER
    allow(limited, (since - 40 * QUARTER, until + 40 * QUARTER, 9), (since, until, 3))
    planned = limited.json("grid", "plan")
    assert (planned["act"], planned["nodes_needed"], planned["nodes_busy"]) == ("create", 2, [])
    assert set(planned["nodes"]).isdisjoint({"n1"}), "n1 has the long job"
    with running(limited, "first") as daemon:
        wait_until(lambda: reserved(cluster).get(NAME) == "2", "the reservation", 180, log=daemon.log)
    assert reserved(cluster)[NAME] == "2", "it stands without the daemon"
    allow(limited, (since + QUARTER, until, 2.5))
    with running(limited, "second") as daemon:
        wait_until(lambda: reserved(cluster).get(NAME) == "3", "three nodes", 180, log=daemon.log)
        late = [cluster.submit(user, "astro", seconds=600 * MINUTE, cpus=4) for _ in range(3)]
        wait_until(lambda: cluster.now() > since + MINUTE, "the limit", 120)
        free = set(cluster.run("scontrol", "show", "hostnames", "n[1-4]").split()) - running_on(cluster)
        assert len(free) >= 3, cluster.run("squeue", "-h", "-o", "%A %T %r %N")
        assert {"RUNNING"} == cluster.live_states(long)
        daemon.process.kill()
        daemon.process.wait(timeout=120)
    wait_until(lambda: NAME not in reserved(cluster), "the end of the reservation by itself", 180)
    assert cluster.now() > until - MINUTE
    assert reserved(cluster) == {"theirs": "1"}
    for job in short:
        cluster.wait_for(job, "COMPLETED")
    wait_until(lambda: all(cluster.live_states(job) == {"RUNNING"} for job in late), "the late jobs", 120)
    assert cluster.live_states(long) == {"RUNNING"}
    cluster.cancel_all()
    cluster.run("scontrol", "delete", "ReservationName=theirs")


def running_on(cluster: SlurmCluster) -> set[str]:
    """The nodes with a running job."""
    return set(cluster.run("squeue", "-h", "-t", "RUNNING", "-o", "%N").split())


def test_a_limit_that_is_withdrawn_ends_it_and_anothers_is_left_alone(
    fast: tuple[SlurmCluster, Tree], limited: Saf
) -> None:
    cluster, _ = fast
    since = quarter(cluster, 8)
    allow(limited, (since - 40 * QUARTER, since + 40 * QUARTER, 9), (since, since + QUARTER, 3))
    limited.configure("grid", mode="advise")
    limited.run("cycle")
    assert reserved(cluster) == {}
    limited.configure("grid", mode="enforce")
    limited.run("cycle")
    assert reserved(cluster) == {NAME: "2"}
    limited.run("grid", "correct", "2", "--withdraw", "--reason", "cancelled by the operator")
    limited.run("cycle")
    assert reserved(cluster) == {}
    plan = "scontrol", "create", "reservation", f"ReservationName={NAME}", "StartTime=now+1day"
    cluster.run(*plan, "Duration=60", "Nodes=n4", "Users=root")
    limited.run("grid", "correct", "2", "--max-kw", "3", "--reason", "again")
    assert f"a reservation {NAME} is there that saf did not make" in limited.run("cycle").stdout
    assert reserved(cluster) == {NAME: "1"}
