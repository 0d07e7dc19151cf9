"""What a programme asks beside the share: why, who benefits, what next, waiting, value, hours granted.

The rule: what was not recorded is None, and so is what would disclose something about few organisations.
Tested in tests/report/test_programme.py and, a second time, in tests/second.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.measure import capacity
from slurm_ai_factory.core.measure.assessment import assess
from slurm_ai_factory.core.measure.cause import MissCause, ShortfallBridge, cause_of, shortfall_bridge
from slurm_ai_factory.core.measure.figures import number, part, when
from slurm_ai_factory.core.measure.waits import WaitingTime, waiting_times, waits_of
from slurm_ai_factory.core.programme import tariff
from slurm_ai_factory.core.programme.suppression import ChargePart, TableCell, cells_shown
from slurm_ai_factory.core.programme.tariff import AccessValue, StatementLine
from slurm_ai_factory.core.records import Charge, Measurement, Subject, Window
from slurm_ai_factory.core.rules.classify import Beneficiary, Classification, PromisedTo
from slurm_ai_factory.core.rules.organisations import Link
from slurm_ai_factory.question import PLACES, Question, Reached, by_place, reached
from slurm_ai_factory.report.tables import PROMISED, Table, promised_place

SMALL = ("micro", "small", "medium")
"""Sizes of small and medium companies."""
YOUNG = ("startup", "scaleup")
NOT_BUSINESS = "not_business"
"""Size and stage of an organisation that is no company."""

GRANTED = "granted"

RECORDED = ("size", "stage", "access", "grant")
"""The tables of what is only known where it was recorded."""


class ReachCount(NamedTuple):
    """How many organisations of the region used the machine and are of some kind."""

    kind: str  #: sme, young, new or returning
    recorded: bool
    organisations: int | None  #: None where it is not recorded, or would disclose too much


class Upcoming(NamedTuple):
    """The window that was not over when the report was made, or had just begun."""

    measurement: Measurement
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Programme:
    """The figures that a programme asks for beside the share."""

    cause: MissCause | None  #: of a missed floor
    bridge: ShortfallBridge | None
    upcoming: Upcoming | None
    reach: tuple[ReachCount, ...]
    waiting: tuple[WaitingTime, ...]
    priced: bool  #: whether there are prices
    value: AccessValue | None  #: of the region's access
    currency: str
    installed: Charge | None  #: capacity if no node had been out
    recorded: Mapping[str, bool]  #: name of a table -> whether any of it is recorded
    granted: Decimal | None  #: resource-hours granted to the region in the window


def programme_figures(
    ask: Question,
    trend: Sequence[Measurement],
    groups: Sequence[Reached],
    tables: Sequence[Table],
    decisions: int,
    held: Mapping[str, int],
) -> Programme:
    """The figures of a window; ``held``: reason of holds -> how many of its decisions."""
    measured, smallest = trend[-1], ask.config.report.min_organisations
    scope = ask.window.since, ask.window.until, ask.known_at
    modes = ask.ledger.publishing.mode_spans(*scope)
    limited = ask.ledger.publishing.limited_decisions(*scope)
    shown = {table.name: {row.name for row in table.rows} for table in tables}
    recorded = {
        name: any(group.places[name] not in ("", NOT_BUSINESS) for group in groups) for name in RECORDED
    }
    with ask.books() as books:
        interval = ask.window.since, min(ask.window.until, ask.read_until)
        waiting = waiting_times(waits_of(books.runs_between(*interval), interval), smallest)
    since, until = ask.window.since, min(ask.window.until, ask.read_until)
    sizes, _ = ask.ledger.accounting.events(since, until, ask.known_at)
    hours = capacity.capacity_by_hour(sizes, (), ask.config.promise.resource.weights, since, until)
    return Programme(
        cause=cause_of(measured, modes, decisions, held, limited),
        bridge=shortfall_bridge(measured),
        upcoming=_upcoming(ask, measured),
        reach=tuple(_reach(ask, trend, groups)),
        waiting=tuple(waiting),
        priced=bool(ask.config.tariffs),
        value=_value(ask, one_price=not any(table.hidden for table in tables if table.name == "category")),
        currency=ask.config.report.currency,
        installed=None if hours is None else sum(hours.values(), start=0),
        recorded=recorded,
        granted=_granted(ask) if GRANTED in shown["grant"] else None,
    )


def reached_in_programme(
    ask: Question, whole: Window | None = None, promised: Collection[PromisedTo] = ()
) -> list[Reached]:
    """Who got what, with size, stage, mode of access, and whether hours were granted.

    These four are as recorded for the ``whole`` window of a report, also in a piece of it: the pieces add up.
    Each of the conditions ``promised`` is a place too, PROMISED where the charge meets them.
    """

    def key(subject: Subject, answer: Classification) -> tuple[str, ...]:
        met = (PROMISED if ask.rules.counts_for(who, subject, answer) else "" for who in promised)
        return *by_place(subject, answer), subject.account, *met

    whole = whole or ask.window
    names = *PLACES, "account", *map(promised_place, promised)
    sums: dict[tuple[str, Beneficiary, tuple[tuple[str, str], ...]], Charge] = {}
    for group in ask.groups(key):
        organisation, *values = group.names
        places = dict(zip(names, values, strict=True))
        places |= recorded_of(ask, whole, organisation, places.pop("account"))
        group_key = organisation, group.beneficiary, tuple(places.items())
        sums[group_key] = sums.get(group_key, 0) + group.delivered
    return [Reached(whom, side, dict(places), charge) for (whom, side, places), charge in sums.items()]


def recorded_of(ask: Question, window: Window, organisation: str, account: str) -> dict[str, str]:
    """What RECORDED has of an organisation and its account, by the last entries that began in the window."""
    registry, until = ask.rules.registry, window.until
    entry = registry.entry_before(organisation, until)
    links = (registry.links_of(each) for each in ask.rules.lineage(account))
    own = (
        [link for link in each if link.organisation == organisation and link.since < until] for each in links
    )
    nearest = next(filter(None, own), [])
    business = entry is None or entry.category == "business"
    return {
        "size": (entry.size if entry else "") if business else NOT_BUSINESS,
        "stage": (entry.stage if entry else "") if business else NOT_BUSINESS,
        "access": nearest[-1].access if nearest else "",
        "grant": GRANTED if any(link.organisation == organisation for link in _grants(ask, window)) else "",
    }


def _grants(ask: Question, window: Window) -> list[Link]:
    """The links with granted hours for some of the window."""
    since, until = window.since, window.until
    links = ask.rules.registry.links
    return [link for link in links if link.granted and link.since < until and since < link.until]


def _granted(ask: Question) -> Decimal:
    """The resource-hours granted to the region in the window: those of a link lie evenly in its interval."""
    total = Decimal(0)
    for link in _grants(ask, ask.window):
        entry = ask.rules.registry.entry_before(link.organisation, ask.window.until)
        if (
            entry
            and link.granted
            and ask.rules.is_regional(entry.municipality, max(link.since, ask.window.since))
        ):
            inside = min(link.until, ask.window.until) - max(link.since, ask.window.since)
            total += link.granted * inside / (link.until - link.since)
    return total


def _upcoming(ask: Question, measured: Measurement) -> Upcoming | None:
    """The window itself while it is open, else the one that has begun; None where too few used it so far."""
    if ask.window.rolling:
        return None
    if ask.window.until > ask.read_until:
        return Upcoming(measured, ask.config.promise.margin)
    promise = ask.config.under(ask.terms.at(ask.read_until)).promise
    begun = ask.about(windows.window(promise.window, ask.read_until, promise.time_zone))
    regional = {each.organisation for each in reached(begun) if each.beneficiary is Beneficiary.REGIONAL}
    if len(regional) < begun.config.report.min_organisations or begun.window.rolling:
        return None
    return Upcoming(begun.measure(), begun.config.promise.margin)


def _reach(ask: Question, trend: Sequence[Measurement], groups: Sequence[Reached]) -> Iterator[ReachCount]:
    """How many of the region's organisations are of each kind, as far as that can be shown."""
    regional = [group for group in groups if group.beneficiary is Beneficiary.REGIONAL]
    everyone = {group.organisation for group in regional}
    earlier = ask.over((trend[0].window.since, ask.window.since))
    before = {each.organisation for each in reached(earlier) if each.beneficiary is Beneficiary.REGIONAL}
    kinds = {
        "sme": {group.organisation for group in regional if group.places["size"] in SMALL},
        "young": {group.organisation for group in regional if group.places["stage"] in YOUNG},
        "new": everyone - before,
        "returning": everyone & before,
    }
    businesses = [group for group in regional if group.places["category"] == "business"]
    recorded = {
        kind: bool(businesses) and all(group.places[name] for group in businesses)
        for kind, name in (("sme", "size"), ("young", "stage"))
    }
    for kind, shown in _counts_shown(kinds, everyone, ask.config.report.min_organisations).items():
        known = recorded.get(kind, len(trend) > 1)
        yield ReachCount(kind, known, len(kinds[kind]) if known and shown else None)


