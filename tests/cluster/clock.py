"""The cluster's clock: the machine's own, or a faster one shared by all processes that get its environment.

libfaketime counts from the start of each process unless processes share the semaphore and the memory that the
faketime command makes for its child. Rule: one such command runs for as long as the cluster does, its child's
environment is handed to every other process, and nothing is started with it once the clock has stopped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from tests.cluster import waits
from tests.cluster.processes import ClusterError, Pipe

END = "end of environment"
QUESTIONS = 5


class Clock:
    """Stopped until start(); then env holds what a process needs to see this time."""

    def __init__(self, speed: int, start: str | None) -> None:
        """The start is a date like "2026-03-29 01:30:00", in the machine's zone unless it says another."""
        self.speed = speed
        self.env: dict[str, str] = {}
        self._first = datetime.fromisoformat(start).timestamp() if start else None
        self._real_first = 0.0
        self._wrapper: Pipe | None = None

    @property
    def is_real(self) -> bool:
        return self.speed == 1 and self._first is None

    def now(self) -> float:
        if self.is_real or self._first is None:
            return time.time()
        return self._first + (time.time() - self._real_first) * self.speed

    def start(self, directory: Path, env: Mapping[str, str]) -> None:
        """The environment given is that of processes on the machine's own clock."""
        if self.is_real:
            return
        (directory / "python").mkdir()
        shutil.copy(waits.__file__, directory / "python" / "sitecustomize.py")
        first = int(time.time() if self._first is None else self._first)
        settings = dict(env) | {"FAKETIME_DONT_RESET": "1", "FAKETIME_FMT": "%s"}
        script = f"env; echo '{END}'; exec cat"
        date = f"@{first} x{self.speed}"
        self._wrapper = Pipe(["faketime", "-m", "-f", date, "sh", "-c", script], settings, output=True)
        path = [str(directory / "python"), *filter(None, [env.get("PYTHONPATH")])]
        self.env = self._shared_environment() | {"PYTHONPATH": os.pathsep.join(path)}
        # Jobs run as other users; one that cannot open these would quietly start a clock of its own.
        semaphore, memory = self.env["FAKETIME_SHARED"].split()
        for name in (f"sem.{semaphore.lstrip('/')}", memory.lstrip("/")):
            (Path("/dev/shm") / name).chmod(0o666)
        self._synchronise(dict(env) | self.env)

    def stop(self) -> None:
        if self._wrapper is not None:
            self._wrapper.close()
            self._wrapper = None

    def _shared_environment(self) -> dict[str, str]:
        assert self._wrapper is not None
        found = {}
        while (line := self._wrapper.read_line()) != END:
            if not line:
                raise ClusterError("faketime ended before it gave its environment")
            key, _, value = line.partition("=")
            if key.startswith("FAKETIME") or key == "LD_PRELOAD":
                found[key] = value
        return found

    def _synchronise(self, env: Mapping[str, str]) -> None:
        """Ask processes on the clock for the time, so that now() can tell it without being on it.

        The quickest is believed: what one took, times the speed, is how far off it may be.
        """
        asked = []
        for _ in range(QUESTIONS):
            before = time.time()
            said = subprocess.run(
                ["date", "+%s.%N"], env=env, capture_output=True, text=True, check=True, timeout=60
            ).stdout
            after = time.time()
            asked.append((after - before, float(said), (before + after) / 2))
        _, self._first, self._real_first = min(asked)
