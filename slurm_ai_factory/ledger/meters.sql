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
-- Up to when each kind of meter has readings: the end of the newest reading of the meter that is silent longest; without
-- those that were taken out of use.
SELECT kind, min(newest) FROM (
    SELECT kind, meter, max(until) AS newest FROM meters
    WHERE cluster_id = %(cluster_id)s AND until > %(since)s GROUP BY kind, meter
) AS silent
WHERE (kind, meter) NOT IN (
    SELECT kind, meter FROM ({meter_ends_known}) AS ends WHERE ended_at IS NOT NULL
)
GROUP BY kind ORDER BY kind

-- meter_ends_known --
-- Fragment: the newest row about the end of each meter, as known at an instant.
SELECT DISTINCT ON (kind, meter) kind, meter, ended_at FROM meter_ends
WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s ORDER BY kind, meter, entry_id DESC

-- meter_ends --
-- From when on meters are out of use, as known at an instant.
SELECT kind, meter, ended_at FROM ({meter_ends_known}) AS ends WHERE ended_at IS NOT NULL

-- meter_end_rows --
-- Every row about the end of a meter.
SELECT entry_id AS entry, kind, meter, ended_at, reason, actor, recorded_at FROM meter_ends
WHERE cluster_id = %(cluster_id)s ORDER BY entry_id

-- last_reading --
-- The end of the newest reading of a meter that was not taken back, and how many readings it has in all.
SELECT max(m.until) FILTER (WHERE coalesce((
    SELECT c.value IS NOT NULL FROM meters c WHERE c.replaces = m.entry_id ORDER BY c.entry_id DESC LIMIT 1
), true)), count(*)
FROM meters m
WHERE m.cluster_id = %(cluster_id)s AND m.kind = %(kind)s AND m.meter = %(meter)s AND m.replaces IS NULL

-- meters_of_kind --
-- Meters that have readings of a kind, by name; the first ones.
SELECT DISTINCT meter FROM meters WHERE cluster_id = %(cluster_id)s AND kind = %(kind)s ORDER BY meter LIMIT %(limit)s

-- add_meter_end --
-- Take a meter out of use, or put it back.
INSERT INTO meter_ends (cluster_id, kind, meter, ended_at, recorded_at, actor, reason)
VALUES (%(cluster_id)s, %(kind)s, %(meter)s, %(ended_at)s, %(at)s, %(actor)s, %(reason)s)
RETURNING entry_id

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
