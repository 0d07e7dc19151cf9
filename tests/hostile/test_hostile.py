"""The campaign: hostile text in every field, and afterwards the ledger is what numbers alone say.

On a Slurm of its own. HOSTILE in the environment is how many texts there are; ``make hostile`` uses many.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from slurm_ai_factory.core import tres
from slurm_ai_factory.slurm import Slurm
from tests import loaded
from tests.cluster.requirements import unavailable
from tests.cluster.slurm import SlurmCluster, wait_until
from tests.cluster.tree import Tree, plant
from tests.hostile.texts import FORMATS, texts
from tests.saf import Saf
from tests.slurm.scenarios import inside

COUNT = int(os.environ.get("HOSTILE", "8"))
reason = unavailable()
pytestmark = [pytest.mark.slurm, pytest.mark.skipif(reason is not None, reason=str(reason))]

SHOWING = (
    ("status",), ("share", "--by", "account"), ("share", "--by", "account", "--csv"), ("unclassified",),
    ("explain", "--account", "astro"), ("plan",), ("history", "--decisions"), ("rules", "check"), ("doctor",),
    ("ledger", "export", "--window", "rolling:30d", "--users"), ("ledger", "verify"), ("cycle",),
)  # fmt: skip
"""Commands that print names of Slurm."""

CHARGES = "SELECT r.db_index, r.job_id, r.elapsed_seconds, a.tres FROM runs r " \
          "JOIN allocations a ON a.allocation_id = r.alloc_id"  # fmt: skip


@dataclass
class Attack:
    """What was set, as far as Slurm took it: accounts by job, and how many texts were taken in each field."""

    accounts: dict[int, str] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)  #: jobs of which sacct tells in no interval
    taken: dict[str, int] = field(default_factory=dict)

    def took(self, what: str, done: subprocess.CompletedProcess[str]) -> bool:
        self.taken[what] = self.taken.get(what, 0) + (done.returncode == 0)
        return done.returncode == 0


@pytest.fixture(scope="module")
def cluster(open_directory: Path) -> Iterator[tuple[SlurmCluster, Tree]]:
    """In a directory that users may read, for it is they who run commands."""
    with SlurmCluster(open_directory / "hostile", nodes=2, cpus_per_node=2) as one:
        yield one, plant(one)


def run(cluster: SlurmCluster, user: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """A command as a user, whatever becomes of it."""
    entry = pwd.getpwnam(user)
    return subprocess.run(
        argv, env=cluster.env, user=entry.pw_uid, group=entry.pw_gid, extra_groups=(), cwd="/", timeout=60,
        input="#!/bin/sh\nexec sleep 0\n", capture_output=True, text=True, errors="surrogateescape",
    )  # fmt: skip


def users_attack(cluster: SlurmCluster, user: str, account: str, attack: Attack, text: str) -> None:
    """A job with this text in every field of it: one that ends, and one that waits."""
    fields = (f"--wckey={text}", f"--comment={text}", f"--job-name={text}", f"--export=ALL,X={text}")
    for more in ((), ("--hold",)):
        argv = ("sbatch", "--parsable", "-o/dev/null", "-D/", "-n1", "-t1", f"-A{account}", *more)
        done = run(cluster, user, *argv, *fields)
        if attack.took("jobs", done):
            job = int(done.stdout.split(";")[0])
            attack.accounts[job] = account
            attack.held |= {job} if more else set()


def coordinators_attack(cluster: SlurmCluster, user: str, attack: Attack, text: str) -> None:
    """An account of this name below the coordinator's own, with the coordinator in it and a job."""
    added = run(cluster, user, "sacctmgr", "-i", "add", "account", f"name={text}", "parent=astro")
    if not attack.took("accounts", added):
        return
    run(cluster, user, "sacctmgr", "-i", "add", "user", f"name={user}", f"account={text}")
    done = run(cluster, user, "sbatch", "--parsable", "-o/dev/null", "-D/", "-n1", "-t1", "-A", text)
    if attack.took("jobs in such accounts", done):
        attack.accounts[int(done.stdout.split(";")[0])] = text


def operators_attack(cluster: SlurmCluster, attack: Attack, job: int, text: str) -> None:
    """Names and remarks that operators give."""
    commands = {
        "reservations": ("scontrol", "create", "reservation", f"reservationname={text}",
                         "starttime=now+1hour", "duration=1", "users=root", "nodecnt=1"),
        "qos": ("sacctmgr", "-i", "add", "qos", text),
        "reasons": ("scontrol", "update", "nodename=n2", "state=drain", f"reason=x{text}"),
        "node comments": ("scontrol", "update", "nodename=n1", f"comment={text}"),
        "extra": ("scontrol", "update", "nodename=n1", f"extra={text}"),
        "admin comments": ("scontrol", "update", f"jobid={job}", f"admincomment={text}"),
        "wckeys": ("sacctmgr", "-i", "add", "user", "name=games", f"wckeys={text}"),
    }  # fmt: skip
    for what, argv in commands.items():
        attack.took(what, run(cluster, "root", *argv))
    run(cluster, "root", "scontrol", "update", "nodename=n2", "state=resume")


