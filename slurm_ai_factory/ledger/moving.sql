-- tables --
-- The tables that hold the books, with their columns; what PostgreSQL makes of other columns is left out.
SELECT c.relname, array_agg(a.attname ORDER BY a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname <> 'migrations'
    AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
GROUP BY c.relname
ORDER BY c.relname

-- references --
-- Which table needs the rows of which other.
SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint
WHERE contype = 'f' AND connamespace = current_schema()::regnamespace AND conrelid <> confrelid

-- sequences --
-- What numbers rows, and where it is.
SELECT sequencename, coalesce(last_value, start_value), last_value IS NOT NULL FROM pg_sequences
WHERE schemaname = current_schema() ORDER BY sequencename

-- set_sequence --
-- Go on numbering from here.
SELECT setval(%(sequence)s::regclass, %(value)s, %(used)s)

-- relations --
-- How many tables and sequences there are.
SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'S')
