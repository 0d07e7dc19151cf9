-- Findings of the preflight that operators acknowledged, and until when.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- The newest row of a check holds; one that ends where it begins withdraws the one before it. A finding that is worse than
-- "level" is not covered.
CREATE TABLE acknowledgements (
    acknowledgement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    check_name text NOT NULL CHECK (check_name <> ''),
    level text NOT NULL CHECK (level IN ('warning', 'problem')),
    recorded_at bigint NOT NULL,
    until bigint NOT NULL CHECK (until >= recorded_at),
    actor text NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    salt uuid DEFAULT gen_random_uuid()
);

CREATE TRIGGER guard_personal BEFORE UPDATE ON acknowledgements FOR EACH ROW
EXECUTE FUNCTION guard_personal(reason, actor);

ALTER FUNCTION chained() RENAME TO chained_before_acknowledgements;

CREATE FUNCTION chained() RETURNS TABLE (name text, format smallint, key text[], columns text[], people text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT * FROM chained_before_acknowledgements()
UNION ALL VALUES
    ('acknowledgements', 1::smallint, '{acknowledgement_id}'::text[],
        '{acknowledgement_id, cluster_id, check_name, level, recorded_at, until, actor, reason}'::text[],
        '{actor, reason}'::text[])
$$;

CREATE TRIGGER keep_as_recorded BEFORE DELETE OR TRUNCATE ON acknowledgements
FOR EACH STATEMENT EXECUTE FUNCTION keep_as_recorded();

CREATE TRIGGER chain_row AFTER INSERT ON acknowledgements FOR EACH ROW EXECUTE FUNCTION chain_row();

-- Who acknowledged it, and why, is left out.
CREATE VIEW reader_acknowledgements AS
SELECT c.name AS cluster, a.acknowledgement_id, a.check_name, a.level, a.recorded_at, a.until
FROM acknowledgements a JOIN clusters c USING (cluster_id);
