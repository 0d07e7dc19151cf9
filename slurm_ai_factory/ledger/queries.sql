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

-- watermark --
-- How far Slurm's accounting was read completely.
SELECT max(until) FROM reads WHERE cluster_id = %(cluster_id)s AND withdrawn_at IS NULL

-- watermark_then --
-- How far it was read at an instant.
SELECT max(until) FROM reads
WHERE cluster_id = %(cluster_id)s AND at <= %(as_of)s AND coalesce(withdrawn_at > %(as_of)s, true)

-- gaps --
-- What of an interval no read has covered.
SELECT lower(gap), upper(gap)
FROM unnest(
    int8multirange(int8range(%(since)s, %(until)s)) - coalesce(
        (SELECT range_agg(int8range(since, until)) FROM reads
         WHERE cluster_id = %(cluster_id)s AND since < %(until)s AND until > %(since)s
             AND at <= coalesce(%(as_of)s, 9223372036854775807)
             AND coalesce(withdrawn_at > %(as_of)s, withdrawn_at IS NULL)),
        '{}'::int8multirange
    )
) AS gap
ORDER BY 1

-- serialize --
-- One read is kept at a time, so that reads are numbered in the order they are committed.
SELECT pg_advisory_xact_lock(7343, %(cluster_id)s)

-- create_observed --
-- A read's runs as they come, for the time of one transaction; the empty table stays with the connection.
CREATE TEMPORARY TABLE IF NOT EXISTS observed (
    db_index numeric(20), job_id bigint, job_label text, account text, user_name text, partition text,
    qos text, wckey text, reservation text, comment text, state text, submit_at bigint, eligible_at bigint,
    start_at bigint, end_at bigint, elapsed_seconds bigint, suspended_seconds bigint, req_tres text,
    alloc_tres text, energy_joules bigint, override text DEFAULT ''
) ON COMMIT DELETE ROWS

-- copy_observed --
-- Stream a read into the ledger.
COPY observed (db_index, job_id, job_label, account, user_name, partition, qos, wckey, reservation, comment, state,
    submit_at, eligible_at, start_at, end_at, elapsed_seconds, suspended_seconds, req_tres, alloc_tres,
    energy_joules)
FROM STDIN

-- keep_told_last --
-- Of a run that one read tells more than once, what it tells last.
DELETE FROM observed o USING observed later WHERE o.db_index = later.db_index AND o.ctid < later.ctid

-- put_under_overrides --
-- Runs that were read and stand under an override.
UPDATE observed o SET override = v.override FROM overridden_runs v
WHERE v.cluster_id = %(cluster_id)s AND v.db_index = o.db_index

-- observed_before --
-- How many runs had arrived when the planner was told last on this connection; below 0 if never.
SELECT reltuples::bigint FROM pg_class WHERE oid = 'observed'::regclass

-- analyze_observed --
-- Tell the planner what has arrived; it joins by these.
ANALYZE observed (db_index, account, user_name, req_tres, alloc_tres)

-- add_subjects --
-- Subjects never seen before.
INSERT INTO subjects (cluster_id, account, user_name, partition, qos, wckey, reservation, comment, override)
SELECT DISTINCT %(cluster_id)s::smallint, account, user_name, partition, qos, wckey, reservation, comment,
    override
FROM observed o
WHERE NOT EXISTS (SELECT FROM subjects s WHERE {is_observed})
ON CONFLICT DO NOTHING

-- is_observed --
-- Fragment: a subject is that of an observed run.
s.key = ARRAY[%(cluster_id)s::smallint::text, o.account, o.user_name, o.partition, o.qos, o.wckey, o.reservation,
    o.comment, o.override]

-- add_allocations --
-- Sets of TRES counts never seen before.
INSERT INTO allocations (tres)
SELECT t FROM (SELECT req_tres AS t FROM observed UNION SELECT alloc_tres FROM observed) AS seen
WHERE NOT EXISTS (SELECT FROM allocations WHERE tres = t)
ON CONFLICT DO NOTHING

-- add_tres --
-- TRES names never seen before, from the sets that have no counts yet.
INSERT INTO tres (name)
SELECT DISTINCT split_part(entry, '=', 1)
FROM allocations a, unnest(string_to_array(a.tres, ',')) AS entry
WHERE a.tres <> '' AND NOT EXISTS (SELECT FROM allocation_tres c WHERE c.allocation_id = a.allocation_id)
    AND NOT EXISTS (SELECT FROM tres t WHERE t.name = split_part(entry, '=', 1))
ON CONFLICT DO NOTHING

-- add_allocation_tres --
-- The counts of the sets that have none yet.
INSERT INTO allocation_tres (allocation_id, tres_id, count)
SELECT a.allocation_id, t.tres_id, split_part(entry, '=', 2)::numeric
FROM allocations a, unnest(string_to_array(a.tres, ',')) AS entry, tres t
WHERE a.tres <> '' AND t.name = split_part(entry, '=', 1)
    AND NOT EXISTS (SELECT FROM allocation_tres c WHERE c.allocation_id = a.allocation_id)

-- create_changed --
-- Of a read's runs, those that are new or differ from what the ledger has.
CREATE TEMPORARY TABLE IF NOT EXISTS changed (LIKE runs, known boolean) ON COMMIT DELETE ROWS

-- create_signed --
-- Ended runs to be put into their hours (sign 1) or taken out of them (sign -1).
CREATE TEMPORARY TABLE IF NOT EXISTS signed (
    sign integer, subject_id integer, req_id integer, alloc_id integer, job_label text, eligible_at bigint,
    start_at bigint, end_at bigint, elapsed_seconds bigint
) ON COMMIT DELETE ROWS

-- clear_signed --
-- Nothing is left of a question before, inside the same transaction.
TRUNCATE signed

