-- What a programme asks of its organisations and their projects: size, stage, mode of access, hours granted.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- EU definition of size (Recommendation 2003/361/EC); the stage of a company. Empty where it is not recorded.
ALTER TABLE organisations
ADD COLUMN size text NOT NULL DEFAULT '' CHECK (size IN ('', 'micro', 'small', 'medium', 'large')),
ADD COLUMN stage text NOT NULL DEFAULT '' CHECK (stage IN ('', 'startup', 'scaleup', 'established'));

-- The mode of access of an account, and the resource-hours that were granted for [since, until).
ALTER TABLE links
ADD COLUMN access text NOT NULL DEFAULT '',
ADD COLUMN granted numeric CHECK (granted > 0);

-- New rows are chained with these columns; rows from before keep their format.
ALTER FUNCTION chained() RENAME TO chained_before_programme;

CREATE FUNCTION chained() RETURNS TABLE (name text, format smallint, key text[], columns text[], people text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT * FROM chained_before_programme()
UNION ALL VALUES
    ('links', 2::smallint, '{entry_id}'::text[],
        '{entry_id, cluster_id, organisation, account, fraction, access, granted, since, until, recorded_at, actor,
        reason}'::text[], '{actor, reason}'::text[]),
    ('organisations', 2, '{entry_id}',
        '{entry_id, organisation, name, kvk, category, sector, municipality, hub, size, stage, since, until,
        recorded_at, actor, reason}', '{actor, reason}')
$$;

-- Take in every row that there is, in the newest format of its table.
CREATE OR REPLACE FUNCTION adopt_into_chain() RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT DISTINCT ON (name) * FROM chained() ORDER BY name, format DESC LOOP
        EXECUTE format(
            'SELECT count(add_to_chain(%1$L, chained_text(told, %2$L, %3$L), %4$L::smallint, '
            'sha256_of(chained_text(told, %5$L, %6$L)))) '
            'FROM (SELECT to_jsonb(t) AS told FROM %1$I t ORDER BY %7$s) AS known '
            'WHERE told ->> %8$L IS DISTINCT FROM %9$L',
            one.name, one.key, '{}', one.format, one.columns, one.people,
            (SELECT string_agg(format('t.%I', part), ', ') FROM unnest(one.key) AS part), 'status', 'planned'
        );
    END LOOP;
    PERFORM add_to_chain('runs', 'adopted', 1::smallint, adopted_runs()) WHERE EXISTS (SELECT FROM runs);
END
$$;

CREATE OR REPLACE VIEW reader_organisations AS
SELECT entry_id, organisation, category, sector, municipality, hub, since, until, recorded_at, size, stage
FROM organisations;

CREATE OR REPLACE VIEW reader_links AS
SELECT c.name AS cluster, l.entry_id, l.organisation, l.account, l.fraction, l.since, l.until, l.recorded_at, l.access,
    l.granted
FROM links l JOIN clusters c USING (cluster_id);
