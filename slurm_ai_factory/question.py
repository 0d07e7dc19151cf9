"""One question to the ledger: about which window, as known when, by which rules and terms.

The rule: a question builds its rules once, and everything it answers at a time is of one snapshot, so that
groups add up to their total.

Tested in tests/ledger/test_moments.py, tests/cli/test_questions.py and tests/report/test_report.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.charge import hour_of
from slurm_ai_factory.core.control import lever
from slurm_ai_factory.core.control.contested import remembered
from slurm_ai_factory.core.control.lever import Lever
from slurm_ai_factory.core.energy import allowed, grid, water
from slurm_ai_factory.core.energy.grid import GridMeasurement
from slurm_ai_factory.core.energy.meters import Kind
from slurm_ai_factory.core.energy.water import WaterMeasurement
from slurm_ai_factory.core.measure import capacity, share
from slurm_ai_factory.core.measure.share import Group, Promise, SortedRun
from slurm_ai_factory.core.programme import terms
from slurm_ai_factory.core.programme.terms import PromiseTerms
from slurm_ai_factory.core.records import (
    FIRST,
    Charge,
    Further,
    Hour,
    Instant,
    Interval,
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
PLACES = ("category", "sector", "municipality", "hub")
DETAILS = ("category", "sector")
"""Of a classification: what a cycle shows the window's charge by, beside the steered account."""

GroupKey = Callable[[Subject, Classification], tuple[str, ...]]
"""The names that a subject's charge is grouped by."""


class Reached(NamedTuple):
    """What one organisation got for one beneficiary, and where it belongs."""

    organisation: str  #: its key, or the account where no organisation is known
    beneficiary: Beneficiary
    places: Mapping[str, str]  #: its category, sector, municipality and hub; "" where that is not known
    charge: Charge


class Answer(NamedTuple):
    """The measurement of a window, and its charge by group; of one snapshot."""

    measurement: Measurement
    groups: list[Group]  #: largest first; none where no key was given