-- find_changed --
-- Compare what was read with what the ledger has.
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
WHERE r.db_index IS NULL OR r.missing_since IS NOT NULL
    OR (r.job_id, r.job_label, r.subject_id, r.state, r.submit_at, r.eligible_at, r.start_at, r.end_at,
        r.elapsed_seconds, r.suspended_seconds, r.req_id, r.alloc_id, r.energy_joules)
    IS DISTINCT FROM (o.job_id, o.job_label, s.subject_id, o.state, o.submit_at, o.eligible_at, o.start_at,
        o.end_at, o.elapsed_seconds, o.suspended_seconds, q.allocation_id, a.allocation_id, o.energy_joules)
ORDER BY o.db_index

-- run_columns --
-- Fragment: the columns of a run, in the ledger and as it was.
cluster_id, db_index, job_id, job_label, subject_id, state, submit_at, eligible_at, start_at, end_at,
    elapsed_seconds, suspended_seconds, req_id, alloc_id, energy_joules, recorded_at, missing_since, read_id

-- keep_versions --
-- Keep what the changed runs were until now.
INSERT INTO run_versions ({run_columns}, superseded_at)
SELECT {run_columns}, %(at)s FROM runs r
WHERE EXISTS (SELECT FROM changed c WHERE c.known AND (c.cluster_id, c.db_index) = (r.cluster_id, r.db_index))

-- sign_changed --
-- Take out what the ledger had of the changed runs, put in what is true now.
INSERT INTO signed
SELECT -1, r.subject_id, r.req_id, r.alloc_id, r.job_label, r.eligible_at, r.start_at, r.end_at, r.elapsed_seconds
FROM runs r JOIN changed c USING (cluster_id, db_index)
WHERE c.known AND r.end_at IS NOT NULL
UNION ALL
SELECT 1, subject_id, req_id, alloc_id, job_label, eligible_at, start_at, end_at, elapsed_seconds
FROM changed
WHERE end_at IS NOT NULL

-- sign_later --
-- Take out what was recorded after an instant, put in what was in the ledger then.
INSERT INTO signed
SELECT -1, subject_id, req_id, alloc_id, job_label, eligible_at, start_at, end_at, elapsed_seconds
FROM runs
WHERE cluster_id = %(cluster_id)s AND recorded_at > %(as_of)s AND end_at IS NOT NULL
UNION ALL
SELECT 1, subject_id, req_id, alloc_id, job_label, eligible_at, start_at, end_at, elapsed_seconds
FROM run_versions
WHERE cluster_id = %(cluster_id)s AND superseded_at > %(as_of)s AND recorded_at <= %(as_of)s
    AND end_at IS NOT NULL

-- signed_hours --
-- Fragment: seconds of the signed runs by hour, delivered and waited, as in core/charge.py.
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

-- add_usage --
-- Put the signed runs into the hours they were delivered and waited in.
WITH {signed_hours}
INSERT INTO hourly_usage AS u (hour, subject_id, allocation_id, delivered, waiting)
SELECT hour, subject_id, allocation_id, delivered, waiting FROM deltas
ORDER BY hour, subject_id, allocation_id
ON CONFLICT (hour, subject_id, allocation_id) DO UPDATE
SET delivered = u.delivered + excluded.delivered, waiting = u.waiting + excluded.waiting

-- usage_compared --
-- Usage by hour as it is kept, and as the ended runs make it: how many rows, how many of them differ, and the
-- earliest hour that does.
WITH signed AS (
    SELECT 1 AS sign, subject_id, req_id, alloc_id, job_label, eligible_at, start_at, end_at, elapsed_seconds
    FROM runs
    WHERE cluster_id = %(cluster_id)s AND end_at >= %(since)s AND least(eligible_at, start_at) < %(until)s
), {signed_hours}, kept AS (
    SELECT * FROM hourly_usage u
    WHERE hour >= %(since)s AND hour < %(until)s AND NOT EXISTS (
        SELECT FROM subjects s WHERE s.subject_id = u.subject_id AND s.cluster_id <> %(cluster_id)s
    )
), compared AS (
    SELECT hour, (k.delivered, k.waiting) IS DISTINCT FROM (d.delivered, d.waiting) AS differs
    FROM kept k
    FULL JOIN (SELECT * FROM deltas WHERE hour >= %(since)s AND hour < %(until)s) AS d
        USING (hour, subject_id, allocation_id)
)
SELECT count(*), count(*) FILTER (WHERE differs), min(hour) FILTER (WHERE differs) FROM compared

-- drop_empty_usage --
-- Leave no row behind where a correction took everything out.
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
-- The earliest hour whose usage the signed runs change, and the newest instant that a run was told of.
SELECT (SELECT min(least(eligible_at, start_at)) FROM signed),
    (SELECT max(greatest(submit_at, start_at, end_at)) FROM observed)

-- update_runs --
-- The changed runs become what the ledger has.
UPDATE runs r SET
    job_id = c.job_id, job_label = c.job_label, subject_id = c.subject_id, state = c.state,
    submit_at = c.submit_at, eligible_at = c.eligible_at, start_at = c.start_at, end_at = c.end_at,
    elapsed_seconds = c.elapsed_seconds, suspended_seconds = c.suspended_seconds, req_id = c.req_id,
    alloc_id = c.alloc_id, energy_joules = c.energy_joules, recorded_at = c.recorded_at,
    missing_since = c.missing_since, read_id = c.read_id
FROM changed c
WHERE c.known AND (r.cluster_id, r.db_index) = (c.cluster_id, c.db_index)

-- add_runs --
-- Runs never seen before.
INSERT INTO runs ({run_columns})
SELECT {run_columns} FROM changed
WHERE NOT known

-- open_indexes --
-- The runs that are open as far as the ledger knows.
SELECT db_index FROM runs WHERE cluster_id = %(cluster_id)s AND end_at IS NULL AND missing_since IS NULL

-- mark_missing --
-- Open runs that a read up to now no longer lists are counted no further.
UPDATE runs SET missing_since = %(at)s
WHERE cluster_id = %(cluster_id)s AND db_index = ANY(%(gone)s::numeric[]) AND end_at IS NULL AND missing_since IS NULL

