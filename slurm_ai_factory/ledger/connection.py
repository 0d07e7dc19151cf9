"""A connection with a deadline on every wait, and driver errors as one sentence for the operator.

The server's own deadlines end with the server, so this side keeps a deadline of its own to notice a server
that hangs. In turn, the server ends the session of a client that vanished or hangs, and releases its locks.
Tested in tests/ledger/test_deadlines.py and tests/ledger/test_store.py.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from time import monotonic
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from slurm_ai_factory.errors import LedgerError

logging.getLogger("psycopg").setLevel(logging.ERROR)  # its warnings come back as LedgerErrors

CONNECT_SECONDS = 10
"""For each address of a server."""

KEEPALIVE = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
"""The server notices within a minute that a host is gone; a frozen process still answers these."""

UNREACHABLE = ("08", "57P")
"""SQLSTATEs of a lost connection, and of a server that shuts down or starts up."""

BY_WORDS = {
    re.compile(r"session is read-only|server is in hot standby|in a read-only transaction"): (
        "is a standby, which cannot be written to: {why}; promote it or start the primary, and name all "
        "servers in ledger.url"
    ),
    re.compile(r'FATAL:\s+(Peer authentication failed|role ".*" does not exist)'): (
        "refuses this user: {why}; run it as the daemon's user: sudo -u slurm-ai-factory saf ..."
    ),
}
"""Words of an error without a SQLSTATE of its own, and the sentence about it."""

Returned = TypeVar("Returned")


class Limits(NamedTuple):
    """How long each side of a session waits for the other, in seconds."""

    silence: float = 120  #: without an answer of the server, after which it counts as hanging
    statement: float = 600  #: per statement; 0 for no limit
    idle: float | None = None  #: of this process between statements; None for no limit


USUAL = Limits()

LONG = Limits(silence=3600, statement=0)
"""For long work that an operator waits for: migrations, checks and exports of a whole history."""


class Silence(psycopg.OperationalError):
    """The server did not answer in time."""


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that is closed when the server does not answer for ``silence`` seconds of any wait."""

    silence: float = USUAL.silence

    def wait(self, gen: Generator[Any, Any, Returned], *args: Any, **kwargs: Any) -> Returned:
        """Wait as psycopg does. Raises Silence."""
        try:
            step = next(gen)
        except StopIteration as end:  # as for most rows of a COPY: it is here already
            return end.value  # type: ignore[no-any-return]
        try:
            return super().wait(_bounded(gen, step, self.silence), *args, **kwargs)
        except Silence:
            self.close()
            raise


def _bounded(gen: Generator[Any, Any, Returned], step: Any, silence: float) -> Generator[Any, Any, Returned]:
    """This step and the next ones; psycopg sends a 0 now and then while the server is not ready for one."""
    heard = monotonic()
    while True:
        ready = yield step
        if ready:
            heard = monotonic()
        elif monotonic() - heard > silence:
            raise Silence(f"no answer within {silence:g} s")
        try:
            step = gen.send(ready)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def connect(url: str, limits: Limits) -> Connection:
    """An autocommit connection within these limits. Raises LedgerError.

    Timeouts and options in the url override them. A name server may hang longer than any limit, so the
    connection is made in a thread, which is left behind in that case.
    """
    made: Future[Connection] = Future()
    with wrapped(url):
        Thread(target=_make, args=(parts_of(url), limits, made), daemon=True).start()
        try:
            return made.result(limits.silence)
        except TimeoutError:
            if made.cancel():
                raise Silence(f"no connection within {limits.silence:g} s") from None
            return made.result()


def _make(parts: dict[str, Any], limits: Limits, made: Future[Connection]) -> None:
    """Connect; close the connection if no caller waits for it any more."""
    try:
        connection = _connected(parts, limits)
    except Exception as error:
        if made.set_running_or_notify_cancel():
            made.set_exception(error)
        return
    if made.set_running_or_notify_cancel():
        made.set_result(connection)
    else:
        connection.close()


def _connected(parts: dict[str, Any], limits: Limits) -> Connection:
    timeouts = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": CONNECT_SECONDS * 1000}
    name = {"application_name": f"saf@{socket.gethostname()}:{os.getpid()}"}
    options = {"options": f"{_options(limits)} {parts.get('options', '')}"}
    connection = Connection.connect(autocommit=True, **timeouts | name | parts | options)
    connection.silence = limits.silence
    return connection


