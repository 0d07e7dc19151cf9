-- expertise_entries --
-- Hours of the expertise centre by day, as known at an instant.
SELECT day, organisation, role, hours, activity, kind, corrects, reason, entry_id, recorded_at, actor
FROM expertise_entries
WHERE day >= %(first)s AND day < %(last)s AND recorded_at <= %(as_of)s
ORDER BY entry_id

-- expertise_entry --
-- An entry with its corrections.
SELECT day, organisation, role, hours, activity, kind, corrects, reason, entry_id, recorded_at, actor
FROM expertise_entries
WHERE %(entry_id)s IN (entry_id, corrects)
ORDER BY entry_id

-- serialize_expertise --
-- One process at a time writes entries, so that corrections see each other.
SELECT pg_advisory_xact_lock(7345, 0)

-- expertise_file --
-- When a file was imported.
SELECT min(recorded_at), count(*) FROM expertise_entries WHERE file = %(file)s HAVING count(*) > 0

-- add_expertise --
-- An entry, or a correction of one.
INSERT INTO expertise_entries (day, organisation, role, hours, activity, kind, corrects, reason, file, recorded_at,
    actor)
VALUES (%(day)s, %(organisation)s, %(role)s, %(hours)s, %(activity)s, %(kind)s, %(corrects)s, %(reason)s, %(file)s,
    %(at)s, %(actor)s)
RETURNING entry_id

-- decisions_by_month --
-- What the control decided: how often for each reason, by civil month, as known at an instant.
SELECT to_char(to_timestamp(at) AT TIME ZONE %(zone)s, 'YYYY-MM') AS month, mode, reason, count(*)
FROM decisions
WHERE cluster_id = %(cluster_id)s AND at >= %(since)s AND at < %(until)s AND at <= %(as_of)s
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3

-- changes_between --
-- Changes that were in force, as known at an instant, oldest first.
SELECT d.at, d.mode, d.reason, c.account, c.raw_shares_before, c.raw_shares_after
FROM changes c JOIN decisions d USING (decision_id)
WHERE d.cluster_id = %(cluster_id)s AND d.at >= %(since)s AND d.at < %(until)s
    AND c.status = 'applied' AND c.settled_at <= %(as_of)s
ORDER BY c.change_id

-- last_published --
-- The newest report of a window given out before an instant.
SELECT window_name, as_of, fingerprint, figures, settings, document FROM reports
WHERE cluster_id = %(cluster_id)s AND window_name = %(window_name)s AND as_of < %(as_of)s
ORDER BY as_of DESC, report_id DESC LIMIT 1

-- all_published --
-- Every report given out.
SELECT window_name, as_of, fingerprint, figures, settings, document FROM reports
WHERE cluster_id = %(cluster_id)s ORDER BY as_of, report_id

-- published_before --
-- Reports given out before that of a window as of an instant; where that was not, all of no later instant.
SELECT window_name, as_of, fingerprint, figures, settings, document FROM reports r
WHERE cluster_id = %(cluster_id)s AND as_of <= %(as_of)s AND NOT EXISTS (
    SELECT FROM reports own
    WHERE own.cluster_id = r.cluster_id AND own.window_name = %(window_name)s AND own.as_of = %(as_of)s
        AND own.report_id <= r.report_id
)
ORDER BY report_id

-- published --
-- The report of a window as of an instant, when it was given out.
SELECT fingerprint, document, published_at FROM reports
WHERE cluster_id = %(cluster_id)s AND window_name = %(window_name)s AND as_of = %(as_of)s

-- published_after --
-- Reports given out of a later instant.
SELECT window_name, as_of FROM reports WHERE cluster_id = %(cluster_id)s AND as_of > %(as_of)s
ORDER BY as_of

-- publish --
-- A report is given out.
INSERT INTO reports (cluster_id, window_name, as_of, fingerprint, figures, settings, document, format, published_at,
    actor, head_entry, head)
SELECT %(cluster_id)s, %(window_name)s, %(as_of)s, %(fingerprint)s, %(figures)s, %(settings)s, %(document)s,
    %(format)s, %(at)s, %(actor)s, entry, hash
FROM chain ORDER BY entry DESC LIMIT 1

