"""Joint promises: made over several clusters, whose charges dated weights put on one scale. Pure.

The rule: each hour of a cluster is weighed by the row of that hour, and what is not known of one cluster is
not known of all together. A cluster counts from its first row on; its own rules say which charge is regional.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import fsum
from typing import Any, NamedTuple

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.charge import hour_of
from slurm_ai_factory.core.measure.share import Promise, measure_window, starved
from slurm_ai_factory.core.programme import terms
from slurm_ai_factory.core.programme.hubs import WEIGHTED
from slurm_ai_factory.core.programme.terms import PromiseTerms, Term, nothing_before
from slurm_ai_factory.core.records import HOUR, Hour, Instant, Interval, Measurement, Window
from slurm_ai_factory.core.tres import Resource

LEAST, MOST = Decimal("1e-6"), Decimal("1e6")
"""A weight outside is a slip of the pen, and would cost exact sums their digits."""
DIGITS = 12
"""Of a weight; sums of its products with charges stay exact."""

FIELDS = (
    "promise", "since", "ended", "share", "margin", "label", "window", "time_zone", "unclassified_limit",
    "source", "reason", "actor", "recorded_at",
)  # fmt: skip
"""What a term of a joint promise has; all others are the same in each."""


class JointWeight(NamedTuple):
    """What a cluster counts in a joint promise, from an instant on until its next row."""

    promise: str
    cluster: str
    since: Instant
    resource: Resource | None  #: whose charge counts; None: the cluster is no member from here on
    source: str
    reason: str
    actor: str
    recorded_at: Instant

    @property
    def unit(self) -> str:
        """The resource as people type it."""
        return self.resource.name if self.resource else "none"

    def plain(self) -> dict[str, Any]:
        """The row in JSON's types; ``weight_of`` reads it back."""
        fields = self._asdict()
        del fields["resource"]
        return {**fields, "weights": self.resource.plain() if self.resource else {}}


def weight_of(value: Mapping[str, Any]) -> JointWeight:
    """The row of which ``JointWeight.plain`` made this value."""
    fields = {name: field for name, field in value.items() if name != "weights"}
    return JointWeight(**fields, resource=Resource.from_plain(value["weights"]) if value["weights"] else None)


def joint_term(value: Mapping[str, Any]) -> Term:
    """A term with these of FIELDS, a floor of what was delivered in the promise's own unit."""
    fields = {name: value[name] for name in FIELDS}
    return Term(**fields, resource=WEIGHTED, region=(), min_organisations=None, expertise_share=None)


def joint_term_value(term: Term) -> dict[str, Any]:
    """FIELDS of a term in JSON's types; ``joint_term`` reads them back."""
    return {name: getattr(term, name) for name in FIELDS}


class JointPart(NamedTuple):
    """An interval in which the charge of one resource of one cluster counts."""

    cluster: str
    since: Instant
    until: Instant
    resource: Resource


@dataclass(frozen=True, slots=True)
class JointPromise:
    """A joint promise as known at some instant."""

    terms: PromiseTerms
    weights: Mapping[str, tuple[JointWeight, ...]]  #: by cluster, in the order in which they begin

    def members(self, at: Instant) -> list[str]:
        """The clusters that count at an instant."""
        return [cluster for cluster in self.weights if (row := self.weight_at(cluster, at)) and row.resource]

    def weight_at(self, cluster: str, at: Instant) -> JointWeight | None:
        """The row of a cluster at an instant; None before the first."""
        rows = reversed(self.weights.get(cluster, ()))
        return next((row for row in rows if row.since <= at), None)

    def parts(self, window: Window) -> list[JointPart]:
        """The parts of a window, by cluster and in order, each with what counts in it."""
        return [part for cluster in self.weights for part in self._parts(cluster, window)]

    def _parts(self, cluster: str, window: Window) -> Iterator[JointPart]:
        rows = self.weights[cluster]
        ends = [*(row.since for row in rows[1:]), window.until]
        for row, end in zip(rows, ends, strict=True):
            since, until = max(row.since, window.since), min(end, window.until)
            if row.resource and since < until:
                yield JointPart(cluster, since, until, row.resource)


