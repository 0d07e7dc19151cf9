-- cluster_id --
-- The cluster's key; no row when the ledger does not know it.
SELECT cluster_id FROM clusters WHERE name = %(cluster)s

-- clusters --
-- Every cluster the ledger knows.
SELECT name, cluster_id FROM clusters ORDER BY name

-- add_cluster --
-- Make the cluster known.
INSERT INTO clusters (name) VALUES (%(cluster)s) ON CONFLICT (name) DO NOTHING

-- lock --
-- One active writer for each cluster: true when this session holds the lock.
SELECT pg_try_advisory_lock(7341, %(cluster_id)s)

-- begin_writing --
-- Wait until nobody else is changing shares on this cluster.
SELECT pg_advisory_lock(7342, %(cluster_id)s)

-- end_writing --
-- Let others change shares.
SELECT pg_advisory_unlock(7342, %(cluster_id)s)

-- holds_writing --
-- Whether this session is the one that may change shares on this cluster.
SELECT count(*) > 0 FROM pg_locks
WHERE locktype = 'advisory' AND classid = 7342 AND objid = %(cluster_id)s AND granted AND pid = pg_backend_pid()

-- leader --
-- Who holds the writer's lock now: saf@host:pid.
SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.classid = 7341 AND l.objid = %(cluster_id)s AND l.granted

-- begin_summing --
-- One process at a time keeps sums.
SELECT pg_advisory_lock(7344, %(cluster_id)s)

-- end_summing --
-- Let others keep sums.
SELECT pg_advisory_unlock(7344, %(cluster_id)s)
