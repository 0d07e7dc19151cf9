"""Checks of ``saf doctor``: whether a share that is set has the effect that the control law relies on.

Tested in tests/doctor/test_checks.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log

from slurm_ai_factory.core.control.controller import RIPPLE
from slurm_ai_factory.core.control.level import ROOT, Refusal, find_level, level_rows, steered_rows
from slurm_ai_factory.core.control.lever import Lever
from slurm_ai_factory.core.control.margin import SteeredMargin
from slurm_ai_factory.core.control.switch import WEIGHTS
from slurm_ai_factory.core.escaped import for_shell
from slurm_ai_factory.core.live import authority, health
from slurm_ai_factory.core.live.modes import modes_differ
from slurm_ai_factory.core.records import PARENT_SHARES, Association, LeverKind, Mode, SwitchNow
from slurm_ai_factory.doctor.facts import OK, PROBLEM, WARNING, CheckResult, Facts, doctor_check, want

CALC_PERIOD_MOST = 600
NO_NORMAL = {LeverKind.QOS: "NO_NORMAL_QOS", LeverKind.PARTITION: "NO_NORMAL_PART"}
"""The word of PriorityFlags with which Slurm does not divide a value by the highest one."""

MOST_SHOWN = 3
"""Rows of the level that are shown by name."""

LEVEL_SHARES_LEAST = 1100
"""With so many competing RawShares, one RawShare moves the region by less than 0.05 % of the level."""

WINDOW_PART = 3
"""Usage may be remembered (half-life / ln 2) for up to one part in so many of the window."""


@doctor_check("priority_plugin", "without priority/multifactor there is no fairshare")
def priority_plugin_check(facts: Facts) -> CheckResult:
    plugin, wanted = facts.priority.priority_type, "priority/multifactor"
    return want(plugin == wanted, PROBLEM, plugin, wanted, _conf(f"PriorityType={wanted}", restart=True))


@doctor_check("fair_tree", "the classic algorithm grades accounts where the control law expects an order")
def fair_tree_check(facts: Facts) -> CheckResult:
    off = "NO_FAIR_TREE" in facts.priority.flags
    state = "off: NO_FAIR_TREE" if off else "on"
    fix = _conf("PriorityFlags without NO_FAIR_TREE; FairShareDampeningFactor has no effect then")
    return want(not off, PROBLEM, state, "Fair Tree, which the control law models", fix)


@doctor_check(
    "limits_enforced", "without limits slurmctld does not charge the end of jobs, so usage is wrong"
)
def limits_enforced_check(facts: Facts) -> CheckResult:
    fix = _conf("AccountingStorageEnforce=associations,limits,safe", restart=True)
    state = ",".join(facts.priority.enforce) or "none"
    return want(health.limits_enforced(facts.priority), PROBLEM, state, "limits or safe among them", fix)


@doctor_check("incr_only", "lower shares cannot lower the priority of waiting jobs")
def incr_only_check(facts: Facts) -> CheckResult:
    flags = facts.priority.flags
    fix = _conf("PriorityFlags without INCR_ONLY")
    return want("INCR_ONLY" not in flags, PROBLEM, ",".join(flags) or "no flags", "no INCR_ONLY", fix)


@doctor_check("calc_period", "a write takes effect at the next priority calculation")
def calc_period_check(facts: Facts) -> CheckResult:
    period, wanted = facts.priority.calc_period_seconds, f"at most {CALC_PERIOD_MOST} s"
    fix = _conf("PriorityCalcPeriod=5")
    return want(period <= CALC_PERIOD_MOST, WARNING, f"{period} s", wanted, fix)


@doctor_check("fairshare_weight", "with weight 0 shares change no priority")
def fairshare_weight_check(facts: Facts) -> CheckResult:
    weight = facts.priority.weight_fairshare
    fix = _conf("PriorityWeightFairshare=100000, and more than the other weights can add up to")
    return want(weight > 0, PROBLEM, str(weight), "above 0", fix)


@doctor_check("authority", "larger terms of the priority decide the order of jobs")
def authority_check(facts: Facts) -> CheckResult:
    wanted = f"at least {authority.LEAST}"
    if facts.authority is None:
        return CheckResult(OK, "not known: one side has no waiting jobs", wanted)
    fix = _conf("PriorityWeightFairshare larger, or the weights of age, QOS, partition and size smaller")
    return want(facts.authority >= authority.LEAST, WARNING, f"{facts.authority:.2f}", wanted, fix)


@doctor_check(
    "priority_tier", "tiers override priorities, so shares have no effect across them", ("partitions",)
)
def priority_tier_check(facts: Facts) -> CheckResult:
    partitions = facts.partitions or ()
    state = ", ".join(f"{partition.name} {partition.tier}" for partition in partitions)
    fix = _conf("the same PriorityTier for every partition that the region shares with others")
    wanted = "one PriorityTier: it overrides any priority"
    return want(len({row.tier for row in partitions}) <= 1, WARNING, state, wanted, fix)


@doctor_check("half_life", "usage remembered too long holds the region back too long")
def half_life_check(facts: Facts) -> CheckResult:
    half_life, window = facts.priority.decay_half_life_seconds, facts.window_seconds
    wanted = f"above 0, and remembered for at most a third of the window of {_days(window)}"
    hours = max(1, int(window / 20 * log(2) / 3600))
    fix = _conf(f"PriorityDecayHalfLife={hours // 24}-{hours % 24:02}")
    if not half_life:
        return CheckResult(PROBLEM, "0: usage does not decay", wanted, fix)
    tau = half_life / log(2)
    state = f"{_days(half_life)}, remembered for {_days(tau)}"
    return want(tau <= window / WINDOW_PART, WARNING, state, wanted, fix)


@doctor_check("usage_reset", "the control law relies on usage that decays and is never reset")
def usage_reset_check(facts: Facts) -> CheckResult:
    period = facts.priority.usage_reset
    fix = _conf("PriorityUsageResetPeriod=NONE")
    return want(period == "NONE", WARNING, period, "NONE: a reset forgets what the region is owed", fix)


@doctor_check("region", "only accounts beside each other can be steered, and their parent limits them")
def region_check(facts: Facts) -> CheckResult:
    several = len(facts.accounts) > 1
    wanted = f"{facts.steered} with shares of {'their own, below one account' if several else 'its own'}"
    each = {name: _steered_row(facts, name) for name in facts.accounts}
    odd = {name: row for name, row in each.items() if row[1]}
    state = ", ".join(f"{name}: {text}" if several else text for name, (text, _) in (odd or each).items())
    return want(not odd, PROBLEM, state, wanted, "\n".join(fix for _, fix in odd.values()))


def _steered_row(facts: Facts, account: str) -> tuple[str, str]:
    """The state of a steered account's row, and its fix; empty where it needs none."""
    row = next((row for row in facts.associations if row.account == account and not row.user), None)
    if row is None:
        return f"no account {account}", _other_account(facts, account)
    first = next(row for row in facts.associations if row.account == facts.accounts[0] and not row.user)
    if row.parent != first.parent:
        return f"under {row.parent}", _modify(facts, row, f"parent={first.parent}")
    if not row.steerable:
        return f"Fairshare={_shares(row)}", _modify(facts, row, "fairshare=25")
    return f"RawShares {row.raw_shares}", ""


