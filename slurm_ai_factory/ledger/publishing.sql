-- decisions_by_month --
-- How many decisions about the first promise there were by civil month, mode and reason, as known at an instant.
SELECT to_char(to_timestamp(at) AT TIME ZONE %(zone)s, 'YYYY-MM') AS month, mode, reason, count(*)
FROM decisions
WHERE cluster_id = %(cluster_id)s AND promise = 'region'
    AND at >= %(since)s AND at < %(until)s AND at <= %(as_of)s
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3

-- mode_spans --
-- The modes of the decisions in an interval, as known at an instant: each up to the next decision of another mode.
SELECT mode, at, coalesce(lead(at) OVER (ORDER BY decision_id), least(%(until)s, %(as_of)s))
FROM (
    SELECT decision_id, at, mode, lag(mode) OVER (ORDER BY decision_id) AS before FROM decisions
    WHERE cluster_id = %(cluster_id)s AND promise = 'region' AND at >= %(since)s AND at < %(until)s AND at <= %(as_of)s
) AS decided
WHERE mode IS DISTINCT FROM before
ORDER BY decision_id

-- limited_decisions --
-- How many decisions for the first promise saw regional jobs that limits of Slurm held, and none that could start.
SELECT count(*) FROM decisions
WHERE cluster_id = %(cluster_id)s AND promise = 'region' AND at >= %(since)s AND at < %(until)s AND at <= %(as_of)s
    AND inputs->'regional_held_by_limit' > '0' AND inputs->'regional_demand' = '0'

-- changes_between --
-- Applied changes for the first promise, as known at an instant, oldest first.
SELECT d.at, d.mode, d.reason, c.account, c.raw_shares_before, c.raw_shares_after
FROM changes c JOIN decisions d USING (decision_id)
WHERE d.cluster_id = %(cluster_id)s AND d.promise = 'region' AND d.at >= %(since)s AND d.at < %(until)s
    AND c.status = 'applied' AND c.settled_at <= %(as_of)s
ORDER BY c.change_id

-- last_published --
-- The newest published report of a window as of an earlier instant.
SELECT window_name, as_of, fingerprint, figures, settings, document FROM reports
WHERE cluster_id = %(cluster_id)s AND window_name = %(window_name)s AND as_of < %(as_of)s
ORDER BY as_of DESC, report_id DESC LIMIT 1

-- all_published --
-- Every published report.
SELECT window_name, as_of, fingerprint, figures, settings, document FROM reports
WHERE cluster_id = %(cluster_id)s ORDER BY as_of, report_id

-- published_before --
-- Reports published before that of a window as of an instant; if it was not published, all of no later instant.
SELECT window_name, as_of, fingerprint, figures, settings, document FROM reports r
WHERE cluster_id = %(cluster_id)s AND as_of <= %(as_of)s AND NOT EXISTS (
    SELECT FROM reports own
    WHERE own.cluster_id = r.cluster_id AND own.window_name = %(window_name)s AND own.as_of = %(as_of)s
        AND own.report_id <= r.report_id
)
ORDER BY report_id

-- published --
-- The published report of a window as of an instant.
SELECT fingerprint, document, published_at FROM reports
WHERE cluster_id = %(cluster_id)s AND window_name = %(window_name)s AND as_of = %(as_of)s

-- published_after --
-- Published reports of a later instant.
SELECT window_name, as_of FROM reports WHERE cluster_id = %(cluster_id)s AND as_of > %(as_of)s
ORDER BY as_of

-- publish --
-- Record that a report is published.
INSERT INTO reports (cluster_id, window_name, as_of, fingerprint, figures, settings, document, format, published_at,
    actor, head_entry, head)
SELECT %(cluster_id)s, %(window_name)s, %(as_of)s, %(fingerprint)s, %(figures)s, %(settings)s, %(document)s,
    %(format)s, %(at)s, %(actor)s, entry, hash
FROM chain ORDER BY entry DESC LIMIT 1

-- fingerprint_runs --
-- What a report rests on: runs that waited or were delivered in an interval, without their users.
SELECT r.db_index, r.job_label, s.account, s.partition, s.qos, s.wckey, s.reservation, s.comment, s.override,
    r.state, r.submit_at, r.eligible_at, r.start_at, r.end_at, r.elapsed_seconds, r.suspended_seconds, q.tres, a.tres,
    {missing_since}
FROM {runs_known} AS r
{run_joins}
WHERE least(r.eligible_at, r.start_at) < %(until)s AND (r.end_at IS NULL OR r.end_at > %(since)s)
ORDER BY r.db_index

