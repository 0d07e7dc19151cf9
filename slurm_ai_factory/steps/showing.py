"""What there is to see of a cycle: its report, and what the ledger has beside it, as one value for the board.

The rule: everything that is shown is measured here, once a cycle, on the daemon's own thread; nothing is
measured when a user looks.

Tested in tests/monitor/test_showing.py.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from slurm_ai_factory import question
from slurm_ai_factory.audit.books import books_between
from slurm_ai_factory.audit.reconcile import reconcile
from slurm_ai_factory.config import Clusters
from slurm_ai_factory.core import charge, windows
from slurm_ai_factory.core.control import lever
from slurm_ai_factory.core.live.demand import Standing
from slurm_ai_factory.core.measure.tally import Tally
from slurm_ai_factory.core.records import DAY, HOUR, ChangeStatus, Further, Hour, Instant, Measurement
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.ledger.audits import Audit
from slurm_ai_factory.monitor.board import Done, Metered, Reconciled, Shown, Steered
from slurm_ai_factory.monitor.grid import GridShown
from slurm_ai_factory.monitor.joint import JointBoard, JointShown
from slurm_ai_factory.report.energy import energy_of
from slurm_ai_factory.report.joint import JointNow, joint_now
from slurm_ai_factory.steps.applying import of_account, of_switch
from slurm_ai_factory.steps.live import Signals
from slurm_ai_factory.steps.site import Site
from slurm_ai_factory.steps.values import CycleReport

CHANGES = 12
METER_IN_SERVICE = 30 * DAY
"""A meter that is silent for longer is taken out of service."""
ROLLUP = 3 * HOUR
"""How long after midnight slurmdbd has rolled the day before up, and late records of it have come."""


def what_is_shown(site: Site, report: CycleReport, before: Shown | None = None) -> Shown:
    """What the metrics and the status page show of a cycle, and of those before it. Raises LedgerError."""
    with site.laps.phase("show"):
        tally = tallied(site, report, before.tally if before else None)
        shown = replace(_shown(site, report), tally=tally)
    return replace(shown, phases=dict(site.laps.seconds))


def tallied(site: Site, report: CycleReport, tally: Tally | None) -> Tally:
    """The tally with the hours that have ended since; the first cycle starts it."""
    m = report.gathered.measurement
    if tally is None:
        return Tally(m.resource.name, charge.hour_of(m.as_of))
    if tally.until < m.window.since:  # a calendar window began: the last hours of the one before are missing
        ended = question.ask(site.config, site.ledger, m.window, read_until=m.as_of).before()
        tally = tally.plus(ended.measure()) if ended else tally
    return tally.plus(m)


def _shown(site: Site, report: CycleReport) -> Shown:
    gathered, decision = report.gathered, report.decision
    config = gathered.config
    return Shown(
        at=gathered.at,
        mode=report.mode,
        seconds=report.seconds,
        phases={},
        measurement=gathered.measurement,
        earlier=earlier_hours(site, gathered.measurement),
        margin=config.promise.margin,
        further=gathered.further,
        groups={label: question.by_detail(n, gathered.groups) for n, label in enumerate(question.DETAILS, 1)},
        reach=lever.reach(question.by_detail(0, gathered.groups)),
        decision=decision,
        reason_since=site.ledger.control.reason_since(decision.reason),
        steered=tuple(steered(report, name) for name in report.steered),
        lever=config.control.lever,
        raised=config.control.switch.raised if config.control.switch else None,
        weight_fairshare=gathered.priority.weight_fairshare,
        history=history(site),
        statuses=tuple(outcome.status for outcome in report.outcomes),
        unreadable=site.ledger.accounting.unreadable(gathered.at - DAY),
        unknown_states=len(gathered.read.unknown_states),
        unknown_accounts=gathered.unknown_accounts,
        runs=gathered.read.runs,
        changed=gathered.read.changed,
        period=config.daemon.period,
        stale_after=config.daemon.ready_after,
        zone=config.promise.time_zone,
        authority=gathered.signals.authority,
        demand=waiting_demand(gathered.signals),
        contradiction=gathered.contradiction,
        retention_overdue=retention_overdue(site, gathered.at),
        queue_unknown=sum(gathered.signals.demand.unknown.values()),
        proposals=site.ledger.proposals.waiting(),
        grid=grid_shown(site, report),
    )


def grid_shown(site: Site, report: CycleReport) -> GridShown | None:
    """Grid and water of the window; None where nothing of them is recorded."""
    kept, m = report.kept, report.gathered.measurement
    if kept is None and not question.grid_recorded(site.ledger):
        return None
    measured, limited = question.measured_grid(site.config, site.ledger, m.window, report.gathered.at)
    held = report.decision.inputs.get("regional_held_by_grid")
    return GridShown(
        grid=measured,
        water=question.measured_water(site.config, site.ledger, m.window, report.gathered.at),
        limited_year_seconds=limited,
        keeping=kept.keeping if kept else None,
        reserved=len(kept.reserved.nodes) if kept and kept.reserved else 0,
        held=float(held) if isinstance(held, int | float) else None,
    )


def earlier_hours(site: Site, measurement: Measurement) -> tuple[Hour, ...]:
    """The hours before a rolling window, on which its share at earlier moments rests."""
    if not measurement.window.rolling:
        return ()
    return question.ask(site.config, site.ledger, read_until=measurement.as_of).earlier()


def retention_overdue(site: Site, now: Instant) -> bool | None:
    """Whether `saf ledger pseudonymise` is overdue by [privacy]; None where [privacy] limits nothing."""
    asked = site.config.privacy.retention().asked
    return site.ledger.privacy.retained().overdue(now) if asked else None


def waiting_demand(signals: Signals) -> dict[str, float]:
    """The amount of the resource that eligible jobs request now, by beneficiary."""
    return {str(side): float(signals.demand.sum(side, Standing.WAITING).amount) for side in Beneficiary}


def steered(report: CycleReport, account: str) -> Steered:
    """The value of a steered account, QOS or partition after the cycle."""
    gathered = report.gathered
    switched = gathered.config.control.switch
    before = (of_switch(gathered.switch) if switched else of_account(gathered.associations, account)).value
    applied = [outcome.change for outcome in report.outcomes if outcome.status is ChangeStatus.APPLIED]
    wanted, after = (
        next((change.raw_shares_after for change in changes if change.account == account), before)
        for changes in (report.decision.changes, applied)
    )
    foreign = gathered.foreign.get(account)
    return Steered(account, after, wanted, foreign.ours if foreign else None)


def history(site: Site) -> list[Done]:
    """The latest changes, newest first."""
    return [Done(*(row[name] for name in Done._fields)) for row in site.ledger.control.history(CHANGES)]


def metered(site: Site, now: Instant, before: Metered | None) -> Metered | None:
    """What meters measured; the energy of the window once a day. None where there are no meters."""
    newest = {str(kind): at for kind, at in site.ledger.meters.newest(now - METER_IN_SERVICE).items()}
    if before is not None and newest and now // DAY == before.measured_at // DAY:
        return before._replace(newest=newest)
    if not newest:
        return None
    answer = energy_of(question.ask(site.config, site.ledger), lambda *_: ("",))
    amounts = {kind: float(amount) for kind, amount in answer.amounts.items() if amount is not None}
    return Metered(
        newest=newest,
        measured_at=now,
        window=answer.window.name,
        closure=answer.closure.kappa,
        closes=answer.closure.holds,
        runs={str(word): float(joules) for word, joules in answer.sums.qualities.items()},
        idle=None if answer.idle is None else float(answer.idle),
        building={str(kind): amount for kind, amount in amounts.items() if not kind.is_water},
        water={str(kind): amount for kind, amount in amounts.items() if kind.is_water},
    )


def measure_joint(board: JointBoard, clusters: Clusters, site: Site) -> list[JointShown]:
    """Measure the joint promises, if that is due; those that could not be measured for a new reason.

    Whichever loop comes first does it for all, on its own thread. A failure leaves nothing to be shown and
    is raised.
    """
    if not board.claim():
        return []
    try:
        measured = [joint_shown(each) for each in joint_now(clusters, site.ledger, site.clock())]
    except Exception:
        board.show(())
        raise
    return board.show(measured)


def joint_shown(now: JointNow) -> JointShown:
    """A joint promise as the board has it."""
    if now.answer is None:
        return JointShown(now.name, None, error=now.error)
    return JointShown(now.name, Further(now.answer.together, now.answer.margin), now.answer.zone)


def rolled_up_day(site: Site, now: Instant) -> tuple[Instant, Instant]:
    """The last civil day that slurmdbd has rolled up, in whole hours."""
    zone = site.config.promise.time_zone
    today = datetime.fromtimestamp(now - ROLLUP, zone).date()
    since, until = (
        charge.hour_of(windows.instant(day.isoformat(), now, zone))
        for day in (today - timedelta(days=1), today)
    )
    return since, until


def reconciled(site: Site, since: Instant, until: Instant) -> Reconciled:
    """The ledger against sacct and sreport. Raises SlurmError, LedgerError."""
    at = site.clock()
    books = books_between(
        site.slurm, site.ledger, since, until, at=at, usual=site.config.slurm.read_window
    )  # fmt: skip
    reconciliation = reconcile(books)
    unexplained = reconciliation.unexplained
    audit = Audit("reconcile", at, since, until, reconciliation.findings)
    site.ledger.audits.keep(audit, {"unexplained": str(unexplained)}, site.actor)
    return Reconciled(at, since, until, unexplained)