def _counts_shown(
    kinds: Mapping[str, Collection[str]], everyone: Collection[str], smallest: int
) -> dict[str, bool]:
    """Whether each count can be shown, so that none of them discloses who used the machine."""
    cells = [TableCell("reach", kind, frozenset(map(ChargePart, kinds[kind]))) for kind in kinds]
    visible = cells_shown(cells, [frozenset(map(ChargePart, everyone))], smallest)
    return {kind: ("reach", kind) in visible for kind in kinds}


def _value(ask: Question, *, one_price: bool) -> AccessValue | None:
    """The value of the region's access; None without all prices, or where it discloses something about a few.

    With ``one_price`` prices may differ by category: each category's charge is shown elsewhere.
    """
    tariffs, smallest = ask.config.tariffs, ask.config.report.min_organisations
    lines: list[StatementLine] = []
    whose: dict[tuple[object, ...], set[str]] = {}
    for piece in tariff.pieces(ask.window, tariffs):
        for resource in tariff.resources(tariffs):
            for category, organisation, charge in _regional_charges(
                ask.over((piece.since, piece.until)), resource
            ):
                price = tariff.price(tariffs, Beneficiary.REGIONAL, category, resource, piece.since)
                if price is None:
                    return None
                line = StatementLine(
                    piece.since, piece.until, Beneficiary.REGIONAL, category, resource, charge, price
                )
                lines.append(line)
                other = tariff.price(tariffs, Beneficiary.NON_REGIONAL, category, resource, piece.since)
                whose.setdefault((piece.since, resource, price, other), set()).add(organisation)
    few = any(len(organisations) < smallest for organisations in whose.values())
    several = len({key[:2] for key in whose}) < len(whose)
    return None if not lines or few or (several and not one_price) else tariff.access_value(lines, tariffs)


