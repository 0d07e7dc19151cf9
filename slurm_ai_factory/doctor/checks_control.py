"""Checks of ``saf doctor``: whether a share that is set has the effect that the control law counts on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, log
from typing import NamedTuple

from slurm_ai_factory.core.control.level import ROOT
from slurm_ai_factory.core.control.lever import Lever
from slurm_ai_factory.core.escaped import for_shell
from slurm_ai_factory.core.live import authority, health
from slurm_ai_factory.core.records import PARENT_SHARES, Association
from slurm_ai_factory.doctor.facts import OK, PROBLEM, WARNING, CheckResult, Facts, want

CALC_PERIOD_MOST = 600
MOST_SHOWN = 3
"""So many rows of the level are shown by name."""

LEVEL_SHARES_LEAST = 1100
"""Competing RawShares from which on one RawShare moves the region by less than 0.05 % of the level."""

WINDOW_PART = 3
"""Usage may be remembered (half-life / ln 2) for up to this part of the window."""


def plugin(facts: Facts) -> CheckResult:
    found, wanted = facts.priority.priority_type, "priority/multifactor"
    return want(found == wanted, PROBLEM, found, wanted, _conf(f"PriorityType={wanted}", restart=True))


def fair_tree(facts: Facts) -> CheckResult:
    off = "NO_FAIR_TREE" in facts.priority.flags
    found = "off: NO_FAIR_TREE" if off else "on"
    fix = _conf("PriorityFlags without NO_FAIR_TREE; FairShareDampeningFactor has no effect then")
    return want(not off, PROBLEM, found, "Fair Tree, which the control law models", fix)


def limits(facts: Facts) -> CheckResult:
    fix = _conf("AccountingStorageEnforce=associations,limits,safe", restart=True)
    found = ",".join(facts.priority.enforce) or "none"
    return want(health.limits_enforced(facts.priority), PROBLEM, found, "limits or safe among them", fix)


def incr_only(facts: Facts) -> CheckResult:
    flags = facts.priority.flags
    fix = _conf("PriorityFlags without INCR_ONLY")
    return want("INCR_ONLY" not in flags, PROBLEM, ",".join(flags) or "no flags", "no INCR_ONLY", fix)


def calc_period(facts: Facts) -> CheckResult:
    found = facts.priority.calc_period_seconds
    fix = _conf("PriorityCalcPeriod=5")
    return want(found <= CALC_PERIOD_MOST, WARNING, f"{found} s", f"at most {CALC_PERIOD_MOST} s", fix)


def fairshare_weight(facts: Facts) -> CheckResult:
    found = facts.priority.weight_fairshare
    fix = _conf("PriorityWeightFairshare=100000, and more than the other weights can add up to")
    return want(found > 0, PROBLEM, str(found), "above 0", fix)


def authority_index(facts: Facts) -> CheckResult:
    wanted = f"at least {authority.LEAST}"
    if facts.authority is None:
        return CheckResult(OK, "not known: one side has nothing waiting", wanted)
    fix = _conf("PriorityWeightFairshare larger, or the weights of age, QOS, partition and size smaller")
    return want(facts.authority >= authority.LEAST, WARNING, f"{facts.authority:.2f}", wanted, fix)


def tiers(facts: Facts) -> CheckResult:
    tiers = {one.tier for one in facts.partitions or ()}
    found = ", ".join(f"{one.name} {one.tier}" for one in facts.partitions or ())
    fix = _conf("the same PriorityTier for every partition that the region shares with others")
    return want(len(tiers) <= 1, WARNING, found, "one PriorityTier: it goes before any priority", fix)


def half_life(facts: Facts) -> CheckResult:
    found, window = facts.priority.decay_half_life_seconds, facts.window_seconds
    wanted = f"above 0, and remembered for at most a third of the window of {_days(window)}"
    hours = max(1, int(window / 20 * log(2) / 3600))
    fix = _conf(f"PriorityDecayHalfLife={hours // 24}-{hours % 24:02}")
    if not found:
        return CheckResult(PROBLEM, "0: usage does not decay", wanted, fix)
    tau = found / log(2)
    said = f"{_days(found)}, remembered for {_days(tau)}"
    return want(tau <= window / WINDOW_PART, WARNING, said, wanted, fix)


def usage_reset(facts: Facts) -> CheckResult:
    found = facts.priority.usage_reset
    fix = _conf("PriorityUsageResetPeriod=NONE")
    return want(found == "NONE", WARNING, found, "NONE: a reset forgets what the region is owed", fix)


def region_check(facts: Facts) -> CheckResult:
    """The steered accounts: there, at the top, with shares of their own."""
    several = len(facts.accounts) > 1
    wanted = f"{facts.steered} directly under {ROOT}, with shares of {'their' if several else 'its'} own"
    each = {name: _steered(facts, name) for name in facts.accounts}
    odd = {name: one for name, one in each.items() if one.fix}
    found = ", ".join(f"{name}: {one.found}" if several else one.found for name, one in (odd or each).items())
    return want(not odd, PROBLEM, found, wanted, "\n".join(one.fix for one in odd.values()))


class _Row(NamedTuple):
    found: str
    fix: str = ""


def _steered(facts: Facts, account: str) -> _Row:
    """What a steered account's row is like, and how to mend it."""
    one = _own_row(facts, account)
    if one is None:
        return _Row(f"no account {account}", _other_account(facts, account))
    if one.parent != ROOT:
        return _Row(f"under {one.parent}", _modify(facts, one, f"parent={ROOT}"))
    if not one.steerable:
        return _Row(f"Fairshare={_shares(one)}", _modify(facts, one, "fairshare=25"))
    return _Row(f"RawShares {one.raw_shares}")


