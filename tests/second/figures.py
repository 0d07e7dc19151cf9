"""Every figure of a quarterly report, worked out a second time from the raw rows of the ledger.

Rule: this package shares no line with the product. What is exact is a Fraction, in the shape of the report's
JSON; figures that are not known are None.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from psycopg import Connection

from tests.second.measure import (
    HOUR,
    Measured,
    Weights,
    Window,
    measure,
    quarter,
    quarter_before,
    share_of,
)
from tests.second.rows import Known, Row
from tests.second.tables import TABLES, Groups, tables
from tests.second.who import REGIONAL, UNCLASSIFIED, Answer, Who, term_at, terms

WEEK = 7 * 24 * HOUR
STEERS = {"raise", "follow", "lower", "ratio", "at_set_point", "same_order", "restore_baseline"}
"""Reasons of decisions that steered; every other one held."""
SAID_OF_TERM = ("entry_id", "cluster_id", "since", "source", "reason", "actor", "recorded_at")
"""Columns of a term that promise nothing."""
NONE = Fraction(0)


class Asked(NamedTuple):
    """What a report is asked for, and the settings that no table has."""

    cluster: str
    window: str
    then: int
    windows: int  #: in the trend
    unmet_recorded: bool


def figures(connection: Connection[Any], asked: Asked) -> dict[str, Any]:
    """The figures of a report under the names of its JSON."""
    (cluster_id,) = connection.execute(
        "SELECT cluster_id FROM clusters WHERE name = %s", [asked.cluster]
    ).fetchone() or (0,)
    known = Known(connection, cluster_id, asked.then)
    who = Who(known)
    zone = ZoneInfo(term_at(who.terms, known.read_until())["time_zone"])
    window = quarter(asked.window, zone)
    term = term_at(who.terms, window.since)
    trend = list(_trend(known, who, window, zone, asked.windows))[::-1]
    own = trend[-1]
    smallest = term["min_organisations"]
    return {
        "report": {
            "cluster": asked.cluster,
            "time_zone": zone.key,
            "min_organisations": smallest,
            "as_of": iso(known.then),
            "read_until": iso(own.read),
        },
        "promise": _promise(term),
        "share": _share(known, own),
        "resources": list(_resources(known, who, own)),
        "trend": [_short(one) for one in trend],
        "weeks": list(_weeks(own)),
        "tables": tables(own.groups, TABLES, smallest, own.charge),
        "organisations": {"regional": _reached(own)},
        "control": _control(known, window, zone),
        "expertise": _expertise(known, who, own, zone, asked.unmet_recorded),
        "restatements": _restatements(known, who, trend),
        "audits": list(_audits(known, window)),
    }


def iso(at: int | None) -> str | None:
    """An instant as a report spells it."""
    return None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def ratio(part: Fraction, whole: Fraction | None) -> Fraction | None:
    """A part of something; None of nothing."""
    return part / whole if whole else None


# -- a window ------------------------------------------------------------------------------------------


def _weights(term: Row) -> Weights:
    return tuple((name, Fraction(weight)) for name, weight in sorted(term["resource"].items()))


def _trend(known: Known, who: Who, window: Window, zone: ZoneInfo, most: int) -> Iterator[Measured]:
    """The window and those before it that were read from their beginning on, newest first."""
    for place in range(most):
        term = term_at(who.terms, window.since)
        found = measure(known, who, _weights(term), window, term)
        if place and found.unread:
            return
        yield found
        window = quarter_before(window, zone)


def _resources(known: Known, who: Who, own: Measured) -> Iterator[dict[str, Any]]:
    """The same window in other resources that there was any of."""
    for name in ("gres/gpu", "node", "cpu"):
        if name != own.resource:
            found = measure(known, who, ((name, Fraction(1)),), own.window, own.term)
            if found.charge:
                yield {"name": name, **_short(found)}


def _promise(term: Row) -> dict[str, Any]:
    """What the term says of itself, but for the document that it is from."""
    dated = {name: iso(term[name] or None) for name in ("since", "recorded_at")}
    return {"share": share_of(term), "share_of": term["share_of"], "ended": term["ended"], **dated}


def _short(one: Measured) -> dict[str, Any]:
    verdict, reason = _verdict(one)
    capacity = None if one.capacity is None else sum(one.capacity.values(), start=NONE)
    return {
        "window": one.window.name,
        "since": iso(one.window.since),
        "until": iso(one.window.until),
        "resource": one.resource,
        "target_share": share_of(one.term),
        "delivered_share": ratio(one.of(REGIONAL), one.charge),
        "capacity_share": ratio(one.of(REGIONAL), capacity),
        "regional_charge": one.of(REGIONAL),
        "total_charge": one.charge,
        "verdict": verdict,
        "verdict_reason": reason,
    }


def _share(known: Known, one: Measured) -> dict[str, Any]:
    forecast = _forecast(one)
    return _short(one) | {
        "as_of": iso(one.read),
        "resource_label": one.term["label"] or None,
        "unclassified_charge": one.of(UNCLASSIFIED),
        "unclassified_share": ratio(one.of(UNCLASSIFIED), one.charge),
        "unclassified_limit": one.term["unclassified_limit"],
        "capacity": None if one.capacity is None else sum(one.capacity.values(), start=NONE),
        "waiting_charge": sum(one.waiting.values(), start=NONE),
        "starved_charge": one.starved(one.hours),
        "shortfall_charge": _shortfall(one),
        "unread_seconds": one.unread,
        "required_share": forecast["required_share"],
        "attainable": forecast["attainable"],
        "forecast": forecast,
        "newest_record_at": iso(known.newest_record()),
        "groups": [],
    }


def _shortfall(one: Measured) -> Fraction:
    return max(NONE, share_of(one.term) * one.charge - one.of(REGIONAL))


def _verdict(one: Measured) -> tuple[str, str]:
    """Whether the promise was kept, and why that is said."""
    verdict, reason = _by_figures(one)
    limit, unclassified = one.term["unclassified_limit"], ratio(one.of(UNCLASSIFIED), one.charge)
    if one.term["ended"] or one.unread:
        return "open", "ended" if one.term["ended"] else "unread"
    if verdict == "met" and limit is not None and unclassified is not None and unclassified > limit:
        return "open", "unclassified"
    return verdict, reason


def _by_figures(one: Measured) -> tuple[str, str]:
    promised, starved, left = share_of(one.term) * one.charge, one.starved(one.hours), _left(one)
    if left:
        size = (one.capacity or {}).get(one.hours[-2], NONE) / HOUR if len(one.hours) > 1 else NONE
        surely = size and one.of(REGIONAL) >= promised + share_of(one.term) * size * left
        return ("met", "met_early") if surely else ("open", "not_over")
    if not _shortfall(one):
        return "met", "met" if one.charge else "nothing"
    if starved is None:
        return "missed_starved", "capacity_unknown"
    explained = min(starved, _shortfall(one)) > promised / 100
    return ("missed_starved", "starved") if explained else ("missed_demand", "demand")


def _left(one: Measured) -> int:
    """Seconds of the window that are still to come."""
    return max(0, one.window.until - one.read)


def _forecast(one: Measured) -> dict[str, Any]:
    """What the region needs of what is left, at the rate of the last seven days that had usage."""
    rate, left = _rate(one), _left(one)
    rest, regional = rate * left, one.of(REGIONAL)
    wanted = (share_of(one.term) + share_of(one.term, "margin")) * (one.charge + rest) - regional
    required = max(NONE, wanted / rest) if rest else None
    highest = min(Fraction(1), one.demand / rate) if rest else None
    return {
        "remaining_seconds": left,
        "required_share": required,
        "highest_share": highest,
        "projected_share": None if highest is None else (regional + highest * rest) / (one.charge + rest),
        "attainable": None if required is None or highest is None else required <= highest,
        "expected_rate": rate,
        "demand_rate": one.demand,
    }


def _rate(one: Measured) -> Fraction:
    """Resource delivered a second, from the first hour of the last seven days that has any."""
    recent = [hour for hour in one.hours if one.read - WEEK <= hour < one.read]
    first = next((hour for hour in recent if one.total[hour]), None)
    return (
        NONE if first is None else sum((one.total[hour] for hour in recent), start=NONE) / (one.read - first)
    )


def _weeks(one: Measured) -> Iterator[dict[str, Any]]:
    """Seven days at a time from the window's beginning."""
    regional = total = NONE
    for since in range(one.window.since, one.hours.stop, WEEK):
        hours = [hour for hour in one.hours if since <= hour < since + WEEK]
        own, everyone = (sum((charge[h] for h in hours), start=NONE) for charge in (one.regional, one.total))
        regional, total = regional + own, total + everyone
        yield {
            "since": iso(since),
            "days": Fraction(len(hours), 24),
            "regional_charge": own,
            "total_charge": everyone,
            "delivered_share": ratio(own, everyone),
            "share_to_date": ratio(regional, total),
            "waiting_charge": sum((one.waiting[hour] for hour in hours), start=NONE),
            "starved_charge": one.starved(hours),
        }


