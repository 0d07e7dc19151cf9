"""What the roles of a ledger may do, tried on every column of every table and on every view."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date
from decimal import Decimal

import psycopg
import pytest
from psycopg.errors import ForeignKeyViolation, InsufficientPrivilege, RestrictViolation
from psycopg.sql import SQL, Composed, Identifier

from slurm_ai_factory.core import records
from slurm_ai_factory.core.charge import day_of
from slurm_ai_factory.core.control.foreign import Changer
from slurm_ai_factory.core.control.level import Baseline
from slurm_ai_factory.core.energy.allowed import AllowedPower, PowerKind
from slurm_ai_factory.core.energy.keeping import ActKind, ActOutcome, ReservationAct
from slurm_ai_factory.core.energy.meters import Kind, Placement, Reading
from slurm_ai_factory.core.programme.approval import ProposalKind
from slurm_ai_factory.core.programme.day_statement import SignedStatement
from slurm_ai_factory.core.programme.expertise import NewEntry
from slurm_ai_factory.core.programme.hubs import HubTerm
from slurm_ai_factory.core.programme.joint import JointWeight
from slurm_ai_factory.core.programme.retention import Due
from slurm_ai_factory.core.rules.classify import Beneficiary, Rule
from slurm_ai_factory.core.rules.organisations import Codes, Link, Organisation, RegistryEntry
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Ledger, Store, moving, open_ledger, rights, sql
from slurm_ai_factory.ledger.archives import ArchivedFile, ArchivedMonth
from slurm_ai_factory.ledger.audits import Audit
from slurm_ai_factory.ledger.publishing import Published
from tests.conftest import as_role, by_hand, new_ledger
from tests.core.programme.test_joint import TERM as JOINT
from tests.core.programme.test_terms import FIRST
from tests.ledger.test_accounting import ALL, NOW, T0, WEIGHTS, ended, record, running

DAEMON, READER, OWNER = "saf_daemon_login", "saf_reader_login", "postgres"
Connection = psycopg.Connection[tuple[object, ...]]

ALLOWED = {("rejected_lines", "last_read_at"): "a line is read again"}
"""Columns of facts that may become what the test writes, and why."""

MARK = "zq"
"""In every name and text that could tell a person."""

WHO = {"actor": f"{MARK}staff@host", "reason": f"{MARK}reason"}


@pytest.fixture(scope="module")
def full(postgresql: str) -> Iterator[str]:
    """A ledger with rows in every table."""
    with new_ledger(postgresql) as url:
        with open_ledger(url, "c") as ledger:
            _read(ledger)
            _say(ledger)
            _decide(ledger)
            later = NOW + 2 * records.DAY
            record(ledger, [_whose(ended(9))], later, now=True)
            ledger.intake.record_events([records.Size(T0, None, "cpu=9")], [], later)
            ledger.intake.withdraw(later, at=later + 1, **WHO)
        yield url


def _whose(run: records.Run, name: str = "user") -> records.Run:
    """The run with marks in all that could tell whose it was."""
    user, wckey, reservation, comment = (f"{MARK}{one}" for one in (name, "key", "place", "word"))
    return run._replace(
        subject=records.Subject("c", "umcg", user, "main", "normal", wckey, reservation, comment)
    )


def _read(ledger: Ledger) -> None:
    told: list[records.Run | records.Rejected] = [
        _whose(ended(1)),
        _whose(running(2)),
        _whose(ended(3), "another"),
        records.Rejected(f"{MARK}line", "no run"),
    ]
    record(ledger, told, NOW, now=True)
    record(
        ledger, [_whose(ended(1)._replace(elapsed_seconds=1, state="TIMEOUT")), *told[1:]], NOW + 1, now=True
    )
    tree = [
        records.Association(cluster="c", account=one, parent=up, raw_shares=1)
        for one, up in (("root", None), ("umcg", "root"))
    ]
    ledger.intake.record_accounts(tree, NOW)
    ledger.intake.record_events(
        [records.Size(T0, None, "cpu=8")], [records.Outage("n1", T0, None, "DOWN", "cpu=1")], NOW
    )
    rule = Rule(
        name="r", beneficiary=Beneficiary.REGIONAL, conditions={"user": frozenset({f"{MARK}another"})}
    )
    ledger.registry.keep_rules([rule], ["GM0014"], NOW)
    ledger.classified(ledger.rules_of((rule,), frozenset())).keep_sums(ALL, NOW + records.DAY, WEIGHTS)


def _say(ledger: Ledger) -> None:
    hospital = Organisation(
        organisation="umcg", name=f"{MARK}name", kvk="17000000", category="business", sector="C",
        municipality="GM0014", since=0,
    )  # fmt: skip
    link = Link(organisation="umcg", account="umcg", granted=Decimal(9), since=0, until=360_000)
    entries: list[RegistryEntry] = [hospital, link]
    terms = Codes(municipalities={"GM0014": "G"}, sectors=(), hubs=(), accounts=frozenset({"umcg"}))
    assert not ledger.registry.record(entries, terms, {"at": NOW, **WHO}).problems
    ledger.intake.override("7", {"beneficiary": "regional", "organisation": "", **WHO}, at=NOW + 2)
    hours = NewEntry(
        day=date(2027, 1, 4), organisation="umcg", role=f"{MARK}role", hours=Decimal(1), activity=f"{MARK}a"
    )
    ledger.expertise.add([hours], at=NOW, actor=WHO["actor"])
    document = '{"fingerprint": {"since": "2027-01-01T00:00:00Z"}}'
    ledger.publishing.publish(
        Published("w", NOW, "f", {"w": {}}, "{}", document), at=NOW, actor=WHO["actor"]
    )  # fmt: skip
    ledger.privacy.retain(Due(NOW + records.DAY), [], at=NOW + records.DAY, actor=WHO["actor"])
    ledger.audits.keep(Audit("verify", NOW, None, None, 0), {}, WHO["actor"])
    ledger.proposals.propose(
        ProposalKind.REGISTRY, {"entries": [], "text": f"{MARK}text"}, {"at": NOW, **WHO}
    )
    hall = Reading("hall", Kind.E_IT, T0, T0 + records.HOUR, Decimal(1), "kWh", "bms.csv")
    ledger.meters.append([("line 2", hall)], at=NOW, actor=WHO["actor"])
    ledger.meters.correct(1, None, WHO["reason"], at=NOW, actor=WHO["actor"])
    ledger.meters.end(hall.kind, hall.meter, hall.until, WHO["reason"], at=NOW, actor=WHO["actor"])
    ledger.meters.place([Placement(7, "n1", ("0",), T0, T0 + 9)], source="sacct", at=NOW, actor=WHO["actor"])
    power = AllowedPower(since=0, until=900, max_kw=Decimal(9), kind=PowerKind.OWN, reference="C1", told_at=0)
    ledger.allowed.append([power], at=NOW, actor=WHO["actor"])
    ledger.allowed.correct(1, None, WHO["reason"], at=NOW, actor=WHO["actor"])
    act = ReservationAct(ActKind.CREATE, "saf-grid", 900, 1800, ("n1",))
    ledger.reserving.record(
        act, ActOutcome.PLANNED, at=NOW, actor=WHO["actor"], sentence=f"{MARK}sentence", inputs={}
    )
    ledger.acknowledging.add(records.Acknowledgement("lease", "warning", NOW, NOW + records.DAY, **WHO))
    ledger.hubs.record(HubTerm("site", "alpha", 0, False, "key", "cpu"), {"at": NOW, **WHO})
    (statement,) = ledger.given.state("site", "local", day_of(T0), at=NOW)
    assert ledger.hubs.take_in(SignedStatement(statement, statement.digest, "signature"), at=NOW)
    archived = ArchivedMonth("2027-01", T0, NOW, NOW, "r", {"runs": ArchivedFile(1, 1, "0")}, {"cpu": {}})
    ledger.archives.record(archived, at=NOW, actor=WHO["actor"])
    assert ledger.joint.record(replace(JOINT, actor=WHO["actor"], reason=WHO["reason"])) == ()
    counted = JointWeight(
        "together", "c", records.HOUR, Resource({"cpu": 1}), "annex", **WHO, recorded_at=NOW
    )
    assert ledger.joint.weigh(counted) == ()
    ledger.persons.note("show", f"{MARK}user", {"at": NOW, **WHO})
    ledger.promise_terms.begin(replace(FIRST, actor=WHO["actor"], reason=WHO["reason"]))


def _decide(ledger: Ledger) -> None:
    ledger.control.say_pause(records.Pause(NOW, NOW + records.HOUR, WHO["actor"], WHO["reason"]))
    changes = [
        records.Change(cluster="c", account=one, raw_shares_before=1, raw_shares_after=2)
        for one in ("a", "b")
    ]
    decision = records.Decision(
        at=NOW, reason="raise", sentence=f"{MARK}sentence", inputs={"account": f"{MARK}in", "u": 1},
        changes=tuple(changes),
    )  # fmt: skip
    settled, _ = ledger.control.record(decision, "enforce", WHO["actor"], records.ChangeStatus.PLANNED)
    ledger.control.settle(settled, at=NOW, raw_shares=2, note=f"{MARK}note")
    others = ledger.control.foreign_change(records.LeverKind.ACCOUNT, "a", 3)
    assert others
    changer = Changer(WHO["actor"], NOW, f"{MARK}note")
    ledger.control.note_foreign(others._replace(changer=changer), NOW)
    ledger.control.keep_baseline("regional", Baseline(25, 75), NOW)
    for at, reason in ((NOW - 99 * records.DAY, "hold"), (NOW - 98 * records.DAY, "raise"), (NOW, "hold")):
        past = records.Decision(at=at, reason=reason, sentence=f"{MARK}s", inputs={}, promise="past")
        ledger.control.record(past, "enforce", WHO["actor"], records.ChangeStatus.PLANNED)
    assert ledger.expiries.expire(NOW - 30 * records.DAY, at=NOW, actor=WHO["actor"]) == 1


def _columns(url: str) -> list[tuple[str, str, str]]:
    """(table, column, its type) of everything in the schema, as PostgreSQL has it."""
    query = """
        SELECT table_name, column_name, CASE is_identity WHEN 'YES' THEN 'identity' ELSE data_type END
        FROM information_schema.columns
        JOIN information_schema.tables USING (table_schema, table_name)
        WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND is_generated = 'NEVER'
    """
    with by_hand(url) as connection:
        return connection.execute(query).fetchall()


def _rights(url: str) -> dict[str, str]:
    """table -> fact or derived."""
    with by_hand(url) as connection:
        return {row[0]: row[1] for row in connection.execute(sql.queries()["rights"].encode())}


OTHER = {
    "identity": "DEFAULT",
    "text": "{0} || 'x'",
    "jsonb": "'[1]'",
    "bytea": "'\\x00'",
    "uuid": "gen_random_uuid()",
    "boolean": "NOT {0}",
    "ARRAY": "{0} || 'x'::text",
    "date": "{0} + 1",
    "int8multirange": "{0} + '{{[900,901)}}'",
    "timestamp with time zone": "now()",
    "bigint": "least(coalesce({0}, 4000000000), 4000000000) + 1",
    "numeric": "{0} + 1000",
    "double precision": "coalesce({0}, 0) + 1",
}
"""Another value for a column of each type; of other types one more."""


def _update(table: str, column: str, kind: str) -> Composed:
    change = "UPDATE {1} SET {0} = " + OTHER.get(kind, "{0} + 1")
    return SQL(change).format(Identifier(column), Identifier(table))


def _refused(connection: Connection, statement: object) -> bool:
    """Whether PostgreSQL refuses a statement for its rights or a guard; it is undone in any case."""
    with (
        suppress(InsufficientPrivilege, RestrictViolation, ForeignKeyViolation),
        connection.transaction(force_rollback=True),
    ):
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        connection.execute(statement)  # type: ignore[call-overload]
        return False
    return True


def test_every_table_is_in_the_list_of_rights(ledger_url: str) -> None:
    assert {table for table, *_ in _columns(ledger_url)} == set(_rights(ledger_url))


def test_every_table_has_rows_for_these_tests(full: str) -> None:
    with by_hand(full) as connection:
        count = SQL("SELECT count(*) FROM {}")
        empty = [
            table
            for table in _rights(full)
            if connection.execute(count.format(Identifier(table))).fetchone() == (0,)
        ]
    assert empty == []


@pytest.mark.parametrize(("table", "guard"), [("runs", "guard_run"), ("run_versions", "guard_version")])
def test_a_guard_looks_at_every_column(ledger_url: str, table: str, guard: str) -> None:
    with by_hand(ledger_url) as connection:
        (source,) = connection.execute(
            "SELECT prosrc FROM pg_proc WHERE proname = %s", [guard]
        ).fetchone() or ("",)
    assert [
        column for name, column, _ in _columns(ledger_url) if name == table and column not in source
    ] == []


@pytest.mark.parametrize("role", [DAEMON, OWNER])
def test_no_fact_is_changed_or_deleted(full: str, role: str) -> None:
    """By the daemon, and by an owner who forgets; each column by itself, in every row."""
    rights, done = _rights(full), []
    own = {"migrations", "pseudonym_keys"} if role == OWNER else set[str]()
    with psycopg.connect(as_role(full, role), autocommit=True) as connection:
        for table, column, kind in _columns(full):
            change = _update(table, column, kind)
            if rights[table] == "fact" and table not in own and not _refused(connection, change):
                done.append((table, column))
        for table in {one for one, kind in rights.items() if kind == "fact"} - own:
            for statement in ("DELETE FROM {}", "TRUNCATE {} CASCADE"):
                if not _refused(connection, SQL(statement).format(Identifier(table))):
                    done.append((table, statement))
    assert set(done) == ALLOWED.keys()


FORGED = {
    "a run whose version ended at another time": """
        INSERT INTO run_versions SELECT r.*, 1 FROM runs r WHERE db_index = 1;
        UPDATE runs SET elapsed_seconds = 9, recorded_at = 2 WHERE db_index = 1""",
    "a run that no read missed": "UPDATE runs SET missing_since = 12345 WHERE end_at IS NULL",
    "a run of another user": """
        UPDATE runs SET subject_id = (SELECT max(subject_id) FROM subjects WHERE user_name LIKE 'zq%')""",
    "a run of another account under a pseudonym": """
        INSERT INTO subjects (cluster_id, account, user_name, partition, qos, wckey, reservation)
        VALUES (1, 'astro', '~0', 'main', 'normal', '', '');
        UPDATE runs SET subject_id = (SELECT subject_id FROM subjects WHERE account = 'astro')""",
    "a version of another account": """
        INSERT INTO subjects (cluster_id, account, user_name, partition, qos, wckey, reservation)
        VALUES (1, 'astro', '~0', 'main', 'normal', '', '');
        UPDATE run_versions SET subject_id = (SELECT subject_id FROM subjects WHERE account = 'astro')""",
    "a run that no withdrawal reaches": """
        INSERT INTO run_versions SELECT r.*, 7 FROM runs r; DELETE FROM runs""",
    "a guard that looks at another table": """
        CREATE TEMPORARY TABLE run_versions AS SELECT r.*, 2::bigint AS superseded_at FROM runs r;
        UPDATE runs SET elapsed_seconds = 9, recorded_at = 2 WHERE db_index = 1""",
    "a planned change that is none": "UPDATE changes SET status = 'observed' WHERE status = 'planned'",
    "a change that was settled": "UPDATE changes SET status = 'failed' WHERE status = 'applied'",
    "a read that no withdrawal reaches": """
        UPDATE reads SET withdrawn_at = recorded_at, withdrawal_id = w.withdrawal_id FROM withdrawals w
        WHERE read_id = 1""",
    "a decision that no expiry lists": "DELETE FROM decisions WHERE promise = 'past'",
    "an outage that is kept nowhere": "DELETE FROM outages",
    "a line with another text": "UPDATE rejected_lines SET line = 'x', last_read_at = last_read_at + 1",
    "an override of another job": "UPDATE overridden_runs SET db_index = 3",
    "a table of its own": "CREATE TABLE own (n integer)",
    "no guard": "ALTER TABLE runs DISABLE TRIGGER ALL",
    "the role of the owner": "SET ROLE saf_owner",
    "a replica": "SET session_replication_role = replica",
}


@pytest.mark.parametrize("what", FORGED)
def test_the_daemon_cannot_have(full: str, what: str) -> None:
    with psycopg.connect(as_role(full, DAEMON), autocommit=True) as connection:
        assert _refused(connection, FORGED[what].encode())


def test_the_reader_sees_no_person(full: str) -> None:
    """Everything that it may read, row by row, beside everything that was planted."""
    with psycopg.connect(as_role(full, READER), autocommit=True) as connection:
        views = "SELECT viewname FROM pg_views WHERE viewname LIKE 'reader\\_%' ORDER BY 1"
        names = [str(row[0]) for row in connection.execute(views)]
        told = {
            name: [
                row[0] for row in connection.execute(SQL("SELECT v::text FROM {} v").format(Identifier(name)))
            ]
            for name in names
        }
    assert len(names) > 10
    assert [name for name, rows in told.items() if not rows] == []
    assert not [row for rows in told.values() for row in rows if MARK in row]
    assert not [row for rows in told.values() for row in rows if "~" in row], "a pseudonym is a person"


def test_the_reader_reads_no_table_and_writes_nothing(full: str) -> None:
    with psycopg.connect(as_role(full, READER), autocommit=True) as connection:
        for table in [*_rights(full), "tres_usage"]:
            assert _refused(connection, SQL("SELECT FROM {}").format(Identifier(table))), table
        for statement in (
            "DELETE FROM reader_organisations",
            "SELECT analyze_classifications()",
            "CREATE TABLE t ()",
        ):
            assert _refused(connection, statement.encode()), statement


def test_only_the_owner_migrates_and_moves(postgresql: str, ledger_url: str) -> None:
    with Store(ledger_url) as store, pytest.raises(LedgerError, match="role saf_daemon_login may not change"):
        store.migrate()
    with new_ledger(postgresql) as other:
        with by_hand(other) as connection:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        with pytest.raises(LedgerError, match="connect as a member of saf_owner"):
            moving.move(ledger_url, as_role(other, OWNER))


def test_a_ledger_of_one_role_gets_the_others(ledger_url: str) -> None:
    """As it was before there were roles: tables of somebody else, with rows."""
    owner = as_role(ledger_url, OWNER)
    with by_hand(ledger_url) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with Store(owner) as store:
        store.migrate()
    with open_ledger(owner, "c") as ledger:
        record(ledger, [ended(1)], NOW, now=True)
    with pytest.raises(LedgerError), open_ledger(ledger_url, "c"):
        pass
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(rights.roles().encode())
    with Store(owner) as store:
        assert store.migrate() == []
    with open_ledger(ledger_url, "c") as ledger:
        assert record(ledger, [ended(1), ended(2)], NOW + 1, now=True).new == 1
        owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        assert ledger.store.connection.execute(owners).fetchall() == [("saf_owner",)]
