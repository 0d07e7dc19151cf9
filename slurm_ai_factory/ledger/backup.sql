-- export_snapshot --
-- The name under which pg_dump sees what this transaction sees.
SELECT pg_export_snapshot()

-- owned_by_role --
-- Whether saf_owner owns the schema.
SELECT coalesce(nspowner = to_regrole('saf_owner'), false) FROM pg_namespace WHERE nspname = current_schema()

-- is_superuser --
-- Whether the role of this session may make roles and databases its own.
SELECT rolsuper FROM pg_roles WHERE rolname = current_user
