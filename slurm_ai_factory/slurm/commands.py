"""Running Slurm's commands: the only place that starts a process.

The rule: a command either answered completely or it raises. An exit code other than 0, an ``error:`` on
stderr (older sacct exits 0 all the same), a missed deadline and an answer whose last line is cut are all
failures, and none of them looks like an empty answer. Commands print epoch seconds in UTC.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Thread
from typing import IO

from slurm_ai_factory.errors import (
    SlurmError,
    SlurmRefusedError,
    SlurmTooMuchError,
    SlurmUnsupportedError,
    shortage,
)

FENCE = Path(__file__).with_name("fence.py")

_REFUSALS = ("permission denied", "doesn't have privilege")
_TOO_WIDE = "too wide of a date range"
_UNSUPPORTED = ("output not supported", "unable to find plugin", "failure loading plugins")
_ALTERING = ("SACCT_", "SQUEUE_", "SPRIO_", "SLURM_CLUSTERS", "SLURM_BITSTR_LEN", "SLURM_TIME_FORMAT", "TZ")
"""Environment that would change what the commands print."""

_CHOSEN = {"TZ": "UTC", "SLURM_TIME_FORMAT": "%s", "SLURM_BITSTR_LEN": "0", "LC_ALL": "C.UTF-8"}
"""Epoch seconds, and lists of array tasks that are not cut off."""


@dataclass(frozen=True, slots=True)
class Commands:
    """Slurm's commands from one directory (or PATH), for one slurm.conf, with a deadline on every call."""

    directory: Path | None = None
    conf: Path | None = None
    timeout_seconds: int = 60

    def path(self, name: str) -> str:
        """The command as it is run and as ``saf plan`` prints it."""
        return str(self.directory / name) if self.directory else name

    def output(self, name: str, *arguments: str) -> str:
        """Everything the command printed. Raises SlurmError."""
        return "".join(self.lines(name, *arguments))

    def before(self, deadline: float, name: str, *arguments: str) -> str:
        """The same of a command that writes: over before a deadline of ``time.monotonic``, or not run."""
        fence = (sys.executable, "-I", "-S", str(FENCE), repr(deadline))
        return "".join(self._answer([self.path(name), *arguments], fence))

    def lines(self, name: str, *arguments: str) -> Iterator[str]:
        """The command's lines as they come; raises SlurmError at the end when the answer was not whole."""
        return self._answer([self.path(name), *arguments])

    def _answer(self, argv: Sequence[str], fence: Sequence[str] = ()) -> Iterator[str]:
        """What a command prints, which ``fence`` becomes after it has looked at the deadline."""
        memory = os.memfd_create("stderr")  # a full disk would lose what is said, and exit codes may be 0
        with (
            open(memory, "w+", errors="replace") as stderr,  # noqa: PTH123
            self._started([*fence, *argv], stderr) as run,
        ):
            process, missed = run
            last = "\n"
            for line in process.stdout or ():
                last = line
                yield line
            code = process.wait()
            stderr.seek(0)
            self._check(argv, code, stderr.read(), missed=bool(missed), whole=last.endswith("\n"))

    @contextmanager
    def _started(
        self, argv: Sequence[str], stderr: IO[str]
    ) -> Iterator[tuple[subprocess.Popen[str], list[bool]]]:
        """The running process in a group of its own, killed when late or left; and whether it was late."""
        missed: list[bool] = []
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=self._environment(),
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            if shortage(error):
                raise
            raise SlurmError(f"{argv[0]} cannot be run ({error.strerror}); set slurm.directory") from error
        try:
            with _deadlines.of(process, self.timeout_seconds, missed):
                yield process, missed
        finally:
            _kill(process)
            if process.stdout:
                process.stdout.close()
            process.wait()

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_ALTERING)}
        chosen = {"SLURM_CONF": str(self.conf)} if self.conf else {}
        return kept | chosen | _CHOSEN

    def _check(self, argv: Sequence[str], code: int, stderr: str, *, missed: bool, whole: bool) -> None:
        """Raise SlurmError unless the command answered completely."""
        name = Path(argv[0]).name
        said = _last_error(stderr)
        if missed:
            raise SlurmTooMuchError(
                f"{name} gave no complete answer within {self.timeout_seconds} s; "
                f"see whether slurmdbd and slurmctld answer: {shlex.join(argv[:6])}"
            )
        if code or f"{name}: error:" in stderr or f"{name}: fatal:" in stderr:
            kind = _kind(stderr.lower())
            remedy = (
                "; the user needs AdminLevel=Operator, see saf doctor" if kind is SlurmRefusedError else ""
            )
            raise kind(f"{name} failed (exit {code}): {said}{remedy}")
        if not whole:
            raise SlurmError(f"{name}'s answer ends in the middle of a line; nothing of it was used")


class _Deadlines:
    """Kills what is late, on one thread for all commands and for good.

    Python may wait for ever for a thread that dies of a lack of memory as it starts.
    """

    def __init__(self) -> None:
        self.due: dict[subprocess.Popen[str], tuple[float, list[bool]]] = {}
        self.changed = Condition()
        self.thread = Thread()

    @contextmanager
    def of(self, process: subprocess.Popen[str], seconds: float, missed: list[bool]) -> Iterator[None]:
        """Kill the process when the body takes longer, and say so in ``missed``."""
        with self.changed:
            if not self.thread.is_alive():
                self.thread = Thread(target=self._keep, name="deadlines", daemon=True)
                self.thread.start()
            self.due[process] = time.monotonic() + seconds, missed
            self.changed.notify()
        try:
            yield
        finally:
            with self.changed:
                self.due.pop(process, None)

    def _keep(self) -> None:
        with self.changed:
            while True:
                for process, (at, missed) in list(self.due.items()):
                    if at <= time.monotonic():
                        del self.due[process]
                        missed.append(True)
                        _kill(process)
                first = min((at for at, _ in self.due.values()), default=None)
                self.changed.wait(None if first is None else max(0.0, first - time.monotonic()))


_deadlines = _Deadlines()


def _kill(process: subprocess.Popen[str]) -> None:
    """The process and its children, which may outlive it; its group is its own until it was waited for."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _kind(stderr: str) -> type[SlurmError]:
    if any(word in stderr for word in _REFUSALS):
        return SlurmRefusedError
    if any(word in stderr for word in _UNSUPPORTED):
        return SlurmUnsupportedError
    return SlurmTooMuchError if _TOO_WIDE in stderr else SlurmError


def _last_error(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
