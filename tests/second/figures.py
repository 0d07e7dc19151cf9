"""Every figure of a quarterly report, worked out a second time from the raw rows of the ledger.

Rule: these modules share no line with the product. Figures are exact fractions in the shape of the report's
JSON, None where they are not known.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, time
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from psycopg import Connection

from tests.second import programme
from tests.second.measure import (
    HOUR,
    NONE,
    Groups,
    Measured,
    Window,
    iso,
    measure,
    promised,
    quarter,
    ratio,
    side_of,
    summed,
    weights_of,
)
from tests.second.programme import Tariff, by_role, recorded_in, regional
from tests.second.promises import promises, told_otherwise, verdict_on_cap
from tests.second.rows import Known
from tests.second.surroundings import Settings, energy, grid, held, water
from tests.second.tables import Cell, Sum, of_promise, of_side, parts, showable, tables, told
from tests.second.who import REGIONAL, UNCLASSIFIED, WHOLE, Answer, Who

WEEK = 7 * 24 * HOUR
TABLES = ("category", "hub", "sector", "municipality", "size", "stage", "access", "grant")
HOURS = ("category", "role", "hub", "sector")
RESOURCES = ("gres/gpu", "node", "cpu")
STEERS = {"raise", "follow", "lower", "ratio", "at_set_point", "same_order", "restore_baseline"}
"""Reasons of decisions that steered; every other one held."""
SAID_OF_TERM = {"entry_id", "cluster_id", "since", "source", "reason", "actor", "recorded_at"}
"""Columns of a term that promise nothing."""


class Asked(NamedTuple):
    """What a report is asked, with the settings that no table has."""

    cluster: str
    window: str
    then: int
    windows: int  #: in the trend
    unmet_recorded: bool
    tariffs: Sequence[Tariff]
    settings: Settings  #: of energy and water


def figures(connection: Connection[Any], asked: Asked) -> dict[str, Any]:
    """The figures of a report under the names of its JSON."""
    known = Known(connection, asked.cluster, asked.then)
    who = Who(known)
    zone = ZoneInfo(who.term(known.read_until).time_zone)
    window = quarter(int(asked.window[:4]) * 4 + int(asked.window[-1]) - 1, zone)
    trend = list(_trend(known, who, window, zone, asked.windows))[::-1]
    own, before = trend[-1], [*_charge_told(known, window)]
    control = _control(known, window, zone)
    got = parts(own.groups, recorded_in(who, window))
    others = [*promises(known, who, own, got, before, _verdict)]
    before += [
        one for row in others if row["figures_shown"] for one in of_promise(got, row["name"], row["share_of"])
    ]
    shown = tables(got, TABLES, own.term.min_organisations, own.charge, before)
    found = programme.cause(known, own, _verdict(own)[0], control)
    return {
        "report": _about(known, own, zone),
        "promise": _promise(own.term),
        "answer": {
            "cause": found and {**found, "since": iso(found["since"]), "until": iso(found["until"])},
            "bridge": programme.bridge(own, _shortfall(own)),
            "next": _next(known, who, own, zone),
        },
        "programme": programme.asked_for(known, who, trend, got, shown, asked.tariffs),
        "share": _share(known, own),
        "resources": [*_resources(known, who, own)],
        "trend": [_short(one) for one in trend],
        "weeks": [*_weeks(own)],
        "tables": shown,
        "surroundings": _surroundings(known, who, own, zone, asked.settings, shown),
        "organisations": {"regional": len(regional(own.groups))},
        "control": control,
        "expertise": _expertise(known, who, own, zone, asked.unmet_recorded),
        "restatements": _restatements(known, who, trend) | told_otherwise(known, window, others),
        "audits": [*_audits(known, window)],
        **({"promises": others} if others else {}),
    }


def _surroundings(
    known: Known, who: Who, own: Measured, zone: ZoneInfo, settings: Settings, shown: Any
) -> dict[str, Any]:
    window, least = own.window, own.term.min_organisations
    return {
        "energy": energy(known, who, settings, window, least, shown, partial(_told, known)),
        "grid": grid(known, window, zone),
        "water": water(known, window, settings),
        "held_by_grid": held(known, window),
    }


def _about(known: Known, own: Measured, zone: ZoneInfo) -> dict[str, Any]:
    instants = {"as_of": iso(known.then), "read_until": iso(own.read)}
    approved = sum(one.step == "approved" for one in known.rows("proposals"))
    return {
        "cluster": known.cluster, "time_zone": zone.key, "min_organisations": own.term.min_organisations,
        "approved": approved, **instants,
    }  # fmt: skip


def _promise(term: Any) -> dict[str, Any]:
    instants = {"since": iso(term.since or None), "recorded_at": iso(term.recorded_at)}
    return {
        "share": promised(term),
        "share_of": term.share_of,
        "ended": term.ended,
        "actor": term.actor,
        **instants,
    }


# -- a window ------------------------------------------------------------------------------------------


def _trend(known: Known, who: Who, window: Window, zone: ZoneInfo, most: int) -> Iterator[Measured]:
    """The window and those before it that were read from their beginning on, newest first."""
    for number in range(window.number, window.number - most, -1):
        one = quarter(number, zone)
        term = who.term(one.since)
        found = measure(known, who, weights_of(term), one, term)
        if found.unread and one != window:
            return
        yield found


def _resources(known: Known, who: Who, own: Measured) -> Iterator[dict[str, Any]]:
    """The same window in other resources that there was any of."""
    for name in RESOURCES:
        if (weights := ((name, WHOLE),)) != own.weights:
            found = measure(known, who, weights, own.window, own.term)
            if found.charge:
                yield {"name": name, **_short(found)}


def _short(one: Measured) -> dict[str, Any]:
    (resource, _), *_ = one.weights  # the year promises one resource, of weight 1
    verdict, reason = _verdict(one)
    return {
        "window": one.window.name, "since": iso(one.window.since), "until": iso(one.window.until),
        "resource": resource, "target_share": promised(one.term),
        "delivered_share": ratio(one.of(REGIONAL), one.charge),
        "capacity_share": ratio(one.of(REGIONAL), _capacity(one)),
        "regional_charge": one.of(REGIONAL), "total_charge": one.charge,
        "verdict": verdict, "verdict_reason": reason,
    }  # fmt: skip


def _capacity(one: Measured) -> Fraction | None:
    return None if one.up is None else summed(one.up.values())


def _share(known: Known, one: Measured) -> dict[str, Any]:
    forecast = _forecast(one)
    return _short(one) | {
        "as_of": iso(one.read), "newest_record_at": iso(known.newest_record()), "unread_seconds": one.unread,
        "resource_label": one.term.label or None, "groups": [],
        "unclassified_charge": one.of(UNCLASSIFIED), "unclassified_share": _unclassified_share(one),
        "unclassified_limit": one.term.unclassified_limit, "capacity": _capacity(one),
        "waiting_charge": summed(one.waiting.values()), "starved_charge": one.starved(one.hours),
        "shortfall_charge": _shortfall(one), "forecast": forecast,
        "required_share": _required(one), "attainable": _attainable(one, forecast), "floor_side": _side(one),
    }  # fmt: skip


def _unclassified_share(one: Measured) -> Fraction | None:
    return ratio(one.of(UNCLASSIFIED), one.charge)


def _shortfall(one: Measured) -> Fraction:
    return max(NONE, promised(one.term) * one.charge - one.of(REGIONAL))


def _verdict(one: Measured) -> tuple[str, str]:
    """Whether the promise was kept, and why that is said."""
    if one.term.ended or one.unread:
        return "open", "ended" if one.term.ended else "unread"
    at_end = verdict_on_cap if one.term.bound == "cap" else _verdict_at_end
    verdict, reason = _verdict_early(one) if _left(one) else at_end(one)
    limit, found = one.term.unclassified_limit, _unclassified_share(one)
    held_back = verdict in ("met", "kept") and limit is not None and found is not None and found > limit
    return (
        ("open", "cap_unclassified" if verdict == "kept" else "unclassified")
        if held_back
        else (verdict, reason)
    )


def _verdict_early(one: Measured) -> tuple[str, str]:
    """Met before the end where the region keeps its share even if others get all that is up."""
    up = (one.up or {}).get(one.hours[-2], NONE) / HOUR if len(one.hours) > 1 else NONE
    surely = up and one.of(REGIONAL) >= promised(one.term) * (one.charge + up * _left(one))
    return ("met", "met_early") if surely else ("open", "not_over")


def _verdict_at_end(one: Measured) -> tuple[str, str]:
    """A miss is blamed on starvation where that explains more than 1 % of what was promised."""
    starved, shortfall = one.starved(one.hours), _shortfall(one)
    if not shortfall:
        return "met", "met" if one.charge else "nothing"
    if starved is None:
        return "missed_starved", "capacity_unknown"
    explained = min(starved, shortfall) > promised(one.term) * one.charge / 100
    return ("missed_starved", "starved") if explained else ("missed_demand", "demand")


def _left(one: Measured) -> int:
    """Seconds of the window that are still to come."""
    return max(0, one.window.until - one.read)


def _forecast(one: Measured) -> dict[str, Any]:
    """What the region may get of what is left."""
    rate, demand, regional = _rate(one), _demand(one), one.of(REGIONAL)
    rest, recent = rate * _left(one), _recent(one)
    highest = None if demand is None or not rest else min(WHOLE, demand / rate)
    return {
        "remaining_seconds": _left(one), "expected_rate": rate, "demand_rate": demand,
        "highest_share": highest,
        "attainable_share": None if highest is None else (regional + highest * rest) / (one.charge + rest),
        "expected_share": None if recent is None else (regional + recent * rest) / (one.charge + rest),
    }  # fmt: skip


def _side(one: Measured) -> str | None:
    """On which side of the floor the region is; nothing where nothing was delivered or promised."""
    if one.term.ended or not one.charge:
        return None
    owed = promised(one.term) * one.charge
    return "above" if one.of(REGIONAL) > owed else "at" if one.of(REGIONAL) == owed else "below"


def _required(one: Measured) -> Fraction | None:
    """What the region needs of what is left to end at share and margin; said below the floor only."""
    floor, wanted = _need(one, NONE), _need(one, promised(one.term, "margin"))
    if _side(one) != "below" or floor is None or wanted is None:
        return None
    return floor if floor <= 1 < wanted else wanted


def _need(one: Measured, margin: Fraction) -> Fraction | None:
    """The share of what is left with which the window ends at its share and this much more."""
    rest = _rate(one) * _left(one)
    wanted = (promised(one.term) + margin) * (one.charge + rest) - one.of(REGIONAL)
    return max(NONE, wanted / rest) if rest else None


def _attainable(one: Measured, forecast: dict[str, Any]) -> bool | None:
    """Whether the floor can still be reached; said below it only."""
    filled, floor = forecast["attainable_share"], _need(one, NONE)
    if _side(one) != "below":
        return None
    if floor is not None and floor > 1:
        return False
    return None if filled is None else bool(filled >= promised(one.term))


def _demand(one: Measured) -> Fraction | None:
    """What the region used and waited for a second, over the hours of the rate; unknown before seven days."""
    hours = [at for at in one.hours if one.read - WEEK <= at < one.read]
    first = next((at for at in hours if one.everyone[at]), None)
    if first is None or one.unread or one.read - one.window.since < WEEK:
        return None
    both = summed(one.regional[at] + one.waiting[at] for at in hours if at >= first)
    return both / max(1, one.read - first)


def _recent(one: Measured) -> Fraction | None:
    """The region's part of what the last seven days delivered."""
    hours = [at for at in one.hours if at >= one.read - WEEK]
    return ratio(summed(one.regional[at] for at in hours), summed(one.everyone[at] for at in hours))


