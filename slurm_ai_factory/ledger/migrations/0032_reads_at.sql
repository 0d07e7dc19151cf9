-- Each read asks whether a later one was recorded: without an index it looks through all reads of all years.
CREATE INDEX reads_at ON reads (cluster_id, at);
