-- What meters of the building, of nodes and of GPUs measured, and which job had which node and GPUs.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- "value" is in "unit" and over [since, until). A correction names the entry that it replaces, and has its meter, kind and
-- interval; one without a value withdraws the reading.
CREATE TABLE meters (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    meter text NOT NULL CHECK (meter <> ''),
    kind text NOT NULL CHECK (kind IN ('E_DC', 'E_IT', 'P_15MIN', 'W_IN', 'W_POTABLE', 'W_SURFACE', 'E_REUSE', 'E_RES',
        'E_NODE', 'E_GPU')),
    since bigint NOT NULL,
    until bigint NOT NULL CHECK (until > since),
    value numeric CHECK (value >= 0 AND value < 1e18),
    unit text NOT NULL,
    source text NOT NULL,
    replaces bigint REFERENCES meters,
    recorded_at bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    salt uuid DEFAULT gen_random_uuid(),
    CHECK (replaces IS NULL OR reason <> ''),
    CHECK (replaces IS NOT NULL OR value IS NOT NULL)
);

CREATE UNIQUE INDEX meters_once ON meters (cluster_id, kind, meter, since) WHERE replaces IS NULL;
CREATE INDEX meters_until ON meters (cluster_id, kind, until);
CREATE INDEX meters_replaces ON meters (replaces) WHERE replaces IS NOT NULL;

-- The newest row of a job, node and beginning counts; gpus are indexes or UUIDs.
CREATE TABLE placements (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    job_id bigint NOT NULL CHECK (job_id > 0),
    node text NOT NULL CHECK (node <> ''),
    gpus text[] NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL CHECK (until > since),
    source text NOT NULL,
    recorded_at bigint NOT NULL,
    actor text NOT NULL,
    salt uuid DEFAULT gen_random_uuid()
);

CREATE INDEX placements_until ON placements (cluster_id, until);

CREATE TRIGGER keep_as_recorded BEFORE DELETE OR TRUNCATE ON meters
FOR EACH STATEMENT EXECUTE FUNCTION keep_as_recorded();
CREATE TRIGGER keep_as_recorded BEFORE DELETE OR TRUNCATE ON placements
FOR EACH STATEMENT EXECUTE FUNCTION keep_as_recorded();

CREATE TRIGGER guard_personal BEFORE UPDATE ON meters FOR EACH ROW EXECUTE FUNCTION guard_personal(reason, actor);
CREATE TRIGGER guard_personal BEFORE UPDATE ON placements FOR EACH ROW EXECUTE FUNCTION guard_personal(actor);

ALTER FUNCTION chained() RENAME TO chained_before_meters;

CREATE FUNCTION chained() RETURNS TABLE (name text, format smallint, key text[], columns text[], people text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT * FROM chained_before_meters()
UNION ALL VALUES
    ('meters', 1::smallint, '{entry_id}'::text[],
        '{entry_id, cluster_id, meter, kind, since, until, value, unit, source, replaces, recorded_at, actor,
        reason}'::text[], '{actor, reason}'::text[]),
    ('placements', 1, '{entry_id}',
        '{entry_id, cluster_id, job_id, node, gpus, since, until, source, recorded_at, actor}', '{actor}')
$$;

CREATE TRIGGER chain_row AFTER INSERT ON meters FOR EACH ROW EXECUTE FUNCTION chain_row();
CREATE TRIGGER chain_row AFTER INSERT ON placements FOR EACH ROW EXECUTE FUNCTION chain_row();

CREATE VIEW reader_meters AS
SELECT c.name AS cluster, m.entry_id, m.meter, m.kind, m.since, m.until, m.value, m.unit, m.replaces, m.recorded_at
FROM meters m JOIN clusters c USING (cluster_id);

CREATE VIEW reader_placements AS
SELECT c.name AS cluster, p.entry_id, p.job_id, p.node, p.gpus, p.since, p.until, p.recorded_at
FROM placements p JOIN clusters c USING (cluster_id);
