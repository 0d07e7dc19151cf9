"""pyslurm on a real Slurm: it tells what the commands tell, and what it cannot do is shown here.

When a later pyslurm can do more, a test of the second half fails: then that part of slurm/library.py and of
docs/discussions/sources.md is to be looked at again.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm_ai_factory.core.records import Run
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.slurm.library import LibrarySlurm
from tests.cluster import versions
from tests.cluster.requirements import unavailable
from tests.cluster.slurm import SlurmCluster
from tests.cluster.versions import BUILT
from tests.saf import Saf
from tests.slurm import scenarios
from tests.slurm.record import CLUSTER, library
from tests.slurm.scenarios import SPEED, Times
from tests.slurm.sources import no_pyslurm

reason = unavailable(SPEED, BUILT)
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.every_version,
    pytest.mark.skipif(reason is not None, reason=str(reason)),
    no_pyslurm(),
]

START = """
import json, os, sys
os.environ["PYSLURM_DISABLE_AUTO_INIT"] = "1"
import pyslurm
pyslurm.slurm_init()
"""
READ = """
since, until = int(sys.argv[1]), int(sys.argv[2])
jobs = pyslurm.db.Jobs.load(pyslurm.db.JobFilter(start_time=since, end_time=until))
print(json.dumps([str(one.db_index) for one in jobs.values()]))
"""
WRITE = """
try:
    pyslurm.db.Associations.modify(
        pyslurm.db.AssociationFilter(users=["games"]), pyslurm.db.Association(shares=7))
except Exception as error:
    print(type(error).__name__)
"""


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    scratch = tmp_path_factory.mktemp("queue")
    scratch.chmod(0o755)
    with scenarios.queue(scratch / "cluster", BUILT) as (cluster, _):
        yield cluster


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SlurmCluster, Times]]:
    scratch = tmp_path_factory.mktemp("day")
    scratch.chmod(0o755)
    with scenarios.day(scratch / "cluster", BUILT) as lived:
        yield lived


def both(cluster: SlurmCluster) -> tuple[Slurm, LibrarySlurm]:
    commands = scenarios.inside(cluster)
    return Slurm(CLUSTER, commands), library(commands, versions.pyslurm() or "python")


def run(cluster: SlurmCluster, code: str, *arguments: object) -> str:
    argv = [versions.pyslurm() or "python", "-I", "-c", START + code, *map(str, arguments)]
    done = subprocess.run(argv, env=cluster.env, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_it_tells_what_the_commands_tell(queue: SlurmCluster) -> None:
    text, ours = both(queue)
    assert sorted(map(str, ours.queue())) == sorted(map(str, text.queue()))
    assert set(ours.associations()) == set(text.associations())
    assert ours.priority_config() == text.priority_config()
    assert ours.diagnostics()[1:2] == text.diagnostics()[1:2]
    without_billing = [one._replace(tres=_less(one.tres)) for one in text.nodes()]
    assert sorted(ours.nodes()) == sorted(without_billing)
    assert ours.refused() == {}


def _less(tres: str) -> str:
    return ",".join(one for one in tres.split(",") if not one.startswith("billing="))


def test_jobs_that_are_over_are_in_neither(queue: SlurmCluster) -> None:
    done = queue.submit("games", "ruggroningen", seconds=1, extra=["-p", "debug"])
    queue.run("scancel", str(done))
    text, ours = both(queue)
    queue.wait_for(done, "CANCELLED")
    told = [one["id"] for one in ours.library.ask("queue")]
    assert done in told, "slurmctld tells of it"
    assert done not in {one.job_id for one in ours.queue()} | {one.job_id for one in text.queue()}


def impatient(cluster: SlurmCluster, conf: Path | None = None) -> LibrarySlurm:
    """A client with a short deadline that has seen the versions before, and now finds another slurm.conf."""
    env = cluster.env | ({"SLURM_CONF": str(conf)} if conf else {})
    commands = scenarios.Inside(env=tuple(env.items()), directory=cluster.programs, timeout_seconds=3)
    slurm = library(commands, versions.pyslurm() or "python")
    slurm.library.matched.add(BUILT)
    return slurm


def test_a_frozen_slurmdbd_freezes_libslurm_no_longer_than_the_deadline(queue: SlurmCluster) -> None:
    slurm = impatient(queue)
    queue.pause("slurmdbd")
    try:
        with pytest.raises(SlurmError, match="sacctmgr gave no complete answer within 3 s"):
            slurm.associations()
    finally:
        queue.resume("slurmdbd")
    assert "python gave no complete answer within 3 s" in slurm.refused()["associations"]
    assert both(queue)[1].associations()


@pytest.mark.parametrize(
    ("conf", "reason"), [(None, "no complete answer within 3 s"), ("Nonsense=1\n", "python failed (exit 1)")]
)
def test_a_slurm_conf_that_makes_libslurm_end_the_process(
    queue: SlurmCluster, tmp_path: Path, conf: str | None, reason: str
) -> None:
    """One that is not there is looked for again for a minute before that."""
    path = tmp_path / "slurm.conf"
    if conf:
        path.write_text(Path(queue.env["SLURM_CONF"]).read_text() + conf)
    slurm = impatient(queue, path)
    with pytest.raises(SlurmError, match="sdiag"):
        slurm.diagnostics()
    assert reason in slurm.refused()["diagnostics"]


def test_the_daemons_cycle_and_the_doctor_go_through_it(
    queue: SlurmCluster, ledger_url: str, tmp_path: Path
) -> None:
    saf = Saf(tmp_path, queue.env, ledger_url)
    saf.configure("slurm", source="pyslurm", python=versions.pyslurm())
    done = saf.run("cycle", "--debug")
    assert "instead of pyslurm" not in done.stderr
    found = {one["check"]: one for one in saf.json("doctor", code=5)["findings"]}
    assert {one: found[one]["level"] for one in ("source", "capacity", "queue_words")} == {
        "source": "ok", "capacity": "ok", "queue_words": "ok",
    }  # fmt: skip


# --- what it cannot do --------------------------------------------------------------------------------


def test_it_loses_the_earlier_runs_of_jobs(day: tuple[SlurmCluster, Times]) -> None:
    cluster, times = day
    text, _ = both(cluster)
    runs = [one for one in text.runs(times.since, times.until) if isinstance(one, Run)]
    told = json.loads(run(cluster, READ, times.since, times.until))
    lost = [one for one in runs if str(one.db_index) not in told]
    seconds = sum(one.elapsed_seconds for one in lost)
    print(f"{len(lost)} of {len(runs)} runs and {seconds} s are lost:", [one.state for one in lost])
    assert {one.state for one in lost} >= {"REQUEUED"}
    assert seconds > 0


def test_it_cannot_write_shares(queue: SlurmCluster) -> None:
    assert run(queue, WRITE).strip() in {"AttributeError", "NameError"}


def test_it_has_neither_usage_nor_billing_weights(queue: SlurmCluster) -> None:
    """So usage stays with sshare, and partitions with scontrol."""
    code = "print(json.dumps(dir(pyslurm.Partition) + dir(pyslurm.db.Association)))"
    names = [one.lower() for one in json.loads(run(queue, code))]
    assert "priority_tier" in names
    assert "shares" in names
    assert not [name for name in names if "billing" in name or "usage" in name or "level_fs" in name]
