"""What the ledger knew at an instant, asked for a report: measurements, and who got what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.control import lever
from slurm_ai_factory.core.measure import capacity, share
from slurm_ai_factory.core.measure.share import Promise
from slurm_ai_factory.core.programme import terms
from slurm_ai_factory.core.programme.terms import PromiseTerms
from slurm_ai_factory.core.records import (
    Charge,
    Instant,
    Measurement,
    Subject,
    Window,
)
from slurm_ai_factory.core.rules.classify import Beneficiary, Classification, Rules
from slurm_ai_factory.core.rules.organisations import always_regional
from slurm_ai_factory.core.tres import Count
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Classified, Ledger

CLASSIFY_TRIES = 3
TOO_FAST = "the ledger has new subjects faster than they can be classified; try again"
DETAILS = ("category", "sector")
"""Of a classification: what the charge of a window is shown by."""

PLACES = ("category", "sector", "municipality", "hub")
GroupName = Callable[[Subject, Classification], str]
"""What a subject's charge is grouped by."""


class Reached(NamedTuple):
    """What one organisation got for one beneficiary, and where it belongs."""

    organisation: str  #: its key, or the account where no organisation is known
    beneficiary: Beneficiary
    places: Mapping[str, str]  #: its category, sector, municipality and hub; "" where that is not known
    charge: Charge


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
        return measure(config, self.ledger, self.read_until, window, promise, self.then, moment=self.then)

    def read_up_to(self, window: Window) -> Window:
        """The window; a rolling one ends where reading had by then, and begins no sooner than its term."""
        found = windows.read_up_to(window, self.read_until, self.config.promise.time_zone)
        return self.terms.of(found).cut(found)

    def before(self, window: Window) -> Window | None:
        """The window before a calendar window, in the civil time of its own term."""
        return windows.before(window, self.terms.at(window.since - 1).zone)

    def rules(self) -> Rules:
        """The rules that are worked by."""
        return rules_at(self.config, self.ledger, self.then)


ReadOf = Callable[[Asked, Window], Sequence[Reached]]
"""Who got what in a window."""


def asked(config: Config, ledger: Ledger, then: Instant) -> Asked:
    """Ask as of an instant. Raises LedgerError where nothing had been read yet."""
    mark = ledger.accounting.watermark(then)
    if mark is None:
        raise LedgerError(
            f"nothing had been read yet at {windows.iso(then)}; run `saf cycle` or `saf backfill`"
        )
    terms = terms_of(config, ledger, then)
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
    key: GroupName,
    weights: Mapping[str, Count] | None = None,
) -> list[share.Group]:
    """The charge of a window by name and beneficiary: accounting as known ``then``, by these rules."""
    weights = weights or ask.config.promise_of().weights
    at = ask.ledger.accounting.watermark(then) or then
    return groups(ask.ledger, rules, key, weights, window, at, then)


def promised_window(config: Config, now: Instant) -> Window:
    """The window the promise is judged over now; a rolling one reaches back no further than its term."""
    found = windows.window(config.promise.window, now, config.promise.time_zone)
    return config.promised.cut(found) if config.promised else found


def begin_terms(config: Config, ledger: Ledger, at: Instant, actor: str) -> None:
    """Record what is configured as the promise's first term, unless the ledger has terms."""
    if ledger.promise_terms.known() is None:
        ledger.promise_terms.begin(config.first_term(at, actor))


def terms_of(config: Config, ledger: Ledger, then: Instant | None = None) -> PromiseTerms:
    """The promise's terms as known now or then; what is configured while none was recorded.

    The first one recorded held before that too: there was nothing else to know.
    """
    rows = ledger.promise_terms.rows()
    first = rows[:1] or [config.first_term()]
    return terms.known(rows, then) or PromiseTerms(tuple(first))


def under_terms(config: Config, ledger: Ledger, at: Instant, then: Instant | None = None) -> Config:
    """The configuration under the term in force at an instant, as known now or then."""
    return config.under(terms_of(config, ledger, then).at(at))


def judged(
    config: Config, ledger: Ledger, window: Window, as_of: Instant, then: Instant | None = None
) -> tuple[Config, Window]:
    """The configuration under the term that judges a window read up to ``as_of``, and that window.

    A rolling window ends where reading did, and reaches back no further than its term.
    """
    window = windows.read_up_to(window, as_of, config.promise.time_zone)
    term = terms_of(config, ledger, then).of(window)
    return config.under(term), term.cut(window)


