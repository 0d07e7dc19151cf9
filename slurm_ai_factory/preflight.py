"""Gathers what ``saf doctor`` looks at. Reads only; needs no ledger.

What the promise and the control stand on must be read, or the doctor has nothing to say. Of what only some
checks need, a failed read is kept with its error, for those checks to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from slurm_ai_factory import signals
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.classify import Rules
from slurm_ai_factory.core.facts import Facts
from slurm_ai_factory.core.level import ROOT
from slurm_ai_factory.core.records import Association, Instant
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm import Slurm

LOOK_BACK = 30 * 86400
"""How far back somebody else's changes of the steered row are looked for."""


def gather(config: Config, slurm: Slurm, clock: Callable[[], Instant], user: str) -> Facts:
    """Everything the checks need, as ``user`` sees it. Raises SlurmError."""
    priority, associations = slurm.priority_config(), slurm.associations()
    rules = Rules(config.rules, {one.account: one.parent for one in associations if one.user is None})
    live = signals.read(slurm, priority, rules, config.promise.resource, config.control.horizon, {})
    now = clock()
    window = windows.window(config.promise.window, now, config.promise.time_zone)
    some, unread = _readable(config, slurm, now, user)
    return Facts(
        now=now,
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
        unread=unread,
        **some,
    )


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
