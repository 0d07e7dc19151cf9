"""From a decision to what Slurm has: record as planned, write, read back, record what was found.

What became of a change is what is read back, never what a command's exit says. One that was begun and could
not be settled is settled by the next cycle, from the shares that are current then.

Tested beside tests/steps/test_applying.py in tests/end_to_end/test_trust.py and
tests/end_to_end/test_failures.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from time import monotonic
from typing import NamedTuple

from slurm_ai_factory.core.control.foreign import Changer, ForeignChange
from slurm_ai_factory.core.control.level import Baseline, sibling_shares
from slurm_ai_factory.core.records import (
    Association,
    Change,
    ChangeStatus,
    Decision,
    Instant,
    LeverKind,
    Mode,
    SwitchNow,
)
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import LedgerError, SlurmError
from slurm_ai_factory.ledger import Planned
from slurm_ai_factory.steps import clocks
from slurm_ai_factory.steps.site import Site

READ_BACKS = 25
READ_BACK_SECONDS = 0.2
"""slurmdbd notifies slurmctld without waiting for it: look again for some seconds before calling it lost."""

WRITE_SECONDS = 10
"""A write is over at most so long after the writing lock was last seen to be held, or it is not made: sooner
than a silent session of the ledger is cut. Another saf that takes over a planned change waits as long."""

OPERATOR = "operator"
"""The mode of decisions that an operator's command makes."""

STATUS: Mapping[str, ChangeStatus] = {
    Mode.OBSERVE: ChangeStatus.OBSERVED,
    Mode.ADVISE: ChangeStatus.ADVISED,
    Mode.ENFORCE: ChangeStatus.PLANNED,
    OPERATOR: ChangeStatus.PLANNED,
}
"""What a change is recorded as, by the mode of its decision."""


NOT_LOGGED: Mapping[LeverKind, str] = {
    LeverKind.ACCOUNT: "slurmdbd's log of transactions has no such change",
    LeverKind.QOS: "slurmdbd's log of transactions has no such change",
    LeverKind.PARTITION: "Slurm does not log changes of partitions; slurmctld forgets them when it restarts",
}
"""Why it is not known who set a value."""


class Outcome(NamedTuple):
    """A change and what became of it."""

    change: Change
    status: ChangeStatus
    note: str = ""


def in_force(associations: Sequence[Association], account: str) -> Association | None:
    """An account's own row."""
    return next((row for row in associations if row.account == account and row.user is None), None)


class ReadBack(NamedTuple):
    """The value of an object as slurmctld works with it, and as it is stored; both None where it is gone."""

    value: int | None
    stored: int | None


def read_now(site: Site, lever: LeverKind, name: str) -> ReadBack:
    """What Slurm has now. Raises SlurmError."""
    if lever is LeverKind.ACCOUNT:
        return of_account(site.slurm.associations(), name)
    return of_switch(site.slurm.switch(lever, name))


def of_account(associations: Sequence[Association], account: str) -> ReadBack:
    """RawShares of an account's own row."""
    row = in_force(associations, account)
    return ReadBack(row.raw_shares, row.stored_shares) if row else ReadBack(None, None)


def of_switch(switch: SwitchNow | None) -> ReadBack:
    """The value of a switch, which is read in one place only."""
    return ReadBack(switch.value, switch.value) if switch else ReadBack(None, None)


def foreign_changes(
    site: Site, associations: Sequence[Association], switch: SwitchNow | None
) -> dict[str, ForeignChange]:
    """By name, each steered object that does not have the value that our last change of it left.

    Who set one that is not recorded yet is looked up in Slurm's own log.
    """
    control, changes = site.config.control, {}
    steered = [(name, control.lever) for name in control.steered]
    steered += [(name, LeverKind.ACCOUNT) for name in site.config.accounts_beside]
    for name, lever in steered:
        value = (of_account(associations, name) if lever is LeverKind.ACCOUNT else of_switch(switch)).value
        if value is not None and (change := site.ledger.control.foreign_change(lever, name, value)):
            known = change.seen_at is not None
            changes[name] = change if known else change._replace(changer=changer_by_log(site, change))
    return changes


