"""Child processes in the foreground, each in its own session with its own log, and waiting for conditions.

Rule: every wait has a deadline and fails with the tail of the log that explains it.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

PORTS = 10000
LISTEN = "0A"


class ClusterError(RuntimeError):
    """The cluster could not do what was asked."""


class PortTakenError(ClusterError):
    """Somebody else took a port between its choice and its use."""


def tail(log: Path | None, lines: int = 12) -> str:
    if log is None or not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def wait_until(
    condition: Callable[[], bool],
    what: str,
    timeout: float,
    *,
    log: Path | None = None,
    interval: float = 0.02,
) -> None:
    """Poll the condition until it holds; the timeout is in real seconds.

    A condition that takes long is asked less often: to wait takes a third of a processor at most.
    """
    asked = time.monotonic()
    deadline = asked + timeout
    while not condition():
        answered = time.monotonic()
        if answered > deadline:
            raise ClusterError(f"waited {timeout:g} s in vain for {what}\n{tail(log)}".rstrip())
        time.sleep(max(interval, 2 * (answered - asked)))
        asked = time.monotonic()


def free_ports(count: int) -> list[int]:
    """Ports below the kernel's ephemeral range: no outgoing connection takes one while its daemon is down."""
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            _hold(held)
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


def _hold(held: list[socket.socket]) -> None:
    attempt = socket.socket()
    try:
        attempt.bind(("127.0.0.1", random.randrange(PORTS, _ephemeral())))
    except OSError:
        attempt.close()
    else:
        held.append(attempt)


def _ephemeral() -> int:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    return first if first > PORTS + 1000 else 65536


def listens(port: int, pid: int) -> bool:
    """Whether this process, and not somebody else's, listens on the port; it is not disturbed by asking."""
    try:
        held = {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return False
    return not held.isdisjoint(_listeners(port, pid))


def _listeners(port: int, pid: int) -> Iterator[str]:
    """The sockets that listen on a port of the process's network, as they look among its open files."""
    for table in (Path(f"/proc/{pid}/net/tcp"), Path(f"/proc/{pid}/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            fields = line.split()
            if fields[1].endswith(f":{port:04X}") and fields[3] == LISTEN:
                yield f"socket:[{fields[9]}]"


class Daemon:
    """One foreground child with a log file, and the condition on its pid that says it is ready."""

    def __init__(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], log: Path, ready: Callable[[int], bool]
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.env = dict(env)
        self.log = log
        self.ready = ready
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self.alive else None

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def spawn(self) -> None:
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.argv, env=self.env, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def start(self, timeout: float = 120.0) -> None:
        self.spawn()
        self.await_ready(timeout)

    def await_ready(self, timeout: float = 120.0) -> None:
        wait_until(self._is_ready, f"{self.name} to be ready", timeout, log=self.log)

    def _is_ready(self) -> bool:
        if self._child is not None and self.alive:
            return self.ready(self._child.pid)
        text = tail(self.log)
        error = PortTakenError if "ddress already in use" in text else ClusterError
        raise error(f"{self.name} ended at once\n{text}")

    def signal(self, number: signal.Signals) -> None:
        if self._child is None or not self.alive:
            raise ClusterError(f"{self.name} is not running")
        self._child.send_signal(number)

    def terminate(self) -> None:
        """Ask it to end; a paused one is woken, or it would never hear it."""
        if self._child is not None:
            self._child.send_signal(signal.SIGTERM)
            self._child.send_signal(signal.SIGCONT)

    def end(self, timeout: float = 5.0) -> None:
        """TERM, a bounded wait, KILL; fine for one that has ended already."""
        self.terminate()
        self.reap(timeout)

    def kill(self) -> None:
        self.reap(0.0)

    def reap(self, timeout: float) -> None:
        if self._child is None:
            return
        try:
            self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(timeout=60)


class Pipe:
    """A child that lives until our end of its stdin closes, which the death of this process does too."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], *, output: bool = False) -> None:
        self._child = subprocess.Popen(
            argv,
            env=dict(env),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if output else subprocess.DEVNULL,
            start_new_session=True,
        )

    def read_line(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline().decode().rstrip("\n")

    def close(self, timeout: float = 15.0) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        try:
            self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait(timeout=60)
        if self._child.stdout is not None:
            self._child.stdout.close()
