-- cluster_id --
-- The key of a cluster; no row where the ledger does not have it.
SELECT cluster_id FROM clusters WHERE name = %(cluster)s

-- clusters --
-- Every cluster of the ledger.
SELECT name, cluster_id FROM clusters ORDER BY name

-- add_cluster --
-- Add a cluster.
INSERT INTO clusters (name) VALUES (%(cluster)s) ON CONFLICT (name) DO NOTHING

-- lock --
-- One active writer for each cluster: true when this session holds the lock.
SELECT pg_try_advisory_lock(7341, %(cluster_id)s)

-- begin_writing --
-- Wait until no other session is changing shares on this cluster.
SELECT pg_advisory_lock(7342, %(cluster_id)s)

-- end_writing --
-- Let others change shares.
SELECT pg_advisory_unlock(7342, %(cluster_id)s)

-- holds_writing --
-- Whether this session may change shares on this cluster.
SELECT count(*) > 0 FROM pg_locks
WHERE locktype = 'advisory' AND classid = 7342 AND objid = %(cluster_id)s AND granted AND pid = pg_backend_pid()

-- standbys --
-- How many standbys follow the server, and whether a commit waits for one of them.
SELECT (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'),
    current_setting('synchronous_standby_names') <> '' AND current_setting('synchronous_commit') IN ('on', 'remote_apply')

-- leader --
-- The process that holds the writer's lock of this ledger: saf@host:pid.
SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.classid = 7341 AND l.objid = %(cluster_id)s AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())

-- announce_mode --
-- Let others see in which mode the daemon of this session runs, for as long as the session lasts.
SELECT pg_try_advisory_lock_shared(%(key)s, %(cluster_id)s) WHERE NOT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = %(key)s AND objid = %(cluster_id)s AND pid = pg_backend_pid()
)

-- daemons --
-- The daemons of a cluster that run now, and the key of the mode of each.
SELECT a.application_name, l.classid::integer FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.classid = ANY(%(keys)s) AND l.objid = %(cluster_id)s AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())

-- end_silent_leader --
-- End the session that holds the writer's lock where it has stood still for so long inside a COPY: PostgreSQL applies none
-- of its own timeouts while it waits for rows.
SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.classid = 7341 AND l.objid = %(cluster_id)s AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND a.state = 'active' AND a.wait_event = 'ClientRead'
    AND a.query_start < clock_timestamp() - make_interval(secs => %(silence)s)

-- begin_summing --
-- Let one process at a time save sums.
SELECT pg_advisory_lock(7344, %(cluster_id)s)

-- end_summing --
-- Let others save sums.
SELECT pg_advisory_unlock(7344, %(cluster_id)s)

-- begin_archiving --
-- Let one process at a time archive months of this cluster.
SELECT pg_advisory_lock(7349, %(cluster_id)s)

-- end_archiving --
-- Let others archive months.
SELECT pg_advisory_unlock(7349, %(cluster_id)s)
