-- promise_terms --
-- Every term of every promise, in the order of recording.
SELECT promise, bound, who, since, ended, share, margin, resource, label, window_kind AS "window", time_zone, share_of,
    unclassified_limit, region, min_organisations, expertise_share, source, reason, actor, recorded_at
FROM promise_terms WHERE cluster_id = %(cluster_id)s ORDER BY entry_id

-- add_promise_term --
-- Record a whole term. Of a further promise, the columns that only the first one has mean nothing.
INSERT INTO promise_terms (cluster_id, promise, bound, who, since, ended, share, margin, resource, label, window_kind, time_zone,
    share_of, unclassified_limit, region, min_organisations, expertise_share, source, reason, actor, recorded_at)
VALUES (%(cluster_id)s, %(promise)s, %(bound)s, %(who)s, %(since)s, %(ended)s, %(share)s, %(margin)s, %(resource)s, %(label)s, %(window)s,
    %(time_zone)s, %(share_of)s, %(unclassified_limit)s, %(region)s, coalesce(%(min_organisations)s, 1),
    coalesce(%(expertise_share)s, 0.5),
    %(source)s, %(reason)s, %(actor)s, %(recorded_at)s)