def _regional_charges(ask: Question, resource: str) -> Iterator[tuple[str, str, Charge]]:
    """(category, organisation, charge in a resource) of the region."""
    own = ask.config.promise.resource

    def key(subject: Subject, answer: Classification) -> tuple[str, ...]:
        return answer.category, by_place(subject, answer)[0]

    for group in ask.groups(key, own.weights if resource == own.name else {resource: 1}):
        if group.beneficiary is Beneficiary.REGIONAL:
            yield group.names[0], group.names[1], group.delivered


def answer_value(programme: Programme) -> dict[str, Any]:
    """Why and what next, as plain values."""
    cause, bridge = programme.cause, programme.bridge
    return {
        "cause": cause and cause._asdict() | {"since": when(cause.since), "until": when(cause.until)},
        "bridge": bridge and bridge._asdict(),
        "next": programme.upcoming and _upcoming_value(*programme.upcoming),
    }


def _upcoming_value(measured: Measurement, margin: float) -> dict[str, Any]:
    """A window that is not over; what it takes is only said while its share is below the floor."""
    ahead = assess(measured, margin)
    return {
        "window": measured.window.name, "since": when(measured.window.since),
        "until": when(measured.window.until), "target_share": measured.target_share,
        "expected_share": ahead.expected_share, "below": ahead.below, "required_share": ahead.required_share,
        "attainable": ahead.attainable,
    }  # fmt: skip


def programme_value(programme: Programme, measured: Measurement) -> dict[str, Any]:
    """Waiting, value of access, machine, reach and grants, as plain values."""
    value, installed = programme.value, programme.installed
    return {
        "waiting_time": [_waiting_value(waiting) for waiting in programme.waiting],
        "access_value": {
            "recorded": programme.priced,
            "currency": programme.currency,
            "paid": value and number(value.paid),
            "reference": value and number(value.reference),
            "advantage": value and number(value.advantage),
        },
        "machine": {
            "installed": None if installed is None else number(installed),
            "availability": part(measured.capacity, installed) if installed and measured.capacity else None,
            "used_share": part(measured.total_charge, measured.capacity) if measured.capacity else None,
        },
        "reach": [
            {"name": each.kind, "recorded": each.recorded, "organisations": each.organisations}
            for each in programme.reach
        ],
        "recorded": dict(programme.recorded),
        "granted_hours": None if programme.granted is None else number(programme.granted),
    }


def _waiting_value(waiting: WaitingTime) -> dict[str, Any]:
    values: dict[str, Any] = {"name": waiting.size}
    for side, quantiles in (("regional", waiting.regional), ("others", waiting.others)):
        values[f"{side}_median_seconds"] = quantiles and quantiles.median
        values[f"{side}_p90_seconds"] = quantiles and quantiles.ninetieth
    return values
