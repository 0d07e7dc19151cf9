-- expirable --
-- The decisions from before an instant that may expire: how many, their bytes, and the oldest.
SELECT count(*), coalesce(sum(pg_column_size(d.*)), 0)::bigint, min(at)
FROM expirable(%(cluster_id)s::smallint, %(due)s) AS d

-- add_expiry --
-- Record which decisions from before an instant expire; no row where none may.
INSERT INTO expiries (cluster_id, recorded_at, before, actor) VALUES (%(cluster_id)s, %(at)s, %(due)s, %(actor)s)
RETURNING expiry_id

-- drop_expired --
-- Delete the decisions of an expiry.
DELETE FROM decisions d USING expiries e
WHERE e.expiry_id = %(expiry_id)s AND d.cluster_id = e.cluster_id AND e.decisions @> d.decision_id

-- expired_between --
-- When decisions of [since, until) expired last; NULL where none did.
SELECT max(recorded_at) FROM expiries
WHERE cluster_id = %(cluster_id)s AND first_at < %(until)s AND last_at >= %(since)s

-- expiries_compared --
-- How many expiries there are, how many do not list decisions that the chain had before them, and the first of these.
WITH entered AS (
    SELECT entry, digest, (row_key::jsonb ->> 0)::bigint AS decision_id FROM chain WHERE table_name = 'decisions'
), own AS (
    SELECT entry, (row_key::jsonb ->> 0)::bigint AS expiry_id FROM chain WHERE table_name = 'expiries'
), compared AS (
    SELECT e.expiry_id, count(t.entry) <> e.rows OR max(t.entry) >= coalesce(min(o.entry), 0)
        OR sha256_of(coalesce(string_agg(t.digest, '' ORDER BY t.entry), '')) <> e.digest
        OR (SELECT sum(upper(part) - lower(part)) FROM unnest(e.decisions) AS part) <> e.rows
        OR EXISTS (SELECT FROM expiries x WHERE x.expiry_id <> e.expiry_id AND x.decisions && e.decisions) AS differs
    FROM expiries e LEFT JOIN own o USING (expiry_id) LEFT JOIN entered t ON e.decisions @> t.decision_id
    WHERE e.cluster_id = %(cluster_id)s
    GROUP BY e.expiry_id
)
SELECT count(*), count(*) FILTER (WHERE differs), coalesce((min(expiry_id) FILTER (WHERE differs))::text, '')
FROM compared

-- kept --
-- What the ledger keeps for good, by table: rows, bytes with indexes, and the oldest instant.
SELECT name, rows, pg_total_relation_size(name::regclass) AS bytes, oldest FROM (
    SELECT 'chain' AS name, count(*) AS rows, extract(epoch FROM min(recorded_at))::bigint AS oldest FROM chain
    UNION ALL SELECT 'changes', count(*), min(d.at) FROM changes JOIN decisions d USING (decision_id)
    UNION ALL SELECT 'decisions', count(*), min(at) FROM decisions
    UNION ALL SELECT 'reads', count(*), min(at) FROM reads
    UNION ALL SELECT 'rejected_lines', count(*), min(first_read_at) FROM rejected_lines
    UNION ALL SELECT 'run_versions', count(*), min(recorded_at) FROM run_versions
    UNION ALL SELECT 'runs', count(*), min(recorded_at) FROM runs
) AS counted
ORDER BY name
