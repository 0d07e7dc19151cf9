"""The sites whose days a programme takes in: what counts of their statements, and the share over all of them.

The rule: of a day the newest revision counts, if all before it are here, each under the digest that the next
one names, and its sync line agrees. Any other day is unread, and so is every window with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from slurm_ai_factory.core.measure.share import HourUsage, Promise, measure_window
from slurm_ai_factory.core.records import DAY, HOUR, Charge, Instant, Interval, Measurement, Subject, Window
from slurm_ai_factory.core.rules.classify import ClassifiedPart, Rules
from slurm_ai_factory.core.tres import Count, Resource

HubKey = tuple[str, str]
"""(site, cluster)."""

NO_STATEMENT = "no statement"


class HubTerm(NamedTuple):
    """What holds of a cluster of a site from a day (UTC) on, until its next term."""

    site: str
    cluster: str
    since: Instant
    ended: bool  #: the site states no days from here on
    public_key: str  #: Ed25519, in PEM
    weights: str  #: the resource whose charge is the programme's own unit, such as 128*gres/gpu


@dataclass(frozen=True, slots=True)
class Hub:
    """A cluster of a site, with its terms in order of time."""

    site: str
    cluster: str
    terms: tuple[HubTerm, ...]

    @property
    def key(self) -> HubKey:
        """What it is known by."""
        return self.site, self.cluster

    @property
    def name(self) -> str:
        """How people write it."""
        return f"{self.site}/{self.cluster}"

    def term_at(self, at: Instant) -> HubTerm | None:
        """The term of an instant; None before the first one."""
        return next((term for term in reversed(self.terms) if term.since <= at), None)

    def states(self, day: Instant) -> bool:
        """Whether the site has to state a day."""
        term = self.term_at(day)
        return term is not None and not term.ended

    def spans(self, since: Instant, until: Instant) -> Iterator[tuple[Interval, HubTerm]]:
        """The parts of [since, until) that have a term which did not end, each with it."""
        edges = sorted({since, until} | {term.since for term in self.terms if since < term.since < until})
        for first, last in pairwise(edges):
            term = self.term_at(first)
            if term and not term.ended:
                yield (first, last), term


def hubs_of(terms: Iterable[HubTerm]) -> dict[HubKey, Hub]:
    """The clusters of all sites, by name."""
    by_key: defaultdict[HubKey, list[HubTerm]] = defaultdict(list)
    for term in terms:
        by_key[term.site, term.cluster].append(term)
    return {
        key: Hub(*key, tuple(sorted(own, key=lambda term: term.since))) for key, own in sorted(by_key.items())
    }


class KnownStatement(NamedTuple):
    """A statement that the programme has taken in."""

    statement_id: int
    site: str
    cluster: str
    day: Instant
    revision: int
    previous: str
    digest: str
    fault: str  #: why its sync line disagrees; empty where it agrees


class DayState(NamedTuple):
    """What the programme has of one day of one cluster."""

    counts: KnownStatement | None  #: the revision that counts; None where the day is unread
    revision: int  #: the newest one taken in; 0 for none
    reason: str  #: why the day is unread; empty where it is not


def day_states(statements: Iterable[KnownStatement]) -> dict[tuple[str, str, Instant], DayState]:
    """(site, cluster, day) -> its state, of every day with any statement."""
    days: defaultdict[tuple[str, str, Instant], list[KnownStatement]] = defaultdict(list)
    for statement in statements:
        days[statement.site, statement.cluster, statement.day].append(statement)
    return {key: _state(sorted(given, key=lambda each: each.revision)) for key, given in days.items()}


def _state(given: Sequence[KnownStatement]) -> DayState:
    """The state of a day with these revisions, in order."""
    newest, before = given[-1], ""
    for number, statement in enumerate(given, 1):
        if statement.revision != number:
            return DayState(None, newest.revision, f"revision {number} is missing")
        if statement.previous != before:
            return DayState(None, newest.revision, f"revision {number} does not follow the one before")
        before = statement.digest
    return DayState(None if newest.fault else newest, newest.revision, newest.fault)


class UnreadDay(NamedTuple):
    """A day that no statement counts for, and why."""

    day: Instant
    reason: str


def unread_days(
    hub: Hub, states: Mapping[tuple[str, str, Instant], DayState], since: Instant, until: Instant
) -> tuple[UnreadDay, ...]:
    """The days of [since, until) that a site has to state, and that are unread."""
    none = DayState(None, 0, NO_STATEMENT)
    days = (day for day in range(since - since % DAY, until, DAY) if hub.states(day))
    known = ((day, states.get((*hub.key, day), none)) for day in days)
    return tuple(UnreadDay(day, state.reason) for day, state in known if state.counts is None)


class HubUsage(NamedTuple):
    """What one account and project of a cluster had in an hour, in both units."""

    site: str
    cluster: str
    hour: Instant
    account: str
    project: str
    delivered: Charge  #: of the promise's resource
    waiting: Charge
    weighted: Charge  #: delivered, in the programme's unit
    weighted_waiting: Charge


class HubCapacity(NamedTuple):
    """What a cluster had up in an hour, in both units; None where its size is not known."""

    site: str
    cluster: str
    hour: Instant
    raw: Charge | None
    weighted: Charge | None


class HubFigures(NamedTuple):
    """The share of one cluster, or of all together, in both units."""

    site: str  #: empty for all together
    cluster: str
    raw: Measurement
    weighted: Measurement
    unread: tuple[tuple[Hub, UnreadDay], ...]


WEIGHTED = Resource({"weighted": 1})
"""The programme's own unit."""


