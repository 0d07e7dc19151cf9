-- watermark --
-- How far Slurm's accounting was read completely, as known at an instant.
SELECT max(until) FROM reads
WHERE cluster_id = %(cluster_id)s AND at <= %(as_of)s AND coalesce(withdrawn_at > %(as_of)s, true)

-- gaps --
-- The parts of an interval that no read covers, as known at an instant.
SELECT lower(gap), upper(gap)
FROM unnest(
    int8multirange(int8range(%(since)s, %(until)s)) - coalesce(
        (SELECT range_agg(int8range(since, until)) FROM reads
         WHERE cluster_id = %(cluster_id)s AND since < %(until)s AND until > %(since)s
             AND at <= %(as_of)s AND coalesce(withdrawn_at > %(as_of)s, true)),
        '{}'::int8multirange
    )
) AS gap
ORDER BY 1

-- usage_compared --
-- Compare hourly usage with the ended runs: how many rows, how many differ, and the earliest hour that does.
WITH signed AS (
    SELECT 1 AS sign, subject_id, req_id, alloc_id, job_label, eligible_at, start_at, end_at, elapsed_seconds
    FROM runs
    WHERE cluster_id = %(cluster_id)s AND end_at >= %(since)s AND least(eligible_at, start_at) < %(until)s
), {signed_hours}, kept AS (
    SELECT * FROM hourly_usage u
    WHERE hour >= %(since)s AND hour < %(until)s AND NOT EXISTS (
        SELECT FROM subjects s WHERE s.subject_id = u.subject_id AND s.cluster_id <> %(cluster_id)s
    )
), compared AS (
    SELECT hour, (k.delivered, k.waiting) IS DISTINCT FROM (d.delivered, d.waiting) AS differs
    FROM kept k
    FULL JOIN (SELECT * FROM deltas WHERE hour >= %(since)s AND hour < %(until)s) AS d
        USING (hour, subject_id, allocation_id)
)
SELECT count(*), count(*) FILTER (WHERE differs), min(hour) FILTER (WHERE differs) FROM compared

-- lines_read_since --
-- How many different unparsable lines reads met after an instant.
SELECT count(*) FROM rejected_lines WHERE cluster_id = %(cluster_id)s AND last_read_at > %(since)s

-- accounts --
-- The account tree as known at an instant.
SELECT DISTINCT ON (account) account, parent FROM accounts
WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s
ORDER BY account, recorded_at DESC

-- tres_names --
-- Every TRES that a run requested or was allocated.
SELECT name FROM tres

-- names --
-- All names of subjects, by column.
SELECT array_agg(DISTINCT account) AS account, array_agg(DISTINCT user_name) AS user,
    array_agg(DISTINCT qos) AS qos, array_agg(DISTINCT partition) AS partition,
    array_agg(DISTINCT wckey) AS wckey, array_agg(DISTINCT reservation) AS reservation
FROM subjects WHERE cluster_id = %(cluster_id)s

-- reservations_of_runs --
-- The reservation of each run of an interval, as known at an instant: of these reservations, or of these runs.
SELECT r.db_index, s.reservation
FROM {runs_known} r JOIN subjects s USING (subject_id)
WHERE r.start_at < %(until)s AND coalesce(r.end_at, %(until)s) > %(since)s
    AND (s.reservation = ANY(%(names)s) OR r.db_index = ANY(%(runs)s::numeric[]))

-- sizes --
-- The sizes the cluster had in an interval, as known at an instant.
SELECT since, until, tres FROM (
    SELECT DISTINCT ON (since) since, until, tres FROM sizes
    WHERE cluster_id = %(cluster_id)s AND since < %(until)s AND recorded_at <= %(as_of)s
    ORDER BY since, recorded_at DESC
) AS known
WHERE coalesce(until, %(until)s) > %(since)s

-- outages --
-- The outages of nodes in an interval, as known at an instant.
SELECT node, since, until, state, tres FROM (
    SELECT DISTINCT ON (node, since) node, since, until, state, tres FROM outages
    WHERE cluster_id = %(cluster_id)s AND since < %(until)s AND recorded_at <= %(as_of)s
    ORDER BY node, since, recorded_at DESC
) AS known
WHERE coalesce(until, %(until)s) > %(since)s

