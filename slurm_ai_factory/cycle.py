"""The product on one page: gather, decide, record, apply, read back, record.

Level, not edge: every cycle compares what is wanted with what is in force, so a crash anywhere needs no
recovery code. A read that failed or is not whole raises before anything is decided. A change is recorded as
planned before it is tried, and what became of it is what is read back, never what a command's exit says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from slurm_ai_factory import reading, signals
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import capacity, share, windows
from slurm_ai_factory.core.classify import Rules
from slurm_ai_factory.core.controller import decide
from slurm_ai_factory.core.records import (
    Association,
    Change,
    Decision,
    Instant,
    Measurement,
    PriorityConfig,
    Window,
)
from slurm_ai_factory.errors import LedgerError, SlurmError, StandbyError
from slurm_ai_factory.ledger import Classified, Ledger, Planned, Usual
from slurm_ai_factory.reading import Read
from slurm_ai_factory.signals import Signals
from slurm_ai_factory.source import Source

CLASSIFY_TRIES = 3
TOO_FAST = "the ledger has new subjects faster than they can be classified; try again"
READ_BACKS = 25
READ_BACK_SECONDS = 0.2
"""slurmdbd tells slurmctld without waiting for it: look again for some seconds before calling it lost."""

NOTHING_ENDED = Usual({}, 0.0)

STATUS = {"observe": "observed", "advise": "advised", "enforce": "planned", "operator": "planned"}


@dataclass(frozen=True, slots=True)
class Laps:
    """How long each phase of the cycle at hand took, in seconds, by the stopwatch given."""

    stopwatch: Callable[[], float] = float
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Note how long the body takes; a phase that comes twice adds up."""
        began = self.stopwatch()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + self.stopwatch() - began


@dataclass(frozen=True, slots=True)
class Site:
    """What a cycle works with; clock and wait are given, so that tests and simulations own time."""

    config: Config
    slurm: Source
    ledger: Ledger
    clock: Callable[[], Instant]
    wait: Callable[[float], object]
    actor: str
    laps: Laps = field(default_factory=Laps)


class Outcome(NamedTuple):
    """A change and what became of it: observed, advised, planned (unknown), applied or failed."""

    change: Change
    status: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Everything observed: what a decision rests on."""

    at: Instant
    read: Read
    measurement: Measurement
    associations: tuple[Association, ...]
    priority: PriorityConfig
    signals: Signals
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
            settle_interrupted(site, gathered.associations)
            decision = decide_on(site, gathered)
        with site.laps.phase("apply"):
            outcomes = carry_out(site, decision, mode)
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
    """Read Slurm into the ledger, and measure."""
    now = site.clock()
    priority = site.slurm.priority_config()  # before anything is kept: is this the cluster of the ledger?
    return observe(site, now, priority, read_accounting(site, now))


def observe(site: Site, now: Instant, priority: PriorityConfig, read: Read) -> Gathered:
    """Slurm's shares and queue, and the measurement as of the last complete read."""
    associations = site.slurm.associations()
    site.ledger.accounting.record_accounts(associations, now)
    site.ledger.registry.keep_rules(site.config.rules, site.config.registry.region, now)
    rules, usual = rules_of(site.config, site.ledger), usually(site, now)
    with site.laps.phase("ask"):
        live = live_signals(site, priority, rules, usual)
    with site.laps.phase("measure"):
        measured = measure(site.config, site.ledger, site.ledger.accounting.watermark() or now)
    return Gathered(
        at=now,
        read=read,
        measurement=replace(
            measured,
            holds=live.holds,
            regional_backlog=live.backlog(share.size_now(measured.hours)),
            run_charge=usual.run_charge,
            waiting_accounts=frozenset(map(rules.top_level, live.demand.waiting_accounts)),
        ),
        associations=associations,
        priority=priority,
        signals=live,
        unknown_accounts=tuple(rules.unknown_accounts()),
        foreign=foreign_changes(site, associations),
    )


def live_signals(site: Site, priority: PriorityConfig, rules: Rules, usual: Usual) -> Signals:
    """The queue and slurmctld's health now."""
    promise, horizon = site.config.promise, site.config.control.horizon
    return signals.read(site.slurm, priority, rules, promise.resource, horizon, usual.seconds)


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
    if mark > now:
        raise LedgerError(
            f"the ledger was read up to {windows.iso(mark)}, which is later than this machine's clock "
            f"({windows.iso(now)}); correct the clock"
        )
    return site.config.overlap().since(mark, now)


def promised_window(config: Config, now: Instant) -> Window:
    """The window the promise is judged over now."""
    return windows.window(config.promise.window, now, config.promise.time_zone)


def measure(
    config: Config,
    ledger: Ledger,
    as_of: Instant,
    window: Window | None = None,
    promise: share.Promise | None = None,
    then: Instant | None = None,
) -> Measurement:
    """The measurement of a window, of the promise's own unless another is given, from the ledger alone.

    ``as_of`` is the instant up to which everything was read; ``then`` asks for what was known at an instant.
    """
    window, promise = window or promised_window(config, as_of), promise or config.promise_of()
    rules = rules_of(config, ledger, then)
    for _ in range(CLASSIFY_TRIES):
        books = ledger.classified(rules, then)
        books.keep_sums(window, as_of, promise.weights)
        with ledger.store.snapshot():
            if books.complete():
                return _measured(ledger, books, as_of, window, promise)
    raise LedgerError(TOO_FAST)


