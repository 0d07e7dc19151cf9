-- The mode of access of a charge, for promises that are made to one.

SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- It is empty unless a promise is made to a mode: sets of rules from before have none, and their rows stay right.
ALTER TABLE classifications ADD COLUMN access text NOT NULL DEFAULT '';
