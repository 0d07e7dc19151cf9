-- shadow_tres --
-- A temporary table for TRES.
CREATE TEMPORARY TABLE tres (LIKE tres INCLUDING ALL) ON COMMIT DROP

-- shadow_allocation_tres --
-- A temporary table for TRES counts.
CREATE TEMPORARY TABLE allocation_tres (LIKE allocation_tres INCLUDING ALL) ON COMMIT DROP

-- shadow_hourly_usage --
-- A temporary table for hourly usage.
CREATE TEMPORARY TABLE hourly_usage (LIKE hourly_usage INCLUDING ALL) ON COMMIT DROP

-- shadow_rule_sets --
-- A temporary table for sets of rules.
CREATE TEMPORARY TABLE rule_sets (LIKE rule_sets INCLUDING ALL) ON COMMIT DROP

-- shadow_classifications --
-- A temporary table for classifications.
CREATE TEMPORARY TABLE classifications (LIKE classifications INCLUDING ALL) ON COMMIT DROP

-- shadow_sums --
-- A temporary table for the scopes of sums.
CREATE TEMPORARY TABLE sums (LIKE sums INCLUDING ALL) ON COMMIT DROP

-- shadow_hourly_sums --
-- A temporary table for hourly sums.
CREATE TEMPORARY TABLE hourly_sums (LIKE hourly_sums INCLUDING ALL) ON COMMIT DROP

-- shadow_daily_sums --
-- A temporary table for daily sums.
CREATE TEMPORARY TABLE daily_sums (LIKE daily_sums INCLUDING ALL) ON COMMIT DROP

-- all_usage --
-- Compute the hourly usage of all ended runs of the cluster.
WITH signed AS (
    SELECT 1 AS sign, subject_id, req_id, alloc_id, job_label, eligible_at, start_at, end_at, elapsed_seconds
    FROM runs
    WHERE cluster_id = %(cluster_id)s AND end_at IS NOT NULL
), {signed_hours}
INSERT INTO hourly_usage (hour, subject_id, allocation_id, delivered, waiting)
SELECT hour, subject_id, allocation_id, delivered, waiting FROM deltas

-- analyze_usage --
-- Update the planner's statistics.
ANALYZE hourly_usage, allocation_tres

-- sets_compared --
-- Compare TRES counts with the sets they come from: how many rows, how many differ, and one that does.
WITH said AS (
    SELECT a.allocation_id, split_part(entry, '=', 1) AS name, split_part(entry, '=', 2) AS count, a.tres
    FROM allocations a, unnest(string_to_array(a.tres, ',')) AS entry
    WHERE a.tres <> ''
), kept AS (
    SELECT c.allocation_id, t.name, c.count FROM allocation_tres c JOIN tres t USING (tres_id)
), compared AS (
    SELECT allocation_id, kept.count::text IS DISTINCT FROM said.count AS differs
    FROM said FULL JOIN kept USING (allocation_id, name)
)
SELECT count(*), count(*) FILTER (WHERE differs),
    coalesce((SELECT tres FROM allocations WHERE allocation_id = min(c.allocation_id) FILTER (WHERE differs)), '')
FROM compared c

-- kept_sets --
-- Sets of rules with classifications, the most recently used first.
SELECT set_id, digest FROM rule_sets WHERE cluster_id = %(cluster_id)s ORDER BY used DESC

-- instants_of_rules --
-- Every instant at which rules, or what they are read against, may have changed; newest first.
SELECT recorded_at FROM rules_used WHERE cluster_id = %(cluster_id)s
UNION SELECT recorded_at FROM accounts WHERE cluster_id = %(cluster_id)s
UNION SELECT recorded_at FROM links WHERE cluster_id = %(cluster_id)s
UNION SELECT recorded_at FROM overrides WHERE cluster_id = %(cluster_id)s
UNION SELECT recorded_at FROM promise_terms WHERE cluster_id = %(cluster_id)s
UNION SELECT recorded_at FROM organisations
ORDER BY 1 DESC

-- answers --
-- Every subject with its classification by a set of rules.
SELECT {subject}, s.subject_id, c.since, c.until, c.fraction, {told}
FROM subjects s
LEFT JOIN classifications c ON c.set_id = %(set_id)s AND c.subject_id = s.subject_id
WHERE s.cluster_id = %(cluster_id)s
ORDER BY s.subject_id, c.part

-- kept_resources --
-- The resources with saved sums, and their sets of rules.
SELECT set_id, resource FROM sums WHERE cluster_id = %(cluster_id)s ORDER BY set_id, resource

-- subjects_compared --
-- Compare the override of each run with the newest of its job since the run was known: how many runs have either,
-- how many differ, and one that does.
WITH since AS (
    SELECT r.db_index, r.job_label, r.job_id, s.override, least(r.recorded_at, (
        SELECT min(v.recorded_at) FROM run_versions v WHERE v.cluster_id = r.cluster_id AND v.db_index = r.db_index
    )) AS known_at
    FROM runs r JOIN subjects s USING (subject_id)
    WHERE r.cluster_id = %(cluster_id)s AND (s.override <> '' OR EXISTS (
        SELECT FROM overrides o
        WHERE o.cluster_id = r.cluster_id AND o.job IN (r.job_label, r.job_id::text)
    ))
), compared AS (
    SELECT db_index, override <> coalesce((
        SELECT CASE WHEN o.beneficiary IS NULL THEN '' ELSE o.override_id::text END FROM overrides o
        WHERE o.cluster_id = %(cluster_id)s AND o.job IN (job_label, job_id::text) AND o.recorded_at >= known_at
        ORDER BY o.override_id DESC LIMIT 1
    ), '') AS differs
    FROM since
)
SELECT count(*), count(*) FILTER (WHERE differs), coalesce(min(db_index) FILTER (WHERE differs)::text, '')
FROM compared

-- drop_allocation_tres --
-- Delete the TRES counts, to compute them again.
DELETE FROM allocation_tres

-- drop_usage --
-- Delete the hourly usage of the cluster, and rows of no subject, to compute it again.
DELETE FROM hourly_usage u WHERE NOT EXISTS (
    SELECT FROM subjects s WHERE s.subject_id = u.subject_id AND s.cluster_id <> %(cluster_id)s
)

-- forget_all_sets --
-- Delete classifications and sums, to compute them again.
DELETE FROM rule_sets WHERE cluster_id = %(cluster_id)s
