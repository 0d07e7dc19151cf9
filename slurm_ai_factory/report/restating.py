"""Compares a report with earlier ones: which figures changed, and why.

Tested in tests/report/test_report.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal

from slurm_ai_factory import question
from slurm_ai_factory.core.records import Charge, Instant, Measurement
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.question import Question, by_place
from slurm_ai_factory.report import Earlier, Restatement


def earlier_figures(
    ask: Question, trend: Iterable[Measurement], compared: Instant | None
) -> Iterator[Earlier]:
    """The earlier figures of each window: of its last published report, or as known at ``compared``.

    A rolling window is a different interval each time, so that it has none.
    """
    then = None if compared is None else question.ask(ask.config, ask.ledger, then=compared)
    for window in [now.window for now in trend if not now.window.rolling]:
        if then is None:
            report = ask.ledger.publishing.last(window.name, ask.known_at)
            if report is not None:
                figures = report.figures.get(window.name)  # none if the window was not over yet
                regional, total = (
                    Decimal(figures[key]) if figures else None for key in ("regional", "total")
                )
                yield Earlier(window.name, report.as_of, regional, total, published=True)
        elif window.until <= then.read_until:
            m = then.about(window).measure()
            if not m.unread_seconds:
                yield Earlier(window.name, then.known_at, m.regional_charge, m.total_charge, published=False)


def restatements(
    ask: Question, trend: Iterable[Measurement], earlier: Iterable[Earlier]
) -> Iterator[Restatement]:
    """The windows whose figures changed, with the causes."""
    now = {m.window.name: m for m in trend}
    for figures in earlier:
        restatement = _restated(ask, now[figures.window], figures)
        if restatement is not None:
            yield restatement


def _restated(ask: Question, now: Measurement, earlier: Earlier) -> Restatement | None:
    """The changes of a window; None if nothing changed."""
    regional, total = earlier.regional, earlier.total
    if regional is None or total is None:
        return None
    then = question.terms_of(ask.config, ask.ledger, earlier.as_of).of(now.window)
    changed = ask.terms.of(now.window).differing(then)
    if not changed and (regional, total) == (now.regional_charge, now.total_charge):
        return None
    between, told_apart = _causes(ask.about(now.window), earlier.as_of)
    comparable = "resource" not in changed
    return Restatement(
        window=now.window.name,
        regional_before=regional,
        total_before=total,
        regional_now=now.regional_charge,
        total_now=now.total_charge,
        by_accounting=now.regional_charge - between if comparable else None,
        by_classification=between - regional if comparable else None,
        told_apart=told_apart,
        target_before=then.share,
        target_now=now.target_share,
        terms_changed=tuple(changed),
        lost_reservations=tuple(_lost_reservations(ask, now, earlier.as_of)),
    )


def _lost_reservations(ask: Question, now: Measurement, then: Instant) -> list[str]:
    """The reservations that rules name and that runs of a window have lost since."""
    names = {name for rule in ask.rules.rules for name in rule.conditions.get("reservation", ())}
    if not names:
        return []
    interval = now.window.since, now.window.until
    return ask.ledger.accounting.lost_reservations(names, interval, then, ask.then)


def _causes(ask: Question, then: Instant) -> tuple[Charge, bool]:
    """Regional charge by the accounting of then and the rules of now; whether each cause may be shown."""
    earlier = question.ask(ask.config, ask.ledger, then=then)
    by_rules_of_now = replace(ask, then=then, read_until=earlier.read_until)
    now, between = _regional(ask), _regional(by_rules_of_now)
    before = _regional(replace(by_rules_of_now, rules=earlier.rules))
    least = ask.config.report.min_organisations
    changed = (
        sum(left.get(key) != right.get(key) for key in left.keys() | right.keys())
        for left, right in ((now, between), (between, before))
    )
    return sum(between.values(), start=0), not any(0 < few < least for few in changed)


def _regional(ask: Question) -> dict[str, Charge]:
    """Organisation of the region -> its charge."""
    charges: dict[str, Charge] = {}
    for group in ask.groups(by_place):
        if group.beneficiary is Beneficiary.REGIONAL and group.delivered:
            charges[group.name] = charges.get(group.name, 0) + group.delivered
    return charges
