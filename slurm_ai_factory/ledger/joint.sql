-- joint_terms --
-- Every term of every joint promise, in the order of recording.
SELECT promise, since, ended, share, margin, label, window_kind AS "window", time_zone, unclassified_limit, source, reason,
    actor, recorded_at
FROM joint_terms ORDER BY entry_id

-- joint_weights --
-- Every weight of a cluster in a joint promise, in the order of recording.
SELECT w.promise, c.name AS cluster, w.since, w.weights, w.source, w.reason, w.actor, w.recorded_at
FROM joint_weights w JOIN clusters c USING (cluster_id) ORDER BY w.entry_id

-- add_joint_term --
-- Record a whole term of a joint promise.
INSERT INTO joint_terms (promise, since, ended, share, margin, label, window_kind, time_zone, unclassified_limit, source,
    recorded_at, actor, reason)
VALUES (%(promise)s, %(since)s, %(ended)s, %(share)s, %(margin)s, %(label)s, %(window)s, %(time_zone)s,
    %(unclassified_limit)s, %(source)s, %(recorded_at)s, %(actor)s, %(reason)s)

-- add_joint_weight --
-- Record what a cluster counts in a joint promise.
INSERT INTO joint_weights (cluster_id, promise, since, weights, source, recorded_at, actor, reason)
SELECT cluster_id, %(promise)s, %(since)s, %(weights)s, %(source)s, %(recorded_at)s, %(actor)s, %(reason)s
FROM clusters WHERE name = %(cluster)s
