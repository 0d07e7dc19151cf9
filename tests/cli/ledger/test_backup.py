"""`saf ledger backup` and `restore`: a dump is whole and private, and a restored ledger is proved."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from slurm_ai_factory.ledger import embedded
from tests.cli.conftest import RULES
from tests.cluster.processes import wait_until
from tests.conftest import as_role
from tests.ledger.servers import BINARIES
from tests.saf import Saf
from tests.scratch import program


@pytest.fixture
def empty(postgresql: str) -> Iterator[str]:
    """A superuser's url of an empty database without roles."""
    name = f"saf_{uuid4().hex}"
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield psycopg.conninfo.make_conninfo(postgresql, dbname=name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _relations(url: str) -> int:
    query = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    with psycopg.connect(url) as connection:
        return int((connection.execute(query).fetchone() or (0,))[0])


def test_a_restored_ledger_is_the_one_that_was_backed_up(registered: Saf, empty: str) -> None:
    dump = registered.directory / "saf.dump"
    head = registered.json("ledger", "head")["head"]
    assert f"head {head}" in registered.run("ledger", "backup", str(dump)).stderr
    noted = Path(f"{dump}.head")
    assert (json.loads(noted.read_text())["head"], dump.stat().st_mode & 0o777) == (head, 0o600)
    assert "exists; choose another" in registered.run("ledger", "backup", str(dump), code=1).stderr
    before = registered.run("share", "--by", "organisation").stdout

    assert registered.json("ledger", "restore", str(dump), "--url", empty)["head"] == head
    again = registered.run("ledger", "restore", str(dump), "--url", empty, code=1).stderr
    assert "is not empty" in again
    registered.configure("ledger", RULES, url=as_role(empty, "saf_daemon_login"))
    assert registered.run("share", "--by", "organisation").stdout == before
    registered.run("ledger", "verify", "--head", head)
    with psycopg.connect(empty) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute("DELETE FROM reads")


def test_what_is_not_the_whole_dump_is_not_restored(books: Saf, empty: str) -> None:
    dump = books.directory / "saf.dump"
    books.run("ledger", "backup", str(dump))
    relations, whole = _relations(empty), dump.read_bytes()
    for damaged, reason in (
        (whole[: len(whole) * 2 // 3], "saf.dump"),
        (b"no dump", "see whether it is a whole dump"),
    ):
        dump.write_bytes(damaged)
        assert reason in books.run("ledger", "restore", str(dump), "--url", empty, code=1).stderr
        assert _relations(empty) == relations
    dump.write_bytes(whole)
    noted = Path(f"{dump}.head")
    noted.write_text("{}")
    assert "has no head" in books.run("ledger", "restore", str(dump), "--url", empty, code=1).stderr
    noted.write_text(json.dumps({"entry": 1, "head": "0" * 64, "roles": True}))
    said = books.run("ledger", "restore", str(dump), "--url", empty, code=1).stderr
    assert "does not end with the head noted beside" in said


def test_no_password_is_on_a_command_line(books: Saf, ledger_url: str) -> None:
    programs = books.directory / "programs"
    programs.mkdir()
    seen = books.directory / "seen"
    real = embedded.programs_installed()
    script = f'echo "$@" >>{seen}\necho "$PGPASSWORD" >>{seen}.env\nexec {real}/pg_dump "$@"'
    program(programs / "pg_dump", script)
    books.configure("ledger", url=psycopg.conninfo.make_conninfo(ledger_url, password="hunter2"))
    books.run("ledger", "backup", "saf.dump", "--programs", str(programs))
    assert "--format=custom" in seen.read_text()
    assert "hunter2" not in seen.read_text()
    assert "hunter2" in Path(f"{seen}.env").read_text()


@pytest.mark.skipif(not (BINARIES / "pg_dump").exists(), reason="needs the pg_dump of Debian's PostgreSQL")
@pytest.mark.skipif("SAF_TEST_POSTGRES" in os.environ, reason="the server is then not newer")
def test_an_older_pg_dump_is_refused(books: Saf) -> None:
    said = books.run("ledger", "backup", "saf.dump", "--programs", str(BINARIES), code=1).stderr
    assert f"PostgreSQL is version 18, and {BINARIES}/pg_dump is version 15; name the directory" in said
    assert [one.name for one in books.directory.iterdir()] == ["saf.toml"]


CUT = """[ "$1" != --list ] || exec {0}/pg_restore "$@"
{0}/pg_restore "$@" | sed '/; Type: CONSTRAINT;/,$s/.*/--/'
head -c 100000 /dev/zero | tr '\\0' '\\n'
exec sleep 600"""
"""The tables of a dump and what is in them, and then nothing more."""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_restore_that_is_killed_leaves_the_database_empty(
    books: Saf, empty: str, number: signal.Signals
) -> None:
    """psql then sees no more than the end of its input."""
    books.run("ledger", "backup", "saf.dump")
    real, programs = embedded.programs_installed(), books.directory / "programs"
    programs.mkdir()
    (programs / "psql").symlink_to(f"{real}/psql")
    program(programs / "pg_restore", CUT.format(real))
    relations = _relations(empty)
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    psql = f"{sessions} AND application_name = 'psql'"
    argv = books.argv("ledger", "restore", "saf.dump", "--url", empty, "--programs", str(programs))
    process = subprocess.Popen(argv, env=books.env, cwd=books.directory, start_new_session=True)
    with process, psycopg.connect(empty, autocommit=True) as connection:
        wait_until(lambda: bool(_one(connection, f"{psql} AND query ~ 'setval|COPY'")), "the tables", 120)
        process.send_signal(number)
        assert process.wait(timeout=120) == -number
        wait_until(lambda: not _one(connection, psql), "psql to end", 120)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what unpacks
    assert _relations(empty) == relations


def _one(connection: psycopg.Connection, query: str) -> int:
    return int((connection.execute(query.encode()).fetchone() or (0,))[0])
