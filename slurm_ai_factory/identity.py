"""Users of this machine: who this process runs as, and who started it as far as the system knows.

Tested in tests/cli/test_approval.py.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from slurm_ai_factory.core.programme.persons import Signs

LOGIN = Path("/proc/self/loginuid")
UNSET = 2**32 - 1
"""The audit uid of processes that no login started, as of services and in containers."""


def name_of(uid: int) -> str:
    """A user's name, or the uid where it has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def user_name() -> str:
    """The user that this process runs as, by Slurm's name."""
    return name_of(os.geteuid())


def signs() -> Signs:
    """The users that this process runs as, was logged in as and came through sudo from; empty if unknown."""
    try:
        uid = int(LOGIN.read_text())
    except (OSError, ValueError):
        uid = UNSET
    try:
        sudo = pwd.getpwnam(os.environ.get("SUDO_USER", "")).pw_name
    except KeyError:
        sudo = ""
    return Signs(os.geteuid(), user_name(), "" if uid == UNSET else name_of(uid), sudo)
