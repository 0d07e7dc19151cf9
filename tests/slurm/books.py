"""A ledger as text without ids and instants, to compare byte for byte what the same jobs gave on two Slurms.

A duration is two instants, and each of them is what a clock said: of what ran to its own end it is kept to
the nearest five minutes of the fast clock, which are five seconds of work whose end nobody waits for; of what
an operator suspended or ended by hand, or what still runs, it is left out.

Left out as well is what is known to differ: ReqTRES of the later size of a resized job, which in 22.05 is
what was asked for at first and later what it has now; and the billing of the parts of a heterogeneous job,
which 26.05.5 does not record.
"""

from __future__ import annotations

import re

import psycopg

UNIT = 300
SLACK = 120
BY_ITSELF = ("COMPLETED", "FAILED", "TIMEOUT")
QUERY = """
SELECT s.account, s.user_name, s.partition, s.qos, s.wckey, s.reservation, r.job_label, r.state,
    r.submit_at IS NOT NULL, r.eligible_at IS NOT NULL, r.start_at IS NOT NULL, r.end_at IS NOT NULL,
    r.elapsed_seconds, r.suspended_seconds,
    CASE WHEN EXISTS (
        SELECT FROM runs e WHERE e.job_id = r.job_id AND e.state = 'RESIZING' AND e.end_at = r.start_at
    ) THEN '-' ELSE q.tres END,
    CASE WHEN r.job_label LIKE '%+%' THEN regexp_replace(a.tres, 'billing=[0-9]+,', '') ELSE a.tres END,
    r.energy_joules, r.missing_since
FROM runs r
JOIN subjects s USING (subject_id)
JOIN allocations q ON q.allocation_id = r.req_id
JOIN allocations a ON a.allocation_id = r.alloc_id
"""
USAGE = """
SELECT s.account, s.user_name, s.partition, s.qos, s.wckey, s.reservation,
    regexp_replace(a.tres, 'billing=[0-9]+,', '') AS counts, sum(u.delivered) > 0
FROM hourly_usage u
JOIN subjects s USING (subject_id)
JOIN allocations a USING (allocation_id)
GROUP BY s.account, s.user_name, s.partition, s.qos, s.wckey, s.reservation, counts
"""


def canonical(url: str) -> str:
    """Every run and every row of usage, one a line, in the order of their text."""
    with psycopg.connect(url) as connection:
        runs = [_run(row) for row in connection.execute(QUERY)]
        usage = {" ".join(map(str, ("usage", *row))) for row in connection.execute(USAGE)}
    return "".join(f"{line}\n" for line in [*sorted(runs), *sorted(usage)])


def _run(row: tuple[object, ...]) -> str:
    *subject, label, state, submitted, eligible, started, ended = row[:12]
    elapsed, suspended, req, alloc, energy, gone = row[12:]
    part, duration = re.sub(r"^\d+", "", str(label)), _duration(elapsed, state, suspended)
    told = [submitted, eligible, started, ended, duration, bool(suspended), gone is None]
    return " ".join(map(str, ("run", *subject, part, state, *told, req, alloc, energy)))


def _duration(seconds: object, state: object, suspended: object) -> str:
    assert isinstance(seconds, int)
    return str((seconds + SLACK) // UNIT * UNIT) if state in BY_ITSELF and not suspended else "-"
