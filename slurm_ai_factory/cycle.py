"""The product on one page: read, observe, decide, apply, read back.

Level, not edge: every cycle compares the wanted shares with the current ones, so a crash anywhere needs no
recovery code. A read that fails or is not whole raises before anything is decided. A change is recorded as
planned before it is tried, and its outcome is what is read back, never what a command's exit says.

Tested in tests/end_to_end/test_control.py, tests/monitor/test_showing.py and tests/monitor/test_steered.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from slurm_ai_factory import question
from slurm_ai_factory.config import checked
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.control import lever
from slurm_ai_factory.core.control.foreign import Reaction, counted_from, react
from slurm_ai_factory.core.control.several import Guard, Steering, decide_all, guarded
from slurm_ai_factory.core.control.switch import decide_switch
from slurm_ai_factory.core.live import cross_check
from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.measure.share import Group
from slurm_ai_factory.core.records import (
    FIRST,
    Bound,
    Decision,
    Further,
    Hold,
    Instant,
    Mode,
    Observed,
    PriorityConfig,
    SwitchNow,
)
from slurm_ai_factory.core.rules.classify import Rules
from slurm_ai_factory.errors import StandbyError
from slurm_ai_factory.question import Question
from slurm_ai_factory.steps import clocks, live, reading
from slurm_ai_factory.steps.applying import carry_out, foreign_changes, settled_shares
from slurm_ai_factory.steps.keeping import Kept, keep_nodes_free
from slurm_ai_factory.steps.live import Signals
from slurm_ai_factory.steps.reading import Read
from slurm_ai_factory.steps.site import Site
from slurm_ai_factory.steps.values import Beside, CycleReport, Gathered


def run(site: Site, stopwatch: Callable[[], float]) -> CycleReport:
    """One cycle. Raises SlurmError or LedgerError; then every change that was made is in the ledger."""
    began = stopwatch()
    hold_the_lock(site)
    with site.laps.phase("keep"):
        kept = keep_nodes_free(site)
    gathered = gather(site, kept)
    mode = site.config.control.mode
    with site.ledger.store.holding("writing", site.ledger.control.cluster_id):
        with site.laps.phase("decide"):
            gathered, decisions = decide_to_write(site, gathered)
        with site.laps.phase("apply"):
            outcomes = [carry_out(site, decision, mode, gathered.associations) for decision in decisions]
    return CycleReport(
        gathered=gathered,
        decision=decisions[0],
        beside=decisions[1:],
        kept=kept,
        outcomes=tuple(outcome for several in outcomes for outcome in several),
        mode=mode,
        seconds=stopwatch() - began,
        steered=(*site.config.control.steered, *site.config.accounts_beside),
    )


def hold_the_lock(site: Site) -> None:
    """One active writer for each cluster."""
    if not site.ledger.store.lock(site.ledger.control.cluster_id):
        raise StandbyError(
            f"another saf is active for cluster {site.slurm.cluster} and this one stands by; "
            "`saf plan` and `saf status` work beside it"
        )


def gather(site: Site, kept: Kept | None = None) -> Gathered:
    """Read Slurm into the ledger, and measure. Nothing is read while the clocks disagree: ClockError."""
    priority = site.slurm.priority_config()  # before anything is kept: is this the cluster of the ledger?
    now = clocks.cluster_now(site)
    with site.laps.phase("read"):
        read = reading.read_accounting(site, now)
    question.begin_terms(site.config, site.ledger, now, site.actor)
    return observe(site, now, priority, read, kept)


def observe(
    site: Site, now: Instant, priority: PriorityConfig, read: Read, kept: Kept | None = None
) -> Gathered:
    """Slurm's shares and queue, and the measurement as of the last complete read."""
    associations, switch = site.slurm.associations(), switch_now(site)
    site.ledger.intake.record_accounts(associations, now)
    site.ledger.registry.keep_rules(site.config.rules, site.config.registry.region, now)
    mark = site.ledger.accounting.watermark() or now
    asked = question.ask(site.config, site.ledger, read_until=mark)
    contradiction = site.config.contradicting(asked.terms.at(mark))
    rules, site = asked.rules, replace(site, config=checked(asked.config))
    usual = live.usual_runs(site.ledger, site.config, now)
    with site.laps.phase("ask"):
        signals = live.signals_now(
            site.slurm, site.config, priority, rules, usual.seconds,
            lambda: clocks.checked_diagnostics(site), limited=bool(kept and kept.reserved and kept.alone),
        )  # fmt: skip
    with site.laps.phase("measure"):
        measurement, groups = asked.answer(question.by_steered(asked))
        others = asked.others()
        further = asked.further(others)
        earlier = asked.remembered(priority.decay_half_life_seconds)
    odd = site.ledger.intake.put_aside(site.slurm.unreadable(), now)
    return Gathered(
        at=now,
        config=site.config,
        contradiction=contradiction,
        read=read._replace(new_rejected=read.new_rejected + odd),
        measurement=measurement,
        further=tuple(further),
        beside=tuple(beside(site, zip(others, further, strict=True), priority, signals, now)),
        earlier=earlier,
        holds=(*signals.holds, *contradictions(site, rules, signals, question.by_detail(0, groups), read)),
        run_charge=usual.run_charge,
        waiting_rows=waiting_rows(rules, signals),
        associations=associations,
        switch=switch,
        priority=priority,
        signals=signals,
        groups=groups,
        unknown_accounts=tuple(rules.unknown_accounts()),
        foreign=foreign_changes(site, associations, switch),
    )


