"""The registry and the answers it gives: at any time one, fractions that add up, and each fault told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.measure.share import SortedRun
from slurm_ai_factory.core.records import FOREVER, HOUR, Charge, Instant, Subject, Window
from slurm_ai_factory.core.rules.classify import UNCLASSIFIED, Beneficiary, Membership, Override, Rule, Rules
from slurm_ai_factory.core.rules.organisations import (
    Codes,
    Link,
    Organisation,
    Registry,
    RegistryEntry,
    always_regional,
    entry_problems,
    known_otherwise,
    news,
)
from slurm_ai_factory.core.rules.saved import rules_from, rules_value
from slurm_ai_factory.core.rules.why import why
from tests.core.generated import NOW, runs

TERMS = Codes(
    municipalities={"GM0014": "Groningen", "GM0772": "Eindhoven"},
    sectors=("care", "energy"),
    hubs=("groningen", "south"),
    accounts=frozenset({"umcg", "joint", "astro"}),
)
REGION = always_regional({"GM0014"})
TREE: dict[str, str | None] = {
    "root": None,
    "umcg": "root",
    "trial": "umcg",
    "joint": "root",
    "astro": "root",
}
UMCG = Organisation(
    organisation="umcg", name="UMCG", kvk="01234567", category="knowledge_institution", sector="care",
    municipality="GM0014", hub="groningen", since=0,
)  # fmt: skip
PLANT = Organisation(
    organisation="plant", name="Plant", kvk="17000000", category="business", sector="C",
    municipality="GM0772", hub="south", since=0,
)  # fmt: skip
LINK = Link(organisation="umcg", account="umcg", since=0)
JOINT = (
    Link(organisation="umcg", account="joint", fraction=Decimal("0.4"), since=0),
    Link(organisation="plant", account="joint", fraction=Decimal("0.35"), since=0),
)
BY_REGISTRY = Rule(name="registry", beneficiary=None, conditions={})
WEIGHTS = {"cpu": 1}
EVER = Window("ever", 0, NOW + HOUR)


def _subject(account: str, **names: str) -> Subject:
    return Subject("c", account, *(names.get(key, "") for key in Subject._fields[2:]))


def _rules(*entries: RegistryEntry, rules: tuple[Rule, ...] = (BY_REGISTRY,)) -> Rules:
    return Rules(rules, TREE, Registry().plus(entries), REGION)


hours = st.integers(0, NOW // HOUR).map(lambda hour: hour * HOUR)
spans = st.lists(hours, min_size=2, max_size=2, unique=True).map(lambda two: (min(two), max(two)))


@st.composite
def organisations(draw: st.DrawFn, key: str) -> list[Organisation]:
    """What an organisation was, one after the other, sometimes with gaps, in the region or out of it."""
    cuts = sorted(draw(st.lists(hours, min_size=1, max_size=4, unique=True)))
    pairs = list(pairwise([*cuts, FOREVER]))
    kept = draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True))
    return [
        replace(UMCG, organisation=key, kvk="", municipality=draw(st.sampled_from(("GM0014", ""))),
                sector=draw(st.sampled_from(("care", "A"))), since=since, until=until)
        for since, until in kept
    ]  # fmt: skip


@st.composite
def registries(draw: st.DrawFn) -> Registry:
    """Three organisations, and links to accounts that may share one."""
    entries: list[RegistryEntry] = [one for key in "abc" for one in draw(organisations(key))]
    for account in ("umcg", "joint", "trial"):
        for key in draw(st.lists(st.sampled_from("abc"), max_size=3, unique=True)):
            since, until = draw(spans)
            part = Decimal(draw(st.integers(1, 333_333))) / 10**6
            entries.append(Link(organisation=key, account=account, fraction=part, since=since, until=until))
    return Registry().plus(entries)


names = st.sampled_from(("umcg", "joint", "trial", "astro", "gone", ""))
CONDITIONS = st.dictionaries(
    st.sampled_from(("account", "account_subtree", "qos", "linked_organisation", "linked_sector")),
    st.frozensets(st.sampled_from(("umcg", "joint", "root", "a", "b", "care", "")), min_size=1),
    max_size=2,
)


@st.composite
def dated_rules(draw: st.DrawFn) -> tuple[Rule, ...]:
    """Rules in force for a while or for ever, that decide themselves or leave it to the registry."""
    found = []
    for number in range(draw(st.integers(0, 4))):
        since, until = draw(spans | st.just((0, FOREVER)))
        said = draw(st.sampled_from((None, Beneficiary.REGIONAL, Beneficiary.NON_REGIONAL)))
        organisation = draw(st.sampled_from(("", "a"))) if said else ""
        found.append(
            Rule(name=f"rule {number}", beneficiary=said, conditions=draw(CONDITIONS), since=since,
                 until=until, organisation=organisation)
        )  # fmt: skip
    return tuple(found)


all_rules = st.builds(
    lambda rules, registry: Rules(rules, TREE, registry, REGION), dated_rules(), registries()
)


@given(all_rules, names)
def test_parts_cover_all_time_once_and_their_fractions_add_up_to_one(rules: Rules, account: str) -> None:
    parts = rules.parts(_subject(account))
    times = sorted({(part.since, part.until) for part in parts})
    assert times[0][0] == 0
    assert times[-1][1] == FOREVER
    assert all(before[1] == after[0] for before, after in pairwise(times))
    for time in times:
        assert sum(part.fraction for part in parts if part[:2] == time) == 1
        assert all(0 < part.fraction <= 1 for part in parts)
    assert all(part.since % HOUR == 0 for part in parts)


@given(all_rules, names, st.lists(st.integers(0, NOW), max_size=10))
def test_at_any_instant_the_parts_are_what_the_rules_answer_then(
    rules: Rules, account: str, instants: list[Instant]
) -> None:
    subject = _subject(account)
    parts = rules.parts(subject)
    for at in instants:
        answers = [(part.fraction, part.classification) for part in parts if part.since <= at < part.until]
        assert answers == list(rules.classify(subject, at))


@given(all_rules, names)
def test_the_same_rules_and_registry_give_the_same_answers_whatever_the_order_of_entries(
    rules: Rules, account: str
) -> None:
    registry = Registry(rules.registry.organisations[::-1], rules.registry.links[::-1])
    again = Rules(rules.rules, dict(reversed(TREE.items())), registry, REGION)
    assert again.digest == rules.digest
    one, other = again.parts(_subject(account)), rules.parts(_subject(account))
    assert sorted(one, key=repr) == sorted(other, key=repr)


@given(all_rules, all_rules, st.lists(names, min_size=1, max_size=3))
def test_rules_that_answer_otherwise_have_another_digest(
    one: Rules, other: Rules, accounts: list[str]
) -> None:
    subjects = [_subject(account) for account in accounts]
    if [one.parts(subject) for subject in subjects] != [other.parts(subject) for subject in subjects]:
        assert one.digest != other.digest


def _charge_by(
    rules: Rules, told: Iterable[SortedRun], window: Window = EVER
) -> dict[tuple[str, Beneficiary], Charge]:
    groups = share.by_group(
        lambda _, who: (who.organisation,), WEIGHTS, window, NOW, closed=[],
        open_runs=[SortedRun(one.run, rules.parts(one.run.subject)) for one in told],
    )  # fmt: skip
    return {(one.name, one.beneficiary): one.delivered for one in groups}


run_lists = st.lists(
    st.builds(lambda run, account: SortedRun(run._replace(subject=_subject(account)), ()), runs, names),
    max_size=5,
)


@given(all_rules, run_lists, hours)
def test_a_date_splits_a_charge_exactly(rules: Rules, told: list[SortedRun], cut: Instant) -> None:
    """What is before a date and what is after it add up to all, whoever it is for."""
    whole = _charge_by(rules, told)
    before = _charge_by(rules, told, Window("before", 0, max(cut, HOUR)))
    after = _charge_by(rules, told, Window("after", max(cut, HOUR), EVER.until))
    assert whole == {key: before.get(key, 0) + after.get(key, 0) for key in before.keys() | after.keys()}
    total = sum(share.charge_in(one.run, WEIGHTS, EVER, NOW) for one in told)
    assert sum(whole.values()) == total


@given(registries(), run_lists, st.sampled_from("abc"))
def test_moving_an_organisation_out_of_the_region_moves_exactly_its_own_charge(
    registry: Registry, told: list[SortedRun], key: str
) -> None:
    inside = [replace(one, municipality="GM0014") for one in registry.entries_of(key)]
    outside = [replace(one, municipality="GM0772", kvk="1" * 8) for one in registry.entries_of(key)]
    before = _charge_by(Rules((BY_REGISTRY,), TREE, registry.plus(inside), REGION), told)
    after = _charge_by(Rules((BY_REGISTRY,), TREE, registry.plus(outside), REGION), told)
    regional, others = Beneficiary.REGIONAL, Beneficiary.NON_REGIONAL
    moved = before.pop((key, regional), 0)
    assert after.pop((key, others), 0) == moved
    assert (key, regional) not in after
    assert before == after


def test_an_account_is_who_it_is_linked_to_and_what_lies_below_follows() -> None:
    rules = _rules(UMCG, PLANT, LINK, *JOINT)
    for account in ("umcg", "trial"):
        (answer,) = rules.classify(_subject(account), 0)
        found = answer.classification
        assert (answer.fraction, found.beneficiary, found.rule) == (1, Beneficiary.REGIONAL, "registry")
        assert (found.organisation, found.category, found.sector, found.municipality, found.hub) == (
            "umcg", "knowledge_institution", "care", "GM0014", "groningen"
        )  # fmt: skip
    assert rules.classify(_subject("astro"), 0) == ((1, UNCLASSIFIED),)


def test_a_joint_project_is_split_and_what_nobody_takes_is_not_regional() -> None:
    answers = _rules(UMCG, PLANT, *JOINT).classify(_subject("joint"), 0)
    told = [(a.fraction, a.classification.beneficiary, a.classification.organisation) for a in answers]
    assert told == [
        (Decimal("0.4"), Beneficiary.REGIONAL, "umcg"),
        (Decimal("0.35"), Beneficiary.NON_REGIONAL, "plant"),
        (Decimal("0.25"), Beneficiary.NON_REGIONAL, ""),
    ]


def test_a_nearer_link_goes_before_one_of_an_account_above() -> None:
    own = Link(organisation="plant", account="trial", since=HOUR, until=2 * HOUR)
    parts = _rules(UMCG, PLANT, LINK, own).parts(_subject("trial"))
    assert [(one.since, one.until, one.classification.organisation) for one in parts] == [
        (0, HOUR, "umcg"), (HOUR, 2 * HOUR, "plant"), (2 * HOUR, FOREVER, "umcg")
    ]  # fmt: skip


def test_a_rule_is_in_force_from_its_date_on_and_no_longer_than_its_end() -> None:
    dated = Rule(
        name="pilot", beneficiary=Beneficiary.REGIONAL, conditions={"account": frozenset({"astro"})},
        since=HOUR, until=3 * HOUR,
    )  # fmt: skip
    parts = Rules((dated,), TREE).parts(_subject("astro"))
    assert [(one.since, one.until, one.classification.rule) for one in parts] == [
        (0, HOUR, ""), (HOUR, 3 * HOUR, "pilot"), (3 * HOUR, FOREVER, "")
    ]  # fmt: skip


def test_what_a_rule_tells_is_completed_from_the_registry_as_of_the_time() -> None:
    moved = replace(UMCG, municipality="GM0772", since=HOUR)
    rule = Rule(
        name="guests", beneficiary=Beneficiary.REGIONAL, conditions={"account": frozenset({"astro"})},
        organisation="umcg", sector="energy",
    )  # fmt: skip
    parts = _rules(replace(UMCG, until=HOUR), moved, rules=(rule,)).parts(_subject("astro"))
    assert [(one.classification.municipality, one.classification.sector) for one in parts] == [
        ("GM0014", "energy"), ("GM0772", "energy")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"linked_organisation": {"umcg"}}, True),
        ({"linked_category": {"knowledge_institution"}}, True),
        ({"linked_sector": {"care"}, "account_subtree": {"umcg"}}, True),
        ({"linked_municipality": {"GM0014"}}, True),
        ({"linked_hub": {"south"}}, False),
        ({"linked_organisation": {"plant"}}, False),
        ({"linked_organisation": {"umcg"}, "qos": {"long"}}, False),
    ],
)
def test_rules_can_look_at_who_the_account_is_linked_to(condition: dict[str, set[str]], holds: bool) -> None:
    sets = {key: frozenset(value) for key, value in condition.items()}
    rule = Rule(name="r", beneficiary=Beneficiary.NON_REGIONAL, conditions=sets)
    (answer,) = _rules(UMCG, PLANT, LINK, rules=(rule,)).classify(_subject("trial"), 0)
    assert answer.classification.rule == ("r" if holds else "")


def test_a_run_under_an_override_is_what_the_override_says_and_one_under_an_unknown_one_is_not() -> None:
    said = Override(
        number="3", job="7", beneficiary=Beneficiary.NON_REGIONAL, organisation="plant", reason="by mistake",
        actor="jan", at=0,
    )  # fmt: skip
    rules = replace(_rules(UMCG, PLANT, LINK), overrides={"3": said})
    subject = _subject("umcg", override="3")
    (answer,) = rules.classify(subject, 0)
    assert (answer.classification.rule, answer.classification.hub) == ("override 3", "south")
    assert answer.classification.beneficiary is Beneficiary.NON_REGIONAL
    assert why(rules, subject, 0) == ["override 3 by jan at 1970-01-01T00:00:00Z: by mistake"]
    (earlier,) = replace(rules, overrides={}).classify(subject, 0)
    assert earlier.classification.rule == "registry"
    assert replace(rules, overrides={}).digest != rules.digest


def test_why_names_the_rule_the_link_and_the_region() -> None:
    dated = replace(BY_REGISTRY, since=HOUR, conditions={"account_subtree": frozenset({"umcg"})})
    rules = _rules(UMCG, replace(LINK, fraction=Decimal("0.40")), rules=(dated,))
    assert why(rules, _subject("trial"), HOUR) == [
        "the rule applies from 1970-01-01T01:00:00Z",
        "account_subtree: trial < umcg",
        "registry: 0.4 of account umcg is for umcg (UMCG) at all times; GM0014 is in the region",
    ]
    assert why(rules, _subject("trial"), 0) == ["no rule holds"]


@given(dated_rules())
def test_kept_rules_are_read_back_as_they_were(rules: tuple[Rule, ...]) -> None:
    region = frozenset({"GM0014"})
    assert rules_from(rules_value(rules, region)) == (rules, region)


# --- what may not be ----------------------------------------------------------------------------------

BAD: list[tuple[RegistryEntry, str, str]] = [
    (replace(UMCG, kvk="1234567"), "kvk", "'1234567' is not a KvK number"),
    (replace(UMCG, kvk="0123456A"), "kvk", "is not a KvK number"),
    (replace(UMCG, kvk="٠١٢٣٤٥٦٧"), "kvk", "is not a KvK number"),
    (replace(UMCG, kvk=""), "kvk", "only organisations outside the Netherlands"),
    (replace(UMCG, municipality="GM9999"), "municipality", "is not a CBS code"),
    (replace(UMCG, municipality="Groningen"), "municipality", "is not a CBS code"),
    (replace(UMCG, category="charity"), "category", "is not one of business"),
    (replace(UMCG, sector="V"), "sector", "neither an SBI section"),
    (replace(UMCG, sector="Care"), "sector", "nor one of care, energy"),
    (replace(UMCG, hub="north"), "hub", "is not in registry.hubs, which has groningen, south"),
    (replace(UMCG, name=" "), "name", "is empty"),
    (replace(UMCG, organisation="UMCG"), "organisation", "is not a key"),
    (replace(UMCG, organisation=""), "organisation", "is not a key"),
    (replace(UMCG, since=1), "since", "whole UTC hour"),
    (replace(UMCG, until=HOUR + 1), "until", "whole UTC hour"),
    (replace(UMCG, since=2 * HOUR, until=HOUR), "until", "before it begins"),
    (replace(LINK, fraction=Decimal("1.01")), "fraction", "above 0 and at most 1"),
    (replace(LINK, fraction=Decimal(0)), "fraction", "above 0 and at most 1"),
    (replace(LINK, fraction=Decimal("0.1234567")), "fraction", "more than 6 decimals"),
    (replace(LINK, account="umgc"), "account", "no account 'umgc'"),
    (replace(PLANT, size="tiny"), "size", "is not one of micro, small"),
    (replace(PLANT, stage="unicorn"), "stage", "is not one of startup"),
    (replace(UMCG, size="large"), "size", "only recorded of businesses"),
    (replace(UMCG, stage="startup"), "stage", "only recorded of businesses"),
    (replace(LINK, access="backdoor"), "access", "is not one of playground"),
    (replace(LINK, granted=Decimal(5)), "until", "for an interval that ends"),
]


@pytest.mark.parametrize(("entry", "field", "reason"), BAD)
def test_an_entry_that_cannot_be_is_refused_by_field_and_reason(
    entry: RegistryEntry, field: str, reason: str
) -> None:
    present = Registry() if isinstance(entry, Organisation) else Registry().plus([UMCG])
    (found,) = entry_problems(present, [entry], TERMS)
    assert (found.entry, found.field) == (entry, field)
    assert reason in found.reason


AT_ODDS: list[tuple[list[RegistryEntry], RegistryEntry, str, str]] = [
    ([UMCG], replace(UMCG, since=HOUR), "since", "overlaps"),
    ([replace(UMCG, since=HOUR)], UMCG, "since", "overlaps"),
    ([UMCG], replace(PLANT, kvk=UMCG.kvk), "kvk", "is the number of umcg"),
    ([], LINK, "organisation", "is not registered"),
    ([replace(UMCG, since=HOUR)], LINK, "since", "not registered all the time"),
    ([replace(UMCG, until=HOUR), replace(UMCG, since=2 * HOUR)], LINK, "since", "not registered all"),
    ([UMCG, LINK], replace(LINK, since=HOUR), "since", "overlaps with the link"),
    ([UMCG, PLANT, *JOINT], replace(JOINT[1], since=HOUR), "since", "overlaps"),
    ([UMCG, PLANT, LINK], replace(LINK, organisation="plant", fraction=Decimal("0.1"), since=HOUR),
     "fraction", "add up to 1.1"),
    ([UMCG, LINK], replace(UMCG, until=HOUR), "until", "account umcg is linked"),
]  # fmt: skip


@pytest.mark.parametrize(("present", "entry", "field", "reason"), AT_ODDS)
def test_an_entry_at_odds_with_what_is_known_is_refused(
    present: list[RegistryEntry], entry: RegistryEntry, field: str, reason: str
) -> None:
    found = entry_problems(Registry().plus(present), [entry], TERMS)
    assert [(one.field, reason in one.reason) for one in found][:1] == [(field, True)], found


@pytest.mark.parametrize(
    "entries",
    [
        [UMCG, PLANT, LINK, *JOINT],
        [replace(UMCG, until=HOUR), replace(UMCG, since=HOUR), LINK],
        [replace(UMCG, until=HOUR), replace(PLANT, kvk=UMCG.kvk, since=HOUR)],
        [replace(UMCG, kvk="", municipality="")],
    ],
)
def test_entries_that_fit_together_are_taken(entries: list[RegistryEntry]) -> None:
    assert entry_problems(Registry(), entries, TERMS) == []


def test_what_is_said_twice_in_one_table_is_refused() -> None:
    found = entry_problems(Registry(), [UMCG, replace(UMCG, name="other")], TERMS)
    assert "is a second entry of the same from then" in [one.reason for one in found]


def test_what_is_known_just_so_is_no_news_and_what_is_known_otherwise_needs_correcting() -> None:
    present = Registry().plus([UMCG, LINK])
    other = replace(UMCG, name="University Medical Center Groningen")
    assert news(present, [UMCG, other, PLANT]) == [other, PLANT]
    assert [one.entry for one in known_otherwise(present, [UMCG, other, PLANT])] == [other]
    assert present.plus([other]).organisation("umcg", 0) == other


def test_an_organisation_is_ended_with_its_links_whatever_codes_have_gone_since() -> None:
    registry = Registry().plus([UMCG, PLANT, LINK, *JOINT])
    ended = registry.ended("umcg", HOUR)
    gone = replace(TERMS, municipalities={}, sectors=(), hubs=(), accounts=frozenset())
    assert entry_problems(registry, ended, gone) == []
    later = registry.plus(ended)
    assert later.organisation("umcg", HOUR) is None
    assert later.organisation("umcg", 0) == replace(UMCG, until=HOUR)
    assert [one.organisation for one in later.links if one.until == FOREVER] == ["plant"]


def test_an_entry_ended_where_it_begins_is_taken_back() -> None:
    registry = Registry().plus([replace(UMCG, since=HOUR)])
    assert registry.plus(registry.ended("umcg", HOUR)).organisations == ()


@given(st.lists(st.sampled_from([UMCG, PLANT, LINK, *JOINT]), unique=True), st.data())
def test_a_registry_that_was_let_through_never_gives_more_than_one(entries: list[Any], data: Any) -> None:
    """Whatever is refused, what is in the registry keeps to its rule."""
    registry = Registry()
    for entry in entries:
        since, until = data.draw(spans)
        dated = replace(entry, since=since, until=until)
        if not entry_problems(registry, [dated], TERMS):
            registry = registry.plus([dated])
    for account in TERMS.accounts:
        parts = Rules((BY_REGISTRY,), TREE, registry, REGION).parts(_subject(account))
        assert all(part.fraction > 0 for part in parts)


def test_a_promise_can_be_made_to_a_mode_of_access() -> None:
    """The mode is that of the link: of its own fraction, and of what a rule gives the linked organisation."""
    links = replace(LINK, access="regional"), replace(JOINT[0], access="fast_lane", until=HOUR), JOINT[1]
    who = frozenset({Membership("fast", 0, FOREVER, (("access", ("fast_lane", "playground")),))})
    by_registry = replace(_rules(UMCG, PLANT, *links), promises=who)
    given = replace(
        by_registry, rules=(replace(BY_REGISTRY, beneficiary=Beneficiary.REGIONAL, organisation="umcg"),)
    )

    def promised(rules: Rules, account: str, at: Instant = 0) -> list[tuple[str, str, str]]:
        answers = (answer.classification for answer in rules.classify(_subject(account), at))
        return [(answer.organisation, answer.access, answer.promises) for answer in answers]

    assert promised(by_registry, "joint") == [("umcg", "fast_lane", "fast"), ("plant", "", ""), ("", "", "")]
    assert promised(by_registry, "joint", HOUR) == [("plant", "", ""), ("", "", "")]
    assert promised(by_registry, "umcg") == [("umcg", "regional", "")]
    assert promised(given, "joint") == [("umcg", "fast_lane", "fast")]
    assert promised(given, "joint", HOUR) == [("umcg", "", "")]
    unasked = replace(by_registry, promises=frozenset())
    assert unasked.mostly(_subject("umcg"), 0).access == ""


def test_a_mode_of_access_changes_the_digest_only_where_a_promise_is_made_to_one() -> None:
    who = frozenset({Membership("fast", 0, FOREVER, (("access", ("fast_lane",)),))})
    one, other = (_rules(UMCG, replace(LINK, access=mode)) for mode in ("regional", "fast_lane"))
    assert one.digest == other.digest
    assert replace(one, promises=who).digest != replace(other, promises=who).digest