@doctor_check("parent", "accounts below another account share no more than that account gets")
def parent_check(facts: Facts) -> CheckResult:
    level, need = find_level(facts.accounts, facts.associations), facts.goal / facts.share_max
    if isinstance(level, Refusal):
        return CheckResult(OK, "not known", "an account that gets enough of the machine")
    parent, used, granted = level.parent
    wanted = f"at least {need:.1%} of the machine for {parent}"
    if parent == ROOT:
        return CheckResult(OK, "root: the whole machine", wanted)
    state = f"{parent} has {used:.1%} of the usage, and {granted:.1%} of the machine by RawShares"
    fix = (
        f"give {parent}, or an account above it, RawShares for {need:.1%} of the machine: "
        f"control.share_max leaves {facts.share_max:.0%} of that to {facts.steered}, and the goal is "
        f"{facts.goal:.1%}"
    )
    return want(level.reaches(facts.goal, facts.share_max), PROBLEM, state, wanted, fix)


@doctor_check("lever", "shares of an account that is not the region's favour another account", ("lever",))
def lever_check(facts: Facts) -> CheckResult:
    """By the rules the steered accounts are regional, and the region's charge is in them."""
    lever = facts.lever or Lever()
    wanted = f"{facts.steered} regional by the rules, and the region's charge within"
    if lever.conflict:
        return CheckResult(PROBLEM, lever.conflict, wanted, lever.remedy)
    apart = lever.reach.sentences
    kind, name = facts.steered_by, facts.steered_by.setting
    if kind is not LeverKind.ACCOUNT and lever.reach.outside_share == 1.0:
        none = f"no regional job of the window is in {kind} {facts.steered}"
        return CheckResult(PROBLEM, none, wanted, f"correct {name}, or let the region's jobs use it")
    fix = f"see `saf share --by {kind}` and `saf rules check`: correct {name} or the rules"
    return want(not apart, WARNING, "; ".join(apart) or "regional by the rules", wanted, fix)


