"""Gathers what ``saf doctor`` looks at. Writes nothing, and works without a ledger.

A failed read of what the promise and the control rest on ends it. Where only some checks need a fact, a
failed read keeps its error, and those checks report it. Tested beside tests/doctor/test_gather.py in
tests/cli/test_questions.py and tests/slurm/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.charge import hour_of
from slurm_ai_factory.core.control.level import ROOT
from slurm_ai_factory.core.control.lever import Lever, conflict_sentence, conflicts, lever_remedy
from slurm_ai_factory.core.control.margin import SteeredMargin, steered_margin
from slurm_ai_factory.core.energy.keeping import GridMode
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.core.live.modes import RunningDaemon
from slurm_ai_factory.core.measure.share import RATE_HORIZON
from slurm_ai_factory.core.programme.retention import Retained
from slurm_ai_factory.core.programme.terms import Term
from slurm_ai_factory.core.records import DAY, Acknowledgement, Instant, LeverKind, Run
from slurm_ai_factory.core.rules.classify import Rules
from slurm_ai_factory.doctor.facts import Facts, Recent
from slurm_ai_factory.errors import LedgerError, SlurmError
from slurm_ai_factory.ledger.store import Standbys
from slurm_ai_factory.question import Question
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.steps.live import signals_now, usual_runs

LOOK_BACK = 30 * 86400
"""How far back other users' changes of the steered rows are looked for, in seconds."""


LEDGER_ALONE = ("retained", "proposals", "standbys", "acknowledgements", "late_limits", "margins", "daemons")
"""Facts that are taken from ``OfLedger`` as they are."""


class OfLedger(NamedTuple):
    """What only the ledger knows."""

    lever: Lever | None  #: None before the first read
    term: Term  #: the promise's current one
    retained: Retained | None  #: None where [privacy] removes nothing
    proposals: int  #: waiting for a second person
    standbys: Standbys  #: of its server
    acknowledgements: Mapping[str, Acknowledgement]  #: the newest of each check
    late_limits: Sequence[str]  #: limits of the grid, lately or to come, that were known too late
    margins: Sequence[SteeredMargin]  #: of each steered promise; none before the first read
    daemons: Sequence[RunningDaemon]  #: that run now


def gather_facts(
    config: Config,
    slurm: Slurm,
    clock: Callable[[], Instant],
    user: str,
    of_ledger: Callable[[Instant], OfLedger],
) -> Facts:
    """Everything the checks need, as ``user`` sees it. Raises SlurmError.

    ``of_ledger`` gives what the ledger knows as of an instant; it may raise LedgerError.
    """
    priority = slurm.priority_config()  # first: nothing is asked where slurmctld serves another cluster
    known, unread = _known(config, of_ledger, clock())
    contradiction = config.contradicting(known.term) if known else ""
    config = config.under(known.term) if known else config
    moments: list[Instant] = []

    def diagnose() -> Diagnostics:
        diagnostics = slurm.diagnostics()
        moments.append(clock())  # at once: later reads are slow while others go beside them
        return diagnostics

    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(side_by_side, _reads(config, slurm, clock(), user))
        associations = slurm.associations()
        rules = Rules(config.rules, {row.account: row.parent for row in associations if row.user is None})
        live, now = signals_now(slurm, config, priority, rules, {}, diagnose), moments[-1]
        lineage = {name for account in config.control.account for name in rules.lineage(account)}
        above = sorted({ROOT, *lineage} - {*config.control.account})
        coordinators, denied = side_by_side({"coordinators": lambda: slurm.coordinators(above)})
        facts, failed = asked.result()
    lever = (known.lever if known else None) or _lever_without_ledger(config, rules, now)
    if lever is None:
        unread["lever"] = unread.get("promise", "nothing has been read yet; run `saf cycle`")
    users = [(row.account, row.user) for row in associations if row.user and row.account != ROOT]
    of_ledger_alone = {name: getattr(known, name) for name in LEDGER_ALONE} if known else {}
    return Facts(
        now=now, user=user, priority=priority, associations=associations,
        unknown_accounts=rules.unknown_accounts(), unclassified_accounts=rules.unmatched_accounts(users),
        authority=live.authority, unknown_words=live.demand.unknown, diagnostics=live.diagnostics,
        refused=slurm.refused(), lever=lever, contradiction=contradiction, unread=unread | failed | denied,
        **_configured(config, now), **of_ledger_alone, **facts, **coordinators,
    )  # fmt: skip


