"""Every row that is recorded is in the chain, and none of them can be changed, removed or added unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import pytest
from psycopg.sql import SQL, Identifier, Literal

from slurm_ai_factory.core.programme.retention import Due
from slurm_ai_factory.core.records import DAY
from slurm_ai_factory.ledger import Ledger, open_ledger
from tests.conftest import by_hand, past_guards
from tests.ledger.test_accounting import NOW, ended, record, running
from tests.ledger.test_people import fill

Change = Callable[[str], None]


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """One row or more of everything that people and Slurm tell."""
    fill(ledger)
    record(ledger, [running(7)], NOW + 3600)
    record(ledger, [ended(7)], NOW + 7200)
    return ledger


def checks(ledger: Ledger) -> dict[str, int]:
    """check -> how many differ."""
    chain = ledger.chain
    found = {"chain": chain.walked(), "records": chain.records(), "reads": chain.reads()}
    found |= {"versions": chain.versions(), "overrides": ledger.derived.overrides()}
    return {name: one.differing for name, one in found.items() if one.differing}


def changed(ledger: Ledger, statement: str) -> int:
    """As somebody who owns the database and switches its guards off."""
    with by_hand(ledger.store.url) as connection:
        return connection.execute(statement.encode()).rowcount


def test_what_nobody_touched_agrees(filled: Ledger) -> None:
    assert checks(filled) == {}
    assert filled.chain.records().rows > 10
    reads = filled.store.connection.execute("SELECT read_id FROM reads").fetchall()
    assert filled.chain.reads().rows == len(reads) > 2


def test_anyone_can_work_out_the_chain_again(filled: Ledger) -> None:
    """With nothing but SQL to read it, JSON and SHA-256."""
    before = ""
    rows = filled.store.connection.execute(
        "SELECT entry, table_name, row_key, format, digest, hash FROM chain ORDER BY entry"
    ).fetchall()
    for entry, name, key, form, digest, told in rows:
        text = json.dumps([before, entry, name, key, form, digest], ensure_ascii=False)
        before = hashlib.sha256(text.encode()).hexdigest()
        assert before == told
    head = filled.chain.head()
    assert head is not None
    assert (head.entry, head.hash) == (len(rows), before)
    assert filled.chain.find(before.upper()) == head
    assert filled.chain.find("0" * 64) is None


def test_every_column_of_every_chained_table_is_under_its_digest_or_left_out_for_a_reason(
    filled: Ledger,
) -> None:
    columns = filled.store.connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name IN (SELECT name FROM chained())"
    ).fetchall()
    under = filled.store.connection.execute("SELECT name, unnest(columns) FROM chained()").fetchall()
    left_out = {one for one in columns if one[1] != "salt"} - set(under)
    assert left_out == {("reads", "withdrawn_at"), ("reads", "withdrawal_id")}, "withdrawals are chained"
    assert set(under) <= set(columns)


def test_a_row_that_is_removed_or_added_by_hand_is_found(filled: Ledger) -> None:
    tried = set()
    with open_ledger(past_guards(filled.store.url), "c") as ledger:
        connection = ledger.store.connection
        for (name,) in ledger.store.all("chained_tables"):
            with connection.transaction(force_rollback=True):
                one = SQL("DELETE FROM {0} WHERE ctid = (SELECT ctid FROM {0} LIMIT 1)")
                if connection.execute(one.format(Identifier(name))).rowcount:
                    found = ledger.chain.records()
                    assert (found.differing, found.first.partition(" ")[0]) == (1, name)
                    tried.add(name)
            with connection.transaction(force_rollback=True):
                entries = SQL("DELETE FROM chain WHERE table_name = {}").format(Literal(name))
                if connection.execute(entries).rowcount:
                    assert ledger.chain.records().first.partition(" ")[0] == name
    assert tried >= {
        "changes", "decisions", "expertise_entries", "links", "organisations", "overrides", "reads",
    }  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE runs SET elapsed_seconds = elapsed_seconds + 1 WHERE db_index = 7",
        "UPDATE runs SET state = 'FAILED' WHERE db_index = 7",
        "UPDATE runs SET read_id = read_id - 1 WHERE db_index = 7",
        "UPDATE runs SET read_id = NULL WHERE db_index = 7",
        "UPDATE run_versions SET state = 'PENDING' WHERE db_index = 7",
        "DELETE FROM run_versions WHERE db_index = 7",
        "DELETE FROM runs WHERE db_index = 7",
        "INSERT INTO runs (cluster_id, db_index, job_id, job_label, subject_id, state, elapsed_seconds, "
        "suspended_seconds, req_id, alloc_id, recorded_at) "
        "SELECT cluster_id, 999, job_id, job_label, subject_id, state, elapsed_seconds, suspended_seconds, "
        "req_id, alloc_id, recorded_at FROM runs WHERE db_index = 7",
        "UPDATE subjects SET account = 'other' "
        "WHERE subject_id = (SELECT subject_id FROM runs WHERE db_index = 7)",
        "UPDATE allocations SET tres = tres || ',x=1' "
        "WHERE allocation_id = (SELECT alloc_id FROM runs WHERE db_index = 7)",
    ],
)
def test_a_run_that_is_changed_by_hand_is_found_in_the_read_that_told_it(
    filled: Ledger, statement: str
) -> None:
    assert changed(filled, statement) == 1
    assert "reads" in checks(filled)


FORGED = {
    "records": """INSERT INTO withdrawn_rows SELECT 1, 'links', to_jsonb(l) FROM links l;
        UPDATE links SET fraction = 0.5""",
    "versions": "UPDATE run_versions SET superseded_at = superseded_at + 1 WHERE db_index = 7",
    "overrides": """UPDATE runs SET subject_id = (
        SELECT subject_id FROM subjects WHERE override = '' AND account = 'umcg' LIMIT 1
    ) WHERE db_index = 2""",
}


@pytest.mark.parametrize("check", FORGED)
def test_a_forgery_that_leaves_a_copy_of_what_it_changed_is_found(filled: Ledger, check: str) -> None:
    changed(filled, FORGED[check])
    assert check in checks(filled)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO run_versions SELECT r.cluster_id, r.db_index, r.job_id, r.job_label, r.subject_id, "
        "r.state, r.submit_at, r.eligible_at, r.start_at, r.end_at, r.elapsed_seconds, r.suspended_seconds, "
        "r.req_id, r.alloc_id, r.energy_joules, r.recorded_at, r.missing_since, 9000000000000, r.read_id "
        "FROM runs r WHERE db_index = 2",
        "UPDATE runs SET recorded_at = 9000000000000 WHERE db_index = 2",
    ],
)
def test_a_run_that_is_there_twice_or_was_recorded_by_nobody_is_found(filled: Ledger, statement: str) -> None:
    assert changed(filled, statement) == 1
    assert set(checks(filled)) == {"versions"}


def test_two_entries_of_one_row_are_found(filled: Ledger) -> None:
    changed(filled, "UPDATE links SET fraction = 0.5")
    again = """SELECT add_to_chain(
            'links', chained_text(to_jsonb(l), c.key, '{}'), c.format,
            sha256_of(chained_text(to_jsonb(l), c.columns, c.people))
        ) FROM links l, chained() c WHERE c.name = 'links'"""
    changed(filled, again)
    assert set(checks(filled)) == {"records"}


def test_a_run_that_is_said_to_be_missing_by_hand_is_found(filled: Ledger) -> None:
    record(filled, [running(8)], NOW + 10800)
    assert changed(filled, f"UPDATE runs SET missing_since = {NOW + 10800} WHERE db_index = 8") == 1
    assert "reads" in checks(filled)


def test_newest_rows_cut_off_with_their_entries_are_found_by_a_copy_of_the_head(filled: Ledger) -> None:
    copy = filled.chain.head()
    assert copy is not None
    changed(filled, f"DELETE FROM chain WHERE entry = {copy.entry}")
    changed(filled, "DELETE FROM reads WHERE read_id = (SELECT max(read_id) FROM reads)")
    changed(filled, "DELETE FROM runs WHERE db_index = 7")
    assert filled.chain.walked().differing == 0, "a shorter chain is whole by itself"
    assert filled.chain.find(copy.hash) is None


def test_a_withdrawn_read_leaves_a_chain_that_agrees(filled: Ledger) -> None:
    filled.intake.withdraw(NOW + 3600, at=NOW + 9000, actor="a", reason="wrong clock")
    assert checks(filled) == {}
    record(filled, [ended(7)], NOW + 10800)
    assert checks(filled) == {}


def test_overrides_and_forgotten_names_leave_a_chain_that_agrees(filled: Ledger) -> None:
    said = {"beneficiary": "regional", "organisation": "", "actor": "a", "reason": "r"}
    filled.intake.override("7", said, at=NOW + 9000)
    assert checks(filled) == {}
    gone = filled.privacy.retain(Due(*[NOW + DAY] * 4), (), at=NOW + DAY, actor="a")
    assert min(gone) > 0, "names, texts and lines are gone"
    assert checks(filled) == {}


def test_rows_from_before_there_was_a_chain_are_taken_in(filled: Ledger) -> None:
    """As the migration finds them: without entries, without reads to their runs."""
    changed(filled, "TRUNCATE chain")
    changed(filled, "UPDATE runs SET read_id = NULL")
    changed(filled, "UPDATE run_versions SET read_id = NULL")
    changed(filled, "UPDATE reads SET runs_digest = NULL, missing_digest = NULL")
    changed(filled, "SELECT adopt_into_chain()")
    assert checks(filled) == {}
    assert changed(filled, "UPDATE runs SET state = 'FAILED' WHERE db_index = 7") == 1
    assert "reads" in checks(filled)
