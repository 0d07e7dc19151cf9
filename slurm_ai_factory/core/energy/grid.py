"""Whether the connection to the grid stayed within what was allowed. Pure.

For each quarter of an hour P <= L, with P the sum of the connection's meters (P_15MIN) and L the least that
was allowed.

The rule: a quarter in which a meter has no reading, or of which it is not known what was allowed,
leaves the window open, unless another quarter was exceeded already. The verdict shows that the connection
stayed within what was allowed. It does not show what the grid would have been without the facility.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from slurm_ai_factory.core import canonical
from slurm_ai_factory.core.energy.allowed import AllowedEntry, least, limited_seconds, quarters
from slurm_ai_factory.core.energy.meters import NOT_ENDED, QUARTER, Reading
from slurm_ai_factory.core.measure.judgement import Judgement
from slurm_ai_factory.core.records import FOREVER, HOUR, Instant, Verdict, Window

GRID_GROUNDS = {
    "within": "in every quarter of an hour the connection drew no more than was allowed",
    "exceeded": "the connection drew more than was allowed",
    "no_profile": "it is not known what was allowed all the time; run saf grid import",
    "unread": "a meter has no reading of every quarter of an hour; run saf meter import",
    "not_over": "the window is not over",
}
"""Why a verdict on the grid is what it is."""

SHOWS = (
    "It shows whether the connection stayed within what was allowed, not what the grid would be without it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GridMeasurement:
    """The connection in a window; made by ``measure_grid``. Counts and energy add up over parts of it."""

    window: Window
    as_of: Instant
    quarters: int  #: that are over
    unread: int  #: of these, without a reading of each meter
    unallowed: int  #: of these, without a row of allowed power
    compared: int  #: of these, with both
    exceeded: int
    excess_kwh: Fraction  #: sum of what was drawn above the limit
    peak_kw: Fraction | None  #: None where nothing was read
    newest_kw: Fraction | None  #: of the newest quarter that was read
    newest_allowed_kw: Fraction | None  #: what was allowed in it; None where that is not known
    limited_seconds: int  #: of the window, under a limit of a time-duration right
    evidence: Mapping[str, object]  #: what the figures rest on


def highest(
    readings: Iterable[Reading],
    meters: Mapping[str, Instant],
    window: Window,
    ends: Mapping[str, Instant] = NOT_ENDED,
) -> Fraction | None:
    """The highest power of a quarter that was read in a window, in kW; None where none was."""
    return max(power(readings, meters, window.since, window.until, ends).values(), default=None)


def power(
    readings: Iterable[Reading],
    meters: Mapping[str, Instant],
    since: Instant,
    until: Instant,
    ends: Mapping[str, Instant] = NOT_ENDED,
) -> dict[Instant, Fraction]:
    """The power of the connection in kW, by the beginning of each quarter that every meter has a reading of.

    ``meters`` are those of the connection with their first reading: none can lack one before it, nor after
    it was taken out of use (``ends``).
    """
    by_quarter: dict[Instant, dict[str, Fraction]] = {}
    for reading in readings:
        if reading.since % QUARTER == 0 and since <= reading.since and reading.until <= until:
            by_quarter.setdefault(reading.since, {})[reading.meter] = reading.watts / 1000
    return {
        at: sum(values.values(), Fraction(0))
        for at, values in sorted(by_quarter.items())
        if values.keys()
        >= {meter for meter, first in meters.items() if first <= at < ends.get(meter, FOREVER)}
    }


def measure_grid(
    window: Window,
    as_of: Instant,
    readings: Sequence[Reading],
    meters: Mapping[str, Instant],
    entries: Sequence[AllowedEntry],
    ends: Mapping[str, Instant] = NOT_ENDED,
) -> GridMeasurement:
    """The figures of a window, from readings of P_15MIN and allowed power as known ``as_of``."""
    until = min(window.until, as_of)
    over = quarters(window.since, until)
    drawn = power(readings, meters, window.since, until, ends)
    strictest = least(entries, window.since, until)
    excess = {
        at: drawn[at] - Fraction(strictest[at].allowed.max_kw)
        for at in over
        if at in drawn and at in strictest
    }
    above = [kw for kw in excess.values() if kw > 0]
    newest = max(drawn, default=None)
    allowed_then = strictest.get(newest) if newest is not None else None
    return GridMeasurement(
        window=window,
        as_of=as_of,
        quarters=len(over),
        unread=sum(at not in drawn for at in over),
        unallowed=sum(at not in strictest for at in over),
        compared=len(excess),
        exceeded=len(above),
        excess_kwh=sum(above, Fraction(0)) * QUARTER / HOUR,
        peak_kw=max(drawn.values(), default=None),
        newest_kw=None if newest is None else drawn[newest],
        newest_allowed_kw=Fraction(allowed_then.allowed.max_kw) if allowed_then else None,
        limited_seconds=limited_seconds(entries, window.since, window.until),
        evidence=_evidence(over, drawn, strictest),
    )


def _evidence(
    over: Iterable[Instant], drawn: Mapping[Instant, Fraction], strictest: Mapping[Instant, AllowedEntry]
) -> dict[str, object]:
    """How much was read, which rows counted, and a digest of both for every quarter."""
    rows: list[canonical.Plain] = [
        [at, str(drawn.get(at, "")), strictest[at].entry_id if at in strictest else None,
         str(Fraction(strictest[at].allowed.max_kw)) if at in strictest else ""]
        for at in over
    ]  # fmt: skip
    return {
        "quarters_read": len(drawn),
        "allowed_entries": sorted({entry.entry_id for entry in strictest.values()}),
        "digest": canonical.digest("grid", 1, rows),
    }


def judge_grid(m: GridMeasurement) -> Judgement:
    """The verdict on the grid, with its reason, a key of GRID_GROUNDS."""
    if m.exceeded:
        return Judgement(Verdict.EXCEEDED, "exceeded")
    if m.unallowed:
        return Judgement(Verdict.OPEN, "no_profile")
    if m.unread:
        return Judgement(Verdict.OPEN, "unread")
    if m.window.until - m.window.until % QUARTER > m.as_of:
        return Judgement(Verdict.OPEN, "not_over")
    return Judgement(Verdict.KEPT, "within")
