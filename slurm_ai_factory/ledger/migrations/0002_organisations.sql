-- The registry of organisations, the rules as they were, and classification by dates. What an account manager or
-- operator says is never changed: what is said of the same thing later is another row, with who, when and why,
-- and the newest holds. "until" is 9223372036854775807 where there is no end; an entry that ends where it begins
-- was taken back.

CREATE TABLE organisations (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organisation text NOT NULL CHECK (organisation <> ''),
    name text NOT NULL CHECK (name <> ''),
    kvk text NOT NULL CHECK (kvk ~ '^([0-9]{8})?$'),
    category text NOT NULL CHECK (category IN ('business', 'knowledge_institution', 'government')),
    sector text NOT NULL,
    municipality text NOT NULL,
    hub text NOT NULL,
    since bigint NOT NULL CHECK (since % 3600 = 0),
    until bigint NOT NULL CHECK (until >= since),
    recorded_at bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL CHECK (reason <> '')
);

CREATE INDEX organisations_entry ON organisations (organisation, since, entry_id);

-- Which part of an account's charge is for an organisation. What no link takes is nobody's in the registry.
CREATE TABLE links (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    organisation text NOT NULL,
    account text NOT NULL CHECK (account <> ''),
    fraction numeric NOT NULL CHECK (fraction > 0 AND fraction <= 1),
    since bigint NOT NULL CHECK (since % 3600 = 0),
    until bigint NOT NULL CHECK (until >= since),
    recorded_at bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL CHECK (reason <> '')
);

CREATE INDEX links_entry ON links (cluster_id, organisation, account, since, entry_id);

-- Corrections of single jobs. The runs of the job stand under the number of the newest, as part of their subject;
-- beneficiary is NULL where an earlier override is taken back.
CREATE TABLE overrides (
    override_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    job text NOT NULL,
    beneficiary text CHECK (beneficiary IN ('regional', 'non_regional')),
    organisation text NOT NULL,
    recorded_at bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL CHECK (reason <> '')
);

CREATE TABLE overridden_runs (
    cluster_id smallint NOT NULL REFERENCES clusters,
    db_index numeric(20) NOT NULL,
    override text NOT NULL,
    PRIMARY KEY (cluster_id, db_index)
);

-- Subjects also by the word that a job's comment has for us, and by the number of the override that a
-- run stands under; '' for none.
ALTER TABLE subjects
    ADD COLUMN comment text NOT NULL DEFAULT '',
    ADD COLUMN override text NOT NULL DEFAULT '',
    DROP CONSTRAINT subjects_cluster_id_account_user_name_partition_qos_wckey_r_key,
    ADD UNIQUE (cluster_id, account, user_name, partition, qos, wckey, reservation, comment, override);

-- The rules and the region that cycles worked by, each time they were others than before.
CREATE TABLE rules_used (
    cluster_id smallint NOT NULL REFERENCES clusters,
    recorded_at bigint NOT NULL,
    rules jsonb NOT NULL,
    PRIMARY KEY (cluster_id, recorded_at)
);

-- The account tree, each account's parent as of when it was first seen there; the newest row holds.
ALTER TABLE accounts
    ADD COLUMN recorded_at bigint NOT NULL DEFAULT 0,
    DROP CONSTRAINT accounts_pkey,
    ADD PRIMARY KEY (cluster_id, account, recorded_at);

-- Everything that an answer depends on (rules, region, account tree, registry, overrides) by its digest. Those not
-- used for a while are dropped, and made again when they are asked for.
CREATE TABLE rule_sets (
    set_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    digest text NOT NULL,
    used bigint NOT NULL,
    UNIQUE (cluster_id, digest)
);

CREATE SEQUENCE uses;

-- The answer of a set of rules for each subject: which fraction of its charge in the hours of [since, until) is for
-- whom. The parts of a subject cover all time once, and their fractions add up to 1 at any time.
DROP TABLE classifications;

CREATE TABLE classifications (
    set_id integer NOT NULL REFERENCES rule_sets ON DELETE CASCADE,
    subject_id integer NOT NULL REFERENCES subjects,
    part smallint NOT NULL,
    since bigint NOT NULL CHECK (since % 3600 = 0),
    until bigint NOT NULL CHECK (until > since),
    fraction numeric NOT NULL CHECK (fraction > 0 AND fraction <= 1),
    beneficiary text NOT NULL CHECK (beneficiary IN ('regional', 'non_regional', 'unclassified')),
    rule text NOT NULL,
    category text NOT NULL,
    organisation text NOT NULL,
    sector text NOT NULL,
    municipality text NOT NULL,
    hub text NOT NULL,
    PRIMARY KEY (set_id, subject_id, part)
);

-- Kept sums are of one set of rules, and go with it.
DELETE FROM sums;

ALTER TABLE sums
    DROP CONSTRAINT sums_cluster_id_digest_resource_key,
    DROP COLUMN digest,
    ADD COLUMN set_id integer NOT NULL REFERENCES rule_sets ON DELETE CASCADE,
    ADD UNIQUE (set_id, resource);
