"""Users of this machine: who this process runs as, and what the system tells of who started it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from slurm_ai_factory.core.programme.persons import Signs

LOGIN = Path("/proc/self/loginuid")
UNSET = 2**32 - 1
"""The audit uid of what no login started: services, containers."""


def name_of(uid: int) -> str:
    """A user's name; the number of one without a name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def user_name() -> str:
    """The user this runs as, as Slurm knows it."""
    return name_of(os.geteuid())


def signs() -> Signs:
    """What the system tells of this process."""
    return Signs(os.geteuid(), user_name(), _login(), _sudo())


def _login() -> str:
    try:
        uid = int(LOGIN.read_text())
    except (OSError, ValueError):
        return ""
    return "" if uid == UNSET else name_of(uid)


def _sudo() -> str:
    said = os.environ.get("SUDO_USER", "")
    try:
        return pwd.getpwnam(said).pw_name
    except KeyError:
        return ""