def beside(
    site: Site,
    further: Iterable[tuple[Question, Further]],
    priority: PriorityConfig,
    signals: Signals,
    now: Instant,
) -> Iterator[Beside]:
    """What the decision about each further promise rests on that is steered."""
    for other, (measurement, _) in further:
        if accounts := site.config.control.promises.get(measurement.promise):
            config, rules = other.config, other.rules
            usual = live.usual_runs(site.ledger, config, now)
            own = live.signals_beside(signals, config, priority, rules, usual)
            conflict = lever.promise_hold(rules, measurement.promise, accounts, signals.diagnostics.at)
            yield Beside(
                config=config,
                measurement=measurement,
                earlier=other.remembered(priority.decay_half_life_seconds),
                signals=own,
                run_charge=usual.run_charge,
                holds=(*own.holds, *((conflict,) if conflict else ())),
            )


def switch_now(site: Site) -> SwitchNow | None:
    """The value of the switch; None where accounts are steered, or the cluster does not have it."""
    switch = site.config.control.switch
    return site.slurm.switch(switch.lever, switch.name) if switch else None


def waiting_rows(rules: Rules, signals: Signals) -> frozenset[str]:
    """The rows of the association tree with jobs that could start: users, their accounts and those above."""
    users = signals.demand.waiting_users
    names = (name for account, user in users for name in (f"{account}/{user}", *rules.lineage(account)))
    return frozenset(names)


def contradictions(
    site: Site, rules: Rules, signals: Signals, steered: list[Group], read: Read
) -> Iterator[Hold]:
    """Holds where two things that must agree do not: sacct, squeue and the ledger; steering and the rules."""
    at, control = signals.diagnostics.at, site.config.control
    conflicts = {} if control.switch else lever.conflicts(rules, control.account, at, steered)
    kept = site.slurm.slurmdbd().kept_seconds if read.unlisted.lacking else None
    if hold := cross_check.unlisted_hold(read.unlisted, at, kept):
        yield hold
    if hold := cross_check.cross_check_hold(site.ledger.accounting.open_jobs(), signals.listed, at):
        yield hold
    if hold := lever.lever_hold(rules, conflicts):
        yield hold
    if control.switch and (hold := lever.switch_hold(control.lever, control.steered[0], steered)):
        yield hold


def decide_to_write(site: Site, gathered: Gathered) -> tuple[Gathered, tuple[Decision, ...]]:
    """The decisions, and what they rest on; the writing lock is held.

    Where there is something to write, the shares are read again: they may have been set since. So they are
    where a write was interrupted: before it is settled, its value looks like another user's.
    """
    if not site.ledger.control.planned():
        gathered = note_foreign_changes(site, gathered)
        decisions = decide_on(site, gathered)
        if site.config.control.mode is not Mode.ENFORCE or not any(made.changes for made in decisions):
            return gathered, decisions
    associations, switch = settled_shares(site), switch_now(site)
    foreign = foreign_changes(site, associations, switch)
    gathered = replace(gathered, associations=associations, switch=switch, foreign=foreign)
    gathered = note_foreign_changes(site, gathered)
    return gathered, decide_on(site, gathered)


