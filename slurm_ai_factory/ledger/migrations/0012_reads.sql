-- Which read told what a run is. A row that an override made has the read of the row it is made of.
ALTER TABLE runs ADD COLUMN read_id bigint;
ALTER TABLE run_versions ADD COLUMN read_id bigint;

-- The digest of the runs that a read took in, and of the open runs that it no longer listed where it listed all that
-- are open. NULL for reads from before there was a chain.
ALTER TABLE reads
    ADD COLUMN runs_digest text,
    ADD COLUMN missing_digest text;