-- runs_known --
-- Fragment: runs as the ledger had them at an instant.
known AS (
    SELECT db_index, job_label, subject_id, state, submit_at, eligible_at, start_at, end_at, elapsed_seconds,
        suspended_seconds, req_id, alloc_id, missing_since
    FROM runs
    WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s
    UNION ALL
    SELECT db_index, job_label, subject_id, state, submit_at, eligible_at, start_at, end_at, elapsed_seconds,
        suspended_seconds, req_id, alloc_id, missing_since
    FROM run_versions
    WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s AND superseded_at > %(as_of)s
)

-- fingerprint_runs --
-- What a report rests on: runs that waited or were delivered in an interval, without their users.
WITH {runs_known}
SELECT r.db_index, r.job_label, s.account, s.partition, s.qos, s.wckey, s.reservation, s.comment, s.override,
    r.state, r.submit_at, r.eligible_at, r.start_at, r.end_at, r.elapsed_seconds, r.suspended_seconds, q.tres, a.tres,
    CASE WHEN r.missing_since <= %(as_of)s THEN r.missing_since END
FROM known r
JOIN subjects s USING (subject_id)
JOIN allocations q ON q.allocation_id = r.req_id
JOIN allocations a ON a.allocation_id = r.alloc_id
WHERE least(r.eligible_at, r.start_at) < %(until)s AND (r.end_at IS NULL OR r.end_at > %(since)s)
ORDER BY r.db_index

-- fingerprint_reads --
-- What a report rests on: reads of accounting that touch an interval.
SELECT at, since, until, runs, changed, rejected FROM reads
WHERE cluster_id = %(cluster_id)s AND since < %(until)s AND until > %(since)s AND at <= %(as_of)s
    AND coalesce(withdrawn_at > %(as_of)s, true)
ORDER BY read_id

-- fingerprint_sizes --
-- What a report rests on: the sizes of the cluster.
SELECT since, until, tres, recorded_at FROM sizes
WHERE cluster_id = %(cluster_id)s AND since < %(until)s AND recorded_at <= %(as_of)s
ORDER BY since, recorded_at

-- fingerprint_outages --
-- What a report rests on: outages of nodes.
SELECT node, since, until, state, tres, recorded_at FROM outages
WHERE cluster_id = %(cluster_id)s AND since < %(until)s AND recorded_at <= %(as_of)s
ORDER BY node COLLATE "C", since, recorded_at

-- fingerprint_decisions --
-- What a report rests on: decisions of the control.
SELECT decision_id, at, mode, reason, inputs FROM decisions
WHERE cluster_id = %(cluster_id)s AND at >= %(since)s AND at < %(until)s AND at <= %(as_of)s
ORDER BY decision_id

-- fingerprint_changes --
-- What a report rests on: changes of shares that were in force.
SELECT c.change_id, c.decision_id, c.account, c.raw_shares_before, c.raw_shares_after, c.raw_shares_read
FROM changes c JOIN decisions d USING (decision_id)
WHERE d.cluster_id = %(cluster_id)s AND d.at >= %(since)s AND d.at < %(until)s
    AND c.status = 'applied' AND c.settled_at <= %(as_of)s
ORDER BY c.change_id

-- fingerprint_expertise --
-- What a report rests on: hours of the expertise centre.
SELECT entry_id, day, organisation, role, hours, kind, corrects, recorded_at
FROM expertise_entries
WHERE day >= %(first)s AND day < %(last)s AND recorded_at <= %(as_of)s
ORDER BY entry_id

-- fingerprint_accounts --
-- What a report rests on: the account tree.
SELECT account, parent, recorded_at FROM accounts
WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s
ORDER BY account COLLATE "C", recorded_at

-- fingerprint_organisations --
-- What a report rests on: the registry of organisations.
SELECT entry_id, organisation, name, kvk, category, sector, municipality, hub, since, until, recorded_at
FROM organisations WHERE recorded_at <= %(as_of)s ORDER BY entry_id

-- fingerprint_links --
-- What a report rests on: links of accounts to organisations.
SELECT entry_id, organisation, account, fraction, since, until, recorded_at
FROM links WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s ORDER BY entry_id

-- fingerprint_overrides --
-- What a report rests on: corrections of single jobs.
SELECT override_id, job, beneficiary, organisation, recorded_at
FROM overrides WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s ORDER BY override_id

-- pseudonym_key --
-- The key of pseudonyms.
SELECT key FROM pseudonym_keys WHERE cluster_id = %(cluster_id)s

