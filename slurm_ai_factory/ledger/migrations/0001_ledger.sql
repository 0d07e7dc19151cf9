-- The ledger. Instants are bigint, seconds since the epoch in UTC, as in Slurm's own accounting tables.
-- Absent names are '' and never NULL, so that every key compares.

CREATE TABLE clusters (
    cluster_id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);

CREATE TABLE tres (
    tres_id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);

-- Each distinct set of TRES counts, once: thousands of them serve millions of runs.
CREATE TABLE allocations (
    allocation_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tres text NOT NULL UNIQUE
);

CREATE TABLE allocation_tres (
    allocation_id integer NOT NULL REFERENCES allocations,
    tres_id smallint NOT NULL REFERENCES tres,
    count numeric NOT NULL CHECK (count >= 0),
    PRIMARY KEY (allocation_id, tres_id)
);

-- The account tree as last seen; an account that Slurm deleted keeps its last parent.
CREATE TABLE accounts (
    cluster_id smallint NOT NULL REFERENCES clusters,
    account text NOT NULL,
    parent text NOT NULL,
    PRIMARY KEY (cluster_id, account)
);

-- Whom runs were for, as far as Slurm knows.
CREATE TABLE subjects (
    subject_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    account text NOT NULL,
    user_name text NOT NULL,
    partition text NOT NULL,
    qos text NOT NULL,
    wckey text NOT NULL,
    reservation text NOT NULL,
    UNIQUE (cluster_id, account, user_name, partition, qos, wckey, reservation)
);

-- The answer of the rules for each subject; digest says of which rules and account tree.
CREATE TABLE classifications (
    subject_id integer PRIMARY KEY REFERENCES subjects,
    digest text NOT NULL,
    beneficiary text NOT NULL CHECK (beneficiary IN ('regional', 'non_regional', 'unclassified')),
    rule text NOT NULL,
    category text NOT NULL,
    organisation text NOT NULL,
    sector text NOT NULL,
    hub text NOT NULL
);

-- Every run as last told by Slurm. db_index is unsigned 64 bit and does not fit a bigint. This table and
-- hourly_usage name no foreign keys: every key comes from a join with its table in the same transaction, and
-- checking them again takes longer than all the rest.
CREATE TABLE runs (
    cluster_id smallint NOT NULL,
    db_index numeric(20) NOT NULL CHECK (db_index > 0),
    job_id bigint NOT NULL,
    job_label text NOT NULL,
    subject_id integer NOT NULL,
    state text NOT NULL,
    submit_at bigint,
    eligible_at bigint,
    start_at bigint,
    end_at bigint CHECK (end_at >= start_at),
    elapsed_seconds bigint NOT NULL CHECK (elapsed_seconds >= 0),
    suspended_seconds bigint NOT NULL CHECK (suspended_seconds >= 0),
    req_id integer NOT NULL,
    alloc_id integer NOT NULL,
    energy_joules bigint CHECK (energy_joules >= 0),
    recorded_at bigint NOT NULL,
    missing_since bigint,
    PRIMARY KEY (cluster_id, db_index)
);

CREATE INDEX runs_open ON runs (cluster_id) WHERE end_at IS NULL;
CREATE INDEX runs_job ON runs (cluster_id, job_id);
CREATE INDEX runs_delivered ON runs USING brin (start_at, end_at) WITH (pages_per_range = 32);
CREATE INDEX runs_recorded ON runs USING brin (recorded_at) WITH (pages_per_range = 32);

-- What a run was before Slurm changed its mind.
CREATE TABLE run_versions (
    LIKE runs,
    superseded_at bigint NOT NULL
);

CREATE INDEX run_versions_run ON run_versions (cluster_id, db_index);
CREATE INDEX run_versions_superseded ON run_versions (cluster_id, superseded_at);

-- Seconds that ended runs were delivered, or waited for, in each hour, by subject and set of TRES: times the
-- counts of the set they are TRES-seconds.
CREATE TABLE hourly_usage (
    hour bigint NOT NULL CHECK (hour % 3600 = 0),
    subject_id integer NOT NULL,
    allocation_id integer NOT NULL,
    delivered bigint NOT NULL,
    waiting bigint NOT NULL,
    PRIMARY KEY (hour, subject_id, allocation_id)
);

-- The same in TRES-seconds, for people and for audits.
CREATE VIEW tres_usage AS
SELECT s.cluster_id, t.name AS tres, u.hour, u.subject_id, sum(u.delivered * c.count) AS delivered,
    sum(u.waiting * c.count) AS waiting
