"""What a report says of earlier ones: what each window is compared with, what changed, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal

from slurm_ai_factory import question
from slurm_ai_factory.core.records import Charge, Instant, Measurement
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.ledger.publishing import Published
from slurm_ai_factory.question import Question, by_place
from slurm_ai_factory.report import (
    Earlier,
    Restatement,
)


def earlier_figures(
    ask: Question, trend: Iterable[Measurement], compared: Instant | None
) -> Iterator[Earlier]:
    """What each window is compared with: the last report published of it, or what was known then.

    A rolling window is another interval each time, and compared with nothing.
    """
    then = None if compared is None else question.ask(ask.config, ask.ledger, then=compared)
    for window in [now.window for now in trend if not now.window.rolling]:
        if then is None:
            given = ask.ledger.publishing.last(window.name, ask.known_at)
            if given is not None:
                yield _published(given)
        elif window.until <= then.read_until:
            one = then.about(window).measure()
            if not one.unread_seconds:
                charges = one.regional_charge, one.total_charge
                yield Earlier(window.name, then.known_at, *charges, published=False)


def _published(given: Published) -> Earlier:
    """What a published report said; one of a window that was not over yet has no final figures."""
    said = given.figures.get(given.window)
    regional, total = (Decimal(said[key]) if said else None for key in ("regional", "total"))
    return Earlier(given.window, given.as_of, regional, total, published=True)


def restatements(
    ask: Question, trend: Iterable[Measurement], earlier: Iterable[Earlier]
) -> Iterator[Restatement]:
    """Windows that are told otherwise than they were, and what made the difference."""
    now = {one.window.name: one for one in trend}
    for one in earlier:
        found = _restated(ask, now[one.window], one)
        if found is not None:
            yield found


def _restated(ask: Question, now: Measurement, earlier: Earlier) -> Restatement | None:
    """How a window is told otherwise than it was; None where it is not."""
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
    )


def _causes(ask: Question, then: Instant) -> tuple[Charge, bool]:
    """What the region had by accounting of then and rules of now; whether each cause rests on enough."""
    earlier = question.ask(ask.config, ask.ledger, then=then)
    by_rules_of_now = replace(ask, then=then, read_until=earlier.read_until)
    now, between = _regional(ask), _regional(by_rules_of_now)
    before = _regional(replace(by_rules_of_now, rules=earlier.rules))
    least = ask.config.report.min_organisations
    changed = (
        sum(one.get(key) != other.get(key) for key in one.keys() | other.keys())
        for one, other in ((now, between), (between, before))
    )
    return sum(between.values(), start=0), not any(0 < few < least for few in changed)


def _regional(ask: Question) -> dict[str, Charge]:
    """Charge of each organisation of the region."""
    charges: dict[str, Charge] = {}
    for group in ask.groups(by_place):
        if group.beneficiary is Beneficiary.REGIONAL and group.delivered:
            charges[group.names[0]] = charges.get(group.names[0], 0) + group.delivered
    return charges
