"""The share over all sites in a window, gathered from the statements that the ledger took in.

The rule: everything is of one snapshot and as known at one instant; a day that no statement counts for is
unread. Tested in tests/cli/test_hub.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from slurm_ai_factory import question
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.charge import day_of
from slurm_ai_factory.core.measure.figures import figure_values
from slurm_ai_factory.core.measure.share import Promise
from slurm_ai_factory.core.programme.hubs import (
    Hub,
    HubBooks,
    HubFigures,
    HubUsage,
    UnreadDay,
    day_states,
    hub_subject,
    measure_hubs,
)
from slurm_ai_factory.core.records import Charge, Instant, Window
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.question import PLACES, Reached

KEYS = (
    "delivered_share", "regional_charge", "total_charge", "unclassified_charge", "capacity_share",
    "waiting_charge", "verdict", "verdict_reason",
)  # fmt: skip
"""The figures of each cluster and of all together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubAnswer:
    """The share over all sites in a window."""

    config: Config  #: under the term that judges the window
    promise: Promise
    window: Window
    as_of: Instant
    books: HubBooks
    figures: Sequence[HubFigures]  #: of each cluster, and of all together at the end

    @property
    def together(self) -> HubFigures:
        """The figures of all sites."""
        return self.figures[-1]


def hub_answer(
    config: Config, ledger: Ledger, window: Window, moment: Instant, then: Instant | None = None
) -> HubAnswer:
    """The share over all sites in a window, asked at a moment, as known now or then. Raises LedgerError."""
    config = config.under(question.terms_of(config, ledger, then).of(window))
    promise, as_of = config.promise_of(), max(window.since, min(window.until, day_of(moment)))
    with ledger.store.snapshot():
        hubs = ledger.hubs.hubs(then)
        if not hubs:
            raise LedgerError("the ledger takes in days of no site; register one: saf hub add")
        states = day_states(ledger.hubs.statements(window.since, as_of, then))
        counting = [state.counts for state in states.values() if state.counts]
        scope = counting, promise.resource, window.since, as_of
        books = HubBooks(
            hubs=hubs,
            states=states,
            usage=[row for hub in hubs.values() for row in ledger.hubs.usage(hub, *scope)],
            capacity=[row for hub in hubs.values() for row in ledger.hubs.capacity(hub, *scope)],
            rules=question.rules_at(config, ledger, then),
        )
    figures = measure_hubs(books, promise, window, as_of)
    return HubAnswer(config=config, promise=promise, window=window, as_of=as_of, books=books, figures=figures)


def hub_value(answer: HubAnswer) -> dict[str, Any]:
    """The answer as JSON has it; charges under ``weighted`` are in the programme's own unit."""
    margin = answer.config.promise.margin
    return {
        "window": answer.window.name,
        "since": windows.iso(answer.window.since),
        "until": windows.iso(answer.window.until),
        "as_of": windows.iso(answer.as_of),
        "resource": answer.promise.resource.name,
        "target_share": answer.promise.target_share,
        "rows": [
            {
                "site": each.site,
                "cluster": each.cluster,
                "raw": figure_values(KEYS, each.raw, margin),
                "weighted": figure_values(KEYS, each.weighted, margin),
                "unread": [unread_value(*unread) for unread in each.unread],
            }
            for each in answer.figures
        ],
    }


def unread_value(hub: Hub, unread: UnreadDay) -> dict[str, str]:
    """An unread day as JSON has it."""
    return {
        "site": hub.site,
        "cluster": hub.cluster,
        "day": windows.iso(unread.day)[:10],
        "reason": unread.reason,
    }


def reached_over_hubs(answer: HubAnswer) -> list[Reached]:
    """Who got what at which site, of the promise's resource."""
    sums: dict[tuple[str, Beneficiary, tuple[str, ...]], Charge] = {}
    for row in answer.books.usage:
        for names, beneficiary, charge in _parts(answer, row):
            key = names[0], beneficiary, names[1:]
            sums[key] = sums.get(key, 0) + charge
    return [
        Reached(organisation, beneficiary, dict(zip(("site", *PLACES), places, strict=True)), charge)
        for (organisation, beneficiary, places), charge in sums.items()
    ]


def _parts(answer: HubAnswer, row: HubUsage) -> Iterable[tuple[tuple[str, ...], Beneficiary, Charge]]:
    """(organisation, site and places), beneficiary and charge of each part of a row."""
    subject = hub_subject(answer.promise.cluster, row.site, row.account, row.project)
    for fraction, whose in answer.books.rules.classify(subject, row.hour):
        organisation = whose.organisation or f"account {subject.account}"
        places = (str(getattr(whose, place)) for place in PLACES)
        yield (organisation, row.site, *places), whose.beneficiary, row.delivered * fraction
