"""A slurmctld that is lost, and its backup: nothing is written to nobody, and the control goes on with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from socket import gethostname

import pytest

from tests.cluster.slurm import BACKUP, SlurmCluster, unavailable, wait_until
from tests.cluster.tree import plant
from tests.end_to_end.conftest import EAGER, raw_shares
from tests.end_to_end.running import running
from tests.saf import Saf

DEADLINE = 90


@pytest.fixture(scope="module")
def slurm(open_directory: Path) -> Iterator[SlurmCluster]:
    if reason := unavailable():
        pytest.skip(reason)
    with SlurmCluster(open_directory / "backup", nodes=1, backup=True) as cluster:
        yield cluster


def controls(slurm: SlurmCluster, host: str) -> bool:
    """Whether this slurmctld answers as the one that controls the cluster."""
    lines = slurm.run("sh", "-c", "scontrol ping || true").splitlines()
    return any(host in line and line.endswith("UP") for line in lines)


@pytest.mark.slurm
def test_a_backup_that_takes_over_is_steered_like_the_one_before(slurm: SlurmCluster, saf: Saf) -> None:
    tree = plant(slurm)
    user, other = tree.regional["umcg"][0], tree.national["astro"][0]
    for job in (slurm.submit(user, "umcg", seconds=2), slurm.submit(other, "astro", seconds=1)):
        slurm.wait_for(job, "COMPLETED")  # a killed slurmctld forgets the jobs of its last seconds
    saf.configure("control", **EAGER, writes_per_day=1000)
    saf.configure("slurm", timeout="5s")
    with running(saf) as daemon:
        daemon.cycle(DEADLINE)
        slurm.kill("slurmctld")
        daemon.says("no cycle: ", DEADLINE)
        wait_until(lambda: controls(slurm, "ctl2"), "the backup to take over", DEADLINE)
        daemon.cycle(DEADLINE)
        slurm.run("sacctmgr", "-i", "modify", "account", "where", "name=regional", "set", "fairshare=26")
        daemon.says("another user changed RawShares", DEADLINE)
        daemon.cycle(DEADLINE)
        stored, live = raw_shares(slurm)
        assert stored == live > 26, "written, and read back from the backup"
        slurm.wait_for(slurm.submit(user, "umcg", seconds=1), "COMPLETED")
        slurm.restart("slurmctld")
        wait_until(lambda: controls(slurm, gethostname()), "the primary to take over again", DEADLINE)
        daemon.cycle(DEADLINE)
    assert slurm.is_alive(BACKUP)
    saf.run("cycle")
    saf.run("ledger", "verify")
    charged = saf.json("share", "--by", "account", "--resource", "cpu")["total_charge"]
    printed = slurm.run("sacct", "-a", "-D", "-X", "-n", "-P", "-S", "now-1day", "-o", "ElapsedRaw,AllocCPUS")
    pairs = [line.split("|") for line in printed.splitlines()]
    assert charged == sum(int(seconds) * int(cpus) for seconds, cpus in pairs)
