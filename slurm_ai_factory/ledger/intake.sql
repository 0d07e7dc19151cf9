-- serialize --
-- Record one read at a time, so that reads are numbered in the order of their commits.
SELECT pg_advisory_xact_lock(7343, %(cluster_id)s)

-- create_observed --
-- The runs of a read as listed, for one transaction; the empty table stays with the connection.
CREATE TEMPORARY TABLE IF NOT EXISTS observed (
    db_index numeric(20), job_id bigint, job_label text, account text, user_name text, partition text,
    qos text, wckey text, reservation text, comment text, state text, submit_at bigint, eligible_at bigint,
    start_at bigint, end_at bigint, elapsed_seconds bigint, suspended_seconds bigint, req_tres text,
    alloc_tres text, energy_joules bigint, override text DEFAULT ''
) ON COMMIT DELETE ROWS

-- copy_observed --
-- Stream the runs of a read.
COPY observed (db_index, job_id, job_label, account, user_name, partition, qos, wckey, reservation, comment, state,
    submit_at, eligible_at, start_at, end_at, elapsed_seconds, suspended_seconds, req_tres, alloc_tres,
    energy_joules)
FROM STDIN

-- keep_told_last --
-- Keep the last row of a run that a read lists more than once.
DELETE FROM observed o USING observed later WHERE o.db_index = later.db_index AND o.ctid < later.ctid

-- unlisted --
-- The ended runs that a whole answer about an interval lists: how many, how many the read lacks, and the newest of them.
-- By start_at, so that runs after an interval of long ago are not looked at; a run that never started was not charged.
WITH known AS MATERIALIZED (
    SELECT db_index, job_id, end_at FROM runs
    WHERE cluster_id = %(cluster_id)s AND end_at > %(since)s AND start_at < %(until)s AND eligible_at < %(until)s
        AND recorded_at <= %(at)s
)
SELECT (SELECT count(*) FROM known), count(*), max(end_at), (array_agg(job_id ORDER BY end_at DESC, job_id DESC))[:5]
FROM known k
WHERE NOT EXISTS (SELECT FROM observed o WHERE o.db_index = k.db_index)

-- put_under_overrides --
-- Put listed runs under their overrides.
UPDATE observed o SET override = v.override FROM overridden_runs v
WHERE v.cluster_id = %(cluster_id)s AND v.db_index = o.db_index

-- analyze_observed --
-- Update the planner's statistics for the columns that it joins by.
ANALYZE observed (db_index, account, user_name, req_tres, alloc_tres)

-- add_subjects --
-- Add new subjects.
INSERT INTO subjects (cluster_id, account, user_name, partition, qos, wckey, reservation, comment, override)
SELECT DISTINCT %(cluster_id)s::smallint, account, user_name, partition, qos, wckey, reservation, comment,
    override
FROM observed o
WHERE NOT EXISTS (SELECT FROM subjects s WHERE {is_observed})
ON CONFLICT DO NOTHING

-- is_observed --
-- Fragment: the condition that a subject is that of an observed run.
s.key = ARRAY[%(cluster_id)s::smallint::text, o.account, o.user_name, o.partition, o.qos, o.wckey, o.reservation,
    o.comment, o.override]

-- add_allocations --
-- Add new sets of TRES.
INSERT INTO allocations (tres)
SELECT t FROM (SELECT req_tres AS t FROM observed UNION SELECT alloc_tres FROM observed) AS seen
WHERE NOT EXISTS (SELECT FROM allocations WHERE tres = t)
ON CONFLICT DO NOTHING

-- add_tres --
-- Add new TRES names, from the sets without counts.
INSERT INTO tres (name)
SELECT DISTINCT split_part(entry, '=', 1)
FROM allocations a, unnest(string_to_array(a.tres, ',')) AS entry
WHERE a.tres <> '' AND NOT EXISTS (SELECT FROM allocation_tres c WHERE c.allocation_id = a.allocation_id)
    AND NOT EXISTS (SELECT FROM tres t WHERE t.name = split_part(entry, '=', 1))
ON CONFLICT DO NOTHING

-- add_allocation_tres --
-- Add the counts of the sets without counts.
INSERT INTO allocation_tres (allocation_id, tres_id, count)
SELECT a.allocation_id, t.tres_id, split_part(entry, '=', 2)::numeric
FROM allocations a, unnest(string_to_array(a.tres, ',')) AS entry, tres t
WHERE a.tres <> '' AND t.name = split_part(entry, '=', 1)
    AND NOT EXISTS (SELECT FROM allocation_tres c WHERE c.allocation_id = a.allocation_id)