def note_foreign_changes(site: Site, gathered: Gathered) -> Gathered:
    """Record what other users set, each change once, as seen by this cycle."""
    known = dict(gathered.foreign)
    for name, change in known.items():
        if change.seen_at is None:
            site.ledger.control.note_foreign(change, gathered.at)
            known[name] = change._replace(seen_at=gathered.at)
    return replace(gathered, foreign=known)


def decide_on(site: Site, gathered: Gathered) -> tuple[Decision, ...]:
    """The decision about each steered promise, the first one first, on what was gathered and remembered."""
    half_life, ledger = gathered.priority.decay_half_life_seconds, site.ledger.control
    control = gathered.config.control
    first = Steering(
        gathered.config.policy(half_life),
        observed(site, gathered),
        ledger.last_state(gathered.at, lever=control.lever),
    )
    others = [
        Steering(
            other.config.policy(half_life),
            observed_beside(site, gathered, first.observed, other),
            ledger.last_state(gathered.at, other.measurement.promise),
        )
        for other in gathered.beside
    ]
    steered = {other.measurement.promise for other in gathered.beside}
    guards = [
        Guard(measurement, margin)
        for measurement, margin in gathered.further
        if measurement.bound is Bound.FLOOR and measurement.promise not in steered
    ]
    if control.switch:
        switched = decide_switch(first.policy, control.switch, first.observed, first.last, gathered.at)
        return (guarded(switched, first.policy, guards), *decide_all(others, guards, gathered.at))
    return decide_all((first, *others), guards, gathered.at)


def observed(site: Site, gathered: Gathered) -> Observed:
    """All that a decision rests on, whole; whether an operator paused the control is read here."""
    size = share.size_now(gathered.measurement.hours)
    reaction = reaction_to_others(site, gathered, FIRST, gathered.config.control.steered)
    return Observed(
        measurement=gathered.measurement,
        earlier=gathered.earlier,
        associations=gathered.associations,
        holds=(*_operator_holds(site, gathered), *gathered.holds, *reaction.holds),
        back_to=reaction.back_to,
        regional_backlog=gathered.signals.backlog(size),
        run_charge=gathered.run_charge,
        switch=gathered.switch,
        waiting_rows=gathered.waiting_rows,
        noted={**gathered.signals.inputs(size), "foreign_change_from": gathered.foreign_change},
    )


def observed_beside(site: Site, gathered: Gathered, first: Observed, other: Beside) -> Observed:
    """All that a decision about a further promise rests on; ``first`` is of the first promise."""
    size, promise = share.size_now(other.measurement.hours), other.measurement.promise
    reaction = reaction_to_others(site, gathered, promise, gathered.config.control.promises[promise])
    return replace(
        first,
        measurement=other.measurement,
        earlier=other.earlier,
        holds=(*_operator_holds(site, gathered), *other.holds, *reaction.holds),
        back_to=reaction.back_to,
        regional_backlog=other.signals.backlog(size),
        run_charge=other.run_charge,
        noted=other.signals.inputs(size),
    )


def reaction_to_others(site: Site, gathered: Gathered, promise: str, names: Iterable[str]) -> Reaction:
    """What a decision does about steered values that other users set: control.on_foreign_change."""
    changes = [gathered.foreign[name] for name in names if name in gathered.foreign]
    unsettled = [change for change in changes if not change.accepted]
    since = counted_from(unsettled, gathered.at)
    reassertions = site.ledger.control.reassertions(promise, since) if unsettled else 0
    return react(site.config.control.on_foreign_change, unsettled, reassertions, gathered.at)


def _operator_holds(site: Site, gathered: Gathered) -> Iterator[Hold]:
    """Holds while an operator has the control paused, or while no promise applies."""
    if pause := site.ledger.control.pause(gathered.at):
        yield Hold("paused", f"{pause.actor} paused it until {windows.iso(pause.until)}: {pause.reason}")
    term = gathered.config.promised
    if term and term.ended:
        since = windows.civil_day(term.since, term.zone)
        yield Hold("promise_ended", f"the promise ended on {since} ({term.source}): {term.reason}")
