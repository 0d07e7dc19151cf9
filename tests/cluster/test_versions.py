"""Another Slurm than this machine's own runs in a cluster of the same kind, and leaves no mount behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import reaper, versions
from tests.cluster.slurm import SlurmCluster, unavailable, wait_until
from tests.cluster.tree import plant

ROOT = Path(__file__).parents[2]
OTHERS = [one for one in (*versions.VERSIONS, versions.BUILT) if one != versions.OWN]


def available(version: str) -> pytest.MarkDecorator:
    reason = unavailable(60, version)
    return pytest.mark.skipif(reason is not None, reason=str(reason))


others = pytest.mark.parametrize("version", [pytest.param(one, marks=available(one)) for one in OTHERS])


def mounts() -> list[str]:
    """What this process, and so the machine, sees mounted from where the versions are kept."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if f"{versions.roots()}/" in line]


@pytest.mark.slurm
@pytest.mark.every_version
@others
@pytest.mark.parametrize("speed", [1, 60])
def test_jobs_of_another_version_are_recorded_on_its_clock(tmp_path: Path, version: str, speed: int) -> None:
    with SlurmCluster(tmp_path / "slurm", nodes=1, version=version, speed=speed) as cluster:
        account, users = next(iter(plant(cluster).regional.items()))
        job = cluster.submit(users[0], account, seconds=2 * speed)
        cluster.wait_for(job, "COMPLETED")
        assert cluster.run("sinfo", "-V").split()[1].startswith(f"{version}.")
        elapsed = cluster.run("sacct", "-X", "-n", "-P", "-j", str(job), "-o", "ElapsedRaw")
        assert 2 * speed <= int(elapsed) <= 2 * speed + 60 * speed
        assert mounts() == []
    assert reaper.pids(cluster.directory) == []


@pytest.mark.slurm
@pytest.mark.every_version
@others
def test_the_death_of_its_owner_leaves_neither_processes_nor_mounts(tmp_path: Path, version: str) -> None:
    argv = [sys.executable, "-m", "tests.cluster", "up", "--idle", "--nodes=1", f"--dir={tmp_path}/orphan",
            f"--version={version}"]  # fmt: skip
    owner = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE)
    assert owner.stdout is not None
    assert owner.stdout.readline().startswith(b"Slurm is up")
    owner.send_signal(signal.SIGKILL)
    owner.wait(timeout=60)
    owner.stdout.close()
    wait_until(lambda: reaper.pids(tmp_path / "orphan") == [], "all processes to be gone", 180)
    assert mounts() == []


def test_a_version_that_is_not_there_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAF_SLURM_ROOTS", str(tmp_path))
    assert versions.missing("24.11") == (
        f"there is no Slurm 24.11 in {tmp_path}: sh tests/cluster/roots.sh 24.11 makes it"
    )
    assert versions.missing(versions.BUILT) == f"there is no Slurm {versions.BUILT} in {tmp_path}"
    assert versions.missing(None) is None


def test_the_version_asked_for_in_the_environment_is_the_one_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAF_SLURM_ROOTS", str(tmp_path))
    monkeypatch.setenv("SAF_SLURM_VERSION", "24.11")
    assert SlurmCluster(tmp_path / "slurm").version == "24.11"
    assert "Slurm 24.11" in str(versions.missing(versions.chosen()))
    monkeypatch.setenv("SAF_SLURM_VERSION", versions.OWN)
    assert versions.chosen() is None