@doctor_check(
    "switch", "a switch that Slurm does not weigh orders no jobs, and one left on never ends", ("switch",)
)
def switch_check(facts: Facts) -> CheckResult:
    lever, present = facts.steered_by, facts.switch
    if lever is LeverKind.ACCOUNT:
        return CheckResult(OK, "not in use: control.lever is account", "nothing")
    wanted = f"{lever} {facts.steered} with a weight, and a value of at most {facts.raised}"
    if present is None:
        return CheckResult(PROBLEM, "Slurm does not have it", wanted, f"saf.toml: correct control.{lever}")
    state = f"{lever.attribute} {present.value}, {WEIGHTS[lever]} {present.weight}"
    if lever is LeverKind.PARTITION:
        state += "; slurmctld forgets what is set when it restarts, and saf sets it again at its next cycle"
    if not present.weight:
        return CheckResult(PROBLEM, state, wanted, _conf(f"{WEIGHTS[lever]} above 0"))
    if present.value > facts.raised:
        fix = f"saf.toml: raise control.raised above the value found, or see who set {facts.steered}"
        return CheckResult(WARNING, state, wanted, fix)
    return _gain_check(facts, lever, present, state)


def _gain_check(facts: Facts, lever: LeverKind, present: SwitchNow, state: str) -> CheckResult:
    """Whether a raised switch outweighs fairshare and age, the other large terms of a priority."""
    normalised = NO_NORMAL[lever] not in facts.priority.flags
    gain = present.gain(facts.raised, normalised=normalised)
    others = facts.priority.weight_fairshare + facts.priority.weight_age
    state += f"; raised it adds {gain:.0f} to a priority"
    if normalised and present.beside > facts.raised:
        state += f": another {lever} has {present.beside}, and Slurm divides by the highest"
    wanted = f"more than fairshare and age, which add up to {others} at most"
    fix = f"{_conf(f'{WEIGHTS[lever]} larger')}; or saf.toml: control.raised larger"
    return want(gain > others, WARNING, state, wanted, fix)


@doctor_check(
    "margin", "a window ends on the wrong side of its promise by the size of single runs", ("margins",)
)
def margin_check(facts: Facts) -> CheckResult:
    """In mode observe the margin has no effect, so what it should be is only said."""
    margins = facts.margins or ()
    short = [each for each in margins if each.short]
    state = "; ".join(map(_rippling, short or margins)) or "not known: no steered promise was measured yet"
    wanted = f"a margin of at least {RIPPLE:.0f} usual runs, each run weighted by its charge"
    fine = not short or facts.mode is Mode.OBSERVE
    return want(fine, WARNING, state, wanted, "\n".join(map(_larger_margin, short)))


def _rippling(margin: SteeredMargin) -> str:
    """A margin and the runs that it must absorb, in words."""
    if not margin.ripple:
        why = "a part of the last days was not read" if margin.ripple is None else "no run was charged lately"
        return f"{margin.promise}: not known, {why}"
    return (
        f"{margin.promise}: {RIPPLE:.0f} usual runs are {margin.ripple:.1%} of a window of "
        f"{_days(margin.window_seconds)}, and the margin is {margin.margin:.1%}"
    )


def _larger_margin(margin: SteeredMargin) -> str:
    """What to set where a margin is short."""
    change = f"saf promise set {margin.promise}"
    if margin.advised is None:
        return f"{change} --window, with a longer window: the promise leaves no room for such a margin"
    return f"{change} --margin {margin.advised:g}"


