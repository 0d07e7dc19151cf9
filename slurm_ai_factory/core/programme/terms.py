"""What was promised, from when on, as whom recorded it and by which document.

The rule: every instant has exactly one term. A term holds until the next one begins, the earliest also before
it began, and of two for the same beginning the one recorded last. A window is judged by one term, the one in
force at its start, so a term begins where a window begins, of its own kind and of the kind before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import FOREVER, HOUR, Instant, Window
from slurm_ai_factory.core.rules.organisations import Regional
from slurm_ai_factory.core.tres import Count

DELIVERED = "delivered"
"""The only thing that a share is measured of today."""

FIRST_REASON = "first"
"""Why the first term is there: the configuration said so."""

SAID = ("since", "source", "reason", "actor", "recorded_at")
"""Fields that tell of a term and change no verdict."""

STEPS = 24
"""So many windows on either side are searched for a beginning that two kinds have in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One term, whole: everything that a verdict depends on, and who recorded it."""

    promise: str = "region"  #: whose promise
    since: Instant  #: 0 for the first
    ended: bool = False  #: no promise holds from here on; the other fields are those of the term before
    share: float
    margin: float
    resource: Mapping[str, Count]  #: weights
    label: str  #: what people call one of the resource; empty for its own name
    window: str  #: month, quarter, half, year or rolling:30d
    time_zone: str
    share_of: str = DELIVERED
    unclassified_limit: float | None
    region: tuple[str, ...]  #: CBS codes of municipalities, in order
    min_organisations: int
    expertise_share: float
    source: str  #: the document that says so
    reason: str
    actor: str
    recorded_at: Instant

    @property
    def zone(self) -> ZoneInfo:
        """Civil time of its windows."""
        return ZoneInfo(self.time_zone)

    @property
    def retroactive(self) -> bool:
        """Whether it was recorded after it began. The first began before anything was measured."""
        return 0 < self.since < self.recorded_at

    def plain(self) -> dict[str, Any]:
        """The term as JSON has it, the same for equal terms; ``term_of`` takes it back.

        Digests of published reports are over it: the names and their meaning stay.
        """
        return {
            "promise": self.promise,
            "since": self.since,
            "ended": self.ended,
            "share": self.share,
            "margin": self.margin,
            "resource": {name: str(weight) for name, weight in sorted(self.resource.items())},
            "label": self.label,
            "window": self.window,
            "time_zone": self.time_zone,
            "share_of": self.share_of,
            "unclassified_limit": self.unclassified_limit,
            "region": list(self.region),
            "min_organisations": self.min_organisations,
            "expertise_share": self.expertise_share,
            "source": self.source,
            "reason": self.reason,
            "actor": self.actor,
            "recorded_at": self.recorded_at,
        }

    def differing(self, other: Term) -> list[str]:
        """The fields in which two terms promise different things."""
        mine, its = self.plain(), other.plain()
        return [name for name in mine if name not in SAID and mine[name] != its[name]]

    def cut(self, window: Window) -> Window:
        """The window; a rolling one reaches back no further than the term, which it is judged by."""
        return window._replace(since=max(window.since, self.since)) if window.rolling else window

    def begins_window(self, at: Instant) -> bool:
        """Whether one of its windows begins at an instant; a rolling one does at every hour."""
        return self.rolling or windows.window(self.window, at, self.zone).since == at

    @property
    def rolling(self) -> bool:
        """Whether its windows roll."""
        return self.window.startswith("rolling:")


def term_of(value: Mapping[str, Any]) -> Term:
    """The term that ``plain`` was made of."""
    weights = {name: _count(text) for name, text in sorted(value["resource"].items())}
    return Term(**{**value, "resource": weights, "region": tuple(value["region"])})


def _count(text: str) -> Count:
    return int(text) if text.isdecimal() else Decimal(text)


@dataclass(frozen=True, slots=True)
class PromiseTerms:
    """The terms of a promise as known at some instant: at least one, in the order in which they begin."""

    terms: tuple[Term, ...]

    def at(self, instant: Instant) -> Term:
        """The term in force at an instant."""
        return next((one for one in reversed(self.terms) if one.since <= instant), self.terms[0])

    def of(self, window: Window) -> Term:
        """The term that judges a window: the one at its start, of a rolling window the one at its end."""
        return self.at(window.until if window.rolling else window.since)

    def until(self, term: Term) -> Instant:
        """When the next term begins."""
        return min((one.since for one in self.terms if one.since > term.since), default=FOREVER)

    def between(self, since: Instant, until: Instant) -> list[Term]:
        """Those in force at some time in [since, until)."""
        return [self.at(since), *(one for one in self.terms if since < one.since < until)]

    def regional(self) -> frozenset[Regional]:
        """Which municipalities are regional, and when."""
        codes = {code for one in self.terms for code in one.region}
        return frozenset(Regional(code, *span) for code in codes for span in self._spans(code))

    def _spans(self, code: str) -> Iterator[tuple[Instant, Instant]]:
        since: Instant | None = None
        for one in self.terms:
            begins = 0 if one is self.terms[0] else one.since
            if code in one.region:
                since = begins if since is None else since
            elif since is not None:
                yield since, begins
                since = None
        if since is not None:
            yield since, FOREVER


def known(rows: Iterable[Term], then: Instant | None = None) -> PromiseTerms | None:
    """The terms of rows in the order of recording, as known now or then; None where there were none."""
    newest = {one.since: one for one in rows if then is None or one.recorded_at <= then}
    return PromiseTerms(tuple(newest[since] for since in sorted(newest))) if newest else None


def term_problems(present: PromiseTerms, new: Term) -> Iterator[str]:
    """Why a term may not be added to those present, each in a sentence."""
    if new.share_of != DELIVERED:
        yield f"a share of {new.share_of} is not measured yet; promise a share of what was delivered"
    if new.share + new.margin >= 1:
        yield f"share {new.share:g} and margin {new.margin:g} leave nothing to others; lower one of them"
    if not new.since or new.since % HOUR:
        yield f"{windows.iso(new.since)} is not a whole hour after the first term; usage is kept per hour"
        return
    if not new.differing(present.at(new.since)):
        yield "the term in force then says the same; nothing would change"
    before, after = _neighbours(present, new.since)
    for at, pair in ((new.since, (before, new)), *((one.since, (new, one)) for one in after)):
        if not all(one.begins_window(at) for one in pair):
            yield _inside(at, pair)


def _neighbours(present: PromiseTerms, since: Instant) -> tuple[Term, Sequence[Term]]:
    """The term just before an instant, and the first after it, where there is one."""
    return present.at(since - 1), [one for one in present.terms if one.since > since][:1]


def _inside(at: Instant, pair: tuple[Term, Term]) -> str:
    """That a term may not begin at an instant, and where it may."""
    names = dict.fromkeys(
        windows.window(one.window, at, one.zone).name for one in pair if not one.begins_window(at)
    )
    zone = pair[1].zone
    allowed = " or ".join(windows.civil_day(one, zone) for one in _common(at, pair))
    advice = f"begin at {allowed}" if allowed else "keep the time zone"
    return f"{windows.civil_day(at, zone)} is inside {' and '.join(names)}, which one term judges; {advice}"


def _common(at: Instant, pair: tuple[Term, Term]) -> Iterator[Instant]:
    """The nearest instants before and after at which windows of both kinds begin."""
    kind = next(one for one in pair if not one.rolling)
    for forward in (False, True):
        step = at
        for _ in range(STEPS):
            found = windows.window(kind.window, step if forward else step - 1, kind.zone)
            step = found.until if forward else found.since
            if all(one.begins_window(step) for one in pair):
                yield step
                break


def changes(terms: Iterable[Term]) -> list[tuple[Term, Term]]:
    """(before, after) wherever one of these terms promises something else than the one before it."""
    return [(one, other) for one, other in pairwise(terms) if one.differing(other)]
