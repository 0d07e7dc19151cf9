-- add_acknowledgement --
-- Record an acknowledgement of what a check finds, or the withdrawal of one.
INSERT INTO acknowledgements (cluster_id, check_name, level, recorded_at, until, actor, reason)
VALUES (%(cluster_id)s, %(check)s, %(level)s, %(at)s, %(until)s, %(actor)s, %(reason)s)

-- acknowledgements --
-- The newest acknowledgement of each check, except for those that were withdrawn.
SELECT check_name, level, recorded_at, until, actor, reason FROM (
    SELECT DISTINCT ON (check_name) * FROM acknowledgements
    WHERE cluster_id = %(cluster_id)s ORDER BY check_name, acknowledgement_id DESC
) AS newest
WHERE until > recorded_at