-- create_changed --
-- The runs of a read that are new or differ from the ledger.
CREATE TEMPORARY TABLE IF NOT EXISTS changed (LIKE runs, known boolean) ON COMMIT DELETE ROWS

-- create_signed --
-- Ended runs to add to their hours (sign 1) or to subtract from them (sign -1).
CREATE TEMPORARY TABLE IF NOT EXISTS signed (
    sign integer, subject_id integer, req_id integer, alloc_id integer, job_label text, eligible_at bigint,
    start_at bigint, end_at bigint, elapsed_seconds bigint
) ON COMMIT DELETE ROWS

-- find_changed --
-- Compare the read with the ledger. A run that a later read has recorded stays: a process that stood still, or that
-- reads history for hours, records what it was told before.
INSERT INTO changed
SELECT %(cluster_id)s::smallint AS cluster_id, o.db_index, o.job_id, o.job_label, s.subject_id, o.state,
    o.submit_at, o.eligible_at, o.start_at, o.end_at, o.elapsed_seconds, o.suspended_seconds,
    q.allocation_id AS req_id, a.allocation_id AS alloc_id, o.energy_joules, %(at)s::bigint AS recorded_at,
    NULL::bigint AS missing_since, %(read_id)s::bigint AS read_id, r.db_index IS NOT NULL AS known
FROM observed o
JOIN subjects s ON {is_observed}
JOIN allocations q ON q.tres = o.req_tres
JOIN allocations a ON a.tres = o.alloc_tres
LEFT JOIN runs r ON r.cluster_id = %(cluster_id)s AND r.db_index = o.db_index
WHERE r.db_index IS NULL OR r.recorded_at <= %(at)s AND (r.missing_since IS NOT NULL
    OR (r.job_id, r.job_label, r.subject_id, r.state, r.submit_at, r.eligible_at, r.start_at, r.end_at,
        r.elapsed_seconds, r.suspended_seconds, r.req_id, r.alloc_id, r.energy_joules)
    IS DISTINCT FROM (o.job_id, o.job_label, s.subject_id, o.state, o.submit_at, o.eligible_at, o.start_at,
        o.end_at, o.elapsed_seconds, o.suspended_seconds, q.allocation_id, a.allocation_id, o.energy_joules))
ORDER BY o.db_index

-- keep_versions --
-- Keep the changed runs as they were until now.
INSERT INTO run_versions ({run_columns}, superseded_at)
SELECT {run_columns}, %(at)s FROM runs r
WHERE EXISTS (SELECT FROM changed c WHERE c.known AND (c.cluster_id, c.db_index) = (r.cluster_id, r.db_index))

-- sign_changed --
-- Subtract the changed runs as they were, add them as they are now.
INSERT INTO signed
SELECT -1, r.subject_id, r.req_id, r.alloc_id, r.job_label, r.eligible_at, r.start_at, r.end_at, r.elapsed_seconds
FROM runs r JOIN changed c USING (cluster_id, db_index)
WHERE c.known AND r.end_at IS NOT NULL
UNION ALL
SELECT 1, subject_id, req_id, alloc_id, job_label, eligible_at, start_at, end_at, elapsed_seconds
FROM changed
WHERE end_at IS NOT NULL

-- sign_later --
-- Subtract the runs recorded after an instant, add them as they were then.
INSERT INTO signed
SELECT -1, subject_id, req_id, alloc_id, job_label, eligible_at, start_at, end_at, elapsed_seconds
FROM runs
WHERE cluster_id = %(cluster_id)s AND recorded_at > %(as_of)s AND end_at IS NOT NULL
UNION ALL
SELECT 1, subject_id, req_id, alloc_id, job_label, eligible_at, start_at, end_at, elapsed_seconds
FROM run_versions
WHERE cluster_id = %(cluster_id)s AND superseded_at > %(as_of)s AND recorded_at <= %(as_of)s
    AND end_at IS NOT NULL

-- add_usage --
-- Add the signed runs to the hours they were delivered and waited in.
WITH {signed_hours}
INSERT INTO hourly_usage AS u (hour, subject_id, allocation_id, delivered, waiting)
SELECT hour, subject_id, allocation_id, delivered, waiting FROM deltas
ORDER BY hour, subject_id, allocation_id
ON CONFLICT (hour, subject_id, allocation_id) DO UPDATE
SET delivered = u.delivered + excluded.delivered, waiting = u.waiting + excluded.waiting