-- add_pseudonym_key --
-- Make the key of pseudonyms, once.
INSERT INTO pseudonym_keys (cluster_id, key, made_at) VALUES (%(cluster_id)s, %(key)s, %(at)s)
ON CONFLICT DO NOTHING

-- create_moved --
-- Runs whose users are to get pseudonyms, for the time of one transaction.
CREATE TEMPORARY TABLE moved (
    db_index numeric(20), subject_id integer, user_name text
) ON COMMIT DROP

-- find_moved --
-- Some runs that were over by an instant and still have their user's name; the versions of a run as well.
INSERT INTO moved
SELECT DISTINCT * FROM (
    SELECT r.db_index, s.subject_id, s.user_name
    FROM runs r JOIN subjects s USING (subject_id)
    WHERE r.cluster_id = %(cluster_id)s AND {named} AND s.user_name = coalesce(%(only)s, s.user_name)
        AND coalesce(r.end_at, r.missing_since, %(ever)s) <= %(until)s
    UNION ALL
    SELECT v.db_index, s.subject_id, s.user_name
    FROM run_versions v JOIN subjects s USING (subject_id)
    LEFT JOIN runs r ON (r.cluster_id, r.db_index) = (v.cluster_id, v.db_index)
    WHERE v.cluster_id = %(cluster_id)s AND {named} AND s.user_name = coalesce(%(only)s, s.user_name)
        AND CASE
            WHEN r.db_index IS NULL THEN v.superseded_at
            ELSE coalesce(r.end_at, r.missing_since, %(ever)s)
        END <= %(until)s
    LIMIT %(batch)s
) AS found

-- named --
-- Fragment: the user of a subject is a name that is to go.
s.user_name <> '' AND s.user_name NOT LIKE '~%%' AND s.user_name <> ALL(%(kept)s)

-- create_nobody --
-- Subjects of no run, for the time of one transaction.
CREATE TEMPORARY TABLE nobody (subject_id integer) ON COMMIT DROP

-- find_nobody --
-- Subjects whose name is to go and that no run, version or hour is of any more.
INSERT INTO nobody
SELECT s.subject_id FROM subjects s
WHERE s.cluster_id = %(cluster_id)s AND {named}
    AND NOT EXISTS (SELECT FROM runs r WHERE r.subject_id = s.subject_id)
    AND NOT EXISTS (SELECT FROM run_versions v WHERE v.subject_id = s.subject_id)
    AND NOT EXISTS (SELECT FROM hourly_usage u WHERE u.subject_id = s.subject_id)

-- drop_answers_of_nobody --
-- What the rules answered for them.
DELETE FROM classifications c USING nobody n WHERE c.subject_id = n.subject_id

-- drop_nobody --
-- The subjects themselves, with their names.
DELETE FROM subjects s USING nobody n WHERE s.subject_id = n.subject_id

-- moved_users --
-- Whose runs these are.
SELECT DISTINCT user_name FROM moved

-- moved_runs --
-- How many runs these are.
SELECT count(DISTINCT db_index) FROM moved

-- create_pseudonyms --
-- The pseudonyms that are needed, for the time of one transaction.
CREATE TEMPORARY TABLE pseudonyms (user_name text, pseudonym text) ON COMMIT DROP

-- add_pseudonym --
-- A pseudonym that is needed.
INSERT INTO pseudonyms VALUES (%(user_name)s, %(pseudonym)s)

-- add_pseudonymous_subjects --
-- The same subjects under their users' pseudonyms.
INSERT INTO subjects (cluster_id, account, user_name, partition, qos, wckey, reservation, comment, override)
SELECT DISTINCT s.cluster_id, s.account, p.pseudonym, s.partition, s.qos, s.wckey, s.reservation, s.comment,
    s.override
FROM moved JOIN subjects s USING (subject_id) JOIN pseudonyms p ON p.user_name = s.user_name
ON CONFLICT DO NOTHING

-- renamed --
-- Fragment: each moved subject and the one that takes its place.
renamed AS (
    SELECT DISTINCT s.subject_id AS old_id, n.subject_id AS new_id
    FROM moved JOIN subjects s USING (subject_id)
    JOIN pseudonyms p ON p.user_name = s.user_name
    JOIN subjects n ON n.key = s.key[1:2] || p.pseudonym || s.key[4:9]
)

