"""What was delivered, waited for and up in a window, exact: charges are fractions of resource-seconds.

Rule: a run's seconds lie evenly in its span and are cut to whole seconds by one cumulative function, so that
the hours of a run add up to what accounting charged. Nothing is counted beyond the last read.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.second.rows import Known, Row, Run, Subject, newest
from tests.second.who import REGIONAL, Answer, Piece, Who

HOUR = 3600
POWER = {"CLOUD", "POWERED_DOWN", "POWERING_DOWN", "POWERING_UP", "POWER_DOWN", "POWER_UP"}
USABLE = {"ALLOCATED", "MIXED", "IDLE", "COMPLETING", "RESERVED", "PLANNED", "UNDRAIN", "RESUME"}
Weights = tuple[tuple[str, Fraction], ...]
Hourly = dict[int, Fraction]


class Window(NamedTuple):
    """A civil quarter, [since, until)."""

    name: str
    since: int
    until: int


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
    """A window by one resource, as far as accounting had been read."""

    window: Window
    read: int
    unread: int  #: seconds
    term: Row
    resource: str
    groups: dict[tuple[str, Answer], Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    regional: Hourly = field(default_factory=lambda: defaultdict(Fraction))
    total: Hourly = field(default_factory=lambda: defaultdict(Fraction))
    waiting: Hourly = field(default_factory=lambda: defaultdict(Fraction))
    capacity: Hourly | None = None  #: None where no size of the cluster is known
    demand: Fraction = Fraction(0)  #: of the resource, held and wanted by regional runs at the last read

    @property
    def hours(self) -> range:
        """The hours that were read."""
        return range(self.window.since, min(self.window.until, self.read), HOUR)

    def of(self, side: str) -> Fraction:
        """The charge of one side."""
        return sum((found for (_, one), found in self.groups.items() if one.side == side), start=Fraction(0))

    @property
    def charge(self) -> Fraction:
        """The charge of all."""
        return sum(self.groups.values(), start=Fraction(0))

    def starved(self, hours: Sequence[int]) -> Fraction | None:
        """What regional runs waited for while the region was short of its part of capacity, by hour."""
        if self.capacity is None:
            return None
        share, up = share_of(self.term), self.capacity
        short = {hour: max(Fraction(0), share * up.get(hour, 0) - self.regional[hour]) for hour in hours}
        return sum((min(self.waiting[hour], short[hour]) for hour in hours), start=Fraction(0))


def share_of(term: Row, name: str = "share") -> Fraction:
    """A promised share as it is written, 0.25, not as the float next to it."""
    return Fraction(str(term[name]))


def quarter(name: str, zone: ZoneInfo) -> Window:
    """The quarter of a name such as 2027Q1, from civil midnight to civil midnight."""
    year, number = int(name[:4]), int(name[-1])
    ends = (year, number * 3 - 2), (year + number // 4, number * 3 % 12 + 1)
    since, until = (int(datetime(*end, 1, tzinfo=zone).timestamp()) for end in ends)
    return Window(name, since, until)


def quarter_before(window: Window, zone: ZoneInfo) -> Window:
    """The quarter that ends where this one begins."""
    year, number = int(window.name[:4]), int(window.name[-1])
    return quarter(f"{year}Q{number - 1}" if number > 1 else f"{year - 1}Q4", zone)


def delivered(run: Run, read: int) -> Span:
    """When a run was delivered: to its end or, while it runs, to when it was last listed; less what was suspended."""
    if run.start is None:
        return Span(0, 0, 0)
    if run.end is not None:
        return Span(run.start, run.end, run.elapsed)
    seen = read if run.missing is None else run.missing
    seconds = run.elapsed if run.state == "SUSPENDED" else max(0, seen - run.start - run.suspended)
    return Span(run.start, max(run.start, seen), seconds)


def waited(run: Run, read: int) -> Span:
    """When a run could have started and did not: from eligible to its start, its end or when it was last listed."""
    if run.eligible is None:
        return Span(0, 0, 0)
    ends = [run.start, run.end if run.end is not None else run.missing]
    end = max(run.eligible, min((at for at in ends if at is not None), default=read))
    return Span(run.eligible, end, end - run.eligible)


@cache
def count(text: str, weights: Weights) -> Fraction:
    """How much of a resource a text of TRES has."""
    counts = dict(entry.split("=") for entry in text.split(",") if entry)
    return sum(
        (Fraction(counts[name]) * weight for name, weight in weights if name in counts), start=Fraction(0)
    )


def wanted(run: Run, weights: Weights) -> Fraction:
    """What a run waits or waited for: what it got or, where it never started, what each of its tasks asked for."""
    if run.start is not None:
        return count(run.alloc_tres or run.req_tres, weights)
    return count(run.req_tres, weights) * tasks(run.label)


def tasks(label: str) -> int:
    """How many tasks of an array may run at once: 3 of 7_[1-9%3]; 1 of any other job."""
    listed, _, limit = label.partition("[")[2].rstrip("]").partition("%")
    found = re.findall(r"(\d+)(?:-(\d+)(?::(\d+))?)?", listed)
    number = sum((int(last or first) - int(first)) // int(step or 1) + 1 for first, last, step in found) or 1
    return min(number, int(limit)) if limit else number


def measure(known: Known, who: Who, weights: Weights, window: Window, term: Row) -> Measured:
    """Everything that adds up in a window."""
    read = known.read_until()
    end = window.until if window.until <= known.then else min(window.until, read)
    unread = known.unread(window.since, end)
    resource = "+".join(name if weight == 1 else f"{weight}*{name}" for name, weight in weights)
    found = Measured(window=window, read=read, unread=unread, term=term, resource=resource)
    found.capacity = capacity(known, weights, found.hours.start, min(window.until, read))
    for subject, runs in known.runs().items():
        pieces = list(who.pieces(subject, window.since, min(window.until, read)))
        for run in runs:
            for piece in pieces:
                _add(found, run, piece, weights)
        found.demand += _regional_part(who, subject, read) * sum(_asked(run, weights, read) for run in runs)
    return found


def _add(found: Measured, run: Run, piece: Piece, weights: Weights) -> None:
    """What of a run lies in a piece."""
    had = count(run.alloc_tres, weights) * piece.answer.fraction
    key = run.subject.account, piece.answer
    for hour, seconds in delivered(run, found.read).by_hour(piece):
        found.groups[key] += had * seconds
        found.total[hour] += had * seconds
        if piece.answer.side == REGIONAL:
            found.regional[hour] += had * seconds
    if piece.answer.side == REGIONAL:
        missed = wanted(run, weights) * piece.answer.fraction
        for hour, seconds in waited(run, found.read).by_hour(piece):
            found.waiting[hour] += missed * seconds


def _regional_part(who: Who, subject: Subject, at: int) -> Fraction:
    """Which fraction of a subject's charge is regional at an instant."""
    found = (one.fraction for one in who.answers(subject, at) if one.side == REGIONAL)
    return sum(found, start=Fraction(0))


