-- add_decision --
-- Record a decision, before it is acted on.
INSERT INTO decisions (cluster_id, promise, at, mode, reason, sentence, inputs, u_ref, actor)
VALUES (%(cluster_id)s, %(promise)s, %(at)s, %(mode)s, %(reason)s, %(sentence)s, %(inputs)s, %(u_ref)s, %(actor)s)
RETURNING decision_id

-- add_change --
-- Record a change of a decision.
INSERT INTO changes (decision_id, object, attribute, account, raw_shares_before, raw_shares_after, status)
VALUES (
    %(decision_id)s, %(object)s, %(attribute)s, %(account)s, %(raw_shares_before)s, %(raw_shares_after)s, %(status)s
)
RETURNING change_id

-- settle_change --
-- Record the outcome of a planned change.
UPDATE changes SET status = %(status)s, settled_at = %(at)s, raw_shares_read = %(raw_shares)s, note = %(note)s
WHERE change_id = %(change_id)s AND status = 'planned'

-- planned_changes --
-- Changes without an outcome: the write was begun and not read back.
SELECT c.change_id, c.account, c.raw_shares_before, c.raw_shares_after, c.object
FROM changes c JOIN decisions d USING (decision_id)
WHERE d.cluster_id = %(cluster_id)s AND c.status = 'planned'
ORDER BY c.change_id

-- last_state --
-- The newest state of the control law for a promise.
SELECT at, u_ref FROM decisions
WHERE cluster_id = %(cluster_id)s AND promise = %(promise)s AND u_ref IS NOT NULL
ORDER BY decision_id DESC LIMIT 1

-- writes_since --
-- How many changes were tried for a promise since an instant, with any outcome.
SELECT count(*) FROM changes c JOIN decisions d USING (decision_id)
WHERE d.cluster_id = %(cluster_id)s AND d.promise = %(promise)s AND d.at > %(since)s AND c.status IN ('applied', 'failed', 'planned')

-- last_applied --
-- The value that the last applied change of an object left.
SELECT c.raw_shares_read FROM changes c JOIN decisions d USING (decision_id)
WHERE d.cluster_id = %(cluster_id)s AND c.object = %(object)s AND c.account = %(account)s AND c.status = 'applied'
ORDER BY c.change_id DESC LIMIT 1

-- foreign_change --
-- Where an object does not have the value that its last applied change left: that value, and what was recorded of the
-- present one. An operator accepts it by ending a pause, or resuming without one, after it was seen.
WITH ours AS (
    SELECT c.change_id, c.raw_shares_read, c.settled_at FROM changes c JOIN decisions d USING (decision_id)
    WHERE d.cluster_id = %(cluster_id)s AND c.object = %(object)s AND c.account = %(account)s AND c.status = 'applied'
    ORDER BY c.change_id DESC LIMIT 1
), newest AS (
    SELECT f.* FROM foreign_changes f JOIN ours ON f.after_change = ours.change_id ORDER BY f.foreign_id DESC LIMIT 1
)
SELECT ours.raw_shares_read, ours.settled_at, n.recorded_at, n.actor, n.changed_at, n.note, coalesce(n.recorded_at <= {resumed_at}, false)
FROM ours LEFT JOIN newest n ON n.raw_shares_found = %(theirs)s
WHERE ours.raw_shares_read <> %(theirs)s

-- add_foreign_change --
-- Record a value that another user set after the last applied change of an object.
INSERT INTO foreign_changes (
    cluster_id, after_change, object, attribute, account, raw_shares_ours, raw_shares_found, recorded_at, changed_at, actor,
    note
)
SELECT %(cluster_id)s, c.change_id, c.object, c.attribute, c.account, c.raw_shares_read, %(theirs)s, %(at)s,
    %(changed_at)s, %(actor)s, %(note)s
FROM changes c JOIN decisions d USING (decision_id)
WHERE d.cluster_id = %(cluster_id)s AND c.object = %(object)s AND c.account = %(account)s AND c.status = 'applied'
ORDER BY c.change_id DESC LIMIT 1

-- foreign_changes --
-- The values that other users set, newest first.
SELECT f.object, f.account, f.raw_shares_ours, c.settled_at, f.raw_shares_found, f.recorded_at, f.actor, f.changed_at, f.note,
    coalesce(f.recorded_at <= {resumed_at}, false)