-- fingerprint_reads --
-- What a report rests on: reads of accounting that touch an interval.
SELECT at, since, until, runs, changed, rejected FROM reads
WHERE cluster_id = %(cluster_id)s AND since < %(until)s AND until > %(since)s AND at <= %(as_of)s
    AND coalesce(withdrawn_at > %(as_of)s, true)
ORDER BY read_id

-- fingerprint_sizes --
-- What a report rests on: the sizes of the cluster.
SELECT since, until, tres, recorded_at FROM sizes
WHERE cluster_id = %(cluster_id)s AND since < %(until)s AND recorded_at <= %(as_of)s
ORDER BY since, recorded_at

-- fingerprint_outages --
-- What a report rests on: outages of nodes.
SELECT node, since, until, state, tres, recorded_at FROM outages
WHERE cluster_id = %(cluster_id)s AND since < %(until)s AND recorded_at <= %(as_of)s
ORDER BY node COLLATE "C", since, recorded_at

-- fingerprint_decisions --
-- What a report rests on: decisions of the control.
SELECT decision_id, at, mode, reason, inputs FROM decisions
WHERE cluster_id = %(cluster_id)s AND at >= %(since)s AND at < %(until)s AND at <= %(as_of)s
ORDER BY decision_id

-- fingerprint_changes --
-- What a report rests on: applied changes of shares.
SELECT c.change_id, c.decision_id, c.account, c.raw_shares_before, c.raw_shares_after, c.raw_shares_read
FROM changes c JOIN decisions d USING (decision_id)
WHERE d.cluster_id = %(cluster_id)s AND d.at >= %(since)s AND d.at < %(until)s
    AND c.status = 'applied' AND c.settled_at <= %(as_of)s
ORDER BY c.change_id

-- fingerprint_expertise --
-- What a report rests on: hours of the expertise centre.
SELECT entry_id, day, organisation, role, hours, kind, corrects, recorded_at
FROM expertise_entries
WHERE day >= %(first)s AND day < %(last)s AND recorded_at <= %(as_of)s
ORDER BY entry_id

-- fingerprint_accounts --
-- What a report rests on: the account tree.
SELECT account, parent, recorded_at FROM accounts
WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s
ORDER BY account COLLATE "C", recorded_at

-- fingerprint_organisations --
-- What a report rests on: the registry of organisations.
SELECT entry_id, organisation, name, kvk, category, sector, municipality, hub, size, stage, since, until,
    recorded_at
FROM organisations WHERE recorded_at <= %(as_of)s ORDER BY entry_id

-- fingerprint_links --
-- What a report rests on: links of accounts to organisations.
SELECT entry_id, organisation, account, fraction, access, granted, since, until, recorded_at
FROM links WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s ORDER BY entry_id

-- fingerprint_overrides --
-- What a report rests on: corrections of single jobs.
SELECT override_id, job, beneficiary, organisation, recorded_at
FROM overrides WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s ORDER BY override_id

-- fingerprint_meters --
-- What a report rests on: readings of meters.
SELECT entry_id, meter, kind, since, until, value, unit, replaces, recorded_at FROM meters
WHERE cluster_id = %(cluster_id)s AND since < %(until)s AND until > %(since)s AND recorded_at <= %(as_of)s
ORDER BY entry_id

-- fingerprint_meter_ends --
-- What a report rests on: meters that were taken out of use.
SELECT entry_id, kind, meter, ended_at, recorded_at FROM meter_ends
WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s ORDER BY entry_id

-- fingerprint_placements --
-- What a report rests on: which job had which node and GPUs.
SELECT entry_id, job_id, node, gpus, since, until, recorded_at FROM placements
WHERE cluster_id = %(cluster_id)s AND since < %(until)s AND until > %(since)s AND recorded_at <= %(as_of)s
ORDER BY entry_id

-- fingerprint_energy --
-- What a report rests on: the energy that Slurm counted of each run.
SELECT r.db_index, r.energy_joules FROM {runs_known} AS r
WHERE r.energy_joules IS NOT NULL AND r.start_at < %(until)s AND r.end_at > %(since)s
ORDER BY r.db_index

-- fingerprint_allowed --
-- What a report rests on: the power that the connection to the grid was allowed.
SELECT entry_id, since, until, max_kw, kind, told_at, withdrawn, replaces, recorded_at FROM allowed_power
WHERE cluster_id = %(cluster_id)s AND recorded_at <= %(as_of)s ORDER BY entry_id

-- head_of_report --
-- The head of the chain when a report with this fingerprint was published.
SELECT head_entry, head FROM reports
WHERE cluster_id = %(cluster_id)s AND window_name = %(window_name)s AND as_of = %(as_of)s
    AND fingerprint = %(fingerprint)s AND head IS NOT NULL