-- drop_empty_usage --
-- Delete rows of hourly usage that a correction emptied.
DELETE FROM hourly_usage u
USING (
    SELECT DISTINCT subject_id, hour
    FROM signed,
        generate_series(
            least(eligible_at, start_at) - least(eligible_at, start_at) %% 3600, end_at, 3600
        ) AS hour
    WHERE sign = -1
) AS taken
WHERE (u.hour, u.subject_id) = (taken.hour, taken.subject_id) AND u.delivered = 0 AND u.waiting = 0

-- touched_from --
-- The earliest instant that the signed runs change, and the newest submit, start or end of a listed run.
SELECT (SELECT min(least(eligible_at, start_at)) FROM signed),
    (SELECT max(greatest(submit_at, start_at, end_at)) FROM observed)

-- update_runs --
-- Update the changed runs.
UPDATE runs r SET
    job_id = c.job_id, job_label = c.job_label, subject_id = c.subject_id, state = c.state,
    submit_at = c.submit_at, eligible_at = c.eligible_at, start_at = c.start_at, end_at = c.end_at,
    elapsed_seconds = c.elapsed_seconds, suspended_seconds = c.suspended_seconds, req_id = c.req_id,
    alloc_id = c.alloc_id, energy_joules = c.energy_joules, recorded_at = c.recorded_at,
    missing_since = c.missing_since, read_id = c.read_id
FROM changed c
WHERE c.known AND (r.cluster_id, r.db_index) = (c.cluster_id, c.db_index)

-- add_runs --
-- Add new runs.
INSERT INTO runs ({run_columns})
SELECT {run_columns} FROM changed
WHERE NOT known

-- open_indexes --
-- The open runs that the newest read up to now listed; none for a read that is older than another.
-- By max(at), which an index answers: for EXISTS, a plan for any instant looks through all reads.
SELECT db_index FROM runs WHERE cluster_id = %(cluster_id)s AND end_at IS NULL AND missing_since IS NULL
    AND coalesce(
        (SELECT max(at) FROM reads WHERE cluster_id = %(cluster_id)s AND withdrawn_at IS NULL) <= %(at)s, TRUE
    )

-- mark_missing --
-- Record since when an open run is no longer listed: it is charged only up to then.
UPDATE runs SET missing_since = %(at)s
WHERE cluster_id = %(cluster_id)s AND db_index = ANY(%(gone)s::numeric[]) AND end_at IS NULL AND missing_since IS NULL

-- changed_counts --
-- How many of the runs read were new, and how many were changed.
SELECT count(*) FILTER (WHERE NOT known), count(*) FILTER (WHERE known) FROM changed

-- next_read --
-- The number of the next read.
SELECT nextval(pg_get_serial_sequence('reads', 'read_id'))

-- run_hash --
-- Fragment: the hash of a changed run, as the view run_hashes has it.
sha256(convert_to(ROW(
    r.db_index, r.job_id, r.job_label, s.account, s.partition, s.qos, s.wckey, s.reservation, s.comment, r.state,
    r.submit_at, r.eligible_at, r.start_at, r.end_at, r.elapsed_seconds, r.suspended_seconds, q.tres, a.tres,
    r.energy_joules
)::text, 'UTF8'))

-- add_read --
-- Record a complete read, with the digests of the runs it changed and of the runs it no longer listed.
INSERT INTO reads (read_id, cluster_id, at, since, until, runs, changed, rejected, touched_from, newest_record_at,
    runs_digest, missing_digest)
OVERRIDING SYSTEM VALUE
SELECT %(read_id)s, %(cluster_id)s, %(at)s, %(since)s, %(until)s, %(runs)s, %(changed)s, %(rejected)s,
    %(touched_from)s, %(newest_record_at)s, (
        SELECT encode(sha256(coalesce(string_agg(DISTINCT hash, '' ORDER BY hash), '')), 'hex')
        FROM (SELECT {run_hash} AS hash FROM changed r {run_joins}) AS hashes
    ), (SELECT {missing_of} FROM unnest(%(missing)s::numeric[]) AS gone (db_index))

-- add_withdrawal --
-- Record a withdrawal: who, why, and from which instant on.
INSERT INTO withdrawals (cluster_id, since, recorded_at, actor, reason)
VALUES (%(cluster_id)s, %(since)s, %(at)s, %(actor)s, %(reason)s)
RETURNING withdrawal_id