-- changed_counts --
-- How many of the runs read were new, and how many were changed.
SELECT count(*) FILTER (WHERE NOT known), count(*) FILTER (WHERE known) FROM changed

-- last_read --
-- The newest read.
SELECT read_id FROM reads WHERE cluster_id = %(cluster_id)s ORDER BY read_id DESC LIMIT 1

-- next_read --
-- The number of the read that begins.
SELECT nextval(pg_get_serial_sequence('reads', 'read_id'))

-- run_hash --
-- Fragment: the hash of a changed run, as the view run_hashes has it.
sha256(convert_to(ROW(
    r.db_index, r.job_id, r.job_label, s.account, s.partition, s.qos, s.wckey, s.reservation, s.comment, r.state,
    r.submit_at, r.eligible_at, r.start_at, r.end_at, r.elapsed_seconds, r.suspended_seconds, q.tres, a.tres,
    r.energy_joules
)::text, 'UTF8'))

-- missing_of --
-- Fragment: the digest of runs that a read no longer listed.
sha256_of(string_agg(DISTINCT db_index::text, ',' ORDER BY db_index::text))

-- add_read --
-- A complete read, with the digest of what it took in and of what it missed.
INSERT INTO reads (read_id, cluster_id, at, since, until, runs, changed, rejected, touched_from, newest_record_at,
    runs_digest, missing_digest)
OVERRIDING SYSTEM VALUE
SELECT %(read_id)s, %(cluster_id)s, %(at)s, %(since)s, %(until)s, %(runs)s, %(changed)s, %(rejected)s,
    %(touched_from)s, %(newest_record_at)s, (
        SELECT encode(sha256(coalesce(string_agg(DISTINCT hash, '' ORDER BY hash), '')), 'hex')
        FROM (SELECT {run_hash} AS hash FROM changed r {run_joins}) AS hashes
    ), (SELECT {missing_of} FROM unnest(%(missing)s::numeric[]) AS gone (db_index))

-- add_withdrawal --
-- Reads are taken back: who, why, and from which instant on.
INSERT INTO withdrawals (cluster_id, since, recorded_at, actor, reason)
VALUES (%(cluster_id)s, %(since)s, %(at)s, %(actor)s, %(reason)s)
RETURNING withdrawal_id

-- withdraw_reads --
-- The reads made at or after an instant cover nothing any more; how many there are, and from where they read.
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
-- What the withdrawn reads made of the runs stays, as a version that ended now.
INSERT INTO run_versions ({run_columns}, superseded_at)
SELECT {run_columns}, %(at)s FROM runs WHERE cluster_id = %(cluster_id)s AND recorded_at >= %(since)s

-- drop_withdrawn_runs --
-- The runs as the withdrawn reads had them are no longer the ledger's.
DELETE FROM runs WHERE cluster_id = %(cluster_id)s AND recorded_at >= %(since)s

-- restore_runs --
-- The runs as they were before the withdrawn reads.
INSERT INTO runs ({run_columns})
SELECT DISTINCT ON (db_index) cluster_id, db_index, job_id, job_label, subject_id, state, submit_at, eligible_at,
    start_at, end_at, elapsed_seconds, suspended_seconds, req_id, alloc_id, energy_joules, %(at)s, missing_since, read_id
FROM run_versions
WHERE cluster_id = %(cluster_id)s AND recorded_at < %(since)s AND superseded_at >= %(since)s
ORDER BY db_index, recorded_at DESC
ON CONFLICT DO NOTHING

-- found_again --
-- Open runs that only a withdrawn read did not list are counted on.
UPDATE runs SET missing_since = NULL WHERE cluster_id = %(cluster_id)s AND missing_since >= %(since)s

-- withdraw_sizes --
-- Sizes that the withdrawn reads told.
WITH gone AS (DELETE FROM sizes WHERE cluster_id = %(cluster_id)s AND recorded_at >= %(since)s RETURNING *)
INSERT INTO withdrawn_rows SELECT %(withdrawal_id)s, 'sizes', to_jsonb(gone) FROM gone

-- withdraw_outages --
-- Outages that the withdrawn reads told.
WITH gone AS (DELETE FROM outages WHERE cluster_id = %(cluster_id)s AND recorded_at >= %(since)s RETURNING *)
INSERT INTO withdrawn_rows SELECT %(withdrawal_id)s, 'outages', to_jsonb(gone) FROM gone

-- withdraw_accounts --
-- Parents of accounts that were seen since.
WITH gone AS (DELETE FROM accounts WHERE cluster_id = %(cluster_id)s AND recorded_at >= %(since)s RETURNING *)
INSERT INTO withdrawn_rows SELECT %(withdrawal_id)s, 'accounts', to_jsonb(gone) FROM gone

-- forget_all_sums --
-- Sums are added up anew when they are asked for.
UPDATE sums SET known = '{}' WHERE cluster_id = %(cluster_id)s

-- unseen_lines --
-- Of some lines those that no read had before, also where only a digest is left of one.
SELECT line FROM unnest(%(lines)s::text[]) WITH ORDINALITY AS told (line, number)
WHERE NOT EXISTS (
    SELECT FROM rejected_lines l
    WHERE l.cluster_id = %(cluster_id)s AND md5(l.line) IN (md5(told.line), md5('~' || md5(told.line)))
)
ORDER BY number

-- lines_since --
-- How many lines that could not be read appeared since an instant.
SELECT count(*) FROM rejected_lines WHERE cluster_id = %(cluster_id)s AND first_read_at > %(since)s

-- lines_read_since --
-- How many different lines could not be read since an instant.
SELECT count(*) FROM rejected_lines WHERE cluster_id = %(cluster_id)s AND last_read_at > %(since)s

