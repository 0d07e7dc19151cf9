-- What the ledger holds of people, and how it lets go of it without changing what anything adds up to.

-- A personal text, or what stands for it once the text is gone: '~' and 16 digits of a hash over the row's salt and
-- the text. Both give the same answer, so whatever is computed over this outlives the text.
CREATE FUNCTION personal(told text, salt uuid) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN told = '' OR told ~ '^~[0-9a-f]{16}$' THEN told
        ELSE '~' || left(encode(sha256(convert_to(coalesce(salt::text, '') || told, 'UTF8')), 'hex'), 16)
    END
$$;

-- Whether a text has the name as a whole word, in upper or lower case. "jan" is in "jan@login1" and "for Jan." but not
-- in "jansen", "jan-willem" or "jan.smit".
CREATE FUNCTION mentions(told text, name text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT strpos(lower(told), lower(name)) > 0 AND told ~* (
        '(?<![[:alnum:]_])(?<![[:alnum:]_][.-])' || regexp_replace(name, '([^[:alnum:]_])', '\\\1', 'g')
        || '(?![.-]?[[:alnum:]_])'
    )
$$;

-- The salt of a row's personal texts. It goes with the last of them, so that a list of names and the ledger do not
-- bring one back.
ALTER TABLE decisions ADD COLUMN salt uuid DEFAULT gen_random_uuid();
ALTER TABLE changes ADD COLUMN salt uuid DEFAULT gen_random_uuid();
ALTER TABLE organisations ADD COLUMN salt uuid DEFAULT gen_random_uuid();
ALTER TABLE links ADD COLUMN salt uuid DEFAULT gen_random_uuid();
ALTER TABLE overrides ADD COLUMN salt uuid DEFAULT gen_random_uuid();
ALTER TABLE pauses ADD COLUMN salt uuid DEFAULT gen_random_uuid();
ALTER TABLE withdrawals ADD COLUMN salt uuid DEFAULT gen_random_uuid();
ALTER TABLE expertise_entries ADD COLUMN salt uuid DEFAULT gen_random_uuid();
ALTER TABLE reports ADD COLUMN salt uuid DEFAULT gen_random_uuid();
ALTER TABLE pseudonymisations ADD COLUMN salt uuid DEFAULT gen_random_uuid();

-- What else retention took: lines that could not be read, and rows whose staff names or texts went. "before" is NULL
-- where names of users are kept for ever.
ALTER TABLE pseudonymisations
    ALTER COLUMN before DROP NOT NULL,
    ADD COLUMN lines bigint NOT NULL DEFAULT 0,
    ADD COLUMN staff bigint NOT NULL DEFAULT 0,
    ADD COLUMN texts bigint NOT NULL DEFAULT 0;

-- What was done about a person's data. "person" is personal(user name, person_salt), which recognises the name when
-- somebody gives it and does not tell it. A forgotten user's runs are kept under the pseudonym, also those that Slurm
-- tells of later. Of several holds of a person the newest counts, up to "until".
CREATE TABLE person_acts (
    act_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    act text NOT NULL CHECK (act IN ('show', 'export', 'forget', 'hold')),
    person text NOT NULL CHECK (person LIKE '~%'),
    person_salt uuid NOT NULL,
    pseudonym text NOT NULL CHECK ((act = 'forget') = (pseudonym <> '')),
    until bigint CHECK ((act = 'hold') = (until IS NOT NULL)),
    recorded_at bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    salt uuid DEFAULT gen_random_uuid()
);
