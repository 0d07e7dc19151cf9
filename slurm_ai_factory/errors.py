"""The errors that saf raises, for the person who has to act on them.

One base class. Every message is one sentence: what happened, where, and what to do next. An error raised
without a message has its docstring as one. Errors of drivers and of the operating system stop at the edge
where they occur, and go on as ``__cause__``. Tested in tests/slurm/test_commands.py and
tests/end_to_end/test_failures.py.
"""

from __future__ import annotations

import errno
from inspect import cleandoc


class SafError(Exception):
    """The command could not be completed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or cleandoc(self.__doc__ or ""))


class HoldError(SafError):
    """Nothing may be read or steered now."""

    reason = "read_failed"
    """The hold it causes: one of ``core.control.reasons.HOLDS``."""


class ClockError(HoldError):
    """The clocks of this machine, of slurmctld and of the ledger disagree; nothing was read or changed."""

    reason = "clock"


class ConfigError(SafError):
    """The configuration is not usable; `saf config check` says why."""


class ClosedConfigError(ConfigError):
    """This user may not read the configuration."""


class SlurmError(SafError):
    """Slurm did not answer completely; nothing was changed."""


class SlurmTooMuchError(SlurmError):
    """Slurm missed its deadline, or refused so wide an interval; nothing was changed."""


class SlurmRefusedError(SlurmError):
    """Slurm refused a change; the daemon's user needs AdminLevel=Operator."""


class SlurmUnsupportedError(SlurmError):
    """This Slurm was built or installed without a feature that was asked for."""


class GarbledError(SlurmError):
    """Slurm's answer does not have the fields that were asked for; nothing of it was used."""


class BlindError(SlurmError, HoldError):
    """Slurm hides rows from this user, so its answers are incomplete; nothing of them was used."""

    reason = "blind"


class LedgerError(SafError):
    """The ledger could not be read or written; nothing was changed in Slurm."""


class MeterError(SafError):
    """A meter could not be read; nothing was recorded."""


class RefusedError(SafError):
    """The input is wrong; nothing of it was recorded."""


class StandbyError(LedgerError):
    """Another saf is active for this cluster; this one stands by."""


_SHORT_OF = {
    errno.EMFILE: "this process may open no further file; raise its limit (LimitNOFILE, ulimit -n)",
    errno.ENFILE: "this machine may open no further file; raise fs.file-max",
    errno.EAGAIN: "no further process or thread may be started; raise TasksMax, or ulimit -u of the user",
    errno.ENOMEM: "there is no memory left; free some, or raise the limit (MemoryMax, ulimit -v)",
}


def shortage(error: BaseException) -> str:
    """What this process has run out of, and the remedy; empty for any other error.

    >>> shortage(OSError(errno.EMFILE, "Too many open files"))
    'this process may open no further file; raise its limit (LimitNOFILE, ulimit -n)'
    >>> shortage(MemoryError()) == _SHORT_OF[errno.ENOMEM]
    True
    >>> shortage(RuntimeError("can't start new thread")) == _SHORT_OF[errno.EAGAIN]
    True
    >>> shortage(OSError(errno.ENOENT, "No such file")), shortage(RuntimeError("broken"))
    ('', '')
    """
    if isinstance(error, OSError):
        return _SHORT_OF.get(error.errno or 0, "")
    if isinstance(error, MemoryError):
        return _SHORT_OF[errno.ENOMEM]
    no_thread = isinstance(error, RuntimeError) and "can't start new thread" in str(error)
    return _SHORT_OF[errno.EAGAIN] if no_thread else ""


def one_sentence(error: Exception) -> str:
    """Any error in one sentence, for the log and the status page.

    >>> one_sentence(OSError(errno.ENOSPC, "No space left on device", "/tmp/x"))
    '/tmp/x cannot be used: No space left on device'
    >>> one_sentence(KeyError("x"))
    "unexpected KeyError: 'x'; this is a defect, please report it"
    """
    if isinstance(error, SafError):
        return str(error)
    if isinstance(error, OSError):
        return shortage(error) or f"{error.filename or 'a file'} cannot be used: {error.strerror or error}"
    return shortage(error) or (
        f"unexpected {type(error).__name__}: {error}; this is a defect, please report it"
    )


def reason(error: Exception) -> str:
    """Why an answer cannot be read, for an operator.

    >>> reason(KeyError("ClusterName")), reason(ValueError("'x' is no number"))
    ("it has no 'ClusterName'", "'x' is no number")
    >>> reason(ValueError("not enough values to unpack (expected 2, got 1)"))
    'it lacks columns'
    """
    if isinstance(error, KeyError):
        return f"it has no {error}"
    return "it lacks columns" if "to unpack" in str(error) else str(error)
