-- A change names its object and the attribute that it sets: besides an account's RawShares, a QOS's Priority or a
-- partition's PriorityJobFactor. The columns account and raw_shares_* hold its name and its values.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

ALTER TABLE changes
ADD COLUMN object text NOT NULL DEFAULT 'account' CHECK (object IN ('account', 'qos', 'partition')),
ADD COLUMN attribute text NOT NULL DEFAULT 'RawShares';

ALTER TABLE baselines
ADD COLUMN object text NOT NULL DEFAULT 'account' CHECK (object IN ('account', 'qos', 'partition'));

ALTER TABLE baselines DROP CONSTRAINT baselines_pkey, ADD PRIMARY KEY (cluster_id, object, account);

-- New rows are chained with these columns; rows from before keep their format.
ALTER FUNCTION chained() RENAME TO chained_before_levers;

CREATE FUNCTION chained() RETURNS TABLE (name text, format smallint, key text[], columns text[], people text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT * FROM chained_before_levers()
UNION ALL VALUES
    ('changes', 2::smallint, '{change_id}'::text[],
        '{change_id, decision_id, object, attribute, account, raw_shares_before, raw_shares_after, status,
        settled_at, raw_shares_read, note}'::text[], '{note}'::text[])
$$;

CREATE OR REPLACE VIEW reader_changes AS
SELECT change_id, decision_id, account, raw_shares_before, raw_shares_after, status, settled_at, raw_shares_read, object,
    attribute
FROM changes;
