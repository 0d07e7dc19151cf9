"""Keeps nodes free while the grid operator allows less power, by one reservation of our own.

As with shares: the wanted reservation is compared with the one that slurmctld has, an act is recorded as
planned before Slurm is asked, and its outcome is what is read back. A reservation that no daemon
looks after ends by itself. If slurmctld does not answer, this step holds, and the cycle goes on.

Tested in tests/end_to_end/test_grid.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from slurm_ai_factory.config import Config
from slurm_ai_factory.core.energy import allowed, grid
from slurm_ai_factory.core.energy.keeping import (
    ActKind,
    ActOutcome,
    DoneAct,
    GridMode,
    Keeping,
    ReservationAct,
    ReservedNow,
    decide_keeping,
    keeping_inputs,
)
from slurm_ai_factory.core.energy.meters import Kind
from slurm_ai_factory.core.records import DAY, Instant, Window
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.steps import clocks
from slurm_ai_factory.steps.applying import deadline
from slurm_ai_factory.steps.site import Site

LOOKED_BACK = 7 * DAY
"""How far back the highest power is what is expected."""


class Kept(NamedTuple):
    """What a cycle did about a limit, and our reservation afterwards."""

    keeping: Keeping
    reserved: ReservedNow | None = None  #: None where it is not there, or is not ours
    alone: bool = False  #: whether there is no other reservation beside ours
    outcome: ActOutcome | None = None  #: None where there was nothing to do
    note: str = ""  #: what Slurm said of an act that failed


def keep_nodes_free(site: Site) -> Kept | None:
    """Do what a limit needs now; None where grid.mode is off. Raises LedgerError, ClockError."""
    if site.config.grid.mode is GridMode.OFF:
        return None
    site.slurm.priority_config()  # before anything is done: is this the cluster of the ledger?
    now = clocks.cluster_now(site)
    try:
        with site.ledger.store.holding("writing", site.ledger.control.cluster_id):
            return _compared(site, now)
    except SlurmError as error:
        sentence = f"slurmctld could not be asked, so the reservation stays as it is: {error}"
        return Kept(Keeping(at=now, reason="unread", sentence=sentence))


def _compared(site: Site, now: Instant) -> Kept:
    """Compare the wanted reservation with the present one, and act."""
    mode, name = site.config.grid.mode, site.config.grid.reservation
    reserved = site.slurm.reserved()
    ours = with_our_name(name, reserved)
    last = settle_act(site, site.ledger.reserving.last(name), ours, now)
    keeping = keeping_now(site, now)
    kept = Kept(keeping, ours if ours and last and last.owns(ours) else None, len(reserved) == 1)
    if keeping.act is None or mode is GridMode.PLAN:
        return kept
    if mode is GridMode.ADVISE:
        advised = site.ledger.reserving.last(name, advised=True)
        if advised is None or advised.act != keeping.act:
            _record(site, keeping, keeping.act, ActOutcome.ADVISED)
        return kept._replace(outcome=ActOutcome.ADVISED)
    return _acted(site, keeping, keeping.act, now)


def keeping_now(site: Site, now: Instant) -> Keeping:
    """What is to be done now, and why. Reads only. Raises SlurmError, LedgerError."""
    config, ledger = site.config, site.ledger
    if pause := ledger.control.pause(now):
        sentence = f"{pause.actor} paused it: {pause.reason}; the reservation stays as it is"
        return Keeping(at=now, reason="paused", sentence=sentence)
    return decide_keeping(
        config.grid.policy,
        allowed.standing(ledger.allowed.entries(), now),
        expected_power(config, ledger, now),
        site.slurm.nodes_to_keep(),
        site.slurm.reserved(),
        ledger.reserving.last(config.grid.reservation),
        now,
    )


def expected_power(config: Config, ledger: Ledger, now: Instant) -> Fraction | None:
    """The power of the connection to expect, in kW; None where no quarter was read lately."""
    if config.grid.expected is not None:
        return Fraction(config.grid.expected) / 1000
    lately = Window("lately", now - LOOKED_BACK, now)
    readings = ledger.meters.readings(Kind.P_15MIN, lately)
    firsts, ends = ledger.allowed.first_readings(Kind.P_15MIN), ledger.meters.ends()[Kind.P_15MIN]
    return grid.highest(readings, firsts, lately, ends)


def _acted(site: Site, keeping: Keeping, act: ReservationAct, now: Instant) -> Kept:
    """Plan, write and read back an act; it stays planned where nothing can be read back."""
    plan_id = _record(site, keeping, act, ActOutcome.PLANNED)
    failure = ""
    try:
        site.slurm.reserve(act, now, deadline(site))
    except SlurmError as error:
        failure = str(error)
    try:
        reserved = site.slurm.reserved()
    except SlurmError as error:
        note = f"{failure or 'written'}, but not read back: {error}"
        return Kept(keeping, outcome=ActOutcome.PLANNED, note=note)
    ours = with_our_name(act.name, reserved)
    done = settle_act(site, DoneAct(plan_id, act, ActOutcome.PLANNED), ours, now, failure)
    return Kept(keeping, ours, len(reserved) == 1, done.outcome if done else None, failure)


def settle_act(
    site: Site, last: DoneAct | None, reserved: ReservedNow | None, now: Instant, failure: str = ""
) -> DoneAct | None:
    """The newest act, with what became of it recorded where that was not known yet."""
    if last is None or last.outcome is not ActOutcome.PLANNED:
        return last
    outcome = ActOutcome.APPLIED if last.act.achieved(reserved) else ActOutcome.FAILED
    act = last.act
    if reserved and act.kind is not ActKind.END and last.owns(reserved):
        nodes = tuple(sorted(reserved.nodes))
        act = act._replace(since=reserved.since, until=reserved.until, nodes=nodes)
    note = failure or ("" if outcome is ActOutcome.APPLIED else "slurmctld has something else")
    act_id = site.ledger.reserving.record(
        act, outcome, at=now, actor=site.actor, sentence=note, inputs={}, plan_id=last.act_id
    )
    return DoneAct(act_id, act, outcome)


def _record(site: Site, keeping: Keeping, act: ReservationAct, outcome: ActOutcome) -> int:
    return site.ledger.reserving.record(
        act, outcome, at=keeping.at, actor=site.actor, sentence=keeping.sentence,
        inputs=keeping_inputs(keeping),
    )  # fmt: skip


def with_our_name(name: str, reserved: Sequence[ReservedNow]) -> ReservedNow | None:
    """The reservation with our name; it may be another's."""
    return next((each for each in reserved if each.name == name), None)
