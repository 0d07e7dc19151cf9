-- How much power the connection to the grid may draw, and the nodes that were kept free for that.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- At most "max_kw" in [since, until), both on a quarter of an hour; the least row in force counts. A correction names the
-- entry that it replaces; one that is withdrawn takes it back.
CREATE TABLE allowed_power (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    since bigint NOT NULL CHECK (since % 900 = 0),
    until bigint NOT NULL CHECK (until % 900 = 0 AND until > since),
    max_kw numeric NOT NULL CHECK (max_kw >= 0),
    kind text NOT NULL CHECK (kind IN ('contract', 'tdtr', 'tbtr', 'redispatch', 'own')),
    reference text NOT NULL CHECK (reference <> ''),
    told_at bigint NOT NULL,
    withdrawn boolean NOT NULL,
    replaces bigint REFERENCES allowed_power,
    recorded_at bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    salt uuid DEFAULT gen_random_uuid(),
    CHECK (replaces IS NULL OR reason <> ''),
    CHECK (replaces IS NOT NULL OR NOT withdrawn)
);

CREATE INDEX allowed_power_until ON allowed_power (cluster_id, until);

-- What was done to the one reservation that keeps nodes free. A row with outcome "planned" is there before Slurm is
-- asked; the row that names it in plan_id says what was read back. Nodes are those that the reservation then has or had.
CREATE TABLE reservation_acts (
    act_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    plan_id bigint REFERENCES reservation_acts,
    at bigint NOT NULL,
    act text NOT NULL CHECK (act IN ('create', 'change', 'end')),
    name text NOT NULL CHECK (name <> ''),
    since bigint NOT NULL,
    until bigint NOT NULL CHECK (until > since),
    nodes text[] NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('advised', 'planned', 'applied', 'failed')),
    sentence text NOT NULL,
    inputs jsonb NOT NULL,
    actor text NOT NULL,
    salt uuid DEFAULT gen_random_uuid(),
    CHECK ((plan_id IS NULL) = (outcome IN ('advised', 'planned')))
);

CREATE UNIQUE INDEX reservation_acts_settled_once ON reservation_acts (plan_id);
CREATE INDEX reservation_acts_until ON reservation_acts (cluster_id, until);

CREATE TRIGGER keep_as_recorded BEFORE DELETE OR TRUNCATE ON allowed_power
FOR EACH STATEMENT EXECUTE FUNCTION keep_as_recorded();
CREATE TRIGGER keep_as_recorded BEFORE DELETE OR TRUNCATE ON reservation_acts
FOR EACH STATEMENT EXECUTE FUNCTION keep_as_recorded();

CREATE TRIGGER guard_personal BEFORE UPDATE ON allowed_power FOR EACH ROW
EXECUTE FUNCTION guard_personal(reason, actor);
CREATE TRIGGER guard_personal BEFORE UPDATE ON reservation_acts FOR EACH ROW
EXECUTE FUNCTION guard_personal(sentence, actor);

ALTER FUNCTION chained() RENAME TO chained_before_grid;

CREATE FUNCTION chained() RETURNS TABLE (name text, format smallint, key text[], columns text[], people text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT * FROM chained_before_grid()
UNION ALL VALUES
    ('allowed_power', 1::smallint, '{entry_id}'::text[],
        '{entry_id, cluster_id, since, until, max_kw, kind, reference, told_at, withdrawn, replaces, recorded_at, actor,
        reason}'::text[], '{actor, reason}'::text[]),
    ('reservation_acts', 1, '{act_id}',
        '{act_id, cluster_id, plan_id, at, act, name, since, until, nodes, outcome, sentence, inputs, actor}',
        '{sentence, actor}')
$$;

CREATE TRIGGER chain_row AFTER INSERT ON allowed_power FOR EACH ROW EXECUTE FUNCTION chain_row();
CREATE TRIGGER chain_row AFTER INSERT ON reservation_acts FOR EACH ROW EXECUTE FUNCTION chain_row();

CREATE VIEW reader_allowed_power AS
SELECT c.name AS cluster, p.entry_id, p.since, p.until, p.max_kw, p.kind, p.told_at, p.withdrawn, p.replaces, p.recorded_at
FROM allowed_power p JOIN clusters c USING (cluster_id);

CREATE VIEW reader_reservation_acts AS
SELECT c.name AS cluster, a.act_id, a.plan_id, a.at, a.act, a.name, a.since, a.until, cardinality(a.nodes) AS nodes,
    a.outcome
FROM reservation_acts a JOIN clusters c USING (cluster_id);