def _reached(own: Measured) -> int:
    """How many regional organisations got anything."""
    got = {
        (account, one.organisation)
        for (account, one), charge in own.groups.items()
        if charge and one.side == REGIONAL
    }
    return len({organisation or f"account {account}" for account, organisation in got})


# -- what is not compute -------------------------------------------------------------------------------


def _control(known: Known, window: Window, zone: ZoneInfo) -> dict[str, Any]:
    """Decisions and applied changes by civil month."""
    decisions, changes = (
        [row for row in known.recorded(table) if window.since <= row["at"] < window.until]
        for table in ("decisions", "changes")
    )

    def month(row: Row) -> str:
        return f"{datetime.fromtimestamp(row['at'], zone):%Y-%m}"

    months = [
        _month(name, *([row for row in rows if month(row) == name] for rows in (decisions, changes)))
        for name in sorted({*map(month, decisions), *map(month, changes)})
    ]
    sums = {name: sum(one[name] for one in months) for name in ("changes", "held", "decisions")}
    return {"modes": sorted({row["mode"] for row in decisions}), **sums, "months": months}


def _month(name: str, decisions: Sequence[Row], changes: Sequence[Row]) -> dict[str, Any]:
    held = Counter(row["reason"] for row in decisions if row["reason"] not in STEERS)
    return {
        "month": name,
        "decisions": len(decisions),
        "held": held.total(),
        "reasons": dict(held),
        "changes": len(changes),
        "raw_shares_first": changes[0]["raw_shares_before"] if changes else None,
        "raw_shares_last": changes[-1]["raw_shares_after"] if changes else None,
    }