-- reject_line --
-- Keep a line that could not be read aside, with the reason.
INSERT INTO rejected_lines AS l (cluster_id, line, reason, first_read_at, last_read_at)
VALUES (%(cluster_id)s, %(line)s, %(reason)s, %(at)s, %(at)s)
ON CONFLICT (cluster_id, md5(line)) DO UPDATE SET last_read_at = excluded.last_read_at, reason = excluded.reason
WHERE l.last_read_at < excluded.last_read_at

-- write_account --
-- An account's parent as it is from now on. What the same second said first stays; the next read tells the rest.
INSERT INTO accounts (cluster_id, account, parent, recorded_at)
VALUES (%(cluster_id)s, %(account)s, %(parent)s, %(at)s)
ON CONFLICT (cluster_id, account, recorded_at) DO NOTHING

-- accounts --
-- The account tree as last seen, or as known at an instant.
SELECT DISTINCT ON (account) account, parent FROM accounts
WHERE cluster_id = %(cluster_id)s AND recorded_at <= coalesce(%(as_of)s, 9223372036854775807)
ORDER BY account, recorded_at DESC

-- tres_names --
-- Every TRES that a run wanted or had.
SELECT name FROM tres

-- names --
-- Every name that a subject had.
SELECT array_agg(DISTINCT account) AS account, array_agg(DISTINCT user_name) AS user,
    array_agg(DISTINCT qos) AS qos, array_agg(DISTINCT partition) AS partition,
    array_agg(DISTINCT wckey) AS wckey, array_agg(DISTINCT reservation) AS reservation
FROM subjects WHERE cluster_id = %(cluster_id)s

-- write_size --
-- A size the cluster had, unless it is known just so.
INSERT INTO sizes (cluster_id, since, until, tres, recorded_at)
SELECT %(cluster_id)s, %(since)s, %(until)s::bigint, %(tres)s::text, %(at)s
WHERE (%(until)s::bigint, %(tres)s::text) IS DISTINCT FROM (
    SELECT (until, tres) FROM sizes WHERE cluster_id = %(cluster_id)s AND since = %(since)s
    ORDER BY recorded_at DESC LIMIT 1
)
ON CONFLICT (cluster_id, since, recorded_at) DO NOTHING

-- write_outage --
-- A time in which a node was not up, unless it is known just so.
INSERT INTO outages (cluster_id, node, since, until, state, tres, recorded_at)
SELECT %(cluster_id)s, %(node)s, %(since)s, %(until)s::bigint, %(state)s::text, %(tres)s::text, %(at)s
WHERE (%(until)s::bigint, %(state)s::text, %(tres)s::text) IS DISTINCT FROM (
    SELECT (until, state, tres) FROM outages
    WHERE cluster_id = %(cluster_id)s AND node = %(node)s AND since = %(since)s
    ORDER BY recorded_at DESC LIMIT 1
)
ON CONFLICT (cluster_id, node, since, recorded_at) DO NOTHING

-- sizes --
-- The sizes the cluster had in an interval, as known at an instant.
SELECT since, until, tres FROM (
    SELECT DISTINCT ON (since) since, until, tres FROM sizes
    WHERE cluster_id = %(cluster_id)s AND since < %(until)s AND recorded_at <= %(as_of)s
    ORDER BY since, recorded_at DESC
) AS known
WHERE coalesce(until, %(until)s) > %(since)s

-- outages --
-- The outages of nodes in an interval, as known at an instant.
SELECT node, since, until, state, tres FROM (
    SELECT DISTINCT ON (node, since) node, since, until, state, tres FROM outages
    WHERE cluster_id = %(cluster_id)s AND since < %(until)s AND recorded_at <= %(as_of)s
    ORDER BY node, since, recorded_at DESC
) AS known
WHERE coalesce(until, %(until)s) > %(since)s

-- newest_set --
-- A set of rules, and whether it is the one used last.
SELECT set_id, used = (SELECT max(used) FROM rule_sets WHERE cluster_id = %(cluster_id)s) FROM rule_sets
WHERE cluster_id = %(cluster_id)s AND digest = %(digest)s

-- use_set --
-- A set of rules is used now.
INSERT INTO rule_sets AS r (cluster_id, digest, used) VALUES (%(cluster_id)s, %(digest)s, nextval('uses'))
ON CONFLICT (cluster_id, digest) DO UPDATE SET used = excluded.used
RETURNING set_id

-- forget_sets --
-- Drop the answers and sums of sets that were not used for long.
DELETE FROM rule_sets WHERE set_id IN (
    SELECT set_id FROM rule_sets WHERE cluster_id = %(cluster_id)s ORDER BY used DESC OFFSET %(kept)s
)

-- unsorted_subjects --
-- Subjects that have no answer of a set of rules.
SELECT s.subject_id, {subject}
FROM subjects s
WHERE s.cluster_id = %(cluster_id)s AND NOT EXISTS (
    SELECT FROM classifications c WHERE c.set_id = %(set_id)s AND c.subject_id = s.subject_id
)

-- write_classification --
-- The rules' answer for a subject.
INSERT INTO classifications (set_id, subject_id, part, since, until, fraction, beneficiary, rule, category,
    organisation, sector, municipality, hub)
VALUES (%(set_id)s, %(subject_id)s, %(part)s, %(since)s, %(until)s, %(fraction)s, %(beneficiary)s, %(rule)s,
    %(category)s, %(organisation)s, %(sector)s, %(municipality)s, %(hub)s)
ON CONFLICT DO NOTHING

-- analyze_classifications --
-- Tell the planner how many answers there are now; it joins millions of hours with them.
SELECT analyze_classifications()

-- parts_of_subjects --
-- Who the charge of some subjects is for, and when.
SELECT c.subject_id, c.since, c.until, c.fraction, {told}
FROM classifications c
WHERE c.set_id = %(set_id)s AND c.subject_id = ANY(%(subjects)s)
ORDER BY c.subject_id, c.part

-- subject --
-- Fragment: what a subject is made of.
s.account, s.user_name, s.partition, s.qos, s.wckey, s.reservation, s.comment, s.override

