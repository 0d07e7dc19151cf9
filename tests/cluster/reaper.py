"""Finds and ends every process of one cluster; run as a program it does so when its stdin closes.

Rule: a process belongs to a cluster only if its environment says so, and is only ended through a pidfd that
was opened before that was checked, so a reused pid is never hit. Standard library only: it runs as a script.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

MARK = "LOOPBACK_SLURM"
SPOOL = "spool"
OURS = ".loopback-slurm"


def pids(directory: Path) -> list[int]:
    """The live processes of the cluster in this directory, zombies left out."""
    every = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in every if pid != os.getpid() and _belongs(pid, directory)]


def sweep(directory: Path, timeout: float = 10.0) -> list[int]:
    """KILL until none is left; what still lives after the timeout is returned."""
    deadline = time.monotonic() + timeout
    while left := pids(directory):
        if time.monotonic() > deadline:
            return left
        for pid in left:
            _kill(pid, directory)
        time.sleep(0.02)
    return []


def clean(directory: Path) -> list[int]:
    """End what runs, then remove what is large or outside the directory; logs stay."""
    left = sweep(directory)
    if is_ours(directory):
        for each in (spool(directory), directory / "db"):
            shutil.rmtree(each, ignore_errors=True)
    return left


def is_ours(directory: Path) -> bool:
    """Whether a cluster was made in this directory; in others nothing is ever removed."""
    return (directory / OURS).exists()


def _belongs(pid: int, directory: Path) -> bool:
    """A daemon carries the mark; a job carries the cluster's configuration and a job id.

    A slurmstepd overwrites its environment with its title, but it listens on a socket in the spool directory.
    """
    environment = _environment(pid)
    if f"{MARK}={directory}" in environment:
        return True
    job = any(entry.startswith("SLURM_JOB_ID=") for entry in environment)
    return (job and f"SLURM_CONF={directory}/slurm.conf" in environment) or _is_stepd(pid, directory)


def _is_stepd(pid: int, directory: Path) -> bool:
    try:
        if Path(f"/proc/{pid}/comm").read_text() != "slurmstepd\n":
            return False
        return any(str(each.readlink()) in _sockets(directory) for each in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def _sockets(directory: Path) -> set[str]:
    """The links that the owners of sockets in the spool directory have among their open files."""
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    return {f"socket:[{line[6]}]" for line in lines if line[-1].startswith(f"{spool(directory)}/")}


def spool(directory: Path) -> Path:
    """Where the nodes keep their jobs; the link to it is in the cluster's directory."""
    return (directory / SPOOL).resolve()


def _environment(pid: int) -> list[str]:
    """Empty for kernel threads, zombies and processes that have just ended."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _kill(pid: int, directory: Path) -> None:
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if _belongs(pid, directory):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def main() -> None:
    """Wait for the owner to close the pipe, which its death does too, then end what is left."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    sys.stdin.buffer.read()
    clean(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
