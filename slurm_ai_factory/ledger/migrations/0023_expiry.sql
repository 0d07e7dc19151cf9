-- Decisions without a change may expire: an expiry lists which went, and the chain keeps their digests.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- What expired: decisions of [first_at, last_at], all from before the instant "before". A trigger fills in which, so
-- that nobody chooses; "digest" is over their digests in the chain.
CREATE TABLE expiries (
    expiry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    recorded_at bigint NOT NULL,
    before bigint NOT NULL CHECK (before <= recorded_at - 2592000),
    decisions int8multirange NOT NULL,
    rows bigint NOT NULL CHECK (rows > 0),
    first_at bigint NOT NULL,
    last_at bigint NOT NULL CHECK (last_at < before),
    digest text NOT NULL,
    actor text NOT NULL,
    salt uuid DEFAULT gen_random_uuid()
);

-- The decisions from before an instant that may expire: without a change of any kind, and under no published report.
-- The newest state of the control law stays, and the last decision of another reason than the newest: it shows since
-- when the newest reason has held.
CREATE FUNCTION expirable(of_cluster smallint, due bigint) RETURNS SETOF decisions
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    WITH reasons AS (
        SELECT promise, decision_id, u_ref, reason,
            first_value(reason) OVER (PARTITION BY promise ORDER BY decision_id DESC) AS newest
        FROM decisions WHERE cluster_id = of_cluster
    ), needed AS (
        SELECT promise, max(decision_id) FILTER (WHERE reason <> newest) AS turned,
            max(decision_id) FILTER (WHERE u_ref IS NOT NULL) AS state
        FROM reasons GROUP BY promise
    ), published AS (
        SELECT range_agg(int8range(
            coalesce(extract(epoch FROM (told #>> '{fingerprint, since}')::timestamptz)::bigint, 0), as_of + 1
        )) AS spans
        FROM (
            SELECT as_of, CASE WHEN document <> '' THEN document::jsonb END AS told
            FROM reports WHERE cluster_id = of_cluster
        ) AS documents
    )
    SELECT d.* FROM decisions d JOIN needed n USING (promise) CROSS JOIN published p
    WHERE d.cluster_id = of_cluster AND d.at < due
        AND d.decision_id < n.turned AND d.decision_id IS DISTINCT FROM n.state
        AND NOT coalesce(p.spans @> d.at, false)
        AND NOT EXISTS (SELECT FROM changes c WHERE c.decision_id = d.decision_id)
$$;

-- The digest over the digests in the chain of these decisions.
CREATE FUNCTION expired_digest(ids int8multirange) RETURNS text
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT sha256_of(coalesce(string_agg(digest, '' ORDER BY entry), '')) FROM chain
    WHERE table_name = 'decisions' AND ids @> (row_key::jsonb ->> 0)::bigint
$$;

-- An expiry lists all that may expire, and only that; without any there is none.
CREATE FUNCTION fill_expiry() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    SELECT range_agg(int8range(decision_id, decision_id, '[]')), count(*), min(at), max(at)
    INTO NEW.decisions, NEW.rows, NEW.first_at, NEW.last_at
    FROM expirable(NEW.cluster_id, NEW.before);
    IF NEW.rows = 0 THEN
        RETURN NULL;
    END IF;
    NEW.digest := expired_digest(NEW.decisions);
    RETURN NEW;
END
$$;

CREATE TRIGGER fill_expiry BEFORE INSERT ON expiries FOR EACH ROW EXECUTE FUNCTION fill_expiry();

CREATE TRIGGER keep_as_recorded BEFORE DELETE OR TRUNCATE ON expiries
FOR EACH STATEMENT EXECUTE FUNCTION keep_as_recorded();

CREATE TRIGGER guard_personal BEFORE UPDATE ON expiries FOR EACH ROW EXECUTE FUNCTION guard_personal(actor);

-- A decision goes where an expiry of its cluster lists it.
CREATE FUNCTION guard_expired() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM refuse(TG_TABLE_NAME, TG_OP) FROM was w
    WHERE NOT EXISTS (
        SELECT FROM expiries e WHERE e.cluster_id = w.cluster_id AND e.decisions @> w.decision_id
    );
    RETURN NULL;
END
$$;

DROP TRIGGER keep_as_recorded ON decisions;

CREATE TRIGGER keep_as_recorded BEFORE TRUNCATE ON decisions
FOR EACH STATEMENT EXECUTE FUNCTION keep_as_recorded();

CREATE TRIGGER guard_expired AFTER DELETE ON decisions REFERENCING OLD TABLE AS was
FOR EACH STATEMENT EXECUTE FUNCTION guard_expired();

ALTER FUNCTION chained() RENAME TO chained_before_expiries;

CREATE FUNCTION chained() RETURNS TABLE (name text, format smallint, key text[], columns text[], people text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT * FROM chained_before_expiries()
UNION ALL VALUES
    ('expiries', 1::smallint, '{expiry_id}'::text[],
        '{expiry_id, cluster_id, recorded_at, before, decisions, rows, first_at, last_at, digest, actor}'::text[],
        '{actor}'::text[])
$$;

CREATE TRIGGER chain_row AFTER INSERT ON expiries FOR EACH ROW EXECUTE FUNCTION chain_row();

CREATE VIEW reader_expiries AS
SELECT c.name AS cluster, e.expiry_id, e.recorded_at, e.before, e.decisions, e.rows, e.first_at, e.last_at, e.digest
FROM expiries e JOIN clusters c USING (cluster_id);
