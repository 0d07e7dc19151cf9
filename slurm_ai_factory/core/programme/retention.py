"""How long names of people and free texts are kept, and whether the command that ends that has run."""

from __future__ import annotations

from typing import NamedTuple

from slurm_ai_factory.core.records import DAY, Instant

MOST_BETWEEN = 2 * DAY
"""The timer runs once a day, and makes up for a day on which the machine was off."""


class Retention(NamedTuple):
    """Seconds that each is kept; None for as long as the ledger."""

    users: int | None = None  #: names of users, from the end of a run on
    lines: int | None = None  #: lines that could not be read, from the last read that met them on
    staff: int | None = None  #: who did it
    texts: int | None = None  #: reasons, activities, notes, sentences

    @property
    def asked(self) -> bool:
        """Whether anything is to go at all."""
        return any(one is not None for one in self)

    def due(self, now: Instant) -> Due:
        """What is too old now.

        >>> Retention(users=40, texts=90).due(100)
        Due(users=60, lines=None, staff=None, texts=10)
        """
        return Due(*(None if kept is None else now - kept for kept in self))


class Due(NamedTuple):
    """The instants before which each is to go; None where it stays."""

    users: Instant | None = None
    lines: Instant | None = None
    staff: Instant | None = None
    texts: Instant | None = None


class Retained(NamedTuple):
    """When retention last went through, and since when the ledger has anything; None for never."""

    last: Instant | None
    first_read: Instant | None

    def overdue(self, now: Instant) -> bool:
        """Whether it should have gone through since.

        >>> Retained(None, None).overdue(9 * DAY), Retained(None, 0).overdue(9 * DAY)
        (False, True)
        >>> Retained(8 * DAY, 0).overdue(9 * DAY)
        False
        """
        begun = self.first_read if self.last is None else self.last
        return begun is not None and now - begun > MOST_BETWEEN
