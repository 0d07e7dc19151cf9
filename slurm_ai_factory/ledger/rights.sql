-- rights --
-- Every table: its kind, the rights of saf_daemon besides SELECT, and why.
VALUES
    ('accounts', 'fact', 'INSERT, DELETE', 'deleted when a read is withdrawn, and kept in withdrawn_rows'),
    ('acknowledgements', 'fact', 'INSERT, UPDATE (reason, actor, salt)', 'names and texts go, and what stands for them stays'),
    ('allocation_tres', 'derived', 'INSERT, DELETE', 'made again from allocations'),
    ('allocations', 'fact', 'INSERT', ''),
    ('allowed_power', 'fact', 'INSERT, UPDATE (reason, actor, salt)', 'names and texts go, and what stands for them stays'),
    ('archives', 'fact', 'INSERT, UPDATE (actor, salt)', 'a name goes, and what stands for it stays'),
    ('audits', 'fact', 'INSERT, UPDATE (actor, salt)', 'a name goes, and what stands for it stays'),
    ('baselines', 'derived', 'INSERT, DELETE', 'deleted once restored; `changes` has what they were'),
    ('changes', 'fact', 'INSERT, UPDATE (status, settled_at, raw_shares_read, note, salt)', 'a planned change is settled, once; a text goes'),
    ('chain', 'fact', '', 'a trigger adds to it'),
    ('classifications', 'derived', 'INSERT, UPDATE, DELETE', 'made again from the rules'),
    ('clusters', 'fact', 'INSERT', ''),
    ('daily_sums', 'derived', 'INSERT, UPDATE, DELETE', 'made again from hourly_usage'),
    ('day_statement_rows', 'fact', 'INSERT', ''),
    ('day_statements', 'fact', 'INSERT', ''),
    ('decisions', 'fact', 'INSERT, UPDATE (sentence, actor, salt), DELETE', 'names and texts go, and what stands for them stays; one without a change goes where an expiry lists it'),
    ('expertise_entries', 'fact', 'INSERT, UPDATE (activity, reason, actor, salt)', 'the same'),
    ('expiries', 'fact', 'INSERT, UPDATE (actor, salt)', 'a trigger fills in what expires; a name goes'),
    ('foreign_changes', 'fact', 'INSERT, UPDATE (actor, note, salt)', 'the same'),
    ('given_statements', 'fact', 'INSERT', ''),
    ('hourly_sums', 'derived', 'INSERT, UPDATE, DELETE', 'made again from hourly_usage'),
    ('hourly_usage', 'derived', 'INSERT, UPDATE, DELETE', 'made again from runs'),
    ('hubs', 'fact', 'INSERT, UPDATE (reason, actor, salt)', 'names and texts go, and what stands for them stays'),
    ('joint_terms', 'fact', 'INSERT, UPDATE (reason, actor, salt)', 'the same'),
    ('joint_weights', 'fact', 'INSERT, UPDATE (reason, actor, salt)', 'the same'),
    ('links', 'fact', 'INSERT, UPDATE (reason, actor, salt)', 'the same'),
    ('meter_ends', 'fact', 'INSERT, UPDATE (reason, actor, salt)', 'the same'),
    ('meters', 'fact', 'INSERT, UPDATE (reason, actor, salt)', 'the same'),
    ('migrations', 'fact', '', 'saf_owner migrates'),
    ('organisations', 'fact', 'INSERT, UPDATE (reason, actor, salt)', 'the same'),
    ('outages', 'fact', 'INSERT, DELETE', 'deleted when a read is withdrawn, and kept in withdrawn_rows'),
    ('overridden_runs', 'fact', 'INSERT, UPDATE (override)', 'a run moves to the newest override of its job'),
    ('overrides', 'fact', 'INSERT, UPDATE (reason, actor, salt)', 'the same'),
    ('pauses', 'fact', 'INSERT, UPDATE (reason, actor, salt)', 'the same'),
    ('person_acts', 'fact', 'INSERT, UPDATE (reason, actor, salt)', 'the same'),
    ('placements', 'fact', 'INSERT, UPDATE (actor, salt)', 'the same'),
    ('promise_terms', 'fact', 'INSERT', ''),
    ('proposals', 'fact', 'INSERT, UPDATE (reason, actor, salt)', 'the same'),
    ('pseudonym_keys', 'fact', 'INSERT', 'saf_owner may delete a key'),
    ('pseudonymisations', 'fact', 'INSERT, UPDATE (actor, salt)', 'the same'),
    ('reads', 'fact', 'INSERT, UPDATE (withdrawn_at, withdrawal_id)', 'a read is withdrawn, once'),
    ('rejected_lines', 'fact', 'INSERT, UPDATE (line, reason, last_read_at)', 'a line is read again, or only its digest stays'),
    ('reports', 'fact', 'INSERT, UPDATE (actor, salt)', 'the same'),
    ('reservation_acts', 'fact', 'INSERT, UPDATE (sentence, actor, salt)', 'the same'),
    ('rule_sets', 'derived', 'INSERT, UPDATE, DELETE', 'made again from the rules'),
    ('rules_used', 'fact', 'INSERT', ''),
    ('run_versions', 'fact', 'INSERT, UPDATE (subject_id)', 'the user gets a pseudonym'),
    ('runs', 'fact', 'INSERT, UPDATE, DELETE', 'what a run was is kept in run_versions first; or its user gets a pseudonym, or reads no longer list it'),
    ('sizes', 'fact', 'INSERT, DELETE', 'deleted when a read is withdrawn, and kept in withdrawn_rows'),
    ('subjects', 'fact', 'INSERT, DELETE', 'one that is of nothing any more goes, with its name'),
    ('sums', 'derived', 'INSERT, UPDATE, DELETE', 'made again from hourly_usage'),
    ('tres', 'derived', 'INSERT', 'made again from allocations'),
    ('withdrawals', 'fact', 'INSERT, UPDATE (reason, actor, salt)', 'the same'),
    ('withdrawn_rows', 'fact', 'INSERT', '')

