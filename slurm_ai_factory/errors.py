"""What can go wrong, for the person who has to act on it.

One base class. Every message is a sentence saying what happened, where, and what to do next; an error
raised without a message says its own docstring. Driver and operating-system errors stop at the edge that
met them and travel on as ``__cause__``.
"""

from __future__ import annotations

from inspect import cleandoc


class SafError(Exception):
    """The command could not be completed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or cleandoc(self.__doc__ or ""))


class HoldError(SafError):
    """Nothing may be read or steered now."""

    reason = "read_failed"
    """The hold that shows it: one of ``core.reasons.HOLDS``."""


class ClockError(HoldError):
    """The clocks of this machine, of slurmctld and of the ledger disagree; nothing was read or changed."""

    reason = "clock"


class ConfigError(SafError):
    """The configuration is not usable; `saf config check` says why."""


class SlurmError(SafError):
    """Slurm did not answer, or not completely; nothing was changed."""


class SlurmTooMuchError(SlurmError):
    """Slurm did not answer within its deadline, or refused so wide an interval; nothing was changed."""


class SlurmRefusedError(SlurmError):
    """Slurm refused a change; the daemon's user needs AdminLevel=Operator."""


class SlurmUnsupportedError(SlurmError):
    """This Slurm was built or installed without what was asked of it."""


class GarbledError(SlurmError):
    """Slurm's answer does not have the fields that were asked for; nothing of it was used."""


class BlindError(SlurmError, HoldError):
    """Slurm hides rows from this user, so its answers are not whole; nothing of them was used."""

    reason = "blind"


class LedgerError(SafError):
    """The ledger could not be read or written; nothing was changed in Slurm."""


class RefusedError(SafError):
    """What was given is wrong, and nothing of it was taken over."""


class StandbyError(LedgerError):
    """Another saf is active for this cluster; this one stands by."""