class HeldByGrid(NamedTuple):
    """Regional demand of a window that waited for nodes kept free, while that was observed."""

    charge: Charge  #: resource-seconds
    known_seconds: int  #: of the window
    elapsed_seconds: int  #: of the window so far


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question about one window; ``ask`` makes it."""

    config: Config  #: under the term that judges the window
    ledger: Ledger
    window: Window
    rules: Rules
    terms: PromiseTerms  #: as known then
    read_until: Instant  #: how far accounting had been read
    moment: Instant  #: of asking: what was not read of a window that is over by now is missing
    then: Instant | None = None  #: the ledger as known at this instant; None for now

    @property
    def known_at(self) -> Instant:
        """The instant as of which the ledger is asked: ``then``, or that of asking."""
        return self.moment if self.then is None else self.then

    def about(self, window: Window) -> Question:
        """The same about another window, by the term that judges it.

        A rolling window ends where reading did, and reaches back no further than its term.
        """
        window = windows.read_up_to(window, self.read_until, self.config.promise.time_zone)
        term = self.terms.of(window)
        return replace(self, config=self.config.under(term), window=term.cut(window))

    def over(self, interval: Interval) -> Question:
        """The same about an interval, by the same term."""
        return replace(self, window=Window("", *interval))

    def before(self) -> Question | None:
        """The same about the window before a calendar window, in the civil time of its own term."""
        window = windows.before(self.window, self.terms.at(self.window.since - 1).zone)
        return window and self.about(window)

    def earlier(self) -> tuple[Hour, ...]:
        """The hours before a rolling window, as many as it has, that are of its term; its earlier shares rest
        on them. None before a calendar window.
        """
        since, length = self.window.since, hour_of(self.window.until) - self.window.since
        begin = max(since - length, self.terms.of(self.window).since)
        if not self.window.rolling or begin >= since:
            return ()
        return self.over((begin, since)).measure().hours

    def others(self) -> list[Question]:
        """The same about every further promise that holds, by name, each in its own window.

        Without further promises in the rules, the ledger is not asked.
        """
        known = self.ledger.promise_terms.further(self.then) if self.rules.promises else {}
        return [other for other in map(self._under, known.values()) if not other.config.promise_of().ended]

    def further(self, others: Sequence[Question] | None = None) -> list[Further]:
        """The measurement of the further promises in ``others``, else of all that hold; of one snapshot."""
        asked = self.others() if others is None else others
        if not asked:
            return []
        with self.books(*((other.window, other.config.promise.resource.weights) for other in asked)) as books:
            open_runs = books.open_runs()
            return [
                Further(
                    other._measurement(books, open_runs, other.config.promise_of()),
                    other.config.promise.margin,
                )
                for other in asked
            ]

    def _under(self, known: PromiseTerms) -> Question:
        """The same about another promise, in its own window."""
        config = self.config.under(known.at(self.read_until))
        window = promised_window(config, self.read_until)
        return replace(self, config=config, terms=known, window=window)

    def remembered(self, half_life_seconds: int) -> tuple[Hour, ...]:
        """The hours before the window that usage still holds, by the same term and rules.

        None where a part of them was not read. Usage knows neither windows nor terms.
        """
        since, until = remembered(self.window, self.read_until, half_life_seconds)
        if since >= until:
            return ()
        before = self.over((since, until)).measure()
        return () if before.unread_seconds else before.hours

    def answer(self, key: GroupKey | None = None, promise: Promise | None = None) -> Answer:
        """The measurement, in the promise's resource unless another is given, and the charge by ``key``."""
        promise = promise or self.config.promise_of()
        with self.books((self.window, promise.resource.weights)) as books:
            open_runs = books.open_runs()
            groups = self._groups(books, open_runs, key, promise.resource.weights) if key else []
            return Answer(self._measurement(books, open_runs, promise), groups)

    def measure(self, promise: Promise | None = None) -> Measurement:
        """The measurement alone."""
        return self.answer(promise=promise).measurement

    def groups(self, key: GroupKey, weights: Mapping[str, Count] | None = None) -> list[Group]:
        """The window's charge by key and beneficiary, largest first."""
        with self.books() as books:
            weights = weights or self.config.promise.resource.weights
            return self._groups(books, books.open_runs(), key, weights)

    @contextmanager
    def books(self, *summed: tuple[Window, Mapping[str, Count]]) -> Iterator[Classified]:
        """The runs with every subject classified, in one snapshot.

        The sums of each window and resource in ``summed`` are saved first. Raises LedgerError.
        """
        for _ in range(CLASSIFY_TRIES):
            books = self.ledger.books(self.rules, self.then)
            for window, weights in summed:
                books.keep_sums(window, self.read_until, weights)
            with self.ledger.store.snapshot():
                if books.complete():
                    yield books
                    return
            books.sort(self.rules)
        raise LedgerError("the ledger has new subjects faster than they can be classified; try again")

    def unread(self) -> int:
        """Seconds of the window that no read covered."""
        return sum(until - since for since, until in self.gaps())

    def gaps(self) -> list[Interval]:
        """The parts of the window that no read covered, oldest first."""
        over = self.window.until <= self.moment
        until = self.window.until if over else min(self.window.until, self.read_until)
        since = self.window.since
        return self.ledger.accounting.gaps(since, until, self.then) if since < until else []

    def held_by_grid(self) -> HeldByGrid | None:
        """What waited for nodes kept free, by the decisions; None where none says so, or some expired."""
        since, until = self.window.since, min(self.window.until, self.read_until)
        charge, known = self.ledger.control.held_by_grid(
            self.terms.of(self.window).promise, since, until, self.then
        )
        if not known or self.ledger.expiries.last(since, until):
            return None
        return HeldByGrid(charge, known, until - since)

    def _groups(
        self, books: Classified, open_runs: Sequence[SortedRun], key: GroupKey, weights: Mapping[str, Count]
    ) -> list[Group]:
        closed, at = books.usage_by_subject(self.window, self.read_until, weights), self.read_until
        return share.by_group(key, weights, self.window, at, closed=closed, open_runs=open_runs)

    def _measurement(
        self, books: Classified, open_runs: Sequence[SortedRun], promise: Promise
    ) -> Measurement:
        accounting, since = self.ledger.accounting, self.window.since
        until = min(self.window.until, self.read_until)
        known_at = self.read_until if self.then is None else self.then
        sizes, outages = accounting.events(since, until, known_at)
        outages += self.ledger.reserving.free(since, until, known_at)
        return share.measure_window(
            promise,
            self.window,
            self.read_until,
            closed=books.usage_by_hour(self.window, self.read_until, promise.resource.weights),
            open_runs=open_runs,
            capacity=capacity.capacity_by_hour(sizes, outages, promise.resource.weights, since, until),
            newest_record_at=accounting.newest_record_at(self.then),
            unread_seconds=self.unread(),
        )


