-- serialize_allowed --
-- One process at a time adds rows, so that corrections see each other.
SELECT pg_advisory_xact_lock(7345, 25)

-- allowed_power --
-- Every row of allowed power with its corrections, in the order of entry.
SELECT entry_id, since, until, max_kw, kind, reference, told_at, withdrawn, replaces, reason, recorded_at, actor
FROM allowed_power WHERE cluster_id = %(cluster_id)s ORDER BY entry_id

-- add_allowed --
-- Add a row of allowed power, or a correction of one.
INSERT INTO allowed_power (cluster_id, since, until, max_kw, kind, reference, told_at, withdrawn, replaces, recorded_at,
    actor, reason)
VALUES (%(cluster_id)s, %(since)s, %(until)s, %(max_kw)s, %(kind)s, %(reference)s, %(told_at)s, %(withdrawn)s,
    %(replaces)s, %(at)s, %(actor)s, %(reason)s)
RETURNING entry_id

-- first_readings --
-- Each meter of a kind with the beginning of its first reading, as known at an instant.
SELECT meter, min(since) FROM meters
WHERE cluster_id = %(cluster_id)s AND kind = %(kind)s AND replaces IS NULL AND recorded_at <= %(as_of)s
GROUP BY meter ORDER BY meter