def lever_and_rules(facts: Facts) -> CheckResult:
    """The steered accounts are the region's by the rules, and the region's charge is in them."""
    found = facts.lever or Lever()
    wanted = f"{facts.steered} regional by the rules, and the region's charge within"
    if found.conflict:
        return CheckResult(PROBLEM, found.conflict, wanted, found.remedy)
    apart = found.reach.sentences
    fix = "see `saf share --by account` and `saf rules check`: correct control.account or the rules"
    return want(not apart, WARNING, "; ".join(apart) or "regional by the rules", wanted, fix)


def _other_account(facts: Facts, account: str) -> str:
    """What may be steered instead; a new account would take its shares from everybody."""
    there = [one.account for one in _level(facts) if not one.user and one.account not in facts.accounts]
    add = ["sacctmgr", "-i", "add", "account", f"name={account}", f"cluster={facts.priority.cluster}"]
    return (
        f"saf.toml: set control.account to one of: {_some(there) or 'none, there is no other account'}\n"
        f"or, if the region has no account yet: {' '.join(map(for_shell, [*add, f'parent={ROOT}']))}, "
        "which takes a part of the level from all others"
    )


def siblings(facts: Facts) -> CheckResult:
    """The accounts beside the steered one: each with shares of its own."""
    wanted = "no Fairshare=parent or 0 beside the steered account"
    beside = [one for one in _level(facts) if one.account not in facts.accounts]
    if not beside:
        return CheckResult(
            PROBLEM, "no account beside the steered one", "somebody to share with", _others(facts)
        )
    odd = [one for one in beside if not one.steerable]
    found = _some([f"{_name(one)} {_shares(one)}" for one in odd or beside])
    mixed = any(one.raw_shares == PARENT_SHARES for one in odd)
    fix = _commands([_modify(facts, one, "fairshare=1") for one in odd])
    return want(not odd, PROBLEM if mixed else WARNING, found, wanted, fix)


def usage(facts: Facts) -> CheckResult:
    """Whether sshare tells the usage of every row that competes: the law rests on it."""
    unknown = _some([_name(one) for one in _level(facts) if one.raw_usage is None])
    found = f"not told of {unknown}" if unknown else "told of every account on the level"
    fix = "sshare -a -l must list them: does slurmctld answer, and may this user see usage (PrivateData)?"
    return want(not unknown, PROBLEM, found, "sshare tells RawUsage of every account on the level", fix)


def resolution(facts: Facts) -> CheckResult:
    """Whether one RawShare is a small enough step; the rescale keeps everybody's part of the level."""
    level = [one for one in _level(facts) if one.steerable]
    competing = sum(one.raw_shares for one in level if one.account not in facts.accounts)
    wanted = f"at least {LEVEL_SHARES_LEAST} RawShares beside the steered account's"
    factor = ceil(LEVEL_SHARES_LEAST / competing) if competing else 0
    fix = _commands([_modify(facts, one, f"fairshare={one.raw_shares * factor}") for one in level])
    own = sum(one.raw_shares for one in level if one.account in facts.accounts)
    part = f"{own / (own + competing):.1%}" if own + competing else "nothing"
    few = f"{competing}; {factor} times the shares in every row: {facts.steered} has {part} before and after"
    fine = competing >= LEVEL_SHARES_LEAST
    return want(fine, WARNING, str(competing) if fine else few, wanted, fix)


