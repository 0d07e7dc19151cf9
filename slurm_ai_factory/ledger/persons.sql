-- withheld --
-- Fragment: replace a line by its digest, and quotes from it in the reason.
line = '~' || md5(line), reason = regexp_replace(reason, '[''"].*[''"]', '~')

-- withhold_lines_naming --
-- Withhold the unparsable lines that name a user, or whose reasons do.
UPDATE rejected_lines SET line = '~' || md5(line), reason = 'withheld'
WHERE cluster_id = %(cluster_id)s AND line NOT LIKE '~%%' AND (mentions(line, %(user)s) OR mentions(reason, %(user)s))

-- add_act --
-- Record an act on a person's data, without the name.
WITH made AS (SELECT gen_random_uuid() AS salt)
INSERT INTO person_acts (cluster_id, act, person, person_salt, pseudonym, until, recorded_at, actor, reason)
SELECT %(cluster_id)s, %(act)s, personal(%(user)s, salt), salt, %(pseudonym)s, %(until)s::bigint, %(at)s, %(actor)s,
    %(reason)s
FROM made

-- acts_on --
-- The acts on a person's data, oldest first.
SELECT act, until, pseudonym, recorded_at, actor, reason FROM person_acts
WHERE cluster_id = %(cluster_id)s AND person = personal(%(user)s, person_salt)
ORDER BY act_id

-- forgotten --
-- The forgotten users, as marks.
SELECT person, person_salt::text, pseudonym FROM person_acts
WHERE cluster_id = %(cluster_id)s AND act = 'forget'
ORDER BY act_id

-- users --
-- Fragment: the users whose names are in the ledger.
(
    SELECT DISTINCT user_name FROM subjects
    WHERE cluster_id = %(cluster_id)s AND user_name <> '' AND user_name NOT LIKE '~%%'
)

-- holds --
-- The newest hold of each user.
SELECT DISTINCT ON (u.user_name) u.user_name, a.until, a.recorded_at, a.actor, a.reason
FROM {users} AS u
JOIN person_acts a ON a.act = 'hold' AND a.person = personal(u.user_name, a.person_salt)
WHERE a.cluster_id = %(cluster_id)s
ORDER BY u.user_name, a.act_id DESC

-- users_mentioned --
-- The users whose names are whole words of a text.
SELECT user_name FROM {users} AS u WHERE mentions(%(text)s, user_name) ORDER BY user_name

-- own_subjects --
-- Fragment: the subjects of one person.
own AS (SELECT * FROM subjects WHERE cluster_id = %(cluster_id)s AND user_name = ANY(%(names)s))

-- usage_held --
-- How many runs, versions and hours a person has, from when to when.
WITH {own_subjects}
SELECT 'runs', count(*), min(submit_at), max(coalesce(end_at, recorded_at)) FROM runs JOIN own USING (subject_id)
UNION ALL
SELECT 'run_versions', count(*), min(submit_at), max(superseded_at) FROM run_versions JOIN own USING (subject_id)
UNION ALL
SELECT 'hourly_usage', count(*), min(hour), max(hour) FROM hourly_usage JOIN own USING (subject_id)

-- usage_rows --
-- Every run, version and hour of a person.
WITH {own_subjects}, kept AS (
    SELECT 'runs' AS table_name, to_jsonb(r) AS content, r.subject_id, req_id, alloc_id FROM runs r
    UNION ALL
    SELECT 'run_versions', to_jsonb(v), v.subject_id, req_id, alloc_id FROM run_versions v
    UNION ALL
    SELECT 'hourly_usage', to_jsonb(u), u.subject_id, NULL, allocation_id FROM hourly_usage u
)
SELECT k.table_name, to_jsonb(own) - 'key' || k.content || jsonb_build_object('req_tres', q.tres, 'tres', a.tres)
FROM kept k
JOIN own USING (subject_id)
JOIN allocations a ON a.allocation_id = k.alloc_id
LEFT JOIN allocations q ON q.allocation_id = k.req_id
ORDER BY k.table_name, k.subject_id

-- text_columns --
-- Every column that may hold a name, except generated ones, and whether its table is by cluster.
SELECT c.relname, a.attname, EXISTS (
    SELECT FROM pg_attribute b WHERE b.attrelid = c.oid AND b.attname = 'cluster_id' AND NOT b.attisdropped
)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname <> 'migrations'
    AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    AND a.atttypid = ANY(ARRAY['text', 'text[]', 'jsonb']::regtype[])
ORDER BY c.relname, a.attnum
