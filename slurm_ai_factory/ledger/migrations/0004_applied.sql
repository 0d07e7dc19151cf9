-- Applied changes are few and asked for by every cycle; observed ones are one for every decision.
CREATE INDEX changes_applied ON changes (account, change_id) WHERE status = 'applied';