def ask(
    config: Config,
    ledger: Ledger,
    window: Window | None = None,
    *,
    promise: str = FIRST,
    then: Instant | None = None,
    moment: Instant | None = None,
    read_until: Instant | None = None,
) -> Question:
    """Ask about a window, else the promise's own; as known now, or ``then``. Raises LedgerError.

    ``moment`` is when it is asked, else where reading ended. Before the first read there is no answer, unless
    ``read_until`` says how far to look.
    """
    if read_until is None:
        read_until = watermark(ledger, then)
    known = terms_of(config, ledger, then, promise)
    config = config.under(known.at(read_until))
    question = Question(
        config=config,
        ledger=ledger,
        window=promised_window(config, read_until),
        rules=rules_at(config, ledger, then),
        terms=known,
        read_until=read_until,
        moment=then if then is not None else read_until if moment is None else moment,
        then=then,
    )
    return question.about(window) if window else question


STATEMENTS = (
    "this ledger takes in statements of sites and reads no Slurm; see `saf hub status`, `saf hub share` and "
    "`saf hub report`"
)


def takes_statements(ledger: Ledger) -> bool:
    """Whether statements of sites are all that a ledger takes in."""
    return ledger.accounting.watermark() is None and bool(ledger.hubs.hubs())


def watermark(ledger: Ledger, then: Instant | None = None) -> Instant:
    """The instant up to which accounting was read, as known now or then. Raises LedgerError."""
    mark = ledger.accounting.watermark(then)
    if mark is None and takes_statements(ledger):
        raise LedgerError(STATEMENTS)
    if mark is None and then is not None:
        raise LedgerError(
            f"nothing had been read yet at {windows.iso(then)}; run `saf cycle` or `saf backfill`"
        )
    if mark is None:
        raise LedgerError(
            f"the ledger has nothing of cluster {ledger.accounting.cluster} yet; run `saf cycle` once, or "
            "start the daemon with `saf run`"
        )
    return mark


def promised_window(config: Config, now: Instant) -> Window:
    """The window the promise is judged over now; a rolling one reaches back no further than its term."""
    window = windows.window(config.promise.window, now, config.promise.time_zone)
    return config.promised.cut(window) if config.promised else window


def begin_terms(config: Config, ledger: Ledger, at: Instant, actor: str) -> None:
    """Record what is configured as the promise's first term, unless the ledger has terms."""
    if ledger.promise_terms.known() is None:
        ledger.promise_terms.begin(config.first_term(at, actor))


def terms_of(
    config: Config, ledger: Ledger, then: Instant | None = None, promise: str = FIRST
) -> PromiseTerms:
    """A promise's terms as known now or then; of the first, the configured one until a term is recorded.

    The first one recorded also applies before that: nothing else was known. Raises LedgerError for a
    promise that was not known.
    """
    if promise != FIRST:
        further = ledger.promise_terms.further(then)
        if promise not in further:
            names = ", ".join((FIRST, *further))
            raise LedgerError(f"the ledger has no promise {promise}; it has {names}: see `saf promise list`")
        return further[promise]
    rows = ledger.promise_terms.rows()
    first = rows[:1] or [config.first_term()]
    return terms.known(rows, then) or PromiseTerms(tuple(first))


def under_terms(config: Config, ledger: Ledger, at: Instant, then: Instant | None = None) -> Config:
    """The configuration under the term of an instant, as known now or then."""
    return config.under(terms_of(config, ledger, then).at(at))


def rules_at(config: Config, ledger: Ledger, then: Instant | None = None) -> Rules:
    """The rules with accounts, registry and overrides: the configured rules now, or those used then.

    The region is that of the promise's terms; before any was recorded, that of the rules.
    """
    used = ledger.registry.rules_used(then) if then is not None else None
    rules, region = used or (config.rules, config.registry.region)
    recorded = ledger.promise_terms.known(then)
    return ledger.rules_of(rules, recorded.regional() if recorded else always_regional(region), then)


