"""Pseudonyms: the names go, and no total of any time changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.programme.retention import Due
from slurm_ai_factory.core.records import HOUR, Instant, Measurement, Rejected, Run, Subject
from slurm_ai_factory.core.rules.classify import Beneficiary, Rule, Rules
from slurm_ai_factory.ledger import Ledger, open_ledger, privacy
from tests.ledger.generated import histories_in_one_ledger
from tests.ledger.test_accounting import (
    ALL,
    NOW,
    RULES,
    SETTLED,
    T0,
    WEIGHTS,
    clusters,
    ended,
    histories,
    measure,
    record,
    running,
)  # fmt: skip

AFTER = NOW + 10


def books(ledger: Ledger) -> dict[tuple[object, ...], object]:
    """Hourly usage without users."""
    rows = ledger.store.connection.execute(
        "SELECT t.tres, t.hour, s.account, s.partition, sum(t.delivered), sum(t.waiting) FROM tres_usage t "
        "JOIN subjects s USING (subject_id) WHERE s.cluster_id = %s GROUP BY 1, 2, 3, 4",
        (ledger.accounting.cluster_id,),
    )
    return {row[:4]: row[4:] for row in rows}


def names(ledger: Ledger, before: Instant) -> set[str]:
    """Users of runs that were over before an instant, versions included."""
    rows = ledger.store.connection.execute(
        "SELECT s.user_name FROM subjects s JOIN runs r USING (subject_id) "
        "WHERE r.cluster_id = %(id)s AND coalesce(r.end_at, r.missing_since) < %(before)s UNION "
        "SELECT s.user_name FROM subjects s JOIN run_versions v USING (subject_id) "
        "JOIN runs r ON (r.cluster_id, r.db_index) = (v.cluster_id, v.db_index) "
        "WHERE r.cluster_id = %(id)s AND coalesce(r.end_at, r.missing_since) < %(before)s",
        {"id": ledger.accounting.cluster_id, "before": before},
    )
    return {row[0] for row in rows}


def pseudonymise(ledger: Ledger, before: Instant = NOW, keep: tuple[str, ...] = ()) -> tuple[int, int]:
    return ledger.privacy.retain(Due(users=before), keep, at=AFTER, actor="officer")[:2]


@histories_in_one_ledger
@given(history=histories(), before=st.integers(T0, NOW), batch=st.integers(1, 9))
def test_no_total_of_any_time_changes(
    ledger_url: str, history: list[list[Run]], before: Instant, batch: int
) -> None:
    cluster = next(clusters)
    with open_ledger(ledger_url, cluster) as ledger, pytest.MonkeyPatch.context() as patch:
        patch.setattr(privacy, "BATCH", batch)
        for step, read in enumerate(history):
            named = [one._replace(subject=one.subject._replace(cluster=cluster)) for one in read]
            ledger.intake.record(named, T0, NOW + step, at=NOW + step)
        told = books(ledger), [plain(measure(ledger, ALL, NOW, NOW + n)) for n in range(len(history))]
        pseudonymise(ledger, before)
        assert books(ledger) == told[0]
        assert [plain(measure(ledger, ALL, NOW, NOW + n)) for n in range(len(history))] == told[1]
        assert all(name.startswith("~") for name in names(ledger, before))
        assert pseudonymise(ledger, before) == (0, 0), "nothing is left to do"


def plain(measured: Measurement) -> Measurement:
    return replace(measured, newest_record_at=None)


def test_the_same_person_stays_one_person_and_younger_runs_keep_their_name(ledger: Ledger) -> None:
    late = ended(3)._replace(start_at=NOW - HOUR, end_at=NOW, elapsed_seconds=HOUR)
    other = ended(4)._replace(subject=ended().subject._replace(user="b"))
    record(ledger, [ended(1), ended(2), other, late, running(5)])
    assert pseudonymise(ledger) == (3, 2)
    rows = ledger.store.connection.execute(
        "SELECT db_index, user_name FROM runs JOIN subjects USING (subject_id) ORDER BY db_index"
    )
    found = {int(row[0]): row[1] for row in rows}
    assert found[1] == found[2] != found[4]
    assert found[3] == found[5] == "a"
    noted = ledger.store.connection.execute("SELECT before, runs, users, actor FROM pseudonymisations")
    assert noted.fetchall() == [(NOW, 3, 2, "officer")]


def test_users_that_rules_name_keep_their_names(ledger: Ledger) -> None:
    """Those of the rules now, and those of rules that a past report was made by."""
    by_user = Rule(name="u", beneficiary=Beneficiary.REGIONAL, conditions={"user": frozenset({"b"})})
    ledger.registry.keep_rules([by_user], frozenset(), T0)
    ledger.registry.keep_rules(RULES.rules, frozenset(), T0 + HOUR)
    three = [
        ended(n)._replace(subject=ended().subject._replace(user=user)) for n, user in enumerate("abc", 1)
    ]
    record(ledger, three)
    before = measure(ledger, ALL, NOW, rules=Rules((by_user,)))
    assert pseudonymise(ledger, keep=("c",)) == (1, 1)
    assert {name for name in names(ledger, NOW) if not name.startswith("~")} == {"b", "c"}
    assert measure(ledger, ALL, NOW, rules=Rules((by_user,))) == before


def test_a_run_that_is_told_again_gets_its_name_back_until_the_next_time(
    ledger: Ledger, ledger_url: str
) -> None:
    record(ledger, [ended(1)])
    pseudonymise(ledger)
    total = measure(ledger, ALL, NOW).total_charge
    with open_ledger(ledger_url, "c") as other:
        record(other, [ended(1)], NOW + 1)
    assert "a" in names(ledger, NOW)
    assert measure(ledger, ALL, NOW).total_charge == total
    assert pseudonymise(ledger)[0] == 1
    assert "a" not in names(ledger, NOW)


def test_lines_that_were_no_runs_are_withheld(ledger: Ledger) -> None:
    record(ledger, [ended(1), Rejected("1|jan|broken", "too short: 'jan'")])
    ledger.privacy.retain(Due(lines=NOW + 1), (), at=AFTER, actor="officer")
    (row,) = ledger.store.connection.execute("SELECT line, reason FROM rejected_lines").fetchall()
    assert "jan" not in row[0]
    assert row[1] == "too short: ~"


def test_nothing_but_the_user_of_a_subject_changes(ledger: Ledger) -> None:
    whole = Subject("c", "umcg", "a", "gpu", "long", "wc", "resv", "word")
    record(ledger, [ended(1)._replace(subject=whole)])
    pseudonymise(ledger)
    row = ledger.store.connection.execute(
        "SELECT s.account, s.partition, s.qos, s.wckey, s.reservation, s.comment, s.override "
        "FROM runs JOIN subjects s USING (subject_id)"
    ).fetchone()
    assert row == ("umcg", "gpu", "long", "wc", "resv", "word", "")
    assert ledger.classified(RULES).complete(), "it needs no new answer"
    assert list(ledger.classified(RULES).usage_by_subject(ALL, NOW, WEIGHTS))


def test_charge_by_subject_goes_with_the_runs_although_sums_were_saved(ledger: Ledger) -> None:
    record(ledger, [ended(1), ended(2)._replace(subject=ended().subject._replace(user="b"))])
    books = ledger.classified(RULES)
    books.keep_sums(ALL, SETTLED, WEIGHTS)
    assert sorted((row.subject.user, row.delivered) for row in books.usage_by_subject(ALL, NOW, WEIGHTS)) == [
        ("a", 100), ("b", 100),
    ]  # fmt: skip
    pseudonymise(ledger, keep=("b",))
    after = sorted((row.subject.user[:1], row.delivered) for row in books.usage_by_subject(ALL, NOW, WEIGHTS))
    assert after == [("b", 100), ("~", 100)]


def test_a_user_without_a_run_left_leaves_no_subject_behind(ledger: Ledger) -> None:
    record(ledger, [ended(1), running(2)])
    ledger.classified(RULES)
    later = ended(3)._replace(subject=ended().subject._replace(user="b"))
    record(ledger, [later], NOW + 1)
    pseudonymise(ledger)
    found = ledger.store.connection.execute("SELECT user_name FROM subjects").fetchall()
    assert sorted(row[0][0] for row in found) == ["a", "~", "~"], "a has an open run, b has none"


def test_a_run_that_was_withdrawn_keeps_no_name(ledger: Ledger) -> None:
    record(ledger, [running(9)], NOW - 1)
    record(ledger, [ended(1)], NOW)
    ledger.intake.withdraw(NOW, at=NOW + 1, actor="operator", reason="wrong clock")
    assert pseudonymise(ledger, NOW + 5)[0] == 1
    rows = ledger.store.connection.execute(
        "SELECT v.db_index, s.user_name FROM run_versions v JOIN subjects s USING (subject_id)"
    )
    assert [(int(index), name[0]) for index, name in rows if index == 1] == [(1, "~")]
