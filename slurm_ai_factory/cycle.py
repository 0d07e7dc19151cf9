"""The product on one page: gather, decide, record, apply, read back, record.

Level, not edge: every cycle compares what is wanted with what is in force, so a crash anywhere needs no
recovery code. A read that failed or is not whole raises before anything is decided. A change is recorded as
planned before it is tried, and what became of it is what is read back, never what a command's exit says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from slurm_ai_factory import clocks, reading, signals
from slurm_ai_factory.applying import Outcome, carry_out, in_force, settle_interrupted
from slurm_ai_factory.config import Config, checked
from slurm_ai_factory.core import capacity, cross_check, lever, share, terms, windows
from slurm_ai_factory.core.classify import Beneficiary, Classification, Rules
from slurm_ai_factory.core.controller import decide
from slurm_ai_factory.core.organisations import always_regional
from slurm_ai_factory.core.records import (
    Association,
    Charge,
    Decision,
    Hold,
    Instant,
    Measurement,
    PriorityConfig,
    Subject,
    Window,
)
from slurm_ai_factory.core.terms import PromiseTerms
from slurm_ai_factory.core.tres import Count
from slurm_ai_factory.errors import LedgerError, StandbyError
from slurm_ai_factory.ledger import Classified, Ledger, Usual
from slurm_ai_factory.reading import Read
from slurm_ai_factory.signals import Signals
from slurm_ai_factory.site import Site

CLASSIFY_TRIES = 3
DETAILS = ("category", "sector")
"""Of a classification: what the charge of a window is shown by."""

TOO_FAST = "the ledger has new subjects faster than they can be classified; try again"
NOTHING_ENDED = Usual({}, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Everything observed: what a decision rests on."""

    at: Instant
    config: Config  #: under the term of the window measured
    contradiction: str  #: what saf.toml says otherwise than that term; empty for nothing
    read: Read
    measurement: Measurement
    associations: tuple[Association, ...]
    priority: PriorityConfig
    signals: Signals
    groups: Sequence[share.Group]  #: the window's charge; each name is the steered account and DETAILS
    unknown_accounts: tuple[str, ...]
    foreign: Mapping[str, int]  #: account -> what our last change left, where somebody changed that since


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleReport:
    """One cycle, whole: the value that the log, the metrics and the status show."""

    gathered: Gathered
    decision: Decision
    outcomes: tuple[Outcome, ...]
    mode: str
    seconds: float
    steered: tuple[str, ...]  #: the accounts


def run(site: Site, stopwatch: Callable[[], float]) -> CycleReport:
    """One cycle. Raises SlurmError or LedgerError, and then nothing was changed that is not in the ledger."""
    began = stopwatch()
    hold_the_lock(site)
    gathered = gather(site)
    mode = site.config.control.mode
    with site.ledger.store.holding("writing", site.ledger.control.cluster_id):
        with site.laps.phase("decide"):
            gathered, decision = decide_to_write(site, gathered)
        with site.laps.phase("apply"):
            outcomes = carry_out(site, decision, mode, gathered.associations)
    return CycleReport(
        gathered=gathered,
        decision=decision,
        outcomes=outcomes,
        mode=mode,
        seconds=stopwatch() - began,
        steered=site.config.control.account,
    )


def hold_the_lock(site: Site) -> None:
    """One active writer for each cluster."""
    if not site.ledger.store.lock(site.ledger.control.cluster_id):
        raise StandbyError(
            f"another saf is active for cluster {site.slurm.cluster} and this one stands by; "
            "`saf plan` and `saf status` work beside it"
        )


def gather(site: Site) -> Gathered:
    """Read Slurm into the ledger, and measure. Nothing is read while the clocks disagree: ClockError."""
    priority = site.slurm.priority_config()  # before anything is kept: is this the cluster of the ledger?
    now = clocks.now(site)
    read = read_accounting(site, now)
    begin_terms(site.config, site.ledger, now, site.actor)
    return observe(site, now, priority, read)


