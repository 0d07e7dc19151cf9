"""Runs Slurm's commands. The only place that starts a process of Slurm's.

Rule: a command answers completely, or the call raises. These are failures, and none of them looks like an
empty answer: an exit code other than 0, an ``error:`` on stderr (older sacct exits 0 nevertheless), a refusal
there (squeue exits 0 nevertheless), a missed deadline, and a last line without a line feed. Commands print
epoch seconds in UTC.

Output may contain any byte. Only a line feed ends a line; a byte that is not UTF-8 is written in hexadecimal,
so that different names stay different; at most LINE_MOST characters of a line are in memory at once.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import TextIOWrapper
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
_ALTERING = (
    "SACCT_", "SQUEUE_", "SPRIO_", "SREPORT_", "SCONTROL_", "SLURM_CLUSTERS", "SLURM_BITSTR_LEN",
    "SLURM_TIME_FORMAT", "TZ",
)  # fmt: skip
"""Beginnings of environment variables that would change what the commands print."""

_CHOSEN = {"TZ": "UTC", "SLURM_TIME_FORMAT": "%s", "SLURM_BITSTR_LEN": "0", "LC_ALL": "C.UTF-8"}
"""Makes the commands print epoch seconds, and whole lists of array tasks."""

LINE_MOST = 2**20
"""Characters of a line; Slurm's own names and lists are far shorter."""
_AS_IT_IS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Commands:
    """Slurm's commands from one directory (or PATH), for one slurm.conf, with a deadline on every call."""

    directory: Path | None = None
    conf: Path | None = None
    timeout_seconds: int = 60
    before_each: Callable[[], object] = field(default=bool, compare=False)
    """Called before each question, which may take timeout_seconds."""

    def path(self, name: str) -> str:
        """The command's path, as it is run and as ``saf plan`` prints it."""
        return str(self.directory / name) if self.directory else name

    def output(self, name: str, *arguments: str) -> str:
        """Everything the command printed. Raises SlurmError."""
        return "".join(self.pieces(name, *arguments))

    def before(self, deadline: float, name: str, *arguments: str) -> str:
        """As ``output``, for a command that writes: done before this ``time.monotonic``, or never run."""
        fence = (sys.executable, "-I", "-S", str(FENCE), repr(deadline))
        return "".join(self._answer([self.path(name), *arguments], fence))

    def lines(self, name: str, *arguments: str) -> Iterator[str]:
        """The command's lines as it prints them; raises SlurmError at the end of an incomplete answer."""
        for piece in self.pieces(name, *arguments):
            if len(piece) >= LINE_MOST and not piece.endswith("\n"):
                raise SlurmError(
                    f"{name} printed a line of over {LINE_MOST} characters; nothing of it was used"
                )
            yield piece

    def pieces(self, name: str, *arguments: str, env: Mapping[str, str] = _AS_IT_IS) -> Iterator[str]:
        """As ``lines``, but longer lines come in pieces of LINE_MOST characters; ``env`` is added."""
        return self._answer([self.path(name), *arguments], env=env)

    def _answer(
        self, argv: Sequence[str], fence: Sequence[str] = (), env: Mapping[str, str] = _AS_IT_IS
    ) -> Iterator[str]:
        """What a command prints; ``fence`` checks the deadline and then becomes the command."""
        self.before_each()
        memory = os.memfd_create("stderr")  # on a full disk a file would lose errors, and exit codes may be 0
        with (
            open(memory, "w+", errors="replace") as stderr,  # noqa: PTH123
            self._started([*fence, *argv], stderr, env) as run,
        ):
            process, missed = run
            last = "\n"
            with TextIOWrapper(process.stdout, "utf-8", "backslashreplace", newline="\n") as stdout:  # type: ignore[type-var]
                while piece := stdout.readline(LINE_MOST):
                    last = piece
                    yield piece.replace("\0", "\\x00") if "\0" in piece else piece
            code = process.wait()
            stderr.seek(0)
            self._check(argv, code, stderr.read(), missed=bool(missed), whole=last.endswith("\n"))

    def environment(self) -> dict[str, str]:
        """The variables that a command runs with; a test cluster has its own."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_ALTERING)}
        conf = {"SLURM_CONF": str(self.conf)} if self.conf else {}
        return {**kept, **conf, **_CHOSEN}

    @contextmanager
    def _started(
        self, argv: Sequence[str], stderr: IO[str], env: Mapping[str, str]
    ) -> Iterator[tuple[subprocess.Popen[bytes], list[bool]]]:
        """The running process, in its own process group, and a list that is not empty once it was late.

        Killed when it is late, or when the caller leaves.
        """
        if self.conf and not os.access(self.conf, os.R_OK):
            raise SlurmError(f"{self.conf} is not there, or this user may not read it; set slurm.conf")
        missed: list[bool] = []
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
                env={**self.environment(), **env}, start_new_session=True,
            )  # fmt: skip
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

    def _check(self, argv: Sequence[str], code: int, stderr: str, *, missed: bool, whole: bool) -> None:
        """Raise SlurmError unless the command answered completely."""
        name = Path(argv[0]).name
        if missed:
            raise SlurmTooMuchError(
                f"{name} gave no complete answer within {self.timeout_seconds} s; "
                f"see whether slurmdbd and slurmctld answer: {shlex.join(argv[:6])}"
            )
        kind = _kind(stderr.lower())
        failed = code or f"{name}: error:" in stderr or f"{name}: fatal:" in stderr
        if failed or kind is SlurmRefusedError:
            lines = [line.strip() for line in stderr.splitlines() if line.strip()]
            error = lines[-1] if lines else "it printed no error"
            remedy = (
                "; the user needs AdminLevel=Operator, see saf doctor" if kind is SlurmRefusedError else ""
            )
            raise kind(f"{name} failed (exit {code}): {error}{remedy}")
        if not whole:
            raise SlurmError(f"{name}'s answer ends in the middle of a line; nothing of it was used")


class _Deadlines:
    """Kills late processes, from one thread that all commands share and that never ends.

    A new thread for each command could hang it: Python waits without a deadline for a thread that dies of a
    lack of memory as it starts.
    """

    def __init__(self) -> None:
        self.due: dict[subprocess.Popen[bytes], tuple[float, list[bool]]] = {}
        self.changed = Condition()
        self.thread = Thread()

    @contextmanager
    def of(self, process: subprocess.Popen[bytes], seconds: float, missed: list[bool]) -> Iterator[None]:
        """Kill the process when the body takes longer, and add to ``missed`` then."""
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


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process with its children, which may outlive it; its group is its own until it is reaped."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _kind(stderr: str) -> type[SlurmError]:
    if any(word in stderr for word in _REFUSALS):
        return SlurmRefusedError
    if any(word in stderr for word in _UNSUPPORTED):
        return SlurmUnsupportedError
    return SlurmTooMuchError if _TOO_WIDE in stderr else SlurmError