-- told --
-- Fragment: what a classification tells.
c.beneficiary, c.rule, c.category, c.organisation, c.sector, c.municipality, c.hub

-- run --
-- Fragment: what a run is made of.
r.db_index, r.job_id, r.job_label, {subject},
    r.state, r.submit_at, r.eligible_at, r.start_at, r.end_at, r.elapsed_seconds, r.suspended_seconds,
    q.tres, a.tres

-- run_joins --
-- Fragment: the tables that a run is made of, beside its own.
JOIN subjects s USING (subject_id)
JOIN allocations q ON q.allocation_id = r.req_id
JOIN allocations a ON a.allocation_id = r.alloc_id

-- weighted --
-- Fragment: what one second of each set of TRES is worth in the resource.
weighted AS MATERIALIZED (
    SELECT c.allocation_id, sum(c.count * w.weight) AS weight
    FROM unnest(%(tres)s::text[], %(weights)s::numeric[]) AS w (name, weight)
    JOIN tres t USING (name)
    JOIN allocation_tres c USING (tres_id)
    GROUP BY c.allocation_id
)

-- usage_by_hour --
-- Charge of ended runs in an interval, by hour and beneficiary.
WITH {weighted}, counted AS (
    SELECT u.hour, u.allocation_id, c.beneficiary, c.fraction, sum(u.delivered) AS delivered,
        sum(u.waiting) AS waiting
    FROM hourly_usage u
    JOIN classifications c USING (subject_id)
    WHERE c.set_id = %(set_id)s AND u.hour >= %(since)s AND u.hour < %(until)s
        AND u.hour >= c.since AND u.hour < c.until
    GROUP BY u.hour, u.allocation_id, c.beneficiary, c.fraction
)
SELECT hour, beneficiary, sum(delivered * weight * fraction), sum(waiting * weight * fraction)
FROM counted JOIN weighted USING (allocation_id)
GROUP BY hour, beneficiary

-- usage_by_subject --
-- Charge of ended runs in an interval, by subject and beneficiary.
WITH {weighted}
SELECT {subject}, {told}, sum(u.delivered * w.weight) * c.fraction
FROM hourly_usage u
JOIN weighted w USING (allocation_id)
JOIN classifications c USING (subject_id)
JOIN subjects s USING (subject_id)
WHERE c.set_id = %(set_id)s AND u.hour >= %(since)s AND u.hour < %(until)s
    AND u.hour >= c.since AND u.hour < c.until
GROUP BY s.subject_id, c.set_id, c.subject_id, c.part

-- corrections_by_hour --
-- What the signed runs change of usage_by_hour.
WITH {signed_hours}, {weighted}
SELECT d.hour, c.beneficiary, sum(d.delivered * w.weight * c.fraction), sum(d.waiting * w.weight * c.fraction)
FROM deltas d
JOIN weighted w USING (allocation_id)
JOIN classifications c USING (subject_id)
WHERE c.set_id = %(set_id)s AND d.hour >= %(since)s AND d.hour < %(until)s
    AND d.hour >= c.since AND d.hour < c.until
GROUP BY d.hour, c.beneficiary

-- corrections_by_subject --
-- What the signed runs change of usage_by_subject.
WITH {signed_hours}, {weighted}
SELECT {subject}, {told}, sum(d.delivered * w.weight) * c.fraction
FROM deltas d
JOIN weighted w USING (allocation_id)
JOIN classifications c USING (subject_id)
JOIN subjects s USING (subject_id)
WHERE c.set_id = %(set_id)s AND d.hour >= %(since)s AND d.hour < %(until)s
    AND d.hour >= c.since AND d.hour < c.until
GROUP BY s.subject_id, c.set_id, c.subject_id, c.part

-- touched_since --
-- The newest read, and the earliest hour whose usage was changed by those after an earlier one.
SELECT (SELECT max(read_id) FROM reads WHERE cluster_id = %(cluster_id)s),
    (SELECT min(touched_from) FROM reads WHERE cluster_id = %(cluster_id)s AND read_id > %(read_id)s)

-- touched --
-- Fragment: what reads have changed since the sums were made, from the earliest hour on.
SELECT int8multirange(int8range(min(touched_from) - min(touched_from) %% 3600, NULL)) FROM reads
WHERE cluster_id = s.cluster_id AND read_id > s.read_id AND touched_from IS NOT NULL HAVING count(*) > 0

-- kept_sums --
-- Fragment: a resource's sums, and of which hours they hold.
kept AS (
    SELECT s.sum_id, s.known - coalesce(({touched}), '{}') AS known FROM sums s
    WHERE (s.set_id, s.resource) = (%(set_id)s, %(resource)s)
)

-- hours_not_summed --
-- The parts of an interval whose sums are not known, or were changed by a later read.
WITH {kept_sums}
SELECT lower(part), upper(part)
FROM unnest(int8multirange(int8range(%(since)s, %(until)s)) - coalesce((SELECT known FROM kept), '{}')) AS part

-- hourly_sums --
-- What usage_by_hour answers for the hours whose sums are known.
WITH {kept_sums}
SELECT h.hour, h.beneficiary, h.delivered, h.waiting
FROM kept JOIN hourly_sums h USING (sum_id)
WHERE h.hour >= %(since)s AND h.hour < %(until)s AND kept.known @> h.hour

-- first_hour --
-- The earliest hour that the ledger has usage of.
SELECT min(hour) FROM hourly_usage

-- span --
-- From the first instant to the last that the ledger has runs or usage of.
SELECT least((SELECT min(hour) FROM hourly_usage), min(least(eligible_at, start_at))),
    greatest((SELECT max(hour) + 3600 FROM hourly_usage), max(end_at) + 1)
FROM runs WHERE cluster_id = %(cluster_id)s

-- begin_summing --
-- One process at a time keeps sums.
SELECT pg_advisory_lock(7344, %(cluster_id)s)

-- end_summing --
-- Let others keep sums.
SELECT pg_advisory_unlock(7344, %(cluster_id)s)

