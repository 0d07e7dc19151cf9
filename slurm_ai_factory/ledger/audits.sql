-- add_audit --
-- Record a check of the ledger.
INSERT INTO audits (cluster_id, recorded_at, command, since, until, findings, result, actor)
VALUES (%(cluster_id)s, %(at)s, %(command)s, %(since)s, %(until)s, %(findings)s, %(result)s, %(actor)s)

-- audits --
-- The checks recorded in an interval, oldest first.
SELECT command, recorded_at, since, until, findings FROM audits
WHERE cluster_id = %(cluster_id)s AND recorded_at >= %(since)s AND recorded_at <= %(as_of)s
ORDER BY audit_id