def _other_account(facts: Facts, account: str) -> str:
    """What to steer instead; a new account would take its shares from all others."""
    there = [row.account for row in _level(facts) if not row.user and row.account not in facts.accounts]
    add = ["sacctmgr", "-i", "add", "account", f"name={account}", f"cluster={facts.priority.cluster}"]
    return (
        f"saf.toml: set control.account to one of: {_some(there) or 'none, there is no other account'}\n"
        f"or, if the region has no account yet: {' '.join(map(for_shell, [*add, f'parent={ROOT}']))}, "
        "which takes a part of the level from all others"
    )


@doctor_check("siblings", "Fairshare=parent mixes the levels, and 0 always comes last")
def siblings_check(facts: Facts) -> CheckResult:
    wanted = "no Fairshare=parent or 0 beside the steered account"
    beside = [row for row in _level(facts) if row.account not in facts.accounts]
    if not beside:
        cluster = facts.priority.cluster
        add = f"sacctmgr -i add account name=others cluster={cluster} parent={ROOT} fairshare=75"
        return CheckResult(PROBLEM, "no account beside the steered one", "an account to share with", add)
    odd = [row for row in beside if not row.steerable]
    state = _some([f"{row.key} {_shares(row)}" for row in odd or beside])
    mixed = any(row.raw_shares == PARENT_SHARES for row in odd)
    fix = _commands([_modify(facts, row, "fairshare=1") for row in odd])
    return want(not odd, PROBLEM if mixed else WARNING, state, wanted, fix)


@doctor_check("usage", "the control law steers by the usage that slurmctld works with")
def usage_check(facts: Facts) -> CheckResult:
    unknown = _some([row.key for row in _level(facts) if row.raw_usage is None])
    state = f"missing for {unknown}" if unknown else "known for every account on the level"
    fix = "sshare -a -l must list them: does slurmctld answer, and may this user see usage (PrivateData)?"
    return want(not unknown, PROBLEM, state, "sshare reports RawUsage of every account on the level", fix)


@doctor_check("level_resolution", "with few RawShares on the level each of them is a large step")
def level_resolution_check(facts: Facts) -> CheckResult:
    """The fix multiplies all shares by one factor, so every account keeps its part of the level."""
    level = [row for row in _level(facts) if row.steerable]
    competing = sum(row.raw_shares for row in level if row.account not in facts.accounts)
    wanted = f"at least {LEVEL_SHARES_LEAST} RawShares beside the steered account's"
    factor = ceil(LEVEL_SHARES_LEAST / competing) if competing else 0
    fix = _commands([_modify(facts, row, f"fairshare={row.raw_shares * factor}") for row in level])
    own = sum(row.raw_shares for row in level if row.account in facts.accounts)
    part = f"{own / (own + competing):.1%}" if own + competing else "nothing"
    few = f"{competing}; {factor} times the shares in every row: {facts.steered} has {part} before and after"
    fine = competing >= LEVEL_SHARES_LEAST
    return want(fine, WARNING, str(competing) if fine else few, wanted, fix)


@doctor_check("stored_shares", "slurmdbd reports a change to slurmctld once and does not ask again")
def stored_shares_check(facts: Facts) -> CheckResult:
    odd = [row for row in _level(facts) if row.stored_shares not in (None, row.raw_shares)]
    state = _some([f"{row.key} {_shares(row)}, stored {row.stored_shares}" for row in odd])
    fix = _commands([_modify(facts, row, f"fairshare={row.stored_shares}") for row in odd])
    return want(not odd, PROBLEM, state or "the same", "slurmctld works with what slurmdbd has", fix)


@doctor_check("scheduler", "jobs that are never scheduled follow no priority")
def scheduler_check(facts: Facts) -> CheckResult:
    silence = health.backfill_silence(facts.diagnostics)
    wanted = f"backfill ran in the last {health.BACKFILL_SILENCE} s while jobs wait"
    if facts.diagnostics.backfill_last_at is None:
        fix = _conf("SchedulerType=sched/backfill", restart=True)
        return CheckResult(WARNING, "backfill never ran", wanted, fix)
    idle = silence <= health.BACKFILL_SILENCE or not facts.diagnostics.backfill_queue
    return want(idle, PROBLEM, f"{silence} s ago", wanted, "see what slurmctld.log says about backfill")


