"""Copies a whole ledger from one PostgreSQL into another, of any versions: the rows, not a dump.

Migrations create the target's tables. The rows are copied from one moment of the source, in which no
process writes; then both ends are read again and compared row by row. All of it is one transaction of the
target, and the source stays unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from graphlib import TopologicalSorter
from hashlib import sha256
from typing import NamedTuple

from psycopg.sql import SQL, Composed, Identifier

from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import rights
from slurm_ai_factory.ledger.connection import LONG, place, wrapped
from slurm_ai_factory.ledger.store import Store


class MovedTable(NamedTuple):
    """A table that was copied."""

    name: str
    rows: int
    sha256: str  #: of its rows as text, in the order of their bytes


def move(
    source_url: str, target_url: str, done: Callable[[MovedTable], object] = lambda _: None
) -> list[MovedTable]:
    """Copy a ledger into an empty database, and compare. Raises LedgerError; then nothing was copied."""
    with Store(source_url, LONG) as source, Store(target_url, LONG) as target:
        source.check_schema()
        if (target.one("relations") or (0,))[0]:
            raise LedgerError(
                f"the database at {place(target_url)} is not empty; give one that is, with --to"
            )
        columns: dict[str, list[str]] = dict(source.all("tables"))
        graph: dict[str, set[str]] = {name: set() for name in columns}
        for name, needed in source.all("references"):
            graph[name].add(needed)
        names = list(TopologicalSorter(graph).static_order())
        with _at_rest(source, names), target.transaction():
            target.migrate()
            moved = [_moved(source, target, name, columns[name], done) for name in names]
            for sequence, value, used in source.all("sequences"):
                target.one("set_sequence", sequence=sequence, value=value, used=used)
    return moved


@contextmanager
def _at_rest(source: Store, names: Iterable[str]) -> Iterator[None]:
    """Hold one moment of the source, in which no daemon is active for any cluster and no process writes."""
    held = SQL("LOCK TABLE {} IN SHARE MODE").format(SQL(", ").join(map(Identifier, names)))
    for name, cluster_id in source.clusters().items():
        if not source.lock(cluster_id):
            raise LedgerError(f"a saf is active for cluster {name}; end it first: systemctl stop saf")
    owned = rights.has_owner(source.connection, source.url)
    with source.snapshot():
        if owned:
            source.connection.execute(rights.AS_OWNER)
        source.connection.execute(held)  # first: the snapshot is of the first query
        yield


def _moved(
    source: Store, target: Store, name: str, columns: list[str], done: Callable[[MovedTable], object]
) -> MovedTable:
    table = SQL("{} ({})").format(Identifier(name), SQL(", ").join(map(Identifier, columns)))
    into = target.connection.cursor()
    statement = SQL("COPY {} FROM STDIN").format(table)
    with wrapped(target.url), _without_triggers(target, name), into.copy(statement) as copy:
        for block in _out(source, SQL("COPY {} TO STDOUT").format(table)):
            copy.write(block)
    original, copied = _digested(source, name), _digested(target, name)
    if original != copied:
        raise LedgerError(
            f"table {name} differs after copying: {original.rows} rows at {place(source.url)}, "
            f"{copied.rows} at {place(target.url)}; nothing was moved; report it"
        )
    done(copied)
    return copied


@contextmanager
def _without_triggers(target: Store, name: str) -> Iterator[None]:
    """Copy the chain as it is: the copied rows add no entries to it."""
    switch = SQL("ALTER TABLE {} {} TRIGGER USER")
    target.connection.execute(switch.format(Identifier(name), SQL("DISABLE")))
    yield
    target.connection.execute(switch.format(Identifier(name), SQL("ENABLE")))


def _digested(store: Store, name: str) -> MovedTable:
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
