"""How long names and free texts are kept. Tested in tests/ledger/test_privacy.py."""

from __future__ import annotations

from typing import NamedTuple

from slurm_ai_factory.core.records import DAY, Instant

MOST_BETWEEN = 2 * DAY
"""The timer runs once a day; two days allow for one on which the machine was off."""


class Retention(NamedTuple):
    """Seconds that each kind is kept; None for as long as the ledger."""

    users: int | None = None  #: names of users, from the end of a run on
    lines: int | None = None  #: lines that could not be read, from the last read that listed them on
    staff: int | None = None  #: actors
    texts: int | None = None  #: reasons, activities, notes, sentences

    @property
    def asked(self) -> bool:
        """Whether anything is to be removed at all."""
        return any(kept is not None for kept in self)

    def due(self, now: Instant) -> Due:
        """The instants before which each kind is too old now.

        >>> Retention(users=40, texts=90).due(100)
        Due(users=60, lines=None, staff=None, texts=10)
        """
        return Due(*(None if kept is None else now - kept for kept in self))


class Due(NamedTuple):
    """The instants before which each kind is removed; None where it stays."""

    users: Instant | None = None
    lines: Instant | None = None
    staff: Instant | None = None
    texts: Instant | None = None


class Retained(NamedTuple):
    """When retention last ran, and when the ledger was first read into; None for never."""

    last: Instant | None
    first_read: Instant | None

    def overdue(self, now: Instant) -> bool:
        """Whether it should have run again by now.

        >>> Retained(None, None).overdue(9 * DAY), Retained(None, 0).overdue(9 * DAY)
        (False, True)
        >>> Retained(8 * DAY, 0).overdue(9 * DAY)
        False
        """
        begun = self.first_read if self.last is None else self.last
        return begun is not None and now - begun > MOST_BETWEEN
