"""``saf doctor``: everything that would make the promise or the control silently wrong, one check each.

The table below is all there is: docs/reference/doctor.md is made from it. A check whose facts could not be
read is a warning that says so; it is never taken for fine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from slurm_ai_factory.doctor import checks_accounting as accounting
from slurm_ai_factory.doctor import checks_control as control
from slurm_ai_factory.doctor.facts import OK, WARNING, CheckResult, Facts, Finding


class Check(NamedTuple):
    """One check: its name, why it matters, the facts it cannot do without, and how it looks at them."""

    name: str
    why: str
    look: Callable[[Facts], CheckResult]
    needs: tuple[str, ...] = ()


CHECKS = (
    Check("clock", "windows and waiting are measured by this machine's clock", accounting.clock),
    Check("private_data", "Slurm leaves rows out without saying so, and a part looks like the whole",
          accounting.private_data, ("slurmdbd", "admin_level")),
    Check("rights", "without AdminLevel=Operator every write is refused",
          accounting.rights, ("admin_level",)),
    Check("tracked", "what AccountingStorageTRES does not name is not in any record", accounting.tracked),
    Check("billing_weights", "without weights a partition's billing is its CPUs, whatever else it gives",
          accounting.billing_weights, ("partitions",)),
    Check("het_billing", "what Slurm does not record is in no share", accounting.het_billing),
    Check("oversubscribe", "more is charged than there is", accounting.oversubscribe, ("partitions",)),
    Check("query_range", "slurmdbd refuses wider questions: `Too wide of a date range in query`",
          accounting.query_range, ("slurmdbd",)),
    Check("purge", "history that slurmdbd has thrown away cannot be read any more",
          accounting.purge, ("slurmdbd",)),
    Check("agent_queue", "accounting lags behind, and so does every measurement", accounting.agent_queue),
    Check("rules", "a mistyped account is nobody's", accounting.rules),
    Check("promise", "the promise is what its term in the ledger says, whatever saf.toml says",
          accounting.promise, ("promise",)),
    Check("queue_words", "demand is told by Slurm's words for it", accounting.queue_words),
    Check("priority_plugin", "there is no fairshare without it", control.plugin),
    Check("fair_tree", "the classic algorithm is graded where the law expects an order", control.fair_tree),
    Check("limits_enforced", "without limits slurmctld does not charge the end of jobs, so usage is wrong",
          control.limits),
    Check("incr_only", "lower shares cannot lower the priority of what waits", control.incr_only),
    Check("calc_period", "a write is felt at the next priority calculation", control.calc_period),
    Check("fairshare_weight", "with weight 0 shares order nothing", control.fairshare_weight),
    Check("authority", "where other terms are larger, they decide who goes first", control.authority_index),
    Check("priority_tier", "tiers go before priorities, so shares do not reach across them",
          control.tiers, ("partitions",)),
    Check("usage_factor", "usage leads the shares, and is not what was delivered",
          accounting.usage_factor, ("usage_factors",)),
    Check("half_life", "usage that is remembered too long holds the region back for too long",
          control.half_life),
    Check("usage_reset", "the law counts on usage that decays and is not thrown away", control.usage_reset),
    Check("region", "only an account at the top competes with everybody", control.region_check),
    Check("lever", "shares of an account that is not the region's move somebody else",
          control.lever_and_rules, ("lever",)),
    Check("usage_resource", "Fair Tree orders by what TRESBillingWeights count, whatever was promised",
          accounting.usage_resource, ("partitions",)),
    Check("siblings", "Fairshare=parent mixes the levels, and 0 always comes last", control.siblings),
    Check("usage", "the law steers by the usage that slurmctld works with", control.usage),
    Check("level_resolution", "with few RawShares one of them is a large step", control.resolution),
    Check("stored_shares", "slurmdbd tells slurmctld of a change once and does not ask again",
          control.stored),
    Check("coordinators", "they may change the shares that are steered",
          accounting.coordinators, ("coordinators",)),
    Check("foreign_writer", "two that set the same row undo each other",
          accounting.foreign_writer, ("transactions",)),
    Check("capacity", "a share of the capacity is one of what slurmdbd takes the cluster for",
          accounting.capacity, ("nodes", "size")),
    Check("retention", "names and texts that were to go are still there",
          accounting.retention_check, ("retained",)),
    Check("source", "what falls back to Slurm's commands is right, and dearer than it need be",
          accounting.source_check),
    Check("proposals", "what was proposed is not in force before a second person approves it",
          accounting.proposals),
    Check("scheduler", "what is never scheduled follows no priority", control.scheduler),
    Check("backfill_depth", "jobs behind the depth are not looked at", control.depth),
)  # fmt: skip


def examine(facts: Facts) -> list[Finding]:
    """What every check finds, in the order of the table."""
    return [Finding(check.name, *_result(check, facts)) for check in CHECKS]


def failed(findings: list[Finding]) -> bool:
    """Whether there is anything to see to."""
    return any(one.level != OK for one in findings)


def _result(check: Check, facts: Facts) -> CheckResult:
    missing = [facts.unread[name] for name in check.needs if name in facts.unread]
    if missing:
        fix = f"let {facts.user} read it: AdminLevel=Operator, and slurmctld and slurmdbd that answer"
        return CheckResult(WARNING, f"not known: {'; '.join(missing)}", "an answer", fix)
    return check.look(facts)
