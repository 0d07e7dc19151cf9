"""Gathers what ``saf doctor`` looks at. Reads only; what needs the ledger is left out where there is none.

What the promise and the control stand on must be read, or the doctor has nothing to say. Of what only some
checks need, a failed read is kept with its error, for those checks to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.control import lever
from slurm_ai_factory.core.control.level import ROOT
from slurm_ai_factory.core.control.lever import Lever
from slurm_ai_factory.core.programme.retention import Retained
from slurm_ai_factory.core.programme.terms import Term
from slurm_ai_factory.core.records import Association, Instant
from slurm_ai_factory.core.rules.classify import Rules
from slurm_ai_factory.doctor.facts import Facts
from slurm_ai_factory.errors import LedgerError, SlurmError
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.steps.live import signals_now

LOOK_BACK = 30 * 86400
"""How far back somebody else's changes of the steered row are looked for."""


class OfLedger(NamedTuple):
    """What only the ledger knows."""

    lever: Lever | None  #: None before the first read
    term: Term  #: of the promise, in force now
    retained: Retained | None  #: None where nothing of [privacy] is to go
    proposals: int  #: that wait for a second person


def gather_facts(
    config: Config,
    slurm: Slurm,
    clock: Callable[[], Instant],
    user: str,
    of_ledger: Callable[[Instant], OfLedger],
) -> Facts:
    """Everything the checks need, as ``user`` sees it. Raises SlurmError.

    ``of_ledger`` tells what the ledger knows as of an instant; it may raise LedgerError.
    """
    known, unread = _known(of_ledger, clock())
    contradiction = config.contradicting(known.term) if known else ""
    config = config.under(known.term) if known else config
    priority, associations = slurm.priority_config(), slurm.associations()
    rules = Rules(config.rules, {one.account: one.parent for one in associations if one.user is None})
    live = signals_now(slurm, config, priority, rules, {}, slurm.diagnostics)
    now = clock()
    window = windows.window(config.promise.window, now, config.promise.time_zone)
    some, errors = _readable(config, slurm, now, user)
    found = (known.lever if known else None) or _lever_without_ledger(config, rules, now)
    if found is None:
        unread["lever"] = unread.get("promise", "nothing has been read yet; run `saf cycle`")
    if known is None and config.privacy.retention().asked:
        unread["retained"] = unread["promise"]
    return Facts(
        now=now,
        clock_tolerance=config.slurm.clock_tolerance,
        user=user,
        mode=config.control.mode,
        accounts=config.control.account,
        weights=config.promise.resource,
        window_seconds=window.until - window.since,
        read_window_seconds=config.slurm.read_window,
        priority=priority,
        associations=associations,
        unknown_accounts=rules.unknown_accounts(),
        unclassified_accounts=rules.unmatched_accounts(_users(associations)),
        authority=live.authority,
        unknown_words=live.demand.unknown,
        diagnostics=live.diagnostics,
        source=config.slurm.source,
        refused=slurm.refused(),
        lever=found,
        contradiction=contradiction,
        retained=known.retained if known else None,
        proposals=known.proposals if known else None,
        unread=unread | errors,
        **some,
    )


def _known(of_ledger: Callable[[Instant], OfLedger], at: Instant) -> tuple[OfLedger | None, dict[str, str]]:
    """What the ledger knows, or why that is not known, by the check that needs it."""
    try:
        return of_ledger(at), {}
    except LedgerError as error:
        return None, {"promise": str(error)}


def _lever_without_ledger(config: Config, rules: Rules, now: Instant) -> Lever | None:
    """What rules and account tree tell alone; None where the registry has a say, which is in the ledger."""
    if any(one.beneficiary is None for one in rules.rules):
        return None
    conflicts = lever.conflicts(rules, config.control.account, now)
    return Lever(lever.conflict_sentence(conflicts), lever.lever_remedy(rules))


def _users(associations: Sequence[Association]) -> list[tuple[str, str]]:
    """(account, user), without root's own, which every Slurm has."""
    return [(one.account, one.user) for one in associations if one.user and one.account != ROOT]


def _size(slurm: Slurm, now: Instant) -> str:
    """What slurmdbd takes the cluster for now; empty where it knows of none."""
    sizes, _ = slurm.events(now - 1, now)
    return next((one.tres for one in sizes if one.until is None), "")


def _readable(config: Config, slurm: Slurm, now: Instant, user: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Each fact that only some checks need, None where it could not be read; and the errors of those."""
    reads: dict[str, Callable[[], Any]] = {
        "partitions": slurm.partitions,
        "usage_factors": slurm.usage_factors,
        "coordinators": slurm.coordinators,
        "admin_level": lambda: slurm.admin_level(user),
        "slurmdbd": slurm.slurmdbd,
        "nodes": slurm.nodes,
        "size": lambda: _size(slurm, now),
        "transactions": lambda: sorted(
            one for account in config.control.account for one in slurm.share_changes(account, now - LOOK_BACK)
        ),
    }
    found: dict[str, Any] = dict.fromkeys(reads)
    unread = {}
    for name, read in reads.items():
        try:
            found[name] = read()
        except SlurmError as error:
            unread[name] = str(error)
    return found, unread
