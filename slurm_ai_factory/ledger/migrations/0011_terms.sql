-- The terms of the promise: what was promised from an hour on, by which document, and who recorded it, when and why.
-- A row is a whole term. A term holds until the next one begins; of rows with the same "since" the newest holds.
-- "resource" has the weight of each TRES as text. "ended" is true where no promise holds from then on.
CREATE TABLE promise_terms (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    promise text NOT NULL CHECK (promise <> ''),
    since bigint NOT NULL CHECK (since >= 0 AND since % 3600 = 0),
    ended boolean NOT NULL,
    share double precision NOT NULL CHECK (share > 0 AND share < 1),
    margin double precision NOT NULL CHECK (margin > 0 AND margin < 1),
    resource jsonb NOT NULL,
    label text NOT NULL,
    window_kind text NOT NULL,
    time_zone text NOT NULL,
    share_of text NOT NULL CHECK (share_of IN ('delivered', 'capacity')),
    unclassified_limit double precision,
    region text[] NOT NULL,
    min_organisations integer NOT NULL CHECK (min_organisations > 0),
    expertise_share double precision NOT NULL CHECK (expertise_share > 0 AND expertise_share < 1),
    source text NOT NULL CHECK (source <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    actor text NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE INDEX promise_terms_entry ON promise_terms (cluster_id, entry_id);
