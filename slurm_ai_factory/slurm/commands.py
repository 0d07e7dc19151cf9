"""Running Slurm's commands: the only place that starts a process.

The rule: a command either answered completely or it raises. An exit code other than 0, an ``error:`` on
stderr (older sacct exits 0 all the same), a refusal there (squeue exits 0 all the same), a missed deadline
and an answer whose last line is cut are all failures, and none of them looks like an empty answer. Commands
print epoch seconds in UTC.

What they print may hold any byte: only a line feed ends a line, a byte that is not UTF-8 is told by its
number in hexadecimal, so that names stay different, and no more of a line is held than LINE_MOST.
"""

from __future__ import annotations

import os
import pwd
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from threading import Timer
from typing import IO

from slurm_ai_factory.errors import SlurmError, SlurmRefusedError, SlurmTooMuchError, SlurmUnsupportedError

_REFUSALS = ("permission denied", "doesn't have privilege")
_TOO_WIDE = "too wide of a date range"
_UNSUPPORTED = ("output not supported", "unable to find plugin", "failure loading plugins")
_ALTERING = (
    "SACCT_", "SQUEUE_", "SPRIO_", "SREPORT_", "SCONTROL_", "SLURM_CLUSTERS", "SLURM_BITSTR_LEN",
    "SLURM_TIME_FORMAT", "TZ",
)  # fmt: skip
"""Environment that would change what the commands print."""

_CHOSEN = {"TZ": "UTC", "SLURM_TIME_FORMAT": "%s", "SLURM_BITSTR_LEN": "0", "LC_ALL": "C.UTF-8"}
"""Epoch seconds, and lists of array tasks that are not cut off."""

LINE_MOST = 2**20
"""Characters of a line; Slurm's own names and lists are far shorter."""
_AS_IT_IS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Commands:
    """Slurm's commands from one directory (or PATH), for one slurm.conf, with a deadline on every call."""

    directory: Path | None = None
    conf: Path | None = None
    timeout_seconds: int = 60

    def path(self, name: str) -> str:
        """The command as it is run and as ``saf plan`` prints it."""
        return str(self.directory / name) if self.directory else name

    def user(self) -> str:
        """Who asks, by the name that Slurm has for them; the number of a user without a name."""
        try:
            return pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:
            return str(os.geteuid())

    def output(self, name: str, *arguments: str) -> str:
        """Everything the command printed. Raises SlurmError."""
        return "".join(self.pieces(name, *arguments))

    def lines(self, name: str, *arguments: str) -> Iterator[str]:
        """The command's lines as they come; raises SlurmError at the end when the answer was not whole."""
        for piece in self.pieces(name, *arguments):
            if len(piece) >= LINE_MOST and not piece.endswith("\n"):
                raise SlurmError(
                    f"{name} printed a line of over {LINE_MOST} characters; nothing of it was used"
                )
            yield piece

    def pieces(self, name: str, *arguments: str, env: Mapping[str, str] = _AS_IT_IS) -> Iterator[str]:
        """As ``lines``, but a line of over LINE_MOST characters comes in pieces; ``env`` is added."""
        argv = [self.path(name), *arguments]
        with (
            tempfile.TemporaryFile("w+", errors="replace") as stderr,
            self._started(argv, stderr, env) as run,
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

    @contextmanager
    def _started(
        self, argv: Sequence[str], stderr: IO[str], env: Mapping[str, str]
    ) -> Iterator[tuple[subprocess.Popen[bytes], list[bool]]]:
        """The running process in a group of its own, killed when late or left; and whether it was late."""
        missed: list[bool] = []
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**self._environment(), **env},
                start_new_session=True,
            )
        except OSError as error:
            raise SlurmError(f"{argv[0]} cannot be run ({error.strerror}); set slurm.directory") from error
        timer = Timer(self.timeout_seconds, _miss, (process, missed))
        timer.daemon = True
        timer.start()
        try:
            yield process, missed
        finally:
            timer.cancel()
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
        kind = _kind(stderr.lower())
        failed = code or f"{name}: error:" in stderr or f"{name}: fatal:" in stderr
        if failed or kind is SlurmRefusedError:
            remedy = (
                "; the user needs AdminLevel=Operator, see saf doctor" if kind is SlurmRefusedError else ""
            )
            raise kind(f"{name} failed (exit {code}): {said}{remedy}")
        if not whole:
            raise SlurmError(f"{name}'s answer ends in the middle of a line; nothing of it was used")


def _miss(process: subprocess.Popen[bytes], missed: list[bool]) -> None:
    missed.append(True)
    _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
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
