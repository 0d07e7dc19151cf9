"""Migrations, the writer's lock, and what an operator is told when PostgreSQL is not as it should be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from slurm_ai_factory.core import records
from slurm_ai_factory.core.control.level import Baseline
from slurm_ai_factory.core.rules.classify import Beneficiary, Rule
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Ledger, Store, open_ledger, sql
from slurm_ai_factory.ledger.connection import place
from tests.cluster.slurm import wait_until
from tests.conftest import as_role, by_hand, past_guards


@pytest.fixture
def empty_url(ledger_url: str) -> str:
    """A database without any schema, as its superuser; nothing in it is saf_owner's."""
    with by_hand(ledger_url) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return as_role(ledger_url, "postgres")


def test_migrating_twice_does_nothing_the_second_time(empty_url: str) -> None:
    with Store(empty_url) as store:
        assert store.migrate() == [one.name for one in sql.migrations()]
        assert store.migrate() == []
        store.check_schema()


def test_a_ledger_of_the_first_version_keeps_all_it_has(empty_url: str) -> None:
    """Runs, usage and the account tree stay; classifications and kept sums are made again when asked for."""
    first = sql.migrations()[0]
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute(first.statements.encode())
        connection.execute("CREATE TABLE migrations (name text PRIMARY KEY, digest text NOT NULL, "
                           "applied_at timestamptz NOT NULL DEFAULT now())")  # fmt: skip
        connection.execute("INSERT INTO migrations VALUES (%s, %s)", (first.name, first.digest))
        connection.execute(OF_THE_FIRST_VERSION.encode())
    with Store(empty_url) as store:
        store.migrate()
        store.check_schema()
    rule = Rule(name="r", beneficiary=Beneficiary.REGIONAL, conditions={"account": frozenset({"umcg"})})
    with open_ledger(empty_url, "c") as ledger:
        assert ledger.accounting.parents() == {"root": None, "umcg": "root"}
        rules = ledger.rules_of((rule,), frozenset())
        (found,) = ledger.classified(rules).usage_by_hour(records.Window("w", 0, 3600), 3600, {"cpu": 1})
        assert tuple(found) == (0, "regional", 400, 0, "")
        ledger.intake.record_accounts([], 1)


OF_THE_FIRST_VERSION = """
INSERT INTO clusters (name) VALUES ('c');
INSERT INTO accounts VALUES (1, 'root', ''), (1, 'umcg', 'root');
INSERT INTO tres (name) VALUES ('cpu');
INSERT INTO allocations (tres) VALUES ('cpu=4');
INSERT INTO allocation_tres VALUES (1, 1, 4);
INSERT INTO subjects (cluster_id, account, user_name, partition, qos, wckey, reservation)
VALUES (1, 'umcg', 'a', 'main', 'normal', '', '');
INSERT INTO classifications VALUES (1, 'digest', 'non_regional', 'n', '', '', '', '');
INSERT INTO hourly_usage VALUES (0, 1, 1, 100, 0);
INSERT INTO sums (cluster_id, digest, resource, read_id, known)
VALUES (1, 'digest', '1*cpu', 0, '{[0,3600)}');
INSERT INTO hourly_sums VALUES (1, 0, 'non_regional', 400, 0);
"""


def test_two_that_migrate_at_once_do_not_meet(empty_url: str) -> None:
    def migrate(_: int) -> list[str]:
        with Store(empty_url) as store:
            return store.migrate()

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(migrate, range(4)))
    assert sorted(map(len, done)) == [0, 0, 0, len(sql.migrations())]


def test_a_schema_of_another_version_is_named(ledger_url: str) -> None:
    with Store(past_guards(ledger_url)) as store:
        store.connection.execute("INSERT INTO migrations (name, digest) VALUES ('9999_later.sql', '')")
        with pytest.raises(LedgerError, match=r"newer version \(9999_later.sql\); upgrade saf"):
            store.check_schema()
        store.connection.execute("UPDATE migrations SET digest = 'x'")
        store.connection.execute("DELETE FROM migrations WHERE name LIKE '9999%'")
        with pytest.raises(LedgerError, match="differs from the one the ledger was made with"):
            store.check_schema()


