"""One person's data: found wherever it is, forgotten without a total moving, and not told again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.sql import SQL, Identifier

from slurm_ai_factory.core.fingerprint import RowsDigest
from slurm_ai_factory.core.programme.expertise import NewEntry
from slurm_ai_factory.core.programme.personal import personal
from slurm_ai_factory.core.programme.retention import Due
from slurm_ai_factory.core.records import FOREVER, HOUR, Change, ChangeStatus, Decision, Pause, Rejected, Run
from slurm_ai_factory.core.rules.classify import Beneficiary, Rule
from slurm_ai_factory.core.rules.organisations import Codes, Link, Organisation
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Ledger, open_ledger
from slurm_ai_factory.ledger.privacy import PERSONAL
from slurm_ai_factory.ledger.publishing import FingerprintSpan
from tests.conftest import by_hand
from tests.ledger.generated import in_one_ledger
from tests.ledger.test_accounting import ALL, NOW, RULES, T0, ended, measure, record, running
from tests.ledger.test_privacy import books

NAME = "jan-w.smit"
STAFF = f"{NAME}@login1"
OTHER = "piet"
SAID = {"at": NOW + 9, "actor": "officer", "reason": "request 17"}
TOLD = f"put right for {NAME}."
DAY = date(2027, 1, 11)
INTERVAL = FingerprintSpan(T0, NOW, DAY, DAY + timedelta(days=1), NOW + 100)


def of(user: str, run: Run) -> Run:
    return run._replace(subject=run.subject._replace(user=user))


def fill(ledger: Ledger) -> None:
    """A user's runs, and the name in every text that anybody can write."""
    ended_before = of(NAME, ended(1))
    line = Rejected(f"7|{NAME}|broken", f"'{NAME}' is not an instant")
    told: list[Run | Rejected] = [ended_before, of(OTHER, ended(2)), of(NAME, running(3)), line]
    record(ledger, told)
    record(ledger, [ended_before._replace(elapsed_seconds=HOUR // 2)], NOW + 1)
    said = {"at": NOW, "actor": STAFF, "reason": TOLD}
    plant = Organisation(organisation="plant", name="Plant", kvk="", category="business", sector="C",
                         municipality="", since=0)  # fmt: skip
    terms = Codes(municipalities={}, sectors=(), hubs=(), accounts=frozenset({"umcg"}))
    done = ledger.registry.record([plant, Link(organisation="plant", account="umcg", since=0)], terms, said)
    assert not done.problems
    wanted = {"beneficiary": "regional", "organisation": "", "actor": STAFF, "reason": TOLD}
    ledger.intake.override("7", wanted, at=NOW + 2)
    ledger.control.say_pause(Pause(NOW, NOW + HOUR, STAFF, TOLD))
    hours = NewEntry(day=DAY, organisation="plant", role="jurist", hours=Decimal(2), activity=TOLD)
    (entry,) = ledger.expertise.add([hours], at=NOW, actor=STAFF)
    ledger.expertise.correct(entry, Decimal(1), TOLD, at=NOW, actor=STAFF)
    change = Change(cluster="c", account="umcg", raw_shares_before=1, raw_shares_after=2)
    decision = Decision(at=NOW, reason="paused", sentence=TOLD, inputs={}, changes=(change,))
    for planned in ledger.control.record(decision, "enforce", STAFF, ChangeStatus.PLANNED):
        ledger.control.settle(planned, at=NOW, raw_shares=1, note=TOLD)


def dump(ledger: Ledger) -> Iterator[tuple[str, str]]:
    """(table.column, value) of every value of the database, whatever its type, as text."""
    columns = ledger.store.connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
    ).fetchall()
    for table, column in columns:
        query = SQL("SELECT {}::text FROM {}").format(Identifier(column), Identifier(table))
        for (value,) in ledger.store.connection.execute(query):
            yield f"{table}.{column}", value or ""


def with_name(ledger: Ledger) -> set[str]:
    return {where for where, value in dump(ledger) if NAME in value}


def held_runs(ledger: Ledger) -> int:
    return next(one.rows for one in ledger.persons.held(NAME) if one.table == "runs")


STAFF_COLUMNS = {f"{one.table}.{column}" for one in PERSONAL for column in one.staff}


def fingerprint(ledger: Ledger) -> list[RowsDigest]:
    return ledger.publishing.fingerprint(INTERVAL)


def test_a_forgotten_name_is_nowhere_in_the_database_and_no_total_has_moved(ledger: Ledger) -> None:
    fill(ledger)
    told = books(ledger), measure(ledger, ALL, NOW), measure(ledger, ALL, NOW, NOW), fingerprint(ledger)
    gone = ledger.persons.forget(NAME, (), SAID)
    assert (gone.runs, gone.lines) == (2, 1)
    assert with_name(ledger) <= STAFF_COLUMNS, "who did it stays until its own retention"
    assert with_name(ledger)
    now = books(ledger), measure(ledger, ALL, NOW), measure(ledger, ALL, NOW, NOW), fingerprint(ledger)
    assert now == told
    ledger.privacy.retain(Due(staff=NOW + 100), (), at=NOW + 200, actor="officer")
    assert with_name(ledger) == set()
    assert fingerprint(ledger) == told[-1]


def test_a_forgotten_name_that_slurm_tells_again_does_not_come_back(ledger: Ledger, ledger_url: str) -> None:
    fill(ledger)
    ledger.persons.forget(NAME, (), SAID)
    ledger.privacy.retain(Due(staff=NOW + 100), (), at=NOW + 200, actor="officer")
    lines = [Rejected(f"8|{NAME}|x", f"no job of {NAME}"), Rejected(f"7|{NAME}|broken", "again")]
    again: list[Run | Rejected] = [of(NAME, ended(1)), of(NAME, ended(3)), of(NAME, ended(4)), *lines]
    for number, reader in enumerate((ledger, None)):
        with open_ledger(ledger_url, "c") as other:
            done = record(reader or other, again, NOW + 300 + number)
        assert not [one for one in done.new_rejected if NAME in f"{one.line}{one.reason}"]
    assert with_name(ledger) == set()
    rows = ledger.store.connection.execute(
        "SELECT DISTINCT user_name FROM runs JOIN subjects USING (subject_id) WHERE db_index IN (1, 3, 4)"
    )
    assert len(rows.fetchall()) == 1, "the same person stays one person"


def test_deleting_the_key_of_pseudonyms_does_not_bring_a_forgotten_name_back(ledger: Ledger) -> None:
    record(ledger, [of(NAME, ended(1))])
    ledger.persons.forget(NAME, (), SAID)
    with by_hand(ledger.store.url) as owner:
        owner.execute("DELETE FROM pseudonym_keys")
    record(ledger, [of(NAME, ended(5))], NOW + 1)
    assert with_name(ledger) == set()
    assert held_runs(ledger) == 2


def test_what_is_held_of_a_person_is_told_by_table_with_its_span(ledger: Ledger) -> None:
    fill(ledger)
    found = {(one.table, one.column): one for one in ledger.persons.held(NAME)}
    assert found["runs", ""].rows == 2
    assert (found["runs", ""].fate, found["pauses", "reason"].fate) == ("pseudonym", "withheld")
    assert found["pauses", "actor"].fate == "staff"
    assert found["pauses", "reason"][2:5] == (1, NOW, NOW)
    assert {f"{table}.{column}" for table, column in found} >= with_name(ledger) - {"subjects.user_name"} - {
        "subjects.key"
    }, "every text that has the name is told"
    with ledger.store.snapshot():
        rows = list(ledger.persons.rows(NAME))
    assert {table for table, _ in rows} == {table for table, _ in found}, "and every row is given out"
    assert not [row for _, row in rows if NAME not in str(row)]


def test_after_pseudonyms_a_person_is_still_found_by_the_key(ledger: Ledger) -> None:
    record(ledger, [of(NAME, ended(1))])
    ledger.privacy.retain(Due(users=NOW), (), at=NOW + 1, actor="officer")
    assert held_runs(ledger) == 1
    assert ledger.persons.held("nobody") == []


def test_acts_are_noted_without_the_name(ledger: Ledger) -> None:
    record(ledger, [of(NAME, ended(1))])
    ledger.persons.note("show", NAME, SAID)
    ledger.persons.note("hold", NAME, SAID, until=NOW + 10)
    ledger.persons.forget(NAME, (), {**SAID, "at": NOW + 10})
    assert [(one.act, one.until, one.actor) for one in ledger.persons.acts(NAME)] == [
        ("show", None, "officer"), ("hold", NOW + 10, "officer"), ("forget", None, "officer"),
    ]  # fmt: skip
    assert ledger.persons.acts(OTHER) == []
    assert with_name(ledger) == set()


def test_a_person_that_is_held_keeps_the_name_until_the_hold_ends(ledger: Ledger) -> None:
    record(ledger, [of(NAME, ended(1)), of(OTHER, ended(2))])
    ledger.persons.note("hold", NAME, SAID, until=NOW + 100)
    held = ledger.persons.held_back(NOW + 50)
    assert held == {NAME}
    with pytest.raises(LedgerError, match=f"{NAME} is held until .*request 17.*--until now"):
        ledger.persons.forget(NAME, (), SAID)
    assert ledger.privacy.retain(Due(users=NOW), held, at=NOW + 50, actor="timer").runs == 1
    assert with_name(ledger)
    assert ledger.persons.held_back(NOW + 100) == set()
    ledger.persons.note("hold", NAME, SAID, until=FOREVER)
    ledger.persons.note("hold", NAME, SAID, until=NOW)
    assert ledger.persons.held_back(NOW + 1) == set(), "the newest counts"
    ledger.privacy.retain(Due(users=NOW), (), at=NOW + 200, actor="timer")
    assert with_name(ledger) == set()


def test_a_user_that_a_rule_names_is_not_forgotten(ledger: Ledger) -> None:
    record(ledger, [of(NAME, ended(1))])
    with pytest.raises(LedgerError, match=f"a rule names {NAME}; take the name out of the rules"):
        ledger.persons.forget(NAME, {NAME}, SAID)
    rule = Rule(name="u", beneficiary=Beneficiary.REGIONAL, conditions={"user": frozenset({NAME})})
    ledger.registry.keep_rules([rule], frozenset(), T0)
    ledger.registry.keep_rules(RULES.rules, frozenset(), T0 + 1)
    with pytest.raises(LedgerError, match="rules of an earlier time name"):
        ledger.persons.forget(NAME, (), SAID)
    with pytest.raises(LedgerError, match="holds nothing of nobody"):
        ledger.persons.forget("nobody", (), SAID)
    assert with_name(ledger)


def hashes(ledger: Ledger) -> dict[str, list[Any]]:
    """What a chain over the rows would be made of."""
    found = {}
    for one in PERSONAL:
        columns = SQL(", ").join(SQL("personal({}, salt)").format(Identifier(name)) for name in one.columns)
        query = SQL("SELECT {} FROM {} ORDER BY 1").format(columns, Identifier(one.table))
        found[one.table] = ledger.store.connection.execute(query).fetchall()
    return found


def salts(ledger: Ledger, table: str) -> int:
    query = SQL("SELECT count(salt) FROM {}").format(Identifier(table))
    (found,) = ledger.store.connection.execute(query).fetchone() or (0,)
    return int(found)


def test_texts_of_staff_go_by_their_age_and_what_is_hashed_over_them_stays(ledger: Ledger) -> None:
    fill(ledger)
    before = hashes(ledger), fingerprint(ledger)
    assert ledger.privacy.retain(Due(staff=NOW, texts=NOW), (), at=NOW + 3, actor="t")[3:] == (0, 0)
    first = ledger.privacy.retain(Due(staff=NOW + 3, texts=NOW + 3), (), at=NOW + 3, actor="t")
    assert (first.staff, first.texts) == (7, 8)
    kept = hashes(ledger)
    assert {table: rows for table, rows in kept.items() if table != "pseudonymisations"} == {
        table: rows for table, rows in before[0].items() if table != "pseudonymisations"
    }
    assert fingerprint(ledger) == before[1]
    assert with_name(ledger) == {"rejected_lines.line", "rejected_lines.reason", "subjects.key",
                                 "subjects.user_name"}  # fmt: skip
    salted = [one.table for one in PERSONAL if salts(ledger, one.table)]
    assert salted == ["pseudonymisations"], "no list of names brings one back"
    again = ledger.privacy.retain(Due(staff=NOW + 3, texts=NOW + 3), (), at=NOW + 3, actor="t")
    assert again[2:] == (0, 0, 0)


def test_a_note_that_is_settled_after_its_salt_is_gone_still_goes(ledger: Ledger) -> None:
    change = Change(cluster="c", account="umcg", raw_shares_before=1, raw_shares_after=2)
    decision = Decision(at=NOW, reason="raise", sentence="", inputs={}, changes=(change,))
    (planned,) = ledger.control.record(decision, "enforce", STAFF, ChangeStatus.PLANNED)
    with by_hand(ledger.store.url) as owner:
        owner.execute("UPDATE changes SET salt = NULL")
    ledger.control.settle(planned, at=NOW, raw_shares=1, note=TOLD)
    ledger.privacy.retain(Due(staff=NOW + 1, texts=NOW + 1), (), at=NOW + 3, actor="t")
    assert with_name(ledger) == set()


def test_retention_tells_when_it_went_through(ledger: Ledger) -> None:
    assert ledger.privacy.retained() == (None, None)
    record(ledger, [ended(1)])
    ledger.privacy.retain(Due(), (), at=NOW + 3, actor="t")
    assert ledger.privacy.retained() == (NOW + 3, NOW)


def test_every_column_of_who_and_why_is_known_as_personal(ledger: Ledger) -> None:
    """A table that is added with one of these has to be listed, with a salt."""
    rows = ledger.store.connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns "
        "JOIN information_schema.tables USING (table_schema, table_name) "
        "WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' "
        "AND column_name IN ('actor', 'reason', 'note', 'activity', 'sentence')"
    )
    listed = {(one.table, column) for one in PERSONAL for column in one.columns}
    words = {("decisions", "reason"), ("rejected_lines", "reason")}  # a code of ours; goes with its line
    decided = {("promise_terms", "actor"), ("promise_terms", "reason")}  # who promised what stays
    assert set(rows) - listed == words | decided


@in_one_ledger
@given(
    told=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    salt=st.uuids(),
)
def test_what_stands_for_a_text_is_the_same_in_the_ledger(ledger: Ledger, told: str, salt: Any) -> None:
    (found,) = ledger.store.connection.execute("SELECT personal(%s, %s)", (told, salt)).fetchone() or ("",)
    assert found == personal(told, str(salt))
    (again,) = ledger.store.connection.execute("SELECT personal(%s, NULL)", (found,)).fetchone() or ("",)
    assert again == found


@pytest.mark.parametrize(
    ("text", "named"),
    [("jan", True), ("for Jan.", True), ("jan@login1", True), ("(jan)", True), ("7|jan|x", True),
     ("jansen", False), ("jan-willem", False), ("jan.smit", False), ("x-jan", False), ("", False),
     ("_jan", False), ("a.jan", False), ("jan, and piet", True)],
)  # fmt: skip
def test_a_name_is_found_as_a_whole_word(ledger: Ledger, text: str, named: bool) -> None:
    (found,) = ledger.store.connection.execute("SELECT mentions(%s, 'jan')", (text,)).fetchone() or (None,)
    assert found is named


@in_one_ledger
@given(name=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8))
def test_a_name_of_any_characters_is_found_between_blanks(ledger: Ledger, name: str) -> None:
    row = ledger.store.connection.execute("SELECT mentions(%s, %s)", (f"x {name} x", name)).fetchone()
    assert row == (True,)


def test_nothing_of_another_person_is_touched(ledger: Ledger) -> None:
    record(ledger, [of(NAME, ended(1)), of(OTHER, ended(2)), of("jan", ended(4))])
    before = ledger.persons.held(OTHER)
    ledger.persons.forget("jan", (), SAID)
    assert ledger.persons.held(OTHER) == before
    assert with_name(ledger), "jan is another user"
