-- usage_by_hour --
-- Charge of ended runs in an interval, by hour and beneficiary.
WITH {weighted}, counted AS (
    SELECT u.hour, u.allocation_id, c.beneficiary, c.fraction, sum(u.delivered) AS delivered,
        sum(u.waiting) AS waiting
    FROM hourly_usage u
    JOIN classifications c USING (subject_id)
    WHERE c.set_id = %(set_id)s AND u.hour >= %(since)s AND u.hour < %(until)s
        AND u.hour >= c.since AND u.hour < c.until
    GROUP BY u.hour, u.allocation_id, c.beneficiary, c.fraction
)
SELECT hour, beneficiary, sum(delivered * weight * fraction), sum(waiting * weight * fraction)
FROM counted JOIN weighted USING (allocation_id)
GROUP BY hour, beneficiary

-- touched --
-- Fragment: from the earliest hour on that reads have changed since the sums were saved.
SELECT int8multirange(int8range(min(touched_from) - min(touched_from) %% 3600, NULL)) FROM reads
WHERE cluster_id = s.cluster_id AND read_id > s.read_id AND touched_from IS NOT NULL HAVING count(*) > 0

-- kept_sums --
-- Fragment: the sums of a resource, and the hours for which they are valid.
kept AS (
    SELECT s.sum_id, s.known - coalesce(({touched}), '{}') AS known FROM sums s
    WHERE (s.set_id, s.resource) = (%(set_id)s, %(resource)s)
)

-- hours_not_summed --
-- The parts of an interval without valid sums.
WITH {kept_sums}
SELECT lower(part), upper(part)
FROM unnest(int8multirange(int8range(%(since)s, %(until)s)) - coalesce((SELECT known FROM kept), '{}')) AS part

-- hourly_sums --
-- The result of usage_by_hour for the hours with valid sums.
WITH {kept_sums}
SELECT h.hour, h.beneficiary, h.delivered, h.waiting
FROM kept JOIN hourly_sums h USING (sum_id)
WHERE h.hour >= %(since)s AND h.hour < %(until)s AND kept.known @> h.hour

-- add_sums --
-- Add the scope of a resource's sums.
INSERT INTO sums (cluster_id, set_id, resource, read_id, known)
VALUES (%(cluster_id)s, %(set_id)s, %(resource)s, 0, '{}') ON CONFLICT DO NOTHING

-- drop_hourly_sums --
-- Delete the sums of an interval, to save them again.
DELETE FROM hourly_sums h USING sums s
WHERE s.sum_id = h.sum_id AND (s.set_id, s.resource) = (%(set_id)s, %(resource)s)
    AND h.hour >= %(since)s AND h.hour < %(until)s

-- keep_hourly_sums --
-- Save the sums of an interval.
INSERT INTO hourly_sums (sum_id, hour, beneficiary, delivered, waiting)
SELECT s.sum_id, added.*
FROM sums s, (
    {usage_by_hour}
) AS added
WHERE (s.set_id, s.resource) = (%(set_id)s, %(resource)s)

-- note_sums --
-- Record that the sums of an interval are valid, and up to which read.
UPDATE sums s SET
    known = s.known - coalesce(({touched}), '{}') + int8multirange(int8range(%(since)s, %(until)s)),
    read_id = (SELECT coalesce(max(read_id), 0) FROM reads WHERE cluster_id = %(cluster_id)s)
WHERE (s.set_id, s.resource) = (%(set_id)s, %(resource)s)