-- withdraw_reads --
-- Withdraw the reads made at or after an instant: how many, and the start of what they covered.
WITH taken AS (
    UPDATE reads SET withdrawn_at = %(at)s, withdrawal_id = %(withdrawal_id)s
    WHERE cluster_id = %(cluster_id)s AND at >= %(since)s AND withdrawn_at IS NULL
    RETURNING since
)
SELECT count(*), min(since) FROM taken

-- overridden_since --
-- Jobs that were put under an override at or after an instant.
SELECT DISTINCT job FROM overrides WHERE cluster_id = %(cluster_id)s AND recorded_at >= %(since)s ORDER BY job

-- keep_withdrawn_runs --
-- Keep the runs as the withdrawn reads recorded them, as versions up to now.
INSERT INTO run_versions ({run_columns}, superseded_at)
SELECT {run_columns}, %(at)s FROM runs WHERE cluster_id = %(cluster_id)s AND recorded_at >= %(since)s

-- drop_withdrawn_runs --
-- Delete the runs as the withdrawn reads recorded them.
DELETE FROM runs WHERE cluster_id = %(cluster_id)s AND recorded_at >= %(since)s

-- restore_runs --
-- Restore the runs as they were before the withdrawn reads.
INSERT INTO runs ({run_columns})
SELECT DISTINCT ON (db_index) cluster_id, db_index, job_id, job_label, subject_id, state, submit_at, eligible_at,
    start_at, end_at, elapsed_seconds, suspended_seconds, req_id, alloc_id, energy_joules, %(at)s, missing_since, read_id
FROM run_versions
WHERE cluster_id = %(cluster_id)s AND recorded_at < %(since)s AND superseded_at >= %(since)s
ORDER BY db_index, recorded_at DESC
ON CONFLICT DO NOTHING

-- found_again --
-- Charge open runs on that only withdrawn reads no longer listed.
UPDATE runs SET missing_since = NULL WHERE cluster_id = %(cluster_id)s AND missing_since >= %(since)s

-- withdraw_sizes --
-- Withdraw the sizes recorded since.
WITH gone AS (DELETE FROM sizes WHERE cluster_id = %(cluster_id)s AND recorded_at >= %(since)s RETURNING *)
INSERT INTO withdrawn_rows SELECT %(withdrawal_id)s, 'sizes', to_jsonb(gone) FROM gone

-- withdraw_outages --
-- Withdraw the outages recorded since.
WITH gone AS (DELETE FROM outages WHERE cluster_id = %(cluster_id)s AND recorded_at >= %(since)s RETURNING *)
INSERT INTO withdrawn_rows SELECT %(withdrawal_id)s, 'outages', to_jsonb(gone) FROM gone

-- withdraw_accounts --
-- Withdraw the parents of accounts recorded since, except those of sites.
WITH gone AS (
    DELETE FROM accounts a WHERE cluster_id = %(cluster_id)s AND recorded_at >= %(since)s AND NOT EXISTS (
        SELECT FROM hubs h WHERE h.cluster_id = a.cluster_id AND h.site || '/' IN (a.account, a.parent)
    ) RETURNING *
)
INSERT INTO withdrawn_rows SELECT %(withdrawal_id)s, 'accounts', to_jsonb(gone) FROM gone

-- forget_all_sums --
-- Make all saved sums invalid.
UPDATE sums SET known = '{}' WHERE cluster_id = %(cluster_id)s

-- unseen_lines --
-- The lines that no earlier read had, also where the ledger kept only a digest.
SELECT line FROM unnest(%(lines)s::text[]) WITH ORDINALITY AS told (line, number)
WHERE NOT EXISTS (
    SELECT FROM rejected_lines l
    WHERE l.cluster_id = %(cluster_id)s AND md5(l.line) IN (md5(told.line), md5('~' || md5(told.line)))
)
ORDER BY number

-- lines_since --
-- How many unparsable lines were new since an instant.
SELECT count(*) FROM rejected_lines WHERE cluster_id = %(cluster_id)s AND first_read_at > %(since)s

-- reject_line --
-- Keep an unparsable line, with the reason.
INSERT INTO rejected_lines AS l (cluster_id, line, reason, first_read_at, last_read_at)
VALUES (%(cluster_id)s, %(line)s, %(reason)s, %(at)s, %(at)s)
ON CONFLICT (cluster_id, md5(line)) DO UPDATE SET last_read_at = excluded.last_read_at, reason = excluded.reason
WHERE l.last_read_at < excluded.last_read_at

