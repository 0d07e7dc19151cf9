-- serialize_proposals --
-- Approve or reject one proposal at a time.
SELECT pg_advisory_xact_lock(7346, %(cluster_id)s)

-- add_proposal --
-- Record a proposal.
INSERT INTO proposals (cluster_id, step, kind, content, recorded_at, actor, reason)
VALUES (%(cluster_id)s, 'proposed', %(kind)s, %(content)s, %(at)s, %(actor)s, %(reason)s)
RETURNING entry_id

-- rule_on_proposal --
-- Record the approval or rejection of a proposal.
INSERT INTO proposals (cluster_id, proposal_id, step, kind, content, recorded_at, actor, reason)
VALUES (%(cluster_id)s, %(number)s, %(step)s, %(kind)s, '{}', %(at)s, %(actor)s, %(reason)s)

-- proposals --
-- Proposals with their approvals and rejections, newest first.
SELECT p.entry_id, p.kind, p.content, p.recorded_at, p.actor, p.reason, r.step, r.recorded_at, r.actor, r.reason
FROM proposals p LEFT JOIN proposals r ON r.proposal_id = p.entry_id
WHERE p.cluster_id = %(cluster_id)s AND p.step = 'proposed' AND p.entry_id = coalesce(%(number)s, p.entry_id)
ORDER BY p.entry_id DESC

-- proposals_waiting --
-- How many proposals are neither approved nor rejected.
SELECT count(*) FROM proposals p
WHERE p.cluster_id = %(cluster_id)s AND p.step = 'proposed'
    AND NOT EXISTS (SELECT FROM proposals r WHERE r.proposal_id = p.entry_id)

-- proposals_approved --
-- How many proposals had been approved by an instant.
SELECT count(*) FROM proposals
WHERE cluster_id = %(cluster_id)s AND step = 'approved' AND recorded_at <= %(as_of)s
