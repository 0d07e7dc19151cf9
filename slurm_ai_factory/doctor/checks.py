"""``saf doctor``: everything that would silently break the promise or the control, one check each.

``CHECKS`` is their order, for people and in docs/reference/doctor.md. A check whose facts could not be read
is a warning that says so, never ok.
"""

from __future__ import annotations

from slurm_ai_factory.core.records import Acknowledgement, Instant, LeverKind
from slurm_ai_factory.core.words import nearest
from slurm_ai_factory.doctor import checks_accounting as accounting
from slurm_ai_factory.doctor import checks_control as control
from slurm_ai_factory.doctor import checks_native as native
from slurm_ai_factory.doctor import defects
from slurm_ai_factory.doctor.facts import OK, PROBLEM, WARNING, Check, CheckResult, Facts, Finding

CHECKS: tuple[Check, ...] = (
    accounting.clock_check, accounting.private_data_check, accounting.rights_check, accounting.tracked_check,
    accounting.billing_weights_check, accounting.oversubscribe_check,
    accounting.query_range_check, accounting.purge_check, accounting.agent_queue_check,
    accounting.rules_match_check, accounting.promise_check, accounting.queue_words_check,
    control.priority_plugin_check, control.fair_tree_check, control.limits_enforced_check,
    control.incr_only_check, control.calc_period_check, control.fairshare_weight_check,
    control.authority_check, control.priority_tier_check, accounting.usage_factor_check,
    control.half_life_check, control.usage_reset_check, control.region_check, control.parent_check,
    control.lever_check, control.switch_check, control.margin_check,
    accounting.usage_resource_check, control.siblings_check, control.usage_check,
    control.level_resolution_check, control.stored_shares_check, accounting.coordinators_check,
    accounting.foreign_writer_check, native.platform_check, native.native_bounds_check,
    accounting.capacity_check, accounting.retention_check,
    accounting.source_check, accounting.usage_digits_check, defects.known_defects_check,
    accounting.proposals_check, accounting.energy_check, accounting.standbys_check, control.scheduler_check,
    control.backfill_depth_check, control.lease_check, control.modes_check, control.limits_check,
    accounting.acknowledgements_check,
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
    fix = f"let {facts.user} read it: AdminLevel=Operator, and slurmctld, slurmdbd and a ledger that answer"
    findings = []
    for check in CHECKS:
        missing = check.missing(facts)
        unknown = CheckResult(WARNING, f"not known: {missing}", "an answer", fix)
        result = idle if check.name in skipped else unknown if missing else check.look(facts)
        covered = (
            None if missing else covering(facts.acknowledgements.get(check.name), result.level, facts.now)
        )
        findings.append(Finding(check.name, *result, covered))
    return findings


def covering(given: Acknowledgement | None, level: str, at: Instant) -> Acknowledgement | None:
    """The acknowledgement of a check, if it covers a finding of this level at an instant."""
    worse = given is not None and level == PROBLEM != given.level
    return None if given is None or level == OK or worse or at >= given.until else given


def known_check(name: str) -> Check:
    """The check of this name. Raises ValueError."""
    for check in CHECKS:
        if check.name == name:
            return check
    raise ValueError(f"`saf doctor` has no check {name!r}{nearest(name, [check.name for check in CHECKS])}")


def to_acknowledge(name: str, facts: Facts) -> Finding:
    """What a check finds now. Raises ValueError where that cannot be acknowledged."""
    check = known_check(name)
    finding = next(row for row in examine(facts) if row.check == name)
    if finding.level == OK:
        raise ValueError(f"{name} finds nothing wrong now ({finding.found}), so nothing was acknowledged")
    if missing := check.missing(facts):
        raise ValueError(f"what {name} would find is not known; make it readable first: {missing}")
    return finding


def failed(findings: list[Finding]) -> bool:
    """Whether anything needs attention."""
    return any(finding.counts for finding in findings)
