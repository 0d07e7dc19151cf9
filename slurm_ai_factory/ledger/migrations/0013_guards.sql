-- What was recorded stays as it was recorded, whoever writes: guards on the tables of facts allow the changes that
-- saf itself makes and refuse all others, for the owner of the tables too. And views without persons, for saf_reader.

-- Guards look at the ledger's own tables, never at temporary ones of the same name.
SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- End the statement that a guard refuses.
CREATE FUNCTION refuse(name text, operation text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE restrict_violation USING MESSAGE = format('table %s keeps what was recorded, %s refused', name, operation);
END
$$;

-- For tables, or operations on them, that saf has no use for.
CREATE FUNCTION keep_as_recorded() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM refuse(TG_TABLE_NAME, TG_OP);
    RETURN NULL;
END
$$;

DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT unnest(ARRAY['allocations', 'clusters', 'promise_terms', 'rules_used', 'withdrawn_rows']) AS name,
            'UPDATE OR DELETE OR TRUNCATE' AS operations
        UNION ALL SELECT unnest(ARRAY['changes', 'decisions', 'expertise_entries', 'links', 'organisations',
            'overridden_runs', 'overrides', 'pauses', 'person_acts', 'pseudonymisations', 'reads', 'rejected_lines',
            'reports', 'run_versions', 'withdrawals']), 'DELETE OR TRUNCATE'
        UNION ALL SELECT unnest(ARRAY['accounts', 'outages', 'sizes', 'subjects']), 'UPDATE OR TRUNCATE'
        UNION ALL VALUES ('runs', 'TRUNCATE'), ('pseudonym_keys', 'UPDATE')
    LOOP
        EXECUTE format('CREATE TRIGGER keep_as_recorded BEFORE %s ON %I FOR EACH STATEMENT '
            'EXECUTE FUNCTION keep_as_recorded()', one.operations, one.name);
    END LOOP;
END
$$;

-- Of the texts that people left, only what stands for them may take their place, and the salt goes with the last.
CREATE FUNCTION guard_personal() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM refuse(TG_TABLE_NAME, TG_OP)
    FROM jsonb_each(to_jsonb(OLD)) AS was JOIN jsonb_each(to_jsonb(NEW)) AS becomes USING (key)
    WHERE was.value <> becomes.value AND NOT (
        key = ANY(TG_ARGV) AND becomes.value #>> '{}' = personal(was.value #>> '{}', OLD.salt)
        OR key = 'salt' AND NEW.salt IS NULL
    );
    PERFORM refuse(TG_TABLE_NAME, TG_OP) FROM jsonb_each_text(to_jsonb(NEW)) AS told
    WHERE NEW.salt IS NULL AND OLD.salt IS NOT NULL AND key = ANY(TG_ARGV) AND value !~ '^(~[0-9a-f]{16})?$';
    RETURN NEW;
END
$$;

DO $$
DECLARE
    one record;
BEGIN
    FOR one IN VALUES
        ('decisions', 'sentence, actor'), ('expertise_entries', 'activity, reason, actor'), ('links', 'reason, actor'),
        ('organisations', 'reason, actor'), ('overrides', 'reason, actor'), ('pauses', 'reason, actor'),
        ('person_acts', 'reason, actor'), ('pseudonymisations', 'actor'), ('reports', 'actor'),
        ('withdrawals', 'reason, actor')
    LOOP
        EXECUTE format('CREATE TRIGGER guard_personal BEFORE UPDATE ON %I FOR EACH ROW '
            'EXECUTE FUNCTION guard_personal(%s)', one.column1, one.column2);
    END LOOP;
END
$$;

-- A subject goes when it is of nothing any more: with it goes a name.
CREATE FUNCTION guard_subject() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM refuse(TG_TABLE_NAME, TG_OP) FROM (
        SELECT FROM runs JOIN was USING (subject_id)
        UNION ALL SELECT FROM run_versions JOIN was USING (subject_id)
        UNION ALL SELECT FROM hourly_usage JOIN was USING (subject_id)
    ) AS of_something;
    RETURN NULL;
END
$$;

CREATE TRIGGER guard_subject AFTER DELETE ON subjects REFERENCING OLD TABLE AS was
FOR EACH STATEMENT EXECUTE FUNCTION guard_subject();

-- The guards of whole statements join two tables of as many rows: never row by row, however few there were when the
-- plan was made.

-- A run changes where what it was is kept as a version that ended with the change; where a read no longer lists it,
-- or that read was withdrawn; or where its user gets a pseudonym.
CREATE FUNCTION guard_run() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_nestloop = off AS $$
BEGIN
    PERFORM refuse(TG_TABLE_NAME, TG_OP)
    FROM was w LEFT JOIN becomes b USING (cluster_id, db_index)
    WHERE (
        (
            SELECT count(*) > 0 FROM run_versions v
            WHERE v.cluster_id = w.cluster_id AND v.db_index = w.db_index
                AND v.superseded_at + 0 = b.recorded_at -- by the index of the run, not by that of the instant
                AND (v.job_id, v.job_label, v.subject_id, v.state, v.submit_at, v.eligible_at, v.start_at, v.end_at,
                v.elapsed_seconds, v.suspended_seconds, v.req_id, v.alloc_id, v.energy_joules, v.recorded_at,
                v.missing_since, v.read_id)
                IS NOT DISTINCT FROM (w.job_id, w.job_label, w.subject_id, w.state, w.submit_at, w.eligible_at,
                w.start_at, w.end_at, w.elapsed_seconds, w.suspended_seconds, w.req_id, w.alloc_id, w.energy_joules,
                w.recorded_at, w.missing_since, w.read_id)
        )
        OR num_nulls(w.missing_since, b.missing_since) = 1
        AND to_jsonb(w) - 'missing_since' = to_jsonb(b) - 'missing_since'
        AND (b.missing_since IS NOT NULL) = (
            SELECT count(*) > 0 FROM reads r
            WHERE r.cluster_id = w.cluster_id AND r.until = coalesce(w.missing_since, b.missing_since)
                AND r.at = r.until AND r.withdrawn_at IS NULL
        )
        OR to_jsonb(w) - 'subject_id' = to_jsonb(b) - 'subject_id'
        AND (SELECT key[1:2] || key[4:9] FROM subjects s WHERE s.subject_id = w.subject_id AND user_name NOT LIKE '~%')
            = (SELECT key[1:2] || key[4:9] FROM subjects s WHERE s.subject_id = b.subject_id AND user_name LIKE '~%')
    ) IS NOT TRUE;
    RETURN NULL;
END
$$;

CREATE TRIGGER guard_run AFTER UPDATE ON runs REFERENCING OLD TABLE AS was NEW TABLE AS becomes
FOR EACH STATEMENT EXECUTE FUNCTION guard_run();

-- A run goes where a withdrawal kept it as a version.
CREATE FUNCTION guard_run_gone() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_nestloop = off AS $$
BEGIN
    PERFORM refuse(TG_TABLE_NAME, TG_OP) FROM was w
    WHERE NOT EXISTS (
        SELECT FROM run_versions v
        JOIN withdrawals t ON t.cluster_id = v.cluster_id AND t.recorded_at = v.superseded_at
            AND t.since <= v.recorded_at
        WHERE v.cluster_id = w.cluster_id AND v.db_index = w.db_index
            AND to_jsonb(v) - 'superseded_at' = to_jsonb(w)
    );
    RETURN NULL;
END
$$;

CREATE TRIGGER guard_run_gone AFTER DELETE ON runs REFERENCING OLD TABLE AS was
FOR EACH STATEMENT EXECUTE FUNCTION guard_run_gone();

-- Of the versions of a run only the user changes, and into a pseudonym.
CREATE FUNCTION guard_version() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_nestloop = off AS $$
BEGIN
    PERFORM refuse(TG_TABLE_NAME, TG_OP) FROM (
        SELECT s.key[1:2] || s.key[4:9], s.user_name NOT LIKE '~%', w.cluster_id, w.db_index, w.superseded_at,
            w.job_id, w.job_label, w.state, w.submit_at, w.eligible_at, w.start_at, w.end_at, w.elapsed_seconds,
            w.suspended_seconds, w.req_id, w.alloc_id, w.energy_joules, w.recorded_at, w.missing_since, w.read_id
        FROM was w JOIN subjects s USING (subject_id)
        EXCEPT ALL
        SELECT s.key[1:2] || s.key[4:9], s.user_name LIKE '~%', b.cluster_id, b.db_index, b.superseded_at,
            b.job_id, b.job_label, b.state, b.submit_at, b.eligible_at, b.start_at, b.end_at, b.elapsed_seconds,
            b.suspended_seconds, b.req_id, b.alloc_id, b.energy_joules, b.recorded_at, b.missing_since, b.read_id
        FROM becomes b JOIN subjects s USING (subject_id)
    ) AS without_pseudonym;
    RETURN NULL;
END
$$;

CREATE TRIGGER guard_version AFTER UPDATE ON run_versions REFERENCING OLD TABLE AS was NEW TABLE AS becomes
FOR EACH STATEMENT EXECUTE FUNCTION guard_version();

-- What withdrawn reads told of the cluster goes where it is kept in withdrawn_rows.
CREATE FUNCTION guard_withdrawn() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_nestloop = off AS $$
BEGIN
    PERFORM refuse(TG_TABLE_NAME, TG_OP) FROM was w
    WHERE NOT EXISTS (
        SELECT FROM withdrawn_rows k JOIN withdrawals t USING (withdrawal_id)
        WHERE k.table_name = TG_TABLE_NAME AND k.content = to_jsonb(w) AND t.cluster_id = w.cluster_id
            AND t.since <= w.recorded_at
    );
    RETURN NULL;
END
$$;

CREATE TRIGGER guard_withdrawn AFTER DELETE ON accounts REFERENCING OLD TABLE AS was
FOR EACH STATEMENT EXECUTE FUNCTION guard_withdrawn();

CREATE TRIGGER guard_withdrawn AFTER DELETE ON outages REFERENCING OLD TABLE AS was
FOR EACH STATEMENT EXECUTE FUNCTION guard_withdrawn();

CREATE TRIGGER guard_withdrawn AFTER DELETE ON sizes REFERENCING OLD TABLE AS was
FOR EACH STATEMENT EXECUTE FUNCTION guard_withdrawn();

-- A planned change is settled once.
CREATE FUNCTION guard_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    settlement CONSTANT text[] := '{status, settled_at, raw_shares_read, note}';
BEGIN
    IF NEW.status NOT IN ('applied', 'failed')
        OR to_jsonb(NEW) - settlement <> to_jsonb(OLD) - settlement
    THEN
        PERFORM refuse(TG_TABLE_NAME, TG_OP);
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER guard_change BEFORE UPDATE ON changes FOR EACH ROW
WHEN (OLD.status = 'planned') EXECUTE FUNCTION guard_change();

CREATE TRIGGER guard_personal BEFORE UPDATE ON changes FOR EACH ROW
WHEN (OLD.status <> 'planned') EXECUTE FUNCTION guard_personal(note);

-- A read is withdrawn once, by a withdrawal that reaches it.
CREATE FUNCTION guard_read() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    withdrawal CONSTANT text[] := '{withdrawn_at, withdrawal_id}';
BEGIN
    IF OLD.withdrawn_at IS NOT NULL OR to_jsonb(NEW) - withdrawal <> to_jsonb(OLD) - withdrawal
        OR NOT EXISTS (
            SELECT FROM withdrawals t
            WHERE t.withdrawal_id = NEW.withdrawal_id AND t.cluster_id = NEW.cluster_id
                AND t.recorded_at = NEW.withdrawn_at AND t.since <= NEW.at
        )
    THEN
        PERFORM refuse(TG_TABLE_NAME, TG_OP);
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER guard_read BEFORE UPDATE ON reads FOR EACH ROW EXECUTE FUNCTION guard_read();

-- A line that could not be read is read again later, or only its digest stays.
CREATE FUNCTION guard_line() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.line NOT IN (OLD.line, '~' || md5(OLD.line)) OR NEW.cluster_id <> OLD.cluster_id
        OR NEW.first_read_at <> OLD.first_read_at OR NEW.last_read_at < OLD.last_read_at
        OR NEW.reason <> OLD.reason AND NEW.last_read_at = OLD.last_read_at AND (
            NEW.line = OLD.line OR NEW.reason NOT IN ('withheld', regexp_replace(OLD.reason, '[''"].*[''"]', '~'))
        )
    THEN
        PERFORM refuse(TG_TABLE_NAME, TG_OP);
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER guard_line BEFORE UPDATE ON rejected_lines FOR EACH ROW EXECUTE FUNCTION guard_line();

-- A run stands under the newest override there is, which must be one of its job, or under none if that took an
-- earlier one back.
CREATE FUNCTION guard_overridden() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF (NEW.cluster_id, NEW.db_index) <> (OLD.cluster_id, OLD.db_index) OR NOT EXISTS (
        SELECT FROM (
            SELECT * FROM overrides o WHERE o.cluster_id = NEW.cluster_id ORDER BY override_id DESC LIMIT 1
        ) AS newest
        JOIN runs r ON r.cluster_id = NEW.cluster_id AND r.db_index = NEW.db_index
        WHERE newest.job IN (r.job_label, r.job_id::text)
            AND NEW.override = CASE WHEN newest.beneficiary IS NULL THEN '' ELSE newest.override_id::text END
    ) THEN
        PERFORM refuse(TG_TABLE_NAME, TG_OP);
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER guard_overridden BEFORE UPDATE ON overridden_runs FOR EACH ROW EXECUTE FUNCTION guard_overridden();

-- Statistics for the planner, which only the owner of a table may gather.
CREATE FUNCTION analyze_classifications() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
BEGIN
    ANALYZE classifications;
END
$$;

-- What saf_reader sees: no user, no staff, no comment, wckey or reservation, no free text, and no name or KvK number
-- of an organisation, which may be a sole proprietor.

CREATE VIEW reader_runs AS
SELECT c.name AS cluster, r.db_index, r.job_id, s.account, s.partition, s.qos, r.state, r.submit_at, r.eligible_at,
    r.start_at, r.end_at, r.elapsed_seconds, r.suspended_seconds, q.tres AS req_tres, a.tres AS alloc_tres,
    r.energy_joules, r.recorded_at, r.missing_since
FROM runs r
JOIN clusters c USING (cluster_id)
JOIN subjects s USING (subject_id)
JOIN allocations q ON q.allocation_id = r.req_id
JOIN allocations a ON a.allocation_id = r.alloc_id;

-- TRES-seconds of ended runs by hour.
CREATE VIEW reader_usage AS
SELECT c.name AS cluster, u.hour, s.account, s.partition, s.qos, t.name AS tres,
    sum(u.delivered * n.count) AS delivered, sum(u.waiting * n.count) AS waiting
FROM hourly_usage u
JOIN subjects s USING (subject_id)
JOIN clusters c USING (cluster_id)
JOIN allocation_tres n USING (allocation_id)
JOIN tres t USING (tres_id)
GROUP BY c.name, u.hour, s.account, s.partition, s.qos, t.name;

CREATE VIEW reader_reads AS
SELECT c.name AS cluster, r.read_id, r.at, r.since, r.until, r.runs, r.changed, r.rejected, r.withdrawn_at
FROM reads r JOIN clusters c USING (cluster_id);

-- Of a decision's inputs only the numbers.
CREATE VIEW reader_decisions AS
SELECT c.name AS cluster, d.decision_id, d.at, d.mode, d.reason, d.u_ref, (
        SELECT jsonb_object_agg(key, value) FROM jsonb_each(d.inputs) WHERE jsonb_typeof(value) = 'number'
    ) AS inputs
FROM decisions d JOIN clusters c USING (cluster_id);

CREATE VIEW reader_changes AS
SELECT change_id, decision_id, account, raw_shares_before, raw_shares_after, status, settled_at, raw_shares_read
FROM changes;

CREATE VIEW reader_pauses AS
SELECT c.name AS cluster, p.recorded_at, p.until FROM pauses p JOIN clusters c USING (cluster_id);

CREATE VIEW reader_accounts AS
SELECT c.name AS cluster, a.account, a.parent, a.recorded_at FROM accounts a JOIN clusters c USING (cluster_id);

CREATE VIEW reader_sizes AS
SELECT c.name AS cluster, s.since, s.until, s.tres, s.recorded_at FROM sizes s JOIN clusters c USING (cluster_id);

CREATE VIEW reader_outages AS
SELECT c.name AS cluster, o.node, o.since, o.until, o.state, o.tres, o.recorded_at
FROM outages o JOIN clusters c USING (cluster_id);

CREATE VIEW reader_organisations AS
SELECT entry_id, organisation, category, sector, municipality, hub, since, until, recorded_at FROM organisations;

CREATE VIEW reader_links AS
SELECT c.name AS cluster, l.entry_id, l.organisation, l.account, l.fraction, l.since, l.until, l.recorded_at
FROM links l JOIN clusters c USING (cluster_id);

CREATE VIEW reader_overrides AS
SELECT c.name AS cluster, o.override_id, o.job, o.beneficiary, o.organisation, o.recorded_at
FROM overrides o JOIN clusters c USING (cluster_id);

CREATE VIEW reader_expertise AS
SELECT entry_id, day, organisation, hours, kind, corrects, recorded_at FROM expertise_entries;

-- Who recorded a term, and why, is left out.
CREATE VIEW reader_promise_terms AS
SELECT c.name AS cluster, t.entry_id, t.promise, t.since, t.ended, t.share, t.margin, t.resource, t.label, t.window_kind,
    t.time_zone, t.share_of, t.unclassified_limit, t.region, t.min_organisations, t.expertise_share, t.source,
    t.recorded_at
FROM promise_terms t JOIN clusters c USING (cluster_id);

CREATE VIEW reader_reports AS
SELECT c.name AS cluster, r.window_name, r.as_of, r.fingerprint, r.figures, r.published_at
FROM reports r JOIN clusters c USING (cluster_id);
