-- Checks of the books that were made, with what they found: saf ledger verify, and saf reconcile against Slurm's own.
-- "since" and "until" are NULL where a check was over all there is.
CREATE TABLE audits (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    recorded_at bigint NOT NULL,
    command text NOT NULL CHECK (command IN ('verify', 'reconcile')),
    since bigint,
    until bigint,
    findings bigint NOT NULL CHECK (findings >= 0),
    result jsonb NOT NULL,
    actor text NOT NULL,
    salt uuid DEFAULT gen_random_uuid()
);

CREATE INDEX audits_made ON audits (cluster_id, recorded_at);

-- The head of the chain when a report was published; NULL for those from before there was a chain.
ALTER TABLE reports
    ADD COLUMN head_entry bigint,
    ADD COLUMN head text;

CREATE TRIGGER keep_as_recorded BEFORE DELETE OR TRUNCATE ON audits
FOR EACH STATEMENT EXECUTE FUNCTION keep_as_recorded();

CREATE TRIGGER guard_personal BEFORE UPDATE ON audits FOR EACH ROW EXECUTE FUNCTION guard_personal(actor);

CREATE VIEW reader_audits AS
SELECT c.name AS cluster, a.audit_id, a.recorded_at, a.command, a.since, a.until, a.findings
FROM audits a JOIN clusters c USING (cluster_id);
