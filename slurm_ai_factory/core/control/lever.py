"""Whether the steered accounts hold the charge that the promise is about. Pure.

The control sets RawShares of accounts; the promise is about charge that the rules call regional. Where the
two differ, the control raises another account, or it cannot reach the region's charge.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from slurm_ai_factory.core.measure.share import Group
from slurm_ai_factory.core.records import Charge, Hold, Instant, LeverKind, Subject
from slurm_ai_factory.core.rules.classify import Beneficiary, Classification, Rules

REGIONAL_LEAST = 0.5
"""A steered account is regional when at least this part of its charge is."""

APART_MOST = 0.1
"""A larger part of a charge on the wrong side of the lever gives a warning."""

OF_JOBS = "an account's RawShares cannot steer what the rules find by"
"""The beginning of the remedy for a site whose region is not an account."""


class Reach(NamedTuple):
    """Charge in resource-seconds, by whether it is regional and whether it is in a steered account."""

    inside_regional: Charge = 0
    inside_other: Charge = 0
    outside_regional: Charge = 0

    @property
    def outside_share(self) -> float | None:
        """Of all regional charge, the part that no steered account holds; None where there is none."""
        return _part(self.outside_regional, self.inside_regional)

    @property
    def other_share(self) -> float | None:
        """Of the steered accounts' charge, the part that is not regional; None where they had none."""
        return _part(self.inside_other, self.inside_regional)

    @property
    def sentences(self) -> list[str]:
        """The warnings about it."""
        outside, other = self.outside_share or 0.0, self.other_share or 0.0
        warnings = []
        if outside > APART_MOST:
            warnings.append(f"{outside:.1%} of the regional charge is outside the steered accounts")
        if other > APART_MOST:
            warnings.append(f"{other:.1%} of the steered accounts' charge is not regional")
        return warnings


def _part(charge: Charge, rest: Charge) -> float | None:
    return float(charge / (charge + rest)) if charge + rest else None


def steered_account(rules: Rules, accounts: Sequence[str]) -> Callable[[str], str]:
    """The steered account that an account is or lies below; empty for none."""
    return lambda account: next((name for name in rules.lineage(account) if name in accounts), "")


def steered_object(rules: Rules, lever: LeverKind, names: Sequence[str]) -> Callable[[Subject], str]:
    """What is steered that a job is in, by name; empty for none."""
    if lever is LeverKind.ACCOUNT:
        steered = steered_account(rules, names)
        return lambda job: steered(job.account)
    return lambda job: value if (value := getattr(job, lever)) in names else ""


def switch_hold(lever: LeverKind, name: str, groups: Iterable[Group]) -> Hold | None:
    """Why a switch may not be set: most of its charge is not regional; ``groups`` as for ``reach``."""
    other = reach(group for group in groups if group.name == name).other_share
    if other is None or 1.0 - other >= REGIONAL_LEAST:
        return None
    return Hold(
        "not_regional",
        f"{other:.0%} of the charge in {lever} {name} is not regional by the rules; correct control.{lever} "
        "or the rules",
    )


def reach(groups: Iterable[Group]) -> Reach:
    """The reach of the lever, from groups named by steered account; the name is empty outside of them."""
    sums: defaultdict[tuple[bool, bool], Charge] = defaultdict(int)
    for group in groups:
        sums[bool(group.name), group.beneficiary is Beneficiary.REGIONAL] += group.delivered
    return Reach(sums[True, True], sums[True, False], sums[False, True])


def conflicts(
    rules: Rules, accounts: Sequence[str], at: Instant, groups: Iterable[Group] = ()
) -> dict[str, Classification]:
    """The steered accounts that are not regional by the rules, with the rules' answer.

    An account is regional when the rules call it or an account below it regional, or when most of its charge
    was (``groups`` as for ``reach``), by rules about users or partitions.
    """
    groups = tuple(groups)
    conflicting = {}
    for account in accounts:
        other = reach(group for group in groups if group.name == account).other_share
        mostly_regional = other is not None and 1.0 - other >= REGIONAL_LEAST
        below = {name for name in rules.parents if account in rules.lineage(name)} | {account}
        answers = (rules.mostly(_subject(name), at) for name in below)
        if not mostly_regional and not any(answer.beneficiary is Beneficiary.REGIONAL for answer in answers):
            conflicting[account] = rules.mostly(_subject(account), at)
    return conflicting


def _subject(account: str) -> Subject:
    """A job of the account of which nothing else is known."""
    return Subject("", account, "", "", "", "", "")


def lever_hold(rules: Rules, conflicts: dict[str, Classification]) -> Hold | None:
    """Why nothing may be steered while these steered accounts are not regional; None where there are none."""
    if not conflicts:
        return None
    return Hold("not_regional", f"{conflict_sentence(conflicts)}; {lever_remedy(rules)}")


def promise_hold(rules: Rules, promise: str, accounts: Sequence[str], at: Instant) -> Hold | None:
    """Why nothing may be steered for a further promise: it is not made to all of these accounts.

    It is made to an account where that account, or one below it, counts for it by account alone.
    """

    def counts(account: str) -> bool:
        below = {name for name in rules.parents if account in rules.lineage(name)} | {account}
        return any(promise in rules.mostly(_subject(name), at).promises.split() for name in below)

    wrong = ", ".join(account for account in accounts if not counts(account))
    if not wrong:
        return None
    return Hold(
        "not_of_promise",
        f"control.promises steers {wrong} for promise {promise}, which is not made to it by account; correct "
        f"control.promises, or `saf promise set {promise} --who account_subtree=...`",
    )


def conflict_sentence(conflicts: dict[str, Classification]) -> str:
    """What the rules call the steered accounts that are not regional."""
    return "; ".join(
        f"account {name} is steered, but rule {answer.rule!r} calls it {answer.beneficiary}"
        if answer.rule
        else f"account {name} is steered, but no rule calls it regional"
        for name, answer in conflicts.items()
    )


def lever_remedy(rules: Rules) -> str:
    """What to do about it, the least harmful way first."""
    others = _other_conditions(rules)
    if not others:
        return "set control.account to the account that the rules call regional, or correct the rules"
    return (
        f"{OF_JOBS} {' and '.join(others)}: the region is measured but not steered; stay in mode observe, or "
        "give the region an account of its own under root"
    )


def _other_conditions(rules: Rules) -> list[str]:
    """The conditions by which the rules find the region, where none of them is an account."""
    regional = [rule for rule in rules.rules if rule.beneficiary is Beneficiary.REGIONAL]
    keys = {key for rule in regional for key in rule.conditions}
    registry_decides = any(rule.beneficiary is None for rule in rules.rules)
    return [] if registry_decides or keys & {"account", "account_subtree"} else sorted(keys)


class Lever(NamedTuple):
    """The steered accounts compared with the rules and the charge, for the checks."""

    conflict: str = ""  #: the sentence about accounts that are not regional; empty for none
    remedy: str = ""
    reach: Reach = Reach()
    delivered_share: float | None = None  #: of the promise's resource, in its window; None where not known


def certain_conflicts(rules: Rules, accounts: Sequence[str], at: Instant) -> dict[str, Classification]:
    """The conflicts that the configuration alone shows, without account tree, registry and charge."""
    answers = conflicts(rules, accounts, at)
    if _other_conditions(rules):
        return answers
    non_regional = Beneficiary.NON_REGIONAL
    return {name: answer for name, answer in answers.items() if answer.beneficiary is non_regional}