def stored(facts: Facts) -> CheckResult:
    """Whether slurmctld works with the shares that slurmdbd has."""
    odd = [one for one in _level(facts) if one.stored_shares not in (None, one.raw_shares)]
    found = _some([f"{_name(one)} {_shares(one)}, stored {one.stored_shares}" for one in odd])
    fix = _commands([_modify(facts, one, f"fairshare={one.stored_shares}") for one in odd])
    return want(not odd, PROBLEM, found or "the same", "slurmctld works with what slurmdbd has", fix)


def scheduler(facts: Facts) -> CheckResult:
    silence = health.backfill_silence(facts.diagnostics)
    wanted = f"backfill ran in the last {health.BACKFILL_SILENCE} s while jobs wait"
    if facts.diagnostics.backfill_last_at is None:
        return CheckResult(
            WARNING, "backfill never ran", wanted, _conf("SchedulerType=sched/backfill", restart=True)
        )
    idle = silence <= health.BACKFILL_SILENCE or not facts.diagnostics.backfill_queue
    return want(idle, PROBLEM, f"{silence} s ago", wanted, "look for what slurmctld.log says of backfill")


def depth(facts: Facts) -> CheckResult:
    """Whether backfill comes to the end of the queue: it does not see the region's jobs behind that."""
    tried, queue = facts.diagnostics.backfill_depth, facts.diagnostics.backfill_queue
    wanted = "every waiting job looked at"
    if tried is None or queue is None:
        return CheckResult(OK, "not known", wanted)
    fix = _conf(f"SchedulerParameters=bf_max_job_test={max(500, 2 * queue)}")
    return want(tried >= queue, WARNING, f"{tried} of {queue}", wanted, fix)


def _conf(setting: str, *, restart: bool = False) -> str:
    then = "systemctl restart slurmctld" if restart else "scontrol reconfigure"
    return f"slurm.conf: {setting}; then {then}"


def _level(facts: Facts) -> Iterator[Association]:
    """The rows that compete with each other: the accounts under root, and root's own user."""
    for one in facts.associations:
        if (one.account == ROOT) if one.user else (one.parent == ROOT):
            yield one


def _own_row(facts: Facts, account: str) -> Association | None:
    return next((one for one in facts.associations if one.account == account and not one.user), None)


def _modify(facts: Facts, one: Association, what: str) -> str:
    """The command, as a shell takes it: whoever may add accounts below others chose the name."""
    row = ["user", "where", f"name={one.user}", f"account={one.account}"]
    row = row if one.user else ["account", "where", f"name={one.account}"]
    words = ["sacctmgr", "-i", "modify", *row, f"cluster={facts.priority.cluster}", "set", what]
    return " ".join(map(for_shell, words))


def _some(names: Sequence[str]) -> str:
    """A list for people: three of many, and how many more.

    >>> _some(["a", "b", "c"]), _some(list("abcdef"))
    ('a, b, c', 'a, b, c and 3 more')
    """
    more = len(names) - MOST_SHOWN
    return ", ".join(names[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _commands(all_of_them: Sequence[str]) -> str:
    """Commands, one a line: three of many, and how many there are."""
    if len(all_of_them) <= MOST_SHOWN:
        return "\n".join(all_of_them)
    return "\n".join([*all_of_them[:MOST_SHOWN], f"... {len(all_of_them)} such commands in all"])


def _others(facts: Facts) -> str:
    return f"sacctmgr -i add account name=others cluster={facts.priority.cluster} parent={ROOT} fairshare=75"


def _name(one: Association) -> str:
    return f"{one.account}/{one.user}" if one.user else one.account


def _shares(one: Association) -> str:
    return "parent" if one.raw_shares == PARENT_SHARES else str(one.raw_shares)


def _days(seconds: float) -> str:
    """A duration for people.

    >>> _days(600), _days(7200), _days(86400 * 10.1)
    ('10.0 min', '2.0 h', '10.1 days')
    """
    units = ((86400, "days"), (3600, "h"), (60, "min"))
    size, unit = next((one for one in units if seconds >= 2 * one[0]), units[-1])
    return f"{seconds / size:.1f} {unit}"
