-- Joint promises: made over several clusters, whose charges are put on one scale by dated weights.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- A row is a whole term of a joint promise. A term holds until the next one begins; of rows with the same "since" the
-- newest holds. "ended" is true where no promise holds from then on.
CREATE TABLE joint_terms (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    promise text NOT NULL CHECK (promise ~ '^[a-z][a-z0-9-]{0,31}$' AND promise <> 'region'),
    since bigint NOT NULL CHECK (since > 0 AND since % 3600 = 0),
    ended boolean NOT NULL,
    share double precision NOT NULL CHECK (share > 0 AND share < 1),
    margin double precision NOT NULL CHECK (margin > 0 AND margin < 1),
    label text NOT NULL,
    window_kind text NOT NULL,
    time_zone text NOT NULL,
    unclassified_limit double precision,
    source text NOT NULL CHECK (source <> ''),
    recorded_at bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    salt uuid DEFAULT gen_random_uuid()
);

-- What a cluster counts in a joint promise, by the weight of each TRES as text: from an hour on, until the next row about
-- the same promise and cluster. '{}': the cluster is no member from then on. Of rows with the same "since" the
-- newest holds.
CREATE TABLE joint_weights (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    promise text NOT NULL CHECK (promise ~ '^[a-z][a-z0-9-]{0,31}$' AND promise <> 'region'),
    since bigint NOT NULL CHECK (since > 0 AND since % 3600 = 0),
    weights jsonb NOT NULL CHECK (jsonb_typeof(weights) = 'object'),
    source text NOT NULL CHECK (source <> ''),
    recorded_at bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    salt uuid DEFAULT gen_random_uuid()
);

ALTER TABLE proposals
DROP CONSTRAINT proposals_kind_check,
ADD CONSTRAINT proposals_kind_check
CHECK (kind IN ('promise', 'registry', 'override', 'publication', 'joint'));

ALTER FUNCTION chained() RENAME TO chained_before_joint;

CREATE FUNCTION chained() RETURNS TABLE (name text, format smallint, key text[], columns text[], people text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT * FROM chained_before_joint()
UNION ALL VALUES
    ('joint_terms', 1::smallint, '{entry_id}'::text[],
        '{entry_id, promise, since, ended, share, margin, label, window_kind, time_zone, unclassified_limit, source,
        recorded_at, actor, reason}'::text[], '{actor, reason}'::text[]),
    ('joint_weights', 1, '{entry_id}',
        '{entry_id, cluster_id, promise, since, weights, source, recorded_at, actor, reason}', '{actor, reason}')
$$;

DO $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY ARRAY['joint_terms', 'joint_weights'] LOOP
        EXECUTE format(
            'CREATE TRIGGER guard_personal BEFORE UPDATE ON %I FOR EACH ROW '
            'EXECUTE FUNCTION guard_personal(reason, actor)', one
        );
        EXECUTE format(
            'CREATE TRIGGER keep_as_recorded BEFORE DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION keep_as_recorded()', one
        );
        EXECUTE format(
            'CREATE TRIGGER chain_row AFTER INSERT ON %I FOR EACH ROW EXECUTE FUNCTION chain_row()', one
        );
    END LOOP;
END
$$;

-- Who recorded it, and why, is left out.
CREATE VIEW reader_joint_terms AS
SELECT t.entry_id, t.promise, t.since, t.ended, t.share, t.margin, t.label, t.window_kind, t.time_zone,
    t.unclassified_limit, t.source, t.recorded_at
FROM joint_terms t;

CREATE VIEW reader_joint_weights AS
SELECT c.name AS cluster, w.entry_id, w.promise, w.since, w.weights, w.source, w.recorded_at
FROM joint_weights w JOIN clusters c USING (cluster_id);
