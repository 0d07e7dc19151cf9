-- How many tasks a run that never started stood for: those of an array that might run at once. core/charge.py: tasks.
CREATE FUNCTION tasks(label text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN strpos(label, '[') = 0 THEN 1 ELSE (
        SELECT CASE WHEN named > 4294967296 THEN 1 ELSE greatest(1, least(named, coalesce(at_once, named))) END
        FROM (
            SELECT substring(listed FROM '^[^%]*%([0-9]+)$')::numeric AS at_once, (
                SELECT coalesce(sum(
                    CASE WHEN span[2] IS NULL THEN 1 ELSE 1 + div(
                        greatest(0, span[2]::numeric - span[1]::numeric), greatest(1, coalesce(span[3], '1')::numeric)
                    ) END
                ), 0)
                FROM regexp_matches(split_part(listed, '%', 1), '(\d+)(?:-(\d+)(?::(\d+))?)?', 'g') AS span
            ) AS named
            FROM (SELECT substring(label FROM '^\d+_\[([^]]*)\]?$') AS listed) AS told
        ) AS counted
    ) END
$$;
