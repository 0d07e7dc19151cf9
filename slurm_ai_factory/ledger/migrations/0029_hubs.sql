-- Between sites: the statements that this site gave of its days, and what a programme takes in from sites.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- The clusters of sites whose days the programme takes in: from the day "since" (UTC) on, until the next row about the same
-- cluster. The newest row about the same cluster and day counts.
CREATE TABLE hubs (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    site text NOT NULL CHECK (site <> ''),
    site_cluster text NOT NULL CHECK (site_cluster <> ''),
    since bigint NOT NULL CHECK (since % 86400 = 0),
    ended boolean NOT NULL,
    public_key text NOT NULL,
    weights text NOT NULL,
    recorded_at bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    salt uuid DEFAULT gen_random_uuid()
);

CREATE TRIGGER guard_personal BEFORE UPDATE ON hubs FOR EACH ROW EXECUTE FUNCTION guard_personal(reason, actor);

-- Every revision of a day that this site stated. "content" is what its digest covers, in the one spelling.
CREATE TABLE given_statements (
    cluster_id smallint NOT NULL REFERENCES clusters,
    site text NOT NULL,
    day bigint NOT NULL,
    revision integer NOT NULL CHECK (revision > 0),
    digest text NOT NULL,
    content text NOT NULL,
    recorded_at bigint NOT NULL,
    PRIMARY KEY (cluster_id, site, day, revision)
);

-- Every revision of a day that a programme took in. With a "fault" the day is unread until the next revision.
CREATE TABLE day_statements (
    statement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    site text NOT NULL,
    site_cluster text NOT NULL,
    day bigint NOT NULL,
    revision integer NOT NULL CHECK (revision > 0),
    previous text NOT NULL,
    digest text NOT NULL,
    signature text NOT NULL,
    fault text NOT NULL,
    capacity jsonb NOT NULL,
    sync jsonb NOT NULL,
    recorded_at bigint NOT NULL,
    UNIQUE (cluster_id, site, site_cluster, day, revision)
);

-- Their rows, in order. They are under the digest of their statement.
CREATE TABLE day_statement_rows (
    statement_id bigint NOT NULL REFERENCES day_statements,
    place integer NOT NULL,
    hour bigint NOT NULL,
    account text NOT NULL,
    project text NOT NULL,
    infrastructure text NOT NULL,
    tres text NOT NULL,
    delivered bigint NOT NULL CHECK (delivered >= 0),
    waiting bigint NOT NULL CHECK (waiting >= 0),
    runs bigint NOT NULL CHECK (runs >= 0),
    PRIMARY KEY (statement_id, place)
);

ALTER FUNCTION chained() RENAME TO chained_before_hubs;

CREATE FUNCTION chained() RETURNS TABLE (name text, format smallint, key text[], columns text[], people text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT * FROM chained_before_hubs()
UNION ALL VALUES
    ('hubs', 1::smallint, '{entry_id}'::text[],
        '{entry_id, cluster_id, site, site_cluster, since, ended, public_key, weights, recorded_at, actor, reason}'::text[],
        '{actor, reason}'::text[]),
    ('given_statements', 1, '{cluster_id, site, day, revision}',
        '{cluster_id, site, day, revision, digest, content, recorded_at}', '{}'),
    ('day_statements', 1, '{statement_id}',
        '{statement_id, cluster_id, site, site_cluster, day, revision, previous, digest, signature, fault, capacity,
        sync, recorded_at}', '{}')
$$;

DO $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY ARRAY['given_statements', 'day_statements', 'day_statement_rows'] LOOP
        EXECUTE format(
            'CREATE TRIGGER keep_as_recorded BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION keep_as_recorded()', one
        );
    END LOOP;
    FOREACH one IN ARRAY ARRAY['hubs', 'given_statements', 'day_statements'] LOOP
        EXECUTE format(
            'CREATE TRIGGER chain_row AFTER INSERT ON %I FOR EACH ROW EXECUTE FUNCTION chain_row()', one
        );
    END LOOP;
END
$$;

CREATE TRIGGER keep_as_recorded BEFORE DELETE OR TRUNCATE ON hubs
FOR EACH STATEMENT EXECUTE FUNCTION keep_as_recorded();

-- Who registered it, and why, is left out.
CREATE VIEW reader_hubs AS
SELECT c.name AS cluster, h.entry_id, h.site, h.site_cluster, h.since, h.ended, h.public_key, h.weights, h.recorded_at
FROM hubs h JOIN clusters c USING (cluster_id);

CREATE VIEW reader_given_statements AS
SELECT c.name AS cluster, g.site, g.day, g.revision, g.digest, g.recorded_at
FROM given_statements g JOIN clusters c USING (cluster_id);

CREATE VIEW reader_day_statements AS
SELECT c.name AS cluster, d.site, d.site_cluster, d.day, d.revision, d.previous, d.digest, d.fault, d.recorded_at
FROM day_statements d JOIN clusters c USING (cluster_id);