-- serialize_sums --
-- No sums are kept until the transaction ends.
SELECT pg_advisory_xact_lock(7344, %(cluster_id)s)

-- forget_sums --
-- From the earliest hour on that the signed runs change, sums of any rules hold no longer.
UPDATE sums SET known = known - int8multirange(int8range(first.at - first.at %% 3600, NULL))
FROM (SELECT min(least(eligible_at, start_at)) AS at FROM signed) AS first
WHERE cluster_id = %(cluster_id)s AND first.at IS NOT NULL

-- add_sums --
-- Make a resource's sums known.
INSERT INTO sums (cluster_id, set_id, resource, read_id, known)
VALUES (%(cluster_id)s, %(set_id)s, %(resource)s, 0, '{}') ON CONFLICT DO NOTHING

-- drop_hourly_sums --
-- Sums that are to be added up again.
DELETE FROM hourly_sums h USING sums s
WHERE s.sum_id = h.sum_id AND (s.set_id, s.resource) = (%(set_id)s, %(resource)s)
    AND h.hour >= %(since)s AND h.hour < %(until)s

-- keep_hourly_sums --
-- Sums as they are now.
INSERT INTO hourly_sums (sum_id, hour, beneficiary, delivered, waiting)
SELECT s.sum_id, added.*
FROM sums s, (
    {usage_by_hour}
) AS added
WHERE (s.set_id, s.resource) = (%(set_id)s, %(resource)s)

-- note_sums --
-- An interval's sums are known, and up to which read.
UPDATE sums s SET
    known = s.known - coalesce(({touched}), '{}') + int8multirange(int8range(%(since)s, %(until)s)),
    read_id = (SELECT coalesce(max(read_id), 0) FROM reads WHERE cluster_id = %(cluster_id)s)
WHERE (s.set_id, s.resource) = (%(set_id)s, %(resource)s)

-- open_runs --
-- Runs that have not ended, with who they are for.
SELECT {run}, r.missing_since, r.subject_id
FROM runs r
{run_joins}
WHERE r.cluster_id = %(cluster_id)s AND r.end_at IS NULL

-- open_jobs --
-- The jobs that have not ended, and whether the last read up to now did not list them.
SELECT job_id, start_at, missing_since IS NOT NULL FROM runs
WHERE cluster_id = %(cluster_id)s AND end_at IS NULL

-- open_rows --
-- The runs that have not ended, by the version of their rows: the transaction that wrote them.
SELECT xmin::text, string_agg(db_index::text, ',') FROM runs
WHERE cluster_id = %(cluster_id)s AND end_at IS NULL
GROUP BY xmin

-- runs_of_rows --
-- These runs as they are now, each with the version of its row.
SELECT {run}, r.missing_since, r.subject_id, r.xmin::text
FROM runs r
{run_joins}
WHERE r.cluster_id = %(cluster_id)s AND r.db_index = ANY(%(rows)s::numeric[])

-- runs_then --
-- Fragment: runs as the ledger had them at an instant.
(
    SELECT {run_columns} FROM runs WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s
    UNION ALL
    SELECT {run_columns} FROM run_versions
    WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s AND superseded_at > %(as_of)s
)

-- open_runs_then --
-- Runs that had not ended as far as the ledger knew at an instant, with who they are for.
SELECT {run}, CASE WHEN r.missing_since <= %(as_of)s THEN r.missing_since END, r.subject_id
FROM {runs_then} AS r
{run_joins}
WHERE r.end_at IS NULL
ORDER BY r.db_index

-- runs_beyond --
-- Runs of before an instant that ended after it, as far as the ledger knew then.
SELECT {run}, NULL::bigint, r.subject_id
FROM {runs_then} AS r
{run_joins}
WHERE r.end_at > %(since)s AND least(r.eligible_at, r.start_at) < %(until)s AND EXISTS (
    SELECT FROM reads
    WHERE cluster_id = %(cluster_id)s AND newest_record_at > %(since)s AND coalesce(withdrawn_at > %(as_of)s, true)
)

-- runs_of_job --
-- Every run of a job, array task or heterogeneous component.
SELECT {run}, r.missing_since, r.subject_id
FROM runs r
{run_joins}
WHERE r.cluster_id = %(cluster_id)s AND (r.job_label = %(label)s OR r.job_id = %(job_id)s)
ORDER BY r.submit_at, r.db_index

-- run_of_job --
-- A run of a job, array task or heterogeneous component.
SELECT db_index FROM runs
WHERE cluster_id = %(cluster_id)s AND (job_label = %(label)s OR job_id = %(job_id)s) LIMIT 1

-- runs_between --
-- Every run that was delivered in an interval, or is open.
SELECT {run}, r.missing_since, r.subject_id
FROM runs r
{run_joins}
WHERE r.cluster_id = %(cluster_id)s AND r.start_at < %(until)s
    AND (r.end_at IS NULL OR r.end_at > %(since)s OR r.start_at >= %(since)s)
ORDER BY r.db_index

-- runs_between_then --
-- The same, as far as the ledger knew at an instant.
SELECT {run}, CASE WHEN r.missing_since <= %(as_of)s THEN r.missing_since END, r.subject_id
FROM {runs_then} AS r
{run_joins}
WHERE r.start_at < %(until)s AND (r.end_at IS NULL OR r.end_at > %(since)s OR r.start_at >= %(since)s)
ORDER BY r.db_index

-- usage_by_account --
-- TRES-seconds of ended runs in an interval, by account.
SELECT s.account, t.name, sum(u.delivered * c.count)
FROM hourly_usage u
JOIN subjects s USING (subject_id)
JOIN allocation_tres c USING (allocation_id)
JOIN tres t USING (tres_id)
WHERE s.cluster_id = %(cluster_id)s AND u.hour >= %(since)s AND u.hour < %(until)s
GROUP BY s.account, t.name

-- serialize_registry --
-- One change of the registry at a time.
SELECT pg_advisory_xact_lock(7345)