def changer_by_log(site: Site, change: ForeignChange) -> Changer:
    """Who set a value last since our last change; where Slurm's log cannot be read, that is said instead."""
    since = change.ours_at - site.config.slurm.clock_tolerance
    try:
        log = site.slurm.logged_changes(change.lever, change.account, since)
    except SlurmError as error:
        return Changer(unknown=str(error))
    setters = [entry for entry in log if entry.raw_shares == str(change.theirs)]
    if not setters:
        return Changer(unknown=NOT_LOGGED[change.lever])
    return Changer(setters[-1].actor, setters[-1].at)


def carry_out(
    site: Site, decision: Decision, mode: str, associations: Sequence[Association]
) -> tuple[Outcome, ...]:
    """Record the decision; where the mode is to act, apply each change and record what was read back.

    ``associations`` are those that were decided on, read while the writing lock is held.
    """
    status = STATUS[mode]
    planned = site.ledger.control.record(decision, mode, site.actor, status)
    if status is not ChangeStatus.PLANNED:
        return tuple(Outcome(change.change, status) for change in planned)
    beside = sibling_shares(site.config.steered_accounts, associations)
    return tuple(apply(site, change, beside) for change in planned)


def apply(site: Site, planned: Planned, beside: int | None) -> Outcome:
    """Write a change and settle it by the value read back; it stays planned if nothing can be read back.

    ``beside`` are the RawShares that compete with the steered accounts, for the baseline.
    """
    change = planned.change
    baseline = Baseline(change.raw_shares_before, beside if change.lever is LeverKind.ACCOUNT else None)
    site.ledger.control.keep_baseline(change.account, baseline, site.clock(), change.lever)
    failure = ""
    try:
        site.slurm.set_raw_shares(change, deadline(site))
    except SlurmError as error:
        failure = str(error)
    try:
        now = read_back(site, change)
    except SlurmError as error:
        return Outcome(change, ChangeStatus.PLANNED, f"{failure or 'written'}, but not read back: {error}")
    return settle(site, planned, now, failure)


def deadline(site: Site) -> float:
    """Until when this process may write, by ``time.monotonic``. Raises LedgerError where it may not.

    The lock goes with the ledger's session. A session that was cut is seen here. If it is cut later, the saf
    that takes over finds the planned change, and waits until this deadline has passed.
    """
    asked_at = monotonic()
    if not site.ledger.store.may_write(site.ledger.control.cluster_id):
        raise LedgerError(
            "the ledger's session was cut just before a write to Slurm, so nothing was written; "
            "the next cycle decides again"
        )
    return asked_at + write_seconds(site)


def write_seconds(site: Site) -> float:
    """How long a write may take; no command may take longer than slurm.timeout."""
    return min(WRITE_SECONDS, site.config.slurm.timeout)


def read_back(site: Site, change: Change) -> ReadBack:
    """The object's value, looked at until slurmctld has what slurmdbd has, or for READ_BACKS times."""
    for _ in range(READ_BACKS):
        now = read_now(site, change.lever, change.account)
        if now.value == now.stored:
            return now
        site.wait(READ_BACK_SECONDS)
    return now


def settle(site: Site, planned: Planned, now: ReadBack, failure: str) -> Outcome:
    """Record what became of a change, from the value that is there now."""
    change, note = planned.change, settled_note(planned.change, now, failure)
    status = site.ledger.control.settle(planned, at=site.clock(), raw_shares=now.value, note=note)
    return Outcome(change, status, note)


def settled_note(change: Change, now: ReadBack, failure: str) -> str:
    """What is wrong with the value that is there now, and how the command failed; empty where nothing is."""
    if now.value != now.stored:
        differing = f"slurmdbd has {now.stored}, slurmctld still works with {now.value}"
        return f"{differing}; {failure}" if failure else differing
    if failure or now.value == change.raw_shares_after:
        return failure
    verb = "are" if change.lever is LeverKind.ACCOUNT else "is"
    there = f"{change.lever.attribute} {verb} {now.value}"
    if now.value is None:
        there = f"the {change.lever} is gone"
    return f"{there}: another user changed it at the same time, or Slurm lost the write"


def settled_shares(site: Site) -> tuple[Association, ...]:
    """The current shares, once changes that an earlier cycle began are settled; the writing lock is held.

    Another process may have planned them, and lost its session to the ledger while sacctmgr ran. So its
    deadline passes first. A change is applied if the current RawShares are its own. Raises LedgerError where
    the lock was lost meanwhile.
    """
    interrupted = site.ledger.control.planned()
    if interrupted:
        site.wait(write_seconds(site))
        deadline(site)
    associations = site.slurm.associations()
    for planned in interrupted:
        lever, name = planned.change.lever, planned.change.account
        account = lever is LeverKind.ACCOUNT
        now = of_account(associations, name) if account else read_now(site, lever, name)
        settle(site, planned, now, "settled after an interruption")
    return associations


