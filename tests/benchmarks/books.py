"""Large ledgers, made by SQL: a past of any length at the same density, as if a daemon had read all of it.

Rule: every value of a run is a function of its number, numbers count backwards from NOW, and a ledger is made
larger by adding an earlier past, so that ledgers of all sizes are alike in what happened lately.
"""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from slurm_ai_factory.ledger import sql
from tests.benchmarks import history

CLUSTER = "loop"
NOW = 1806105600  # 2027-03-26T00:00Z: nearly all of a quarter is past, and the one before it is whole
SUBJECTS = 1000
ALLOCATIONS = 40
OPEN_RUNS = 2000
BEAT = 300
NEWEST = 10**9
PER_STATEMENT = 250_000

STATIC = """
INSERT INTO clusters (name) VALUES ('loop');
INSERT INTO accounts SELECT 1, 'root', '';
INSERT INTO accounts SELECT 1, name, 'root' FROM unnest(ARRAY['regional', 'national']) AS name;
INSERT INTO accounts
SELECT 1, 'acct' || to_char(n, 'FM00'), CASE WHEN n % 2 = 1 THEN 'national' ELSE 'regional' END
FROM generate_series(0, {accounts} - 1) AS n;
INSERT INTO subjects (cluster_id, account, user_name, partition, qos, wckey, reservation)
SELECT 1, 'acct' || to_char(n % {users} % {accounts}, 'FM00'), 'user' || to_char(n % {users}, 'FM000'),
    (ARRAY['main', 'debug'])[1 + n / {users} % 2], (ARRAY['normal', 'long'])[1 + n / {users} / 2], '', ''
FROM generate_series(0, {subjects} - 1) AS n;
INSERT INTO allocations (tres)
SELECT format('billing=%s,cpu=%s,gres/gpu=%s,mem=%s,node=%s', cpus, cpus, gpus, cpus * 4000, 1)
FROM (SELECT 1 + n * 3 AS cpus, 1 + n % 4 AS gpus FROM generate_series(0, {allocations} - 1) AS n) AS sets;
"""

DRAWN = """
CREATE TEMPORARY TABLE drawn ON COMMIT DROP AS
SELECT n, subject_id, alloc_id, state, eligible,
    CASE WHEN started THEN least(eligible + waits, {now} - 1) END AS start_at,
    least(eligible + waits + CASE WHEN started THEN runs ELSE 0 END, {now} - 1) AS end_at
FROM (
    SELECT n, (1 + floor({subjects} * power(u1, 2.5)))::integer AS subject_id,
        (1 + floor({allocations} * u2 * u2))::integer AS alloc_id,
        CASE WHEN u5 < 0.1 THEN 'CANCELLED' WHEN u5 < 0.2 THEN 'FAILED' WHEN u5 < 0.25 THEN 'TIMEOUT'
            ELSE 'COMPLETED' END AS state,
        u5 > 0.05 AS started, {now} - 1 - n * 3600 / {per_hour} AS eligible,
        least(86400, -ln(1 - u3) * 1200)::bigint AS waits,
        least(172800, 1 - ln(1 - u4) * 3600)::bigint AS runs
    FROM (
        SELECT n, {numbers} FROM generate_series({low}::bigint, {high}::bigint - 1) AS n
    ) AS numbers
) AS chosen
"""
RUNS = """
INSERT INTO runs
SELECT 1, {newest} - n, {newest} - n, ({newest} - n)::text, subject_id, state, eligible, eligible, start_at,
    end_at, coalesce(end_at - start_at, 0), 0, alloc_id,
    CASE WHEN start_at IS NULL THEN {allocations} + 1 ELSE alloc_id END, NULL,
    end_at - end_at % {beat} + {beat}, NULL
FROM drawn ORDER BY n DESC
"""
SIGNED = """
INSERT INTO signed
SELECT 1, subject_id, alloc_id, CASE WHEN start_at IS NULL THEN {allocations} + 1 ELSE alloc_id END,
    ({newest} - n)::text, eligible, start_at, end_at, coalesce(end_at - start_at, 0)
FROM drawn
"""
OPEN = """
INSERT INTO runs
SELECT 1, {newest} + n, {newest} + n, ({newest} + n)::text, subject_id,
    CASE WHEN n % 5 < 3 THEN 'RUNNING' ELSE 'PENDING' END, eligible, eligible,
    CASE WHEN n % 5 < 3 THEN eligible END, NULL, 0, 0, alloc_id,
    CASE WHEN n % 5 < 3 THEN alloc_id ELSE {allocations} + 1 END, NULL, {now}, NULL
FROM (
    SELECT n, 1 + n * 7 % {subjects} AS subject_id, 1 + n % {allocations} AS alloc_id,
        {now} - 1 - n * 40 AS eligible
    FROM generate_series(1, {open_runs}) AS n
) AS chosen
"""
BEATS = """
INSERT INTO reads (cluster_id, at, since, until, runs, changed, rejected, touched_from, newest_record_at)
SELECT 1, at, at - 3900, at, 2400, 70, 0, at - 8000, at - 1
FROM generate_series({since}::bigint, {until}::bigint, {beat}) AS at;
INSERT INTO decisions (cluster_id, at, mode, reason, sentence, inputs, u_ref, actor)
SELECT 1, at, 'observe', 'steer', 'a sentence of usual length that says why the share is to be what it is',
    jsonb_build_object('u_ref', 0.3, 'delivered_share', 0.27, 'owed_share', 0.26, 'as_of', at), 0.3,
    'saf@host'
FROM generate_series({since}::bigint, {until}::bigint, {beat}) AS at;
INSERT INTO changes (decision_id, account, raw_shares_before, raw_shares_after, status)
SELECT decision_id, 'regional', 25, 27, 'observed' FROM decisions
WHERE at BETWEEN {since} AND {until}
"""
CONSTANTS = {
    "accounts": history.ACCOUNTS, "users": history.USERS, "subjects": SUBJECTS, "allocations": ALLOCATIONS,
    "open_runs": OPEN_RUNS, "per_hour": history.RUNS_PER_HOUR, "now": NOW, "beat": BEAT, "newest": NEWEST,
}  # fmt: skip


