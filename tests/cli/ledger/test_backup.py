"""`saf ledger backup` and `restore`: a dump is whole and private, and a restored ledger is proved."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from slurm_ai_factory.ledger import embedded
from tests.cli.conftest import RULES
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