-- span --
-- The first and the last instant with runs or usage in the ledger.
SELECT least((SELECT min(hour) FROM hourly_usage), min(least(eligible_at, start_at))),
    greatest((SELECT max(hour) + 3600 FROM hourly_usage), max(end_at) + 1)
FROM runs WHERE cluster_id = %(cluster_id)s

-- open_runs --
-- Runs that had not ended, as known at an instant.
SELECT {run}, {missing_since}, r.subject_id
FROM {runs_known} AS r
{run_joins}
WHERE r.end_at IS NULL
ORDER BY r.db_index

-- runs_between --
-- Every run that was delivered in an interval, or is open, as known at an instant.
SELECT {run}, {missing_since}, r.subject_id
FROM {runs_known} AS r
{run_joins}
WHERE r.start_at < %(until)s AND (r.end_at IS NULL OR r.end_at > %(since)s OR r.start_at >= %(since)s)
ORDER BY r.db_index

-- open_jobs --
-- The jobs that have not ended, and whether the newest read up to now no longer listed them.
SELECT job_id, start_at, missing_since IS NOT NULL FROM runs
WHERE cluster_id = %(cluster_id)s AND end_at IS NULL

-- usage_by_account --
-- TRES-seconds of ended runs in an interval, by account.
SELECT s.account, t.name, sum(u.delivered * c.count)
FROM hourly_usage u
JOIN subjects s USING (subject_id)
JOIN allocation_tres c USING (allocation_id)
JOIN tres t USING (tres_id)
WHERE s.cluster_id = %(cluster_id)s AND u.hour >= %(since)s AND u.hour < %(until)s
GROUP BY s.account, t.name

-- usual --
-- Of each user's runs that ended in an interval: mean elapsed seconds, the sum of their charges, and of the squares.
WITH {weighted}, ended AS (
    SELECT s.user_name, r.elapsed_seconds, r.elapsed_seconds * coalesce(w.weight, 0)::double precision AS charge
    FROM runs r JOIN subjects s USING (subject_id) LEFT JOIN weighted w ON w.allocation_id = r.alloc_id
    WHERE r.cluster_id = %(cluster_id)s AND r.end_at >= %(since)s AND r.end_at < %(until)s AND r.elapsed_seconds > 0
)
SELECT user_name, avg(elapsed_seconds), sum(charge), sum(charge * charge) FROM ended GROUP BY user_name

-- newest_record --
-- The newest submit, start or end of any run, as known at an instant.
SELECT max(newest_record_at) FROM reads
WHERE cluster_id = %(cluster_id)s AND at <= %(as_of)s AND coalesce(withdrawn_at > %(as_of)s, true)

-- status --
-- How many rows the ledger holds of each kind, and how far it was read.
SELECT
    (SELECT count(*) FROM runs WHERE cluster_id = %(cluster_id)s) AS runs,
    (SELECT count(*) FROM run_versions WHERE cluster_id = %(cluster_id)s) AS superseded,
    (SELECT count(*) FROM subjects WHERE cluster_id = %(cluster_id)s) AS subjects,
    (SELECT count(*) FROM rejected_lines WHERE cluster_id = %(cluster_id)s) AS rejected_lines,
    (SELECT max(until) FROM reads WHERE cluster_id = %(cluster_id)s AND withdrawn_at IS NULL) AS last_read_at,
    (SELECT count(*) FROM decisions WHERE cluster_id = %(cluster_id)s) AS decisions

-- latest_reads --
-- The latest reads, newest first.
SELECT at, since, until, runs, changed, rejected, newest_record_at, withdrawn_at FROM reads
WHERE cluster_id = %(cluster_id)s ORDER BY read_id DESC LIMIT %(limit)s

-- table_sizes --
-- The tables of the schema, the largest first: bytes with indexes, and rows where PostgreSQL has counted them.
SELECT relname AS name, nullif(reltuples, -1)::bigint AS rows, pg_total_relation_size(oid) AS bytes
FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' ORDER BY bytes DESC, name

-- server --
-- The version of PostgreSQL.
SELECT current_setting('server_version')