-- organisations --
-- What is said of organisations, as known now or at an instant: the newest of the same thing.
SELECT DISTINCT ON (organisation, since) organisation, name, kvk, category, sector, municipality, hub, since, until
FROM organisations WHERE recorded_at <= coalesce(%(as_of)s, 9223372036854775807)
ORDER BY organisation, since, entry_id DESC

-- links --
-- What is said of links, as known now or at an instant: the newest of the same thing.
SELECT DISTINCT ON (organisation, account, since) organisation, account, fraction, since, until
FROM links WHERE cluster_id = %(cluster_id)s AND recorded_at <= coalesce(%(as_of)s, 9223372036854775807)
ORDER BY organisation, account, since, entry_id DESC

-- add_organisation --
-- What is said of an organisation.
INSERT INTO organisations (organisation, name, kvk, category, sector, municipality, hub, since, until, recorded_at,
    actor, reason)
VALUES (%(organisation)s, %(name)s, %(kvk)s, %(category)s, %(sector)s, %(municipality)s, %(hub)s, %(since)s,
    %(until)s, %(at)s, %(actor)s, %(reason)s)

-- add_link --
-- What is said of a link.
INSERT INTO links (cluster_id, organisation, account, fraction, since, until, recorded_at, actor, reason)
VALUES (%(cluster_id)s, %(organisation)s, %(account)s, %(fraction)s, %(since)s, %(until)s, %(at)s, %(actor)s,
    %(reason)s)

-- registry_history --
-- Everything that was ever said, oldest first.
SELECT recorded_at, actor, reason, organisation, NULL AS account, name, kvk, category, sector, municipality, hub,
    NULL AS fraction, since, until, entry_id
FROM organisations WHERE organisation = coalesce(%(organisation)s, organisation)
UNION ALL
SELECT recorded_at, actor, reason, organisation, account, NULL, NULL, NULL, NULL, NULL, NULL, fraction, since,
    until, entry_id
FROM links WHERE cluster_id = %(cluster_id)s AND organisation = coalesce(%(organisation)s, organisation)
ORDER BY recorded_at, account NULLS FIRST, entry_id

-- overrides --
-- The overrides as known now or at an instant.
SELECT override_id::text, job, beneficiary, organisation, recorded_at, actor, reason FROM overrides
WHERE cluster_id = %(cluster_id)s AND recorded_at <= coalesce(%(as_of)s, 9223372036854775807)
ORDER BY overrides.override_id

-- add_override --
-- A reasoned correction.
INSERT INTO overrides (cluster_id, job, beneficiary, organisation, recorded_at, actor, reason)
VALUES (%(cluster_id)s, %(label)s, %(beneficiary)s, %(organisation)s, %(at)s, %(actor)s, %(reason)s)
RETURNING override_id::text

-- put_runs_under --
-- The runs of a job stand under an override, or under none.
INSERT INTO overridden_runs (cluster_id, db_index, override)
SELECT cluster_id, db_index, %(override)s FROM runs
WHERE cluster_id = %(cluster_id)s AND (job_label = %(label)s OR job_id = %(job_id)s)
ON CONFLICT (cluster_id, db_index) DO UPDATE SET override = excluded.override

-- add_overridden_subjects --
-- The subjects that these runs are of from now on.
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

-- keep_rules --
-- The rules that are worked by from now on, unless they are those before.
INSERT INTO rules_used (cluster_id, recorded_at, rules)
SELECT %(cluster_id)s, %(at)s, %(rules)s
WHERE %(rules)s::jsonb IS DISTINCT FROM (
    SELECT rules FROM rules_used WHERE cluster_id = %(cluster_id)s ORDER BY recorded_at DESC LIMIT 1
)
ON CONFLICT (cluster_id, recorded_at) DO NOTHING

-- rules_used --
-- The rules that were worked by at an instant.
SELECT rules FROM rules_used WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s
ORDER BY recorded_at DESC LIMIT 1
-- usual_seconds --
-- How long the runs of each user took that ended in an interval, on average.
SELECT s.user_name, avg(r.elapsed_seconds)
FROM runs r
JOIN subjects s USING (subject_id)
WHERE r.cluster_id = %(cluster_id)s AND r.end_at >= %(since)s AND r.end_at < %(until)s AND r.elapsed_seconds > 0
GROUP BY s.user_name

-- run_charge --
-- Charge of a run that ended in an interval, each weighted by itself.
WITH {weighted}, ended AS (
    SELECT r.elapsed_seconds * w.weight::double precision AS charge
    FROM runs r JOIN weighted w ON w.allocation_id = r.alloc_id
    WHERE r.cluster_id = %(cluster_id)s AND r.end_at >= %(since)s AND r.end_at < %(until)s AND r.elapsed_seconds > 0
)
SELECT sum(charge * charge) / nullif(sum(charge), 0) FROM ended

-- newest_record --
-- The newest instant that the accounting told of a run.
SELECT max(newest_record_at) FROM reads
WHERE cluster_id = %(cluster_id)s AND at <= coalesce(%(as_of)s, 9223372036854775807)
    AND coalesce(withdrawn_at > %(as_of)s, withdrawn_at IS NULL)

-- add_decision --
-- A decision, before it is acted on.
INSERT INTO decisions (cluster_id, at, mode, reason, sentence, inputs, u_ref, actor)
VALUES (%(cluster_id)s, %(at)s, %(mode)s, %(reason)s, %(sentence)s, %(inputs)s, %(u_ref)s, %(actor)s)
RETURNING decision_id

-- add_change --
-- What a decision changes.
INSERT INTO changes (decision_id, account, raw_shares_before, raw_shares_after, status)
VALUES (%(decision_id)s, %(account)s, %(raw_shares_before)s, %(raw_shares_after)s, %(status)s)
RETURNING change_id

-- settle_change --
-- What became of a planned change.
UPDATE changes SET status = %(status)s, settled_at = %(at)s, raw_shares_read = %(raw_shares)s, note = %(note)s
WHERE change_id = %(change_id)s AND status = 'planned'

