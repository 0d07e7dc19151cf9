"""How long each side of a session waits for the other, on a server and with clients that stand still."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from threading import Event

import psycopg
import pytest

from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Store, sql
from slurm_ai_factory.ledger.connection import Limits
from tests.cluster.slurm import wait_until
from tests.ledger.servers import Server, private_server

PATIENCE = Limits(silence=4)
"""Longer than what answers takes on a busy machine."""
DEADLINE = 120


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with private_server() as server:
        with Store(server.url) as store:
            store.migrate()
        yield server


def _query(store: Store, server: Server) -> None:
    with server.frozen():
        store.all("clusters")


def _commit(store: Store, server: Server) -> None:
    with ExitStack() as stack, store.transaction():
        store.do("add_cluster", cluster="committed or not")
        stack.enter_context(server.frozen())


def _rollback(store: Store, server: Server) -> None:
    with server.frozen(), store.transaction():
        store.all("clusters")


def _copy_in(store: Store, server: Server) -> None:
    def rows() -> Iterator[tuple[object, ...]]:
        stack.enter_context(server.frozen())
        yield from [(1, 1, *["x" * 100] * 9, *[None] * 6, *["x"] * 2, None)] * 20_000

    with ExitStack() as stack, store.transaction():
        store.do("create_observed")
        store.copy("copy_observed", rows())


def _copy_out(store: Store, server: Server) -> None:
    rows = store.copy_out("many", {})
    next(rows)
    with server.frozen():
        list(rows)


def _stream(store: Store, server: Server) -> None:
    with store.transaction():
        rows = store.stream("many")
        next(rows)
        with server.frozen():
            list(rows)


def _pipeline(store: Store, server: Server) -> None:
    with server.frozen(), store.pipeline():
        store.do("add_cluster", cluster="c")


def _lock(store: Store, server: Server) -> None:
    with server.frozen():
        store.lock(1)


@pytest.mark.parametrize("wait", [_query, _commit, _rollback, _copy_in, _copy_out, _stream, _pipeline, _lock])
def test_a_server_that_hangs_is_told_and_the_next_use_is_of_a_new_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch, wait: Callable[[Store, Server], None]
) -> None:
    many = {"many": "SELECT repeat('x', 10000) FROM generate_series(1, 100000)"}
    monkeypatch.setattr(sql, "queries", (sql.queries() | many).copy)
    with Store(server.url, PATIENCE) as store:
        before = store.connection.info.backend_pid
        with pytest.raises(LedgerError, match=r"did not answer: no answer within 4 s; see whether"):
            wait(store, server)
        assert isinstance(store.all("clusters"), list)
        assert store.connection.info.backend_pid != before


def test_a_server_that_takes_a_connection_and_says_nothing_is_told(server: Server) -> None:
    with server.frozen(), pytest.raises(LedgerError, match="did not answer"):
        Store(server.url, PATIENCE).all("clusters")


def test_a_name_server_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hanging.wait(DEADLINE) and [])
    with pytest.raises(LedgerError, match=r"db.example/saf did not answer: no connection within 4 s"):
        Store("postgresql://db.example/saf", PATIENCE).all("clusters")
    hanging.set()


def test_closing_does_not_wait_for_a_server_that_hangs(server: Server) -> None:
    store = Store(server.url, PATIENCE)
    store.all("clusters")
    with server.frozen():
        store.close()


LEAD = """
import sys
from slurm_ai_factory.ledger import Store, sql
from slurm_ai_factory.ledger.connection import Limits, wrapped
store = Store(sys.argv[1], Limits(idle=8))
print(store.lock(9), flush=True)
if sys.argv[2] == "transaction":
    store.connection.execute("BEGIN")
if sys.argv[2] == "statement":
    with wrapped(store.url):
        store.connection.execute("SELECT pg_sleep(600)")
if sys.argv[2] == "copy":
    with wrapped(store.url), store.connection.cursor() as cursor:
        with cursor.copy("COPY clusters (name) FROM STDIN"):
            sys.stdin.readline()
sys.stdin.readline()
print(store.lock(9))
"""


@pytest.mark.parametrize("inside", ["nothing", "transaction", "statement", "copy"])
def test_a_leader_that_stands_still_loses_the_lock_and_knows_it(server: Server, inside: str) -> None:
    command = [sys.executable, "-c", LEAD, server.url, inside]
    with (
        Store(server.url, Limits(idle=15)) as standby,
        subprocess.Popen(
            command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as leader,
    ):
        assert standby.lock(8), "it is connected before the leader begins to be idle"
        assert leader.stdout
        assert leader.stdout.readline() == "True\n"
        assert not standby.lock(9)
        os.kill(leader.pid, signal.SIGSTOP)
        wait_until(lambda: standby.lock(9), "the lock of a leader that stands still", DEADLINE)
        os.kill(leader.pid, signal.SIGCONT)
        told, why = leader.communicate("\n", timeout=DEADLINE)
        assert told == ""
        assert "LedgerError" in why


def heard(server: Server, pid: int) -> object:
    """When the server heard a session last; None where it is gone."""
    with psycopg.connect(server.url) as connection:
        query = "SELECT state_change FROM pg_stat_activity WHERE pid = %s"
        return (connection.execute(query, [pid]).fetchone() or (None,))[0]


def test_the_server_hears_a_leader_that_is_idle_and_nothing_in_a_transaction(server: Server) -> None:
    with Store(server.url) as store:
        store.touch()  # without a session, none is made
        assert store.lock(9)
        pid = store.connection.info.backend_pid
        first = heard(server, pid)
        store.touch()
        second = heard(server, pid)
        assert first != second
        with store.transaction():
            store.all("clusters")
            inside = heard(server, pid)
            store.touch()
            assert heard(server, pid) == inside
        assert store.lock(9)
        assert store.connection.info.backend_pid == pid


def test_a_session_that_is_lost_is_told_to_whoever_touches_it(server: Server) -> None:
    with Store(server.url) as store:
        assert store.lock(9)
        pid = store.connection.info.backend_pid
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(%s, 30000)", [pid])
        with pytest.raises(LedgerError, match="terminating connection"):
            store.touch()
        store.touch()  # it has none any more, and none is made
        assert not store.may_write(9), "in a new session"
        assert store.connection.info.backend_pid != pid
