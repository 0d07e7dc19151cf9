"""The raw rows of a ledger as known at an instant: recorded by then, and not yet superseded.

Rule: nothing derived is read, neither counts by TRES nor usage by hour nor answers of rules. Of several rows
about the same thing the one recorded last holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from psycopg import Connection
from psycopg.rows import namedtuple_row

OF_RUNS = """cluster_id, db_index, subject_id, req_id, alloc_id, job_label, state, submit_at, eligible_at,
    start_at, end_at, elapsed_seconds, suspended_seconds, recorded_at, missing_since"""
RUNS = f"""(
    SELECT told.*, account, user_name AS user, partition, qos, wckey, reservation, comment, override,
        wanted.tres AS req_tres, had.tres AS alloc_tres
    FROM (
        SELECT {OF_RUNS}, NULL::bigint AS superseded_at FROM runs
        UNION ALL SELECT {OF_RUNS}, superseded_at FROM run_versions
    ) AS told
    JOIN subjects USING (subject_id)
    JOIN allocations AS wanted ON wanted.allocation_id = req_id
    JOIN allocations AS had ON had.allocation_id = alloc_id
) AS runs"""
"""Every run with what it was before, whom it was for and its texts of TRES."""


class Known:
    """What a ledger knew of a cluster at an instant. Rows have their columns as attributes."""

    def __init__(self, connection: Connection[Any], cluster: str, then: int) -> None:
        self.connection, self.cluster, self.then = connection, cluster, then
        (self.cluster_id,) = [one.cluster_id for one in self._all("clusters", "1") if one.name == cluster]

    def _all(self, table: str, order: str) -> list[Any]:
        with self.connection.cursor(row_factory=namedtuple_row) as cursor:
            return cursor.execute(f"SELECT * FROM {table} ORDER BY {order}".encode()).fetchall()

    def rows(self, table: str, order: str = "1", at: str = "recorded_at") -> list[Any]:
        """The rows of a table in the order of recording, which is mostly that of the first column."""
        rows = [(one, getattr(one, at)) for one in self._all(table, order)]
        known = [one for one, recorded in rows if recorded is not None and recorded <= self.then]
        return [one for one in known if getattr(one, "cluster_id", None) in (None, self.cluster_id)]

    @cached_property
    def versions(self) -> list[Any]:
        """Everything that was told of any run."""
        return self.rows(RUNS)

    @cached_property
    def runs(self) -> list[Any]:
        return [one for one in self.versions if one.superseded_at is None or one.superseded_at > self.then]

    @cached_property
    def reads(self) -> list[Any]:
        """The reads of accounting that had not been taken back, by what they cover."""
        rows = self.rows("reads", "since", "at")
        return [one for one in rows if one.withdrawn_at is None or one.withdrawn_at > self.then]

    @property
    def read_until(self) -> int:
        """How far accounting had been read. Raises ValueError where nothing had been read."""
        return max(int(one.until) for one in self.reads)

    def unread(self, since: int, until: int) -> int:
        """Seconds of [since, until) that no read had covered."""
        missing, reached = 0, since
        for read in self.reads:
            missing += max(0, min(read.since, until) - reached)
            reached = max(reached, min(read.until, until))
        return missing + max(0, until - reached)

    def newest_record(self) -> int:
        """The newest instant that accounting had told of a run."""
        told = [(one.submit_at, one.start_at, one.end_at) for one in self.versions]
        return max(int(at) for instants in told for at in instants if at is not None)


def newest(rows: Iterable[Any], *names: str) -> list[Any]:
    """Of rows in the order of recording, the last about each thing that these columns name."""
    return list({tuple(getattr(one, name) for name in names): one for one in rows}.values())
