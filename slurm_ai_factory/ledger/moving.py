"""A whole ledger from one PostgreSQL into another, of whatever versions: the rows, not a dump of the server.

The target's tables are made by the migrations; the rows are copied from one moment of the source, in which
nobody writes; then both ends are read again and compared row for row. All of it is one transaction of the
target, and the source is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from graphlib import TopologicalSorter
from hashlib import sha256
from typing import NamedTuple

from psycopg.sql import SQL, Composed, Identifier

from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger.connection import LONG, place, wrapped
from slurm_ai_factory.ledger.store import AS_OWNER, Store


class MovedTable(NamedTuple):
    """A table that was moved."""

    name: str
    rows: int
    sha256: str  #: of its rows as text, in the order of their bytes


def move(
    source_url: str, target_url: str, done: Callable[[MovedTable], object] = lambda _: None
) -> list[MovedTable]:
    """Copy a ledger into an empty database, and compare. Raises LedgerError, and then nothing was copied."""
    with Store(source_url, LONG) as source, Store(target_url, LONG) as target:
        source.check_schema()
        if (target.one("relations") or (0,))[0]:
            raise LedgerError(
                f"the database at {place(target_url)} is not empty; give one that is, with --to"
            )
        columns: dict[str, list[str]] = dict(source.all("tables"))
        names = _in_order(columns, source.all("references"))
        with _at_rest(source, names), target.transaction():
            target.migrate()
            moved = [_moved(source, target, name, columns[name], done) for name in names]
            for sequence, value, used in source.all("sequences"):
                target.one("set_sequence", sequence=sequence, value=value, used=used)
    return moved


@contextmanager
def _at_rest(source: Store, names: Iterable[str]) -> Iterator[None]:
    """One moment of the source, in which no daemon is active for any cluster and nobody writes."""
    held = SQL("LOCK TABLE {} IN SHARE MODE").format(SQL(", ").join(map(Identifier, names)))
    for name, cluster_id in source.all("clusters"):
        if not source.lock(cluster_id):
            raise LedgerError(f"a saf is active for cluster {name}; end it first: systemctl stop saf")
    owned = source.has_owner()
    with source.snapshot():
        if owned:
            source.connection.execute(AS_OWNER)
        source.connection.execute(held)  # first of all: the moment is that of the first query
        yield


def _in_order(names: Iterable[str], references: Iterable[tuple[str, str]]) -> list[str]:
    """Tables after those whose rows theirs need."""
    graph: dict[str, set[str]] = {name: set() for name in names}
    for name, needed in references:
        graph[name].add(needed)
    return list(TopologicalSorter(graph).static_order())


def _moved(
    source: Store, target: Store, name: str, columns: list[str], done: Callable[[MovedTable], object]
) -> MovedTable:
    table = SQL("{} ({})").format(Identifier(name), SQL(", ").join(map(Identifier, columns)))
    into = target.connection.cursor()
    statement = SQL("COPY {} FROM STDIN").format(table)
    with wrapped(target.url), _without_triggers(target, name), into.copy(statement) as copy:
        for block in _out(source, SQL("COPY {} TO STDOUT").format(table)):
            copy.write(block)
    found, made = _told(source, name), _told(target, name)
    if found != made:
        raise LedgerError(
            f"table {name} differs after copying: {found.rows} rows at {place(source.url)}, {made.rows} at "
            f"{place(target.url)}; nothing was moved; report it"
        )
    done(made)
    return made


@contextmanager
def _without_triggers(target: Store, name: str) -> Iterator[None]:
    """The chain is copied as it is: rows that come in add nothing to it."""
    switch = SQL("ALTER TABLE {} {} TRIGGER USER")
    target.connection.execute(switch.format(Identifier(name), SQL("DISABLE")))
    yield
    target.connection.execute(switch.format(Identifier(name), SQL("ENABLE")))


def _told(store: Store, name: str) -> MovedTable:
    rows = SQL('COPY (SELECT t::text FROM {} t ORDER BY t::text COLLATE "C") TO STDOUT').format(
        Identifier(name)
    )
    digest, count = sha256(), 0
    for row in _out(store, rows):
        digest.update(row)
        count += 1
    return MovedTable(name, count, digest.hexdigest())


def _out(store: Store, statement: Composed) -> Iterator[bytes]:
    with wrapped(store.url), store.connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in copy:
            yield bytes(row)
