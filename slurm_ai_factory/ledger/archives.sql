-- known_up_to --
-- The newest instant at which runs, or what they are classified by, were recorded.
SELECT max(known) FROM (
    SELECT max(at) AS known FROM reads WHERE cluster_id = %(cluster_id)s
    UNION ALL SELECT max(recorded_at) FROM withdrawals WHERE cluster_id = %(cluster_id)s
    UNION ALL SELECT max(recorded_at) FROM overrides WHERE cluster_id = %(cluster_id)s
    UNION ALL SELECT max(recorded_at) FROM accounts WHERE cluster_id = %(cluster_id)s
    UNION ALL SELECT max(recorded_at) FROM links WHERE cluster_id = %(cluster_id)s
    UNION ALL SELECT max(recorded_at) FROM promise_terms WHERE cluster_id = %(cluster_id)s
    UNION ALL SELECT max(recorded_at) FROM rules_used WHERE cluster_id = %(cluster_id)s
    UNION ALL SELECT max(recorded_at) FROM organisations
) AS recorded

-- archived_months --
-- The newest archive of each month.
SELECT DISTINCT ON (month) month, since, until, as_of, rules, files, charges FROM archives
WHERE cluster_id = %(cluster_id)s ORDER BY month, archive_id DESC

-- add_archive --
-- Record an archived month.
INSERT INTO archives (cluster_id, month, since, until, as_of, rules, files, charges, recorded_at, actor)
VALUES (%(cluster_id)s, %(month)s, %(since)s, %(until)s, %(as_of)s, %(rules)s, %(files)s, %(charges)s, %(at)s,
    %(actor)s)

-- create_archived_subjects --
-- A number for each subject, for one transaction; subjects that differ in what an archive leaves out share it.
CREATE TEMPORARY TABLE IF NOT EXISTS archived_subjects (
    subject_id integer PRIMARY KEY, subject integer, account text, partition text, qos text
) ON COMMIT DELETE ROWS

-- clear_archived_subjects --
-- Remove the numbers of an earlier month in the same transaction.
TRUNCATE archived_subjects

-- add_archived_subjects --
-- Number the subjects by account, partition, QOS and classification.
INSERT INTO archived_subjects
SELECT s.subject_id, dense_rank() OVER (ORDER BY s.account, s.partition, s.qos, c.parts), s.account, s.partition, s.qos
FROM subjects s JOIN (
    SELECT subject_id, jsonb_agg(to_jsonb(c) - 'subject_id' ORDER BY part)::text AS parts
    FROM classifications c WHERE set_id = %(set_id)s GROUP BY subject_id
) AS c USING (subject_id)
WHERE s.cluster_id = %(cluster_id)s

-- analyze_archived_subjects --
-- Update the planner's statistics.
ANALYZE archived_subjects

-- sign_open --
-- Add the runs that had not ended: up to an instant, or to when reads no longer listed them. core/charge.py: elapsed.
INSERT INTO signed
SELECT 1, r.subject_id, r.req_id, r.alloc_id, r.job_label, r.eligible_at, r.start_at, o.end_at,
    CASE WHEN r.state = 'SUSPENDED' THEN r.elapsed_seconds
        ELSE greatest(0, o.seen_at - r.start_at - r.suspended_seconds) END
FROM {runs_known} AS r
CROSS JOIN LATERAL (SELECT coalesce({missing_since}, %(read_until)s)) AS last (seen_at)
CROSS JOIN LATERAL (SELECT seen_at, greatest(seen_at, coalesce(r.start_at, 0)) AS end_at) AS o
WHERE r.end_at IS NULL AND least(r.eligible_at, r.start_at) < %(until)s

-- archive_runs --
-- Every version of the runs that ended in an interval, as known at an instant; of runs that a withdrawal removed, in
-- the interval in which it did.
WITH current AS NOT MATERIALIZED (
    SELECT {run_columns}, NULL::bigint AS superseded_at FROM {runs_known} AS known
    WHERE end_at >= %(since)s AND end_at < %(until)s
), versions AS (
    SELECT * FROM current
    UNION ALL
    SELECT {run_columns}, superseded_at FROM run_versions v
    WHERE cluster_id = %(cluster_id)s AND superseded_at <= %(as_of)s
        AND db_index IN (SELECT db_index FROM current)
    UNION ALL
    SELECT {run_columns}, superseded_at FROM run_versions v
    WHERE cluster_id = %(cluster_id)s AND superseded_at >= %(since)s AND superseded_at < %(until)s
        AND NOT EXISTS (
            SELECT FROM runs k
            WHERE (k.cluster_id, k.db_index) = (v.cluster_id, v.db_index) AND k.recorded_at <= %(as_of)s
        ) AND NOT EXISTS (
            SELECT FROM run_versions k
            WHERE (k.cluster_id, k.db_index) = (v.cluster_id, v.db_index) AND k.recorded_at <= %(as_of)s
                AND k.superseded_at > %(as_of)s
        )
)
SELECT r.db_index, r.job_id, s.subject, s.account, s.partition, s.qos, r.state, r.submit_at, r.eligible_at, r.start_at,
    r.end_at, r.elapsed_seconds, r.suspended_seconds, r.req_id, r.alloc_id, r.energy_joules, r.recorded_at,
    {missing_since}, r.superseded_at
FROM versions r JOIN archived_subjects s USING (subject_id)
ORDER BY r.end_at, r.db_index, r.recorded_at, r.superseded_at

-- archive_usage --
-- Delivered and waiting seconds of an interval by hour, numbered subject and set of TRES, as known at an instant.
WITH {signed_hours}
SELECT hour, subject, allocation_id, sum(delivered)::bigint, sum(waiting)::bigint
FROM (
    SELECT hour, subject_id, allocation_id, delivered, waiting FROM hourly_usage
    WHERE hour >= %(since)s AND hour < %(until)s
    UNION ALL
    SELECT hour, subject_id, allocation_id, delivered, waiting FROM deltas
    WHERE hour >= %(since)s AND hour < %(until)s
) AS hours JOIN archived_subjects USING (subject_id)
GROUP BY hour, subject, allocation_id
HAVING sum(delivered) <> 0 OR sum(waiting) <> 0
ORDER BY hour, subject, allocation_id

-- archive_classifications --
-- Who the numbered subjects were for in an interval.
SELECT DISTINCT s.subject, s.account, s.partition, s.qos, c.part, c.since, c.until, c.fraction, {told}
FROM archived_subjects s JOIN classifications c USING (subject_id)
WHERE c.set_id = %(set_id)s AND c.since < %(until)s AND c.until > %(since)s
ORDER BY s.subject, c.part

-- archive_allocations --
-- The TRES counts of each set.
SELECT c.allocation_id, t.name, c.count FROM allocation_tres c JOIN tres t USING (tres_id)
ORDER BY c.allocation_id, t.name

-- changed_since --
-- Whether a run of an interval was changed after an instant.
SELECT EXISTS (
    SELECT FROM runs
    WHERE cluster_id = %(cluster_id)s AND recorded_at > %(as_of)s
        AND coalesce(end_at >= %(since)s, true) AND least(eligible_at, start_at) < %(until)s
) OR EXISTS (
    SELECT FROM run_versions
    WHERE cluster_id = %(cluster_id)s AND superseded_at > %(as_of)s
        AND coalesce(end_at >= %(since)s, true) AND least(eligible_at, start_at) < %(until)s
)
