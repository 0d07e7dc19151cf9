-- add_reservation_act --
-- Add an act on the reservation, or what became of a planned one.
INSERT INTO reservation_acts (cluster_id, plan_id, at, act, name, since, until, nodes, outcome, sentence, inputs, actor)
VALUES (%(cluster_id)s, %(plan_id)s, %(at)s, %(kind)s, %(name)s, %(since)s, %(until)s, %(nodes)s, %(outcome)s,
    %(sentence)s, %(inputs)s, %(actor)s)
RETURNING act_id

-- last_reservation_act --
-- The newest act on a reservation, tried or advised; "planned" where it is not settled.
SELECT act_id, act, name, since, until, nodes, outcome FROM reservation_acts
WHERE cluster_id = %(cluster_id)s AND name = %(name)s AND (outcome = 'advised') = %(advised)s
ORDER BY act_id DESC LIMIT 1

-- applied_acts --
-- The acts that slurmctld confirmed of reservations that touch an interval, in their order, as known at an instant.
SELECT s.at, s.act, s.name, s.since, s.until, s.nodes, a.inputs -> 'tres'
FROM reservation_acts s JOIN reservation_acts a ON a.act_id = s.plan_id
WHERE s.cluster_id = %(cluster_id)s AND s.outcome = 'applied' AND s.until > %(since)s AND s.since < %(until)s
    AND s.at <= %(as_of)s
ORDER BY s.act_id

-- reservation_acts --
-- The latest acts with what became of them, newest first; one that is not settled is planned.
SELECT a.at, a.act, a.name, a.since, a.until, a.nodes, coalesce(s.outcome, a.outcome) AS outcome,
    coalesce(s.sentence, a.sentence) AS sentence, a.actor
FROM reservation_acts a LEFT JOIN reservation_acts s ON s.plan_id = a.act_id
WHERE a.cluster_id = %(cluster_id)s AND a.plan_id IS NULL ORDER BY a.act_id DESC LIMIT %(limit)s