-- planned_changes --
-- Changes whose outcome is not known: a write was begun and not read back.
SELECT c.change_id, c.account, c.raw_shares_before, c.raw_shares_after
FROM changes c JOIN decisions d USING (decision_id)
WHERE d.cluster_id = %(cluster_id)s AND c.status = 'planned'
ORDER BY c.change_id

-- last_state --
-- What the control law remembered last.
SELECT at, u_ref FROM decisions
WHERE cluster_id = %(cluster_id)s AND u_ref IS NOT NULL
ORDER BY decision_id DESC LIMIT 1

-- writes_since --
-- How many changes were tried since an instant, whatever became of them.
SELECT count(*) FROM changes c JOIN decisions d USING (decision_id)
WHERE d.cluster_id = %(cluster_id)s AND d.at > %(since)s AND c.status IN ('applied', 'failed', 'planned')

-- last_applied --
-- The RawShares that the last applied change left.
SELECT c.raw_shares_read FROM changes c JOIN decisions d USING (decision_id)
WHERE d.cluster_id = %(cluster_id)s AND c.account = %(account)s AND c.status = 'applied'
ORDER BY c.change_id DESC LIMIT 1

-- latest_decisions --
-- The latest decisions, newest first.
SELECT at, mode, reason, sentence, inputs, actor FROM decisions
WHERE cluster_id = %(cluster_id)s ORDER BY decision_id DESC LIMIT %(limit)s

-- reason_since --
-- Since when every decision has had the newest one's reason.
SELECT min(at) FROM decisions
WHERE cluster_id = %(cluster_id)s AND decision_id > coalesce((
    SELECT max(decision_id) FROM decisions
    WHERE cluster_id = %(cluster_id)s AND reason <> %(reason)s
), 0)

-- history --
-- Changes with the decisions behind them, newest first.
SELECT d.at, d.mode, d.reason, d.sentence, d.actor, c.account, c.raw_shares_before, c.raw_shares_after,
    c.status, c.settled_at, c.raw_shares_read, c.note, d.inputs
FROM changes c JOIN decisions d USING (decision_id)
WHERE d.cluster_id = %(cluster_id)s AND c.status <> 'observed'
ORDER BY c.change_id DESC LIMIT %(limit)s

-- add_baseline --
-- The operator's own shares, kept once.
INSERT INTO baselines (cluster_id, account, raw_shares, sibling_shares, recorded_at)
VALUES (%(cluster_id)s, %(account)s, %(raw_shares)s, %(sibling_shares)s, %(at)s)
ON CONFLICT DO NOTHING

-- drop_baseline --
-- The operator's own shares are in force again.
DELETE FROM baselines WHERE cluster_id = %(cluster_id)s AND account = %(account)s

-- baselines --
-- The operator's own shares.
SELECT account, raw_shares, sibling_shares FROM baselines WHERE cluster_id = %(cluster_id)s ORDER BY account

-- add_pause --
-- An operator pauses the control, or ends a pause.
INSERT INTO pauses (cluster_id, recorded_at, until, actor, reason)
VALUES (%(cluster_id)s, %(at)s, %(until)s, %(actor)s, %(reason)s)

-- pauses --
-- Pauses and their ends, newest first.
SELECT recorded_at, until, actor, reason FROM pauses
WHERE cluster_id = %(cluster_id)s ORDER BY pause_id DESC LIMIT %(limit)s

-- status --
-- How much the ledger holds.
SELECT
    (SELECT count(*) FROM runs WHERE cluster_id = %(cluster_id)s) AS runs,
    (SELECT count(*) FROM run_versions WHERE cluster_id = %(cluster_id)s) AS superseded,
    (SELECT count(*) FROM subjects WHERE cluster_id = %(cluster_id)s) AS subjects,
    (SELECT count(*) FROM rejected_lines WHERE cluster_id = %(cluster_id)s) AS rejected_lines,
    (SELECT max(until) FROM reads WHERE cluster_id = %(cluster_id)s AND withdrawn_at IS NULL) AS last_read_at,
    (SELECT count(*) FROM decisions WHERE cluster_id = %(cluster_id)s) AS decisions

-- serialize_proposals --
-- One proposal is approved or rejected at a time.
SELECT pg_advisory_xact_lock(7346, %(cluster_id)s)

-- add_proposal --
-- A proposal.
INSERT INTO proposals (cluster_id, step, kind, content, recorded_at, actor, reason)
VALUES (%(cluster_id)s, 'proposed', %(kind)s, %(content)s, %(at)s, %(actor)s, %(reason)s)
RETURNING entry_id

-- rule_on_proposal --
-- A proposal is approved or rejected.
INSERT INTO proposals (cluster_id, proposal_id, step, kind, content, recorded_at, actor, reason)
VALUES (%(cluster_id)s, %(number)s, %(step)s, %(kind)s, '{}', %(at)s, %(actor)s, %(reason)s)

-- proposals --
-- Proposals and what became of them, newest first.
SELECT p.entry_id, p.kind, p.content, p.recorded_at, p.actor, p.reason, r.step, r.recorded_at, r.actor, r.reason
FROM proposals p LEFT JOIN proposals r ON r.proposal_id = p.entry_id
WHERE p.cluster_id = %(cluster_id)s AND p.step = 'proposed' AND p.entry_id = coalesce(%(number)s, p.entry_id)
ORDER BY p.entry_id DESC

-- proposals_waiting --
-- How many proposals were neither approved nor rejected.
SELECT count(*) FROM proposals p
WHERE p.cluster_id = %(cluster_id)s AND p.step = 'proposed'
    AND NOT EXISTS (SELECT FROM proposals r WHERE r.proposal_id = p.entry_id)

-- proposals_approved --
-- How many proposals had been approved by an instant.
SELECT count(*) FROM proposals
WHERE cluster_id = %(cluster_id)s AND step = 'approved' AND recorded_at <= %(as_of)s
