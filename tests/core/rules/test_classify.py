"""Classification: every subject has one answer, and the first rule that holds gives it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.records import FOREVER, Subject
from slurm_ai_factory.core.rules.classify import NAMES, UNCLASSIFIED, Beneficiary, Classification, Rule, Rules

REGIONAL, OTHERS = Beneficiary.REGIONAL, Beneficiary.NON_REGIONAL
SUBJECT = Subject("c", "umcg", "jan", "gpu", "normal", "genomes", "")
TREE = {"root": None, "regional": "root", "umcg": "regional", "trial": "umcg", "astro": "root"}


def _rule(name: str, beneficiary: Beneficiary = REGIONAL, **conditions: str | set[str]) -> Rule:
    sets = {k: frozenset({v} if isinstance(v, str) else v) for k, v in conditions.items()}
    return Rule(name=name, beneficiary=beneficiary, conditions=sets)


def _one(rules: Rules, subject: Subject) -> Classification:
    """The answer of rules without dates and registry: one, at all times."""
    ((since, until, fraction, answer),) = rules.parts(subject)
    assert (since, until, fraction) == (0, FOREVER, 1)
    assert rules.classify(subject, 0) == ((1, answer),)
    return answer


names = st.sampled_from(("root", "regional", "umcg", "trial", "astro", "gone", "jan", ""))
trees = st.dictionaries(names.filter(bool), st.none() | names, max_size=7)
subjects = st.builds(Subject, st.just("c"), names, names, names, names, names, names)
conditions = st.dictionaries(
    st.sampled_from(NAMES), st.frozensets(names, min_size=1, max_size=3), min_size=1, max_size=3
)
rule_lists = st.lists(st.tuples(st.sampled_from((REGIONAL, OTHERS)), conditions), max_size=5).map(
    lambda drawn: tuple(
        Rule(name=f"rule {i}", beneficiary=one, conditions=where) for i, (one, where) in enumerate(drawn)
    )
)


@given(rule_lists, trees, subjects)
def test_every_subject_has_the_answer_of_the_first_rule_that_holds_alone(
    rules: tuple[Rule, ...], tree: dict[str, str | None], subject: Subject
) -> None:
    alone = [_one(Rules((rule,), tree), subject) for rule in rules]
    expected = next((answer for answer in alone if answer != UNCLASSIFIED), UNCLASSIFIED)
    assert _one(Rules(rules, tree), subject) == expected
    assert _one(Rules(rules, dict(reversed(tree.items()))), subject) == expected


@given(rule_lists, trees, subjects)
def test_a_rule_after_the_one_that_decides_changes_nothing(
    rules: tuple[Rule, ...], tree: dict[str, str | None], subject: Subject
) -> None:
    answer = _one(Rules(rules, tree), subject)
    catch_all = _rule("all", account={"", *TREE, "gone", "jan"})
    after = _one(Rules((*rules, catch_all), tree), subject)
    assert after.rule == (answer.rule or "all")


@pytest.mark.parametrize(
    "condition",
    [
        {"account": "umcg"},
        {"account_subtree": "umcg"},
        {"account_subtree": "regional"},
        {"account_subtree": "root"},
        {"account_subtree": {"astro", "regional"}},
        {"user": {"eva", "jan"}},
        {"qos": "normal"},
        {"partition": "gpu"},
        {"wckey": "genomes"},
        {"account_subtree": "regional", "partition": "gpu", "user": "jan"},
        {},
    ],
)
def test_a_rule_holds_when_each_of_its_conditions_does(condition: dict[str, Any]) -> None:
    assert _one(Rules((_rule("r", **condition),), TREE), SUBJECT).rule == "r"


@pytest.mark.parametrize(
    "condition",
    [
        {"account": "regional"},
        {"account": "umc"},
        {"account": "UMCG"},
        {"account_subtree": "trial"},
        {"account_subtree": "astro"},
        {"user": "umcg"},
        {"qos": ""},
        {"account_subtree": "regional", "partition": "cpu"},
        {"account": "umcg", "user": {"eva", "piet"}},
    ],
)
def test_a_rule_with_a_condition_that_fails_does_not_hold(condition: dict[str, Any]) -> None:
    assert _one(Rules((_rule("r", **condition),), TREE), SUBJECT) == UNCLASSIFIED


def test_what_no_rule_matches_is_unclassified_and_has_no_rule() -> None:
    answer = _one(Rules((), TREE), SUBJECT)
    assert answer.beneficiary is Beneficiary.UNCLASSIFIED
    assert answer.rule == answer.category == answer.organisation == ""


def test_an_answer_carries_what_the_rule_knows() -> None:
    rule = replace(
        _rule("care", account="umcg"), category="care", organisation="UMCG", sector="health", hub="north"
    )
    answer = _one(Rules((rule,)), SUBJECT)
    assert (answer.beneficiary, answer.rule) == (REGIONAL, "care")
    assert (answer.category, answer.organisation, answer.sector, answer.hub) == (
        "care", "UMCG", "health", "north"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("account", "lineage"),
    [
        ("trial", ["trial", "umcg", "regional", "root"]),
        ("root", ["root"]),
        ("gone", ["gone"]),
        ("", []),
    ],
)
def test_a_lineage_goes_up_to_the_root(account: str, lineage: list[str]) -> None:
    assert list(Rules((), TREE).lineage(account)) == lineage


def test_an_account_whose_parent_was_deleted_stands_alone() -> None:
    tree = {"umcg": "regional"}
    rules = Rules((_rule("r", account_subtree="regional"),), tree)
    assert _one(rules, SUBJECT).rule == "r"
    assert _one(Rules(rules.rules, {}), SUBJECT) == UNCLASSIFIED
    assert list(Rules((), tree).lineage("umcg")) == ["umcg", "regional"]


@pytest.mark.parametrize(
    "tree",
    [
        {"umcg": "umcg"},
        {"umcg": "regional", "regional": "umcg"},
        {"umcg": "a", "a": "b", "b": "a"},
    ],
)
def test_a_tree_that_runs_in_a_circle_is_walked_once(tree: dict[str, str | None]) -> None:
    lineage = list(Rules((), tree).lineage("umcg"))
    assert len(lineage) == len(set(lineage))
    assert set(lineage) == {"umcg", *tree}
    assert _one(Rules((_rule("r", account_subtree="elsewhere"),), tree), SUBJECT) == UNCLASSIFIED


@given(trees, names)
def test_any_tree_gives_a_lineage_without_repeats(tree: dict[str, str | None], account: str) -> None:
    lineage = list(Rules((), tree).lineage(account))
    assert len(lineage) == len(set(lineage))
    assert lineage[:1] == ([account] if account else [])


def test_accounts_that_rules_name_and_the_cluster_lacks_are_told() -> None:
    rules = Rules(
        (
            _rule("a", account={"umcg", "umgc"}),
            _rule("b", account_subtree="regoinal"),
            _rule("c", user="nobody", partition="gpu"),
            _rule("d", account_subtree={"regional", "regoinal"}),
        ),
        TREE,
    )
    assert rules.unknown_accounts() == ["regoinal", "umgc"]
    assert Rules((), TREE).unknown_accounts() == []


RULES = (
    _rule("a", account={"umcg", "astro"}, partition="gpu"),
    _rule("b", OTHERS, account_subtree="root"),
)


@pytest.mark.parametrize(
    ("rules", "tree"),
    [
        (tuple(reversed(RULES)), TREE),
        (RULES[:1], TREE),
        ((*RULES, RULES[0]), TREE),
        ((replace(RULES[0], name="z"), RULES[1]), TREE),
        ((replace(RULES[0], beneficiary=OTHERS), RULES[1]), TREE),
        ((replace(RULES[0], category="business"), RULES[1]), TREE),
        ((replace(RULES[0], organisation="UMCG"), RULES[1]), TREE),
        ((replace(RULES[0], sector="health"), RULES[1]), TREE),
        ((replace(RULES[0], hub="north"), RULES[1]), TREE),
        ((_rule("a", account="umcg", partition="gpu"), RULES[1]), TREE),
        ((_rule("a", account_subtree={"umcg", "astro"}, partition="gpu"), RULES[1]), TREE),
        ((_rule("a", account={"umcg", "astro"}), RULES[1]), TREE),
        (RULES, TREE | {"umcg": "root"}),
        (RULES, TREE | {"new": "regional"}),
        (RULES, {}),
    ],
)
def test_the_digest_changes_with_all_that_could_change_an_answer(
    rules: tuple[Rule, ...], tree: dict[str, str | None]
) -> None:
    assert Rules(rules, tree).digest != Rules(RULES, TREE).digest


def test_the_digest_does_not_change_with_the_order_in_which_names_are_written() -> None:
    rewritten = (_rule("a", partition="gpu", account={"astro", "umcg"}), RULES[1])
    assert Rules(rewritten, dict(reversed(TREE.items()))).digest == Rules(RULES, TREE).digest


def test_the_digest_does_not_tell_a_root_without_parent_from_one_with_an_empty_parent() -> None:
    assert Rules(RULES, TREE | {"root": ""}).digest == Rules(RULES, TREE).digest


@given(rule_lists, trees, rule_lists, trees, st.lists(subjects, min_size=1, max_size=5))
def test_rules_with_the_same_digest_give_the_same_answers(
    rules: tuple[Rule, ...],
    tree: dict[str, str | None],
    other_rules: tuple[Rule, ...],
    other_tree: dict[str, str | None],
    asked: list[Subject],
) -> None:
    one, other = Rules(rules, tree), Rules(other_rules, other_tree)
    if [one.parts(s) for s in asked] != [other.parts(s) for s in asked]:
        assert one.digest != other.digest