def _rate(one: Measured) -> Fraction:
    """Resource delivered a second, from the first hour of the last seven days on that has any."""
    hours = [at for at in one.hours if one.read - WEEK <= at < one.read]
    first = next((at for at in hours if one.everyone[at]), one.read)
    return summed(one.everyone[at] for at in hours) / max(1, one.read - first)


def _weeks(one: Measured) -> Iterator[dict[str, Any]]:
    """Seven days at a time from the window's beginning."""
    for since in range(one.window.since, one.hours.stop, WEEK):
        hours = [at for at in one.hours if since <= at < since + WEEK]
        to_date = range(one.window.since, hours[-1] + 1, HOUR)
        own, everyone = (summed(series[at] for at in hours) for series in (one.regional, one.everyone))
        so_far, of = (summed(series[at] for at in to_date) for series in (one.regional, one.everyone))
        yield {
            "since": iso(since), "days": Fraction(len(hours), 24),
            "regional_charge": own, "total_charge": everyone,
            "delivered_share": ratio(own, everyone), "share_to_date": ratio(so_far, of),
            "waiting_charge": summed(one.waiting[at] for at in hours), "starved_charge": one.starved(hours),
        }  # fmt: skip


def _next(known: Known, who: Who, own: Measured, zone: ZoneInfo) -> dict[str, Any] | None:
    """The window itself while it lasts, else the one that has begun, unless too few used it so far."""
    one = own
    if own.window.until <= own.read:
        begun = next(
            window
            for number in itertools.count(own.window.number)
            if (window := quarter(number, zone)).until > own.read
        )
        term = who.term(begun.since)
        one = measure(known, who, weights_of(term), begun, term)
        if len(regional(one.groups)) < term.min_organisations:
            return None
    ahead, share = _forecast(one), ratio(one.of(REGIONAL), one.charge)
    below = share is not None and not one.term.ended and share < promised(one.term)
    return {
        "window": one.window.name, "since": iso(one.window.since), "until": iso(one.window.until),
        "target_share": promised(one.term), "expected_share": ahead["expected_share"], "below": below,
        "required_share": _required(one), "attainable": _attainable(one, ahead),
    }  # fmt: skip