def _known(
    config: Config, of_ledger: Callable[[Instant], OfLedger], at: Instant
) -> tuple[OfLedger | None, dict[str, str]]:
    """What the ledger knows; else None, and why by the names of the facts that it alone has."""
    try:
        return of_ledger(at), {}
    except LedgerError as error:
        retained = ("retained",) if config.privacy.retention().asked else ()
        return None, dict.fromkeys(
            ("promise", "acknowledgements", "late_limits", "margins", "daemons", *retained), str(error)
        )


def _configured(config: Config, now: Instant) -> dict[str, Any]:
    """The facts of the configuration and of the promise's term."""
    promise, control = config.promise, config.control
    window = windows.window(promise.window, now, promise.time_zone)
    return {
        "clock_tolerance": config.slurm.clock_tolerance,
        "mode": control.mode,
        "accounts": control.steered,
        "steered_by": control.lever,
        "raised": control.raised or 0,
        "lease": control.lease,
        "goal": promise.target_share + promise.margin,
        "promised": promise.target_share,
        "share_max": control.share_max,
        "weights": promise.resource.weights,
        "window_seconds": window.until - window.since,
        "read_window_seconds": config.slurm.read_window,
        "keeps_nodes_free": config.grid.mode is GridMode.ENFORCE,
        "reservations_named": any("reservation" in rule.conditions for rule in config.rules),
        "source": config.slurm.source,
    }


def steered_margins(first: Question) -> list[SteeredMargin]:
    """The margin of each steered promise, beside the ripple of its window; ``first`` is the first promise's.

    Rate and usual run are of the last seven days, the rate of a shorter window of its length: the first hours
    of a window say little. Raises LedgerError.
    """
    beside, margins = first.config.control.promises, []
    for asked in (first, *(other for other in first.others() if other.config.promise_of().name in beside)):
        promise, config, at = asked.config.promise_of(), asked.config, asked.read_until
        if promise.ended:
            continue
        window = windows.window(config.promise.window, at, config.promise.time_zone)
        length = window.until - window.since
        lately = asked.over((hour_of(at - min(RATE_HORIZON, length)), at)).measure()
        run_charge = usual_runs(asked.ledger, config, at).run_charge
        margins.append(steered_margin(promise, lately, run_charge, length, config.control.share_max))
    return margins


def _recent(slurm: Slurm, now: Instant, seconds: int) -> Recent:
    """The queue, and after it the runs of so many seconds. Raises SlurmError."""
    queue = slurm.queue()
    runs = [row for row in slurm.runs(now - seconds, now) if isinstance(row, Run)]
    return Recent(queue, runs, now - seconds, now)


def _lever_without_ledger(config: Config, rules: Rules, now: Instant) -> Lever | None:
    """The lever by rules and account tree alone; None where a rule needs the registry of the ledger."""
    if any(rule.beneficiary is None for rule in rules.rules):
        return None
    if config.control.switch:
        return Lever()
    return Lever(conflict_sentence(conflicts(rules, config.control.account, now)), lever_remedy(rules))


def _reads(config: Config, slurm: Slurm, now: Instant, user: str) -> dict[str, Callable[[], Any]]:
    """The reads that only some checks need, and that rest on no other, by the name of their fact."""
    switch = config.control.switch
    return {
        "partitions": slurm.partitions,
        "usage_factors": slurm.usage_factors,
        "admin_level": lambda: slurm.admin_level(user),
        "slurmdbd": slurm.slurmdbd,
        "gathered_energy": slurm.gathered_energy,
        "switch": lambda: slurm.switch(switch.lever, switch.name) if switch else None,
        "nodes": slurm.nodes,
        "native_limits": slurm.native_limits,
        "writers": lambda: slurm.logged_writers(now - LOOK_BACK),
        "shares_schema": slurm.shares_schema,
        "configuration": slurm.configuration,
        "recent": lambda: _recent(slurm, now, min(config.slurm.read_window, DAY)),
        "size": lambda: next((size.tres for size in slurm.events(now - 1, now)[0] if size.until is None), ""),
        "transactions": lambda: sorted(
            change
            for account in (() if switch else config.control.account)
            for change in slurm.logged_changes(LeverKind.ACCOUNT, account, now - LOOK_BACK)
        ),
    }


def side_by_side(reads: Mapping[str, Callable[[], Any]]) -> tuple[dict[str, Any], dict[str, str]]:
    """What each read gives, None where it raises SlurmError; and the errors, by name.

    One that hangs ends at the deadline of its own command, and no other waits for it.
    """
    facts: dict[str, Any] = dict.fromkeys(reads)
    unread = {}
    with ThreadPoolExecutor(len(reads)) as threads:
        asked = {name: threads.submit(read) for name, read in reads.items()}
        for name, answer in asked.items():
            try:
                facts[name] = answer.result()
            except SlurmError as error:
                unread[name] = str(error)
    return facts, unread
