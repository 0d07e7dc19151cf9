-- Values that other users set on what saf steers.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- A value that was found where the last applied change, after_change, had left another. actor and changed_at are from
-- Slurm's own log; actor is empty and changed_at NULL where that log does not tell, and note says why.
CREATE TABLE foreign_changes (
    foreign_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    after_change bigint NOT NULL REFERENCES changes,
    object text NOT NULL CHECK (object IN ('account', 'qos', 'partition')),
    attribute text NOT NULL,
    account text NOT NULL,
    raw_shares_ours bigint NOT NULL,
    raw_shares_found bigint NOT NULL,
    recorded_at bigint NOT NULL,
    changed_at bigint,
    actor text NOT NULL,
    note text NOT NULL,
    salt uuid DEFAULT gen_random_uuid()
);

CREATE INDEX foreign_changes_after ON foreign_changes (after_change);

CREATE TRIGGER guard_personal BEFORE UPDATE ON foreign_changes FOR EACH ROW
EXECUTE FUNCTION guard_personal(actor, note);

ALTER FUNCTION chained() RENAME TO chained_before_foreign;

CREATE FUNCTION chained() RETURNS TABLE (name text, format smallint, key text[], columns text[], people text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT * FROM chained_before_foreign()
UNION ALL VALUES
    ('foreign_changes', 1::smallint, '{foreign_id}'::text[],
        '{foreign_id, cluster_id, after_change, object, attribute, account, raw_shares_ours, raw_shares_found,
        recorded_at, changed_at, actor, note}'::text[], '{actor, note}'::text[])
$$;

CREATE TRIGGER keep_as_recorded BEFORE DELETE OR TRUNCATE ON foreign_changes
FOR EACH STATEMENT EXECUTE FUNCTION keep_as_recorded();

CREATE TRIGGER chain_row AFTER INSERT ON foreign_changes FOR EACH ROW EXECUTE FUNCTION chain_row();

-- Who changed it is left out.
CREATE VIEW reader_foreign_changes AS
SELECT c.name AS cluster, f.foreign_id, f.after_change, f.object, f.attribute, f.account, f.raw_shares_ours,
    f.raw_shares_found, f.recorded_at, f.changed_at
FROM foreign_changes f JOIN clusters c USING (cluster_id);
