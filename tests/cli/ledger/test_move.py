"""`saf ledger migrate` and `move`, and which command may change what a ledger is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm_ai_factory.ledger import Store, embedded, sql
from tests.cli.conftest import RULES
from tests.conftest import as_role, by_hand
from tests.ledger.servers import private_server
from tests.saf import Saf
from tests.scratch import scratch_directory


def test_a_ledger_moved_by_command_is_whole(books: Saf, ledger_url: str) -> None:
    with private_server() as server:
        said = books.run("ledger", "move", "--to", server.url, code=1).stderr
        assert "role saf_daemon_login may not change the schema" in said
        owner = as_role(ledger_url, "postgres")
        done = books.run("ledger", "move", "--from", owner, "--to", server.url)
        assert "copied runs: 17 rows, equal on both sides" in done.stderr
        assert f"set ledger.url in {books.file}" in done.stderr
        before = books.run("share", "--by", "account").stdout
        again = books.run("ledger", "move", "--from", owner, "--to", server.url, code=1)
        assert "is not empty" in again.stderr
        books.configure("ledger", RULES, url=server.url)
        assert books.run("share", "--by", "account").stdout == before
        books.run("ledger", "verify")


def test_an_older_saf_migrates_no_newer_ledger(books: Saf, ledger_url: str) -> None:
    with by_hand(ledger_url) as connection:
        connection.execute("INSERT INTO migrations (name, digest) VALUES ('9999_later.sql', '')")
    owner = as_role(ledger_url, "postgres")
    for command in (["ledger", "migrate", "--url", owner], ["share"], ["ledger", "status"]):
        assert (
            "migrated by a newer version (9999_later.sql); upgrade saf" in books.run(*command, code=1).stderr
        )


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory that the server's user can reach."""
    with scratch_directory() as directory:
        yield directory


def test_an_embedded_ledger_is_migrated_when_that_is_asked_for(books: Saf, state: Path) -> None:
    del books.sections["ledger"]["url"]
    books.configure("ledger", state_directory=str(state))
    assert "nothing of cluster loop yet" in books.run("share", code=1).stderr
    last = sql.migrations()[-1].name
    with Store(embedded.url(state)) as store:
        store.connection.execute("DELETE FROM migrations WHERE name = %s", (last,))
        assert f"lacks migration {last}; run: saf ledger migrate" in books.run("share", code=1).stderr
        assert store.connection.execute("SELECT count(*) FROM migrations").fetchone() == (
            len(sql.migrations()) - 1,
        )
    embedded.stop(state)


def test_a_mistyped_cluster_does_not_become_known(books: Saf, ledger_url: str) -> None:
    with by_hand(ledger_url) as connection:
        connection.execute("TRUNCATE clusters CASCADE")
        for command in (
            ["-M", "typo", "status"],
            ["-M", "typo", "plan"],
            ["pause", "--until", "now+1hour", "--reason", "r"],
        ):
            books.run(*command, code=1)
        assert connection.execute("SELECT count(*) FROM clusters").fetchone() == (0,)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_is_told_to_be_the_daemons_user(books: Saf) -> None:
    with private_server() as server:
        hba = server.data / "pg_hba.conf"
        hba.write_text("local all all peer\n")
        server.run("pg_ctl", "reload")
        books.configure("ledger", url=server.url.replace("postgres@", ""))
        said = books.run("share", code=1).stderr
        assert "run it as the daemon's user: sudo -u slurm-ai-factory saf ..." in said
