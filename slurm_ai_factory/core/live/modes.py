"""The modes of the daemons of a cluster: one that takes over does what its own mode says.

Pure. Tested in tests/doctor/test_checks.py and tests/end_to_end/test_daemon.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from slurm_ai_factory.core.records import Mode


class RunningDaemon(NamedTuple):
    """A daemon that runs now: the leader, or one that stands by."""

    name: str  #: saf@host:pid
    mode: Mode


def modes_differ(daemons: Iterable[RunningDaemon]) -> str:
    """The sentence that daemons of a cluster run in different modes; empty where all are alike.

    >>> one, two = RunningDaemon("saf@a:1", Mode.ENFORCE), RunningDaemon("saf@b:2", Mode.OBSERVE)
    >>> modes_differ([one, two])
    'the daemons run in different modes: saf@a:1 in mode enforce, saf@b:2 in mode observe'
    >>> modes_differ([one]), modes_differ([])
    ('', '')
    """
    running = sorted(daemons)
    each = ", ".join(f"{name} in mode {mode}" for name, mode in running)
    return f"the daemons run in different modes: {each}" if len({mode for _, mode in running}) > 1 else ""
