-- A chain over everything that was recorded: each entry has the digest of one row, and a hash over the entry before it.
-- A row that is changed or removed no longer has its digest, an entry that is changed or removed breaks the hashes, and
-- a copy of the newest hash shows whether entries were cut off at the end.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

CREATE TABLE chain (
    entry bigint PRIMARY KEY,
    table_name text NOT NULL,
    row_key text NOT NULL,
    format smallint NOT NULL,
    digest text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    hash text NOT NULL
);

CREATE INDEX chain_row ON chain (table_name, row_key);

CREATE TRIGGER keep_as_recorded BEFORE UPDATE OR DELETE OR TRUNCATE ON chain
FOR EACH STATEMENT EXECUTE FUNCTION keep_as_recorded();

-- The rows that are chained: by which columns a row is known, which are under its digest in this order, and which of
-- these name people: they count as personal(text, salt), which outlives the text. A new format is a new line.
CREATE FUNCTION chained() RETURNS TABLE (name text, format smallint, key text[], columns text[], people text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
VALUES
    ('accounts', 1::smallint, '{cluster_id, account, recorded_at}'::text[],
        '{cluster_id, account, parent, recorded_at}'::text[], '{}'::text[]),
    ('audits', 1, '{audit_id}',
        '{audit_id, cluster_id, recorded_at, command, since, until, findings, result, actor}', '{actor}'),
    ('changes', 1, '{change_id}',
        '{change_id, decision_id, account, raw_shares_before, raw_shares_after, status, settled_at,
        raw_shares_read, note}', '{note}'),
    ('clusters', 1, '{cluster_id}',
        '{cluster_id, name}', '{}'),
    ('decisions', 1, '{decision_id}',
        '{decision_id, cluster_id, at, mode, reason, sentence, inputs, u_ref, actor}', '{sentence, actor}'),
    ('expertise_entries', 1, '{entry_id}',
        '{entry_id, day, organisation, role, hours, activity, kind, corrects, reason, file, recorded_at, actor}', '{activity, reason, actor}'),
    ('links', 1, '{entry_id}',
        '{entry_id, cluster_id, organisation, account, fraction, since, until, recorded_at, actor, reason}', '{actor, reason}'),
    ('organisations', 1, '{entry_id}',
        '{entry_id, organisation, name, kvk, category, sector, municipality, hub, since, until, recorded_at,
        actor, reason}', '{actor, reason}'),
    ('outages', 1, '{cluster_id, node, since, recorded_at}',
        '{cluster_id, node, since, until, state, tres, recorded_at}', '{}'),
    ('overrides', 1, '{override_id}',
        '{override_id, cluster_id, job, beneficiary, organisation, recorded_at, actor, reason}', '{actor, reason}'),
    ('pauses', 1, '{pause_id}',
        '{pause_id, cluster_id, recorded_at, until, actor, reason}', '{actor, reason}'),
    ('person_acts', 1, '{act_id}',
        '{act_id, cluster_id, act, person, person_salt, pseudonym, until, recorded_at, actor, reason}', '{actor, reason}'),
    ('promise_terms', 1, '{entry_id}',
        '{entry_id, cluster_id, promise, since, ended, share, margin, resource, label, window_kind, time_zone,
        share_of, unclassified_limit, region, min_organisations, expertise_share, source, reason, actor,
        recorded_at}', '{}'),
    ('proposals', 1, '{entry_id}',
        '{entry_id, cluster_id, proposal_id, step, kind, content, recorded_at, actor, reason}', '{actor, reason}'),
    ('pseudonymisations', 1, '{cluster_id, at, before}',
        '{cluster_id, at, before, runs, users, lines, staff, texts, actor}', '{actor}'),
    ('reads', 1, '{read_id}',
        '{read_id, cluster_id, at, since, until, runs, changed, rejected, touched_from, newest_record_at,
        runs_digest, missing_digest}', '{}'),
    ('reports', 1, '{report_id}',
        '{report_id, cluster_id, window_name, as_of, fingerprint, figures, format, settings, document,
        published_at, actor, head_entry, head}', '{actor}'),
    ('rules_used', 1, '{cluster_id, recorded_at}',
        '{cluster_id, recorded_at, rules}', '{}'),
    ('sizes', 1, '{cluster_id, since, recorded_at}',
        '{cluster_id, since, until, tres, recorded_at}', '{}'),
    ('withdrawals', 1, '{withdrawal_id}',
        '{withdrawal_id, cluster_id, since, recorded_at, actor, reason}', '{actor, reason}')
$$;

-- What is hashed of a row: the values of its columns as a JSON array.
CREATE FUNCTION chained_text(told jsonb, columns text[], people text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT jsonb_agg(
        CASE
            WHEN name = ANY(people) THEN to_jsonb(personal(told ->> name, (told ->> 'salt')::uuid)) ELSE told -> name
        END
        ORDER BY place
    )::text
    FROM unnest(columns) WITH ORDINALITY AS listed (name, place)
$$;

CREATE FUNCTION sha256_of(told text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT encode(sha256(convert_to(told, 'UTF8')), 'hex')
$$;

-- The hash of an entry.
CREATE FUNCTION chain_hash(before text, entry bigint, name text, row_key text, format smallint, digest text)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256_of(jsonb_build_array(before, entry, name, row_key, format, digest)::text)
$$;

CREATE FUNCTION add_to_chain(name text, row_key text, format smallint, digest text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    last chain;
BEGIN
    PERFORM pg_advisory_xact_lock(7347);
    SELECT * INTO last FROM chain ORDER BY entry DESC LIMIT 1;
    INSERT INTO chain (entry, table_name, row_key, format, digest, hash)
    SELECT next, name, row_key, format, digest,
        chain_hash(coalesce(last.hash, ''), next, name, row_key, format, digest)
    FROM (SELECT coalesce(last.entry, 0) + 1) AS following (next);
END
$$;

-- Put a row into the chain when it is final: as it is recorded, or a planned change once it is settled.
CREATE FUNCTION chain_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    told CONSTANT jsonb := to_jsonb(NEW);
BEGIN
    IF TG_TABLE_SCHEMA = current_schema() AND told ->> 'status' IS DISTINCT FROM 'planned' THEN
        PERFORM add_to_chain(
            c.name, chained_text(told, c.key, '{}'), c.format, sha256_of(chained_text(told, c.columns, c.people))
        ) FROM chained() c WHERE c.name = TG_TABLE_NAME ORDER BY c.format DESC LIMIT 1;
    END IF;
    RETURN NULL;
END
$$;

-- The digest of some runs: over the hash of each, in order. Users are left out, as in fingerprints, and what may change
-- of a run that no read told: under which override it stands, and whether reads still list it.
CREATE VIEW run_hashes AS
SELECT r.cluster_id, r.read_id, sha256(convert_to(ROW(
    r.db_index, r.job_id, r.job_label, s.account, s.partition, s.qos, s.wckey, s.reservation, s.comment, r.state,
    r.submit_at, r.eligible_at, r.start_at, r.end_at, r.elapsed_seconds, r.suspended_seconds, q.tres, a.tres,
    r.energy_joules
)::text, 'UTF8')) AS hash
FROM (
    SELECT cluster_id, read_id, db_index, job_id, job_label, subject_id, state, submit_at, eligible_at, start_at, end_at,
        elapsed_seconds, suspended_seconds, req_id, alloc_id, energy_joules
    FROM runs
    UNION ALL
    SELECT cluster_id, read_id, db_index, job_id, job_label, subject_id, state, submit_at, eligible_at, start_at, end_at,
        elapsed_seconds, suspended_seconds, req_id, alloc_id, energy_joules
    FROM run_versions
) AS r
JOIN subjects s USING (subject_id)
JOIN allocations q ON q.allocation_id = r.req_id
JOIN allocations a ON a.allocation_id = r.alloc_id;

-- The runs from before there was a chain are one row of it, "adopted".
CREATE FUNCTION adopted_runs() RETURNS text LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT encode(sha256(coalesce(string_agg(DISTINCT hash, '' ORDER BY hash), '')), 'hex')
    FROM run_hashes WHERE read_id IS NULL
$$;

-- Take in every row that there is, as of an upgrade.
CREATE FUNCTION adopt_into_chain() RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT * FROM chained() LOOP
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

SELECT adopt_into_chain();

DO $$
DECLARE
    one text;
BEGIN
    FOR one IN SELECT DISTINCT name FROM chained() LOOP
        EXECUTE format(
            'CREATE TRIGGER chain_row AFTER INSERT ON %I FOR EACH ROW EXECUTE FUNCTION chain_row()', one
        );
    END LOOP;
END
$$;

CREATE TRIGGER chain_settled AFTER UPDATE ON changes FOR EACH ROW
WHEN (OLD.status = 'planned' AND NEW.status <> 'planned') EXECUTE FUNCTION chain_row();
