"""A ledger as text without ids and instants, to compare byte for byte what the same jobs gave on two Slurms.

A duration is two instants, and each of them is what a clock said: of what ran to its own end it is kept in
units of five minutes of the fast clock, which are five seconds of work whose end nobody waits for; of what an
operator ended by hand, or what still runs, it is left out. So is ReqTRES of the later size of a resized job,
the one thing known to differ: 22.05 has what the job asked for at first, later versions what it has now.
"""

from __future__ import annotations

import re

import psycopg

UNIT = 300
BY_ITSELF = ("COMPLETED", "FAILED", "TIMEOUT")
QUERY = """
SELECT s.account, s.user_name, s.partition, s.qos, s.wckey, s.reservation, r.job_label, r.state,
    r.submit_at IS NOT NULL, r.eligible_at IS NOT NULL, r.start_at IS NOT NULL, r.end_at IS NOT NULL,
    r.elapsed_seconds, r.suspended_seconds,
    CASE WHEN EXISTS (
        SELECT FROM runs e WHERE e.job_id = r.job_id AND e.state = 'RESIZING' AND e.end_at = r.start_at
    ) THEN '-' ELSE q.tres END,
    a.tres, r.energy_joules, r.missing_since
FROM runs r
JOIN subjects s USING (subject_id)
JOIN allocations q ON q.allocation_id = r.req_id
JOIN allocations a ON a.allocation_id = r.alloc_id
"""
USAGE = """
SELECT s.account, s.user_name, s.partition, s.qos, s.wckey, s.reservation, a.tres,
    sum(u.delivered) > 0, bool_or(u.waiting > 0)
FROM hourly_usage u
JOIN subjects s USING (subject_id)
JOIN allocations a USING (allocation_id)
GROUP BY s.account, s.user_name, s.partition, s.qos, s.wckey, s.reservation, a.tres
"""


def canonical(url: str) -> str:
    """Every run and every row of usage, one a line, in the order of their text."""
    with psycopg.connect(url) as connection:
        runs = [_run(row) for row in connection.execute(QUERY)]
        usage = [" ".join(map(str, ("usage", *row[:-1]))) for row in connection.execute(USAGE)]
    return "".join(f"{line}\n" for line in [*sorted(runs), *sorted(usage)])


def _run(row: tuple[object, ...]) -> str:
    (
        *subject,
        label,
        state,
        submitted,
        eligible,
        started,
        ended,
        elapsed,
        suspended,
        req,
        alloc,
        energy,
        gone,
    ) = row
    part = re.sub(r"^\d+", "", str(label))
    told = [submitted, eligible, started, ended, _duration(elapsed, state), bool(suspended), gone is None]
    return " ".join(map(str, ("run", *subject, part, state, *told, req, alloc, energy)))


def _duration(seconds: object, state: object) -> str:
    assert isinstance(seconds, int)
    return str(seconds // UNIT * UNIT) if state in BY_ITSELF else "-"
