-- touched_since --
-- The newest read, and the earliest hour whose usage was changed by those after an earlier one.
SELECT (SELECT max(read_id) FROM reads WHERE cluster_id = %(cluster_id)s),
    (SELECT min(touched_from) FROM reads WHERE cluster_id = %(cluster_id)s AND read_id > %(read_id)s)