def joint_promises(
    recorded: Iterable[Term], weights: Iterable[JointWeight], then: Instant | None = None
) -> dict[str, JointPromise]:
    """Every joint promise of rows in the order of recording, as known now or ``then``, by name."""
    of: dict[str, list[Term]] = {}
    for term in recorded:
        of.setdefault(term.promise, []).append(term)
    newest = {
        (row.promise, row.cluster, row.since): row
        for row in weights
        if then is None or row.recorded_at <= then
    }
    rows: dict[str, dict[str, list[JointWeight]]] = {}
    for key in sorted(newest):
        rows.setdefault(key[0], {}).setdefault(key[1], []).append(newest[key])
    return {
        name: JointPromise(
            PromiseTerms((nothing_before(known.terms[0]), *known.terms)),
            {cluster: tuple(own) for cluster, own in rows.get(name, {}).items()},
        )
        for name in sorted(of)
        if (known := terms.known(of[name], then))
    }


def joint_term_problems(present: JointPromise | None, new: Term) -> Iterator[str]:
    """Why a term may not be added to a joint promise, or begin one; a sentence for each reason."""
    yield from terms.term_problems(present.terms if present else PromiseTerms((nothing_before(new),)), new)


def weight_problems(present: JointPromise, new: JointWeight, known: Iterable[str]) -> Iterator[str]:
    """Why a row may not be added, a sentence for each reason; ``known`` are the TRES of its cluster."""
    if new.since > new.recorded_at:
        yield (
            f"{windows.iso(new.since)} is in the future; record a weight once it applies: a date in the past "
            "is allowed"
        )
    if not new.since or new.since % HOUR:
        yield f"{windows.iso(new.since)} is not a whole hour after 1970; usage is kept per hour"
    before = present.weight_at(new.cluster, new.since)
    if (before.resource if before else None) == new.resource:
        yield f"cluster {new.cluster} counts as {new.unit} at that time already; nothing would change"
    weights = new.resource.weights if new.resource else {}
    if unknown := sorted(weights.keys() - set(known)):
        there = ", ".join(sorted(known)) or "none yet"
        yield f"cluster {new.cluster} has no {', '.join(unknown)}; its TRES are {there}"
    for name, weight in weights.items():
        if not LEAST <= weight <= MOST or len(Decimal(weight).as_tuple().digits) > DIGITS:
            yield (
                f"the weight of {name} is not from {LEAST:f} to {MOST:f} with at most {DIGITS} digits; "
                "choose a larger or smaller unit"
            )


def joined(
    promise: Promise, window: Window, as_of: Instant, parts: Sequence[Measurement], unread: Iterable[Interval]
) -> Measurement:
    """The measurement of all parts together: every charge and every hour added up.

    ``parts`` were measured up to ``as_of``, each in the resource of its cluster; ``unread`` are the intervals
    in which one of them was not read. Where one has no known capacity, all together have none.
    """
    until = min(window.until, as_of)
    hours = _added(range(hour_of(window.since), until, HOUR), parts)
    known = bool(parts) and all(part.capacity is not None for part in parts)
    last = [part for part in parts if part.window.until >= until]
    newest = [part.newest_record_at for part in parts]
    nothing = measure_window(
        promise, window, as_of, closed=(), open_runs=(), capacity=None, newest_record_at=None
    )
    return replace(
        nothing,
        regional_charge=sum((part.regional_charge for part in parts), start=0),
        total_charge=sum((part.total_charge for part in parts), start=0),
        unclassified_charge=sum((part.unclassified_charge for part in parts), start=0),
        capacity=sum((part.capacity or 0 for part in parts), start=0) if known else None,
        waiting_charge=sum((part.waiting_charge for part in parts), start=0),
        starved_charge=starved(hours, promise.target_share) if known else None,
        regional_running=sum((part.regional_running for part in last), start=0),
        regional_pending=sum((part.regional_pending for part in last), start=0),
        newest_record_at=min((at for at in newest if at is not None), default=None),
        unread_seconds=_together(unread),
        hours=hours,
    )


def _added(hours: Iterable[Instant], parts: Iterable[Measurement]) -> tuple[Hour, ...]:
    """Every hour of the window, with the sums of what the parts have of it."""
    of: dict[Instant, list[Hour]] = {}
    for part in parts:
        for hour in part.hours:
            of.setdefault(hour.at, []).append(hour)
    nothing = [Hour(0, 0.0, 0.0, 0.0, 0.0)]
    return tuple(
        Hour(at, *map(fsum, zip(*(hour[1:] for hour in of.get(at, nothing)), strict=True))) for at in hours
    )


def _together(intervals: Iterable[Interval]) -> int:
    """The seconds that at least one of these intervals covers."""
    seconds, reached = 0, 0
    for since, until in sorted(intervals):
        seconds += max(0, until - max(since, reached))
        reached = max(reached, until)
    return seconds
