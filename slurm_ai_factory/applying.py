"""From a decision to RawShares in force: record as planned, write, read back, record what was found.

What became of a change is what is read back, never what a command's exit says. One that was begun and could
not be settled is settled by the next cycle, from the shares that are in force then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from slurm_ai_factory.core.records import Association, Change, Decision
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.ledger import Planned
from slurm_ai_factory.site import Site

READ_BACKS = 25
READ_BACK_SECONDS = 0.2
"""slurmdbd tells slurmctld without waiting for it: look again for some seconds before calling it lost."""

STATUS = {"observe": "observed", "advise": "advised", "enforce": "planned", "operator": "planned"}


class Outcome(NamedTuple):
    """A change and what became of it: observed, advised, planned (unknown), applied or failed."""

    change: Change
    status: str
    note: str = ""


def in_force(associations: Sequence[Association], account: str) -> Association | None:
    """An account's own row."""
    return next((one for one in associations if one.account == account and one.user is None), None)


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
    if not note and raw_shares != planned.change.raw_shares_after:
        there = "the account is gone" if found is None else f"RawShares are {raw_shares}"
        note = f"{there}: somebody else changed it at the same time, or Slurm lost the write"
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
