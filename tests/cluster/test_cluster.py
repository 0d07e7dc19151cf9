"""The loopback cluster does what tests of the product rely on: real records, faults, a clock, no leftovers.

Rule: only what a product test could be misled by is tested here.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import reaper
from tests.cluster.slurm import ClusterError, SlurmCluster, unavailable, wait_until
from tests.cluster.tree import Tree, plant
from tests.cluster.workload import Workload

ROOT = Path(__file__).parents[2]
SPEED = 60
CLOCK_SLACK = 1.0 * SPEED  # a second of ours
SLOW = 180
"""Seconds for what slurmctld does again after a minute or two if a node was busy when it was first asked."""
KEPT = "kept-over-a-kill"
needs_slurm = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))
needs_faketime = pytest.mark.skipif(unavailable(SPEED) is not None, reason=str(unavailable(SPEED)))


def rows(cluster: SlurmCluster, job: int, fields: str, *options: str) -> list[list[str]]:
    printed = cluster.run("sacct", "-X", "-n", "-P", *options, "-j", str(job), "-o", fields)
    return [line.split("|") for line in printed.splitlines()]


def test_a_job_of_each_side_is_recorded(slurm: SlurmCluster, slurm_tree: Tree) -> None:
    for side, cpus in ((slurm_tree.regional, 1), (slurm_tree.national, 6)):
        account, users = next(iter(side.items()))
        job = slurm.submit(users[0], account, seconds=1, cpus=cpus)
        slurm.wait_for(job, "COMPLETED")
        ((found_account, user, state, tres),) = rows(slurm, job, "Account,User,State,AllocTRES")
        assert (found_account, user, state) == (account, users[0], "COMPLETED")
        assert f"cpu={cpus}" in tres.split(",")


def test_a_requeued_job_has_a_row_for_each_run(slurm: SlurmCluster) -> None:
    job = slurm.submit("games", "ruggroningen", seconds=3600)
    slurm.wait_for(job, "RUNNING")
    slurm.requeue(job, hold=True)  # else it may start again before the cancel
    wait_until(lambda: "REQUEUED" in slurm.recorded_states(job) or len(rows(slurm, job, "State", "-D")) == 2,
               "the second row", 120)  # fmt: skip
    slurm.cancel(job)
    slurm.wait_for(job, "CANCELLED", timeout=SLOW)
    assert [state.split()[0] for (state,) in rows(slurm, job, "State", "-D")] == ["REQUEUED", "CANCELLED"]
    assert len(rows(slurm, job, "State")) == 1


def test_a_paused_slurmdbd_hangs_sacct_until_it_is_resumed(slurm: SlurmCluster) -> None:
    slurm.pause("slurmdbd")
    try:
        with pytest.raises(ClusterError, match=r"sacct -X: no answer in 1 s"):
            slurm.run("sacct", "-X", timeout=1.0)
    finally:
        slurm.resume("slurmdbd")
    slurm.run("sacct", "-X")


def test_a_killed_controller_comes_back_with_its_queue(slurm: SlurmCluster) -> None:
    job = slurm.submit("games", "ruggroningen", seconds=3600, extra=["--hold", f"--job-name={KEPT}"])
    # slurmctld saves its queue some seconds after a change; what came later a KILL loses for good.
    queue = slurm.directory / "state" / "job_state"
    wait_until(lambda: queue.exists() and KEPT.encode() in queue.read_bytes(), "the queue to be saved", SLOW)
    slurm.kill("slurmctld")
    assert not slurm.is_alive("slurmctld")
    with pytest.raises(ClusterError):
        slurm.run("squeue")
    slurm.restart("slurmctld")
    assert slurm.job_states()[str(job)] == "PENDING"
    slurm.cancel(job)


def test_the_workload_fills_both_queues_and_stops_at_its_depth(slurm: SlurmCluster, slurm_tree: Tree) -> None:
    workload = Workload(slurm, slurm_tree, depths={"regional": 1.0, "national": 1.0}, seconds=(600, 900))
    try:
        assert workload.step() > 2
        wait_until(lambda: workload.step() == 0, "full queues", 120, interval=0.2)
        assert min(workload.waiting()[side] for side in workload.depths) >= 16
    finally:
        slurm.cancel_all()


@pytest.mark.slurm
@needs_slurm
def test_stop_leaves_no_process_and_may_be_called_again(tmp_path: Path) -> None:
    cluster = SlurmCluster(tmp_path / "gpu", nodes=1, gpus_per_node=2)
    with cluster:
        users = plant(cluster, visitors=True).visitors["visitors"]
        job = cluster.submit(users[0], "visitors", seconds=3600, extra=["--gres=gpu:1"])
        cluster.wait_for(job, "RUNNING")
        wait_until(lambda: "gres/gpu=1" in str(rows(cluster, job, "AllocTRES")), "the job in sacct", 120)
        assert len(reaper.pids(cluster.directory)) >= 7
    assert reaper.pids(cluster.directory) == []
    cluster.stop()


@pytest.mark.slurm
@needs_slurm
def test_the_death_of_its_owner_ends_the_cluster(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tests.cluster", "up", "--idle", "--nodes=1", f"--dir={tmp_path}/orphan"]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        first = owner.stdout.readline()
        owner.send_signal(signal.SIGKILL)
    assert first.startswith(b"Slurm is up")
    wait_until(lambda: reaper.pids(tmp_path / "orphan") == [], "all processes to be gone", 180)


@pytest.mark.slurm
@needs_faketime
def test_all_processes_share_the_fast_clock(tmp_path: Path) -> None:
    with SlurmCluster(tmp_path / "fast", speed=SPEED, clock_start="2026-03-29 00:30:00") as cluster:
        first = cluster.now()
        job = _run_a_job_of_ten_minutes(cluster)
        before, seen, after = cluster.now(), float(cluster.run("date", "+%s.%N")), cluster.now()
        assert before - CLOCK_SLACK <= seen <= after + CLOCK_SLACK
        ((elapsed,),) = rows(cluster, job, "ElapsedRaw")
        assert 600 <= int(elapsed) <= before - first


def _run_a_job_of_ten_minutes(cluster: SlurmCluster) -> int:
    tree = plant(cluster)
    account, users = next(iter(tree.national.items()))
    job = cluster.submit(users[0], account, seconds=600)
    cluster.wait_for(job, "COMPLETED")
    return job


@pytest.mark.slurm
@needs_faketime
def test_python_waits_on_the_fast_clock(tmp_path: Path) -> None:
    script = "import threading, time; t = time.time(); threading.Event().wait(60); print(time.time() - t)"
    with SlurmCluster(tmp_path / "fast", nodes=1, speed=SPEED) as cluster:
        assert float(cluster.run(sys.executable, "-c", script, timeout=120)) >= 60
