"""Ordered rules: who a subject's charge is for, and which rule said so.

Total and deterministic: the first rule whose every condition holds decides; when none does, the answer is
``unclassified`` and nothing is guessed. Conditions compare whole names; ``account_subtree`` also holds for
every account below the one named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256

from slurm_ai_factory.core.records import Subject


class Beneficiary(StrEnum):
    """Who a charge is for."""

    REGIONAL = "regional"
    NON_REGIONAL = "non_regional"
    UNCLASSIFIED = "unclassified"


OF_ACCOUNTS = ("account_subtree", "account", "user")
CONDITIONS = (*OF_ACCOUNTS, "qos", "partition", "wckey")
DETAILS = ("category", "organisation", "sector", "hub")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: all its conditions must hold; each condition lists the names it accepts."""

    name: str
    beneficiary: Beneficiary
    conditions: Mapping[str, frozenset[str]]
    category: str = ""
    organisation: str = ""
    sector: str = ""
    hub: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """The answer for one subject: beneficiary, the rule that said so, and what the rule knows of them."""

    beneficiary: Beneficiary
    rule: str = ""
    category: str = ""
    organisation: str = ""
    sector: str = ""
    hub: str = ""


UNCLASSIFIED = Classification(beneficiary=Beneficiary.UNCLASSIFIED)


@dataclass(frozen=True, slots=True)
class Rules:
    """Ordered rules together with the account tree they are read against (account -> parent)."""

    rules: tuple[Rule, ...]
    parents: Mapping[str, str | None] = field(default_factory=dict)

    def classify(self, subject: Subject) -> Classification:
        """The first rule that holds for the subject, or UNCLASSIFIED.

        >>> region = Rule(name="region", beneficiary=Beneficiary.REGIONAL,
        ...               conditions={"account_subtree": frozenset({"regional"})})
        >>> rules = Rules((region,), {"umcg": "regional", "regional": "root"})
        >>> rules.classify(Subject("c", "umcg", "jan", "main", "normal", "", "")).rule
        'region'
        >>> rules.classify(Subject("c", "astro", "eva", "main", "normal", "", "")).beneficiary
        <Beneficiary.UNCLASSIFIED: 'unclassified'>
        """
        lineage = frozenset(self.lineage(subject.account))
        for rule in self.rules:
            if all(_holds(key, names, subject, lineage) for key, names in rule.conditions.items()):
                return _answer(rule)
        return UNCLASSIFIED

    def lineage(self, account: str) -> Iterable[str]:
        """The account and its ancestors, upwards; an account whose parent is unknown stands alone."""
        seen: set[str] = set()
        step: str | None = account
        while step and step not in seen:
            seen.add(step)
            yield step
            step = self.parents.get(step)

    def unknown_accounts(self) -> list[str]:
        """Accounts named by rules that the cluster does not have: likely a mistyped name."""
        named = {
            name
            for rule in self.rules
            for key in ("account", "account_subtree")
            for name in rule.conditions.get(key, ())
        }
        return sorted(named - self.parents.keys())

    def unmatched_accounts(self, users: Iterable[tuple[str, str]]) -> list[str]:
        """Accounts of these (account, user) that no rule can match, whatever their jobs ask for."""
        able = tuple(replace(rule, conditions=_of_accounts(rule)) for rule in self.rules)
        rules = Rules(able, self.parents)
        subjects = (Subject("", account, user, "", "", "", "") for account, user in users)
        return sorted({one.account for one in subjects if rules.classify(one) is UNCLASSIFIED})

    def digest(self) -> str:
        """Changes whenever an answer could: over the rules in order and the account tree."""
        rules = [
            (r.name, r.beneficiary, sorted((k, sorted(v)) for k, v in r.conditions.items()),
             r.category, r.organisation, r.sector, r.hub)
            for r in self.rules
        ]  # fmt: skip
        tree = sorted((account, parent or "") for account, parent in self.parents.items())
        return sha256(repr((rules, tree)).encode()).hexdigest()[:16]


def _of_accounts(rule: Rule) -> dict[str, frozenset[str]]:
    return {key: names for key, names in rule.conditions.items() if key in OF_ACCOUNTS}


def _holds(key: str, names: frozenset[str], subject: Subject, lineage: frozenset[str]) -> bool:
    if key == "account_subtree":
        return not names.isdisjoint(lineage)
    return getattr(subject, key) in names


def _answer(rule: Rule) -> Classification:
    return Classification(
        beneficiary=rule.beneficiary,
        rule=rule.name,
        category=rule.category,
        organisation=rule.organisation,
        sector=rule.sector,
        hub=rule.hub,
    )
