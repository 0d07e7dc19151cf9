"""A connection that knows the named queries, the migrations and the writer's lock.

The connection is made when first needed and again after it broke, so that a daemon outlives a restart of
PostgreSQL. Losing it loses the writer's lock, so every cycle asks for the lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from threading import RLock
from types import TracebackType
from typing import Any, NamedTuple

from psycopg.abc import PQGen
from psycopg.generators import copy_from
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.types.json import Jsonb

from slurm_ai_factory.core.live.modes import RunningDaemon
from slurm_ai_factory.core.records import FOREVER, Instant, Mode
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import rights, sql
from slurm_ai_factory.ledger.connection import (
    USUAL,
    Connection,
    Limits,
    connect,
    hosts_of,
    parts_of,
    place,
    wrapped,
)

SqlRow = tuple[Any, ...]

LOCKS = {
    "writing": ("begin_writing", "end_writing"),
    "summing": ("begin_summing", "end_summing"),
    "archiving": ("begin_archiving", "end_archiving"),
}
"""Held while changes of shares are planned and settled, sums of usage saved, and months archived."""

FETCHED = 2000
"""Rows of a stream in memory at a time."""

COPIED = 10_000
"""Rows of a COPY into a table."""

BLOCK = 2**24
"""Bytes of a COPY in memory at a time."""


MODE_KEYS = {Mode.OBSERVE: 7351, Mode.ADVISE: 7352, Mode.ENFORCE: 7353}
"""The lock that a daemon shares with the others of its mode: it ends with the session, as the daemon does."""


class Standbys(NamedTuple):
    """The standbys of a server, and what a commit waits for."""

    number: int
    awaited: bool  #: a commit waits until a standby has it on disk


class Store:
    """One connection to PostgreSQL, made when it is first needed and again after it broke."""

    def __init__(self, url: str, limits: Limits = USUAL) -> None:
        self.url = url
        self.limits = limits
        self._connection: Connection | None = None
        self._in_snapshot = False
        self._used = RLock()  #: held by the thread that is within a transaction

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next use makes another."""
        if self._connection:
            self._connection.close()
            self._connection = None

    @property
    def connection(self) -> Connection:
        """The live connection."""
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = connect(self.url, self.limits)
        return self._connection

    def touch(self) -> None:
        """Let the server hear that this process lives. Raises LedgerError where the session is lost.

        The session is not opened again here, because its lock is lost with it, and the caller must know.
        """
        if self._used.acquire(blocking=False):  # else another thread is within a transaction, and heard
            try:
                connection = self._connection
                if connection and connection.info.transaction_status is TransactionStatus.IDLE:
                    with wrapped(self.url):
                        connection.execute("SELECT")
            finally:
                self._used.release()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all statements inside, or none."""
        with self._used, wrapped(self.url), self.connection.transaction():
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read everything inside at one moment; inside another snapshot, at its moment."""
        inside, self._in_snapshot = self._in_snapshot, True
        try:
            with self.transaction():
                if not inside:
                    self.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                yield
        finally:
            self._in_snapshot = inside

    @contextmanager
    def pipeline(self) -> Iterator[None]:
        """Send the statements inside without waiting for the answers of earlier ones."""
        with wrapped(self.url), self.connection.pipeline():
            yield

    def all(self, query: str, **values: object) -> list[SqlRow]:
        """Every row of a named query."""
        with wrapped(self.url):
            return self.connection.execute(sql.queries()[query], values).fetchall()

    def stream(self, query: str, **values: object) -> Iterator[list[SqlRow]]:
        """The rows of a named query in batches, for an answer of any size. Inside a transaction."""
        with wrapped(self.url), self.connection.cursor(query) as cursor:
            cursor.execute(sql.queries()[query], values)
            while rows := cursor.fetchmany(FETCHED):
                yield rows

    def one(self, query: str, **values: object) -> SqlRow | None:
        """The first row of a named query."""
        with wrapped(self.url):
            return self.connection.execute(sql.queries()[query], values).fetchone()

    def named(self, query: str, **values: object) -> list[dict[str, Any]]:
        """Every row of a named query, by column."""
        with wrapped(self.url):
            cursor = self.connection.execute(sql.queries()[query], values)
            columns = [column.name for column in cursor.description or ()]
            return [dict(zip(columns, row, strict=True)) for row in cursor]

    def do(self, query: str, **values: object) -> int:
        """Run a named query; the number of rows it changed."""
        with wrapped(self.url):
            return self.connection.execute(sql.queries()[query], values).rowcount

    def do_many(self, query: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Run a named query once for each row."""
        if not rows:
            return
        with wrapped(self.url), self.connection.cursor() as cursor:
            cursor.executemany(sql.queries()[query], rows)

    def copy(self, query: str, rows: Iterable[Sequence[object]]) -> int:
        """Write rows into a table; how many. An error of the iterable rolls the transaction back.

        COPIED at a time, so that no COPY waits for the iterable: the server ends no session inside of one.
        """
        statement, left, number = sql.queries()[query], iter(rows), 0
        with wrapped(self.url), self.connection.cursor() as cursor:
            while block := list(islice(left, COPIED)):
                with cursor.copy(statement) as copy:
                    for row in block:
                        copy.write_row(row)
                number += cursor.rowcount
        return number

    def copy_out(self, query: str, values: Mapping[str, object], form: str = "") -> Iterator[bytes]:
        """Stream the rows of a named query, in PostgreSQL's COPY text or with the options of ``form``.

        A block has whole rows, and ends with the first one that makes it longer than BLOCK bytes.
        """
        statement = f"COPY ({sql.queries()[query]}) TO STDOUT {form}"
        with wrapped(self.url), self.connection.cursor() as cursor, cursor.copy(statement, values):
            while len(block := self.connection.wait(_block(self.connection.pgconn))) > BLOCK:
                yield block
            if block:
                yield block

    def migrate(self) -> list[str]:
        """Bring the schema to this version, and grant all rights again; the names of the migrations run now.

        Raises LedgerError.
        """
        with self.transaction():
            owned = rights.has_owner(self.connection, self.url)
            if owned:
                self.connection.execute(rights.AS_OWNER)
            self.connection.execute("SELECT pg_advisory_xact_lock(7340)")
            self.connection.execute(
                "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, digest text NOT NULL, "
                "applied_at timestamptz NOT NULL DEFAULT now())"
            )
            done = self._done()
            _check_known(done)
            pending = [migration for migration in sql.migrations() if migration.name not in done]
            for name, statements, digest in pending:
                self.connection.execute(statements)
                self.connection.execute(
                    "INSERT INTO migrations (name, digest) VALUES (%s, %s)", (name, digest)
                )
            if owned:
                rights.grant(self.connection)
        return [migration.name for migration in pending]

    def check_schema(self) -> None:
        """Raise LedgerError unless the schema is exactly this version's."""
        with wrapped(self.url):
            done = self._done()
        _check_known(done)
        if missing := [step.name for step in sql.migrations() if step.name not in done]:
            raise LedgerError(
                f"the ledger at {place(self.url)} lacks migration {missing[0]}; run: saf ledger migrate"
            )

    def empty(self) -> bool:
        """Whether the database has no ledger yet."""
        with wrapped(self.url):
            return not self._done()

    def _done(self) -> dict[str, str]:
        if self.connection.execute("SELECT to_regclass('migrations')").fetchone() == (None,):
            return {}
        return dict(self.connection.execute("SELECT name, digest FROM migrations").fetchall())

    def clusters(self) -> dict[str, int]:
        """cluster -> key, of every cluster in the ledger."""
        return {name: int(key) for name, key in self.all("clusters")}

    def cluster_id(self, cluster: str) -> int:
        """The key of a cluster, which is added where the ledger does not have it."""
        row = self.one("cluster_id", cluster=cluster)
        if row is None:
            self.do("add_cluster", cluster=cluster)
            return self.cluster_id(cluster)
        return int(row[0])

    def lock(self, cluster_id: int) -> bool:
        """Whether this connection got the lock of the one writer for the cluster, or has it already.

        A holder that stands still inside a COPY loses it soon after.
        """
        row = self.one("lock", cluster_id=cluster_id)
        if row and row[0]:
            return True
        if self.limits.idle is not None:
            self.do("end_silent_leader", cluster_id=cluster_id, silence=self.limits.idle)
        return False

    @contextmanager
    def holding(self, lock: str, cluster_id: object) -> Iterator[None]:
        """Hold a lock, one of LOCKS, on the cluster; wait for it first.

        A lock ends with its connection: when that is lost, there is nothing to release.
        """
        begin, end = LOCKS[lock]
        self.one(begin, cluster_id=cluster_id)
        held = self.connection
        try:
            yield
        finally:
            if not held.closed:
                self.one(end, cluster_id=cluster_id)

    def may_write(self, cluster_id: int) -> bool:
        """Whether this session holds the lock "writing" on the cluster."""
        row = self.one("holds_writing", cluster_id=cluster_id)
        return bool(row and row[0])

    def standbys(self) -> Standbys:
        """The standbys of the server: those that the url names, or those that follow it now."""
        streaming, awaited = self.one("standbys") or (0, False)
        return Standbys(max(len(hosts_of(parts_of(self.url))) - 1, streaming), awaited)

    def announce_mode(self, cluster_id: int, mode: Mode) -> None:
        """Let others see in which mode this daemon runs on the cluster, for as long as it is connected."""
        self.one("announce_mode", cluster_id=cluster_id, key=MODE_KEYS[mode])

    def daemons(self, cluster_id: int) -> list[RunningDaemon]:
        """The daemons of the cluster that are connected now: the leader, and those that stand by."""
        modes = {key: mode for mode, key in MODE_KEYS.items()}
        rows = self.all("daemons", cluster_id=cluster_id, keys=list(modes))
        return [RunningDaemon(name, modes[key]) for name, key in rows]

    def leader(self, cluster_id: int) -> str | None:
        """The process that is the writer for the cluster now: saf@host:pid."""
        row = self.one("leader", cluster_id=cluster_id)
        return str(row[0]) if row else None


def _block(pgconn: PGconn) -> PQGen[bytes]:
    """The next rows of a COPY: more than BLOCK bytes, or what is left.

    Waiting once for many rows takes a quarter of the time of waiting for each.
    """
    block = bytearray()
    while len(block) <= BLOCK and isinstance(row := (yield from copy_from(pgconn)), memoryview):
        block += row
    return bytes(block)


def _check_known(done: Mapping[str, str]) -> None:
    """Raise LedgerError where the ledger has a migration that this version does not have."""
    known = {name: digest for name, _, digest in sql.migrations()}
    if newer := sorted(done.keys() - known.keys()):
        raise LedgerError(f"the ledger was migrated by a newer version ({newer[-1]}); upgrade saf")
    if changed := sorted(name for name, digest in done.items() if known[name] != digest):
        raise LedgerError(f"migration {changed[0]} differs from the one the ledger was made with; reinstall")


def known_at(then: Instant | None) -> Instant:
    """The instant whose knowledge is asked for, as a query's ``as_of``; None is now."""
    return FOREVER if then is None else then


def json(value: Mapping[str, object]) -> Jsonb:
    """A mapping as PostgreSQL's jsonb."""
    return Jsonb(dict(value))
