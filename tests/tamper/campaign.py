"""One change by hand in each column of a ledger with four published reports, and who finds it.

Rule: the columns come from the schema, so that a new one is tried without anybody thinking of it. A change
that no check finds is proven irrelevant: the last check makes every published report again from facts alone
and compares all that it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from uuid import uuid4

import psycopg
from psycopg.sql import SQL, Composable, Identifier

from slurm_ai_factory.audit import verification
from slurm_ai_factory.errors import SafError
from slurm_ai_factory.ledger import open_ledger
from tests import facility
from tests.conftest import as_role, by_hand
from tests.report.year import Year

OTHERWISE: Mapping[str, Sequence[str]] = {
    "bigint": ("{0} + 3600", "{0} - 1", "{0} + 1", "{0} - 3600", "1"),
    "boolean": ("NOT {0}",),
    "bytea": (r"{0} || '\x00'",),
    "date": ("{0} + 1",),
    "double precision": ("{0} * 1.1", "0.5"),
    "int8multirange": ("'{{}}'",),
    "integer": ("{0} + 1", "{0} - 1"),
    "jsonb": ("""{0} || '{{"x": 1}}'""", "'[]'"),
    "numeric": ("{0} * 2", "{0} / 2", "{0} + 1", "1"),
    "smallint": ("{0} + 1", "{0} - 1"),
    "text": (
        "{0} || 'x'", "'regional'", "'non_regional'", "'business'", "'government'", "'applied'", "'enforce'",
        "'operator'", "'unmet'", "'delivered'", "'reconcile'", "''", "'0'", "reverse({0})",
    ),
    "text[]": ("{0} || 'x'::text",),
    "timestamp with time zone": ("{0} + interval '1 day'",),
    "uuid": ("gen_random_uuid()",),
}  # fmt: skip
"""What is tried of each type, one after the other, until PostgreSQL takes it."""

COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, NULL)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""

REFUSED, EMPTY, IRRELEVANT = (
    "refused by PostgreSQL",
    "no row in the year",
    "every published report says the same",
)


class Column(NamedTuple):
    """A column of the schema."""

    table: str
    name: str
    type: str


class Tampering(NamedTuple):
    """What was done to a column, and how it ended."""

    column: Column
    change: str
    outcome: str  #: the check that found it, REFUSED, EMPTY or IRRELEVANT


def columns(url: str) -> list[Column]:
    """Every column of every table."""
    with by_hand(url) as connection:
        return [Column(*row) for row in connection.execute(COLUMNS)]


@contextmanager
def copied(url: str) -> Iterator[str]:
    """A ledger just like it, to be changed."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    name = f"tampered_{uuid4().hex}"
    server = as_role(psycopg.conninfo.make_conninfo(url, dbname="postgres"), "postgres")
    with psycopg.connect(server, autocommit=True) as connection:
        template = Identifier(str(parts["dbname"]))
        connection.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), template))
        try:
            yield as_role(psycopg.conninfo.make_conninfo(url, dbname=name), "postgres")
        finally:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def tried(year: Year, column: Column) -> Tampering:
    """Change one row of a copy, as an owner who switches guards and foreign keys off."""
    with copied(year.url) as url:
        with by_hand(url) as connection:
            change = _changed(connection, column)
        if change in (REFUSED, EMPTY):
            return Tampering(column, "", change)
        return Tampering(column, change, found(year, url))


def _changed(connection: psycopg.Connection[tuple[object, ...]], column: Column) -> str:
    """What was written into one row of the column, or why nothing was."""
    table, name = Identifier(column.table), Identifier(column.name)
    if connection.execute(SQL("SELECT FROM {} LIMIT 1").format(table)).fetchone() is None:
        return EMPTY
    for text in OTHERWISE[column.type]:
        words = {"text": "'x'", "jsonb": "'{}'", "uuid": "gen_random_uuid()", "boolean": "true"}
        value: Composable = SQL(text).format(
            SQL("coalesce({}, {})").format(name, SQL(f"{words.get(column.type, '0')}::{column.type}"))
        )
        statement = SQL(
            "UPDATE {0} SET {1} = {2} WHERE ctid = "
            "(SELECT ctid FROM {0} WHERE {2} IS DISTINCT FROM {1} ORDER BY {1} NULLS LAST LIMIT 1)"
        ).format(table, name, value)
        try:
            if connection.execute(statement).rowcount == 1:
                return text.format(column.name)
        except psycopg.Error:
            continue
    return REFUSED


def found(year: Year, url: str) -> str:
    """The first check of `saf ledger verify` that finds something, or what finding nothing proves."""
    try:
        with open_ledger(url, facility.CLUSTER) as ledger:
            hours = verification.intervals_to_compare(ledger)
            for one in verification.verify(year.config, ledger, hours, lambda _: None):
                if one.differing:
                    return f"{one.check}: {one.first}"
    except SafError as error:
        return f"error: {error}"
    return IRRELEVANT
