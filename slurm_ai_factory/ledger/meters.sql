-- serialize_meters --
-- One process at a time adds readings, so that no two overlap.
SELECT pg_advisory_xact_lock(7345, 24)

-- meter_entry --
-- Fragment: the columns of a reading or correction.
entry_id, meter, kind, since, until, value, unit, source, replaces, reason, recorded_at, actor

-- meter_entries --
-- Readings and corrections that overlap an interval, as known at an instant.
SELECT {meter_entry} FROM meters
WHERE cluster_id = %(cluster_id)s AND kind = ANY(%(kinds)s) AND until > %(since)s AND since < %(until)s
    AND recorded_at <= %(as_of)s
ORDER BY since, entry_id

-- meter_readings --
-- The readings of a kind that overlap an interval, each as its last correction has it, as known at an instant.
SELECT meter, kind, since, until, value, unit, source FROM (
    SELECT DISTINCT ON (coalesce(replaces, entry_id)) * FROM meters
    WHERE cluster_id = %(cluster_id)s AND kind = %(kind)s AND until > %(since)s AND since < %(until)s
        AND recorded_at <= %(as_of)s
    ORDER BY coalesce(replaces, entry_id), entry_id DESC
) AS newest
WHERE value IS NOT NULL ORDER BY since, meter

-- meter_entry_of --
-- A reading with its corrections.
SELECT {meter_entry} FROM meters
WHERE cluster_id = %(cluster_id)s AND %(entry_id)s IN (entry_id, replaces) ORDER BY entry_id

-- add_reading --
-- Add a reading, or a correction of one.
INSERT INTO meters (cluster_id, meter, kind, since, until, value, unit, source, replaces, recorded_at, actor, reason)
VALUES (%(cluster_id)s, %(meter)s, %(kind)s, %(since)s, %(until)s, %(value)s, %(unit)s, %(source)s, %(replaces)s,
    %(at)s, %(actor)s, %(reason)s)
RETURNING entry_id

-- newest_readings --
-- Up to when each kind of meter has readings: the end of the newest reading of the meter that is silent longest.
SELECT kind, min(newest) FROM (
    SELECT kind, meter, max(until) AS newest FROM meters
    WHERE cluster_id = %(cluster_id)s AND until > %(since)s GROUP BY kind, meter
) AS silent GROUP BY kind ORDER BY kind

-- counted_joules --
-- What Slurm counted of each run that ended, and was delivered in an interval, as known at an instant.
SELECT r.db_index, r.energy_joules FROM {runs_known} AS r
WHERE r.energy_joules IS NOT NULL AND r.start_at < %(until)s AND r.end_at > %(since)s

-- placements_between --
-- Which job had which node and GPUs in an interval, as known at an instant.
SELECT DISTINCT ON (job_id, node, since) job_id, node, gpus, since, until FROM placements
WHERE cluster_id = %(cluster_id)s AND until > %(since)s AND since < %(until)s AND recorded_at <= %(as_of)s
ORDER BY job_id, node, since, entry_id DESC

-- add_placement --
-- Add where a job ran, unless the ledger has it so already.
INSERT INTO placements (cluster_id, job_id, node, gpus, since, until, source, recorded_at, actor)
SELECT %(cluster_id)s, %(job_id)s, %(node)s, %(gpus)s, %(since)s, %(until)s, %(source)s, %(at)s, %(actor)s
WHERE (%(gpus)s::text[], %(until)s::bigint) IS DISTINCT FROM (
    SELECT (gpus, until) FROM placements
    WHERE (cluster_id, job_id, node, since) = (%(cluster_id)s, %(job_id)s, %(node)s, %(since)s)
    ORDER BY entry_id DESC LIMIT 1
)
