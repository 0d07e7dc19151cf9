"""Slurm's own commands against one cluster, and the few combinations of them that tests need.

Rule: nothing is kept here; every answer is what the commands say at that moment.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.processes import ClusterError, wait_until

ATTEMPTS = 4
"""munged hangs up on who is slower than two seconds, which on a fast clock may be a busy machine's fault."""

FAILED = {"FAILED", "TIMEOUT"}
LIVE = {"PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING"}


class Commands:
    """Runs commands in one environment, which names the cluster and its clock."""

    def __init__(self, env: dict[str, str], speed: int, main_log: Path) -> None:
        self.env = env
        self.main_log = main_log
        self._speed = speed

    def run(self, *argv: str, timeout: float = 60.0, stdin: str = "") -> str:
        """The command's stdout; the timeout is in real seconds."""
        done = self._done(argv, timeout, stdin)
        attempts = 1
        while done.returncode == -signal.SIGPIPE and self._speed > 1 and attempts < ATTEMPTS:
            done = self._done(argv, timeout, stdin)
            attempts += 1
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise ClusterError(f"{' '.join(argv)}: exit {done.returncode}: {said}")
        return done.stdout

    def _done(self, argv: Sequence[str], timeout: float, stdin: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                argv, env=self.env, input=stdin, capture_output=True, text=True, timeout=timeout, cwd="/"
            )
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"{' '.join(argv)}: no answer in {timeout:g} s") from error

    def add_account(self, name: str, parent: str = "root", fairshare: int = 1) -> None:
        self._add("account", f"name={name}", f"parent={parent}", f"fairshare={fairshare}")

    def add_user(self, user: str, *accounts: str) -> None:
        self._add("user", f"name={user}", f"account={','.join(accounts)}", "fairshare=1")

    def _add(self, kind: str, *settings: str) -> None:
        self.run("sacctmgr", "-i", "add", kind, *settings)

    def submit(
        self,
        user: str,
        account: str,
        *,
        seconds: int,
        cpus: int = 1,
        array: str | None = None,
        extra: Sequence[str] = (),
    ) -> int:
        """A job that sleeps that long on the cluster's clock; returns its id."""
        limit = f"-t{-(-seconds // 60) + 1 + self._speed // 2}"
        argv = ["sbatch", "--parsable", "-o/dev/null", "-D/", f"--uid={user}", f"-A{account}", f"-n{cpus}"]
        argv += [limit, *([f"--array={array}"] if array else [])]
        printed = self.run(*argv, *extra, stdin=f"#!/bin/sh\nexec sleep {seconds}\n")
        return int(printed.split(";")[0])

    def cancel(self, job: int) -> None:
        self.run("scancel", str(job))

    def cancel_all(self) -> None:
        jobs = self.run("squeue", "-h", "-o", "%A").split()
        if jobs:
            self.run("scancel", *jobs)

    def requeue(self, job: int, *, hold: bool = False) -> None:
        """Back to the queue, until it is there; Slurm holds it back for a while, see cred_expire in conf.py.

        Accounting may never hear that a job was cancelled if that happens while it is still COMPLETING.
        """
        self.run("scontrol", "requeuehold" if hold else "requeue", str(job))
        self.wait_for(job, "PENDING", "RUNNING")

    def job_states(self) -> dict[str, str]:
        """What the controller still knows: JobID, 12 or 12_3 for a task of an array, to state."""
        lines = self.run("squeue", "-h", "-r", "-t", "all", "-o", "%i %T").splitlines()
        return dict(line.split(maxsplit=1) for line in lines)

    def recorded_states(self, job: int) -> set[str]:
        """The states of a job, or of the tasks of an array, according to accounting; without "by 0".

        A short run may be COMPLETED for a second or two before it is eligible: until then no interval of
        sacct has it, and its state is UNKNOWN.
        """
        lines = self.run("sacct", "-X", "-n", "-P", "-j", str(job), "-o", "State,Eligible").splitlines()
        rows = (line.split("|") for line in lines if line.strip())
        return {"UNKNOWN" if row == ["COMPLETED", "Unknown"] else row[0].split()[0] for row in rows}

    def read_until_now(self) -> set[int]:
        """The jobs of this cluster that a read up to this second has: of before the last two seconds."""
        interval = ("-S", "now-1hour", "-E", "now-2seconds")
        return set(
            map(
                int, self.run("sacct", "--local", "-a", "-X", "-n", "-P", *interval, "-o", "JobIDRaw").split()
            )
        )

    def live_states(self, job: int) -> set[str]:
        """The states of a job, or of the tasks of an array, according to the controller."""
        lines = self.run("squeue", "-h", "-r", "-t", "all", "-o", "%F %A %T").splitlines()
        return {line.split()[2] for line in lines if str(job) in line.split()[:2]}

    def wait_for(self, job: int, *states: str, timeout: float = 180.0) -> None:
        """Until the job, and all of an array's tasks, are in one of these states.

        The controller is asked for states of the queue, and accounting, which lags a second or two behind
        and so never hears of a short run until it is over, for states that a job ends in.
        """
        wanted = set(states)

        def reached() -> bool:
            ask = self.live_states if wanted & LIVE else self.recorded_states
            found = ask(job)
            if found & FAILED - wanted:
                raise ClusterError(f"job {job} is {' and '.join(sorted(found))}")
            return bool(found) and found <= wanted

        wait_until(
            reached, f"job {job} to be {' or '.join(states)}", timeout, interval=0.1, log=self.main_log
        )