-- sign_renamed --
-- Take the hours of the moved runs out under the old subject, put them in under the new one.
INSERT INTO signed
WITH {renamed}
SELECT side.sign, CASE WHEN side.sign = 1 THEN n.new_id ELSE n.old_id END, r.req_id, r.alloc_id, r.job_label,
    r.eligible_at, r.start_at, r.end_at, r.elapsed_seconds
FROM moved m
JOIN runs r ON r.cluster_id = %(cluster_id)s AND r.db_index = m.db_index AND r.subject_id = m.subject_id
JOIN renamed n ON n.old_id = r.subject_id
CROSS JOIN (VALUES (-1), (1)) AS side (sign)
WHERE r.end_at IS NOT NULL

-- rename_runs --
-- The moved runs are of the new subject.
WITH {renamed}
UPDATE runs r SET subject_id = n.new_id
FROM moved m JOIN renamed n ON n.old_id = m.subject_id
WHERE r.cluster_id = %(cluster_id)s AND r.db_index = m.db_index AND r.subject_id = m.subject_id

-- rename_versions --
-- What the moved runs were before is of the new subject too.
WITH {renamed}
UPDATE run_versions r SET subject_id = n.new_id
FROM moved m JOIN renamed n ON n.old_id = m.subject_id
WHERE r.cluster_id = %(cluster_id)s AND r.db_index = m.db_index AND r.subject_id = m.subject_id

-- withhold_lines --
-- Lines that could not be read as runs name users too: only their digest is kept.
UPDATE rejected_lines SET {withheld}
WHERE cluster_id = %(cluster_id)s AND last_read_at < %(before)s AND line NOT LIKE '~%%'

-- withheld --
-- Fragment: of a line its digest, of the reason what it does not quote from the line.
line = '~' || md5(line), reason = regexp_replace(reason, '[''"].*[''"]', '~')

-- withhold_lines_naming --
-- Lines that name a user, and reasons that do.
UPDATE rejected_lines SET line = '~' || md5(line), reason = 'withheld'
WHERE cluster_id = %(cluster_id)s AND line NOT LIKE '~%%' AND (mentions(line, %(user)s) OR mentions(reason, %(user)s))

-- note_pseudonymisation --
-- What was done, and by whom.
INSERT INTO pseudonymisations (cluster_id, at, before, runs, users, lines, staff, texts, actor)
VALUES (%(cluster_id)s, %(at)s, %(before)s, %(runs)s, %(users)s, %(lines)s, %(staff)s, %(texts)s, %(actor)s)

-- last_retention --
-- When retention last went through, and when the ledger was first read into.
SELECT (SELECT max(at) FROM pseudonymisations WHERE cluster_id = %(cluster_id)s),
    (SELECT min(at) FROM reads WHERE cluster_id = %(cluster_id)s)

-- copy_classifications --
-- The new subjects are for whom those were that they take the place of, by every set of rules.
WITH {renamed}
INSERT INTO classifications (set_id, subject_id, part, since, until, fraction, beneficiary, rule, category,
    organisation, sector, municipality, hub)
SELECT c.set_id, n.new_id, c.part, c.since, c.until, c.fraction, {told}
FROM renamed n JOIN classifications c ON c.subject_id = n.old_id
ON CONFLICT DO NOTHING

-- users_of_rules --
-- The users that rules name now or named at some time.
SELECT DISTINCT trim(users::text, '"') FROM rules_used, jsonb_path_query(rules, '$.rules[*].conditions.user[*]') AS users
WHERE cluster_id = %(cluster_id)s

-- promise_terms --
-- Every term of the promise, in the order of recording.
SELECT promise, since, ended, share, margin, resource, label, window_kind AS "window", time_zone, share_of,
    unclassified_limit, region, min_organisations, expertise_share, source, reason, actor, recorded_at
FROM promise_terms WHERE cluster_id = %(cluster_id)s ORDER BY entry_id

-- add_promise_term --
-- A whole term.
INSERT INTO promise_terms (cluster_id, promise, since, ended, share, margin, resource, label, window_kind, time_zone,
    share_of, unclassified_limit, region, min_organisations, expertise_share, source, reason, actor, recorded_at)
VALUES (%(cluster_id)s, %(promise)s, %(since)s, %(ended)s, %(share)s, %(margin)s, %(resource)s, %(label)s, %(window)s,
    %(time_zone)s, %(share_of)s, %(unclassified_limit)s, %(region)s, %(min_organisations)s, %(expertise_share)s,
    %(source)s, %(reason)s, %(actor)s, %(recorded_at)s)
