"""Rules and region as a plain value and back, so that the ledger can keep what was worked by at any time.

The rule: what comes back gives the same answers, whatever version of this program wrote it; a key that is not
there has the value it had before there was such a key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from slurm_ai_factory.core.records import FOREVER
from slurm_ai_factory.core.rules.classify import DETAILS, Beneficiary, Rule

REGISTRY = "registry"
"""What a rule has for a beneficiary when the registry says who it is."""


def rules_value(rules: Iterable[Rule], region: Collection[str]) -> dict[str, Any]:
    """Rules in order, and the region.

    >>> rule = Rule(name="r", beneficiary=None, conditions={"qos": frozenset({"b", "a"})}, hub="south")
    >>> value = rules_value([rule], {"GM0014"})
    >>> value["rules"][0]["conditions"], value["region"]
    ({'qos': ['a', 'b']}, ['GM0014'])
    >>> rules_from(value) == ((rule,), frozenset({"GM0014"}))
    True
    """
    return {"rules": [_value(one) for one in rules], "region": sorted(region)}


def _value(one: Rule) -> dict[str, Any]:
    return {
        "name": one.name,
        "beneficiary": REGISTRY if one.beneficiary is None else str(one.beneficiary),
        "conditions": {key: sorted(names) for key, names in one.conditions.items()},
        **{name: getattr(one, name) for name in DETAILS if getattr(one, name)},
        "since": one.since,
        "until": one.until,
    }


def rules_from(value: Mapping[str, Any]) -> tuple[tuple[Rule, ...], frozenset[str]]:
    """What ``rules_value`` was given."""
    return tuple(map(_rule, value["rules"])), frozenset(value["region"])


def _rule(value: Mapping[str, Any]) -> Rule:
    said = value["beneficiary"]
    return Rule(
        name=value["name"],
        beneficiary=None if said == REGISTRY else Beneficiary(said),
        conditions={key: frozenset(names) for key, names in value["conditions"].items()},
        since=value.get("since", 0),
        until=value.get("until", FOREVER),
        **{name: value.get(name, "") for name in DETAILS},
    )