def sum_up(config: Config, ledger: Ledger) -> None:
    """Save some more sums of the past, so that a question about any window is answered at once."""
    until = ledger.accounting.watermark()
    if until is not None:
        weights = under_terms(config, ledger, until).promise.resource.weights
        ledger.classified(rules_at(config, ledger)).keep_more_sums(until, weights)


def by_place(subject: Subject, classification: Classification) -> tuple[str, ...]:
    """Organisation and places of a subject."""
    organisation = classification.organisation or f"account {subject.account}"
    return organisation, *(str(getattr(classification, place)) for place in PLACES)


def reached(question: Question) -> list[Reached]:
    """Who got what: each organisation, and each account that belongs to none."""
    return [
        Reached(
            group.name, group.beneficiary, dict(zip(PLACES, group.names[1:], strict=True)), group.delivered
        )
        for group in question.groups(by_place)
    ]


def by_steered(question: Question) -> GroupKey:
    """Steered account, QOS or partition, and DETAILS of a subject."""
    control = question.config.control
    steered = lever.steered_object(question.rules, control.lever, control.steered)

    def key(subject: Subject, classification: Classification) -> tuple[str, ...]:
        details = (str(getattr(classification, label) or classification.beneficiary) for label in DETAILS)
        return steered(subject), *details

    return key


def by_detail(position: int, groups: Sequence[Group]) -> list[Group]:
    """The same charge by one part of the groups' names, largest first."""
    sums: dict[tuple[str, Beneficiary], Charge] = {}
    for group in groups:
        key = group.names[position], group.beneficiary
        sums[key] = sums.get(key, 0) + group.delivered
    merged = [Group((name,), beneficiary, delivered) for (name, beneficiary), delivered in sums.items()]
    return sorted(merged, key=lambda group: (-group.delivered, group.name))


def lever_of(question: Question, now: Instant) -> Lever:
    """What is steered beside the rules and the window's charge."""
    measured, groups = question.answer(by_steered(question))
    steered, control = by_detail(0, groups), question.config.control
    if control.switch:
        hold = lever.switch_hold(control.lever, control.steered[0], steered)
        return Lever(
            hold.sentence if hold else "",
            reach=lever.reach(steered),
            delivered_share=measured.delivered_share,
        )
    conflicts = lever.conflicts(question.rules, control.account, now, steered)
    return Lever(
        lever.conflict_sentence(conflicts),
        lever.lever_remedy(question.rules),
        lever.reach(steered),
        measured.delivered_share,
    )


def measured_grid(
    config: Config, ledger: Ledger, window: Window, as_of: Instant
) -> tuple[GridMeasurement, int]:
    """The connection in a window as known at an instant, and the limited seconds of the year it ends in."""
    with ledger.store.snapshot():
        entries = allowed.standing(ledger.allowed.entries(), as_of)
        readings = ledger.meters.readings(Kind.P_15MIN, window, as_of)
        meters = ledger.allowed.first_readings(Kind.P_15MIN, as_of)
        ends = ledger.meters.ends(as_of)[Kind.P_15MIN]
    year = windows.window("year", window.until - 1, config.promise.time_zone)
    limited = allowed.limited_seconds(entries, year.since, year.until)
    return grid.measure_grid(window, as_of, readings, meters, entries, ends), limited


def grid_recorded(ledger: Ledger) -> bool:
    """Whether anything is recorded of grid or water."""
    kinds = (Kind.P_15MIN, *water.WATERS)
    return bool(ledger.allowed.entries()) or any(ledger.allowed.first_readings(kind) for kind in kinds)


def measured_water(config: Config, ledger: Ledger, window: Window, as_of: Instant) -> WaterMeasurement:
    """The water of a window as known at an instant."""
    with ledger.store.snapshot():
        readings = {kind: ledger.meters.readings(kind, window, as_of) for kind in water.WATERS}
        meters = {kind: ledger.allowed.first_readings(kind, as_of) for kind in water.WATERS}
        ends = ledger.meters.ends(as_of)
    return water.measure_water(window, as_of, readings, meters, config.water.exempt, ends)