@doctor_check("backfill_depth", "backfill does not look at jobs beyond its depth")
def backfill_depth_check(facts: Facts) -> CheckResult:
    tried, queue = facts.diagnostics.backfill_depth, facts.diagnostics.backfill_queue
    wanted = "backfill looks at every waiting job"
    if tried is None or queue is None:
        return CheckResult(OK, "not known", wanted)
    fix = _conf(f"SchedulerParameters=bf_max_job_test={max(500, 2 * queue)}")
    return want(tried >= queue, WARNING, f"{tried} of {queue}", wanted, fix)


def _conf(setting: str, *, restart: bool = False) -> str:
    then = "systemctl restart slurmctld" if restart else "scontrol reconfigure"
    return f"slurm.conf: {setting}; then {then}"


def _level(facts: Facts) -> list[Association]:
    """The rows that compete with the steered accounts, or with each other under root where there are none."""
    return steered_rows(facts.accounts, facts.associations) or level_rows(ROOT, facts.associations)


@doctor_check("lease", "shares that saf set stay as they are when the daemon has died")
def lease_check(facts: Facts) -> CheckResult:
    state = f"control.lease is {_days(facts.lease) if facts.lease else 'not set'}, mode {facts.mode}"
    wanted = "a lease in mode enforce, after which saf-release.timer restores the baseline"
    fix = 'set control.lease = "1d", then: systemctl enable --now saf-release.timer'
    return want(facts.mode is not Mode.ENFORCE or bool(facts.lease), WARNING, state, wanted, fix)


@doctor_check("modes", "a daemon that takes over does what its own mode says, not the leader's", ("daemons",))
def modes_check(facts: Facts) -> CheckResult:
    daemons = facts.daemons or ()
    others = [f"{name} runs in mode {mode}" for name, mode in daemons if mode is not facts.mode]
    apart = f"saf.toml says {facts.mode}; {', '.join(others)}"
    alike = f"{len(daemons) or 'no'} daemon in mode {facts.mode}"
    state = modes_differ(daemons) or (apart if others else alike)
    fix = "set the same control.mode in each saf.toml; then on each machine: systemctl reload saf"
    return want(not others, WARNING, state, "every daemon of the cluster in the mode of saf.toml", fix)


@doctor_check(
    "limits", "jobs start that run into a limit of the grid which was known too late", ("late_limits",)
)
def limits_check(facts: Facts) -> CheckResult:
    late = facts.late_limits or ()
    fix = (
        "enter limits as soon as they are announced (saf grid import); a late announcement is the operator's"
    )
    state = _some(late) or "none was late"
    return want(not late, WARNING, state, "limits of the grid known the day before", fix)


def _modify(facts: Facts, row: Association, what: str) -> str:
    """The command, quoted for a shell: coordinators choose the names of accounts."""
    user = ["user", "where", f"name={row.user}", f"account={row.account}"]
    where = user if row.user else ["account", "where", f"name={row.account}"]
    words = ["sacctmgr", "-i", "modify", *where, f"cluster={facts.priority.cluster}", "set", what]
    return " ".join(map(for_shell, words))


def _some(names: Sequence[str]) -> str:
    """The first three names, and how many more there are.

    >>> _some(["a", "b", "c"]), _some(list("abcdef"))
    ('a, b, c', 'a, b, c and 3 more')
    """
    more = len(names) - MOST_SHOWN
    return ", ".join(names[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _commands(commands: Sequence[str]) -> str:
    """Commands, one per line: the first three, and how many there are."""
    if len(commands) <= MOST_SHOWN:
        return "\n".join(commands)
    return "\n".join([*commands[:MOST_SHOWN], f"... {len(commands)} such commands in all"])


def _shares(row: Association) -> str:
    return "parent" if row.raw_shares == PARENT_SHARES else str(row.raw_shares)


def _days(seconds: float) -> str:
    """A duration for people.

    >>> _days(600), _days(7200), _days(86400 * 10.1)
    ('10.0 min', '2.0 h', '10.1 days')
    """
    units = ((86400, "days"), (3600, "h"), (60, "min"))
    size, unit = next((unit for unit in units if seconds >= 2 * unit[0]), units[-1])
    return f"{seconds / size:.1f} {unit}"
