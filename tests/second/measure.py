"""What was delivered, waited for and up in a quarter, exact: charges are fractions of resource-seconds.

Rule: a run's seconds lie evenly in its span and are cut to whole seconds by one cumulative function, so that
the hours of a run add up to what accounting charged. Nothing is counted beyond the last read.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tests.second.rows import Known, newest
from tests.second.who import REGIONAL, WHOLE, Answer, Piece, Who

HOUR = 3600
NONE = Fraction(0)
SAVES_POWER = re.compile(r"(?=.*(POWER|CLOUD|[~#%!]))((IDLE|ALLOCATED|MIXED|CLOUD|POWER\w+)[~#%!-]*\+?)+")
"""States of nodes that are up although an event says otherwise: they start when a job wants them."""
Weights = tuple[tuple[str, Fraction], ...]
Exact = Fraction | int
Hourly = dict[int, Exact]
Groups = dict[tuple[str, Answer], Exact]


class Window(NamedTuple):
    """A civil quarter, [since, until); ``number`` counts quarters from the year 0 on."""

    number: int
    since: int
    until: int

    @property
    def name(self) -> str:
        return f"{self.number // 4}Q{self.number % 4 + 1}"


class Span(NamedTuple):
    """Seconds that lie evenly in [start, end)."""

    start: int
    end: int
    seconds: int

    def before(self, at: int) -> int:
        """Whole seconds of it before an instant."""
        if at <= self.start or at >= self.end:
            return 0 if at <= self.start else self.seconds
        return (at - self.start) * self.seconds // (self.end - self.start)

    def by_hour(self, piece: Piece) -> Iterator[tuple[int, int]]:
        """(hour, seconds) of it in a piece."""
        first, last = max(self.start, piece.since), min(max(self.end, self.start + 1), piece.until)
        for hour in range(first - first % HOUR, last, HOUR):
            yield hour, self.before(min(hour + HOUR, last)) - self.before(max(hour, first))


@dataclass(kw_only=True)
class Measured:
    """A window in one resource, as far as accounting had been read."""

    window: Window
    term: Any
    weights: Weights
    read: int
    unread: int  #: seconds
    up: Hourly | None  #: None where the size of the cluster is not known all the time
    groups: Groups = field(default_factory=lambda: defaultdict(int))  #: by account and answer
    regional: Hourly = field(default_factory=lambda: defaultdict(int))
    everyone: Hourly = field(default_factory=lambda: defaultdict(int))
    waiting: Hourly = field(default_factory=lambda: defaultdict(int))
    others_waiting: Hourly = field(default_factory=lambda: defaultdict(int))

    @property
    def hours(self) -> range:
        """The hours that were read."""
        return range(self.window.since, min(self.window.until, self.read), HOUR)

    @property
    def charge(self) -> Fraction:
        return summed(self.groups.values())

    def of(self, side: str) -> Fraction:
        return side_of(self.groups, side)

    def starved(self, hours: Sequence[int]) -> Fraction | None:
        """What regional runs waited for while the region was short of its part of capacity, by hour."""
        if self.up is None:
            return None
        floor = {hour: promised(self.term) * self.up.get(hour, 0) for hour in hours}
        return summed(min(self.waiting[hour], max(NONE, floor[hour] - self.regional[hour])) for hour in hours)


def iso(at: int | None) -> str | None:
    """An instant as a report spells it."""
    return None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def ratio(part: Fraction, whole: Fraction | None) -> Fraction | None:
    """A part of something; None of nothing."""
    return part / whole if whole else None


def weights_of(term: Any) -> Weights:
    return tuple((name, Fraction(weight)) for name, weight in sorted(term.resource.items()))


def summed(charges: Any) -> Fraction:
    return sum(charges, start=NONE)


def plain(exact: Fraction) -> Exact:
    """An int where it is one: a million of these are added up."""
    return exact.numerator if exact.denominator == 1 else exact


def side_of(groups: Groups, side: str) -> Fraction:
    """What one side got."""
    return summed(found for (_, answer), found in groups.items() if answer.side == side)


def promised(term: Any, name: str = "share") -> Fraction:
    """A share as it is written, 0.25, not as the float next to it."""
    return Fraction(str(getattr(term, name)))


def quarter(number: int, zone: ZoneInfo) -> Window:
    """The quarter of a number, from civil midnight to civil midnight."""
    firsts = (datetime(one // 4, one % 4 * 3 + 1, 1, tzinfo=zone) for one in (number, number + 1))
    return Window(number, *(int(first.timestamp()) for first in firsts))


def delivered(run: Any, read: int) -> Span:
    """Until it ended or was last listed, less what was suspended."""
    if run.start_at is None:
        return Span(0, 0, 0)
    if run.end_at is not None:
        return Span(run.start_at, run.end_at, run.elapsed_seconds)
    seen = _last_listed(run, read)
    running = max(0, seen - run.start_at - run.suspended_seconds)
    seconds = run.elapsed_seconds if run.state == "SUSPENDED" else running
    return Span(run.start_at, max(run.start_at, seen), seconds)


def waited(run: Any, read: int) -> Span:
    """From eligible until it started, ended or was last listed."""
    if run.eligible_at is None:
        return Span(0, 0, 0)
    ends = [at for at in (run.start_at, run.end_at) if at is not None] or [_last_listed(run, read)]
    end = max(run.eligible_at, min(ends))
    return Span(run.eligible_at, end, end - run.eligible_at)


def _last_listed(run: Any, read: int) -> int:
    return read if run.missing_since is None else min(read, int(run.missing_since))


@cache
def count(text: str, weights: Weights) -> Fraction:
    """How much of a resource a text of TRES has."""
    counts = dict(entry.split("=") for entry in text.split(",") if entry)
    return summed(Fraction(counts[name]) * weight for name, weight in weights if name in counts)


def wanted(run: Any, weights: Weights) -> Fraction:
    """What a run waits for: what it gets or, while it has not started, what each of its tasks asks for."""
    if run.start_at is not None:
        return count(run.alloc_tres or run.req_tres, weights)
    return count(run.req_tres, weights) * tasks(run.job_label)


def tasks(label: str) -> int:
    """How many tasks of an array may run at once: 3 of 7_[1-9%3]; 1 of any other job."""
    listed, _, limit = label.partition("[")[2].rstrip("]").partition("%")
    found = re.findall(r"(\d+)(?:-(\d+)(?::(\d+))?)?", listed)
    number = sum((int(last or first) - int(first)) // int(step or 1) + 1 for first, last, step in found) or 1
    return min(number, int(limit)) if limit else number


Side = Callable[[Answer], str | None]
"""The side that an answer is on; None where it does not count at all."""


def measure(
    known: Known, who: Who, weights: Weights, window: Window, term: Any, side: Side = lambda one: one.side
) -> Measured:
    """Everything that adds up in a window."""
    read, since, until = known.read_until, window.since, min(window.until, known.read_until)
    unread = known.unread(since, window.until if window.until <= known.then else until)
    up = capacity(known, weights, since, until)
    found = Measured(window=window, term=term, weights=weights, read=read, unread=unread, up=up)
    pieces: dict[int, list[Piece]] = {}
    for run in known.runs:
        if run.subject_id not in pieces:
            pieces[run.subject_id] = [*who.pieces(run, since, until)]
        for piece in pieces[run.subject_id]:
            if (own := side(piece.answer)) is not None:
                _add(found, run, piece._replace(answer=piece.answer._replace(side=own)))
    return found


def _add(found: Measured, run: Any, piece: Piece) -> None:
    """What of a run lies in a piece."""
    regional, fraction = piece.answer.side == REGIONAL, piece.answer.fraction
    had, ran = plain(count(run.alloc_tres, found.weights) * fraction), 0
    for hour, seconds in delivered(run, found.read).by_hour(piece):
        ran += seconds
        found.everyone[hour] += had * seconds
        found.regional[hour] += had * seconds if regional else 0
    found.groups[run.account, piece.answer] += had * ran
    missed, series = (
        plain(wanted(run, found.weights) * fraction),
        found.waiting if regional else found.others_waiting,
    )
    for hour, seconds in waited(run, found.read).by_hour(piece):
        series[hour] += missed * seconds


def _asked(run: Any, weights: Weights, read: int) -> Fraction:
    """What an open run holds, or wants and could have, at the last read."""
    if run.state == "RUNNING":
        return count(run.alloc_tres, weights)
    eligible = run.start_at is None and run.eligible_at is not None and run.eligible_at <= read
    return wanted(run, weights) if eligible else NONE


def capacity(
    known: Known, weights: Weights, since: int, until: int, *, whole_size: bool = False
) -> Hourly | None:
    """Size less the outages of nodes, by hour, never below 0; None where the size is not always known.

    With ``whole_size`` no node counts as out.
    """
    whole, up, known_for = Piece(since, until, Answer(WHOLE, "")), defaultdict[int, Exact](int), 0
    for size in newest(known.rows("sizes", "recorded_at"), "since"):
        for hour, seconds in _lasting(size, 0, until).by_hour(whole):
            up[hour] += plain(count(size.tres, weights)) * seconds
            known_for += seconds
    if known_for < until - since:
        return None
    reached = defaultdict[str, int](int)  # a node cannot be missing twice at once
    outages = [] if whole_size else newest(known.rows("outages", "recorded_at"), "node", "since")
    for one in sorted(outages, key=lambda row: int(row.since)):
        if not SAVES_POWER.fullmatch(one.state):
            span = _lasting(one, reached[one.node], until)
            reached[one.node] = max(reached[one.node], span.end)
            for hour, seconds in span.by_hour(whole):
                up[hour] -= plain(count(one.tres, weights)) * seconds
    return {hour: max(0, found) for hour, found in up.items()}


def _lasting(event: Any, since: int, until: int) -> Span:
    """What of an event lies at or after an instant; one that has no end lasts until another."""
    end = until if event.until is None else event.until
    start = min(max(event.since, since), end)
    return Span(start, end, end - start)
