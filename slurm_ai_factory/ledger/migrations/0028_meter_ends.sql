-- Meters that were taken out of use.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- From "ended_at" on a meter is not expected to read. The newest row of a kind and meter counts; one without an instant puts
-- the meter back in use.
CREATE TABLE meter_ends (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    kind text NOT NULL CHECK (kind <> ''),
    meter text NOT NULL CHECK (meter <> ''),
    ended_at bigint,
    recorded_at bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    salt uuid DEFAULT gen_random_uuid()
);

CREATE TRIGGER guard_personal BEFORE UPDATE ON meter_ends FOR EACH ROW EXECUTE FUNCTION guard_personal(reason, actor);

ALTER FUNCTION chained() RENAME TO chained_before_meter_ends;

CREATE FUNCTION chained() RETURNS TABLE (name text, format smallint, key text[], columns text[], people text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT * FROM chained_before_meter_ends()
UNION ALL VALUES
    ('meter_ends', 1::smallint, '{entry_id}'::text[],
        '{entry_id, cluster_id, kind, meter, ended_at, recorded_at, actor, reason}'::text[], '{actor, reason}'::text[])
$$;

CREATE TRIGGER keep_as_recorded BEFORE DELETE OR TRUNCATE ON meter_ends
FOR EACH STATEMENT EXECUTE FUNCTION keep_as_recorded();

CREATE TRIGGER chain_row AFTER INSERT ON meter_ends FOR EACH ROW EXECUTE FUNCTION chain_row();

CREATE VIEW reader_meter_ends AS
SELECT c.name AS cluster, e.entry_id, e.kind, e.meter, e.ended_at, e.recorded_at
FROM meter_ends e JOIN clusters c USING (cluster_id);
