"""Who acts, as the ledger records it: ``alice as slurm-ai-factory@host``, or the service alone.

The rule: a process is believed about itself only as far as the system does not contradict it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SERVICE_UIDS = range(1000)
"""root and system users, whom people become by sudo; another user's SUDO_USER is just a variable."""

NAME = re.compile(r"[\w.-]+")
"""A name that --as accepts."""


class Signs(NamedTuple):
    """What the system knows of a process; a name is empty where there is none."""

    uid: int  #: effective
    user: str  #: its name
    login: str = ""  #: who logged in, by the audit uid, which outlives su and sudo
    sudo: str = ""  #: SUDO_USER, where that is a user


def person(signs: Signs, claimed: str = "") -> str:
    """The person who acts: as ``claimed``, else who ran sudo, else who logged in, else the user itself.

    >>> person(Signs(998, "saf", "alice", "alice")), person(Signs(998, "saf", "bob", "alice"))
    ('alice', 'bob')
    """
    by_sudo = signs.uid in SERVICE_UIDS and signs.login in ("", signs.sudo)
    return claimed or (signs.sudo if by_sudo else "") or signs.login or signs.user


def actor(signs: Signs, host: str, claimed: str = "") -> str:
    """The person, and the user that the process runs as where that is another."""
    who, user = (name.replace(" ", "_") for name in (person(signs, claimed), signs.user))
    return f"{user}@{host}" if who == user else f"{who} as {user}@{host}"


def person_of(actor: str) -> str:
    """The person in the text of an actor.

    >>> person_of("alice as saf@host"), person_of("alice@example.org@host"), person_of("alice")
    ('alice', 'alice@example.org', 'alice')
    """
    who, as_user, _ = actor.partition(" as ")
    return who if as_user else actor.rpartition("@")[0] or actor
