-- usage_by_hour --
-- Charge of ended runs in an interval, by hour, beneficiary and promises.
WITH {weighted}, counted AS (
    SELECT u.hour, u.allocation_id, c.beneficiary, c.promises, c.fraction, sum(u.delivered) AS delivered,
        sum(u.waiting) AS waiting
    FROM hourly_usage u
    JOIN classifications c USING (subject_id)
    WHERE c.set_id = %(set_id)s AND u.hour >= %(since)s AND u.hour < %(until)s
        AND u.hour >= c.since AND u.hour < c.until
    GROUP BY u.hour, u.allocation_id, c.beneficiary, c.promises, c.fraction
)
SELECT hour, beneficiary, promises, sum(delivered * weight * fraction), sum(waiting * weight * fraction)
FROM counted JOIN weighted USING (allocation_id)
GROUP BY hour, beneficiary, promises

-- usage_by_day --
-- Charge of ended runs in an interval, by day, subject and part of its classification.
WITH {weighted}, counted AS (
    SELECT u.hour - u.hour %% 86400 AS day, u.subject_id, c.part, c.fraction, u.allocation_id,
        sum(u.delivered) AS delivered
    FROM hourly_usage u
    JOIN classifications c USING (subject_id)
    WHERE c.set_id = %(set_id)s AND u.hour >= %(since)s AND u.hour < %(until)s
        AND u.hour >= c.since AND u.hour < c.until
    GROUP BY 1, u.subject_id, c.part, c.fraction, u.allocation_id
)
SELECT day, subject_id, part, sum(delivered * weight * fraction)
FROM counted JOIN weighted USING (allocation_id)
GROUP BY day, subject_id, part

-- hours_not_summed --
-- The parts of an interval that are not whole days with valid sums.
WITH {kept_sums}
SELECT lower(part), upper(part)
FROM unnest(int8multirange(int8range(%(since)s, %(until)s)) - coalesce((SELECT known FROM kept), '{}')) AS part

-- hourly_sums --
-- The result of usage_by_hour for the days with valid sums.
WITH {kept_sums}
SELECT h.hour, h.beneficiary, h.promises, h.delivered, h.waiting
FROM kept JOIN hourly_sums h USING (sum_id)
WHERE h.hour >= %(since)s AND h.hour < %(until)s AND kept.known @> h.hour

-- daily_sums --
-- The result of usage_by_day for the days with valid sums.
WITH {kept_sums}
SELECT d.day, d.subject_id, d.part, d.delivered
FROM kept JOIN daily_sums d USING (sum_id)
WHERE d.day >= %(since)s AND d.day < %(until)s AND kept.known @> d.day

-- add_sums --
-- Add the scope of a resource's sums.
INSERT INTO sums (cluster_id, set_id, resource, read_id, known)
VALUES (%(cluster_id)s, %(set_id)s, %(resource)s, 0, '{}') ON CONFLICT DO NOTHING

-- drop_hourly_sums --
-- Delete the sums of an interval, to save them again.
DELETE FROM hourly_sums h USING sums s
WHERE s.sum_id = h.sum_id AND (s.set_id, s.resource) = (%(set_id)s, %(resource)s)
    AND h.hour >= %(since)s AND h.hour < %(until)s

-- drop_daily_sums --
-- The same of the sums by day.
DELETE FROM daily_sums d USING sums s
WHERE s.sum_id = d.sum_id AND (s.set_id, s.resource) = (%(set_id)s, %(resource)s)
    AND d.day >= %(since)s AND d.day < %(until)s

-- keep_hourly_sums --
-- Save the sums of an interval of whole days.
INSERT INTO hourly_sums (sum_id, hour, beneficiary, promises, delivered, waiting)
SELECT s.sum_id, added.*
FROM sums s, (
    {usage_by_hour}
) AS added
WHERE (s.set_id, s.resource) = (%(set_id)s, %(resource)s)

-- keep_daily_sums --
-- The same by day.
INSERT INTO daily_sums (sum_id, day, subject_id, part, delivered)
SELECT s.sum_id, added.*
FROM sums s, (
    {usage_by_day}
) AS added
WHERE (s.set_id, s.resource) = (%(set_id)s, %(resource)s)

-- note_sums --
-- Record that the sums of an interval are valid, and up to which read.
UPDATE sums s SET
    known = s.known - coalesce(({touched}), '{}') + int8multirange(int8range(%(since)s, %(until)s)),
    read_id = (SELECT coalesce(max(read_id), 0) FROM reads WHERE cluster_id = %(cluster_id)s)
WHERE (s.set_id, s.resource) = (%(set_id)s, %(resource)s)