def observe(site: Site, now: Instant, priority: PriorityConfig, read: Read) -> Gathered:
    """Slurm's shares and queue, and the measurement as of the last complete read."""
    mark = site.ledger.accounting.watermark() or now
    term = terms_of(site.config, site.ledger).at(mark)
    contradiction, config = site.config.contradicting(term), checked(site.config.under(term))
    site = replace(site, config=config)
    associations = site.slurm.associations()
    site.ledger.accounting.record_accounts(associations, now)
    site.ledger.registry.keep_rules(site.config.rules, site.config.registry.region, now)
    rules, usual = rules_of(site.config, site.ledger), usually(site, now)
    with site.laps.phase("ask"):
        live = live_signals(site, priority, rules, usual)
    with site.laps.phase("measure"):
        measured = measure(config, site.ledger, mark, rules=rules)
        found = groups_of_window(site.config, site.ledger, rules, measured)
    odd = site.ledger.accounting.put_aside(site.slurm.unreadable(), now)
    return Gathered(
        at=now,
        config=config,
        contradiction=contradiction,
        read=read._replace(new_rejected=read.new_rejected + odd),
        measurement=replace(
            measured,
            holds=(*live.holds, *contradictions(site, rules, live, found)),
            regional_backlog=live.backlog(share.size_now(measured.hours)),
            run_charge=usual.run_charge,
            waiting_accounts=frozenset(map(rules.top_level, live.demand.waiting_accounts)),
        ),
        associations=associations,
        priority=priority,
        signals=live,
        groups=found,
        unknown_accounts=tuple(rules.unknown_accounts()),
        foreign=foreign_changes(site, associations),
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


def lever_of(config: Config, ledger: Ledger, now: Instant) -> lever.Lever:
    """The steered accounts beside the rules and the promised window's charge, from the ledger alone."""
    mark = ledger.accounting.watermark() or now
    config, rules = under_terms(config, ledger, mark), rules_of(config, ledger)
    measured = measure(config, ledger, mark, rules=rules)
    found = by_detail(0, groups_of_window(config, ledger, rules, measured))
    conflicts = lever.conflicts(rules, config.control.account, now, found)
    return lever.Lever(
        lever.sentence(conflicts), lever.remedy(rules), lever.reach(found), measured.delivered_share
    )


def by_detail(position: int, found: Sequence[share.Group]) -> list[share.Group]:
    """The same charge by one part of the groups' names, largest first."""
    sums: dict[tuple[str, Beneficiary], Charge] = {}
    for group in found:
        key = group.names[position], group.beneficiary
        sums[key] = sums.get(key, 0) + group.delivered
    made = [share.Group(*key, delivered) for key, delivered in sums.items()]
    return sorted(made, key=lambda group: (-group.delivered, group.name))


def contradictions(site: Site, rules: Rules, live: Signals, found: Sequence[share.Group]) -> Iterator[Hold]:
    """Holds where two things that must agree do not: sacct and squeue, the steered accounts and the rules."""
    at = live.diagnostics.at
    holds = (
        cross_check.hold(site.ledger.accounting.open_jobs(), live.listed, at),
        lever.hold(rules, lever.conflicts(rules, site.config.control.account, at, by_detail(0, found))),
    )
    yield from (one for one in holds if one)


def live_signals(site: Site, priority: PriorityConfig, rules: Rules, usual: Usual) -> Signals:
    """The queue and slurmctld's health now."""
    promise, horizon = site.config.promise, site.config.control.horizon
    return signals.read(
        site.slurm,
        priority,
        rules,
        promise.resource,
        horizon,
        usual.seconds,
        lambda: clocks.diagnostics(site),
    )


def usually(site: Site, now: Instant) -> Usual:
    """How the runs were that ended lately."""
    weights = site.config.promise.resource
    found = (site.ledger.accounting.usual(*interval, weights) for interval in share.lately(now))
    return next((usual for usual in found if usual.seconds), NOTHING_ENDED)


def read_accounting(site: Site, now: Instant) -> Read:
    """Read everything since the watermark, each interval kept whole or not at all."""
    since, usual = start_of_read(site, now), site.config.slurm.read_window
    with site.laps.phase("read"):
        read = reading.read(site.slurm, site.ledger, [(since, now)], at=now, usual=usual)
        site.ledger.accounting.record_events(*site.slurm.events(since, now), now)
    return read


def start_of_read(site: Site, now: Instant) -> Instant:
    """The watermark less the overlap for late records; at first the configured start, or the window's."""
    mark = site.ledger.accounting.watermark()
    if mark is None:
        return site.config.first_instant() or promised_window(site.config, now).since
    return site.config.overlap().since(min(mark, now), now)


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
    rules = rules or rules_of(config, ledger, then)
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


def sum_up(site: Site) -> None:
    """Have some more of the past added up, so that a question about any window is answered at once."""
    until = site.ledger.accounting.watermark()
    if until is not None:
        weights = under_terms(site.config, site.ledger, until).promise.resource
        site.ledger.classified(rules_of(site.config, site.ledger)).keep_more_sums(until, weights)


def rules_of(config: Config, ledger: Ledger, then: Instant | None = None) -> Rules:
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
    return share.measure(
        promise,
        window,
        as_of,
        closed=books.usage_by_hour(window, as_of, promise.weights),
        open_runs=books.open_runs(),
        capacity=capacity.by_hour(*events, promise.weights, window.since, until),
        newest_record_at=ledger.accounting.newest_record_at(books.then),
        unread_seconds=unread(ledger, window, as_of, moment, books.then),
    )


def unread(
    ledger: Ledger, window: Window, as_of: Instant, moment: Instant, then: Instant | None = None
) -> int:
    """Seconds of a window that no read covered: up to ``as_of``, or to its end if it is over at a moment."""
    until = window.until if window.until <= moment else min(window.until, as_of)
    return ledger.accounting.unread(window.since, until, then)


def foreign_changes(site: Site, associations: Sequence[Association]) -> dict[str, int]:
    """The RawShares that our last change of each steered account left, where somebody changed them since."""
    changes = {}
    for account in site.config.control.account:
        ours, found = site.ledger.control.last_applied(account), in_force(associations, account)
        if ours is not None and found is not None and found.raw_shares != ours:
            changes[account] = ours
    return changes


def decide_to_write(site: Site, gathered: Gathered) -> tuple[Gathered, Decision]:
    """The decision, and what it rests on; the writing lock is held.

    Where there is something to write, the shares are read again: somebody may have set others since.
    """
    decision = decide_on(site, gathered)
    writes = site.config.control.mode == "enforce" and decision.changes
    if not writes and not site.ledger.control.planned():
        return gathered, decision
    associations = site.slurm.associations()
    settle_interrupted(site, associations)
    gathered = replace(gathered, associations=associations, foreign=foreign_changes(site, associations))
    return gathered, decide_on(site, gathered)


def decide_on(site: Site, gathered: Gathered) -> Decision:
    """The decision on what was gathered and what the ledger remembers."""
    last = site.ledger.control.last_state(gathered.at)
    policy = gathered.config.policy(gathered.priority.decay_half_life_seconds)
    holds = (*_paused(site, gathered.at), *_ended(gathered.config), *gathered.measurement.holds)
    measured = replace(gathered.measurement, holds=holds)
    decision = decide(policy, measured, gathered.associations, last, gathered.at)
    live = gathered.signals.inputs(share.size_now(gathered.measurement.hours))
    found = {**live, "foreign_change_from": _told(gathered.foreign, policy.accounts)}
    return replace(decision, inputs={**decision.inputs, **found})


def _paused(site: Site, at: Instant) -> Iterator[Hold]:
    """A hold while an operator has the control paused."""
    pause = site.ledger.control.pause(at)
    if pause:
        yield Hold("paused", f"{pause.actor} paused it until {windows.iso(pause.until)}: {pause.reason}")


def _ended(config: Config) -> Iterator[Hold]:
    """A hold while no promise holds."""
    term = config.promised
    if term and term.ended:
        since = windows.civil_day(term.since, term.zone)
        yield Hold("promise_ended", f"the promise ended on {since} ({term.source}): {term.reason}")


def _told(foreign: Mapping[str, int], accounts: Sequence[str]) -> int | str | None:
    """What was changed by somebody else, with the account's name where several are steered."""
    if len(accounts) == 1:
        return foreign.get(accounts[0])
    return ", ".join(f"{account} {shares}" for account, shares in foreign.items()) or None