def _expertise(known: Known, who: Who, own: Measured, zone: ZoneInfo, unmet_recorded: bool) -> dict[str, Any]:
    """Hours of the expertise centre on the window's days, corrections included."""
    hours = {kind: dict(_hours(known, who, own.window, zone, kind)) for kind in ("delivered", "unmet")}
    regional, unclassified = (_side(hours["delivered"], one) for one in (REGIONAL, UNCLASSIFIED))
    total = sum(hours["delivered"].values(), start=NONE)
    unmet = _side(hours["unmet"], REGIONAL) if unmet_recorded else None
    promised = share_of(own.term, "expertise_share") * total
    shortfall = max(NONE, promised - regional)
    smallest = own.term["min_organisations"]
    return {
        "target_share": share_of(own.term, "expertise_share"),
        "delivered_share": ratio(regional, total),
        "regional_hours": regional,
        "total_hours": total,
        "unclassified_hours": unclassified,
        "unmet_hours": unmet,
        "shortfall_hours": shortfall,
        "verdict": _expertise_verdict(known.then < own.window.until, shortfall, unmet, promised),
        **tables(hours["delivered"], ("category",), smallest, total),
    }


def _hours(
    known: Known, who: Who, window: Window, zone: ZoneInfo, kind: str
) -> Iterator[tuple[tuple[str, Answer], Fraction]]:
    """Hours by whom they were for on the day, with the category that the organisation has last."""
    found = defaultdict[tuple[str, Answer], Fraction](Fraction)
    for row in known.recorded("expertise_entries"):
        at = int(datetime.combine(row["day"], time(), zone).timestamp())
        if row["kind"] == kind and window.since <= at < window.until:
            whom = row["organisation"]
            entries = [one for one in who.organisations if one["organisation"] == whom]
            last = max(entries, key=lambda one: int(one["since"]), default={"category": ""})
            found["", Answer(Fraction(1), who.side(whom, at), whom, last["category"])] += Fraction(
                row["hours"]
            )
    yield from found.items()


