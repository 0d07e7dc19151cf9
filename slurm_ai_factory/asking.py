"""What the ledger knew at an instant, asked for a report: measurements, and who got what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from slurm_ai_factory import cycle
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import share, windows
from slurm_ai_factory.core.classify import Classification, Rules
from slurm_ai_factory.core.records import Instant, Measurement, Subject, Window
from slurm_ai_factory.core.share import Promise
from slurm_ai_factory.core.terms import PromiseTerms
from slurm_ai_factory.core.tres import Count
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.report import Reached

PLACES = ("category", "sector", "municipality", "hub")
Key = Callable[[Subject, Classification], str]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked of: the books, and the instant as of which they are looked at."""

    config: Config  #: under the term in force then, or the one that judges the window asked about
    ledger: Ledger
    then: Instant
    read_until: Instant  #: how far accounting had been read by then
    terms: PromiseTerms  #: as known then

    def about(self, window: Window) -> Asked:
        """The same under the term that judges a window."""
        return replace(self, config=self.config.under(self.terms.of(window)))

    def measure(self, window: Window, promise: Promise | None = None) -> Measurement:
        """The measurement of a window, by its own term."""
        config = self.about(window).config
        return cycle.measure(
            config, self.ledger, self.read_until, window, promise, self.then, moment=self.then
        )

    def read_up_to(self, window: Window) -> Window:
        """The window; a rolling one ends where reading had by then, and begins no sooner than its term."""
        found = windows.read_up_to(window, self.read_until, self.config.promise.time_zone)
        return self.terms.of(found).cut(found)

    def before(self, window: Window) -> Window | None:
        """The window before a calendar window, in the civil time of its own term."""
        return windows.before(window, self.terms.at(window.since - 1).zone)

    def rules(self) -> Rules:
        """The rules that are worked by."""
        return cycle.rules_of(self.config, self.ledger, self.then)


ReadOf = Callable[[Asked, Window], Sequence[Reached]]
"""Who got what in a window."""


def asked(config: Config, ledger: Ledger, then: Instant) -> Asked:
    """Ask as of an instant. Raises LedgerError where nothing had been read yet."""
    mark = ledger.accounting.watermark(then)
    if mark is None:
        raise LedgerError(
            f"nothing had been read yet at {windows.iso(then)}; run `saf cycle` or `saf backfill`"
        )
    terms = cycle.terms_of(config, ledger, then)
    return Asked(config.under(terms.at(mark)), ledger, then, mark, terms)


def reached(ask: Asked, window: Window) -> list[Reached]:
    """Who got what: each organisation, and each account that belongs to none."""
    found = []
    for group in groups_of(ask, window, ask.rules(), ask.then, by_place):
        organisation, *places = group.names
        named = dict(zip(PLACES, places, strict=True))
        found.append(Reached(organisation, group.beneficiary, named, group.delivered))
    return found


def by_place(subject: Subject, found: Classification) -> str:
    """Everything that the tables ask of a subject, as one name."""
    whom = found.organisation or f"account {subject.account}"
    return share.together([whom, *(str(getattr(found, place)) for place in PLACES)])


def groups_of(
    ask: Asked,
    window: Window,
    rules: Rules,
    then: Instant,
    key: Key,
    weights: Mapping[str, Count] | None = None,
) -> list[share.Group]:
    """The charge of a window by name and beneficiary: accounting as known ``then``, by these rules."""
    weights = weights or ask.config.promise_of().weights
    at = ask.ledger.accounting.watermark(then) or then
    return cycle.groups(ask.ledger, rules, key, weights, window, at, then)
