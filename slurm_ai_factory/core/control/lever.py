"""Whether the lever moves what the promise is about: the steered accounts and the rules compared. Pure.

The control sets RawShares of accounts; the promise is about charge that the rules call regional. Where the
two are not the same, the control raises somebody else, or the region's charge is out of its reach.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from slurm_ai_factory.core.measure.share import Group
from slurm_ai_factory.core.records import Charge, Hold, Instant, Subject
from slurm_ai_factory.core.rules.classify import Beneficiary, Classification, Rules

REGIONAL_LEAST = 0.5
"""A steered account is regional when at least this part of its charge is."""

APART_MOST = 0.1
"""More than this part of a charge on the wrong side of the lever is worth a warning."""

OF_JOBS = "an account's RawShares cannot steer what the rules find by"
"""How the sentence begins that tells a site whose region is no account what to do."""


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
        """What of it is worth a warning."""
        outside, other = self.outside_share or 0.0, self.other_share or 0.0
        told = []
        if outside > APART_MOST:
            told.append(f"{outside:.1%} of the regional charge is outside the steered accounts")
        if other > APART_MOST:
            told.append(f"{other:.1%} of the steered accounts' charge is not regional")
        return told


def _part(one: Charge, rest: Charge) -> float | None:
    return float(one / (one + rest)) if one + rest else None


def steered_account(rules: Rules, accounts: Sequence[str]) -> Callable[[str], str]:
    """The steered account that an account is or lies below; empty for none."""
    return lambda account: next((one for one in rules.lineage(account) if one in accounts), "")


def reach(groups: Iterable[Group]) -> Reach:
    """How far the lever reaches, from the charge by steered account (as a group's name; empty for none)."""
    sums: defaultdict[tuple[bool, bool], Charge] = defaultdict(int)
    for group in groups:
        sums[bool(group.name), group.beneficiary is Beneficiary.REGIONAL] += group.delivered
    return Reach(sums[True, True], sums[True, False], sums[False, True])


def conflicts(
    rules: Rules, accounts: Sequence[str], at: Instant, groups: Iterable[Group] = ()
) -> dict[str, Classification]:
    """The steered accounts that are not regional by the rules, with what the rules call them.

    An account is regional when the rules call it or an account below it so, or when most of its charge was
    (``groups`` as for ``reach``), which rules about users or partitions may have found.
    """
    charged: dict[str, Reach] = {name: Reach() for name in accounts}
    for group in groups:
        if group.name in charged:
            charged[group.name] = _plus(charged[group.name], reach([group]))
    return {
        name: rules.mostly(_subject(name), at)
        for name in accounts
        if not _regional_below(rules, name, at) and not _mostly_regional(charged[name])
    }


def _plus(one: Reach, other: Reach) -> Reach:
    return Reach(*(a + b for a, b in zip(one, other, strict=True)))


def _mostly_regional(charged: Reach) -> bool:
    other = charged.other_share
    return other is not None and 1.0 - other >= REGIONAL_LEAST


def _regional_below(rules: Rules, account: str, at: Instant) -> bool:
    below = {one for one in rules.parents if account in rules.lineage(one)} | {account}
    return any(rules.mostly(_subject(one), at).beneficiary is Beneficiary.REGIONAL for one in below)


def _subject(account: str) -> Subject:
    """A job of the account of which nothing else is known."""
    return Subject("", account, "", "", "", "", "")


def lever_hold(rules: Rules, conflicts: dict[str, Classification]) -> Hold | None:
    """Why nothing may be steered while these steered accounts are not regional; None where there are none."""
    if not conflicts:
        return None
    return Hold("not_regional", f"{conflict_sentence(conflicts)}; {lever_remedy(rules)}")


def conflict_sentence(conflicts: dict[str, Classification]) -> str:
    """What the rules call the steered accounts that are not regional."""
    told = (
        f"account {name} is steered, but rule {found.rule!r} calls it {found.beneficiary}"
        if found.rule
        else f"account {name} is steered, but no rule calls it regional"
        for name, found in conflicts.items()
    )
    return "; ".join(told)


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
    """What the rules find the region by, where that is never an account."""
    regional = [one for one in rules.rules if one.beneficiary is Beneficiary.REGIONAL]
    if any(one.beneficiary is None for one in rules.rules) or not regional:
        return []
    by_account = ("account", "account_subtree")
    if any(key in by_account for one in regional for key in one.conditions):
        return []
    return sorted({key for one in regional for key in one.conditions})


class Lever(NamedTuple):
    """The steered accounts beside the rules and the charge; what a check says of them."""

    conflict: str = ""  #: what the rules call accounts that are not regional; empty for none
    remedy: str = ""
    reach: Reach = Reach()
    delivered_share: float | None = None  #: of the promise's resource, in its window; None where not known


def certain_conflicts(rules: Rules, accounts: Sequence[str], at: Instant) -> dict[str, Classification]:
    """The conflicts that show without account tree, registry and charge: from the configuration alone."""
    found = conflicts(rules, accounts, at)
    if _other_conditions(rules):
        return found
    return {name: one for name, one in found.items() if one.beneficiary is Beneficiary.NON_REGIONAL}
