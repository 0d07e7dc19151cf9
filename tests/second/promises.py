"""What a report says of further promises, exact: what was delivered, the verdict, what is left out.

Rule: a promise is judged in a quarter that is over where its windows are quarters. Its figures are sums over
organisations, and are left out where they single out too few, before any line of a table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

from tests.second.measure import NONE, Measured, Window, iso, measure, promised, ratio, summed, weights_of
from tests.second.rows import Known
from tests.second.tables import Cell, Sum, lasting, of_promise, of_side, showable
from tests.second.who import FIRST, OTHERS, REGIONAL, UNCLASSIFIED, Answer, Who

FIGURES = ("delivered_share", "regional_charge", "total_charge", "bound_charge")
Verdict = Callable[[Measured], tuple[str, str]]


def promises(
    known: Known, who: Who, own: Measured, got: Sum, before: Sequence[Sum], verdict: Verdict
) -> Iterator[dict[str, Any]]:
    """The promises in force, by name; ``before`` was told by earlier reports."""
    terms = [term for name in sorted(who.further) if (term := who.promised(name, own.window.since))]
    shown = _shown(own, terms, got, before)
    for term in terms:
        late = term.since < term.recorded_at
        judged = term.window_kind == "quarter"
        told = _measured(known, who, own, term) if judged else None
        yield {
            "name": term.promise, "bound": term.bound, "share": promised(term), "share_of": term.share_of,
            "window": term.window_kind, "resource": "+".join(term.resource), "who": _whom(who, term),
            "since": iso(term.since), "source": term.source, "recorded_at": iso(term.recorded_at),
            "ended": term.ended, "actor": term.actor, "reason": term.reason if late else None,
            "retroactive": late, "figures_shown": term.promise in shown,
            **(_figures(told, term) if told and term.promise in shown else dict.fromkeys(FIGURES)),
            **dict(zip(("verdict", "verdict_reason"), verdict(told) if told else (None, None), strict=True)),
        }  # fmt: skip


def _shown(own: Measured, terms: Sequence[Any], got: Sum, before: Sequence[Sum]) -> set[str]:
    """The promises whose every sum may be told, in their order."""
    alike = lasting(got)
    sides = [alike(one) for side in (OTHERS, REGIONAL, UNCLASSIFIED) if (one := of_side(got, side))]
    of = {
        term.promise: of_promise(got, term.promise, term.share_of)
        for term in terms
        if term.window_kind == "quarter" and weights_of(term) == own.weights
    }
    cells = [Cell(name, str(number), one) for name, sums in of.items() for number, one in enumerate(sums)]
    told = {*showable(cells, sides, own.term.min_organisations, before)}
    return {name for name in of if all(cell in told for cell in cells if cell.table == name)}


def _whom(who: Who, term: Any) -> dict[str, str | None]:
    linked = {one.account for one in who.links}
    hidden = {
        key for key, names in term.who.items()
        if key == "organisation" or (key in ("account", "account_subtree") and linked & {*names})
    }  # fmt: skip
    return {key: None if key in hidden else ", ".join(names) for key, names in sorted(term.who.items())}


def _measured(known: Known, who: Who, own: Measured, term: Any) -> Measured:
    base = term.share_of.partition("promise:")[2]

    def side(answer: Answer) -> str | None:
        names = {*answer.promises.split(), *([FIRST] if answer.side == REGIONAL else [])}
        if base and base not in names:
            return None
        return answer.side if answer.side == UNCLASSIFIED else REGIONAL if term.promise in names else OTHERS

    found = measure(known, who, weights_of(term), own.window, term, side)
    if base:
        found.up = dict(found.everyone)  # what they could have had is a part of that promise's charge
    return found


def _figures(one: Measured, term: Any) -> dict[str, Any]:
    share, charge = ratio(one.of(REGIONAL), one.charge), one.of(REGIONAL)
    return dict(zip(FIGURES, (share, charge, one.charge, promised(term) * one.charge), strict=True))


def verdict_on_cap(one: Measured) -> tuple[str, str]:
    """An excess is blamed on taking where others waited, by hour, for more than 1 % of what is allowed."""
    cap, charge = promised(one.term), one.of(REGIONAL)
    excess = charge - cap * one.charge
    if excess <= 0:
        return "kept", "within"
    over = {hour: max(NONE, one.regional[hour] - cap * one.everyone[hour]) for hour in one.hours}
    taken = summed(min(one.others_waiting[hour], over[hour]) for hour in one.hours)
    return ("exceeded", "taken") if min(taken, excess) > cap * one.charge / 100 else ("exceeded_idle", "idle")


def told_otherwise(known: Known, window: Window, now: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The promises of which the last report that was given out of the window, once over, says otherwise."""
    told = [
        one for one in known.rows("reports", "as_of", "as_of")
        if one.window_name == window.name and one.as_of < known.then
    ]  # fmt: skip
    if not told or window.name not in told[-1].figures:
        return {}
    was = {row["name"]: row for row in json.loads(told[-1].document).get("promises", [])}
    rows = {row["name"]: {name: _plain(one) for name, one in row.items()} for row in now}
    changed = [name for name in sorted({*was, *rows}) if was.get(name) != rows.get(name)]
    return {"promises": changed} if changed else {}


def _plain(one: Any) -> Any:
    return one if not isinstance(one, Fraction) else int(one) if one.denominator == 1 else float(one)