FROM hourly_usage u
JOIN subjects s USING (subject_id)
JOIN allocation_tres c USING (allocation_id)
JOIN tres t USING (tres_id)
GROUP BY s.cluster_id, t.name, u.hour, u.subject_id;

-- Every complete read of Slurm's accounting, at what time; the newest until is the watermark. touched_from is
-- the earliest hour whose usage the read changed.
CREATE TABLE reads (
    read_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    at bigint NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL CHECK (until > since),
    runs bigint NOT NULL,
    changed bigint NOT NULL,
    rejected bigint NOT NULL,
    touched_from bigint,
    newest_record_at bigint
);

CREATE INDEX reads_watermark ON reads (cluster_id, until);
CREATE INDEX reads_newest_record ON reads (cluster_id, newest_record_at);

-- Sums of hourly_usage by hour and beneficiary that were asked for before, so that they need not be added up
-- again: of which resource and classification, up to which read, and of which hours. Nothing rests on them: both
-- tables may be emptied at any time.
CREATE TABLE sums (
    sum_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    digest text NOT NULL,
    resource text NOT NULL,
    read_id bigint NOT NULL,
    known int8multirange NOT NULL,
    UNIQUE (cluster_id, digest, resource)
);

CREATE TABLE hourly_sums (
    sum_id integer NOT NULL REFERENCES sums ON DELETE CASCADE,
    hour bigint NOT NULL,
    beneficiary text NOT NULL,
    delivered numeric NOT NULL,
    waiting numeric NOT NULL,
    PRIMARY KEY (sum_id, hour, beneficiary)
);

-- Lines of sacct that could not be read as runs, with the reason.
CREATE TABLE rejected_lines (
    cluster_id smallint NOT NULL REFERENCES clusters,
    line text NOT NULL,
    reason text NOT NULL,
    first_read_at bigint NOT NULL,
    last_read_at bigint NOT NULL
);

CREATE UNIQUE INDEX rejected_lines_line ON rejected_lines (cluster_id, md5(line));

-- The cluster's own events: what size it had, and when its nodes were not up. A row is never changed: what
-- Slurm tells of the same event later is another row, with the time it was recorded.
CREATE TABLE sizes (
    cluster_id smallint NOT NULL REFERENCES clusters,
    since bigint NOT NULL,
    until bigint,
    tres text NOT NULL,
    recorded_at bigint NOT NULL,
    PRIMARY KEY (cluster_id, since, recorded_at)
);

CREATE TABLE outages (
    cluster_id smallint NOT NULL REFERENCES clusters,
    node text NOT NULL,
    since bigint NOT NULL,
    until bigint,
    state text NOT NULL,
    tres text NOT NULL,
    recorded_at bigint NOT NULL,
    PRIMARY KEY (cluster_id, node, since, recorded_at)
);

-- Every decision with its evidence, written before it is acted on.
CREATE TABLE decisions (
    decision_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    at bigint NOT NULL,
    mode text NOT NULL CHECK (mode IN ('observe', 'advise', 'enforce', 'operator')),
    reason text NOT NULL,
    sentence text NOT NULL,
    inputs jsonb NOT NULL,
    u_ref double precision,
    actor text NOT NULL
);

CREATE INDEX decisions_at ON decisions (cluster_id, at);

-- What a decision changes, and what became of it. Only 'planned' is unsettled.
CREATE TABLE changes (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    decision_id bigint NOT NULL REFERENCES decisions,
    account text NOT NULL,
    raw_shares_before bigint NOT NULL,
    raw_shares_after bigint NOT NULL,
    status text NOT NULL CHECK (status IN ('observed', 'advised', 'planned', 'applied', 'failed')),
    settled_at bigint,
    raw_shares_read bigint,
    note text NOT NULL DEFAULT ''
);

CREATE INDEX changes_decision ON changes (decision_id);
CREATE INDEX changes_planned ON changes (change_id) WHERE status = 'planned';

-- The operator's own shares, as found before the first change.
CREATE TABLE baselines (
    cluster_id smallint NOT NULL REFERENCES clusters,
    account text NOT NULL,
    raw_shares bigint NOT NULL,
    recorded_at bigint NOT NULL,
    PRIMARY KEY (cluster_id, account)
);

-- Of "seconds" spread evenly over [start, end): how many lie before "at". core/charge.py: spread.
CREATE FUNCTION spread(start_at bigint, end_at bigint, seconds bigint, at bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN at <= start_at THEN 0
        WHEN at >= end_at THEN seconds
        ELSE (at - start_at) * seconds / (end_at - start_at)
    END
$$;
