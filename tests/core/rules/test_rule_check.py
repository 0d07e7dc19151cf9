"""Rules that can be read and are still wrong: names that nobody has, rules that nothing reaches."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from slurm_ai_factory.core.records import FOREVER, HOUR
from slurm_ai_factory.core.rules.classify import Beneficiary, Rule, Rules
from slurm_ai_factory.core.rules.organisations import Registry
from slurm_ai_factory.core.rules.rule_check import check, gone
from tests.core.rules.test_organisations import (
    BY_REGISTRY,
    TERMS,
    TREE,
    UMCG,
    _subject,
    dated_rules,
    hours,
    names,
)

KNOWN = {"account": TREE.keys(), "account_subtree": TREE.keys(), "qos": {"normal"}, "partition": set[str]()}


def _rule(name: str = "r", *, since: int = 0, until: int = FOREVER, **conditions: str) -> Rule:
    sets = {key: frozenset(text.split()) for key, text in conditions.items()}
    return Rule(name=name, beneficiary=Beneficiary.REGIONAL, conditions=sets, since=since, until=until)


def _told(*rules: Rule) -> list[tuple[str, str, str]]:
    found = check(Rules(rules, TREE, Registry().plus([UMCG])), KNOWN, TERMS)
    return [(one.key, one.name, one.reason) for one in found]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (_rule(account="umcg astro"), []),
        (_rule(account="umgc"), [("account", "umgc", "no such account is known; did you mean 'umcg'?")]),
        (_rule(account_subtree="x"), [("account_subtree", "x", "no such account is known")]),
        (_rule(qos="normal nromal"), [("qos", "nromal", "no such qos is known; did you mean 'normal'?")]),
        (_rule(partition="gpu"), [("partition", "gpu", "no such partition is known")]),
        (_rule(user="nobody", comment="anything"), []),
        (_rule(linked_organisation="umgc"),
         [("linked_organisation", "umgc", "no such organisation is registered; did you mean 'umcg'?")]),
        (_rule(linked_sector="Q care"), []),
        (_rule(linked_sector="Z"), [("linked_sector", "Z", "no such sector is known")]),
        (_rule(linked_municipality="GM0014"), []),
        (replace(BY_REGISTRY, name="r"), []),
        (replace(_rule(qos="normal"), organisation="umcg", sector="Q", category="business"), []),
        (replace(_rule(qos="normal"), organisation="UMCG"),
         [("organisation", "UMCG", "no such organisation is known")]),
        (replace(_rule(qos="normal"), category="busines"),
         [("category", "busines", "no such category is known; did you mean 'business'?")]),
        (replace(_rule(qos="normal"), hub="xyz"), [("hub", "xyz", "no such hub is known")]),
    ],
)  # fmt: skip
def test_a_name_that_nobody_has_is_told(rule: Rule, told: list[tuple[str, str, str]]) -> None:
    assert _told(rule) == told


def test_without_a_registry_a_rule_may_name_any_organisation() -> None:
    rule = replace(_rule(qos="normal"), organisation="Hospital North")
    assert check(Rules((rule,), TREE), KNOWN, TERMS) == []


@pytest.mark.parametrize(
    ("first", "second", "reached"),
    [
        (_rule("a", account="umcg astro"), _rule("b", account="umcg"), False),
        (_rule("a", account="umcg"), _rule("b", account="umcg", qos="normal"), False),
        (_rule("a", account="umcg", qos="normal"), _rule("b", account="umcg"), True),
        (_rule("a", account="umcg"), _rule("b", account="umcg astro"), True),
        (_rule("a", account="umcg", until=HOUR), _rule("b", account="umcg"), True),
        (_rule("a", account="umcg", until=HOUR), _rule("b", account="umcg", until=HOUR), False),
        (_rule("a", account="umcg", since=HOUR), _rule("b", account="umcg", since=2 * HOUR), False),
        (BY_REGISTRY, _rule("b", account="umcg"), True),
    ],
)
def test_a_rule_that_an_earlier_one_always_goes_before_is_told(
    first: Rule, second: Rule, reached: bool
) -> None:
    told = [("", "", f"is never reached: rule {first.name!r} decides before it")]
    assert _told(first, second) == ([] if reached else told)


@given(dated_rules(), names, hours)
def test_a_rule_said_to_be_unreachable_decides_nothing(
    rules: tuple[Rule, ...], account: str, at: int
) -> None:
    all_of_it = Rules(rules, TREE, Registry().plus([UMCG]))
    told = {one.rule for one in check(all_of_it, {}, TERMS) if not one.key}
    for qos in ("", "a", "b"):
        answers = all_of_it.classify(_subject(account, qos=qos), at)
        assert told.isdisjoint(answer.classification.rule for answer in answers)


def test_a_name_that_only_past_charges_have_is_told_and_is_not_wrong() -> None:
    rules = Rules((_rule(account="umcg old x"), _rule("s", qos="normal"), _rule("t", user="jan")), TREE)
    seen = {"account": {"umcg", "old"}, "qos": {"normal"}, "user": {"jan"}}
    found = gone(rules, seen, {"account": {"umcg"}, "qos": {"normal"}})
    assert [(one.key, one.name) for one in found] == [("account", "old")]
