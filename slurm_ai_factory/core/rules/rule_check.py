"""Faults in rules that can be parsed: names that do not exist, and rules that are never reached.

The rule: a mistyped name is an error and never a silent miss. The known names are passed in; a kind of name
of which none are known is not checked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from itertools import combinations
from typing import NamedTuple

from slurm_ai_factory.core.rules.classify import DETAILS, Beneficiary, PromisedTo, Rule, Rules
from slurm_ai_factory.core.rules.organisations import ACCESS_MODES, CATEGORIES, SBI_SECTIONS, Codes

SIDES = (Beneficiary.REGIONAL.value, Beneficiary.NON_REGIONAL.value)
"""The beneficiaries that a promise may be made to."""


class RuleProblem(NamedTuple):
    """What is wrong with a rule: which key, which name, and why."""

    rule: str
    key: str
    name: str
    reason: str


def known_terms(rules: Rules, terms: Codes) -> dict[str, Collection[str]]:
    """The values that the registry knows, by detail of an organisation."""
    return {
        "organisation": rules.registry.keys,
        "category": CATEGORIES,
        "sector": (*SBI_SECTIONS, *terms.sectors),
        "municipality": terms.municipalities,
        "hub": terms.hubs,
    }


def check(rules: Rules, names: Mapping[str, Collection[str]], terms: Codes) -> list[RuleProblem]:
    """Every problem of these rules; ``names`` has the cluster's own names, by condition."""
    words = known_terms(rules, terms)
    linked = {f"linked_{key}": known for key, known in words.items()}
    mistyped = [
        RuleProblem(name.rule, name.condition, name.name, _missing(name.condition, name.nearest))
        for name in rules.unknown({**names, **linked})
    ]
    return [*mistyped, *_of_details(rules, words), *_unreachable(rules.rules)]


def unknown_promised(rules: Rules, who: PromisedTo, accounts: Collection[str], terms: Codes) -> list[str]:
    """A sentence for each name in the conditions of a promise that the ledger does not know."""
    known = {
        **known_terms(rules, terms),
        "account": accounts,
        "account_subtree": accounts,
        "beneficiary": SIDES,
        "access": ACCESS_MODES,
    }
    conditions = {key: frozenset(names) for key, names in who}
    asked = Rules((Rule(name="", beneficiary=None, conditions=conditions),))
    unknown = asked.unknown({key: names for key, names in known.items() if names})
    return [f"{name.condition}={name.name}: {_missing(name.condition, name.nearest)}" for name in unknown]


def gone(
    rules: Rules, seen: Mapping[str, Collection[str]], listed: Mapping[str, Collection[str]]
) -> list[RuleProblem]:
    """Names in rules that Slurm no longer lists and past charges have: they match only the past."""
    return [
        RuleProblem(name.rule, name.condition, name.name, "is no longer in Slurm; only past charges have it")
        for name in rules.unknown(listed)
        if name.name in seen.get(name.condition, ())
    ]


def _missing(key: str, nearest: str) -> str:
    what = key.removeprefix("linked_").replace("account_subtree", "account")
    state = "registered" if key == "linked_organisation" else "known"
    return f"no such {what} is {state}" + (f"; did you mean {nearest!r}?" if nearest else "")


def _of_details(rules: Rules, words: Mapping[str, Collection[str]]) -> Iterator[RuleProblem]:
    """Details in rules that the registry does not use: with them the same group would have two names."""
    for rule in rules.rules:
        for key in DETAILS:
            name, known = getattr(rule, key), words[key]
            if name and name not in known and (known or key != "organisation"):
                nearest = next(iter(get_close_matches(name, known, n=1)), "")
                yield RuleProblem(rule.name, key, name, _missing(key, nearest))


def _unreachable(rules: tuple[Rule, ...]) -> Iterator[RuleProblem]:
    """Rules that never decide because one rule before them always does; each is reported once."""
    reported: set[str] = set()
    for first, second in combinations(rules, 2):
        if second.name not in reported and _covers(first, second):
            reported.add(second.name)
            yield RuleProblem(second.name, "", "", f"is never reached: rule {first.name!r} decides before it")


def _covers(first: Rule, second: Rule) -> bool:
    """Whether the first rule holds, and decides, whenever the second does.

    >>> from slurm_ai_factory.core.rules.classify import Beneficiary
    >>> def rule(**names): return Rule(name="r", beneficiary=Beneficiary.REGIONAL,
    ...     conditions={key: frozenset(value) for key, value in names.items()})
    >>> _covers(rule(account="ab"), rule(account="a", qos="q"))
    True
    >>> _covers(rule(account="a"), rule(account="ab"))
    False
    """
    return (
        first.beneficiary is not None
        and first.since <= second.since
        and first.until >= second.until
        and all(key in second.conditions for key in first.conditions)
        and all(second.conditions[key] <= names for key, names in first.conditions.items())
    )