# -- what is not compute -------------------------------------------------------------------------------


def _control(known: Known, window: Window, zone: ZoneInfo) -> dict[str, Any]:
    """Decisions and the changes that were in force, by civil month."""
    decided = [one for one in known.rows("decisions", at="at") if window.since <= one.at < window.until]
    month = {one.decision_id: f"{datetime.fromtimestamp(one.at, zone):%Y-%m}" for one in decided}
    applied = [one for one in known.rows("changes", at="settled_at") if one.status == "applied"]
    months = []
    for name in sorted(set(month.values())):
        own = [[one for one in rows if month.get(one.decision_id) == name] for rows in (decided, applied)]
        months.append(_month(name, *own))
    sums = {key: sum(one[key] for one in months) for key in ("changes", "held", "decisions")}
    return {"modes": sorted({one.mode for one in decided}), "months": months, **sums}


def _month(name: str, decided: Sequence[Any], changes: Sequence[Any]) -> dict[str, Any]:
    held = Counter(one.reason for one in decided if one.reason not in STEERS)
    first, last = (changes[0].raw_shares_before, changes[-1].raw_shares_after) if changes else (None, None)
    return {
        "month": name, "decisions": len(decided), "held": held.total(), "reasons": dict(held),
        "changes": len(changes), "raw_shares_first": first, "raw_shares_last": last,
    }  # fmt: skip


