"""The terms of the promise: what was promised from when on, who recorded it, and by which document.

The rule: every instant has exactly one term. A term holds until the next one begins; the earliest also holds
before it began; of two with the same beginning the one recorded last holds. The term that applies at the
start of a window judges it, so a term begins where a window begins, of its kind and of the kind before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.measure.share import CAPACITY, DELIVERED, OF_PROMISE
from slurm_ai_factory.core.records import FIRST, FOREVER, HOUR, Bound, Instant, Window
from slurm_ai_factory.core.rules.classify import Membership, PromisedTo
from slurm_ai_factory.core.rules.organisations import Regional
from slurm_ai_factory.core.tres import Resource

FIRST_REASON = "first"
"""The reason of the first term, which comes from the configuration."""

DESCRIPTIVE = ("since", "source", "reason", "actor", "recorded_at")
"""Fields that describe a term and change no verdict."""

OF_REGION = ("min_organisations", "expertise_share")
"""Fields that only the first promise has."""

ROUNDING = 1e-9

STEPS = 24
"""Windows on either side that are searched for a beginning that two kinds have in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One complete term: everything that a verdict depends on, and who recorded it."""

    promise: str = FIRST  #: its name
    bound: Bound = Bound.FLOOR
    who: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Whom it is made to: conditions of PROMISED_TO, of which all hold; none for the first: the region."""
    since: Instant  #: 0 for the first
    ended: bool = False  #: no promise holds from here on; the other fields are those of the term before
    share: float
    margin: float
    resource: Resource
    label: str  #: what people call one of the resource; empty for its own name
    window: str  #: month, quarter, half, year or rolling:30d
    time_zone: str
    share_of: str = DELIVERED
    unclassified_limit: float | None
    region: tuple[str, ...]  #: CBS codes of municipalities, in order; none for a further promise
    min_organisations: int | None  #: of the first promise alone, as the next one; None for a further promise
    expertise_share: float | None
    source: str  #: the document it comes from
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
        """The term in JSON's types, the same for equal terms; ``term_of`` reads it back.

        Digests of published reports cover it: the names and their meaning stay.
        """
        return {
            "promise": self.promise,
            "since": self.since,
            "ended": self.ended,
            "share": self.share,
            "margin": self.margin,
            "resource": self.resource.plain(),
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
            **({} if self.promise == FIRST else {"bound": self.bound.value, "who": self.whom()}),
        }

    @property
    def conditions(self) -> PromisedTo:
        """Whom it is made to, in order."""
        return tuple(sorted(self.who.items()))

    def whom(self) -> dict[str, list[str]]:
        """The conditions in JSON's types."""
        return {key: list(names) for key, names in sorted(self.who.items())}

    def differing(self, other: Term) -> list[str]:
        """The fields in which two terms promise different things."""
        mine, its = self.plain(), other.plain()
        return [name for name in mine if name not in DESCRIPTIVE and mine[name] != its[name]]

    def cut(self, window: Window) -> Window:
        """The window; a rolling one reaches back no further than the term that judges it."""
        return window._replace(since=max(window.since, self.since)) if window.rolling else window

    def begins_window(self, at: Instant) -> bool:
        """Whether one of its windows begins at an instant; a rolling window begins at every hour."""
        return self.rolling or windows.window(self.window, at, self.zone).since == at

    @property
    def rolling(self) -> bool:
        """Whether its windows roll."""
        return self.window.startswith("rolling:")


def term_of(value: Mapping[str, Any]) -> Term:
    """The term of which ``Term.plain`` made this value.

    A further promise may have been recorded with values of the region; they never had a meaning.
    """
    further = value["promise"] != FIRST
    who = {key: tuple(names) for key, names in value.get("who", {}).items()}
    changed = {
        "resource": Resource.from_plain(value["resource"]),
        "region": tuple(value["region"]),
        "bound": Bound(value.get("bound", Bound.FLOOR)),
        "who": who,
        **(dict.fromkeys(OF_REGION) if further else {}),
    }
    return Term(**{**value, **changed})


def nothing_before(first: Term) -> Term:
    """The term before the first one of a further promise: none holds."""
    return replace(first, since=0, ended=True, reason=FIRST_REASON)


