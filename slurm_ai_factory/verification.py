"""Whether the ledger agrees with itself: what it keeps twice, and what was given out from it.

Usage by hour is kept up to date by every read, and sums by hour by every question; both must be what the runs
make of them. A report that was given out must have the fingerprint that it had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from slurm_ai_factory import cycle, reporting
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.charge import hour_of
from slurm_ai_factory.core.records import DAY, HOUR, Instant, Interval
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.ledger.hour_sums import Compared
from slurm_ai_factory.ledger.publishing import Published

AT_ONCE = 31 * DAY
"""Hours that are compared by one query; what PostgreSQL sorts for them fits its memory or its disk."""

Compare = Callable[[Instant, Instant], Compared]
Progress = Callable[[Interval], object]


class Verified(NamedTuple):
    """What was looked at: how many, how many of them are not as they must be, and the first of those."""

    check: str
    compared: int
    differing: int
    first: str = ""


def parts(ledger: Ledger) -> list[Interval]:
    """The whole hours that the ledger has anything of, as they are compared at once."""
    since, until = ledger.accounting.span() or (0, 0)
    end = hour_of(until + HOUR - 1)
    return [(first, min(first + AT_ONCE, end)) for first in range(hour_of(since), end, AT_ONCE)]


def verify(
    config: Config, ledger: Ledger, hours: Sequence[Interval], progress: Progress
) -> Iterator[Verified]:
    """Every check; ``progress`` is told of each interval, twice. Raises LedgerError."""
    books, weights = ledger.books(cycle.rules_of(config, ledger)), config.promise.resource
    yield _by_hour("hourly usage", ledger.accounting.usage_compared, hours, progress)
    yield _by_hour(
        "hourly sums", lambda since, until: books.sums_compared(since, until, weights), hours, progress
    )
    yield _reports(config, ledger)


def _by_hour(check: str, compare: Compare, hours: Sequence[Interval], progress: Progress) -> Verified:
    found = []
    for part in hours:
        found.append(compare(*part))
        progress(part)
    first = min((one.first for one in found if one.first is not None), default=None)
    rows, differing = sum(one.rows for one in found), sum(one.differing for one in found)
    return Verified(check, rows, differing, "" if first is None else windows.iso(first))


def _reports(config: Config, ledger: Ledger) -> Verified:
    given = ledger.publishing.all()
    others = [
        f"{one.window} as of {windows.iso(one.as_of)}"
        for one in given
        if _fingerprint(config, ledger, one) != one.fingerprint
    ]
    return Verified("reports", len(given), len(others), others[0] if others else "")


def _fingerprint(config: Config, ledger: Ledger, given: Published) -> str:
    """That of the same report, made now."""
    window = windows.window(given.window, given.as_of, config.promise.time_zone)
    return reporting.fingerprint(reporting.asked(config, ledger, given.as_of), window)
