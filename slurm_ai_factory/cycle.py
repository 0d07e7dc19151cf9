"""The product on one page: gather, decide, record, apply, read back, record.

Level, not edge: every cycle compares what is wanted with what is in force, so a crash anywhere needs no
recovery code. A read that failed or is not whole raises before anything is decided. A change is recorded as
planned before it is tried, and what became of it is what is read back, never what a command's exit says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from slurm_ai_factory import question
from slurm_ai_factory.config import Config, checked
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.control import lever
from slurm_ai_factory.core.control.controller import decide
from slurm_ai_factory.core.live import cross_check
from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.records import (
    Association,
    Decision,
    Hold,
    Instant,
    PriorityConfig,
)
from slurm_ai_factory.core.rules.classify import Rules
from slurm_ai_factory.errors import StandbyError
from slurm_ai_factory.ledger import Usual
from slurm_ai_factory.steps import clocks, reading
from slurm_ai_factory.steps.applying import carry_out, in_force, settle_interrupted
from slurm_ai_factory.steps.live import Signals, signals_now
from slurm_ai_factory.steps.reading import Read
from slurm_ai_factory.steps.site import Site
from slurm_ai_factory.steps.values import CycleReport, Gathered

NOTHING_ENDED = Usual({}, 0.0)


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
    now = clocks.cluster_now(site)
    read = read_accounting(site, now)
    question.begin_terms(site.config, site.ledger, now, site.actor)
    return observe(site, now, priority, read)


def observe(site: Site, now: Instant, priority: PriorityConfig, read: Read) -> Gathered:
    """Slurm's shares and queue, and the measurement as of the last complete read."""
    mark = site.ledger.accounting.watermark() or now
    term = question.terms_of(site.config, site.ledger).at(mark)
    contradiction, config = site.config.contradicting(term), checked(site.config.under(term))
    site = replace(site, config=config)
    associations = site.slurm.associations()
    site.ledger.accounting.record_accounts(associations, now)
    site.ledger.registry.keep_rules(site.config.rules, site.config.registry.region, now)
    rules, usual = question.rules_at(site.config, site.ledger), usually(site, now)
    with site.laps.phase("ask"):
        live = live_signals(site, priority, rules, usual)
    with site.laps.phase("measure"):
        measured = question.measure(config, site.ledger, mark, rules=rules)
        found = question.groups_of_window(site.config, site.ledger, rules, measured)
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


def contradictions(site: Site, rules: Rules, live: Signals, found: Sequence[share.Group]) -> Iterator[Hold]:
    """Holds where two things that must agree do not: sacct and squeue, the steered accounts and the rules."""
    at = live.diagnostics.at
    holds = (
        cross_check.cross_check_hold(site.ledger.accounting.open_jobs(), live.listed, at),
        lever.lever_hold(
            rules, lever.conflicts(rules, site.config.control.account, at, question.by_detail(0, found))
        ),
    )
    yield from (one for one in holds if one)


def live_signals(site: Site, priority: PriorityConfig, rules: Rules, usual: Usual) -> Signals:
    """The queue and slurmctld's health now."""
    promise, horizon = site.config.promise, site.config.control.horizon
    return signals_now(
        site.slurm,
        priority,
        rules,
        promise.resource,
        horizon,
        usual.seconds,
        lambda: clocks.checked_diagnostics(site),
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
        read = reading.read_intervals(site.slurm, site.ledger, [(since, now)], at=now, usual=usual)
        site.ledger.accounting.record_events(*site.slurm.events(since, now), now)
    return read


def start_of_read(site: Site, now: Instant) -> Instant:
    """The watermark less the overlap for late records; at first the configured start, or the window's."""
    mark = site.ledger.accounting.watermark()
    if mark is None:
        return site.config.first_instant() or question.promised_window(site.config, now).since
    return site.config.overlap().since(min(mark, now), now)


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
