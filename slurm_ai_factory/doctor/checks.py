"""``saf doctor``: everything that would silently break the promise or the control, one check each.

``CHECKS`` is their order, for people and in docs/reference/doctor.md. A check whose facts could not be read
is a warning that says so, never ok.
"""

from __future__ import annotations

from slurm_ai_factory.core.records import LeverKind
from slurm_ai_factory.doctor import checks_accounting as accounting
from slurm_ai_factory.doctor import checks_control as control
from slurm_ai_factory.doctor import defects
from slurm_ai_factory.doctor.facts import OK, WARNING, Check, CheckResult, Facts, Finding

CHECKS: tuple[Check, ...] = (
    accounting.clock_check, accounting.private_data_check, accounting.rights_check, accounting.tracked_check,
    accounting.billing_weights_check, accounting.oversubscribe_check,
    accounting.query_range_check, accounting.purge_check, accounting.agent_queue_check,
    accounting.rules_match_check, accounting.promise_check, accounting.queue_words_check,
    control.priority_plugin_check, control.fair_tree_check, control.limits_enforced_check,
    control.incr_only_check, control.calc_period_check, control.fairshare_weight_check,
    control.authority_check, control.priority_tier_check, accounting.usage_factor_check,
    control.half_life_check, control.usage_reset_check, control.region_check, control.parent_check,
    control.lever_check, control.switch_check,
    accounting.usage_resource_check, control.siblings_check, control.usage_check,
    control.level_resolution_check, control.stored_shares_check, accounting.coordinators_check,
    accounting.foreign_writer_check, accounting.capacity_check, accounting.retention_check,
    accounting.source_check, accounting.usage_digits_check, defects.known_defects_check,
    accounting.proposals_check, accounting.energy_check, accounting.standbys_check, control.scheduler_check,
    control.backfill_depth_check, control.lease_check,
)  # fmt: skip


OF_SHARES = frozenset({
    "fair_tree", "limits_enforced", "fairshare_weight", "authority", "region", "parent", "usage_resource",
    "siblings", "usage", "level_resolution", "stored_shares", "coordinators", "foreign_writer",
})  # fmt: skip
"""The checks that matter only where RawShares are steered."""


def examine(facts: Facts) -> list[Finding]:
    """The finding of every check, in the order of CHECKS."""
    idle = CheckResult(OK, f"not looked at: control.lever is {facts.steered_by}", "nothing")
    skipped = frozenset() if facts.steered_by is LeverKind.ACCOUNT else OF_SHARES
    fix = f"let {facts.user} read it: AdminLevel=Operator, and slurmctld and slurmdbd that answer"
    findings = []
    for check in CHECKS:
        missing = "; ".join(facts.unread[name] for name in check.needs if name in facts.unread)
        unknown = CheckResult(WARNING, f"not known: {missing}", "an answer", fix)
        result = idle if check.name in skipped else unknown if missing else check.look(facts)
        findings.append(Finding(check.name, *result))
    return findings


def failed(findings: list[Finding]) -> bool:
    """Whether anything needs attention."""
    return any(finding.level != OK for finding in findings)