def test_an_empty_database_is_told_to_be_migrated(empty_url: str) -> None:
    with pytest.raises(LedgerError, match="run: saf ledger migrate"), open_ledger(empty_url, "c"):
        pass


def test_one_writer_until_its_connection_ends(ledger_url: str) -> None:
    with Store(ledger_url) as first, Store(ledger_url) as second:
        assert first.lock(1)
        assert first.lock(1), "it may ask again"
        assert not second.lock(1)
        assert second.lock(2), "another cluster is another matter"
        assert str(second.leader(1)).startswith("saf@")
        first.close()
        wait_until(lambda: second.lock(1), "PostgreSQL to notice that the connection is closed", 120)


def test_a_pause_is_said_when_no_cycle_is_writing_any_more(ledger_url: str) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with open_ledger(ledger_url, "c") as daemon, open_ledger(ledger_url, "c") as operator:
        said = records.Pause(100, 200, "root@head", "maintenance")
        with ThreadPoolExecutor(1) as pool:
            with daemon.store.holding("writing", daemon.control.cluster_id):
                saying = pool.submit(operator.control.say_pause, said)
                wait_until(
                    lambda: daemon.store.connection.execute(waiting).fetchone() == (1,), "the pause", 120
                )
                assert daemon.control.pause(150) is None
            saying.result(timeout=120)
        assert daemon.control.pause(150) == said
        assert daemon.control.pause(200) is None


def test_a_connection_that_broke_is_made_again(ledger_url: str) -> None:
    with Store(ledger_url) as store:
        before = store.connection.info.backend_pid
        with psycopg.connect(ledger_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (before,))
        with pytest.raises(LedgerError, match="cannot be reached"):
            store.all("accounts", cluster_id=1, as_of=0)
        assert store.all("accounts", cluster_id=1, as_of=0) == []


@pytest.mark.parametrize(("rows", "blocks"), [(0, []), (1, [1]), (3, [3]), (4, [4]), (9, [4, 4, 1])])
def test_a_copy_comes_in_blocks_of_whole_rows(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch, rows: int, blocks: list[int]
) -> None:
    monkeypatch.setattr("slurm_ai_factory.ledger.store.BLOCK", 300)
    many = {"many": "SELECT repeat('x', 99) FROM generate_series(1, %(rows)s::integer)"}
    monkeypatch.setattr(sql, "queries", (sql.queries() | many).copy)
    with Store(ledger_url) as store:
        row = b"x" * 99 + b"\n"
        assert list(store.copy_out("many", {"rows": rows})) == [row * count for count in blocks]
        assert store.all("clusters") == [], "the connection is ready for the next question"