def _expertise(known: Known, who: Who, own: Measured, zone: ZoneInfo, unmet_recorded: bool) -> dict[str, Any]:
    """Hours of the expertise centre on the window's days, corrections included."""
    given, refused = (_hours(known, who, own.window, zone, kind) for kind in ("delivered", "unmet"))
    regional, total = side_of(given, REGIONAL), summed(given.values())
    unmet = side_of(refused, REGIONAL) if unmet_recorded else None
    target = promised(own.term, "expertise_share")
    short = max(NONE, target * total - regional)
    demand = unmet is not None and min(unmet, short) <= target * total / 100
    missed = "missed_demand" if demand else "missed_starved"
    smallest, category = own.term.min_organisations, [*_hours_told(known, own.window, zone)]
    asked_for = Cell("unmet", "", of_side(parts(refused), REGIONAL))
    shown = [*showable([asked_for], [], smallest, [*_unmet_told(known, own.window, zone)])]
    return {
        "target_share": target, "delivered_share": ratio(regional, total), "regional_hours": regional,
        "total_hours": total, "unclassified_hours": side_of(given, UNCLASSIFIED), "shortfall_hours": short,
        "unmet_recorded": unmet_recorded, "unmet_hours": unmet if shown else None,
        "verdict": "open" if own.window.until > known.then else missed if short else "met",
        **tables(parts(given, by_role), HOURS, smallest, total, category),
    }  # fmt: skip


