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
-- Fragment: what reads have changed since the sums were made, from the earliest hour on.
SELECT int8multirange(int8range(min(touched_from) - min(touched_from) %% 3600, NULL)) FROM reads
WHERE cluster_id = s.cluster_id AND read_id > s.read_id AND touched_from IS NOT NULL HAVING count(*) > 0

-- kept_sums --
-- Fragment: a resource's sums, and of which hours they hold.
kept AS (
    SELECT s.sum_id, s.known - coalesce(({touched}), '{}') AS known FROM sums s
    WHERE (s.set_id, s.resource) = (%(set_id)s, %(resource)s)
)

-- hours_not_summed --
-- The parts of an interval whose sums are not known, or were changed by a later read.
WITH {kept_sums}
SELECT lower(part), upper(part)
FROM unnest(int8multirange(int8range(%(since)s, %(until)s)) - coalesce((SELECT known FROM kept), '{}')) AS part

-- hourly_sums --
-- What usage_by_hour answers for the hours whose sums are known.
WITH {kept_sums}
SELECT h.hour, h.beneficiary, h.delivered, h.waiting
FROM kept JOIN hourly_sums h USING (sum_id)
WHERE h.hour >= %(since)s AND h.hour < %(until)s AND kept.known @> h.hour

-- add_sums --
-- Make a resource's sums known.
INSERT INTO sums (cluster_id, set_id, resource, read_id, known)
VALUES (%(cluster_id)s, %(set_id)s, %(resource)s, 0, '{}') ON CONFLICT DO NOTHING

-- drop_hourly_sums --
-- Sums that are to be added up again.
DELETE FROM hourly_sums h USING sums s
WHERE s.sum_id = h.sum_id AND (s.set_id, s.resource) = (%(set_id)s, %(resource)s)
    AND h.hour >= %(since)s AND h.hour < %(until)s

-- keep_hourly_sums --
-- Sums as they are now.
INSERT INTO hourly_sums (sum_id, hour, beneficiary, delivered, waiting)
SELECT s.sum_id, added.*
FROM sums s, (
    {usage_by_hour}
) AS added
WHERE (s.set_id, s.resource) = (%(set_id)s, %(resource)s)

-- note_sums --
-- An interval's sums are known, and up to which read.
UPDATE sums s SET
    known = s.known - coalesce(({touched}), '{}') + int8multirange(int8range(%(since)s, %(until)s)),
    read_id = (SELECT coalesce(max(read_id), 0) FROM reads WHERE cluster_id = %(cluster_id)s)
WHERE (s.set_id, s.resource) = (%(set_id)s, %(resource)s)