def _asked(run: Run, weights: Weights, read: int) -> Fraction:
    """What an open run holds, or wants and could have, at the last read."""
    if run.end is None and run.missing is None:
        if run.state == "RUNNING":
            return count(run.alloc_tres, weights)
        if run.start is None and run.eligible is not None and run.eligible <= read:
            return wanted(run, weights)
    return Fraction(0)


def capacity(known: Known, weights: Weights, since: int, until: int) -> Hourly | None:
    """Size less the outages of nodes, by hour and never below 0; None where no size is known."""
    whole, up = Piece(since, until, Answer(Fraction(1), "")), defaultdict[int, Fraction](Fraction)
    for size in newest(known.recorded("sizes"), "since"):
        for hour, seconds in _lasting(size, 0, until).by_hour(whole):
            up[hour] += count(size["tres"], weights) * seconds
    if not up:
        return None
    reached = defaultdict[str, int](int)  # a node cannot be missing twice at once
    outages = newest(known.recorded("outages"), "node", "since")
    for one in sorted(filter(_is_out, outages), key=lambda row: int(row["since"])):
        span = _lasting(one, reached[one["node"]], until)
        reached[one["node"]] = max(reached[one["node"]], span.end)
        for hour, seconds in span.by_hour(whole):
            up[hour] -= count(one["tres"], weights) * seconds
    return {hour: max(Fraction(0), found) for hour, found in up.items()}


def _lasting(event: Row, since: int, until: int) -> Span:
    """What of an event lies at or after an instant; one that has no end lasts until another."""
    end = until if event["until"] is None else event["until"]
    start = min(max(event["since"], since), end)
    return Span(start, end, end - start)


def _is_out(event: Row) -> bool:
    """Whether a node is out; one that only saves power starts when a job wants it."""
    words = {word.rstrip("~#%!-") for word in event["state"].split("+")}
    saves = words & POWER or set(event["state"]) & set("~#%!")
    return not saves or bool(words - POWER - USABLE)
