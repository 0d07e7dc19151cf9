-- serialize_registry --
-- Change the registry one at a time.
SELECT pg_advisory_xact_lock(7345)

-- organisations --
-- The entries of organisations as known at an instant: the newest about the same thing.
SELECT DISTINCT ON (organisation, since) organisation, name, kvk, category, sector, municipality, hub, size, stage,
    since, until
FROM organisations WHERE recorded_at <= %(as_of)s
ORDER BY organisation, since, entry_id DESC

-- links --
-- The entries of links as known at an instant: the newest about the same thing.
SELECT DISTINCT ON (organisation, account, since) organisation, account, fraction, access, granted, since, until
FROM links WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s
ORDER BY organisation, account, since, entry_id DESC

-- add_organisation --
-- Add an entry of an organisation.
INSERT INTO organisations (organisation, name, kvk, category, sector, municipality, hub, size, stage, since, until,
    recorded_at, actor, reason)
VALUES (%(organisation)s, %(name)s, %(kvk)s, %(category)s, %(sector)s, %(municipality)s, %(hub)s, %(size)s, %(stage)s,
    %(since)s, %(until)s, %(at)s, %(actor)s, %(reason)s)

-- add_link --
-- Add an entry of a link.
INSERT INTO links (cluster_id, organisation, account, fraction, access, granted, since, until, recorded_at, actor,
    reason)
VALUES (%(cluster_id)s, %(organisation)s, %(account)s, %(fraction)s, %(access)s, %(granted)s, %(since)s, %(until)s,
    %(at)s, %(actor)s, %(reason)s)

-- registry_history --
-- All entries, oldest first.
SELECT recorded_at, actor, reason, organisation, NULL AS account, name, kvk, category, sector, municipality, hub,
    size, stage, NULL AS fraction, NULL AS access, NULL AS granted, since, until, entry_id
FROM organisations WHERE organisation = coalesce(%(organisation)s, organisation)
UNION ALL
SELECT recorded_at, actor, reason, organisation, account, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, fraction,
    access, granted, since, until, entry_id
FROM links WHERE cluster_id = %(cluster_id)s AND organisation = coalesce(%(organisation)s, organisation)
ORDER BY recorded_at, account NULLS FIRST, entry_id

-- overrides --
-- The overrides as known at an instant.
SELECT override_id::text, job, beneficiary, organisation, recorded_at, actor, reason FROM overrides
WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s
ORDER BY overrides.override_id

-- keep_rules --
-- Record the rules in use from now on, unless they are unchanged.
INSERT INTO rules_used (cluster_id, recorded_at, rules)
SELECT %(cluster_id)s, %(at)s, %(rules)s
WHERE %(rules)s::jsonb IS DISTINCT FROM (
    SELECT rules FROM rules_used WHERE cluster_id = %(cluster_id)s ORDER BY recorded_at DESC LIMIT 1
)
ON CONFLICT (cluster_id, recorded_at) DO NOTHING

-- rules_used --
-- The rules in use at an instant.
SELECT rules FROM rules_used WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s
ORDER BY recorded_at DESC LIMIT 1