def begin(url: str) -> None:
    """What a ledger has whatever its size, and its open runs."""
    with _connect(url) as connection:
        _do(connection, STATIC)
        connection.execute("INSERT INTO allocations (tres) VALUES ('')")
        for query in ("add_tres", "add_allocation_tres"):
            connection.execute(sql.queries()[query])
        _do(connection, OPEN)


def extend(url: str, since: int, until: int, say: Callable[[int], object]) -> None:
    """Add the runs with these numbers, their hours, and the reads and decisions of their time."""
    for low in range(since, until, PER_STATEMENT):
        high = min(until, low + PER_STATEMENT)
        with _connect(url) as connection:
            connection.execute("SET LOCAL work_mem = '512MB'")
            connection.execute("SET LOCAL synchronous_commit = off")
            connection.execute("SET LOCAL session_replication_role = replica")  # no triggers: no chain
            connection.execute(sql.queries()["create_signed"])
            for statement in (DRAWN, RUNS, SIGNED):
                drawn = (
                    f"(hashint8extended(n, {k}) & 4294967295) / 4294967296.0::float8 AS u{k}"
                    for k in range(1, 6)
                )
                _do(connection, statement, low=low, high=high, numbers=", ".join(drawn))
            connection.execute(sql.queries()["add_usage"].replace("%%", "%"))
            first, last = (NOW - 1 - n * 3600 // history.RUNS_PER_HOUR for n in (high - 1, low))
            _do(connection, BEATS, since=first // BEAT * BEAT + BEAT, until=last // BEAT * BEAT)
        say(high)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO reads (cluster_id, at, since, until, runs, changed, rejected) "
                           f"SELECT 1, {NOW}, {NOW} - 3900, {NOW}, 2400, 70, 0 "
                           f"WHERE NOT EXISTS (SELECT FROM reads WHERE until >= {NOW})")  # fmt: skip
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")  # else what making it has left to write is measured with the cycles


def _connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url, options="-c jit=off -c client_min_messages=warning")


def _do(connection: psycopg.Connection[tuple[object, ...]], statement: str, **values: object) -> None:
    connection.execute(statement.format(**CONSTANTS, **values).encode())