def sum_up(site: Site) -> None:
    """Have some more of the past added up, so that a question about any window is answered at once."""
    until, weights = site.ledger.accounting.watermark(), site.config.promise.resource
    if until is not None:
        site.ledger.classified(rules_of(site.config, site.ledger)).keep_more_sums(until, weights)


def rules_of(config: Config, ledger: Ledger, then: Instant | None = None) -> Rules:
    """The rules with all they are read against: the configured ones now, those worked by for an instant."""
    kept = ledger.rules_then(then) if then is not None else None
    return kept or ledger.rules_of(config.rules, config.registry.region, then)


def _measured(
    ledger: Ledger, books: Classified, as_of: Instant, window: Window, promise: share.Promise
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
        unread_seconds=ledger.accounting.unread(window.since, until, books.then),
    )


def foreign_changes(site: Site, associations: Sequence[Association]) -> dict[str, int]:
    """The RawShares that our last change of each steered account left, where somebody changed them since."""
    changes = {}
    for account in site.config.control.account:
        ours, found = site.ledger.control.last_applied(account), in_force(associations, account)
        if ours is not None and found is not None and found.raw_shares != ours:
            changes[account] = ours
    return changes


def in_force(associations: Sequence[Association], account: str) -> Association | None:
    """An account's own row."""
    return next((one for one in associations if one.account == account and one.user is None), None)


def decide_on(site: Site, gathered: Gathered) -> Decision:
    """The decision on what was gathered and what the ledger remembers."""
    last = site.ledger.control.last_state(gathered.at)
    policy = site.config.policy(gathered.priority.decay_half_life_seconds)
    decision = decide(policy, gathered.measurement, gathered.associations, last, gathered.at)
    live = gathered.signals.inputs(share.size_now(gathered.measurement.hours))
    found = {**live, "foreign_change_from": _told(gathered.foreign, policy.accounts)}
    return replace(decision, inputs={**decision.inputs, **found})


def _told(foreign: Mapping[str, int], accounts: Sequence[str]) -> int | str | None:
    """What was changed by somebody else, with the account's name where several are steered."""
    if len(accounts) == 1:
        return foreign.get(accounts[0])
    return ", ".join(f"{account} {shares}" for account, shares in foreign.items()) or None


def carry_out(site: Site, decision: Decision, mode: str) -> tuple[Outcome, ...]:
    """Record the decision; where the mode is to act, apply each change and record what was read back."""
    status = STATUS[mode]
    planned = site.ledger.control.record(decision, mode, site.actor, status)
    if status != "planned":
        return tuple(Outcome(one.change, status) for one in planned)
    return tuple(apply(site, one) for one in planned)


def apply(site: Site, planned: Planned) -> Outcome:
    """Try one change and settle it by what is read back; left planned when nothing can be read back."""
    change = planned.change
    site.ledger.control.keep_baseline(change.account, change.raw_shares_before, site.clock())
    failure = ""
    try:
        site.slurm.set_raw_shares(change)
    except SlurmError as error:
        failure = str(error)
    try:
        found = read_back(site, change)
    except SlurmError as error:
        return Outcome(change, "planned", f"{failure or 'written'}, but not read back: {error}")
    return settle(site, planned, found, failure)


def read_back(site: Site, change: Change) -> Association | None:
    """The account's row, looked at until slurmctld has what slurmdbd has, or for READ_BACKS times."""
    for _ in range(READ_BACKS):
        found = in_force(site.slurm.associations(), change.account)
        if found is None or found.raw_shares == found.stored_shares:
            return found
        site.wait(READ_BACK_SECONDS)
    return found


def settle(site: Site, planned: Planned, found: Association | None, failure: str) -> Outcome:
    """Record what became of a change, from the row that is there now."""
    note = failure
    if found and found.raw_shares != found.stored_shares:
        note = f"slurmdbd has {found.stored_shares}, slurmctld still works with {found.raw_shares}; {failure}"
    raw_shares = found.raw_shares if found else None
    status = site.ledger.control.settle(planned, at=site.clock(), raw_shares=raw_shares, note=note)
    return Outcome(planned.change, status, note)


def settle_interrupted(site: Site, associations: Sequence[Association]) -> None:
    """Changes that an earlier cycle began and could not settle: applied if they are in force now."""
    for planned in site.ledger.control.planned():
        found = in_force(associations, planned.change.account)
        settle(site, planned, found, "settled after an interruption")


def restore_baseline(site: Site) -> tuple[Outcome, ...]:
    """Put back the RawShares found before the first change, as a decision of its own."""
    with site.ledger.store.holding("writing", site.ledger.control.cluster_id):
        associations = site.slurm.associations()
        settle_interrupted(site, associations)
        outcomes = carry_out(site, baseline_decision(site, associations), "operator")
    for outcome in outcomes:
        if outcome.status == "applied":
            site.ledger.control.drop_baseline(outcome.change.account)
    return outcomes


def baseline_decision(site: Site, associations: Sequence[Association]) -> Decision:
    """What restoring the baseline would change now."""
    changes = []
    for account, raw_shares in site.ledger.control.baselines().items():
        found = in_force(associations, account)
        if found and found.raw_shares != raw_shares:
            changes.append(
                Change(
                    cluster=site.slurm.cluster,
                    account=account,
                    raw_shares_before=found.raw_shares,
                    raw_shares_after=raw_shares,
                )
            )
    return Decision(
        at=site.clock(),
        reason="restore_baseline",
        sentence=f"{len(changes)} account(s) back to the shares found before the first change",
        inputs={},
        changes=tuple(changes),
    )
