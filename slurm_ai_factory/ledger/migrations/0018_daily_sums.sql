-- Sums of hourly_usage by day, subject and part of its classification, beside those by hour and beneficiary: of the
-- same resource and rules, and valid for the same days. A day is one in UTC.
CREATE TABLE daily_sums (
    sum_id integer NOT NULL REFERENCES sums ON DELETE CASCADE,
    day bigint NOT NULL CHECK (day % 86400 = 0),
    subject_id integer NOT NULL,
    part integer NOT NULL,
    delivered numeric NOT NULL,
    PRIMARY KEY (sum_id, day, subject_id, part)
);

-- From now on sums are valid for whole days.
TRUNCATE sums CASCADE;
