-- watermark --
-- How far Slurm's accounting was read completely.
SELECT max(until) FROM reads WHERE cluster_id = %(cluster_id)s AND withdrawn_at IS NULL

-- watermark_then --
-- How far it was read at an instant.
SELECT max(until) FROM reads
WHERE cluster_id = %(cluster_id)s AND at <= %(as_of)s AND coalesce(withdrawn_at > %(as_of)s, true)

-- gaps --
-- What of an interval no read has covered.
SELECT lower(gap), upper(gap)
FROM unnest(
    int8multirange(int8range(%(since)s, %(until)s)) - coalesce(
        (SELECT range_agg(int8range(since, until)) FROM reads
         WHERE cluster_id = %(cluster_id)s AND since < %(until)s AND until > %(since)s
             AND at <= coalesce(%(as_of)s, 9223372036854775807)
             AND coalesce(withdrawn_at > %(as_of)s, withdrawn_at IS NULL)),
        '{}'::int8multirange
    )
) AS gap
ORDER BY 1

-- usage_compared --
-- Usage by hour as it is kept, and as the ended runs make it: how many rows, how many of them differ, and the
-- earliest hour that does.
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
-- How many different lines could not be read since an instant.
SELECT count(*) FROM rejected_lines WHERE cluster_id = %(cluster_id)s AND last_read_at > %(since)s

-- accounts --
-- The account tree as last seen, or as known at an instant.
SELECT DISTINCT ON (account) account, parent FROM accounts
WHERE cluster_id = %(cluster_id)s AND recorded_at <= coalesce(%(as_of)s, 9223372036854775807)
ORDER BY account, recorded_at DESC

-- tres_names --
-- Every TRES that a run wanted or had.
SELECT name FROM tres

-- names --
-- Every name that a subject had.
SELECT array_agg(DISTINCT account) AS account, array_agg(DISTINCT user_name) AS user,
    array_agg(DISTINCT qos) AS qos, array_agg(DISTINCT partition) AS partition,
    array_agg(DISTINCT wckey) AS wckey, array_agg(DISTINCT reservation) AS reservation
FROM subjects WHERE cluster_id = %(cluster_id)s

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
-- From the first instant to the last that the ledger has runs or usage of.
SELECT least((SELECT min(hour) FROM hourly_usage), min(least(eligible_at, start_at))),
    greatest((SELECT max(hour) + 3600 FROM hourly_usage), max(end_at) + 1)
FROM runs WHERE cluster_id = %(cluster_id)s

-- open_runs --
-- Runs that have not ended, with who they are for.
SELECT {run}, r.missing_since, r.subject_id
FROM runs r
{run_joins}
WHERE r.cluster_id = %(cluster_id)s AND r.end_at IS NULL

-- open_jobs --
-- The jobs that have not ended, and whether the last read up to now did not list them.
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

-- usual_seconds --
-- How long the runs of each user took that ended in an interval, on average.
SELECT s.user_name, avg(r.elapsed_seconds)
FROM runs r
JOIN subjects s USING (subject_id)
WHERE r.cluster_id = %(cluster_id)s AND r.end_at >= %(since)s AND r.end_at < %(until)s AND r.elapsed_seconds > 0
GROUP BY s.user_name

-- run_charge --
-- Charge of a run that ended in an interval, each weighted by itself.
WITH {weighted}, ended AS (
    SELECT r.elapsed_seconds * w.weight::double precision AS charge
    FROM runs r JOIN weighted w ON w.allocation_id = r.alloc_id
    WHERE r.cluster_id = %(cluster_id)s AND r.end_at >= %(since)s AND r.end_at < %(until)s AND r.elapsed_seconds > 0
)
SELECT sum(charge * charge) / nullif(sum(charge), 0) FROM ended

-- newest_record --
-- The newest instant that the accounting told of a run.
SELECT max(newest_record_at) FROM reads
WHERE cluster_id = %(cluster_id)s AND at <= coalesce(%(as_of)s, 9223372036854775807)
    AND coalesce(withdrawn_at > %(as_of)s, withdrawn_at IS NULL)

-- status --
-- How much the ledger holds.
SELECT
    (SELECT count(*) FROM runs WHERE cluster_id = %(cluster_id)s) AS runs,
    (SELECT count(*) FROM run_versions WHERE cluster_id = %(cluster_id)s) AS superseded,
    (SELECT count(*) FROM subjects WHERE cluster_id = %(cluster_id)s) AS subjects,
    (SELECT count(*) FROM rejected_lines WHERE cluster_id = %(cluster_id)s) AS rejected_lines,
    (SELECT max(until) FROM reads WHERE cluster_id = %(cluster_id)s AND withdrawn_at IS NULL) AS last_read_at,
    (SELECT count(*) FROM decisions WHERE cluster_id = %(cluster_id)s) AS decisions
