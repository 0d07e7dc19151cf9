-- Reads that were taken back: by a wrong clock, or while Slurm hid rows. A withdrawn read covers nothing any more;
-- what it brought is kept in run_versions and withdrawn_rows.
CREATE TABLE withdrawals (
    withdrawal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    since bigint NOT NULL,
    recorded_at bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL CHECK (reason <> '')
);

ALTER TABLE reads
    ADD COLUMN withdrawn_at bigint,
    ADD COLUMN withdrawal_id bigint REFERENCES withdrawals;

-- Rows of other tables that withdrawn reads wrote, as they were.
CREATE TABLE withdrawn_rows (
    withdrawal_id bigint NOT NULL REFERENCES withdrawals,
    table_name text NOT NULL,
    content jsonb NOT NULL
);

-- The RawShares that competed with the account when its baseline was recorded; NULL for older baselines.
ALTER TABLE baselines ADD COLUMN sibling_shares bigint;
