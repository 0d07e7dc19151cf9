"""Checks the hash chain over all recorded rows, and every row against its entry.

Triggers add an entry for each recorded row: the digest of the row, and a hash over the entry before it. This
shows rows that were changed, removed or added. A copy of the newest hash, the head, shows whether entries
were cut off at the end. The owner of the database can make a whole new chain, but it does not fit an older
head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from psycopg.sql import SQL, Composed, Identifier, Literal

from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.ledger.connection import wrapped
from slurm_ai_factory.ledger.derived import Comparison
from slurm_ai_factory.ledger.store import Store

COMPARED = SQL("""
WITH entries AS (
    SELECT row_key, format, digest FROM chain
    WHERE table_name = {name} AND NOT ({name} = 'decisions' AND EXISTS (
        SELECT FROM expiries x WHERE x.decisions @> (row_key::jsonb ->> 0)::bigint
    ))
), recorded AS (
    SELECT to_jsonb(t) AS content FROM {table} t
    UNION ALL
    SELECT k.content FROM withdrawn_rows k JOIN withdrawals w USING (withdrawal_id)
    WHERE k.table_name = {name} AND {name} IN ('accounts', 'outages', 'sizes')
        AND (k.content ->> 'recorded_at')::bigint >= w.since
        AND (k.content ->> 'cluster_id')::smallint = w.cluster_id
), keyed AS (
    SELECT chained_text(content, c.key, '{{}}') AS row_key, c.format,
        sha256_of(chained_text(content, c.columns, c.people)) AS digest
    FROM recorded, chained() c
    WHERE c.name = {name} AND content ->> 'status' IS DISTINCT FROM 'planned'
), rows AS (
    SELECT row_key, format, count(*) AS times, min(digest) AS digest FROM keyed GROUP BY row_key, format
), entered AS (
    SELECT row_key, count(*) AS times, max(format) AS format, min(digest) AS digest
    FROM entries GROUP BY row_key
), compared AS (
    SELECT row_key, e.times IS DISTINCT FROM 1 OR r.times IS DISTINCT FROM 1
        OR r.digest IS DISTINCT FROM e.digest AS differs
    FROM entered e FULL JOIN (
        SELECT r.* FROM rows r LEFT JOIN entered USING (row_key)
        WHERE r.format = coalesce(entered.format, (SELECT max(format) FROM chained() WHERE name = {name}))
    ) AS r USING (row_key)
)
SELECT count(*), count(*) FILTER (WHERE differs), coalesce(min(row_key) FILTER (WHERE differs), '')
FROM compared
""")
"""Compares every row of a table, withdrawn ones included, with its one entry, in the format of that entry.
Expired decisions have entries and no rows."""


class Head(NamedTuple):
    """An entry of the chain; the newest one is the head."""

    entry: int
    hash: str
    at: Instant


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain of a ledger: one for all clusters."""

    store: Store
    cluster_id: int

    def head(self) -> Head | None:
        """The newest entry."""
        row = self.store.one("head")
        return Head(*row) if row else None

    def find(self, head: str) -> Head | None:
        """The entry with this hash; None where the chain has no such entry."""
        row = self.store.one("entry_of", hash=head.lower())
        return Head(*row) if row else None

    def has(self, head: Head) -> bool:
        """Whether the chain still has what was its head earlier."""
        return self.store.one("entry_at", entry=head.entry) == tuple(head)

    def walked(self) -> Comparison:
        """Compare every entry with the one before it."""
        return Comparison(*(self.store.one("chain_walked") or (0, 0)))

    def records(self) -> Comparison:
        """Compare every recorded row with its entry."""
        rows, differing, first = 0, 0, ""
        for (table,) in self.store.all("chained_tables"):
            compared = self.rows_of(table)
            rows, differing = rows + compared.rows, differing + compared.differing
            if compared.differing and not first:
                first = f"{table} {compared.first}"
        return Comparison(rows, differing, first)

    def rows_of(self, table: str) -> Comparison:
        """Compare every row of one chained table with its entry."""
        query: Composed = COMPARED.format(name=Literal(table), table=Identifier(table))
        with wrapped(self.store.url):
            return Comparison(*(self.store.connection.execute(query).fetchone() or (0, 0)))

    def versions(self) -> Comparison:
        """Compare each version of a run with the one before: a read, override or withdrawal joins them."""
        return Comparison(*(self.store.one("versions_compared", cluster_id=self.cluster_id) or (0, 0)))

    def reads(self) -> Comparison:
        """Compare the digest of every read with the runs that it recorded."""
        return Comparison(*(self.store.one("reads_compared", cluster_id=self.cluster_id) or (0, 0)))
