"""The chain over everything that was recorded, walked; and every row beside its entry.

PostgreSQL adds the entries as rows are recorded. An entry has the digest of a row and a hash over the entry
before it, so a changed, removed or added row is found, and a copy of the newest hash, the head, tells whether
entries were cut off at the end. Whoever owns the database can make a whole new chain, which a copy of a head
that lies elsewhere does not fit.
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
    SELECT row_key, format, digest FROM chain WHERE table_name = {name}
), told AS (
    SELECT to_jsonb(t) AS told FROM {table} t
    UNION ALL
    SELECT k.content FROM withdrawn_rows k JOIN withdrawals w USING (withdrawal_id)
    WHERE k.table_name = {name} AND {name} IN ('accounts', 'outages', 'sizes')
        AND (k.content ->> 'recorded_at')::bigint >= w.since
        AND (k.content ->> 'cluster_id')::smallint = w.cluster_id
), keyed AS (
    SELECT chained_text(told, c.key, '{{}}') AS row_key, c.format,
        sha256_of(chained_text(told, c.columns, c.people)) AS digest
    FROM told, chained() c
    WHERE c.name = {name} AND told ->> 'status' IS DISTINCT FROM 'planned'
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
"""Every row of a table, withdrawn ones included, beside its one entry, in the format the entry has."""


class Head(NamedTuple):
    """The newest entry of the chain, or one that was the newest."""

    entry: int
    hash: str
    at: Instant


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain of a ledger; it is of all clusters."""

    store: Store
    cluster_id: int

    def head(self) -> Head | None:
        """The newest entry."""
        row = self.store.one("head")
        return Head(*row) if row else None

    def find(self, head: str) -> Head | None:
        """The entry that has a hash."""
        row = self.store.one("entry_of", hash=head.lower())
        return Head(*row) if row else None

    def walked(self) -> Comparison:
        """Every entry beside the one before it."""
        return Comparison(*(self.store.one("chain_walked") or (0, 0)))

    def records(self) -> Comparison:
        """Every recorded row beside its entry."""
        found = [(name, self._compared(name)) for (name,) in self.store.all("chained_tables")]
        first = next((f"{name} {one.first}" for name, one in found if one.differing), "")
        return Comparison(sum(one.rows for _, one in found), sum(one.differing for _, one in found), first)

    def _compared(self, table: str) -> Comparison:
        query: Composed = COMPARED.format(name=Literal(table), table=Identifier(table))
        with wrapped(self.store.url):
            return Comparison(*(self.store.connection.execute(query).fetchone() or (0, 0)))

    def versions(self) -> Comparison:
        """Whether what each run was, and is, follows one after the other, as reads and people told it."""
        return Comparison(*(self.store.one("versions_compared", cluster_id=self.cluster_id) or (0, 0)))

    def reads(self) -> Comparison:
        """The digest of every read beside the runs that it took in."""
        return Comparison(*(self.store.one("reads_compared", cluster_id=self.cluster_id) or (0, 0)))