@dataclass(frozen=True, slots=True)
class PromiseTerms:
    """The terms of a promise as known at some instant: at least one, in the order in which they begin."""

    terms: tuple[Term, ...]

    def at(self, instant: Instant) -> Term:
        """The term that applies at an instant."""
        return next((term for term in reversed(self.terms) if term.since <= instant), self.terms[0])

    def of(self, window: Window) -> Term:
        """The term that judges a window: that at its start, or at the end of a rolling window."""
        return self.at(window.until if window.rolling else window.since)

    def until(self, term: Term) -> Instant:
        """When the next term begins."""
        return min((other.since for other in self.terms if other.since > term.since), default=FOREVER)

    def between(self, since: Instant, until: Instant) -> list[Term]:
        """The terms that apply at some time in [since, until)."""
        return [self.at(since), *(term for term in self.terms if since < term.since < until)]

    def regional(self) -> frozenset[Regional]:
        """Which municipalities are regional, and when."""
        codes = {code for term in self.terms for code in term.region}
        return frozenset(Regional(code, *span) for code in codes for span in self._spans(code))

    def memberships(self) -> frozenset[Membership]:
        """Whose charge counts for a further promise, and when; of the first, the region decides."""
        return frozenset(
            Membership(term.promise, term.since, self.until(term), term.conditions)
            for term in self.terms
            if term.who and not term.ended
        )

    def _spans(self, code: str) -> Iterator[tuple[Instant, Instant]]:
        since: Instant | None = None
        for term in self.terms:
            begins = 0 if term is self.terms[0] else term.since
            if code in term.region:
                since = begins if since is None else since
            elif since is not None:
                yield since, begins
                since = None
        if since is not None:
            yield since, FOREVER


def known(rows: Iterable[Term], then: Instant | None = None) -> PromiseTerms | None:
    """The terms of rows in the order of recording, as known now or at ``then``; None where there are none."""
    newest = {term.since: term for term in rows if then is None or term.recorded_at <= then}
    return PromiseTerms(tuple(newest[since] for since in sorted(newest))) if newest else None


def term_problems(present: PromiseTerms, new: Term) -> Iterator[str]:
    """Why a term may not be added to the present ones, a sentence for each reason."""
    if new.promise == FIRST and new.share_of != DELIVERED:
        yield "the promise to the region is steered, and is a share of what was delivered; set --of delivered"
    if new.share + new.margin >= 1:
        yield f"share {new.share:g} and margin {new.margin:g} leave nothing for the others; lower one of them"
    if not new.since or new.since % HOUR:
        yield f"{windows.iso(new.since)} is not a whole hour after the first term; usage is kept per hour"
        return
    if not new.differing(present.at(new.since)):
        yield "the term at that time is the same; nothing would change"
    pairs = [(new.since, (present.at(new.since - 1), new))]
    pairs += [(later.since, (new, later)) for later in present.terms if later.since > new.since][:1]
    for at, pair in pairs:
        if not all(term.begins_window(at) for term in pair):
            yield _inside(at, pair)


def problems_beside(others: Mapping[str, PromiseTerms], new: Term) -> Iterator[str]:
    """Why a term cannot hold beside the terms of other promises, a sentence for each reason."""
    if new.promise == FIRST or new.ended:
        return
    base = new.share_of.removeprefix(OF_PROMISE)
    if base == new.promise or base not in {*others, DELIVERED, CAPACITY}:
        yield f"promise {new.promise} is a share of {new.share_of}, and there is no such promise beside it"
    beside = [terms.at(new.since) for name, terms in others.items() if name != new.promise]
    alike = [term for term in beside if term.share_of == new.share_of and not term.ended]
    floors = [term for term in (*alike, new) if term.bound is Bound.FLOOR]
    if new.bound is Bound.FLOOR and sum(term.share for term in floors) > 1 + ROUNDING:
        shares = " + ".join(f"{term.promise} {term.share:g}" for term in floors)
        yield f"the floors add up to more than everything: {shares}; lower one of them"
    for term in alike:
        floor, cap = (term, new) if new.bound is Bound.CAP else (new, term)
        bounds = floor.bound, cap.bound
        if bounds == (Bound.FLOOR, Bound.CAP) and term.who == new.who and floor.share > cap.share:
            yield (
                f"floor {floor.promise} ({floor.share:g}) is above cap {cap.promise} ({cap.share:g}), and "
                "both are made to the same; change one of them"
            )


def _inside(at: Instant, pair: tuple[Term, Term]) -> str:
    """The sentence that a term may not begin at an instant, and where it may."""
    names = dict.fromkeys(
        windows.window(term.window, at, term.zone).name for term in pair if not term.begins_window(at)
    )
    zone = pair[1].zone
    allowed = " or ".join(windows.civil_day(start, zone) for start in _common(at, pair))
    advice = f"begin at {allowed}" if allowed else "keep the time zone"
    return f"{windows.civil_day(at, zone)} is inside {' and '.join(names)}, which has one term; {advice}"


def _common(at: Instant, pair: tuple[Term, Term]) -> Iterator[Instant]:
    """The nearest instants before and after at which windows of both kinds begin."""
    kind = next(term for term in pair if not term.rolling)
    for forward in (False, True):
        step = at
        for _ in range(STEPS):
            window = windows.window(kind.window, step if forward else step - 1, kind.zone)
            step = window.until if forward else window.since
            if all(term.begins_window(step) for term in pair):
                yield step
                break


def changes(terms: Iterable[Term]) -> list[tuple[Term, Term]]:
    """(before, after) wherever a term promises something else than the term before it."""
    return [(before, after) for before, after in pairwise(terms) if before.differing(after)]
