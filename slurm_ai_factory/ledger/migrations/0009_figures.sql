-- A published report keeps all that it printed and the settings it was made with, as JSON in one spelling. Both are
-- under its fingerprint from format 2 on; reports of format 1 have neither.
ALTER TABLE reports
    ADD COLUMN format smallint NOT NULL DEFAULT 1,
    ADD COLUMN settings text NOT NULL DEFAULT '',
    ADD COLUMN document text NOT NULL DEFAULT '',
    ADD CHECK (format = 1 OR (settings <> '' AND document <> ''));

-- Digests of rules are spelled otherwise now, and longer. Answers by the old ones are made again when asked for.
TRUNCATE rule_sets CASCADE;