class Restored(NamedTuple):
    """What restoring a baseline makes of an account's part of the level, or of a switch."""

    change: Change
    baseline: Baseline
    sibling_shares: int | None  #: RawShares of what is not restored beside it now
    parts: tuple[float | None, float | None]  #: of the level before and after; None where it is not known

    @property
    def rescaled(self) -> bool:
        """Whether the level is another than when the baseline was recorded, or may be."""
        if self.change.lever is not LeverKind.ACCOUNT:
            return False
        return self.sibling_shares is None or self.sibling_shares != self.baseline.sibling_shares


def cycle_overdue(site: Site) -> Instant | None:
    """When the last cycle was completed, if that is longer ago than control.lease; None while it lasts.

    By slurmctld's clock, with which this machine's must agree. Raises ClockError.
    """
    last, lease = site.ledger.control.last_decision(), site.config.control.lease
    if last is None or lease is None or clocks.cluster_now(site) - last["at"] <= lease:
        return None
    return int(last["at"])


def restore_baseline(site: Site, number: bool = False) -> tuple[Outcome, ...]:
    """Put back what was found before the first change; see ``put_back``."""
    with site.ledger.store.holding("writing", site.ledger.control.cluster_id):
        return put_back(site, settled_shares(site), number)


def put_back(
    site: Site, associations: Sequence[Association], number: bool = False, why: str = ""
) -> tuple[Outcome, ...]:
    """The same, with the associations of ``settled_shares``; the writing lock is still held.

    It is a decision of its own; ``why`` is added to its sentence.
    """
    decision = baseline_decision(site, baseline(site, associations, number), why)
    outcomes = carry_out(site, decision, OPERATOR, associations)
    for outcome in outcomes:
        if outcome.status is ChangeStatus.APPLIED:
            site.ledger.control.drop_baseline(outcome.change.account, outcome.change.lever)
    return outcomes


def baseline(site: Site, associations: Sequence[Association], number: bool = False) -> list[Restored]:
    """What restoring the baseline would change now: each account's part of the level, or its ``number``.

    Where the level has been rescaled since, the same part is another number.
    """
    kept = site.ledger.control.baselines()
    beside = sibling_shares(kept.keys(), associations)
    before = {name: row.raw_shares for name in kept if (row := in_force(associations, name))}
    after = {name: kept[name].raw_shares if number else kept[name].rescaled(beside) for name in before}
    parts = [_parts(shares, beside) for shares in (before, after)]
    accounts = [
        Restored(
            _change_of(site, LeverKind.ACCOUNT, name, before[name], after[name]),
            kept[name],
            beside,
            (parts[0].get(name), parts[1].get(name)),
        )
        for name in before
        if before[name] != after[name]
    ]
    return [*accounts, *_switched_back(site)]


def _switched_back(site: Site) -> Iterator[Restored]:
    """Each switch that is not as it was found."""
    for lever in (LeverKind.QOS, LeverKind.PARTITION):
        for name, kept in site.ledger.control.baselines(lever).items():
            value = read_now(site, lever, name).value
            if value is not None and value != kept.raw_shares:
                yield Restored(
                    _change_of(site, lever, name, value, kept.raw_shares), kept, None, (None, None)
                )


def _change_of(site: Site, lever: LeverKind, name: str, before: int, after: int) -> Change:
    return Change(
        cluster=site.slurm.cluster,
        account=name,
        raw_shares_before=before,
        raw_shares_after=after,
        lever=lever,
    )


def _parts(raw_shares: Mapping[str, int], beside: int | None) -> dict[str, float]:
    """The part of the level that each account has with these RawShares; none where the level is not known."""
    if beside is None:
        return {}
    level = beside + sum(raw_shares.values())
    return {name: own / level for name, own in raw_shares.items()}


def baseline_decision(site: Site, restored: Sequence[Restored], why: str = "") -> Decision:
    """To change what is to be restored."""
    objects = count(len(restored), "object")
    return Decision(
        at=site.clock(),
        reason="restore_baseline",
        sentence=f"{objects} back to what was found before the first change{why}",
        inputs={},
        changes=tuple(row.change for row in restored),
    )
