-- run_columns --
-- Fragment: the columns that runs and run_versions have in common.
cluster_id, db_index, job_id, job_label, subject_id, state, submit_at, eligible_at, start_at, end_at,
    elapsed_seconds, suspended_seconds, req_id, alloc_id, energy_joules, recorded_at, missing_since, read_id

-- signed_hours --
-- Fragment: delivered and waiting seconds of the signed runs by hour, as in core/charge.py.
spans AS (
    SELECT subject_id, alloc_id AS allocation_id, sign AS delivered, 0 AS waiting,
        start_at AS since, end_at AS until, elapsed_seconds AS seconds
    FROM signed WHERE start_at IS NOT NULL AND elapsed_seconds > 0
    UNION ALL
    SELECT subject_id, CASE WHEN start_at IS NULL OR tres = '' THEN req_id ELSE alloc_id END, 0,
        sign * CASE WHEN start_at IS NULL THEN tasks(job_label) ELSE 1 END,
        eligible_at, least(start_at, end_at), least(start_at, end_at) - eligible_at
    FROM signed JOIN allocations ON allocation_id = alloc_id
    WHERE eligible_at < least(start_at, end_at)
), hours AS (
    SELECT *, generate_series(since - since %% 3600, greatest(until, since + 1) - 1, 3600) AS hour FROM spans
), parts AS (
    SELECT *, spread(since, until, seconds, hour + 3600) - spread(since, until, seconds, hour) AS part FROM hours
), deltas AS (
    SELECT hour, subject_id, allocation_id,
        sum(delivered * part)::bigint AS delivered, sum(waiting * part)::bigint AS waiting
    FROM parts
    GROUP BY hour, subject_id, allocation_id
    HAVING sum(delivered * part) <> 0 OR sum(waiting * part) <> 0
)

-- missing_of --
-- Fragment: the digest of runs that a read no longer listed.
sha256_of(string_agg(DISTINCT db_index::text, ',' ORDER BY db_index::text))

-- subject --
-- Fragment: the columns of a subject.
s.account, s.user_name, s.partition, s.qos, s.wckey, s.reservation, s.comment, s.override

-- told --
-- Fragment: the columns of a classification.
c.beneficiary, c.rule, c.category, c.organisation, c.sector, c.municipality, c.hub, c.access,
    c.promises

-- runs_known --
-- Fragment: the runs as known at an instant.
(
    SELECT {run_columns} FROM runs WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s
    UNION ALL
    SELECT {run_columns} FROM run_versions
    WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s AND superseded_at > %(as_of)s
)

-- missing_since --
-- Fragment: since when reads no longer listed a run, as known at an instant.
CASE WHEN r.missing_since <= %(as_of)s THEN r.missing_since END

-- run --
-- Fragment: a run with its names and TRES.
r.db_index, r.job_id, r.job_label, {subject},
    r.state, r.submit_at, r.eligible_at, r.start_at, r.end_at, r.elapsed_seconds, r.suspended_seconds,
    q.tres, a.tres

-- run_joins --
-- Fragment: the tables with the names and TRES of a run.
JOIN subjects s USING (subject_id)
JOIN allocations q ON q.allocation_id = r.req_id
JOIN allocations a ON a.allocation_id = r.alloc_id

-- weighted --
-- Fragment: the charge per second of each set of TRES in the resource.
weighted AS MATERIALIZED (
    SELECT c.allocation_id, sum(c.count * w.weight) AS weight
    FROM unnest(%(tres)s::text[], %(weights)s::numeric[]) AS w (name, weight)
    JOIN tres t USING (name)
    JOIN allocation_tres c USING (tres_id)
    GROUP BY c.allocation_id
)

-- touched --
-- Fragment: from the first day on that reads have changed since the sums were saved.
SELECT int8multirange(int8range(min(touched_from) - min(touched_from) %% 86400, NULL)) FROM reads
WHERE cluster_id = s.cluster_id AND read_id > s.read_id AND touched_from IS NOT NULL HAVING count(*) > 0

-- kept_sums --
-- Fragment: the sums of a resource, and the whole days of the interval for which they are valid.
kept AS MATERIALIZED (
    SELECT s.sum_id, (s.known - coalesce(({touched}), '{}')) * int8multirange(int8range(
        (%(since)s + 86399) / 86400 * 86400,
        greatest((%(since)s + 86399) / 86400, %(until)s / 86400) * 86400
    )) AS known
    FROM sums s
    WHERE (s.set_id, s.resource) = (%(set_id)s, %(resource)s)
)
