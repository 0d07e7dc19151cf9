-- clear_signed --
-- Remove the signed runs of an earlier question in the same transaction.
TRUNCATE signed

-- newest_set --
-- A set of rules, and whether it is the most recently used one.
SELECT set_id, used = (SELECT max(used) FROM rule_sets WHERE cluster_id = %(cluster_id)s) FROM rule_sets
WHERE cluster_id = %(cluster_id)s AND digest = %(digest)s

-- use_set --
-- Make a set of rules the most recently used one.
INSERT INTO rule_sets AS r (cluster_id, digest, used) VALUES (%(cluster_id)s, %(digest)s, nextval('uses'))
ON CONFLICT (cluster_id, digest) DO UPDATE SET used = excluded.used
RETURNING set_id

-- forget_sets --
-- Delete the least recently used sets with their classifications and sums.
DELETE FROM rule_sets WHERE set_id IN (
    SELECT set_id FROM rule_sets WHERE cluster_id = %(cluster_id)s ORDER BY used DESC OFFSET %(kept)s
)

-- unsorted_subjects --
-- Subjects that a set of rules has not classified yet.
SELECT s.subject_id, {subject}
FROM subjects s
WHERE s.cluster_id = %(cluster_id)s AND NOT EXISTS (
    SELECT FROM classifications c WHERE c.set_id = %(set_id)s AND c.subject_id = s.subject_id
)

-- write_classification --
-- Record a part of the classification of a subject.
INSERT INTO classifications (set_id, subject_id, part, since, until, fraction, beneficiary, rule, category,
    organisation, sector, municipality, hub, access, promises)
VALUES (%(set_id)s, %(subject_id)s, %(part)s, %(since)s, %(until)s, %(fraction)s, %(beneficiary)s, %(rule)s,
    %(category)s, %(organisation)s, %(sector)s, %(municipality)s, %(hub)s, %(access)s, %(promises)s)
ON CONFLICT DO NOTHING

-- analyze_classifications --
-- Update the planner's statistics: it joins millions of hours with the classifications.
SELECT analyze_classifications()

-- parts_of_subjects --
-- The classifications of some subjects, by part.
SELECT c.subject_id, c.since, c.until, c.fraction, {told}
FROM classifications c
WHERE c.set_id = %(set_id)s AND c.subject_id = ANY(%(subjects)s)
ORDER BY c.subject_id, c.part

-- usage_by_subject --
-- Charge of ended runs in an interval, by subject and beneficiary.
WITH {weighted}, counted AS (
    SELECT u.subject_id, c.part, u.allocation_id, sum(u.delivered) AS delivered
    FROM hourly_usage u
    JOIN classifications c USING (subject_id)
    WHERE c.set_id = %(set_id)s AND u.hour >= %(since)s AND u.hour < %(until)s
        AND u.hour >= c.since AND u.hour < c.until
    GROUP BY u.subject_id, c.part, u.allocation_id
)
SELECT {subject}, {told}, sum(n.delivered * w.weight) * c.fraction
FROM counted n
JOIN weighted w USING (allocation_id)
JOIN classifications c ON c.set_id = %(set_id)s AND (c.subject_id, c.part) = (n.subject_id, n.part)
JOIN subjects s ON s.subject_id = c.subject_id
GROUP BY s.subject_id, c.set_id, c.subject_id, c.part

-- sums_by_subject --
-- The result of usage_by_subject for the days with valid sums.
WITH {kept_sums}, added AS (
    SELECT d.subject_id, d.part, sum(d.delivered) AS delivered
    FROM kept JOIN daily_sums d USING (sum_id)
    WHERE d.day >= %(since)s AND d.day < %(until)s AND kept.known @> d.day
    GROUP BY d.subject_id, d.part
)
SELECT {subject}, {told}, n.delivered
FROM added n
JOIN classifications c ON c.set_id = %(set_id)s AND (c.subject_id, c.part) = (n.subject_id, n.part)
JOIN subjects s ON s.subject_id = n.subject_id

-- corrections_by_hour --
-- What the signed runs change in usage_by_hour.
WITH {signed_hours}, {weighted}
SELECT d.hour, c.beneficiary, c.promises, sum(d.delivered * w.weight * c.fraction),
    sum(d.waiting * w.weight * c.fraction)
FROM deltas d
JOIN weighted w USING (allocation_id)
JOIN classifications c USING (subject_id)
WHERE c.set_id = %(set_id)s AND d.hour >= %(since)s AND d.hour < %(until)s
    AND d.hour >= c.since AND d.hour < c.until
GROUP BY d.hour, c.beneficiary, c.promises

-- corrections_by_subject --
-- What the signed runs change in usage_by_subject.
WITH {signed_hours}, {weighted}
SELECT {subject}, {told}, sum(d.delivered * w.weight) * c.fraction
FROM deltas d
JOIN weighted w USING (allocation_id)
JOIN classifications c USING (subject_id)
JOIN subjects s USING (subject_id)
WHERE c.set_id = %(set_id)s AND d.hour >= %(since)s AND d.hour < %(until)s
    AND d.hour >= c.since AND d.hour < c.until
GROUP BY s.subject_id, c.set_id, c.subject_id, c.part

-- first_hour --
-- The earliest hour with usage.
SELECT min(hour) FROM hourly_usage

-- runs_beyond --
-- Runs from before an instant that ended after it, as known at another instant.
SELECT {run}, NULL::bigint, r.subject_id
FROM {runs_known} AS r
{run_joins}
WHERE r.end_at > %(since)s AND least(r.eligible_at, r.start_at) < %(until)s AND EXISTS (
    SELECT FROM reads
    WHERE cluster_id = %(cluster_id)s AND newest_record_at > %(since)s AND coalesce(withdrawn_at > %(as_of)s, true)
)

-- runs_of_job --
-- Every run of a job, array task or heterogeneous component.
SELECT {run}, r.missing_since, r.subject_id
FROM runs r
{run_joins}
WHERE r.cluster_id = %(cluster_id)s AND (r.job_label = %(label)s OR r.job_id = %(job_id)s)
ORDER BY r.submit_at, r.db_index
