"""A day in which everything happens that accounting can get wrong and a user or an operator can bring about.

Rule: all of it is done with Slurm's own commands, and nothing here knows how it will be counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.cluster.slurm import SlurmCluster, wait_until
from tests.cluster.tree import Tree

MINUTE = 60
HOUR = 60 * MINUTE
FREE = "free"
YOUNG = "startup"


@dataclass(frozen=True)
class Day:
    """The whole hours in which it all lies, and the job that outlives them."""

    since: int
    until: int
    lasting: int


def odd_day(cluster: SlurmCluster, tree: Tree) -> Day:
    """Live through the day; afterwards all its hours are over, and all but one of its jobs."""
    since = int(cluster.now()) // HOUR * HOUR
    script = Script(cluster, tree)
    script.reserve()
    lasting = script.occupy()
    script.usual()
    script.interrupted()
    script.failing()
    script.never_started()
    script.organisation_changes()
    wait_until(lambda: script.open_jobs() == {lasting}, "all jobs but one to end", 400, interval=0.5)
    script.account_closes()
    until = (int(cluster.now()) // HOUR + 1) * HOUR
    wait_until(lambda: cluster.now() > until, "the hour to be over", 120, interval=0.5)
    return Day(since, until, lasting)


class Script:
    """What is done on the day, in parts."""

    def __init__(self, cluster: SlurmCluster, tree: Tree) -> None:
        self.cluster = cluster
        self.region, self.partner = tree.regional["umcg"][0], tree.regional["province"][0]
        self.nation, self.other = tree.national["astro"][0], tree.national["climate"][0]
        self.first, self.last = cluster.node_names[2], cluster.node_names[-1]

    def reserve(self) -> None:
        """Two reservations with idle time: of two accounts, in which a job runs, and of a user."""
        shape = ("starttime=now", "nodecnt=1", "duration=90")
        self._control("create", "reservation", "reservationname=lesson", "accounts=umcg,astro", *shape)
        self._control("create", "reservation", "reservationname=night", f"users={self.partner}", *shape)
        self.cluster.submit(self.region, "umcg", seconds=20 * MINUTE, extra=["--reservation=lesson"])
        self.cluster.submit(self.nation, "astro", seconds=10 * MINUTE, cpus=2, extra=["--reservation=lesson"])

    def occupy(self) -> int:
        """One job that runs all day, and on."""
        return self.cluster.submit(self.partner, "province", seconds=24 * HOUR, extra=["--gres=gpu:1"])

    def usual(self) -> None:
        """An array, a GPU job, one that takes a node for itself, one whose parts have two accounts."""
        self.cluster.submit(self.region, "umcg", seconds=2 * MINUTE, array="1-3%2")
        self.cluster.submit(self.nation, "astro", seconds=11 * MINUTE, extra=["--gres=gpu:2"])
        self.cluster.submit(self.nation, "astro", seconds=5 * MINUTE, extra=["--exclusive"])
        self.cluster.add_user(self.region, "astro")
        self.cluster.submit(self.region, "umcg", seconds=7 * MINUTE, extra=["-n1", ":", "-n2", "-Aastro"])

    def interrupted(self) -> None:
        """Requeued, suspended over the turn of an hour, shrunk, and taken off by the operator."""
        suspended = self._stoppable(self.other, "climate", minutes=40)
        self.cluster.wait_for(suspended, "RUNNING")
        self._control("suspend", str(suspended))
        shrunk = self._running(self.other, "climate", 90 * MINUTE, cpus=8, extra=["-N2"])
        wait_until(lambda: "RUNNING" in self.cluster.recorded_states(shrunk), "its record", 180)
        self._control("update", f"jobid={shrunk}", "numnodes=1")
        requeued = self._running(self.nation, "astro", 25 * MINUTE)
        self._control("requeue", str(requeued))
        turn = (int(self.cluster.now()) // HOUR + 1) * HOUR + 5 * MINUTE
        wait_until(lambda: self.cluster.now() > turn, "the turn of the hour", 180, interval=0.2)
        self._control("resume", str(suspended))

    def failing(self) -> None:
        """An exit code, a missed deadline, a cancelled run, a node that goes down."""
        argv = "sbatch", "-o/dev/null", "-D/", f"--uid={self.region}", "-Aumcg"
        self.cluster.run(*argv, stdin="#!/bin/sh\nsleep 90; exit 7\n")
        self.cluster.run(*argv, "-t1", stdin="#!/bin/sh\nsleep 3600\n")
        cancelled = self._running(self.nation, "astro", 9 * HOUR)
        lost = self._running(self.other, "climate", 9 * HOUR, extra=["--no-requeue", f"-w{self.last}"])
        self.cluster.cancel(cancelled)
        self._control("update", f"nodename={self.last}", "state=down", "reason=drill")
        wait_until(lambda: "NODE_FAIL" in self.cluster.recorded_states(lost), "the lost job", 180)

    def never_started(self) -> None:
        """Cancelled while it waited, and before it was even eligible."""
        waiting = self.cluster.submit(
            self.region, "umcg", seconds=HOUR, cpus=4 * len(self.cluster.node_names)
        )
        early = self.cluster.submit(self.region, "umcg", seconds=HOUR, extra=["--begin=now+5hours"])
        self.cluster.cancel(waiting)
        self.cluster.cancel(early)

    def organisation_changes(self) -> None:
        """A new account, and a QOS whose use is free of charge to the user."""
        self.cluster.add_account(YOUNG, parent="regional")
        self.cluster.add_user(self.partner, YOUNG)
        self._sacctmgr("add", "qos", FREE, "usagefactor=0")
        self._sacctmgr("modify", "account", "where", f"name={YOUNG}", "set", f"qos+={FREE}")
        self.cluster.submit(self.partner, YOUNG, seconds=6 * MINUTE, extra=[f"--qos={FREE}"])

    def account_closes(self) -> None:
        """An account is deleted with its users."""
        self._sacctmgr("delete", "account", YOUNG)

    def open_jobs(self) -> set[int]:
        """The jobs that are not over."""
        return {int(job) for job in self.cluster.run("squeue", "-h", "-o", "%A").split()}

    def _running(
        self, user: str, account: str, seconds: int, *, cpus: int = 1, extra: Sequence[str] = ()
    ) -> int:
        job = self.cluster.submit(user, account, seconds=seconds, cpus=cpus, extra=extra)
        self.cluster.wait_for(job, "RUNNING")
        return job

    def _stoppable(self, user: str, account: str, *, minutes: int) -> int:
        """Work that stands still while it is suspended; one long sleep would go on."""
        argv = ["sbatch", "--parsable", "-o/dev/null", "-D/", f"--uid={user}", f"-A{account}", "-n2",
                "-N1", f"-w{self.first}", f"-t{2 * minutes}"]  # fmt: skip
        minute = f"#!/bin/sh\nfor each in $(seq {minutes}); do sleep {MINUTE}; done\n"
        return int(self.cluster.run(*argv, stdin=minute).split(";")[0])

    def _control(self, *arguments: str) -> None:
        self.cluster.run("scontrol", *arguments)

    def _sacctmgr(self, *arguments: str) -> None:
        self.cluster.run("sacctmgr", "-i", *arguments)