-- write_account --
-- Record the parent of an account from now on. The first row of a second stays; the next read adds the rest.
INSERT INTO accounts (cluster_id, account, parent, recorded_at)
VALUES (%(cluster_id)s, %(account)s, %(parent)s, %(at)s)
ON CONFLICT (cluster_id, account, recorded_at) DO NOTHING

-- write_size --
-- Record a size of the cluster, unless it is known already.
INSERT INTO sizes (cluster_id, since, until, tres, recorded_at)
SELECT %(cluster_id)s, %(since)s, %(until)s::bigint, %(tres)s::text, %(at)s
WHERE (%(until)s::bigint, %(tres)s::text) IS DISTINCT FROM (
    SELECT (until, tres) FROM sizes WHERE cluster_id = %(cluster_id)s AND since = %(since)s
    ORDER BY recorded_at DESC LIMIT 1
)
ON CONFLICT (cluster_id, since, recorded_at) DO NOTHING

-- write_outage --
-- Record an outage of a node, unless it is known already.
INSERT INTO outages (cluster_id, node, since, until, state, tres, recorded_at)
SELECT %(cluster_id)s, %(node)s, %(since)s, %(until)s::bigint, %(state)s::text, %(tres)s::text, %(at)s
WHERE (%(until)s::bigint, %(state)s::text, %(tres)s::text) IS DISTINCT FROM (
    SELECT (until, state, tres) FROM outages
    WHERE cluster_id = %(cluster_id)s AND node = %(node)s AND since = %(since)s
    ORDER BY recorded_at DESC LIMIT 1
)
ON CONFLICT (cluster_id, node, since, recorded_at) DO NOTHING

-- serialize_sums --
-- Keep others from saving sums until the transaction ends.
SELECT pg_advisory_xact_lock(7344, %(cluster_id)s)

-- forget_sums --
-- Make the saved sums of the days that the signed runs change invalid.
UPDATE sums SET known = known - int8multirange(
    int8range(signed.first - signed.first %% 86400, signed.last - signed.last %% 86400 + 86400)
)
FROM (SELECT min(least(eligible_at, start_at)) AS first, max(end_at) AS last FROM signed) AS signed
WHERE cluster_id = %(cluster_id)s AND signed.first IS NOT NULL

-- run_of_job --
-- A run of a job, array task or heterogeneous component.
SELECT db_index FROM runs
WHERE cluster_id = %(cluster_id)s AND (job_label = %(label)s OR job_id = %(job_id)s) LIMIT 1

-- add_override --
-- Record an override.
INSERT INTO overrides (cluster_id, job, beneficiary, organisation, recorded_at, actor, reason)
VALUES (%(cluster_id)s, %(label)s, %(beneficiary)s, %(organisation)s, %(at)s, %(actor)s, %(reason)s)
RETURNING override_id::text

-- put_runs_under --
-- Put the runs of a job under an override, or under none.
INSERT INTO overridden_runs (cluster_id, db_index, override)
SELECT cluster_id, db_index, %(override)s FROM runs
WHERE cluster_id = %(cluster_id)s AND (job_label = %(label)s OR job_id = %(job_id)s)
ON CONFLICT (cluster_id, db_index) DO UPDATE SET override = excluded.override

-- add_overridden_subjects --
-- Add the subjects of these runs from now on.
INSERT INTO subjects (cluster_id, account, user_name, partition, qos, wckey, reservation, comment, override)
SELECT DISTINCT s.cluster_id, s.account, s.user_name, s.partition, s.qos, s.wckey, s.reservation, s.comment,
    %(override)s::text
FROM runs r JOIN subjects s USING (cluster_id, subject_id)
WHERE r.cluster_id = %(cluster_id)s AND (r.job_label = %(label)s OR r.job_id = %(job_id)s)
ON CONFLICT DO NOTHING

-- find_overridden --
-- These runs as they are from now on.
INSERT INTO changed
SELECT r.cluster_id, r.db_index, r.job_id, r.job_label, n.subject_id, r.state, r.submit_at, r.eligible_at,
    r.start_at, r.end_at, r.elapsed_seconds, r.suspended_seconds, r.req_id, r.alloc_id, r.energy_joules,
    %(at)s::bigint, r.missing_since, r.read_id, true
FROM runs r
JOIN subjects s USING (cluster_id, subject_id)
JOIN subjects n ON n.key = s.key[1:8] || %(override)s::text
WHERE r.cluster_id = %(cluster_id)s AND (r.job_label = %(label)s OR r.job_id = %(job_id)s)