def test_a_copy_that_is_not_read_to_its_end_is_cancelled(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = {"many": "SELECT repeat('x', 10000) FROM generate_series(1, 10000000)"}
    monkeypatch.setattr(sql, "queries", (sql.queries() | many).copy)
    with Store(ledger_url) as store:
        rows = store.copy_out("many", {})
        assert len(next(rows)) > 2**24
        rows.close()  # type: ignore[attr-defined]
        assert store.all("clusters") == []


def test_a_copy_that_fails_on_its_way_is_told(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = {"failing": "SELECT 1 / (1000 - number) FROM generate_series(1, 2000) AS number"}
    monkeypatch.setattr(sql, "queries", (sql.queries() | failing).copy)
    with Store(ledger_url) as store:
        with pytest.raises(LedgerError, match="failed: division by zero"):
            list(store.copy_out("failing", {}))
        assert store.all("clusters") == []


def test_a_password_is_never_shown() -> None:
    assert place("postgresql://saf:secret@db.example:5433/saf") == "db.example:5433/saf"
    assert place("postgresql://saf:secret@one,two:5433/saf") == "one,two:5433/saf"
    with pytest.raises(LedgerError, match=r"ledger\.url cannot be read") as told:
        place("postgresql://saf:secret@[broken")
    assert "secret" not in str(told.value)
    assert told.value.__suppress_context__


def test_a_change_is_settled_once_by_what_was_read_back(ledger: Ledger) -> None:
    change = records.Change(cluster="c", account="regional", raw_shares_before=25, raw_shares_after=30)
    state = records.ControlState(at=100, u_ref=0.3)
    decision = records.Decision(
        at=100, reason="raise", sentence="s", inputs={"a": 1.5}, state=state, changes=(change,)
    )
    control = ledger.control
    (planned,) = control.record(decision, "enforce", "me", records.ChangeStatus.PLANNED)
    assert [one.change for one in control.planned()] == [change]
    assert control.settle(planned, at=101, raw_shares=30) == "applied"
    assert control.planned() == []
    control.settle(planned, at=102, raw_shares=25)
    assert [(entry["status"], entry["settled_at"]) for entry in control.history(9)] == [("applied", 101)]
    assert control.last_applied("regional") == 30
    assert control.last_state(200) == records.ControlState(at=100, u_ref=0.3, writes_last_day=1)
    assert control.last_state(100 + 86400 + 1) == records.ControlState(at=100, u_ref=0.3, writes_last_day=0)


def test_a_change_not_found_in_force_is_a_failure(ledger: Ledger) -> None:
    change = records.Change(cluster="c", account="regional", raw_shares_before=25, raw_shares_after=30)
    decision = records.Decision(at=100, reason="raise", sentence="s", inputs={}, changes=(change,))
    (planned,) = ledger.control.record(decision, "enforce", "me", records.ChangeStatus.PLANNED)
    assert ledger.control.settle(planned, at=101, raw_shares=25, note="why") == "failed"
    assert ledger.control.last_applied("regional") is None
    assert ledger.control.history(1)[0]["note"] == "why"


def test_the_first_baseline_stays_until_it_was_restored(ledger: Ledger) -> None:
    ledger.control.keep_baseline("regional", Baseline(25, 75), 1)
    ledger.control.keep_baseline("regional", Baseline(40, 75), 2)
    assert ledger.control.baselines() == {"regional": Baseline(25, 75)}
    ledger.control.drop_baseline("regional")
    ledger.control.keep_baseline("regional", Baseline(40, None), 3)
    assert ledger.control.baselines() == {"regional": Baseline(40, None)}


def test_objects_of_one_name_are_kept_apart(ledger: Ledger) -> None:
    """An account, a QOS and a partition may all be called regional."""
    control = ledger.control
    for value, lever in enumerate(records.LeverKind, 10):
        change = records.Change(
            cluster="c", account="regional", raw_shares_before=value, raw_shares_after=value + 100,
            lever=lever,
        )  # fmt: skip
        decision = records.Decision(at=100, reason="raise", sentence="s", inputs={}, changes=(change,))
        (planned,) = control.record(decision, "enforce", "me", records.ChangeStatus.PLANNED)
        assert [each.change for each in control.planned()] == [change]
        control.settle(planned, at=101, raw_shares=value + 100)
        control.keep_baseline("regional", Baseline(value, None), 101, lever)
    assert [control.last_applied("regional", lever) for lever in records.LeverKind] == [110, 111, 112]
    assert [control.baselines(lever)["regional"].raw_shares for lever in records.LeverKind] == [10, 11, 12]
    assert [(entry["object"], entry["attribute"]) for entry in control.history(9)] == [
        ("partition", "PriorityJobFactor"), ("qos", "Priority"), ("account", "RawShares"),
    ]  # fmt: skip
    control.drop_baseline("regional", records.LeverKind.QOS)
    assert [len(control.baselines(lever)) for lever in records.LeverKind] == [1, 0, 1]


def test_a_hold_is_told_since_it_began(ledger: Ledger) -> None:
    for at, reason in enumerate(["no_account", "at_set_point", "no_account", "no_account"]):
        ledger.control.record(
            records.Decision(at=at, reason=reason, sentence="s", inputs={}),
            "observe",
            "me",
            records.ChangeStatus.OBSERVED,
        )
    assert ledger.control.reason_since("no_account") == 2
