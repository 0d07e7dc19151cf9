"""The registry in the ledger: nothing overwritten, the past as it was known, charges split as by the core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.records import FOREVER, HOUR, Association, Charge, Instant, Run, Subject
from slurm_ai_factory.core.rules.classify import Beneficiary, Rule, Rules
from slurm_ai_factory.core.rules.organisations import (
    Codes,
    Link,
    Organisation,
    RegistryEntry,
    always_regional,
)
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Ledger, open_ledger
from tests.conftest import by_hand
from tests.ledger.generated import histories_in_one_ledger
from tests.ledger.test_accounting import (
    ALL,
    NOW,
    SETTLED,
    T0,
    WEIGHTS,
    clusters,
    ended,
    record,
    running,
    runs,
)

TERMS = Codes(
    municipalities={"GM0014": "Groningen"}, sectors=("care",), hubs=(),
    accounts=frozenset({"umcg", "astro", "visitors"}),
)  # fmt: skip
REGION = always_regional({"GM0014"})
UMCG = Organisation(
    organisation="umcg", name="UMCG", kvk="01234567", category="knowledge_institution", sector="care",
    municipality="GM0014", since=0,
)  # fmt: skip
PLANT = replace(UMCG, organisation="plant", name="Plant", kvk="", municipality="", category="business")
BY_REGISTRY = (Rule(name="registry", beneficiary=None, conditions={}),)
Sums = dict[tuple[str, str], Charge]


def tell(ledger: Ledger, *entries: RegistryEntry, at: Instant = NOW, correct: bool = False) -> None:
    said = {"at": at, "actor": "jan@host", "reason": "a letter of today"}
    assert ledger.registry.record(entries, TERMS, said, correct=correct).problems == ()


def charges(ledger: Ledger, rules: Rules, then: Instant | None = None) -> Sums:
    """By organisation and beneficiary."""
    books = ledger.classified(rules, then)
    groups = share.by_group(
        lambda _, who: (who.organisation,), WEIGHTS, ALL, NOW,
        closed=books.usage_by_subject(ALL, NOW, WEIGHTS), open_runs=books.open_runs(),
    )  # fmt: skip
    return {(one.name, str(one.beneficiary)): one.delivered for one in groups}


def now_and_kept(ledger: Ledger) -> Sums:
    """The charges as they are, which the sums must agree with, saved or not."""
    rules = ledger.rules_of(BY_REGISTRY, REGION)
    found, books = charges(ledger, rules), ledger.classified(rules)
    promise = share.Promise(cluster="c", target_share=0.25, margin=0.01, resource=Resource(WEIGHTS))
    for keep in (False, True):
        if keep:
            books.keep_sums(ALL, SETTLED, WEIGHTS)
        measured = share.measure_window(
            promise, ALL, NOW, closed=books.usage_by_hour(ALL, NOW, WEIGHTS), open_runs=books.open_runs(),
            capacity=None, newest_record_at=None,
        )  # fmt: skip
        assert charges(ledger, rules) == found
        assert measured.total_charge == sum(found.values())
        assert measured.regional_charge == sum(v for (_, who), v in found.items() if who == "regional")
    return found


cuts = st.integers(1, 47).map(lambda hour: T0 + hour * HOUR)


@histories_in_one_ledger
@given(told=st.lists(st.integers(1, 5).flatmap(runs), max_size=5, unique_by=lambda run: run.db_index),
       moved=cuts, joined=cuts, fraction=st.integers(1, 99))  # fmt: skip
def test_the_sums_in_the_ledger_are_the_cores_own_split_by_dates_and_fractions(
    ledger_url: str, told: list[Run], moved: Instant, joined: Instant, fraction: int
) -> None:
    part = Decimal(fraction) / 100
    entries: Sequence[RegistryEntry] = (
        replace(UMCG, until=moved), replace(UMCG, municipality="", kvk="", since=moved), PLANT,
        Link(organisation="umcg", account="umcg", since=0, fraction=part),
        Link(organisation="plant", account="umcg", since=joined, fraction=1 - part),
        Link(organisation="plant", account="astro", since=0, until=joined),
    )  # fmt: skip
    cluster = next(clusters)
    with open_ledger(ledger_url, cluster) as ledger:
        named = [one._replace(subject=one.subject._replace(cluster=cluster)) for one in told]
        record(ledger, named)
        with by_hand(ledger_url) as connection:
            connection.execute("DELETE FROM organisations")
        tell(ledger, *entries)
        rules = ledger.rules_of(BY_REGISTRY, REGION)
        expected: Sums = {}
        for one in named:
            for p in rules.parts(one.subject):
                key = p.classification.organisation, str(p.classification.beneficiary)
                got = share.charge_of_part(one, p, WEIGHTS, ALL, NOW)
                expected[key] = expected.get(key, 0) + got
        assert now_and_kept(ledger) == {key: value for key, value in expected.items() if value}


def test_what_was_known_at_an_instant_stays_known_of_that_instant(ledger: Ledger) -> None:
    record(ledger, [ended(seconds=2 * HOUR), running(2)])
    tell(ledger, UMCG, Link(organisation="umcg", account="umcg", since=0), at=NOW + 10)
    before = charges(ledger, ledger.rules_of(BY_REGISTRY, REGION, NOW + 10), NOW + 10)
    tell(ledger, *ledger.registry.known().ended("umcg", T0 + HOUR), at=NOW + 20, correct=True)
    after = now_and_kept(ledger)
    assert before == {("umcg", "regional"): 50 * HOUR}
    assert after == {("umcg", "regional"): 2 * HOUR, ("", "unclassified"): 48 * HOUR}
    assert charges(ledger, ledger.rules_of(BY_REGISTRY, REGION, NOW + 19), NOW + 19) == before
    assert ledger.registry.known(NOW + 9).organisations == ()


def test_nothing_is_overwritten_and_every_word_has_who_and_why(ledger: Ledger) -> None:
    tell(ledger, UMCG, at=1)
    tell(ledger, replace(UMCG, name="University Hospital"), at=2, correct=True)
    tell(ledger, *ledger.registry.known().ended("umcg", HOUR), at=3, correct=True)
    history = ledger.registry.history("umcg")
    assert [(row["recorded_at"], row["name"], row["until"]) for row in history] == [
        (1, "UMCG", FOREVER), (2, "University Hospital", FOREVER), (3, "University Hospital", HOUR)
    ]  # fmt: skip
    assert {(row["actor"], row["reason"]) for row in ledger.registry.history()} == {
        ("jan@host", "a letter of today")
    }


def test_a_table_with_one_wrong_entry_leaves_nothing(ledger: Ledger) -> None:
    wrong = Link(organisation="umcg", account="umgc", since=0)
    said = {"at": NOW, "actor": "jan", "reason": "import"}
    done = ledger.registry.record([UMCG, PLANT, wrong], TERMS, said)
    assert (done.new, [one.entry for one in done.problems]) == (0, [wrong])
    assert ledger.registry.history() == []


def test_saying_the_same_again_changes_nothing_and_saying_otherwise_must_be_meant(ledger: Ledger) -> None:
    said = {"at": NOW, "actor": "jan", "reason": "import"}
    tell(ledger, UMCG)
    assert ledger.registry.record([UMCG, PLANT], TERMS, said)[:2] == (1, 1)
    other = replace(UMCG, sector="A")
    assert ledger.registry.record([other], TERMS, said).problems[0].field == "since"
    assert ledger.registry.record([other], TERMS, said, correct=True)[:2] == (1, 0)
    assert ledger.registry.known().organisation("umcg", 0) == other


def test_an_organisation_of_two_clusters_has_the_links_of_each(ledger: Ledger, ledger_url: str) -> None:
    tell(ledger, UMCG, Link(organisation="umcg", account="umcg", since=0))
    with open_ledger(ledger_url, "d") as other:
        assert other.registry.known().organisations == (UMCG,)
        assert other.registry.known().links == ()


# --- overrides ----------------------------------------------------------------------------------------

REGIONAL = Rules(
    (Rule(name="r", beneficiary=Beneficiary.REGIONAL, conditions={"account": frozenset({"umcg"})}),)
)


def override(ledger: Ledger, job: str, beneficiary: str | None, at: Instant) -> str:
    said = {"beneficiary": beneficiary, "organisation": "", "actor": "jan", "reason": "a test run"}
    return ledger.intake.override(job, said, at=at)[0]


def _with_overrides(ledger: Ledger, then: Instant | None = None) -> Sums:
    return charges(ledger, replace(REGIONAL, overrides=ledger.registry.overrides(then)), then)


def _job(db_index: int, label: str, run: Run) -> Run:
    return run._replace(db_index=db_index, job_id=db_index, job_label=label)


def test_an_override_moves_the_runs_of_its_job_and_no_other(ledger: Ledger) -> None:
    record(ledger, [_job(1, "7", ended()), _job(2, "8", ended(seconds=30)), _job(3, "9", running())])
    before = _with_overrides(ledger)
    assert before == {("", "regional"): 130 + 48 * HOUR}
    override(ledger, "7", "non_regional", NOW + 1)
    override(ledger, "9", "non_regional", NOW + 2)
    assert _with_overrides(ledger) == {("", "regional"): 30, ("", "non_regional"): 100 + 48 * HOUR}
    assert _with_overrides(ledger, NOW) == before
    assert _with_overrides(ledger, NOW + 1) == {("", "regional"): 30 + 48 * HOUR, ("", "non_regional"): 100}
    rules = {run.job_label: parts[0].classification.rule for run, parts in _runs_now(ledger)}
    assert rules == {"7": "override 1", "9": "override 2"}


def _runs_now(ledger: Ledger) -> list[share.SortedRun]:
    books = ledger.classified(replace(REGIONAL, overrides=ledger.registry.overrides()))
    return [*books.runs_of_job("7"), *books.runs_of_job("9")]


def test_a_run_stays_under_its_override_when_slurm_tells_it_anew(ledger: Ledger, ledger_url: str) -> None:
    record(ledger, [ended()], NOW)
    override(ledger, "7", "non_regional", NOW + 1)
    record(ledger, [ended()], NOW + 2)
    with open_ledger(ledger_url, "c") as other:
        record(other, [ended()], NOW + 3)
        record(other, [ended(seconds=60)], NOW + 4)
    assert _with_overrides(ledger) == {("", "non_regional"): 60}
    assert _with_overrides(ledger, NOW) == {("", "regional"): 100}


def test_an_override_is_taken_back_with_a_reason_of_its_own(ledger: Ledger) -> None:
    record(ledger, [ended()], NOW)
    override(ledger, "7", "non_regional", NOW + 1)
    override(ledger, "7", None, NOW + 2)
    assert _with_overrides(ledger) == {("", "regional"): 100}
    assert _with_overrides(ledger, NOW + 1) == {("", "non_regional"): 100}
    assert [one.beneficiary for one in ledger.registry.overrides().values()] == ["non_regional", None]


def test_an_override_of_a_job_the_ledger_lacks_leaves_nothing(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="job 7 is not in the ledger"):
        override(ledger, "7", "regional", NOW)
    assert ledger.registry.overrides() == {}


def test_a_run_that_slurm_lost_stays_lost_under_an_override(ledger: Ledger) -> None:
    record(ledger, [running()], T0 + 100, now=True)
    record(ledger, [], T0 + 200, now=True)
    override(ledger, "7", "non_regional", T0 + 300)
    assert _with_overrides(ledger) == {("", "non_regional"): 200}


# --- the rules of the past ----------------------------------------------------------------------------


def _row(account: str, parent: str | None) -> Association:
    return Association(cluster="c", account=account, parent=parent, raw_shares=1)


def test_the_rules_and_the_tree_of_an_instant_are_known_again(ledger: Ledger) -> None:
    tree = [_row("root", None), _row("regional", "root"), _row("umcg", "regional")]
    below = Rule(
        name="r", beneficiary=Beneficiary.REGIONAL, conditions={"account_subtree": frozenset({"regional"})}
    )
    ledger.intake.record_accounts(tree, 10)
    ledger.registry.keep_rules([below], ["GM0014"], 10)
    ledger.registry.keep_rules([below], ["GM0014"], 11)
    ledger.intake.record_accounts([*tree[:2], _row("umcg", "root")], 20)
    ledger.registry.keep_rules([], (), 30)
    assert ledger.registry.rules_used(9) is None
    subject = Subject("c", "umcg", "a", "main", "normal", "", "")

    def beneficiary(then: Instant) -> str:
        kept = ledger.registry.rules_used(then)
        assert kept is not None
        rules = ledger.rules_of(kept[0], always_regional(kept[1]), then)
        return str(rules.classify(subject, 0)[0].classification.beneficiary)

    assert [beneficiary(then) for then in (10, 19, 20, 30)] == [
        "regional", "regional", "unclassified", "unclassified"
    ]  # fmt: skip
    kept = ledger.store.connection.execute("SELECT recorded_at FROM rules_used ORDER BY 1").fetchall()
    assert kept == [(10,), (30,)]


def test_several_sets_of_rules_are_used_beside_each_other_and_old_ones_are_dropped(ledger: Ledger) -> None:
    record(ledger, [ended()])
    sets = [replace(REGIONAL, region=always_regional([f"GM{number:04}"])) for number in range(20)]
    first = ledger.classified(REGIONAL)
    first.keep_sums(ALL, SETTLED, WEIGHTS)
    assert ledger.classified(sets[0]).set_id != first.set_id
    assert ledger.classified(REGIONAL).set_id == first.set_id
    for rules in sets:
        assert ledger.classified(rules).complete()
    assert not first.complete(), "it was not used for long, and is made again when it is asked for"
    assert charges(ledger, REGIONAL) == {("", "regional"): 100}
    count = ledger.store.connection.execute("SELECT count(*) FROM rule_sets").fetchone()
    assert count == (8,)


def test_a_subject_seen_for_the_first_time_has_no_answer_until_it_is_asked_for(ledger: Ledger) -> None:
    books = ledger.classified(REGIONAL)
    assert books.complete()
    record(ledger, [ended()])
    assert not books.complete()
    assert ledger.classified(REGIONAL).complete()