def _side(hours: Groups, side: str) -> Fraction:
    return sum((found for (_, one), found in hours.items() if one.side == side), start=NONE)


def _expertise_verdict(open_: bool, shortfall: Fraction, unmet: Fraction | None, promised: Fraction) -> str:
    """Where unmet requests are not recorded they excuse no miss."""
    if open_ or not shortfall:
        return "open" if open_ else "met"
    return (
        "missed_demand" if unmet is not None and min(unmet, shortfall) <= promised / 100 else "missed_starved"
    )


def _audits(known: Known, window: Window) -> Iterator[dict[str, Any]]:
    """Checks of the books since the window began, by command."""
    made = [row for row in known.recorded("audits") if row["recorded_at"] >= window.since]
    for command in sorted({row["command"] for row in made}):
        own = [row for row in made if row["command"] == command]
        findings = sum(row["findings"] for row in own)
        yield {
            "command": command,
            "checks": len(own),
            "last": iso(own[-1]["recorded_at"]),
            "findings": findings,
        }


# -- what was told before ------------------------------------------------------------------------------


def _restatements(known: Known, who: Who, trend: Sequence[Measured]) -> dict[str, Any]:
    """The windows of the trend beside the last report that was given out of each."""
    given = {row["window_name"]: row for row in known.recorded("reports")}
    pairs = [(one, given[one.window.name]) for one in trend if one.window.name in given]
    own = [_earlier(row) for one, row in pairs if one is trend[-1]]
    rows = (_restated(known, who, one, row) for one, row in pairs)
    return {
        "replaces": own[0] if own else None,
        "compared_with": [_earlier(row) for _, row in pairs],
        "rows": [row for row in rows if row],
    }


def _before(report: Row) -> tuple[Fraction, Fraction] | None:
    """The regional and the whole charge that a report told of its window; None where that was not over."""
    said = report["figures"].get(report["window_name"])
    return (Fraction(said["regional"]), Fraction(said["total"])) if said else None


def _earlier(report: Row) -> dict[str, Any]:
    before = _before(report)
    return {
        "window": report["window_name"],
        "as_of": iso(report["as_of"]),
        "delivered_share": ratio(*before) if before else None,
        "published": True,
    }


def _restated(known: Known, who: Who, now: Measured, report: Row) -> dict[str, Any] | None:
    """What is told otherwise: by accounting as known then, sorted as it is today, and by all the rest."""
    before, then = _before(report), replace(known, then=report["as_of"])
    if before is None:
        return None
    term = term_at(terms(then), now.window.since)
    changed = [name for name in term if name not in SAID_OF_TERM and term[name] != now.term[name]]
    if not changed and before == (now.of(REGIONAL), now.charge):
        return None
    between = measure(then, who, _weights(now.term), now.window, now.term).of(REGIONAL)
    same = "resource" not in changed
    return {
        "window": now.window.name,
        "target_share_before": share_of(term),
        "target_share": share_of(now.term),
        "regional_charge_before": before[0],
        "total_charge_before": before[1],
        "delivered_share_before": ratio(*before),
        "regional_charge": now.of(REGIONAL),
        "total_charge": now.charge,
        "delivered_share": ratio(now.of(REGIONAL), now.charge),
        "regional_charge_difference": now.of(REGIONAL) - before[0] if same else None,
        "regional_charge_by_accounting": now.of(REGIONAL) - between if same else None,
        "regional_charge_by_classification": between - before[0] if same else None,
        "terms_changed": changed,
    }
