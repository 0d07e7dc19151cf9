-- Months that were archived: what each file holds, its digest, and the charge that the files add up to.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- A month is one of the promise's time zone, as known at "as_of". "files" has rows, bytes and SHA-256 by table. "charges"
-- has the delivered TRES-seconds by TRES and beneficiary, as text. The newest row of a month holds.
CREATE TABLE archives (
    archive_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    month text NOT NULL CHECK (month ~ '^[0-9]{4}-[0-9]{2}$'),
    since bigint NOT NULL,
    until bigint NOT NULL CHECK (until > since),
    as_of bigint NOT NULL,
    rules text NOT NULL,
    files jsonb NOT NULL,
    charges jsonb NOT NULL,
    recorded_at bigint NOT NULL,
    actor text NOT NULL,
    salt uuid DEFAULT gen_random_uuid()
);

CREATE INDEX archives_month ON archives (cluster_id, month, archive_id);

CREATE TRIGGER guard_personal BEFORE UPDATE ON archives FOR EACH ROW EXECUTE FUNCTION guard_personal(actor);

ALTER FUNCTION chained() RENAME TO chained_before_archives;

CREATE FUNCTION chained() RETURNS TABLE (name text, format smallint, key text[], columns text[], people text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT * FROM chained_before_archives()
UNION ALL VALUES
    ('archives', 1::smallint, '{archive_id}'::text[],
        '{archive_id, cluster_id, month, since, until, as_of, rules, files, charges, recorded_at, actor}'::text[],
        '{actor}'::text[])
$$;

CREATE TRIGGER keep_as_recorded BEFORE DELETE OR TRUNCATE ON archives
FOR EACH STATEMENT EXECUTE FUNCTION keep_as_recorded();

CREATE TRIGGER chain_row AFTER INSERT ON archives FOR EACH ROW EXECUTE FUNCTION chain_row();

-- Who archived it is left out.
CREATE VIEW reader_archives AS
SELECT c.name AS cluster, a.archive_id, a.month, a.since, a.until, a.as_of, a.rules, a.files, a.charges, a.recorded_at
FROM archives a JOIN clusters c USING (cluster_id);