FROM foreign_changes f JOIN changes c ON c.change_id = f.after_change
WHERE f.cluster_id = %(cluster_id)s ORDER BY f.foreign_id DESC LIMIT %(limit)s

-- reassertions_since --
-- How many decisions about a promise wrote a value of ours back since an instant, with any outcome.
SELECT count(DISTINCT decision_id) FROM decisions d JOIN changes c USING (decision_id)
WHERE d.cluster_id = %(cluster_id)s AND d.promise = %(promise)s AND d.reason = 'reassert' AND d.at > %(since)s
    AND c.status IN ('applied', 'failed', 'planned')

-- latest_decisions --
-- The latest decisions, newest first; about one promise or every one.
SELECT promise, at, mode, reason, sentence, inputs, actor FROM decisions
WHERE cluster_id = %(cluster_id)s AND promise = coalesce(%(promise)s, promise) ORDER BY decision_id DESC LIMIT %(limit)s

-- held_by_grid --
-- What waited for nodes kept free in an interval, in resource-seconds, and for how many seconds that is known: a decision
-- holds until the next one, and no longer than an hour.
SELECT sum((inputs ->> 'regional_held_by_grid')::numeric * seconds), sum(seconds)::bigint FROM (
    SELECT inputs, least(following, at + 3600, %(until)s, %(as_of)s) - greatest(at, %(since)s) AS seconds FROM (
        SELECT at, inputs, lead(at) OVER (ORDER BY at, decision_id) AS following FROM decisions
        WHERE cluster_id = %(cluster_id)s AND promise = %(promise)s
            AND at > %(since)s - 3600 AND at < %(until)s AND at <= %(as_of)s
    ) AS decided
) AS held
WHERE seconds > 0 AND inputs ->> 'regional_held_by_grid' IS NOT NULL

-- reason_since --
-- The first of the newest decisions about the first promise in a row that have this reason.
SELECT min(at) FROM decisions
WHERE cluster_id = %(cluster_id)s AND promise = 'region' AND decision_id > coalesce((
    SELECT max(decision_id) FROM decisions
    WHERE cluster_id = %(cluster_id)s AND promise = 'region' AND reason <> %(reason)s
), 0)

-- history --
-- Changes with the decisions behind them, newest first.
SELECT d.promise, d.at, d.mode, d.reason, d.sentence, d.actor, c.object, c.attribute, c.account, c.raw_shares_before,
    c.raw_shares_after,
    c.status, c.settled_at, c.raw_shares_read, c.note, d.inputs
FROM changes c JOIN decisions d USING (decision_id)
WHERE d.cluster_id = %(cluster_id)s AND c.status <> 'observed'
ORDER BY c.change_id DESC LIMIT %(limit)s

-- add_baseline --
-- Record the operator's own shares, once.
INSERT INTO baselines (cluster_id, object, account, raw_shares, sibling_shares, recorded_at)
VALUES (%(cluster_id)s, %(object)s, %(account)s, %(raw_shares)s, %(sibling_shares)s, %(at)s)
ON CONFLICT DO NOTHING

-- drop_baseline --
-- Delete the baseline of an object whose own value is restored.
DELETE FROM baselines WHERE cluster_id = %(cluster_id)s AND object = %(object)s AND account = %(account)s

-- baselines --
-- The operator's own values, of one kind of object.
SELECT account, raw_shares, sibling_shares FROM baselines
WHERE cluster_id = %(cluster_id)s AND object = %(object)s ORDER BY account

-- add_pause --
-- Record a pause of the control, or the end of one.
INSERT INTO pauses (cluster_id, recorded_at, until, actor, reason)
VALUES (%(cluster_id)s, %(at)s, %(until)s, %(actor)s, %(reason)s)

-- pauses --
-- Pauses and their ends, newest first.
SELECT recorded_at, until, actor, reason FROM pauses
WHERE cluster_id = %(cluster_id)s ORDER BY pause_id DESC LIMIT %(limit)s

-- resumed_at --
-- Fragment: when an operator last let the control go on, by ending a pause or without one; NULL for never.
(SELECT max(recorded_at) FROM pauses WHERE cluster_id = %(cluster_id)s AND until = recorded_at)
