-- What one person proposed and another has to approve before it is in force. Rows are added and never changed: the
-- proposal, and later what became of it, which happens once.

-- proposal_id is NULL in the row of the proposal itself, whose number is its entry_id; content is what would be
-- recorded, {} in a ruling.
CREATE TABLE proposals (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    proposal_id bigint REFERENCES proposals,
    step text NOT NULL CHECK (step IN ('proposed', 'approved', 'rejected')),
    kind text NOT NULL CHECK (kind IN ('promise', 'registry', 'override', 'publication')),
    content jsonb NOT NULL,
    recorded_at bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    salt uuid DEFAULT gen_random_uuid(),
    CHECK ((proposal_id IS NULL) = (step = 'proposed'))
);

CREATE UNIQUE INDEX proposals_ruled_once ON proposals (proposal_id);

CREATE TRIGGER keep_as_recorded BEFORE DELETE OR TRUNCATE ON proposals
FOR EACH STATEMENT EXECUTE FUNCTION keep_as_recorded();

CREATE TRIGGER guard_personal BEFORE UPDATE ON proposals FOR EACH ROW
EXECUTE FUNCTION guard_personal(reason, actor);

-- What is proposed and what became of it; not what it says, or who says it.
CREATE VIEW reader_proposals AS
SELECT c.name AS cluster, p.entry_id, p.proposal_id, p.step, p.kind, p.recorded_at
FROM proposals p JOIN clusters c USING (cluster_id);
