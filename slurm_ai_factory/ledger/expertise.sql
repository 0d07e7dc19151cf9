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
-- Add an entry, or a correction of one.
INSERT INTO expertise_entries (day, organisation, role, hours, activity, kind, corrects, reason, file, recorded_at,
    actor)
VALUES (%(day)s, %(organisation)s, %(role)s, %(hours)s, %(activity)s, %(kind)s, %(corrects)s, %(reason)s, %(file)s,
    %(at)s, %(actor)s)
RETURNING entry_id