def _hours(known: Known, who: Who, window: Window, zone: ZoneInfo, kind: str) -> Groups:
    """Hours by the side that an organisation was on that day, and by the places that it has last."""
    found: Groups = defaultdict(int)
    last = {one.organisation: one for one in sorted(who.organisations, key=lambda one: int(one.since))}
    for one in known.rows("expertise_entries"):
        at = int(datetime.combine(one.day, time(), zone).timestamp())
        if one.kind == kind and window.since <= at < window.until:
            entry, side = last.get(one.organisation), who.side(one.organisation, at)
            places = {name: getattr(entry, name, "") for name in ("category", "sector", "hub")}
            whom = Answer(WHOLE, side, one.organisation, **places)
            found[one.role, whom] += Fraction(one.hours)
    return found


def _audits(known: Known, window: Window) -> Iterator[dict[str, Any]]:
    """Checks of the books since the window began, by command."""
    made = [one for one in known.rows("audits") if one.recorded_at >= window.since]
    for command in sorted({one.command for one in made}):
        own = [one for one in made if one.command == command]
        sums = {"checks": len(own), "findings": sum(one.findings for one in own)}
        yield {"command": command, "last": iso(own[-1].recorded_at), **sums}


# -- what was told before ------------------------------------------------------------------------------


def _restatements(known: Known, who: Who, trend: Sequence[Measured]) -> dict[str, Any]:
    """The windows of the trend beside the last report that was given out of each before."""
    given = {
        one.window_name: one for one in known.rows("reports", "as_of", "as_of") if one.as_of < known.then
    }
    pairs = [(one, given[one.window.name]) for one in trend if one.window.name in given]
    told = {report.window_name: _earlier(report) for _, report in pairs}
    rows = (_restated(known, who, *pair) for pair in pairs)
    own = told.get(trend[-1].window.name)
    return {"replaces": own, "compared_with": [*told.values()], "rows": [row for row in rows if row]}


def _before(report: Any) -> list[Fraction]:
    """The regional charge and that of all that a report told of its window; none where that was not over."""
    said = report.figures.get(report.window_name)
    return [Fraction(said["regional"]), Fraction(said["total"])] if said else []


def _earlier(report: Any) -> dict[str, Any]:
    share = ratio(*before) if (before := _before(report)) else None
    said = {"window": report.window_name, "as_of": iso(report.as_of), "delivered_share": share}
    return {**said, "published": True}


