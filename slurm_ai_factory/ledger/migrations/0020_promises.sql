-- Several promises: each with its terms, whom it is made to, and whether it is a floor or a cap.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- "who" has conditions, each with the names it accepts; it is empty for the first promise, which the region is made.
-- "share_of" is delivered, capacity, or promise:NAME, the charge of another promise.
ALTER TABLE promise_terms
ADD COLUMN bound text NOT NULL DEFAULT 'floor' CHECK (bound IN ('floor', 'cap')),
ADD COLUMN who jsonb NOT NULL DEFAULT '{}' CHECK ((who = '{}') = (promise = 'region')),
ADD CHECK (promise ~ '^[a-z][a-z0-9-]{0,31}$'),
DROP CONSTRAINT promise_terms_share_of_check,
ADD CHECK (share_of IN ('delivered', 'capacity') OR share_of LIKE 'promise:_%');

-- Each steered promise has decisions of its own.
ALTER TABLE decisions ADD COLUMN promise text NOT NULL DEFAULT 'region';

-- New rows are chained with these columns; rows from before keep their format.
ALTER FUNCTION chained() RENAME TO chained_before_promises;

CREATE FUNCTION chained() RETURNS TABLE (name text, format smallint, key text[], columns text[], people text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT * FROM chained_before_promises()
UNION ALL VALUES
    ('promise_terms', 2::smallint, '{entry_id}'::text[],
        '{entry_id, cluster_id, promise, bound, who, since, ended, share, margin, resource, label, window_kind,
        time_zone, share_of, unclassified_limit, region, min_organisations, expertise_share, source, reason, actor,
        recorded_at}'::text[], '{}'::text[]),
    ('decisions', 2, '{decision_id}',
        '{decision_id, cluster_id, promise, at, mode, reason, sentence, inputs, u_ref, actor}', '{sentence, actor}')
$$;

CREATE OR REPLACE VIEW reader_decisions AS
SELECT c.name AS cluster, d.decision_id, d.at, d.mode, d.reason, d.u_ref, (
        SELECT jsonb_object_agg(key, value) FROM jsonb_each(d.inputs) WHERE jsonb_typeof(value) = 'number'
    ) AS inputs, d.promise
FROM decisions d JOIN clusters c USING (cluster_id);

CREATE OR REPLACE VIEW reader_promise_terms AS
SELECT c.name AS cluster, t.entry_id, t.promise, t.since, t.ended, t.share, t.margin, t.resource, t.label, t.window_kind,
    t.time_zone, t.share_of, t.unclassified_limit, t.region, t.min_organisations, t.expertise_share, t.source,
    t.recorded_at, t.bound, t.who
FROM promise_terms t JOIN clusters c USING (cluster_id);

-- The further promises that a charge counts for, with blanks between; sums are saved for each combination.
ALTER TABLE classifications ADD COLUMN promises text NOT NULL DEFAULT '';

ALTER TABLE hourly_sums
ADD COLUMN promises text NOT NULL DEFAULT '',
DROP CONSTRAINT hourly_sums_pkey,
ADD PRIMARY KEY (sum_id, hour, beneficiary, promises);
