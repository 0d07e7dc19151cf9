"""What a programme asks beside the share, exact: why, who, how long it waited, what access was worth.

Rule: what is not recorded is None, and so is what would tell something of too few organisations.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

from tests.second.measure import (
    HOUR,
    NONE,
    Groups,
    Measured,
    Window,
    capacity,
    count,
    measure,
    promised,
    summed,
)
from tests.second.rows import Known
from tests.second.tables import Cell, Part, Recorded, Sum, member, showable
from tests.second.who import OTHERS, REGIONAL, WHOLE, Answer, Who

SIDES = {True: "regional", False: "others"}
PARTS = {"median": Fraction(1, 2), "p90": Fraction(9, 10)}


class Tariff(NamedTuple):
    """A price for an hour of a resource, from an instant on; category "" is every one."""

    beneficiary: str
    category: str
    resource: str
    price: str
    since: int


def recorded_in(who: Who, window: Window) -> Recorded:
    """What is recorded of an organisation and account, as of the end of a window."""
    return lambda account, answer: who.recorded(account, answer.organisation, window.since, window.until)


def by_role(role: str, _answer: Answer) -> Mapping[str, str]:
    """Hours are kept by role instead of by account."""
    return {"role": role}


def regional(groups: Groups) -> dict[str, Fraction]:
    """What each organisation of the region got, if anything."""
    found: dict[str, Fraction] = defaultdict(Fraction)
    for key, charge in groups.items():
        if charge and key[1].side == REGIONAL:
            found[member(*key)] += charge
    return dict(found)


# -- why -----------------------------------------------------------------------------------------------


def cause(known: Known, own: Measured, verdict: str, control: Any) -> dict[str, Any] | None:
    """Why the floor was missed: no demand, or the first thing that accounts for half of it."""
    starved = own.starved(own.hours)
    said = {"name": "demand", "since": None, "until": None, "reason": "", "starved_charge": starved}
    if verdict == "missed_demand":
        short = promised(own.term) * own.charge - own.of("regional")
        slight = starved is not None and starved >= short
        return {
            **said,
            "name": "slight" if slight else "demand",
            "starved_charge": min(starved or NONE, short),
        }
    if verdict != "missed_starved":
        return None
    if starved is None:
        return {**said, "name": "size_unknown"}
    decided = [one.inputs for one in _decided(known, own.window)]
    limited = [
        one for one in decided if one.get("regional_held_by_limit", 0) > 0 and not one["regional_demand"]
    ]
    if decided and 2 * len(limited) >= len(decided):
        return {**said, "name": "limited"}
    spans = [one for one in _modes(known, own.window) if one[0] != "enforce"]
    lost = [own.starved([at for at in own.hours if since <= at < until]) for _, since, until in spans]
    most, span = max(zip(lost, spans, strict=True), default=(NONE, None))
    if span and most is not None and summed(one or NONE for one in lost) >= starved / 2:
        dates = dict(zip(("since", "until"), span[1:], strict=True))
        return {**said, "name": "control_off", **dates, "starved_charge": most}
    held: dict[str, int] = defaultdict(int)
    for month in control["months"]:
        for name, times in month["reasons"].items():
            held[name] += times
    if control["decisions"] and sum(held.values()) >= control["decisions"] / Fraction(2):
        return {**said, "name": "held", "reason": max(sorted(held), key=lambda name: held[name])}
    return {**said, "name": "waited"}


def _decided(known: Known, window: Window) -> list[Any]:
    return [one for one in known.rows("decisions", at="at") if window.since <= one.at < window.until]


def _modes(known: Known, window: Window) -> list[tuple[str, int, int]]:
    """(mode, since, until) of decisions in a row."""
    decided = _decided(known, window)
    firsts = [one for n, one in enumerate(decided) if not n or decided[n - 1].mode != one.mode]
    ends = [*(one.at for one in firsts[1:]), min(window.until, known.then)]
    return [(one.mode, one.at, end) for one, end in zip(firsts, ends, strict=True)]


def bridge(own: Measured, shortfall: Fraction) -> dict[str, Any] | None:
    """How what was starved and what was short fit together."""
    starved = own.starved(own.hours)
    if starved is None or own.up is None or not shortfall:
        return None
    floor = {at: promised(own.term) * own.up.get(at, 0) - own.regional[at] for at in own.hours}
    return {
        "starved": starved,
        "unasked": summed(max(NONE, one) for one in floor.values()) - starved,
        "ahead": summed(max(NONE, -one) for one in floor.values()),
        "idle": promised(own.term) * (summed(own.up.values()) - own.charge),
        "shortfall": shortfall,
    }


# -- what the programme asks ---------------------------------------------------------------------------


def asked_for(
    known: Known, who: Who, trend: Sequence[Measured], got: Sum, shown: Any, tariffs: Sequence[Tariff]
) -> dict[str, Any]:
    """Everything beside the share."""
    own, priced = trend[-1], _worth(known, who, trend[-1], tariffs, shown)
    whole = capacity(known, own.weights, own.window.since, own.hours.stop, whole_size=True)
    installed = None if whole is None else summed(whole.values())
    up = None if own.up is None else summed(own.up.values())
    given = any(row["name"] == "granted" for row in shown["grant"]["rows"])
    return {
        "waiting_time": [*_waiting(known, who, own)],
        "access_value": {"recorded": bool(tariffs), **priced},
        "machine": {
            "installed": installed,
            "availability": up / installed if up and installed else None,
            "used_share": own.charge / up if up else None,
        },
        "reach": [*_reach(trend, got)],
        "recorded": {
            name: any(getattr(one, name) not in ("", "not_business") for one in got)
            for name in ("size", "stage", "access", "grant")
        },
        "granted_hours": who.granted(own.window.since, own.window.until) if given else None,
    }  # fmt: skip


def _waiting(known: Known, who: Who, own: Measured) -> Iterator[dict[str, Any]]:
    """Median and 90th percentile from eligible to start, of the runs that started in the window."""
    waits: dict[tuple[str, str], list[tuple[int, Fraction, str]]] = defaultdict(list)
    for run in known.runs:
        if None in (run.start_at, run.eligible_at) or not own.window.since <= run.start_at < own.hours.stop:
            continue
        nodes = count(run.alloc_tres, (("node", WHOLE),)) or 1
        size = "one_node" if nodes <= 1 else "few_nodes" if nodes <= 4 else "many_nodes"
        for one in who.answers(run, run.start_at):
            told = max(0, run.start_at - run.eligible_at), one.fraction, member(run.account, one)
            for name in ("all", size):
                waits[name, SIDES[one.side == REGIONAL]].append(told)
    least = max(1, own.term.min_organisations)
    for name in ("all", "one_node", "few_nodes", "many_nodes"):
        row: dict[str, Any] = {"name": name}
        for side in SIDES.values():
            of = sorted(waits[name, side])
            few = len({whom for *_, whom in of}) < least
            for part, share in PARTS.items():
                row[f"{side}_{part}_seconds"] = None if few else _reached(of, share)
        yield row


def _reached(waits: Sequence[tuple[int, Fraction, str]], part: Fraction) -> int:
    """The first time at which this part of them had started."""
    whole, so_far = sum(weight for _, weight, _ in waits), NONE
    for seconds, weight, _ in waits:
        so_far += weight
        if so_far >= part * whole:
            return seconds
    raise ValueError("nothing waited")


def _reach(trend: Sequence[Measured], got: Sum) -> Iterator[dict[str, Any]]:
    """How many organisations of the region are small, young, new, or were there before."""
    before = {whom for one in trend[:-1] for whom in regional(one.groups)}
    mine = [one for one in got if one.side == REGIONAL]
    everyone = {one.whom for one in mine}
    kinds = {
        "sme": {one.whom for one in mine if one.size in ("micro", "small", "medium")},
        "young": {one.whom for one in mine if one.stage in ("startup", "scaleup")},
        "new": everyone - before,
        "returning": everyone & before,
    }
    known = {
        "sme": any(one.size not in ("", "not_business") for one in mine),
        "young": any(one.stage not in ("", "not_business") for one in mine),
    }
    cells = [Cell("", kind, _each(of)) for kind, of in kinds.items()]
    least = trend[-1].term.min_organisations
    shown = {cell.name for cell in showable(cells, [_each(everyone)], least, [])}
    for kind, of in kinds.items():
        recorded = known.get(kind, len(trend) > 1)
        number = len(of) if recorded and kind in shown else None
        yield {"name": kind, "recorded": recorded, "organisations": number}


def _each(whom: Collection[str]) -> Sum:
    return frozenset(Part(one, "", "", "", "", "", NONE) for one in whom)


def _worth(
    known: Known, who: Who, own: Measured, tariffs: Sequence[Tariff], shown: Any
) -> dict[str, Fraction | None]:
    """What the region paid, and what it would have cost others, in cents rounded half up."""
    nothing = dict.fromkeys(("paid", "reference", "advantage"))
    cuts = {one.since for one in tariffs if own.window.since < one.since < own.window.until}
    sums, whose = [NONE, NONE], defaultdict[tuple[int, str, Fraction], set[str]](set)
    for since, until in pairwise(sorted({own.window.since, own.window.until, *cuts})):
        for resource in {one.resource for one in tariffs}:
            weights = own.weights if own.weights == ((resource, WHOLE),) else ((resource, WHOLE),)
            piece = Window(own.window.number, since, until)
            for key, charge in measure(known, who, weights, piece, own.term).groups.items():
                if not charge or key[1].side != REGIONAL:
                    continue
                prices = [
                    _price(tariffs, side, key[1].category, resource, since) for side in (REGIONAL, OTHERS)
                ]
                if prices[0] is None or prices[1] is None:
                    return nothing
                whose[since, resource, prices[0]].add(member(*key))
                sums = [
                    one + price * charge / HOUR
                    for one, price in zip(sums, prices, strict=True)
                    if price is not None
                ]
    several = len({key[:2] for key in whose}) < len(whose)
    few = any(len(one) < own.term.min_organisations for one in whose.values())
    if not whose or few or (several and shown["category"]["suppressed"]):
        return nothing
    paid, reference = (Fraction(int(one * 100 + Fraction(1, 2)), 100) for one in sums)
    return {"paid": paid, "reference": reference, "advantage": reference - paid}


def _price(tariffs: Sequence[Tariff], side: str, category: str, resource: str, at: int) -> Fraction | None:
    """That of the category before that of every one, and the latest of these."""
    fitting = [
        one for one in tariffs
        if (one.beneficiary, one.resource) == (side, resource) and one.since <= at
        and one.category in ("", category)
    ]  # fmt: skip
    best = max(fitting, key=lambda one: (bool(one.category), one.since), default=None)
    return Fraction(best.price) if best else None
