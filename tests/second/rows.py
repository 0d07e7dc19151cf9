"""The raw rows of a ledger as they were known at an instant: what was recorded by then and not yet superseded.

Rule: nothing derived is read, neither counts by TRES nor usage by hour nor answers of rules. Of several rows
about the same thing the one recorded last holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString, NamedTuple

from psycopg import Connection
from psycopg.rows import dict_row

Row = Mapping[str, Any]

RUNS: LiteralString = """
WITH told AS (
    SELECT cluster_id, subject_id, req_id, alloc_id, job_label, state, submit_at, eligible_at, start_at, end_at,
        elapsed_seconds, suspended_seconds, recorded_at, missing_since, NULL::bigint AS superseded_at
    FROM runs
    UNION ALL
    SELECT cluster_id, subject_id, req_id, alloc_id, job_label, state, submit_at, eligible_at, start_at, end_at,
        elapsed_seconds, suspended_seconds, recorded_at, missing_since, superseded_at
    FROM run_versions
)
"""
KNOWN_RUNS: LiteralString = """
SELECT account, user_name AS user, partition, qos, wckey, reservation, comment, override, job_label, state, eligible_at,
    start_at, end_at, elapsed_seconds, suspended_seconds, wanted.tres AS req_tres, had.tres AS alloc_tres,
    CASE WHEN missing_since <= %(then)s THEN missing_since END AS missing_since
FROM told
JOIN subjects USING (subject_id)
JOIN allocations wanted ON wanted.allocation_id = req_id
JOIN allocations had ON had.allocation_id = alloc_id
WHERE told.cluster_id = %(cluster_id)s AND recorded_at <= %(then)s AND coalesce(superseded_at > %(then)s, true)
"""
NEWEST_RECORD: LiteralString = """
SELECT max(greatest(submit_at, start_at, end_at)) AS at FROM told
WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(then)s
"""
READS: LiteralString = """
SELECT since, until FROM reads
WHERE cluster_id = %(cluster_id)s AND at <= %(then)s AND coalesce(withdrawn_at > %(then)s, true) ORDER BY since
"""
RECORDED: Mapping[str, LiteralString] = {
    "organisations": "SELECT * FROM organisations WHERE recorded_at <= %(then)s ORDER BY entry_id",
    "links": "SELECT * FROM links WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(then)s ORDER BY entry_id",
    "accounts": "SELECT * FROM accounts WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(then)s"
    " ORDER BY recorded_at",
    "overrides": "SELECT * FROM overrides WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(then)s",
    "rules_used": "SELECT * FROM rules_used WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(then)s"
    " ORDER BY recorded_at",
    "promise_terms": "SELECT * FROM promise_terms WHERE cluster_id = %(cluster_id)s ORDER BY entry_id",
    "sizes": "SELECT * FROM sizes WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(then)s"
    " ORDER BY recorded_at",
    "outages": "SELECT * FROM outages WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(then)s"
    " ORDER BY recorded_at",
    "decisions": "SELECT * FROM decisions WHERE cluster_id = %(cluster_id)s AND at <= %(then)s",
    "changes": "SELECT c.*, d.at FROM changes c JOIN decisions d USING (decision_id)"
    " WHERE d.cluster_id = %(cluster_id)s AND status = 'applied' AND settled_at <= %(then)s ORDER BY change_id",
    "expertise_entries": "SELECT * FROM expertise_entries WHERE recorded_at <= %(then)s",
    "reports": "SELECT * FROM reports WHERE cluster_id = %(cluster_id)s AND as_of < %(then)s ORDER BY as_of",
    "audits": "SELECT * FROM audits WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(then)s"
    " ORDER BY audit_id",
}
"""What was recorded by an instant, in the order of recording where that matters."""


class Subject(NamedTuple):
    """Whom a run was for, as far as Slurm knows."""

    account: str
    user: str
    partition: str
    qos: str
    wckey: str
    reservation: str
    comment: str
    override: str


class Run(NamedTuple):
    """One allocation. Instants are seconds since the epoch, None where there is none yet."""

    subject: Subject
    label: str
    state: str
    eligible: int | None
    start: int | None
    end: int | None
    elapsed: int
    suspended: int
    req_tres: str
    alloc_tres: str
    missing: int | None  #: since when reads list it no longer, although it has not ended


@dataclass(frozen=True)
class Known:
    """What a ledger knew of a cluster at an instant."""

    connection: Connection[Any]
    cluster_id: int
    then: int

    def _all(self, statement: LiteralString) -> list[Row]:
        key = {"cluster_id": self.cluster_id, "then": self.then}
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return [*cursor.execute(statement, key)]

    def recorded(self, table: str) -> list[Row]:
        """The rows of a table."""
        return self._all(RECORDED[table])

    def runs(self) -> dict[Subject, list[Run]]:
        """Every run, by subject."""
        found: dict[Subject, list[Run]] = {}
        for row in self._all(RUNS + KNOWN_RUNS):
            values = list(row.values())
            subject = Subject(*values[:8])
            found.setdefault(subject, []).append(Run(subject, *values[8:]))
        return found

    def newest_record(self) -> int | None:
        """The newest instant that accounting had told of a run."""
        at: int | None = self._all(RUNS + NEWEST_RECORD)[0]["at"]
        return at

    def read_until(self) -> int:
        """How far accounting had been read. Raises ValueError where nothing had been read."""
        return max(row["until"] for row in self._all(READS))

    def unread(self, since: int, until: int) -> int:
        """Seconds of [since, until) that no read had covered."""
        missing, reached = 0, since
        for read in self._all(READS):
            missing += max(0, min(read["since"], until) - reached)
            reached = max(reached, min(read["until"], until))
        return missing + max(0, until - reached)


def newest(rows: Iterable[Row], *names: str) -> list[Row]:
    """Of rows in the order of recording, the last about each thing that these columns name."""
    return list({tuple(row[name] for name in names): row for row in rows}.values())
