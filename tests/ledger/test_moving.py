"""A ledger moved to another server and back, from the embedded PostgreSQL to Debian's: every row of it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from slurm_ai_factory.core.records import HOUR, Rejected, Run, Subject
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Ledger, Store, moving, open_ledger
from tests.conftest import as_role
from tests.ledger.servers import private_server

T0 = 1_800_000_000


@pytest.fixture(scope="module")
def other() -> Iterator[str]:
    """The url of an empty database of another server."""
    with private_server() as server:
        yield server.url


def emptied(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return url


def run(db_index: int, account: str = "a\tb\\N") -> Run:
    subject = Subject("c", account, "u", "main", "normal", "", "")
    return Run(
        db_index, 1, "1", subject, "COMPLETED", T0, T0, T0, T0 + HOUR, HOUR, 0, "cpu=1", "cpu=2.5,node=1"
    )


def filled(url: str) -> None:
    with open_ledger(url, "c") as ledger:
        read: list[Run | Rejected] = [run(2**64 - 1), run(2), Rejected("a\nb", "no run")]
        ledger.intake.record(read, T0, T0 + 2 * HOUR, at=T0 + 3 * HOUR)
        ledger.intake.record([run(2, "é")], T0, T0 + 2 * HOUR, at=T0 + 4 * HOUR)
        said = {"beneficiary": "regional", "organisation": "", "actor": "me", "reason": "why"}
        ledger.intake.override("1", said, at=T0 + 5 * HOUR)


def runs(ledger: Ledger) -> list[Run]:
    return ledger.accounting.runs_between(T0, T0 + HOUR)


def test_every_row_is_moved_to_an_older_server_and_back_and_numbering_goes_on(
    ledger_url: str, other: str
) -> None:
    filled(ledger_url)
    there = moving.move(as_role(ledger_url, "postgres"), emptied(other))
    assert {one.name for one in there if one.rows} >= {"runs", "run_versions", "hourly_usage", "overrides"}
    with open_ledger(ledger_url, "c") as before, open_ledger(other, "c") as after:
        assert runs(before) == runs(after) != []
        after.intake.record([run(3, "new")], T0, T0 + 2 * HOUR, at=T0 + 6 * HOUR)
        expected = runs(after)
    owner = emptied(as_role(ledger_url, "postgres"))
    moving.move(other, owner)
    with open_ledger(owner, "c") as again:
        assert runs(again) == expected


def test_a_database_that_is_not_empty_is_refused(ledger_url: str, other: str) -> None:
    with psycopg.connect(emptied(other), autocommit=True) as connection:
        connection.execute("CREATE TABLE somebodys (n integer)")
    with pytest.raises(LedgerError, match="is not empty; give one that is"):
        moving.move(as_role(ledger_url, "postgres"), other)


def test_nothing_is_moved_while_a_daemon_is_active(ledger_url: str, other: str) -> None:
    filled(ledger_url)
    with open_ledger(ledger_url, "c") as daemon:
        assert daemon.store.lock(daemon.accounting.cluster_id)
        with pytest.raises(LedgerError, match="a saf is active for cluster c; end it first"):
            moving.move(as_role(ledger_url, "postgres"), emptied(other))
    with Store(other) as target:
        assert target.empty()


def test_a_difference_undoes_the_move(ledger_url: str, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(ledger_url)
    monkeypatch.setattr(moving, "_digested", lambda store, name: moving.MovedTable(name, 1, store.url))
    with pytest.raises(LedgerError, match="nothing was moved"):
        moving.move(as_role(ledger_url, "postgres"), emptied(other))
    with Store(other) as target:
        assert target.empty()
