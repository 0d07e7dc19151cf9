-- serialize_hubs --
-- State days and take them in one at a time.
SELECT pg_advisory_xact_lock(7349, %(cluster_id)s)

-- hub_terms --
-- The terms of the clusters of sites as known at an instant: the newest about the same cluster and day.
SELECT DISTINCT ON (site, site_cluster, since) site, site_cluster, since, ended, public_key, weights
FROM hubs WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s
ORDER BY site, site_cluster, since, entry_id DESC

-- hub_history --
-- Every term of the clusters of sites ever recorded, oldest first.
SELECT site, site_cluster, since, ended, weights, recorded_at, actor, reason FROM hubs
WHERE cluster_id = %(cluster_id)s ORDER BY entry_id

-- add_hub --
-- Record a term of a cluster of a site.
INSERT INTO hubs (cluster_id, site, site_cluster, since, ended, public_key, weights, recorded_at, actor, reason)
VALUES (%(cluster_id)s, %(site)s, %(cluster)s, %(since)s, %(ended)s, %(public_key)s, %(weights)s, %(at)s, %(actor)s,
    %(reason)s)

-- stated_usage --
-- Seconds of ended runs in a day by hour, account, wckey and TRES.
SELECT u.hour, s.account, s.wckey, a.tres, sum(u.delivered)::bigint, sum(u.waiting)::bigint
FROM hourly_usage u
JOIN subjects s USING (subject_id)
JOIN allocations a USING (allocation_id)
WHERE s.cluster_id = %(cluster_id)s AND u.hour >= %(day)s AND u.hour < %(day)s + 86400
GROUP BY u.hour, s.account, s.wckey, a.tres

-- stated_runs --
-- How many runs that had started ended in each hour of a day, by account, wckey and TRES.
SELECT r.end_at - r.end_at %% 3600, s.account, s.wckey, a.tres, count(*)
FROM runs r
JOIN subjects s USING (subject_id)
JOIN allocations a ON a.allocation_id = r.alloc_id
WHERE r.cluster_id = %(cluster_id)s AND r.start_at IS NOT NULL AND r.end_at >= %(day)s AND r.end_at < %(day)s + 86400
GROUP BY 1, 2, 3, 4

-- given_revisions --
-- The revisions of a day that this site stated, oldest first.
SELECT digest, content FROM given_statements
WHERE (cluster_id, site, day) = (%(cluster_id)s, %(site)s, %(day)s) ORDER BY revision

-- give_statement --
-- Record a revision of a day that this site states.
INSERT INTO given_statements (cluster_id, site, day, revision, digest, content, recorded_at)
VALUES (%(cluster_id)s, %(site)s, %(day)s, %(revision)s, %(digest)s, %(content)s, %(at)s)

-- statements_of_day --
-- The revisions of a day of a cluster that were taken in.
SELECT revision, previous, digest FROM day_statements
WHERE (cluster_id, site, site_cluster, day) = (%(cluster_id)s, %(site)s, %(cluster)s, %(day)s)

-- statements_known --
-- The statements of days in an interval, as known at an instant.
SELECT statement_id, site, site_cluster, day, revision, previous, digest, fault FROM day_statements
WHERE cluster_id = %(cluster_id)s AND day < %(until)s AND day + 86400 > %(since)s AND recorded_at <= %(as_of)s

-- take_statement --
-- Record a statement that was taken in.
INSERT INTO day_statements (cluster_id, site, site_cluster, day, revision, previous, digest, signature, fault, capacity,
    sync, recorded_at)
VALUES (%(cluster_id)s, %(site)s, %(cluster)s, %(day)s, %(revision)s, %(previous)s, %(digest)s, %(signature)s,
    %(fault)s, %(capacity)s, %(sync)s, %(at)s)
RETURNING statement_id

-- copy_statement_rows --
-- Record the rows of a statement.
COPY day_statement_rows (statement_id, place, hour, account, project, infrastructure, tres, delivered, waiting, runs)
FROM STDIN

-- add_hub_account --
-- Record an account of a site below its site, unless it is known.
INSERT INTO accounts (cluster_id, account, parent, recorded_at)
SELECT %(cluster_id)s, %(account)s, %(parent)s, %(at)s
WHERE NOT EXISTS (SELECT FROM accounts WHERE cluster_id = %(cluster_id)s AND account = %(account)s)
ON CONFLICT (cluster_id, account, recorded_at) DO NOTHING

-- statement_tres --
-- The sets of TRES in these statements.
SELECT DISTINCT tres FROM day_statement_rows WHERE statement_id = ANY(%(statements)s)

-- statement_usage --
-- The charge of these statements in an interval by hour, account and project, in two resources.
SELECT r.hour, r.account, r.project, sum(r.delivered * w.raw), sum(r.waiting * w.raw),
    sum(r.delivered * w.weighted), sum(r.waiting * w.weighted)
FROM day_statement_rows r
JOIN unnest(%(tres)s::text[], %(raw)s::numeric[], %(weighted)s::numeric[]) AS w (tres, raw, weighted) USING (tres)
WHERE r.statement_id = ANY(%(statements)s) AND r.hour >= %(since)s AND r.hour < %(until)s
GROUP BY r.hour, r.account, r.project

-- statement_capacity --
-- The capacity of these statements, by day.
SELECT day, capacity FROM day_statements WHERE statement_id = ANY(%(statements)s)

-- statement_contents --
-- Everything that a statement says, except its rows.
SELECT statement_id, site, site_cluster, day, revision, previous, digest, capacity, sync FROM day_statements
WHERE cluster_id = %(cluster_id)s ORDER BY statement_id

-- statement_rows --
-- The rows of a statement, in order.
SELECT hour, account, project, infrastructure, tres, delivered, waiting, runs FROM day_statement_rows
WHERE statement_id = %(statement_id)s ORDER BY place