def numbers(cluster: SlurmCluster) -> dict[int, tuple[int, int, int]]:
    """Job, seconds and CPU-seconds by DBIndex, of an answer in which there is no text."""
    fields = "DBIndex,JobIDRaw,ElapsedRaw,AllocCPUS,AllocNodes"
    printed = cluster.run("sacct", "-a", "-D", "-X", "-P", "-n", "-Snow-1day", "-Enow+1day", "-o", fields)
    rows = (map(int, line.split("|")) for line in printed.splitlines())
    return {one: (job, elapsed, elapsed * cpus) for one, job, elapsed, cpus, _ in rows}


def charges(url: str) -> dict[int, tuple[int, int, int]]:
    """The same of the ledger."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(CHARGES).fetchall()
    return {int(one): (job, s, s * int(tres.parse_tres(text).get("cpu", 0))) for one, job, s, text in rows}


def printable(text: str) -> bool:
    return all(one == "\n" or unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in text)


def test_no_text_hides_forges_or_stops_anything(
    cluster: tuple[SlurmCluster, Tree], ledger_url: str, tmp_path: Path
) -> None:
    slurm, tree = cluster
    user, coordinator = tree.regional["umcg"][0], tree.national["astro"][0]
    saf = Saf(tmp_path, slurm.env, ledger_url)
    client, attack = Slurm("loop", inside(slurm)), Attack()
    slurm.run("sacctmgr", "-i", "add", "coordinator", f"names={coordinator}", "account=astro")
    for number, text in enumerate(texts(COUNT)):
        users_attack(slurm, user, "umcg", attack, text)
        coordinators_attack(slurm, coordinator, attack, text)
        operators_attack(slurm, attack, max(attack.accounts), text)
        if number % 20 == 19:
            assert printable(saf.run("cycle").stdout)

    assert min(attack.taken.values()) > 0, attack.taken
    accounts = {one.account for one in client.associations()}
    assert not {one for one in accounts if one.startswith("#ID ")}, "every name can be told"
    wait_until(lambda: {one.job_id for one in client.queue()} == attack.held, "the end of what runs", 180)
    queue = client.queue()
    demand = {one.job_id: int(tres.parse_tres(one.tres)["cpu"]) for one in queue}
    rows = (line.split() for line in slurm.run("squeue", "-h", "-o", "%A %C").splitlines())
    waiting = {int(job): int(cpus) for job, cpus in rows}
    assert demand == waiting
    assert waiting.keys() <= attack.accounts.keys()
    assert client.unreadable() == []
    held = [one for one in queue if one.job_id in attack.held]
    assert {one.job_id for one in held} == attack.held
    assert {one.subject.account for one in held} == {"umcg"}
    slurm.run("scancel", "--user", user)
    wait_until(lambda: not slurm.run("squeue", "-h", "-o", "%A"), "the queue to be empty", 120)

    def same() -> bool:
        saf.run("cycle")
        return charges(ledger_url) == numbers(slurm)

    wait_until(same, "the ledger to be what numbers alone say", 120, interval=1)
    assert {job for job, _, _ in charges(ledger_url).values()} == attack.accounts.keys() - attack.held
    assert saf.json("ledger", "status")["rejected_lines"] == 0
    for command in SHOWING:
        done = loaded.run(command, env=saf.env)
        assert printable(done.stdout + done.stderr), command


def test_format_strings_stop_no_cycle(
    cluster: tuple[SlurmCluster, Tree], ledger_url: str, tmp_path: Path
) -> None:
    """Last, for slurmdbd 22.05.8 may crash of them; then a cycle fails while it is away, and only then."""
    slurm, tree = cluster
    coordinator = tree.national["astro"][0]
    saf = Saf(tmp_path, slurm.env, ledger_url)
    for text in FORMATS:
        coordinators_attack(slurm, coordinator, Attack(), text)
        if not slurm.is_alive("slurmdbd"):
            slurm.restart("slurmdbd")
        wait_until(lambda: slurm.run("sacctmgr", "-n", "show", "cluster") != "", "slurmdbd to answer", 60)
        saf.run("cycle")
