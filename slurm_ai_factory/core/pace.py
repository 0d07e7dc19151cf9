"""How long an interval to ask sacct for at once, and how far back to read again.

A query of a long interval can exceed what slurmdbd or a deadline allows; a short interval wastes the round
trip. So the interval is halved when Slurm gives up and doubled while it is quick. Records arrive late
(slurmctld queues them while slurmdbd is away) and change after their end (runaway fixes), the more rarely the
later: the last hour is read again every time, more once an hour and most once a day.
"""

from __future__ import annotations

from dataclasses import dataclass

from slurm_ai_factory.core.records import DAY, HOUR, Instant

SHORTEST = HOUR // 4
FEW_RUNS = 8_000
MANY_RUNS = 20_000
"""sacct holds its whole answer in memory, 6 kB a run; so does one read of ours, 1 kB a run."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The length of the next interval, between SHORTEST and ``longest``."""

    seconds: int
    longest: int

    def slower(self) -> Pace | None:
        """The pace after Slurm gave up; None when the interval cannot be shorter.

        >>> Pace(DAY, DAY).slower(), Pace(SHORTEST, DAY).slower()
        (Pace(seconds=43200, longest=86400), None)
        """
        return Pace(max(SHORTEST, self.seconds // 2), self.longest) if self.seconds > SHORTEST else None

    def after(self, runs: int) -> Pace:
        """The pace after an answer with ``runs`` runs.

        >>> [Pace(DAY, 4 * DAY).after(runs).seconds // HOUR for runs in (100, 10_000, 50_000)]
        [48, 24, 12]
        """
        if runs > MANY_RUNS:
            return self.slower() or self
        return Pace(min(self.longest, 2 * self.seconds), self.longest) if runs < FEW_RUNS else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """How far before the watermark to read again: each time, once an hour, once a day; seconds."""

    always: int
    hourly: int
    daily: int

    def since(self, mark: Instant, now: Instant) -> Instant:
        """Where the next read begins.

        >>> overlap = Overlap(always=60, hourly=600, daily=6000)
        >>> [overlap.since(mark, now) for mark, now in [(7300, 7400), (7100, 7300), (86300, 86500)]]
        [7240, 6500, 80300]
        """
        if mark // DAY != now // DAY:
            return mark - self.daily
        return mark - (self.hourly if mark // HOUR != now // HOUR else self.always)