-- revokes --
-- The statements that revoke all rights of saf_daemon and saf_reader.
SELECT format('REVOKE ALL ON ALL TABLES IN SCHEMA %%I FROM saf_daemon, saf_reader', current_schema())
UNION ALL SELECT format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %%I FROM saf_daemon, saf_reader', current_schema())
UNION ALL SELECT 'REVOKE ALL ON FUNCTION analyze_classifications() FROM PUBLIC'

-- grants --
-- The statements that grant saf_daemon and saf_reader their rights.
SELECT format('GRANT USAGE ON SCHEMA %%I TO saf_daemon, saf_reader', current_schema())
UNION ALL SELECT format('GRANT %%s ON %%I TO saf_daemon', concat_ws(', ', 'SELECT', nullif(may, '')), name)
FROM ({rights}) AS rights (name, kind, may, why)
UNION ALL SELECT 'GRANT SELECT ON tres_usage, run_hashes TO saf_daemon'
UNION ALL SELECT 'GRANT USAGE ON SEQUENCE uses, reads_read_id_seq TO saf_daemon'
UNION ALL SELECT format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %%I TO saf_daemon', current_schema())
UNION ALL SELECT 'GRANT EXECUTE ON FUNCTION analyze_classifications() TO saf_daemon'
UNION ALL SELECT format('GRANT SELECT ON %%I TO saf_daemon, saf_reader', viewname) FROM pg_views
WHERE schemaname = current_schema() AND viewname LIKE 'reader\_%%'

-- owner --
-- The role of this session, whether it may change the schema, and whether saf_owner owns it.
SELECT current_user, pg_has_role(nspowner, 'MEMBER') OR has_schema_privilege(oid, 'CREATE'),
    coalesce(nspowner = to_regrole('saf_owner'), false)
FROM pg_namespace WHERE nspname = current_schema()

-- roles --
-- What a superuser runs on the database of a ledger, new or old: three roles, and all of the ledger is saf_owner's.
DO $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY ARRAY['saf_owner', 'saf_daemon', 'saf_reader'] LOOP
        IF to_regrole(one) IS NULL THEN
            EXECUTE format('CREATE ROLE %%I NOLOGIN', one);
        END IF;
    END LOOP;
    EXECUTE format('ALTER DATABASE %%I OWNER TO saf_owner', current_database());
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %%I TO saf_daemon', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %%I TO saf_reader', current_database());
    EXECUTE format('ALTER SCHEMA %%I OWNER TO saf_owner', current_schema());
    EXECUTE format('REVOKE CREATE ON SCHEMA %%I FROM PUBLIC', current_schema());
    FOR one IN
        SELECT format('%%s %%s', kind, oid::regclass) FROM pg_class
        JOIN (VALUES ('r', 'TABLE'), ('v', 'VIEW'), ('S', 'SEQUENCE')) AS kinds (letter, kind) ON letter = relkind
        WHERE relnamespace = current_schema()::regnamespace AND NOT EXISTS (
            SELECT FROM pg_depend d
            WHERE d.objid = pg_class.oid AND (d.deptype = 'e' OR relkind = 'S' AND d.deptype IN ('a', 'i'))
        )
        UNION ALL
        SELECT format('FUNCTION %%s', oid::regprocedure) FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
    LOOP
        EXECUTE format('ALTER %%s OWNER TO saf_owner', one);
    END LOOP;
END
$$;
