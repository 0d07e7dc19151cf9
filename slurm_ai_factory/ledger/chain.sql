-- head --
-- The newest entry of the chain.
SELECT entry, hash, extract(epoch FROM recorded_at)::bigint FROM chain ORDER BY entry DESC LIMIT 1

-- entry_at --
-- The entry with a number.
SELECT entry, hash, extract(epoch FROM recorded_at)::bigint FROM chain WHERE entry = %(entry)s

-- entry_of --
-- The entry with a hash.
SELECT entry, hash, extract(epoch FROM recorded_at)::bigint FROM chain WHERE hash = %(hash)s

-- chain_walked --
-- How many entries there are, how many do not follow the one before, and the first of these.
WITH linked AS (
    SELECT *, lag(hash, 1, '') OVER (ORDER BY entry) AS before, lag(entry, 1, 0::bigint) OVER (ORDER BY entry) AS last
    FROM chain
), compared AS (
    SELECT entry, table_name, row_key,
        entry <> last + 1 OR hash <> chain_hash(before, entry, table_name, row_key, format, digest) AS broken
    FROM linked
)
SELECT count(*), count(*) FILTER (WHERE broken),
    coalesce((
        array_agg(format('entry %%s (%%s %%s)', entry, table_name, row_key) ORDER BY entry) FILTER (WHERE broken)
    )[1], '')
FROM compared

-- chained_tables --
-- The tables with chained rows.
SELECT DISTINCT name FROM chained() ORDER BY name

-- reads_compared --
-- How many reads have a digest of the runs they recorded, how many digests differ, and the first of these.
WITH recorded AS (
    SELECT read_id, encode(sha256(string_agg(DISTINCT hash, '' ORDER BY hash)), 'hex') AS digest
    FROM run_hashes WHERE cluster_id = %(cluster_id)s GROUP BY read_id
), missed AS (
    SELECT missing_since AS at, {missing_of} AS digest FROM (
        SELECT db_index, missing_since FROM runs WHERE cluster_id = %(cluster_id)s AND missing_since IS NOT NULL
        UNION ALL
        SELECT db_index, missing_since FROM run_versions
        WHERE cluster_id = %(cluster_id)s AND missing_since IS NOT NULL
    ) AS gone GROUP BY missing_since
), compared AS (
    SELECT read_id, at, (r.withdrawn_at IS NOT NULL OR r.withdrawal_id IS NOT NULL) AND NOT EXISTS (
            SELECT FROM withdrawals w WHERE w.withdrawal_id = r.withdrawal_id AND w.cluster_id = r.cluster_id
                AND w.recorded_at = r.withdrawn_at AND w.since <= r.at
        ) OR r.runs_digest <> coalesce(t.digest, encode(sha256(''), 'hex'))
        OR r.withdrawn_at IS NULL AND r.until = r.at AND r.missing_digest IS DISTINCT FROM m.digest AS differs
    FROM reads r LEFT JOIN recorded t USING (read_id) LEFT JOIN missed m USING (at)
    WHERE r.cluster_id = %(cluster_id)s AND r.runs_digest IS NOT NULL
    UNION ALL
    SELECT read_id, 0, true FROM recorded t
    WHERE read_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM reads r WHERE r.read_id = t.read_id AND r.cluster_id = %(cluster_id)s
    )
    UNION ALL
    SELECT 0, at, true FROM missed m
    WHERE NOT EXISTS (SELECT FROM reads r WHERE r.cluster_id = %(cluster_id)s AND r.at = m.at AND r.until = m.at)
    UNION ALL
    SELECT 0, 0, digest <> adopted_runs() FROM chain WHERE (table_name, row_key) = ('runs', 'adopted')
    UNION ALL
    SELECT 0, 0, true FROM recorded
    WHERE read_id IS NULL AND NOT EXISTS (SELECT FROM chain WHERE (table_name, row_key) = ('runs', 'adopted'))
)
SELECT count(*), count(*) FILTER (WHERE differs),
    coalesce((array_agg(format('read %%s', read_id) ORDER BY read_id) FILTER (WHERE differs))[1], '')
FROM compared

-- versions_compared --
-- How many versions of runs there are, how many do not follow the one before or were recorded without a read, an
-- override or a withdrawal, and the first of these.
WITH versions AS (
    SELECT db_index, read_id, recorded_at, superseded_at FROM run_versions WHERE cluster_id = %(cluster_id)s
    UNION ALL
    SELECT db_index, read_id, recorded_at, NULL FROM runs WHERE cluster_id = %(cluster_id)s
), ordered AS (
    SELECT *, lead(recorded_at) OVER (PARTITION BY db_index ORDER BY recorded_at, superseded_at NULLS LAST) AS next
    FROM versions
), corrected AS (
    SELECT recorded_at FROM overrides WHERE cluster_id = %(cluster_id)s
    UNION
    SELECT recorded_at FROM withdrawals WHERE cluster_id = %(cluster_id)s
), compared AS (
    SELECT db_index, CASE
            WHEN superseded_at IS NULL THEN next IS NOT NULL
            WHEN superseded_at > next THEN true
            ELSE superseded_at IS DISTINCT FROM next AND NOT EXISTS (
                SELECT FROM reads r WHERE r.read_id = o.read_id AND r.withdrawn_at = o.superseded_at
            )
        END OR o.read_id IS NOT NULL AND o.recorded_at NOT IN (SELECT recorded_at FROM corrected)
        AND NOT EXISTS (SELECT FROM reads r WHERE r.read_id = o.read_id AND r.at = o.recorded_at) AS differs
    FROM ordered o
)
SELECT count(*), count(*) FILTER (WHERE differs), coalesce((min(db_index) FILTER (WHERE differs))::text, '')
FROM compared