def measure(
    config: Config,
    ledger: Ledger,
    as_of: Instant,
    window: Window | None = None,
    promise: share.Promise | None = None,
    then: Instant | None = None,
    rules: Rules | None = None,
    moment: Instant | None = None,
) -> Measurement:
    """The measurement of a window, of the promise's own unless another is given, from the ledger alone.

    ``config`` is under the term that judges the window.
    ``as_of`` is the instant up to which everything was read; ``then`` asks for what was known at an instant,
    and ``rules`` are those of then unless they are given. Where it is later than the window's end at the
    ``moment`` of asking, what was not read of its end is missing, and not still to come.
    """
    window, promise = window or promised_window(config, as_of), promise or config.promise_of()
    rules = rules or rules_at(config, ledger, then)
    for _ in range(CLASSIFY_TRIES):
        books = ledger.books(rules, then)
        books.keep_sums(window, as_of, promise.weights)
        with ledger.store.snapshot():
            if books.complete():
                return _measured(ledger, books, as_of, window, promise, as_of if moment is None else moment)
        books.sort(rules)
    raise LedgerError(TOO_FAST)


def groups(
    ledger: Ledger,
    rules: Rules,
    key: Callable[[Subject, Classification], str],
    weights: Mapping[str, Count],
    window: Window,
    as_of: Instant,
    then: Instant | None = None,
) -> list[share.Group]:
    """The window's charge by the name that ``key`` gives, all of one moment; as known now or ``then``."""
    for _ in range(CLASSIFY_TRIES):
        books = ledger.classified(rules, then)
        with ledger.store.snapshot():
            if books.complete():
                closed = books.usage_by_subject(window, as_of, weights)
                return share.by_group(key, weights, window, as_of, closed=closed, open_runs=books.open_runs())
    raise LedgerError(TOO_FAST)


def sum_up(config: Config, ledger: Ledger) -> None:
    """Have some more of the past added up, so that a question about any window is answered at once."""
    until = ledger.accounting.watermark()
    if until is not None:
        weights = under_terms(config, ledger, until).promise.resource
        ledger.classified(rules_at(config, ledger)).keep_more_sums(until, weights)


def rules_at(config: Config, ledger: Ledger, then: Instant | None = None) -> Rules:
    """The rules with all they are read against: the configured ones now, those worked by for an instant.

    The region is that of the promise's terms; before any was recorded, the one worked by.
    """
    worked_by = ledger.registry.rules_used(then) if then is not None else None
    rules, region = worked_by or (config.rules, config.registry.region)
    recorded = ledger.promise_terms.known(then)
    return ledger.rules_of(rules, recorded.regional() if recorded else always_regional(region), then)


def _measured(
    ledger: Ledger,
    books: Classified,
    as_of: Instant,
    window: Window,
    promise: share.Promise,
    moment: Instant,
) -> Measurement:
    until = min(window.until, as_of)
    events = ledger.accounting.events(window.since, until, as_of if books.then is None else books.then)
    return share.measure_window(
        promise,
        window,
        as_of,
        closed=books.usage_by_hour(window, as_of, promise.weights),
        open_runs=books.open_runs(),
        capacity=capacity.capacity_by_hour(*events, promise.weights, window.since, until),
        newest_record_at=ledger.accounting.newest_record_at(books.then),
        unread_seconds=unread(ledger, window, as_of, moment, books.then),
    )


def unread(
    ledger: Ledger, window: Window, as_of: Instant, moment: Instant, then: Instant | None = None
) -> int:
    """Seconds of a window that no read covered: up to ``as_of``, or to its end if it is over at a moment."""
    until = window.until if window.until <= moment else min(window.until, as_of)
    return ledger.accounting.unread(window.since, until, then)


def lever_of(config: Config, ledger: Ledger, now: Instant) -> lever.Lever:
    """The steered accounts beside the rules and the promised window's charge, from the ledger alone."""
    mark = ledger.accounting.watermark() or now
    config, rules = under_terms(config, ledger, mark), rules_at(config, ledger)
    measured = measure(config, ledger, mark, rules=rules)
    found = by_detail(0, groups_of_window(config, ledger, rules, measured))
    conflicts = lever.conflicts(rules, config.control.account, now, found)
    return lever.Lever(
        lever.conflict_sentence(conflicts),
        lever.lever_remedy(rules),
        lever.reach(found),
        measured.delivered_share,
    )


def groups_of_window(
    config: Config, ledger: Ledger, rules: Rules, measured: Measurement
) -> list[share.Group]:
    """The window's charge by steered account and DETAILS, for all that a cycle tells of it."""
    steered = lever.steered_account(rules, config.control.account)

    def name(subject: Subject, found: Classification) -> str:
        details = (str(getattr(found, label) or found.beneficiary) for label in DETAILS)
        return share.together((steered(subject.account), *details))

    return groups(ledger, rules, name, config.promise.resource, measured.window, measured.as_of)


def by_detail(position: int, found: Sequence[share.Group]) -> list[share.Group]:
    """The same charge by one part of the groups' names, largest first."""
    sums: dict[tuple[str, Beneficiary], Charge] = {}
    for group in found:
        key = group.names[position], group.beneficiary
        sums[key] = sums.get(key, 0) + group.delivered
    made = [share.Group(*key, delivered) for key, delivered in sums.items()]
    return sorted(made, key=lambda group: (-group.delivered, group.name))