def _options(limits: Limits) -> str:
    """The server's settings for this session."""
    stuck = f"{1000 * (limits.idle or limits.statement):.0f}ms"
    settings = {
        "statement_timeout": stuck,
        "idle_in_transaction_session_timeout": stuck,
        "idle_session_timeout": f"{1000 * (limits.idle or 0):.0f}ms",
        "client_connection_check_interval": "10s",
        "client_min_messages": "warning",
        "datestyle": "ISO",
        "extra_float_digits": "1",
        "jit": "off",
        "work_mem": "64MB",
    }
    return " ".join([KEEPALIVE, *(f"-c {name}={value}" for name, value in settings.items())])


@contextmanager
def wrapped(url: str) -> Iterator[None]:
    """Turn driver errors into LedgerErrors, which say what happened, where and what to do next."""
    try:
        yield
    except psycopg.Error as error:
        raise LedgerError(f"the ledger at {place(url)} {_sentence(error)}") from error


def _sentence(error: psycopg.Error) -> str:
    """What happened at the ledger, and what to do next."""
    state, lines = error.sqlstate or "", str(error).strip().splitlines()
    why = lines[0].removesuffix(".") if lines else type(error).__name__
    match error:
        case Silence() | errors.ConnectionTimeout():
            return f"did not answer: {why}; see whether PostgreSQL hangs, or raise ledger.timeout"
        case errors.QueryCanceled():
            return f"did not answer in time: {why}; look for locks and load in PostgreSQL"
        case errors.IdleSessionTimeout() | errors.IdleInTransactionSessionTimeout():
            return f"ended this session, which was idle for too long: {why}; try again"
        case errors.InsufficientResources():
            return f"is full: {why}; free space on it"
        case errors.UndefinedTable() | errors.UndefinedColumn():
            return "does not have the schema of this version; run: saf ledger migrate"
        case errors.ForeignKeyViolation() if (error.diag.constraint_name or "").endswith("cluster_id_fkey"):
            return "has nothing of this cluster yet; run `saf cycle` once, or start the daemon with `saf run`"
        case errors.InsufficientPrivilege():
            return f"refuses: {why}; grant the role saf_daemon to this one, see `saf ledger roles`"
        case _ if known := next((text for words, text in BY_WORDS.items() if words.search(str(error))), ""):
            return known.format(why=why)
        case psycopg.OperationalError() | psycopg.InterfaceError() if not state or state.startswith(
            UNREACHABLE
        ):
            return f"cannot be reached: {why}; check ledger.url and PostgreSQL"
        case _:
            return f"failed: {why}; see PostgreSQL's log, and report it"


def place(url: str) -> str:
    """The address of a ledger, without its password.

    >>> place("postgresql://saf:secret@db.example:5433/saf")
    'db.example:5433/saf'
    >>> place("postgresql://saf:secret@one,two:5433/saf")
    'one,two:5433/saf'
    """
    parts = parts_of(url)
    hosts = hosts_of(parts) or ["local socket"]
    ports = str(parts.get("port") or "").split(",")
    servers = zip(hosts, ports * (len(hosts) if len(ports) == 1 else 1), strict=False)
    named = ",".join(f"{host}{f':{port}' if port else ''}" for host, port in servers)
    return f"{named}/{parts.get('dbname') or parts.get('user') or ''}"


def parts_of(url: str) -> dict[str, Any]:
    """The parts of a url; of several servers, the one that can be written to is meant.

    Raises LedgerError without the driver's message, which has the password in it.
    """
    try:
        parts: dict[str, Any] = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise LedgerError(
            "ledger.url cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with special "
            "characters of the password percent-encoded (% is %25)"
        ) from None
    return ({"target_session_attrs": "read-write"} if len(hosts_of(parts)) > 1 else {}) | parts


def hosts_of(parts: Mapping[str, Any]) -> list[str]:
    """The servers of a url, by its parts; none where it means the local one."""
    hosts = str(parts.get("host") or parts.get("hostaddr") or "")
    return hosts.split(",") if hosts else []
