-- Hours of the expertise centre. An entry is never changed; one that corrects another has signed hours and a
-- reason. file is the digest of the file an entry was imported from, so that none is imported twice.
CREATE TABLE expertise_entries (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day date NOT NULL,
    organisation text NOT NULL CHECK (organisation <> ''),
    role text NOT NULL,
    hours numeric(9, 2) NOT NULL CHECK (hours <> 0),
    activity text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('delivered', 'unmet')),
    corrects bigint REFERENCES expertise_entries,
    reason text NOT NULL,
    file text NOT NULL DEFAULT '',
    recorded_at bigint NOT NULL,
    actor text NOT NULL,
    CHECK (corrects IS NOT NULL OR hours > 0),
    CHECK (corrects IS NULL OR reason <> '')
);

CREATE INDEX expertise_entries_day ON expertise_entries (day);
CREATE INDEX expertise_entries_file ON expertise_entries (file) WHERE file <> '';

-- Reports that were given out, with the figures in them, so that a later one can tell what was restated.
CREATE TABLE reports (
    report_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    window_name text NOT NULL,
    as_of bigint NOT NULL,
    fingerprint text NOT NULL,
    figures jsonb NOT NULL,
    published_at bigint NOT NULL,
    actor text NOT NULL,
    UNIQUE (cluster_id, window_name, as_of)
);

-- The key that turns names of users into pseudonyms: the same person stays the same pseudonym.
CREATE TABLE pseudonym_keys (
    cluster_id smallint PRIMARY KEY REFERENCES clusters,
    key bytea NOT NULL,
    made_at bigint NOT NULL
);

-- When users of runs that ended before an instant were given pseudonyms, and by whom.
CREATE TABLE pseudonymisations (
    cluster_id smallint NOT NULL REFERENCES clusters,
    at bigint NOT NULL,
    before bigint NOT NULL,
    runs bigint NOT NULL,
    users bigint NOT NULL,
    actor text NOT NULL
);
