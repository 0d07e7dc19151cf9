-- Names and sets of TRES of any length: a B-tree holds values of up to 2704 bytes, a hash index has only their
-- hashes. An index of hashes is unique as an exclusion constraint, and compares the values themselves.
ALTER TABLE allocations
    DROP CONSTRAINT allocations_tres_key,
    ADD CONSTRAINT allocations_tres EXCLUDE USING hash (tres WITH =);

ALTER TABLE tres
    DROP CONSTRAINT tres_name_key,
    ADD CONSTRAINT tres_name EXCLUDE USING hash (name WITH =);

-- A subject is known by all that it is made of.
ALTER TABLE subjects
    DROP CONSTRAINT subjects_cluster_id_account_user_name_partition_qos_wckey_r_key,
    ADD COLUMN key text[] NOT NULL GENERATED ALWAYS AS (
        ARRAY[cluster_id::text, account, user_name, partition, qos, wckey, reservation, comment, override]
    ) STORED,
    ADD CONSTRAINT subjects_key EXCLUDE USING hash (key WITH =);

-- Every read with a new set of TRES used up a number of this sequence for each name in it, known or not, and there
-- are 32767. It goes on after the names there are.
SELECT setval(pg_get_serial_sequence('tres', 'tres_id'), coalesce(max(tres_id), 0) + 1, false) FROM tres;

-- A line that cannot be read is kept once, and how many there are of late is asked for by every cycle.
CREATE INDEX rejected_lines_first_read ON rejected_lines (cluster_id, first_read_at);
CREATE INDEX rejected_lines_last_read ON rejected_lines (cluster_id, last_read_at);
