-- pseudonym_key --
-- The key of pseudonyms.
SELECT key FROM pseudonym_keys WHERE cluster_id = %(cluster_id)s

-- add_pseudonym_key --
-- Make the key of pseudonyms, once.
INSERT INTO pseudonym_keys (cluster_id, key, made_at) VALUES (%(cluster_id)s, %(key)s, %(at)s)
ON CONFLICT DO NOTHING

-- create_moved --
-- Runs to pseudonymise, for one transaction.
CREATE TEMPORARY TABLE moved (
    db_index numeric(20), subject_id integer, user_name text
) ON COMMIT DROP

-- find_moved --
-- A batch of runs and versions that ended by an instant and still have their user's name.
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
-- Fragment: the condition that a subject has a name to remove.
s.user_name <> '' AND s.user_name NOT LIKE '~%%' AND s.user_name <> ALL(%(kept)s)

-- create_nobody --
-- Subjects without runs, for one transaction.
CREATE TEMPORARY TABLE nobody (subject_id integer) ON COMMIT DROP

-- find_nobody --
-- Subjects with a name to remove and without any run, version or hour.
INSERT INTO nobody
SELECT s.subject_id FROM subjects s
WHERE s.cluster_id = %(cluster_id)s AND {named}
    AND NOT EXISTS (SELECT FROM runs r WHERE r.subject_id = s.subject_id)
    AND NOT EXISTS (SELECT FROM run_versions v WHERE v.subject_id = s.subject_id)
    AND NOT EXISTS (SELECT FROM hourly_usage u WHERE u.subject_id = s.subject_id)

-- drop_answers_of_nobody --
-- Delete their classifications.
DELETE FROM classifications c USING nobody n WHERE c.subject_id = n.subject_id

-- drop_nobody --
-- Delete the subjects themselves, with their names.
DELETE FROM subjects s USING nobody n WHERE s.subject_id = n.subject_id

-- moved_users --
-- The users of these runs.
SELECT DISTINCT user_name FROM moved

-- moved_runs --
-- The number of these runs.
SELECT count(DISTINCT db_index) FROM moved

-- create_pseudonyms --
-- The pseudonyms of these users, for one transaction.
CREATE TEMPORARY TABLE pseudonyms (user_name text, pseudonym text) ON COMMIT DROP

-- add_pseudonym --
-- Add the pseudonym of a user.
INSERT INTO pseudonyms VALUES (%(user_name)s, %(pseudonym)s)

-- add_pseudonymous_subjects --
-- Add the same subjects under their users' pseudonyms.
INSERT INTO subjects (cluster_id, account, user_name, partition, qos, wckey, reservation, comment, override)
SELECT DISTINCT s.cluster_id, s.account, p.pseudonym, s.partition, s.qos, s.wckey, s.reservation, s.comment,
    s.override
FROM moved JOIN subjects s USING (subject_id) JOIN pseudonyms p ON p.user_name = s.user_name
ON CONFLICT DO NOTHING

-- renamed --
-- Fragment: each moved subject and its replacement.
renamed AS (
    SELECT DISTINCT s.subject_id AS old_id, n.subject_id AS new_id
    FROM moved JOIN subjects s USING (subject_id)
    JOIN pseudonyms p ON p.user_name = s.user_name
    JOIN subjects n ON n.key = s.key[1:2] || p.pseudonym || s.key[4:9]
)

-- sign_renamed --
-- Subtract the hours of the moved runs from the old subject, add them to the new one.
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
-- Move the runs to the new subject.
WITH {renamed}
UPDATE runs r SET subject_id = n.new_id
FROM moved m JOIN renamed n ON n.old_id = m.subject_id
WHERE r.cluster_id = %(cluster_id)s AND r.db_index = m.db_index AND r.subject_id = m.subject_id

-- rename_versions --
-- Move the versions of the runs to the new subject.
WITH {renamed}
UPDATE run_versions r SET subject_id = n.new_id
FROM moved m JOIN renamed n ON n.old_id = m.subject_id
WHERE r.cluster_id = %(cluster_id)s AND r.db_index = m.db_index AND r.subject_id = m.subject_id

-- withhold_lines --
-- Withhold old unparsable lines, which may name users: only their digests stay.
UPDATE rejected_lines SET {withheld}
WHERE cluster_id = %(cluster_id)s AND last_read_at < %(before)s AND line NOT LIKE '~%%'

-- note_pseudonymisation --
-- Record a pseudonymisation.
INSERT INTO pseudonymisations (cluster_id, at, before, runs, users, lines, staff, texts, actor)
VALUES (%(cluster_id)s, %(at)s, %(before)s, %(runs)s, %(users)s, %(lines)s, %(staff)s, %(texts)s, %(actor)s)

-- last_retention --
-- When retention last went through, and when the ledger was first read into.
SELECT (SELECT max(at) FROM pseudonymisations WHERE cluster_id = %(cluster_id)s),
    (SELECT min(at) FROM reads WHERE cluster_id = %(cluster_id)s)

-- copy_classifications --
-- Give the new subjects the classifications of the old ones, by every set of rules.
WITH {renamed}
INSERT INTO classifications (set_id, subject_id, part, since, until, fraction, beneficiary, rule, category,
    organisation, sector, municipality, hub, access, promises)
SELECT c.set_id, n.new_id, c.part, c.since, c.until, c.fraction, {told}
FROM renamed n JOIN classifications c ON c.subject_id = n.old_id
ON CONFLICT DO NOTHING

-- users_of_rules --
-- The users that rules name or named at some time.
SELECT DISTINCT trim(users::text, '"') FROM rules_used, jsonb_path_query(rules, '$.rules[*].conditions.user[*]') AS users
WHERE cluster_id = %(cluster_id)s
