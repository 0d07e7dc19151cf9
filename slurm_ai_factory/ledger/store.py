"""A connection that knows the named queries, the migrations and the writer's lock.

The connection is made when first needed and again after it broke, so that a daemon outlives a restart of
PostgreSQL. Losing it loses the writer's lock, which is therefore asked for anew by every cycle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar, cast

from psycopg.types.json import Jsonb

from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import sql
from slurm_ai_factory.ledger.connection import USUAL, Connection, Limits, connect, place, wrapped

SqlRow = tuple[Any, ...]
Kept = TypeVar("Kept")

LOCKS = {"writing": ("begin_writing", "end_writing"), "summing": ("begin_summing", "end_summing")}
"""Held while changes of shares are planned and settled, and while sums of usage are kept."""

AS_OWNER = "SET LOCAL ROLE saf_owner"
"""For the rest of a transaction, where ``Store.has_owner``: what is made then is saf_owner's."""

FETCHED = 2000
"""Rows of a stream that are held at a time."""


class Store:
    """PostgreSQL, one connection."""

    def __init__(self, url: str, limits: Limits = USUAL) -> None:
        self.url = url
        self.limits = limits
        self._connection: Connection | None = None
        self._remembered: dict[tuple[type, int], Any] = {}
        self._in_snapshot = False

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back; the next use makes another."""
        if self._connection:
            self._connection.close()
            self._connection = None

    @property
    def connection(self) -> Connection:
        """The live connection."""
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = connect(self.url, self.limits)
            self._remembered = {}
        return self._connection

    def remembered(self, kind: type[Kept], cluster_id: int) -> Kept:
        """What is known of this connection's answers; of a new connection's nothing.

        Where a dump was restored or a server put back, the keys of rows are used again, for others.
        """
        key = kind, cluster_id
        if key not in self._remembered:
            self._remembered[key] = kind()
        return cast("Kept", self._remembered[key])

    def forget(self) -> None:
        """What is known of earlier answers holds no longer."""
        self._remembered = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        with wrapped(self.url), self.connection.transaction():
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside is of one moment; inside another snapshot, of that one's."""
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
        """Statements inside are sent on before the answers of those before have come."""
        with wrapped(self.url), self.connection.pipeline():
            yield

    def all(self, query: str, **values: object) -> list[SqlRow]:
        """Every row of a named query."""
        with wrapped(self.url):
            return self.connection.execute(sql.queries()[query], values).fetchall()

    def stream(self, query: str, **values: object) -> Iterator[list[SqlRow]]:
        """The rows of a named query, some at a time, of an answer of any size. Inside a transaction."""
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
        """Run a named query for its effect; the number of rows it touched."""
        with wrapped(self.url):
            return self.connection.execute(sql.queries()[query], values).rowcount

    def do_many(self, query: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Run a named query once for each row."""
        if not rows:
            return
        with wrapped(self.url), self.connection.cursor() as cursor:
            cursor.executemany(sql.queries()[query], rows)

    def copy(self, query: str, rows: Iterable[Sequence[object]]) -> int:
        """Stream rows into a table; how many. What the iterable raises undoes the transaction around it."""
        statement = sql.queries()[query]
        with wrapped(self.url), self.connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for row in rows:
                    copy.write_row(row)
            return cursor.rowcount

    def copy_out(self, query: str, values: Mapping[str, object]) -> Iterator[bytes]:
        """Stream the rows of a named query, in PostgreSQL's COPY text."""
        statement = f"COPY ({sql.queries()[query]}) TO STDOUT"
        with wrapped(self.url), self.connection.cursor() as cursor, cursor.copy(statement, values) as copy:
            for row in copy:
                yield bytes(row)

    def migrate(self) -> list[str]:
        """Bring the schema to this version; the names of the migrations that were run now.

        Rights are given anew, also where nothing was to be migrated. Raises LedgerError.
        """
        with self.transaction():
            if roles := self.has_owner():
                self.connection.execute(AS_OWNER)
            self.connection.execute("SELECT pg_advisory_xact_lock(7340)")
            self.connection.execute(
                "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, digest text NOT NULL, "
                "applied_at timestamptz NOT NULL DEFAULT now())"
            )
            done = self._done()
            _check_known(done)
            pending = [one for one in sql.migrations() if one.name not in done]
            for one in pending:
                self.connection.execute(one.statements)
                self.connection.execute(
                    "INSERT INTO migrations (name, digest) VALUES (%s, %s)", (one.name, one.digest)
                )
            for (statement,) in [*self.all("revokes"), *self.all("grants")] if roles else ():
                self.connection.execute(statement)
        return [one.name for one in pending]

    def has_owner(self) -> bool:
        """Whether the schema is saf_owner's, and not this session's own.

        Raises LedgerError where this session's role may not change the schema.
        """
        role, may, owned = self.one("owner") or ("this user", False, False)
        if not may:
            raise LedgerError(
                f"role {role} may not change the schema of the ledger at {place(self.url)}; connect as a "
                "member of saf_owner: saf ledger migrate --url URL, saf ledger move --from URL --to URL"
            )
        return bool(owned)

    def check_schema(self) -> None:
        """Raise LedgerError unless the schema is exactly this version's."""
        with wrapped(self.url):
            done = self._done()
        _check_known(done)
        if missing := [one.name for one in sql.migrations() if one.name not in done]:
            raise LedgerError(
                f"the ledger at {place(self.url)} lacks migration {missing[0]}; run: saf ledger migrate"
            )

    def empty(self) -> bool:
        """Whether no migration was ever run here."""
        with wrapped(self.url):
            return not self._done()

    def _done(self) -> dict[str, str]:
        if self.connection.execute("SELECT to_regclass('migrations')").fetchone() == (None,):
            return {}
        return dict(self.connection.execute("SELECT name, digest FROM migrations").fetchall())

    def cluster_id(self, cluster: str) -> int:
        """The cluster's key, made when the ledger has none."""
        row = self.one("cluster_id", cluster=cluster)
        if row is None:
            self.do("add_cluster", cluster=cluster)
            return self.cluster_id(cluster)
        return int(row[0])

    def lock(self, cluster_id: int) -> bool:
        """Whether this connection is the one writer for the cluster, now that it asked."""
        row = self.one("lock", cluster_id=cluster_id)
        return bool(row and row[0])

    @contextmanager
    def holding(self, lock: str, cluster_id: object) -> Iterator[None]:
        """While this lasts, nobody else holds the lock, one of LOCKS, on the cluster.

        A lock ends with its connection: where that is lost there is nothing to give back.
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

    def leader(self, cluster_id: int) -> str | None:
        """Which process is the writer for the cluster now."""
        row = self.one("leader", cluster_id=cluster_id)
        return str(row[0]) if row else None


def _check_known(done: Mapping[str, str]) -> None:
    """Raise LedgerError where a migration was run that is not one of this version's."""
    known = {one.name: one.digest for one in sql.migrations()}
    if newer := sorted(done.keys() - known.keys()):
        raise LedgerError(f"the ledger was migrated by a newer version ({newer[-1]}); upgrade saf")
    if changed := sorted(name for name, digest in done.items() if known[name] != digest):
        raise LedgerError(f"migration {changed[0]} differs from the one the ledger was made with; reinstall")


def json(value: Mapping[str, object]) -> Jsonb:
    """A mapping as PostgreSQL's jsonb."""
    return Jsonb(dict(value))