def account_of(site: str, account: str) -> str:
    """The name under which the programme's rules and registry have an account of a site.

    >>> account_of("south", "brainport")
    'south/brainport'
    """
    return f"{site}/{account}"


def hub_subject(programme: str, site: str, account: str, project: str) -> Subject:
    """What the programme's rules decide on: account and project; a site sends nothing else."""
    return Subject(programme, account_of(site, account), "", "", "", project, "")


def capacity_in(stated: Mapping[str, Sequence[str]], weights: Mapping[str, Count]) -> list[Charge] | None:
    """The capacity of each hour of a day in a resource; None where the statement has no size.

    >>> capacity_in({"cpu": ["7200"] * 24}, {"cpu": 2})[0], capacity_in({}, {"cpu": 2})
    (Decimal('14400'), None)
    """
    if not stated:
        return None
    counted = [(stated[name], weight) for name, weight in weights.items() if name in stated]
    return [
        sum((Decimal(up[hour]) * weight for up, weight in counted), start=Decimal(0))
        for hour in range(DAY // HOUR)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class HubBooks:
    """Everything that the share over sites is measured from, of one moment."""

    hubs: Mapping[HubKey, Hub]
    states: Mapping[tuple[str, str, Instant], DayState]
    usage: Sequence[HubUsage]  #: of the revisions that count
    capacity: Sequence[HubCapacity]
    rules: Rules


def measure_hubs(books: HubBooks, promise: Promise, window: Window, as_of: Instant) -> list[HubFigures]:
    """The figures of each cluster with a term in the window, and of all together at the end.

    ``as_of`` is the end of a day in UTC.
    """
    until = min(window.until, as_of)
    hubs = {key: hub for key, hub in books.hubs.items() if any(hub.spans(window.since, until))}
    capacities: defaultdict[HubKey, list[dict[Instant, Charge | None]]] = defaultdict(lambda: [{}, {}])
    for row in books.capacity:
        for unit, up in enumerate((row.raw, row.weighted)):
            capacities[row.site, row.cluster][unit][row.hour] = up
    usage = _usage_by_hub(books, promise.cluster)
    unread = {key: unread_days(hub, books.states, window.since, until) for key, hub in hubs.items()}

    def figures(names: HubKey, keys: Sequence[HubKey]) -> HubFigures:
        days = {each.day for key in keys for each in unread[key]}
        raw, weighted = (
            measure_window(
                part_of,
                window,
                as_of,
                closed=[row for key in keys for row in usage[key][unit]],
                open_runs=(),
                capacity=_added_capacity([capacities[key][unit] for key in keys]),
                newest_record_at=None,
                unread_seconds=sum(min(day + DAY, until) - max(day, window.since) for day in days),
            )
            for unit, part_of in enumerate((promise, replace(promise, resource=WEIGHTED, label="")))
        )
        return HubFigures(
            *names, raw, weighted, tuple((hubs[key], day) for key in keys for day in unread[key])
        )

    return [*(figures(key, [key]) for key in hubs), figures(("", ""), list(hubs))]


InUnits = tuple[list[HourUsage], list[HourUsage]]
"""Of the promise's resource, and in the programme's own unit."""


def _usage_by_hub(books: HubBooks, programme: str) -> Mapping[HubKey, InUnits]:
    """Classified usage of each cluster, in both units."""
    parts: dict[Subject, tuple[ClassifiedPart, ...]] = {}
    sums: defaultdict[HubKey, InUnits] = defaultdict(lambda: ([], []))
    for row in books.usage:
        subject = hub_subject(programme, row.site, row.account, row.project)
        if subject not in parts:
            parts[subject] = books.rules.parts(subject)
        amounts = (row.delivered, row.waiting), (row.weighted, row.weighted_waiting)
        for since, last, fraction, whose in parts[subject]:
            for unit, (delivered, waiting) in enumerate(amounts if since <= row.hour < last else ()):
                charges = delivered * fraction, waiting * fraction
                sums[row.site, row.cluster][unit].append(
                    HourUsage(row.hour, whose.beneficiary, *charges, whose.promises)
                )
    return sums


def _added_capacity(clusters: Iterable[Mapping[Instant, Charge | None]]) -> dict[Instant, Charge] | None:
    """The capacity of all these clusters by hour; None where that of one is not known."""
    added: dict[Instant, Charge] = {}
    for hours in clusters:
        for hour, up in hours.items():
            if up is None:
                return None
            added[hour] = added.get(hour, 0) + up
    return added or None
