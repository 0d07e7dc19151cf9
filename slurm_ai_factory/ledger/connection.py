"""One connection that nothing waits on for ever, and driver errors turned into one sentence for the operator.

The server's own deadlines end with the server: one that hangs is told by a deadline kept here, on every wait.
The other way round, the server ends the session of a client that vanished or stands still, and with it every
lock that it holds.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from time import monotonic
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from slurm_ai_factory.errors import LedgerError

logging.getLogger("psycopg").setLevel(logging.ERROR)  # what it warns of comes back as a LedgerError

CONNECT_SECONDS = 10
"""For each address of a server."""

KEEPALIVE = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
"""The server notices within a minute that a machine is gone; one that is only frozen still answers these."""

UNREACHABLE = ("08", "57P")
"""SQLSTATEs of a connection that is not there, and of a server that ends or does not serve yet."""

NOT_THIS_USER = re.compile(r'FATAL:\s+(Peer authentication failed|role ".*" does not exist)')

Returned = TypeVar("Returned")


class Limits(NamedTuple):
    """How long each side of a session waits for the other, in seconds."""

    silence: float = 120  #: of the server: then it hangs, and the connection is given up
    statement: float = 600  #: one statement may take; 0 for as long as it needs
    idle: float | None = None  #: of this process between statements; None for as long as it likes


USUAL = Limits()

LONG = Limits(silence=3600, statement=0)
"""For work that somebody asked for and waits for: migrations, checks and exports of a whole history."""


class Silence(psycopg.OperationalError):
    """The server said nothing for too long."""


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that is closed when the server says nothing for ``silence`` seconds of any wait."""

    silence: float = USUAL.silence

    def wait(self, gen: Generator[Any, Any, Returned], *args: Any, **kwargs: Any) -> Returned:
        """As psycopg waits. Raises Silence."""
        try:
            return super().wait(_bounded(gen, self.silence), *args, **kwargs)
        except Silence:
            self.close()
            raise


def _bounded(gen: Generator[Any, Any, Returned], silence: float) -> Generator[Any, Any, Returned]:
    """The same steps; psycopg sends a 0 every now and then while the server is not ready for the next one."""
    ready, heard = None, monotonic()
    while True:
        try:
            step = gen.send(ready)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        ready = yield step
        if ready:
            heard = monotonic()
        elif monotonic() - heard > silence:
            raise Silence(f"no answer within {silence:g} s")


def connect(url: str, limits: Limits) -> Connection:
    """An autocommit connection within these limits. Raises LedgerError.

    What the url says of timeouts and options goes before. A name server may hang longer than any limit: the
    connection is made in a thread, which is left behind then.
    """
    made: Future[Connection] = Future()
    with wrapped(url):
        Thread(target=_make, args=(_parts(url), limits, made), daemon=True).start()
        try:
            return made.result(limits.silence)
        except TimeoutError:
            if made.cancel():
                raise Silence(f"no connection within {limits.silence:g} s") from None
            return made.result()


def _make(parts: dict[str, Any], limits: Limits, made: Future[Connection]) -> None:
    """Connect, for whoever still waits for it."""
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
    """What the server is to do with the session, of its own accord."""
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
    """Let no driver error out: LedgerError says what happened, where and what to do."""
    try:
        yield
    except psycopg.Error as error:
        raise LedgerError(f"the ledger at {place(url)} {_sentence(error)}") from error


def _sentence(error: psycopg.Error) -> str:
    """What the ledger did, and what to do about it."""
    said, state = _first(error), error.sqlstate or ""
    match error:
        case Silence() | errors.ConnectionTimeout():
            return f"did not answer: {said}; see whether PostgreSQL hangs, or raise ledger.timeout"
        case errors.QueryCanceled():
            return f"did not answer in time: {said}; look for locks and load in PostgreSQL"
        case errors.IdleSessionTimeout() | errors.IdleInTransactionSessionTimeout():
            return f"ended the session of this saf, which was silent for too long: {said}; try again"
        case errors.InsufficientResources():
            return f"is full: {said}; free space on it"
        case errors.UndefinedTable() | errors.UndefinedColumn():
            return "has not the schema of this version; run: saf ledger migrate"
        case errors.ForeignKeyViolation() if (error.diag.constraint_name or "").endswith("cluster_id_fkey"):
            return "has nothing of this cluster yet; run `saf cycle` once, or start the daemon with `saf run`"
        case errors.InsufficientPrivilege():
            return f"refuses: {said}; grant the role saf_daemon to this one, see `saf ledger roles`"
        case _ if NOT_THIS_USER.search(said):
            return f"refuses this user: {said}; run it as the daemon's user: sudo -u slurm-ai-factory saf ..."
        case psycopg.OperationalError() | psycopg.InterfaceError() if not state or state.startswith(
            UNREACHABLE
        ):
            return f"cannot be reached: {said}; check ledger.url and PostgreSQL"
        case _:
            return f"failed: {said}; see PostgreSQL's log, and report it"


def place(url: str) -> str:
    """Where a ledger is, without its password.

    >>> place("postgresql://saf:secret@db.example:5433/saf")
    'db.example:5433/saf'
    """
    parts = _parts(url)
    host, port = parts.get("host") or "local socket", parts.get("port")
    return f"{host}{f':{port}' if port else ''}/{parts.get('dbname') or parts.get('user') or ''}"


def _parts(url: str) -> dict[str, Any]:
    """What a url is made of. The driver's own words would have the password in them."""
    try:
        return conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise LedgerError(
            "ledger.url cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with special "
            "characters of the password percent-encoded (% is %25)"
        ) from None


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].removesuffix(".") if lines else type(error).__name__
