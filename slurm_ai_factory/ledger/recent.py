"""What this process was answered last, so that a cycle asks only for what a read has touched since.

Every read notes the earliest hour it changed; what lies before is what it was. Nothing rests on this: for
other rules, another resource or an earlier start the ledger is asked, and then that is what is recent.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from slurm_ai_factory.core.charge import hour_of
from slurm_ai_factory.core.measure.share import HourUsage, SortedRun
from slurm_ai_factory.core.records import Instant, Interval
from slurm_ai_factory.core.rules.classify import ClassifiedPart
from slurm_ai_factory.ledger.store import Store


class SumScope(NamedTuple):
    """What hours are a sum of: one resource, by one set of rules."""

    cluster_id: int
    set_id: int
    resource: str


@dataclass(slots=True)
class Covered:
    """What no read had covered of an interval when that was asked last; what is covered stays so."""

    since: Instant = 0
    until: Instant = 0
    gaps: list[Interval] = field(default_factory=list)

    def unread(
        self, since: Instant, until: Instant, ask: Callable[[Instant, Instant], Iterable[Interval]]
    ) -> int:
        """Seconds of [since, until) that no read has covered, where ``ask`` tells the gaps of an interval."""
        follows = self.since <= since <= self.until <= until
        open_yet = [*self.gaps, (self.until, until)] if follows else [(since, until)]
        cut = [(max(start, since), end) for start, end in open_yet if max(start, since) < end]
        self.since, self.until = since, until
        self.gaps = [gap for start, end in cut for gap in ask(start, end)]
        return sum(end - start for start, end in self.gaps)


class Version(NamedTuple):
    """Open runs whose rows in the ledger were written by the same transaction."""

    listed: str  #: their DBIndexes, with commas between
    runs: dict[str, SortedRun]  #: by DBIndex, those that are known

    def at(self, listed: str) -> Version:
        """The same where these are left of them."""
        if listed == self.listed:
            return self
        return Version(listed, {index: self.runs[index] for index in listed.split(",") if index in self.runs})

    def unknown(self) -> list[str]:
        """Those that are not known."""
        if len(self.runs) > self.listed.count(","):
            return []
        return [index for index in self.listed.split(",") if index not in self.runs]


@dataclass(slots=True)
class OpenRuns:
    """The open runs and who they are for by one set of rules. A row that is changed gets another version."""

    set_id: int | None = None
    versions: dict[str, Version] = field(default_factory=dict)

    def unknown(self, set_id: int, rows: Iterable[tuple[str, str]]) -> list[str]:
        """These are open now, (version, DBIndexes); which of them are not known."""
        before = self.versions if set_id == self.set_id else {}
        self.set_id = set_id
        self.versions = {
            version: before[version].at(listed) if version in before else Version(listed, {})
            for version, listed in rows
        }
        return [index for one in self.versions.values() for index in one.unknown()]

    def all(self, asked: Iterable[tuple[str, SortedRun]]) -> list[SortedRun]:
        """All of them with those that were asked for, (version, run), which are known from now on."""
        known = [run for one in self.versions.values() for run in one.runs.values()]
        for version, one in asked:
            known.append(one)
            if one.parts and version in self.versions:
                self.versions[version].runs[str(one.run.db_index)] = one
        return known


@dataclass(slots=True)
class Recent:
    """The hours of one sum in their order, whom subjects are for by one set of rules, and the open runs."""

    summed: SumScope | None = None
    since: Instant = 0
    read_id: int = 0  #: the ledger's newest read when the hours were asked for
    hours: list[HourUsage] = field(default_factory=list)
    set_id: int | None = None
    parts: dict[int, tuple[ClassifiedPart, ...]] = field(default_factory=dict)
    open_runs: OpenRuns = field(default_factory=OpenRuns)

    def usage(
        self,
        store: Store,
        summed: SumScope,
        since: Instant,
        until: Instant,
        ask: Callable[[Instant], Iterable[HourUsage]],
    ) -> Sequence[HourUsage]:
        """Usage by hour in [since, until), where ``ask`` tells it from an hour on. Inside one snapshot."""
        newest = self._forget(store, summed, since)
        known = min(self.hours[-1].hour, until) if self.hours else since
        self.hours = [*self._before(known), *sorted(ask(known))]
        self.summed, self.since, self.read_id = summed, since, newest
        return self._before(until)

    def _forget(self, store: Store, summed: SumScope, since: Instant) -> int:
        """Drop what is of another sum, what lies before, and what was touched; the ledger's newest read."""
        row = store.one("touched_since", cluster_id=summed.cluster_id, read_id=self.read_id)
        newest, touched = row or (None, None)
        if summed != self.summed or since < self.since or (newest or 0) < self.read_id:
            self.hours = []
        if touched is not None:
            self.hours = self._before(hour_of(touched))
        self.hours = self.hours[len(self._before(since)) :]
        return newest or 0

    def _before(self, at: Instant) -> list[HourUsage]:
        return self.hours[: bisect_left(self.hours, at, key=lambda one: one.hour)]

    def parts_of(
        self,
        set_id: int,
        subjects: set[int],
        ask: Callable[[set[int]], dict[int, tuple[ClassifiedPart, ...]]],
    ) -> dict[int, tuple[ClassifiedPart, ...]]:
        """Whom these subjects are for, where ``ask`` tells it of those not known; an answer never changes."""
        if set_id != self.set_id:
            self.set_id, self.parts = set_id, {}
        unknown = subjects - self.parts.keys()
        if unknown:
            self.parts |= ask(unknown)
        return self.parts
