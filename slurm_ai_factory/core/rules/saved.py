"""Rules and region as a plain value that the ledger keeps. Tested in tests/core/rules/test_organisations.py.

The rule: the value reads back as rules with the same answers, whatever version of this program wrote it; a
missing key has the value that all rules had before the key existed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from slurm_ai_factory.core.records import FOREVER
from slurm_ai_factory.core.rules.classify import DETAILS, Beneficiary, Rule

REGISTRY = "registry"
"""The beneficiary of a rule that leaves the decision to the registry."""


def rules_value(rules: Iterable[Rule], region: Collection[str]) -> dict[str, Any]:
    """Rules in order, and the region.

    >>> rule = Rule(name="r", beneficiary=None, conditions={"qos": frozenset({"b", "a"})}, hub="south")
    >>> value = rules_value([rule], {"GM0014"})
    >>> value["rules"][0]["conditions"], value["region"]
    ({'qos': ['a', 'b']}, ['GM0014'])
    >>> rules_from(value) == ((rule,), frozenset({"GM0014"}))
    True
    """
    return {"rules": [_value(rule) for rule in rules], "region": sorted(region)}


def _value(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "beneficiary": REGISTRY if rule.beneficiary is None else str(rule.beneficiary),
        "conditions": {key: sorted(names) for key, names in rule.conditions.items()},
        **{name: getattr(rule, name) for name in DETAILS if getattr(rule, name)},
        "since": rule.since,
        "until": rule.until,
    }


def rules_from(value: Mapping[str, Any]) -> tuple[tuple[Rule, ...], frozenset[str]]:
    """The rules and the region of which ``rules_value`` made this value."""
    return tuple(map(_rule, value["rules"])), frozenset(value["region"])


def _rule(value: Mapping[str, Any]) -> Rule:
    beneficiary = value["beneficiary"]
    return Rule(
        name=value["name"],
        beneficiary=None if beneficiary == REGISTRY else Beneficiary(beneficiary),
        conditions={key: frozenset(names) for key, names in value["conditions"].items()},
        since=value.get("since", 0),
        until=value.get("until", FOREVER),
        **{name: value.get(name, "") for name in DETAILS},
    )