def _restated(known: Known, who: Who, now: Measured, report: Any) -> dict[str, Any] | None:
    """What is told otherwise: by accounting as known then and sorted as now, and by all the rest."""
    then, before = Known(known.connection, known.cluster, report.as_of), _before(report)
    term = Who(then).term(now.window.since)
    changed = [one for one in term._fields if getattr(term, one) != getattr(now.term, one)]
    changed = [one for one in changed if one not in SAID_OF_TERM]
    own, everyone = now.of(REGIONAL), now.charge
    if not before or (not changed and before == [own, everyone]):
        return None
    books = ((then, who), (then, Who(then)))
    middle, first = (measure(*one, weights_of(now.term), now.window, now.term) for one in books)
    between, least = middle.of(REGIONAL), now.term.min_organisations
    hidden = any(0 < few < least for few in (_apart(now, middle), _apart(middle, first)))
    causes = [own - between, between - before[0]] if "resource" not in changed and not hidden else [None] * 2
    difference = own - before[0] if "resource" not in changed else None
    names = [f"regional_charge_by_{name}" for name in ("accounting", "classification")]
    return {
        "window": now.window.name, "target_share_before": promised(term), "target_share": promised(now.term),
        "regional_charge_before": before[0], "total_charge_before": before[1],
        "delivered_share_before": ratio(*before), "delivered_share": ratio(own, everyone),
        "regional_charge": own, "total_charge": everyone, "terms_changed": changed, "causes_told": not hidden,
        "regional_charge_difference": difference, **_lost(then, known, who, now),
        **dict(zip(names, causes, strict=True)),
    }  # fmt: skip


def _lost(then: Known, known: Known, who: Who, now: Measured) -> dict[str, Any]:
    """The reservations of rules that runs of the window had then, and have no more."""
    ruled = {name for rule in who.rules for name in rule["conditions"].get("reservation", ())}
    bare = {one.db_index for one in known.runs if not one.reservation}
    lost = {
        one.reservation for one in then.runs
        if one.reservation in ruled and one.db_index in bare and one.start_at is not None
        and one.start_at < now.window.until and now.window.since < (one.end_at or now.window.until)
    }  # fmt: skip
    return {"lost_reservations": sorted(lost)} if lost else {}


def _apart(one: Measured, other: Measured) -> int:
    """How many organisations of the region got something else."""
    first, second = regional(one.groups), regional(other.groups)
    return sum(first.get(whom) != second.get(whom) for whom in first.keys() | second.keys())


# -- who is known to have got what ---------------------------------------------------------------------


def _told(
    known: Known, window: Window, got: Callable[[Known, Who], Sum]
) -> Iterator[tuple[Mapping[str, Any] | None, Sum]]:
    """What each report given out before said, None but of its own window, and who got what as known then.

    Windows are all quarters: two are the same one, or share no time and tell nothing of each other.
    """
    for report in known.rows("reports", "report_id", "as_of"):
        if (report.window_name, report.as_of) == (window.name, known.then):
            return
        own = report.window_name == window.name
        if own or window.name in report.figures:
            then = Known(known.connection, known.cluster, report.as_of)
            yield json.loads(report.document) if own else None, got(then, Who(then))


def _charge_told(known: Known, window: Window) -> Iterator[Sum]:
    """Totals and rows of reports of the window; the region and all, of those that had it in their trend."""

    def charge(then: Known, who: Who) -> Sum:
        term = who.term(window.since)
        return parts(measure(then, who, weights_of(term), window, term).groups, recorded_in(who, window))

    for said, got in _told(known, window, charge):
        yield from told(got, said["tables"]) if said else [of_side(got, REGIONAL), got]
        for row in said.get("promises", []) if said else []:
            yield from of_promise(got, row["name"], row["share_of"]) if row["figures_shown"] else []


def _hours_told(known: Known, window: Window, zone: ZoneInfo) -> Iterator[Sum]:
    def hours(then: Known, who: Who) -> Sum:
        return parts(_hours(then, who, window, zone, "delivered"), by_role)

    for said, got in _told(known, window, hours):
        if said:
            yield from told(got, {name: said["expertise"][name] for name in HOURS})


def _unmet_told(known: Known, window: Window, zone: ZoneInfo) -> Iterator[Sum]:
    for said, got in _told(known, window, lambda then, who: parts(_hours(then, who, window, zone, "unmet"))):
        if said and said["expertise"]["unmet_hours"] is not None:
            yield of_side(got, REGIONAL)
