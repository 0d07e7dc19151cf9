"""The further promises in a report: their terms, what was delivered, and the verdict.

The rule: the figures of a promise are sums over organisations like any cell of a table. They are shown only
where no few organisations can be singled out (docs/decisions/0007-small-cells.md); the verdict always is.
Tested in tests/report/test_promises.py and, a second time, in tests/second.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from slurm_ai_factory.core import canonical, windows
from slurm_ai_factory.core.measure.figures import figure_values, number, when
from slurm_ai_factory.core.programme.suppression import TableCell, cells_shown
from slurm_ai_factory.core.programme.terms import PromiseTerms, Term
from slurm_ai_factory.core.records import FIRST, Measurement, Window
from slurm_ai_factory.core.rules.classify import Beneficiary, PromisedTo
from slurm_ai_factory.question import Question
from slurm_ai_factory.report.given import Document, Known
from slurm_ai_factory.report.tables import promised_place, promised_sum, totals

REGION: PromisedTo = (("beneficiary", (Beneficiary.REGIONAL.value,)),)
"""Whom the first promise is made to."""

FIGURES_OF_PROMISE = ("delivered_share", "regional_charge", "total_charge")
"""Figures of a promise that are left out where they would single out a few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedPromise:
    """A further promise in the window of a report."""

    term: Term
    sums: tuple[PromisedTo, ...] = ()  #: whose charge its figures add up; none where that cannot be said
    judged: bool  #: whether the window of the report is one of its own
    who: Mapping[str, str | None]  #: conditions in words; None where they would name an organisation
    measurement: Measurement | None = None  #: None where it is not judged
    shown: bool = False  #: whether its figures may be shown


def promises_in(ask: Question) -> Iterator[ReportedPromise]:
    """The further promises that hold at some time in the window of a report, without their figures."""
    every = ask.ledger.promise_terms.further(ask.then)
    for terms in every.values():
        holding = [term for term in terms.between(*_span(ask.window)) if not term.ended]
        if holding:
            term = holding[-1]
            at = ask.window.until if term.rolling else ask.window.since
            own = term.cut(windows.window(term.window, at, term.zone))
            judged = terms.of(ask.window) is term and own == ask.window
            sums = _sums_of(term, every, ask) if judged else ()
            yield ReportedPromise(term=term, sums=sums, judged=judged, who=_who(ask, term))


def _span(window: Window) -> tuple[int, int]:
    return window.since, window.until


def _sums_of(term: Term, every: Mapping[str, PromiseTerms], ask: Question) -> tuple[PromisedTo, ...]:
    """Whose charge the figures of a promise add up: its own, and that of which it is a part.

    None where the resource is not that of the report, with whose charges they cannot be compared, or where
    the other promise changes in the window.
    """
    base = ask.config.under(term).promise_of().base
    if term.resource != ask.config.promise.resource:
        return ()
    if not base:
        return (term.conditions,)
    if base == FIRST:
        return (*REGION, *term.conditions), REGION
    whole, *changed = every[base].between(*_span(ask.window))
    return () if changed or whole.ended else ((*whole.conditions, *term.conditions), whole.conditions)


def _who(ask: Question, term: Term) -> dict[str, str | None]:
    """The conditions of a promise; None for organisations, and their accounts, that no report names."""
    linked = {link.account for link in ask.rules.registry.links}
    named = ask.config.report.name_organisations

    def names_nobody(key: str, names: Collection[str]) -> bool:
        of_account = key in ("account", "account_subtree")
        return named or not (key == "organisation" or (of_account and not linked.isdisjoint(names)))

    return {key: ", ".join(names) if names_nobody(key, names) else None for key, names in term.conditions}


def promises_shown(promises: Iterable[ReportedPromise], known: Known, smallest: int) -> set[str]:
    """The promises whose figures may be shown beside the totals and what is known from earlier reports."""
    sums = {promise.term.promise: promise.sums for promise in promises if promise.sums}
    cells = [
        TableCell(name, promised_place(who), promised_sum(known.pieces, who))
        for name, conditions in sums.items()
        for who in conditions
    ]
    asked = [cell for cell in cells if cell.members]
    visible = cells_shown(asked, totals(known.pieces), smallest, known.sums)
    return sums.keys() - {cell.table for cell in asked if (cell.table, cell.name) not in visible}


def with_figures(ask: Question, promise: ReportedPromise, shown: Collection[str]) -> ReportedPromise:
    """The promise with its measurement, if it is judged in the window; ``shown`` are those with figures."""
    if not promise.judged:
        return promise
    measurement = replace(ask, config=ask.config.under(promise.term)).measure()
    return replace(promise, measurement=measurement, shown=promise.term.promise in shown)


def conditions_shown(ask: Question, document: Document) -> set[PromisedTo]:
    """The conditions whose charge a published report disclosed by the figures of promises."""
    shown = {row["name"] for row in document.get("promises", ()) if row["figures_shown"]}
    promises = promises_in(ask) if shown else ()
    return {who for promise in promises if promise.term.promise in shown for who in promise.sums}


def promises_changed(ask: Question, promises: Iterable[ReportedPromise]) -> tuple[str, ...]:
    """The promises of which the last published report of the window says otherwise; none if it was open."""
    before = ask.ledger.publishing.last(ask.window.name, ask.known_at)
    if before is None or ask.window.name not in before.figures:
        return ()
    was = {row["name"]: row for row in json.loads(before.document or "{}").get("promises", ())}
    now = {promise.term.promise: promise_value(promise) for promise in promises}
    names = sorted(was.keys() | now.keys())
    return tuple(name for name in names if canonical.within(was.get(name), now.get(name)) != was.get(name))


def promise_value(promise: ReportedPromise) -> dict[str, Any]:
    """A promise as plain values; None where a figure is not shown, or is not known."""
    term, m = promise.term, promise.measurement
    nothing: dict[str, Any] = dict.fromkeys((*FIGURES_OF_PROMISE, "bound_charge"))
    shown = {**figure_values(FIGURES_OF_PROMISE, m, term.margin), **_bound(m)} if m and promise.shown else {}
    verdict = figure_values(("verdict", "verdict_reason"), m, term.margin) if m else {}
    return {
        "name": term.promise,
        "bound": term.bound.value,
        "share": term.share,
        "share_of": term.share_of,
        "window": term.window,
        "resource": term.resource.name,
        "who": dict(promise.who),
        **recorded_value(term),
        "actor": term.actor,
        "reason": term.reason if term.retroactive else None,
        "retroactive": term.retroactive,
        "figures_shown": promise.shown,
        **nothing,
        **shown,
        **dict.fromkeys(("verdict", "verdict_reason")),
        **verdict,
    }


def recorded_value(term: Term) -> dict[str, Any]:
    """When a term begins and was recorded, and its document."""
    return {
        "since": when(term.since or None),
        "source": term.source,
        "recorded_at": when(term.recorded_at or None),
        "ended": term.ended,
    }


def _bound(m: Measurement) -> dict[str, Any]:
    """What a floor requires or a cap allows of the total; None where that is not known."""
    whole = m.whole_charge
    return {"bound_charge": None if whole is None else number(Decimal(str(m.target_share)) * whole)}
